"""Profiles of the likelihood in one parameter: what every test statistic is made of."""

from __future__ import annotations

from nextstat import _core
from nextstat._fit import minimise, require_converged, require_minimum
from nextstat._problem import Problem
from nextstat._rejection import unknown
from nextstat.model import HistFactoryModel, Vector

_INFINITE = 4  # FitStatus of the core
_ROUNDING = 1e-7  # in 2 nll: fits stop at an EDM of 1e-10


def poi_index(model: HistFactoryModel, poi: str | None) -> int:
    """Position of the parameter of interest: the one asked for, or the model's.

    Raises
    ------
    ValueError
        If the model has none and none was asked for, or it is fixed.
    KeyError
        If no parameter has that name.
    """
    name = model.poi if poi is None else poi
    if name is None:
        raise ValueError(
            "the model has no parameter of interest; pass poi=, one of its parameter_names"
        )
    if name not in model.parameter_names:
        raise KeyError(unknown("parameter", str(name), model.parameter_names))
    return model.parameters.index(name)


class Profile:
    """Conditional fits of one dataset at chosen values of one parameter.

    Parameters
    ----------
    model : HistFactoryModel
    data : _core.Data
    problem : Problem
        Starting values and bounds; the parameter itself must not be fixed.
    poi : int
        Position of the parameter.
    best : (P,) ndarray, optional
        The global minimum, where it is known (Asimov data); fitted otherwise.
    """

    def __init__(
        self,
        model: HistFactoryModel,
        data: _core.Data,
        problem: Problem,
        poi: int,
        best: Vector | None = None,
    ) -> None:
        name = model.parameter_names[poi]
        if problem.fixed[poi] or problem.lower[poi] == problem.upper[poi]:
            raise ValueError(f"the parameter of interest {name!r} is fixed; release it")
        self.model = model
        self.data = data
        self.poi = poi
        self.problem = problem
        self.name = name
        if best is None:
            best = require_minimum(model, data, problem, "the global fit").values
        self.best = best

    def at(self, value: float) -> Vector | None:
        """Parameters that minimise the nll at a value of the parameter, (P,).

        None if the value is impossible: whatever the other parameters, no events are expected in
        a bin where some were observed.

        Raises
        ------
        FitError
            If the fit did not converge.
        """
        if value == self.best[self.poi]:
            return self.best
        # From the best fit and from the start: where there are two minima, either may be lower.
        near = self.problem.start(self.best).fix(self.poi, value)
        fits = [
            minimise(self.model, self.data, problem)
            for problem in (near, self.problem.fix(self.poi, value))
        ]
        if all(fit.status == _INFINITE for fit in fits):
            return None
        lowest = min(fits, key=lambda fit: (fit.status != 0, fit.nll))
        require_converged(self.model, lowest, f"the fit with {self.name}={value:g}")
        return lowest.values

    def statistic(self, value: float) -> float:
        """-2 ln of the profile likelihood ratio at a value, formed bin by bin.

        Raises
        ------
        FitError
            If a fit did not converge.
        """
        conditional = self.at(value)
        if conditional is None:
            return float("inf")
        twice = 2.0 * self._above_best(conditional)
        if twice < -_ROUNDING:  # the global fit had stopped in another basin
            start = self.problem.start(conditional)
            better = require_minimum(self.model, self.data, start, "the global fit").values
            if self._above_best(better) < 0.0:
                self.best = better
            twice = 2.0 * self._above_best(conditional)
        return max(twice, 0.0)

    def _above_best(self, params: Vector) -> float:
        return _core.nll_difference(self.model._core, self.data, params, self.best)
