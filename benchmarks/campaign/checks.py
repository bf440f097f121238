"""All tests of a model, each compared with what the lowest minima say."""

from __future__ import annotations

import re
import time
import warnings
from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np

import nextstat
from benchmarks.campaign.asymptotics import SIGMAS, cls, cls_range, expected_cls, q_at_limit
from benchmarks.campaign.likelihood import Likelihood, Vector
from benchmarks.campaign.record import ROUNDING, TOLERANCE, Notes, Record
from benchmarks.campaign.search import WIDEST, Bounds, Minimum, Question, Search
from benchmarks.campaign.stationarity import local_descent
from benchmarks.campaign.workspaces import Case

T = TypeVar("T")

ALPHA = 0.05
SCAN = (0.0, 0.5, 1.0, 2.0, 3.0)
N_TOYS = 3
BANDS = (-2, 0, 2)  # expected limits that are compared
FORMULA = 1e-6  # relative: two implementations of one formula
NLL = 1e-9  # relative: two implementations of one likelihood
EXACT = 1e-4  # relative: roots that limits are


def check_case(case: Case, n_starts: int, seed: int) -> Record:
    """Run every test on a model.

    Parameters
    ----------
    case : Case
    n_starts : int
        Random starts of the search behind each fit.
    seed : int
        Of the starts; those of a model do not depend on the other models.
    """
    begin = time.perf_counter()
    notes = Notes(case)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            model = nextstat.from_pyhf(case.workspace, interpolation=case.interpolation)
        except nextstat.WorkspaceError as error:
            notes.status("load", "refused")
            notes.fault("refused workspace", "load", message=str(error)[:300])
            return notes.record
        likelihood = Likelihood(case.workspace, case.interpolation, model.parameter_names)
        rng = np.random.default_rng([seed, case.number, 1])
        checks = Checks(model, Search(model, likelihood, n_starts, rng), notes, rng)
        for check in (checks.likelihoods, checks.fits, checks.tests, checks.limits, checks.toys):
            check()
    notes.record.seconds = time.perf_counter() - begin
    return notes.record


class Checks:
    """The tests of one model."""

    def __init__(
        self, model: nextstat.HistFactoryModel, search: Search, notes: Notes, rng: np.random.Generator
    ) -> None:
        self.model, self.search, self.notes, self.rng = model, search, notes, rng
        self.likelihood = search.likelihood
        self.poi = search.poi
        self.name = self.likelihood.names[self.poi]

    # What runs and how it ended

    def run(self, kind: str, call: Callable[[], T]) -> T | None:
        """The result of a call, None if there is none; how it ended goes to the notes."""
        try:
            result = call()
        except nextstat.FitError as error:
            status = re.search(r"\((\w+)\)", str(error))
            self.notes.status(kind, status[1] if status else str(error)[:60])
        except ValueError as error:
            known = "degrees" if "nothing is left to test" in str(error) else ""
            self.notes.status(kind, "no degrees of freedom" if known else "ValueError")
            if not known:
                self.notes.fault("ValueError", kind, message=str(error)[:300])
        except Exception as error:
            self.notes.status(kind, type(error).__name__)
            self.notes.fault("foreign exception", kind, message=repr(error)[:300])
        else:
            return result
        return None

    def likelihoods(self) -> None:
        """The two likelihoods at random points."""
        own = self.likelihood
        width = np.where(own.constrained, own.width, 0.5)
        points = own.init + width * self.rng.normal(size=(5, len(own.names)))
        points = np.where(own.fixed, own.init, np.clip(points, own.lower, own.upper))
        with np.errstate(all="ignore"):
            nll = own.nll(points)
        for point, right in zip(points, nll, strict=True):
            found = self.model.nll(point)
            if not (found == right or abs(found - right) <= NLL * abs(right)):
                self.notes.fault("nll", "random point", found=found, right=right, at=point.tolist())

    # Fits

    def fit(self, kind: str, dataset: str, value: float | None = None) -> nextstat.FitResult | None:
        """A fit as users make it, compared with the lowest minimum."""
        data = self.search.data[dataset]
        fixed = None if value is None else {self.name: value}
        given = None if dataset == "observed" else data
        result = self.run(kind, lambda: nextstat.fit(self.model, given, fixed=fixed))
        if result is not None:
            self.judge(kind, result.status, result.values, result.nll, dataset, value)
        return result

    def judge(
        self, kind: str, status: str, values: Vector, nll: float, dataset: str, value: float | None
    ) -> None:
        """A fit that says that it converged must be at a minimum, and at the lowest one."""
        question = Question(dataset, value, self.search.own_bounds())
        data = self.search.data[dataset]
        right = self.search.lowest(dataset, value)
        if status == "infinite" and np.isinf(right.nll):
            status = "impossible"
        self.notes.status(kind, status)
        if status != "converged":
            return
        if not (np.isfinite(values).all() and np.isfinite(nll)):
            self.notes.fault("not finite", kind, values=values.tolist(), nll=nll)
            return
        found = self.likelihood.at(values, data)
        if not abs(found - nll) <= NLL * abs(found):
            self.notes.fault("nll", kind, found=nll, right=found, at=values.tolist())
        self.notes.compare(kind, found, right, self.search, question, at=values.tolist())
        fallen = self._local_descent(values, value, data)
        if fallen > 0.0:
            details = {"at": values.tolist(), "falls_by": fallen, "data": data.tolist()}
            fixed = None if value is None else {self.name: value}
            self.notes.fault("false convergence", kind, fixed=fixed, **details)

    def _local_descent(self, values: Vector, value: float | None, data: Vector) -> float:
        own = self.likelihood
        held = own.fixed.copy()
        held[self.poi] |= value is not None
        return local_descent(own, values, held, own.lower, own.upper, data)

    def fits(self) -> None:
        """Fits of the observed data, a scan, and the goodness of fit."""
        self.search.settle("observed", SCAN)
        self.fit("fit", "observed")
        for value in SCAN:
            named = f"fit at mu = {value:g}" if value in (0.0, 1.0) else "fit at other mu"
            self.fit(named, "observed", value)
        scan = self.run("scan", lambda: nextstat.scan(self.model, self.name, SCAN))
        if scan is not None:
            for value, found in zip(scan.values, scan.twice_delta_nll, strict=True):
                self.notes.status("scan", "nan" if np.isnan(found) else "converged")
                if not np.isnan(found):
                    self._compare_q("scan", found, float(value), self.search.minima())
        gof = self.run("goodness of fit", lambda: nextstat.goodness_of_fit(self.model))
        if gof is not None:
            self.notes.status("goodness of fit", "converged")
            right = self.search.lowest()
            found = right.nll + 0.5 * (gof.statistic - self.statistic_of(right))
            question = Question("observed", None, self.search.own_bounds())
            self._two_sided("goodness of fit", found, right, question)

    def statistic_of(self, minimum: Minimum) -> float:
        """Goodness-of-fit statistic of a minimum."""
        return 2.0 * (minimum.nll - self.likelihood.saturated())

    def _two_sided(self, kind: str, found: float, right: Minimum, question: Question) -> None:
        self.notes.record.compared[kind] += 1
        if not abs(found - right.nll) <= TOLERANCE + ROUNDING * abs(right.nll):
            self.notes.miss(kind, found, right, self.search, question)

    # Tests

    def _compare_q(
        self,
        kind: str,
        found: float,
        value: float,
        bests: list[Minimum],
        *,
        dataset: str = "observed",
        counts: Callable[[float], bool] = lambda muhat: True,
        bounds: Bounds | None = None,
        capped: bool = False,
    ) -> bool:
        """Compare a test statistic with the one of the lowest minima; True if it is right.

        `counts` says for which fitted values the statistic is not 0.
        """
        held = self.search.lowest(dataset, value)
        kind = f"{kind}, bound" if capped else kind
        self.notes.record.compared[kind] += 1
        slack = 2.0 * (TOLERANCE + ROUNDING * abs(bests[0].nll))
        right = [
            max(2.0 * (held.nll - best.nll), 0.0) if counts(best.point[self.poi]) else 0.0
            for best in bests
        ]
        if any(found == q or abs(found - q) <= slack for q in right):
            return True
        details: dict[str, Any] = {"statistic": found, "right_statistic": right[0]}
        if found > right[0]:
            question = Question(dataset, value, self.search.own_bounds())
            above = held.nll + 0.5 * (found - right[0])
            self.notes.miss(kind, above, held, self.search, question, **details)
        else:
            question = Question(dataset, None, bounds or self.search.own_bounds())
            above = bests[0].nll + 0.5 * (right[0] - found)
            self.notes.miss(kind, above, bests[0], self.search, question, **details)
        return False

    def _asimov(self, value: float) -> list[tuple[str, Minimum]]:
        """Datasets that the lowest minima at a value expect, and their own minima."""
        found = []
        for k, minimum in enumerate(self.search.minima("observed", value)):
            if np.isinf(minimum.nll):
                break
            name = f"asimov {value:g}.{k}"
            own = self.likelihood
            aux = np.where(own.poisson, own.tau, 1.0) * minimum.point
            events = np.maximum(own.expected(minimum.point[None, :])[0], 0.0)
            data = np.concatenate([events, aux[own.constrained]])
            if name not in self.search.data:
                self.search.add(name, data, minimum.point)
            found.append((name, Minimum(own.at(minimum.point, data), minimum.point, own.init)))
        return found

    def _compare_asimov(
        self, kind: str, found: float, value: float, truth: float, counts: Callable[[float], bool]
    ) -> None:
        """Compare a statistic on Asimov data; where two minima are as good, either may make them."""
        datasets = self._asimov(truth)
        before = len(self.notes.record.misses)
        for k, (dataset, minimum) in enumerate(datasets):
            if self._compare_q(kind, found, value, [minimum], dataset=dataset, counts=counts):
                del self.notes.record.misses[before:]
                break
            del self.notes.record.misses[before + 1 :]
            self.notes.record.compared[kind] -= k > 0

    def tests(self) -> None:
        """Hypothesis tests and significances, and fits of the Asimov data behind them."""
        model, run = self.model, self.run
        test = run("hypotest", lambda: nextstat.hypotest(model, 1.0))
        if test is not None:
            self.notes.status("hypotest", "converged")
            self._compare_observed("hypotest q", test.test_statistic, 1.0, below(1.0))
            found = test.asimov_test_statistic
            self._compare_asimov("hypotest qA", found, 1.0, 0.0, below(1.0))
            self._formula("CLs", test.cls, cls(test.test_statistic, found))
            for n, (band, right) in enumerate(zip(test.expected, expected_cls(found), strict=True)):
                self._formula(f"expected CLs {SIGMAS[n]:+d}", band, right)
        z0 = run("significance", lambda: nextstat.significance(model))
        if z0 is not None:
            self.notes.status("significance", "converged")
            self._compare_observed("significance", z0**2, 0.0, above(0.0))
        z0 = run("expected significance", lambda: nextstat.significance(model, expected=True))
        if z0 is not None:
            self.notes.status("expected significance", "converged")
            self._compare_asimov("expected significance", z0**2, 0.0, 1.0, above(0.0))
        for mu in (0.0, 1.0):
            for dataset, _ in self._asimov(mu)[:1]:
                self.fit("fit of Asimov data", dataset)
                self.fit("fit of Asimov data at mu", dataset, 1.0 - mu)

    def _wide(self) -> list[Minimum]:
        """Minima of the observed data where no upper bound stops the parameter of interest."""
        return self.search.unbounded(lower=max(self.search.own_bounds()[0], 0.0))

    def _compare_observed(
        self, kind: str, found: float, value: float, counts: Callable[[float], bool]
    ) -> None:
        bests = self._wide()
        lower, upper = self.search.own_bounds()
        capped = bool(bests[0].point[self.poi] > upper)
        self._compare_q(kind, found, value, bests, counts=counts, capped=capped,
                        bounds=(max(lower, 0.0), WIDEST if capped else upper))  # fmt: skip

    def _formula(self, kind: str, found: float, right: float) -> None:
        """Compare two implementations of a formula."""
        self.notes.record.compared["formula"] += 1
        if not (found == right or abs(found - right) <= FORMULA * abs(right) + 1e-300):
            self.notes.fault("formula", kind, found=found, right=right)

    def limits(self) -> None:
        """Upper limits: the lowest minima at the limit must give the level."""
        limit = self.run("limit", lambda: nextstat.upper_limit(self.model))
        if limit is None:
            return
        self.notes.status("limit", "converged")
        if np.isfinite(limit.observed):
            self._compare_limit(limit.observed)
        for n, found in zip(SIGMAS, limit.expected, strict=True):
            if n in BANDS and np.isfinite(found):
                right = q_at_limit(n, ALPHA)
                self._compare_asimov("expected limit", right, float(found), 0.0, below(found))

    def _compare_limit(self, mu: float) -> None:
        """CLs of the lowest minima at the observed limit, within the tolerance of each nll."""
        kind = "limit"
        self.notes.record.compared[kind] += 1
        best, held = self._wide()[0], self.search.lowest("observed", mu)
        ranges = []
        for dataset, minimum in self._asimov(0.0):
            q = max(2.0 * (held.nll - best.nll), 0.0) if best.point[self.poi] < mu else 0.0
            qa = max(2.0 * (self.search.lowest(dataset, mu).nll - minimum.nll), 0.0)
            low, high = cls_range(q, qa, 2.0 * TOLERANCE)
            if low * (1.0 - EXACT) <= ALPHA <= high * (1.0 + EXACT):
                return
            ranges.append((low, high))
        question = Question("observed", mu, self.search.own_bounds())
        details = {"limit": mu, "cls_at_limit": ranges}
        self.notes.miss(kind, np.nan, held, self.search, question, **details)

    def toys(self) -> None:
        """Fits of toys, thrown at the fit of the observed data."""
        truth = self.search.lowest().point
        seed = self.notes.case.number
        call = lambda: nextstat.fit_toys(self.model, N_TOYS, params=truth, seed=seed)  # noqa: E731
        batch = self.run("fit of toys", call)
        if batch is None:
            return
        data = nextstat.toy_data(self.model, N_TOYS, params=truth, seed=seed)
        for k in range(N_TOYS):
            name = f"toy {k}"
            self.search.add(name, data[k], truth)
            self.judge("fit of toys", str(batch.status[k]), batch.values[k],
                       float(batch.nll[k]), name, None)  # fmt: skip
        self.fit("fit of toys at mu", "toy 0", 1.0)


def below(mu: float) -> Callable[[float], bool]:
    """Data deviate downwards: those that exclude mu."""
    return lambda muhat: muhat < mu


def above(mu: float) -> Callable[[float], bool]:
    """Data deviate upwards: those that discover."""
    return lambda muhat: muhat > mu
