"""Profiles that start from where the fits of a similar model ended."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

import nextstat._core as _core
from nextstat._base.arrays import Vector
from nextstat._fits.fit import minimise, require_converged
from nextstat._fits.settings import Problem
from nextstat._inference.profile import Profile
from nextstat._model.histfactory import HistFactoryModel

if TYPE_CHECKING:
    from typing_extensions import Self

Memory = dict[str, Vector]  # where fits ended, by what they were for

FAR = 0.25  # in widths of the constraints
NEAR = 0.02  # the same, where several minima are likely
OLD = 10  # calls, the same


class WarmProfile(Profile):
    """A profile with a memory.

    A fit from a remembered minimum is kept if it ends near the last one that was found without
    memory. If it ends farther away (a quarter of a constraint width in any parameter) or nowhere,
    the fits without memory are made too, and the lowest minimum counts: whoever starts in a basin
    that is no longer the lowest does not stay there. That is done sooner where
    several minima are likely (`cpp/model/folded.h`): at a fiftieth of a width, or after ten calls.

    Parameters
    ----------
    model, data, problem, poi, best, free_bounds
        As for `Profile`.
    memory : dict
        Read and written.
    label : str
        Of the dataset, in the memory.
    """

    def __init__(
        self,
        model: HistFactoryModel,
        data: _core.Data,
        problem: Problem,
        poi: int,
        *,
        memory: Memory,
        label: str,
        best: Vector | None = None,
        free_bounds: bool = False,
    ) -> None:
        wider = memory.get(f"{label} bounds")  # that the fits of a call before needed
        if wider is not None:
            problem = problem.widen(poi, *map(float, wider))
        super().__init__(model, data, problem, poi, best, free_bounds)
        self.memory = memory
        self.label = label

    def with_data(self, data: _core.Data) -> Self:
        """The profile of other data, whose fits start from the best of these."""
        return self._other(data, self.problem, f"{self.label}, changed", self.best)

    def widened(self, upper: float) -> Self:
        """The same profile with the parameter's upper bound moved outwards where needed."""
        problem = self.problem.widen(self.poi, self.problem.lower[self.poi], upper)
        return self._other(self.data, problem, f"{self.label}, widened", None)

    def _other(self, data: _core.Data, problem: Problem, label: str, best: Vector | None) -> Self:
        return type(self)(
            self.model, data, problem, self.poi, memory=self.memory, label=label, best=best
        )

    @cached_property
    def best(self) -> Vector:
        """The global minimum, (P,)."""

        def cold() -> Vector:
            profile = Profile(
                self.model, self.data, self.problem, self.poi, free_bounds=self.free_bounds
            )
            best = profile.best
            if profile.problem is not self.problem:
                self.problem = profile.problem
                pair = self.problem.lower[self.poi], self.problem.upper[self.poi]
                self.memory[f"{self.label} bounds"] = np.array(pair)
            return best

        best = self._remembered("best", self.problem, cold)
        assert best is not None
        return best

    def minimum(self, value: float | None = None) -> _core.Minimum:
        """The minimum with its Hessian, at a value of the parameter or the global one.

        Raises
        ------
        FitError
            If the fit did not converge.
        """
        if value is None:
            what, start = "the global fit", self.problem.start(self.best)
        else:
            what, start = self._what(value), self.problem.start(self._at(value))
            start = start.fix(self.poi, value)
        minimum = minimise(self.model, self.data, start.searching(0))
        require_converged(self.model, self.data, minimum, what)
        return minimum

    def _at(self, value: float) -> Vector:
        params = self.at(value)
        assert params is not None  # of a hypothesis that Asimov data were made at
        return params

    def _fit_at(self, value: float) -> Vector | None:
        problem = self.problem.fix(self.poi, value)
        return self._remembered("profile", problem, lambda: super(WarmProfile, self)._fit_at(value))

    def _remembered(
        self, what: str, problem: Problem, cold: Callable[[], Vector | None]
    ) -> Vector | None:
        key = f"{self.label} {what}"
        last, sure = self.memory.get(key), self.memory.get(f"{key}, sure")
        found = None
        if last is not None:
            start = problem.start(np.clip(last, problem.lower, problem.upper))
            fit = minimise(self.model, self.data, start.searching(0))
            found = fit.values if fit.status == 0 else None
        core = self.model._core
        age = self.memory.get(f"{key}, age", np.zeros(1)) + 1.0
        if found is None or sure is None or self._is_far(found, sure, int(age[0])):
            other = cold()
            age[:] = 0.0
            if (
                found is None
                or other is None
                or _core.nll_difference(core, self.data, other, found) < 0.0
            ):
                found = other
            if found is not None:
                self.memory[f"{key}, sure"] = found
        self.memory[f"{key}, age"] = age
        if found is not None:
            self.memory[key] = found
        return found

    def _is_far(self, params: Vector, sure: Vector, age: int) -> bool:
        folded = self.model._core.n_folded > 0
        if folded and age >= OLD:
            return True
        width = self.model.parameters.width
        scale = np.where(np.isnan(width), np.maximum(1.0, np.abs(sure)), width)
        return bool((np.abs(params - sure) > (NEAR if folded else FAR) * scale).any())
