"""Compares what the package answers with what the lowest minima say."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np

import nextstat
from benchmarks.campaign.likelihood import Vector
from benchmarks.campaign.record import ROUNDING, TOLERANCE, Notes
from benchmarks.campaign.search import WIDEST, Bounds, Minimum, Question, Search
from benchmarks.campaign.stationarity import local_descent

T = TypeVar("T")
Counts = Callable[[float], bool]  # for which fitted values a statistic is not 0

FORMULA = 1e-6  # relative: two implementations of one formula
PRECISION = 1e-7  # relative, of statistics of 1e4 and more: data of Asimov are fits to a tolerance
TINY = 1e-300  # below, logarithms and tails of distributions lose their digits
NLL = 1e-9  # relative: two implementations of one likelihood


def below(mu: float) -> Counts:
    """Data deviate downwards: those that exclude mu."""
    return lambda muhat: muhat < mu


def above(mu: float) -> Counts:
    """Data deviate upwards: those that discover."""
    return lambda muhat: muhat > mu


def always(muhat: float) -> bool:
    """Data deviate to either side."""
    return True


class Judge:
    """Asks the package about one model, and compares.

    Parameters
    ----------
    model : nextstat.HistFactoryModel
    search : Search
    notes : Notes
    """

    def __init__(self, model: nextstat.HistFactoryModel, search: Search, notes: Notes) -> None:
        self.model, self.search, self.notes = model, search, notes
        self.likelihood, self.poi = search.likelihood, search.poi
        self.name = self.likelihood.names[self.poi]

    def run(self, kind: str, call: Callable[[], T]) -> T | None:
        """What a call returns, None if it raises; how it ended goes to the notes.

        A `FitError` is an honest answer. So is a goodness of fit without degrees of freedom.
        """
        try:
            return call()
        except nextstat.FitError as error:
            status = re.search(r"\((\w+)\)", str(error))
            self.notes.status(kind, status[1] if status else "FitError")
        except Exception as error:
            if isinstance(error, ValueError) and "nothing is left to test" in str(error):
                self.notes.status(kind, "no degrees of freedom")
            else:
                self.notes.status(kind, type(error).__name__)
                self.notes.fault("foreign exception", kind, message=repr(error)[:300])
        return None

    def ask(self, kind: str, call: Callable[[], T]) -> T | None:
        """The same of a test, which has converged if it returns."""
        result = self.run(kind, call)
        if result is not None:
            self.notes.status(kind, "converged")
        return result

    def fit(self, kind: str, dataset: str, value: float | None = None) -> None:
        """A fit as users make it."""
        data = None if dataset == "observed" else self.search.data[dataset]
        fixed = None if value is None else {self.name: value}
        result = self.run(kind, lambda: nextstat.fit(self.model, data, fixed=fixed))
        if result is None:
            return
        self.fitted(kind, result.status, result.values, result.nll, dataset, value)
        errors = np.delete(result.errors, [self.likelihood.names.index(n) for n in _held(result)])
        if result.converged and not (np.isfinite(errors).all() and (errors > 0.0).all()):
            self.notes.fault("not finite", f"errors of {kind}", errors=result.errors.tolist())

    def fitted(
        self, kind: str, status: str, values: Vector, nll: float, dataset: str, value: float | None
    ) -> None:
        """A fit that says that it converged must be at a minimum, and at the lowest one."""
        muhat = values[self.poi] if value is None else -np.inf
        question = Question(dataset, value, self.search.bounds_around(muhat))
        data = self.search.data[dataset]
        if status == "infinite" and np.isinf(self.search.lowest(dataset, value).nll):
            status = "impossible"
        self.notes.status(kind, status)
        if status != "converged":
            return
        if not (np.isfinite(values).all() and np.isfinite(nll)):
            self.notes.fault("not finite", kind, values=values.tolist(), nll=nll)
            return
        found = self.likelihood.at(values, data)
        at = values.tolist()
        if not abs(found - nll) <= NLL * abs(found):
            self.notes.fault("nll", kind, found=nll, right=found, at=at, data=data.tolist())
        if not self.search.allows(question, values):
            self.notes.fault("outside bounds", kind, at=at, data=data.tolist())
        self.notes.record.beaten += self.search.offer(question, values)
        self.nll(kind, found, self.search.lowest(*question), question, at=at)
        held = self.likelihood.fixed.copy()
        held[self.poi] |= value is not None
        lower, upper = self.likelihood.lower.copy(), self.likelihood.upper.copy()
        lower[self.poi], upper[self.poi] = question.bounds
        fallen = local_descent(self.likelihood, values, held, lower, upper, data)
        if fallen > 0.0:
            details = {"at": at, "falls_by": fallen, "data": data.tolist(), "value": value}
            self.notes.fault("false convergence", kind, **details)

    def nll(self, kind: str, found: float, right: Minimum, question: Question, **more: Any) -> None:
        """An nll that should be the lowest one."""
        self.notes.compared(kind)
        if not abs(found - right.nll) <= TOLERANCE + ROUNDING * abs(right.nll):
            self.notes.miss(kind, found, right, self.search, question, **more)

    def statistic(
        self,
        kind: str,
        found: float,
        value: float,
        bests: list[Minimum],
        *,
        dataset: str = "observed",
        counts: Counts = always,
        bounds: Bounds | None = None,
    ) -> bool:
        """A test statistic at a value of the parameter of interest; True if it is right.

        Parameters
        ----------
        bests : list of Minimum
            Global minima; where several are as good, any may be the one.
        counts : callable
        bounds : (float, float), optional
            Of the parameter of interest in the global fit.
        """
        held = self.search.lowest(dataset, value)
        self.notes.compared(kind)
        slack = 2.0 * (TOLERANCE + ROUNDING * abs(bests[0].nll))
        if np.isfinite(found):
            slack += PRECISION * found
        right = [
            max(2.0 * (held.nll - best.nll), 0.0) if counts(best.point[self.poi]) else 0.0
            for best in bests
        ]
        if any(found == q or abs(found - q) <= slack for q in right):
            return True
        # The fit that is above its minimum: the conditional one if the statistic is too large. The
        # global minimum of Asimov data is known, so that there only the conditional is left.
        own = self.search.own_bounds()
        conditional = found > right[0] or dataset.startswith("asimov")
        blamed = held if conditional else bests[0]
        excess = 0.5 * (found - right[0]) * (1.0 if conditional else -1.0)
        question = (
            Question(dataset, value, own) if conditional else Question(dataset, None, bounds or own)
        )
        self.notes.miss(
            kind,
            blamed.nll + excess,
            blamed,
            self.search,
            question,
            statistic=found,
            right_statistic=right[0],
        )
        return False

    def best(self, kind: str, lower: float) -> tuple[str, list[Minimum], Bounds]:
        """Minima of the observed data that no upper bound stops, and where they were looked for.

        A model's own bound that is in the way makes a kind of its own.
        """
        found = self.search.unbounded(lower)
        if found[0].point[self.poi] > self.search.own_bounds()[1]:
            kind = f"{kind}, bound"
        return kind, found, (lower, WIDEST)

    def observed(self, kind: str, found: float, value: float, counts: Counts) -> None:
        """A statistic of the observed data, whose parameter of interest is not negative."""
        lower = max(self.search.own_bounds()[0], 0.0)
        kind, bests, bounds = self.best(kind, lower)
        self.statistic(kind, found, value, bests, counts=counts, bounds=bounds)

    def asimov(self, truth: float) -> list[tuple[str, Minimum]]:
        """Datasets that the lowest minima at a value expect, and their own minima."""
        own, found = self.likelihood, []
        for k, minimum in enumerate(self.search.minima("observed", truth)):
            if np.isinf(minimum.nll):
                break
            name = f"asimov {truth:g}.{k}"
            aux = np.where(own.poisson, own.tau, 1.0) * minimum.point
            events = np.maximum(own.expected(minimum.point[None, :])[0], 0.0)
            data = np.concatenate([events, aux[own.constrained]])
            if name not in self.search.data:
                self.search.add(name, data, minimum.point)
            found.append((name, Minimum(own.at(minimum.point, data), minimum.point, own.init)))
        return found

    def on_asimov(
        self, kind: str, found: float, value: float, truth: float, counts: Counts
    ) -> None:
        """A statistic on Asimov data; where two minima are as good, either may have made them."""
        misses = self.notes.record.misses
        before = len(misses)
        for dataset, best in self.asimov(truth):
            if self.statistic(kind, found, value, [best], dataset=dataset, counts=counts):
                del misses[before:]
                return
            del misses[before + 1 :]

    def formula(self, kind: str, found: float, right: float) -> None:
        """Two implementations of a formula."""
        self.notes.compared("formulas")
        if not (found == right or abs(found - right) <= FORMULA * abs(right) + TINY):
            self.notes.fault("formula", kind, found=found, right=right)


def _held(result: nextstat.FitResult) -> list[str]:
    """Parameters without an error: fixed, or at a bound."""
    fixed = [
        name
        for name, is_fixed in zip(result.parameter_names, result.fixed, strict=True)
        if is_fixed
    ]
    return [*fixed, *result.active_bounds]
