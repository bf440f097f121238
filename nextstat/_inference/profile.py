"""Profiles of the likelihood in one parameter: what every test statistic is made of."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Literal

import numpy as np
import numpy.typing as npt

import nextstat._core as _core
from nextstat._base.arrays import Vector
from nextstat._base.messages import unknown
from nextstat._fits.default_bounds import warn_of_bounds
from nextstat._fits.fit import INFINITE, LOWEST, minimise, require_lowest, without_expectation
from nextstat._fits.free_bounds import fit_freely
from nextstat._fits.settings import (
    MAX_ITERATIONS,
    Bounds,
    Fixed,
    Init,
    Problem,
    are_chosen,
    make_problem,
)
from nextstat._model.histfactory import HistFactoryModel

if TYPE_CHECKING:
    from typing_extensions import Self

TestStatistic = Literal["q0", "q", "qtilde", "t", "ttilde"]

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

    The fits share what they know. Each starts from its neighbours too; one that finds a basin
    which its neighbours did not know, starts these again from there; and one that is lower than
    the global minimum starts the global fit again, until nothing contradicts.

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
    free_bounds : bool
        Whether the bounds of the parameter are moved outwards where they stop the global fit, since
        nobody chose them: the upper one, and a negative lower one.
    """

    def __init__(
        self,
        model: HistFactoryModel,
        data: _core.Data,
        problem: Problem,
        poi: int,
        best: Vector | None = None,
        free_bounds: bool = False,
    ) -> None:
        name = model.parameter_names[poi]
        if problem.fixed[poi] or problem.lower[poi] == problem.upper[poi]:
            raise ValueError(f"the parameter of interest {name!r} is fixed; release it")
        self.model = model
        self.data = data
        self.poi = poi
        self.problem = problem
        self.name = name
        self.free_bounds = free_bounds
        if best is not None:
            self.best = best
        self._known: dict[float, Vector | None] = {}

    @cached_property
    def best(self) -> Vector:
        """The global minimum, (P,)."""
        if not self.free_bounds:
            return self._global_fit(self.problem)
        minimum, self.problem = fit_freely(self.model, self.data, self.problem, self.poi)
        return minimum.values

    def _global_fit(self, problem: Problem) -> Vector:
        return require_lowest(self.model, self.data, problem, "the global fit").values

    def with_data(self, data: _core.Data) -> Self:
        """The profile of other data, whose fits start from the best of these."""
        return type(self)(self.model, data, self.problem, self.poi, best=self.best)

    def allows(self, value: float) -> bool:
        """Whether a value is within the bounds, or beyond an upper one that nobody chose.

        Bounds are for parameters that are fitted; this is the rule for where one may be held.
        """
        low, high = self.problem.lower[self.poi], self.problem.upper[self.poi]
        return bool(low <= value and (value <= high or self.free_bounds))

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
            found = self._fit_at(value)
            self._known[value] = found
            if found is not None:
                self._settle(value, found)
        return self._known[value]

    def _fit_at(self, value: float) -> Vector | None:
        own = self.problem.fix(self.poi, value)
        starts = [*self._neighbours(value), own.init]
        found = minimise(self.model, self.data, own.start(*starts))
        return self._lowest_at(value, own, found)

    def _lowest_at(self, value: float, own: Problem, found: _core.Minimum) -> Vector | None:
        if found.status == INFINITE:
            return None
        return require_lowest(self.model, self.data, own, self._what(value), found).values

    def _what(self, value: float) -> str:
        return f"the fit with {self.name}={value:g}"

    def _neighbours(self, value: float) -> list[Vector]:
        """Minima at the nearest values known on either side, the global one among them."""
        known = {**self.conditional, self.muhat: self.best}
        sides = [x for x in known if x < value], [x for x in known if x > value]
        return [known[min(side, key=lambda x: abs(x - value))] for side in sides if side]

    def _settle(self, value: float, found: Vector) -> None:
        """Let the other fits know a new one: any that is lower from there starts again."""
        if self._above_best(found) < -0.5 * ROUNDING:
            better = self._global_fit(self.problem.start(found))
            if self._above(better, self.best) < 0.0:
                self.best = better
                self._spread(self.muhat, better)
        self._spread(value, found)

    def _spread(self, value: float, params: Vector) -> None:
        """From a minimum to those at the neighbouring values, as far as it leads lower."""
        for side in (1.0, -1.0):
            others = [x for x in self.conditional if side * (x - value) > 0.0]
            last = params
            for x in sorted(others, key=lambda x: side * x):
                known = self.conditional[x]
                start = self.problem.fix(self.poi, x).start(known, last).searching(0)
                fit = minimise(self.model, self.data, start)
                if fit.status not in LOWEST or self._above(fit.values, known) > -0.5 * ROUNDING:
                    break
                self._known[x] = last = fit.values

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
        return max(2.0 * self._above_best(conditional), 0.0)

    def warn_of_bounds(self, *values: float) -> None:
        """Warn of bounds that nobody chose, where they stop the best fit or those at values."""
        made = self.made_at(*values)
        warn_of_bounds(self.model, self.problem, [self.best], made, but=self.poi)

    def made_at(self, *values: float) -> list[Vector]:
        """Parameters of those conditional fits that were made at some values, (P,) each."""
        known = self.conditional
        return [known[x] for x in known if np.isclose(x, values, 1e-6).any()]

    def why_impossible(self, value: float) -> str:
        """For messages: the bins for which the data exclude a value outright."""
        start = self.problem.fix(self.poi, value).init
        bins = without_expectation(self.model, self.data, start)
        return f"there are events in {bins}, where none can be expected at {self.name}={value:g}"

    def _above_best(self, params: Vector) -> float:
        return self._above(params, self.best)

    def _above(self, params: Vector, reference: Vector) -> float:
        """nll(params) - nll(reference), formed bin by bin."""
        return _core.nll_difference(self.model._core, self.data, params, reference)


def observe(
    model: HistFactoryModel,
    *,
    data: npt.ArrayLike | None = None,
    auxdata: npt.ArrayLike | None = None,
    poi: str | None = None,
    init: Init | None = None,
    fixed: Fixed | None = None,
    bounds: Bounds | None = None,
    n_starts: int = 1,
    max_iterations: int = MAX_ITERATIONS,
    statistic: TestStatistic | None = None,
) -> Profile:
    """The profile of a caller's data, its parameter of interest within the statistic's bounds.

    q and t let it become negative, unless the caller says otherwise; qtilde and ttilde never do.
    Its fits are as exact as rounding lets them be: Asimov data are made of them.

    Raises
    ------
    ValueError, KeyError
        If an option is impossible or a name unknown.
    """
    problem = make_problem(model, init, fixed, bounds, n_starts, max_iterations)
    index = poi_index(model, poi)
    chosen = are_chosen(bounds, model.parameter_names[index])
    if statistic in ("q", "t") and not chosen:
        problem = problem.widen(index, -abs(problem.upper[index]), problem.upper[index])
    if statistic in ("qtilde", "ttilde"):
        problem = problem.at_least(index, 0.0)
    core_data = model._data(data, auxdata)
    return Profile(model, core_data, problem, index, free_bounds=not chosen)
