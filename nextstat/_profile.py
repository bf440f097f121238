"""Profiles of the likelihood in one parameter: what every test statistic is made of."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Literal

import numpy as np
import numpy.typing as npt

from nextstat import _core
from nextstat._fit import minimise, require_converged, require_minimum
from nextstat._problem import Bounds, Fixed, Init, Problem, make_problem
from nextstat._rejection import unknown
from nextstat.model import HistFactoryModel, Vector

if TYPE_CHECKING:
    from typing_extensions import Self

TestStatistic = Literal["q0", "q", "qtilde", "t", "ttilde"]

INFINITE = 4  # FitStatus of the core
ROUNDING = 1e-7  # in 2 nll: fits stop at an EDM of 1e-10


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
        if best is not None:
            self.best = best
        self._known: dict[float, Vector | None] = {}

    @cached_property
    def best(self) -> Vector:
        """The global minimum, (P,)."""
        return require_minimum(self.model, self.data, self.problem, "the global fit").values

    def with_data(self, data: _core.Data) -> Self:
        """The profile of other data, whose fits start from the best of these."""
        return type(self)(self.model, data, self.problem, self.poi, best=self.best)

    @property
    def muhat(self) -> float:
        """Fitted value of the parameter."""
        return float(self.best[self.poi])

    @property
    def conditional(self) -> dict[float, Vector]:
        """Parameters that fit best at the values asked for so far, (P,) each."""
        return {value: params for value, params in self._known.items() if params is not None}

    def at(self, value: float) -> Vector | None:
        """Parameters that minimise the nll at a value of the parameter, (P,).

        None if the value is impossible: whatever the other parameters, no events are expected in
        a bin where some were observed.

        Raises
        ------
        FitError
            If the fit did not converge.
        """
        if value == self.muhat:
            return self.best
        if value not in self._known:
            self._known[value] = self._fit_at(value)
        return self._known[value]

    def _fit_at(self, value: float) -> Vector | None:
        # From the neighbours and from the start: where there are several minima, any may be lowest.
        known = {x: params for x, params in self._known.items() if params is not None}
        known[self.muhat] = self.best
        sides = [x for x in known if x < value], [x for x in known if x > value]
        near = [min(side, key=lambda x: abs(x - value)) for side in sides if side]
        own = self.problem.fix(self.poi, value)
        starts = [own, *(own.start(known[x]) for x in near)]
        if all(np.array_equal(start.init, own.init) for start in starts[1:]):
            starts = [own]
        fits = [minimise(self.model, self.data, start) for start in starts]
        if all(fit.status == INFINITE for fit in fits):
            return None
        lowest = min(fits, key=lambda fit: (fit.status != 0, fit.nll))
        require_converged(self.model, lowest, self._what(value))
        return lowest.values

    def _what(self, value: float) -> str:
        return f"the fit with {self.name}={value:g}"

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
        if twice < -ROUNDING:  # the global fit had stopped in another basin
            start = self.problem.start(conditional)
            better = require_minimum(self.model, self.data, start, "the global fit").values
            if self._above_best(better) < 0.0:
                self.best = better
            twice = 2.0 * self._above_best(conditional)
        return max(twice, 0.0)

    def without_expectation(self, params: Vector) -> str:
        """For messages: the bins that have events where these parameters expect none."""
        expected = self.model.expected_data(params, include_auxdata=False)
        return self.model._name_bins((self.data.n > 0.0) & (expected <= 0.0))

    def _above_best(self, params: Vector) -> float:
        return _core.nll_difference(self.model._core, self.data, params, self.best)


def observe(
    model: HistFactoryModel,
    *,
    data: npt.ArrayLike | None = None,
    auxdata: npt.ArrayLike | None = None,
    poi: str | None = None,
    init: Init | None = None,
    fixed: Fixed | None = None,
    bounds: Bounds | None = None,
    statistic: TestStatistic | None = None,
) -> Profile:
    """The profile of a caller's data, its parameter of interest within the statistic's bounds.

    q and t let it become negative, whatever the model says; qtilde and ttilde never do.

    Raises
    ------
    ValueError, KeyError
        If an option is impossible or a name unknown.
    """
    problem = make_problem(model, init, fixed, bounds)
    index = poi_index(model, poi)
    if statistic in ("q", "t"):
        problem = problem.widen(index, -abs(problem.upper[index]), problem.upper[index])
    if statistic in ("qtilde", "ttilde"):
        problem = problem.at_least(index, 0.0)
    return Profile(model, model._data(data, auxdata), problem, index)
