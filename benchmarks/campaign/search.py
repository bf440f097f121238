"""The lowest minimum from many starts, ranked by the second likelihood."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy.optimize import minimize

import nextstat
from benchmarks.campaign.likelihood import Likelihood, Vector

NEAR = 2e-3  # in nll: minima as good as the lowest
APART = 1e-3  # in standard deviations: minima that are two
WIDEST = 1e7  # bound of the parameter of interest beyond which nobody looks
ALONE = (None, 0.0, 1.0)  # questions on observed data that are asked without the package, too
N_ALONE = 2  # descents of each
SPREADS = (1.0, 2.0, 3.0)  # of starts, in constraint widths

Bounds = tuple[float, float]


class Minimum(NamedTuple):
    """A minimum: nll by the second likelihood, parameters (P,), and the start that led there."""

    nll: float
    point: Vector
    init: Vector


class Question(NamedTuple):
    """A fit: of which data, at which value of the parameter of interest, or within which bounds."""

    dataset: str
    value: float | None
    bounds: Bounds


class Search:
    """Lowest minima of the fits of one model.

    Parameters
    ----------
    model : nextstat.HistFactoryModel
        Its fits descend from the starts; whether they say that they converged does not matter.
    likelihood : Likelihood
        Judges where they ended.
    n_starts : int
        Random starts of each fit, in addition to what is known of the same data.
    rng : numpy.random.Generator
    """

    def __init__(
        self,
        model: nextstat.HistFactoryModel,
        likelihood: Likelihood,
        n_starts: int,
        rng: np.random.Generator,
    ) -> None:
        self.model, self.likelihood, self.n_starts, self.rng = model, likelihood, n_starts, rng
        self.poi = likelihood.names.index(str(model.poi))
        self.data: dict[str, Vector] = {"observed": likelihood.data}
        self._minima: dict[Question, list[Minimum]] = {}
        self._known: dict[str, list[Vector]] = defaultdict(list)

    def own_bounds(self) -> Bounds:
        """Those of the parameter of interest."""
        return float(self.likelihood.lower[self.poi]), float(self.likelihood.upper[self.poi])

    def bounds_around(self, value: float) -> Bounds:
        """The same, the upper one widened as far as a fitted value is beyond it."""
        lower, upper = self.own_bounds()
        while upper < value < WIDEST:
            upper *= 10.0
        return lower, upper

    def add(self, dataset: str, data: Vector, *known: Vector) -> None:
        """Another dataset, and points that may be good starts for its fits."""
        self.data[dataset] = data
        self._known[dataset] += known

    def minima(
        self, dataset: str = "observed", value: float | None = None, bounds: Bounds | None = None
    ) -> list[Minimum]:
        """Distinct minima within `NEAR` of the lowest, which comes first.

        Parameters
        ----------
        value : float, optional
            Held value of the parameter of interest.
        bounds : (float, float), optional
            Of the parameter of interest, in place of its own.
        """
        question = Question(dataset, value, bounds or self.own_bounds())
        if question not in self._minima:
            starts = np.concatenate([self._random(question), self._known_starts(question)])
            self._minima[question] = self._alone(question, starts)
            self._merge(question, self._look(question, starts))
            self._known[dataset].append(self._minima[question][0].point)
        return self._minima[question]

    def lowest(
        self, dataset: str = "observed", value: float | None = None, bounds: Bounds | None = None
    ) -> Minimum:
        """The lowest minimum."""
        return self.minima(dataset, value, bounds)[0]

    def unbounded(self, lower: float) -> list[Minimum]:
        """Minima of the observed data that no upper bound of the parameter of interest stops."""
        upper = self.own_bounds()[1]
        while True:
            found = self.minima(bounds=(lower, upper))
            if found[0].point[self.poi] < 0.999 * upper or upper >= WIDEST:
                return found
            upper *= 10.0

    def allows(self, question: Question, point: Vector) -> bool:
        """Whether a point is within the bounds of a question."""
        return bool(np.array_equal(point, self._possible(point[None, :], question)[0]))

    def know(self, question: Question, point: Vector) -> None:
        """The minimum of a question that needs no search: that of Asimov data is their truth."""
        nll = self.likelihood.at(point, self.data[question.dataset])
        self._minima.setdefault(question, [Minimum(nll, point, point)])

    def offer(self, question: Question, point: Vector) -> bool:
        """A point that somebody found; True if the search had missed it, which it knows then."""
        lowest = self.minima(*question)[0].nll
        nll = self.likelihood.at(point, self.data[question.dataset])
        if nll < lowest:
            self._merge(question, [Minimum(nll, point, point)])
        return nll < lowest - NEAR

    def settle(self, dataset: str, values: Sequence[float]) -> None:
        """Look at several values and at the free fit, each of which learns from the others."""
        questions = [Question(dataset, value, self.own_bounds()) for value in [*values, None]]
        for question in questions:
            self.minima(*question)
        for question in questions:
            self._merge(question, self._look(question, self._known_starts(question)))

    def _merge(self, question: Question, others: list[Minimum]) -> None:
        every = sorted([*self._minima[question], *others], key=lambda m: m.nll)
        near = [minimum for minimum in every if minimum.nll <= every[0].nll + NEAR]
        self._minima[question] = [near[k] for k in self._distinct([m.point for m in near])]

    def _look(self, question: Question, starts: Vector) -> list[Minimum]:
        data, options = self.data[question.dataset], self._options(question)
        fits = [nextstat.fit(self.model, data, init=start, **options) for start in starts]
        ends = self._possible(np.array([fit.values for fit in fits]), question)
        with np.errstate(all="ignore"):
            nll = self.likelihood.nll(ends, data)
        nll = np.where(np.isnan(nll), np.inf, nll)
        found = [Minimum(float(nll[k]), ends[k], starts[k]) for k in np.argsort(nll)]
        if not fits[int(nll.argmin())].converged and np.isfinite(found[0].nll):
            found.append(self.descend_alone(found[0].point, question, data))
        return found

    def _options(self, question: Question) -> dict[str, dict[str, object]]:
        poi = self.likelihood.names[self.poi]
        if question.value is not None:
            return {"fixed": {poi: question.value}}
        return {"bounds": {poi: question.bounds}}

    def _random(self, question: Question) -> Vector:
        """Starts of several spreads; free parameters over decades."""
        own, n = self.likelihood, self.n_starts
        spread = np.resize(SPREADS, n)[:, None]
        around = own.centre + spread * own.width * self.rng.normal(size=(n, len(own.names)))
        free = 10.0 ** self.rng.uniform(-3.0, 1.0, size=around.shape)
        points = np.where(own.constrained, around, free)
        reach = max(abs(question.bounds[0]), abs(question.bounds[1]))
        points[:, self.poi] = reach * 10.0 ** self.rng.uniform(-4.0, 0.0, n)
        points[:, self.poi] *= self.rng.choice([1.0, 1.0, -1.0], n)
        return self._possible(points, question)

    def _known_starts(self, question: Question) -> Vector:
        """The model's own start, and the minima of other questions on the same data."""
        known = np.array([self.likelihood.init, *self._known[question.dataset]])
        return self._possible(known, question)

    def _possible(self, points: Vector, question: Question) -> Vector:
        own = self.likelihood
        points = np.where(own.fixed, own.init, np.clip(points, own.lower, own.upper))
        held = question.value is not None
        points[:, self.poi] = (
            question.value if held else np.clip(points[:, self.poi], *question.bounds)
        )
        return points

    def _alone(self, question: Question, starts: Vector) -> list[Minimum]:
        """Descents of the second likelihood from the best of the starts, for some questions."""
        if question.dataset != "observed" or question.value not in ALONE:
            return []
        data = self.data[question.dataset]
        with np.errstate(all="ignore"):
            nll = self.likelihood.nll(starts, data)
        nll = np.where(np.isnan(nll), np.inf, nll)
        best = [starts[k] for k in np.argsort(nll)[:N_ALONE] if np.isfinite(nll[k])]
        return [self.descend_alone(start, question, data) for start in best]

    def descend_alone(self, start: Vector, question: Question, data: Vector) -> Minimum:
        """Descend without the package under test: L-BFGS-B on the second likelihood."""
        own = self.likelihood
        lower, upper = own.lower.copy(), own.upper.copy()
        lower[self.poi], upper[self.poi] = question.bounds
        held = own.fixed.copy()
        held[self.poi] |= question.value is not None
        lower[held] = upper[held] = start[held]
        offset = own.at(start, data)

        def value(point: Vector) -> tuple[float, Vector]:
            found, gradient = own.value_and_gradient(point[None, :], data)
            nll, slope = float(found[0]) - offset, gradient[0]
            if not (np.isfinite(nll) and np.isfinite(slope).all()):
                return 1e300, np.zeros_like(point)
            return nll, slope

        end = minimize(value, start, jac=True, method="L-BFGS-B",
                       bounds=np.stack([lower, upper], axis=1),
                       options={"maxiter": 200, "ftol": 1e-14, "gtol": 1e-9})  # fmt: skip
        return Minimum(own.at(end.x, data), end.x, start)

    def _distinct(self, points: list[Vector]) -> list[int]:
        """Positions of points that expect something else, auxiliary measurements included."""
        own, table = self.likelihood, np.array(points)
        events = own.expected(table)
        events /= np.sqrt(np.maximum(events[0], 1.0))
        pulls = table[:, own.constrained] / own.width[own.constrained]
        poi = table[:, [self.poi]] / (1.0 + np.abs(table[0, self.poi]))
        place = np.concatenate([events, pulls, poi], axis=1)  # in standard deviations, about
        left, found = np.arange(len(points)), []
        while len(left):
            found.append(int(left[0]))
            left = left[np.abs(place[left] - place[left[0]]).max(axis=1) > APART]
        return found
