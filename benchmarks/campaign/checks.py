"""Every test of a model."""

from __future__ import annotations

import time
import warnings

import numpy as np

import nextstat
from benchmarks.campaign.asymptotics import SIGMAS, cls, cls_range, expected_cls, q_at_limit
from benchmarks.campaign.judge import NLL, Judge, above, below
from benchmarks.campaign.likelihood import Likelihood
from benchmarks.campaign.record import TOLERANCE, Notes, Record
from benchmarks.campaign.search import Question, Search
from benchmarks.campaign.stationarity import STEP
from benchmarks.campaign.workspaces import Case

ALPHA = 0.05
BANDS = (-2, 0, 2)  # expected limits that are compared
EXACT = 1e-4  # relative, of CLs at a limit: roots are found to 1e-6
N_POINTS = 5  # at which likelihoods are compared
N_TOYS = 3
AROUND = (-1.5, 1.0, 2.5)  # standard deviations from the fit, of conditional fits and scans
HALF = 0.5  # for the standard deviation where there is none


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
        judge = Judge(model, Search(model, likelihood, n_starts, rng), notes)
        check_likelihoods(judge, rng)
        for check in (check_fits, check_tests, check_limits, check_toys):
            check(judge)
    notes.record.seconds = time.perf_counter() - begin
    return notes.record


def check_likelihoods(judge: Judge, rng: np.random.Generator) -> None:
    """The two likelihoods at random points."""
    own = judge.likelihood
    width = np.where(own.constrained, own.width, 0.5)
    points = own.init + width * rng.normal(size=(N_POINTS, len(own.names)))
    points = np.where(own.fixed, own.init, np.clip(points, own.lower, own.upper))
    with np.errstate(all="ignore"):
        nll = own.nll(points)
    for point, right in zip(points, nll, strict=True):
        judge.notes.compared("nll")
        found = judge.model.nll(point)
        if not (found == right or abs(found - right) <= NLL * abs(right)):
            at = point.tolist()
            judge.notes.fault("nll", "random point", found=found, right=float(right), at=at)


def check_fits(judge: Judge) -> None:
    """Fits of the observed data, a scan, and the goodness of fit."""
    search, model = judge.search, judge.model
    values = _values(judge)
    search.settle("observed", values)
    judge.fit("fit", "observed")
    for value in values:
        named = f"fit at mu = {value:g}" if value in (0.0, 1.0) else "fit at other mu"
        judge.fit(named, "observed", value)
    scan = judge.run("scan", lambda: nextstat.scan(model, judge.name, values))
    if scan is not None:
        for value, found in zip(scan.values, scan.twice_delta_nll, strict=True):
            judge.notes.status("scan", "nan" if np.isnan(found) else "converged")
            if not np.isnan(found):
                kind, bests, bounds = judge.best("scan", search.own_bounds()[0])
                judge.statistic(kind, float(found), float(value), bests, bounds=bounds)
    gof = judge.ask("goodness of fit", lambda: nextstat.goodness_of_fit(model))
    if gof is not None:
        found = 0.5 * gof.statistic + judge.likelihood.saturated()
        kind, bests, bounds = judge.best("goodness of fit", search.own_bounds()[0])
        judge.nll(kind, found, bests[0], Question("observed", None, bounds))


def _values(judge: Judge) -> list[float]:
    """0, 1, and values around the fit where somebody would scan."""
    own, poi, best = judge.likelihood, judge.poi, judge.search.lowest().point
    inside = ~own.fixed & (best > own.lower) & (best < own.upper)
    inside[poi] = True
    hessian = own.hessian(best, STEP * np.maximum(np.abs(best), 1.0))[np.ix_(inside, inside)]
    sigma = HALF
    if np.isfinite(hessian).all():
        place = int(np.count_nonzero(inside[:poi]))
        variance = np.linalg.pinv(hessian, hermitian=True)[place, place]
        sigma = float(np.sqrt(variance)) if 0.0 < variance < 1.0 / HALF**2 else HALF
    around = np.clip(best[poi] + sigma * np.array(AROUND), *judge.search.own_bounds())
    return sorted({0.0, 1.0, *around.tolist()})


def check_tests(judge: Judge) -> None:
    """Hypothesis tests and significances, and fits of the Asimov data behind them."""
    model = judge.model
    test = judge.ask("hypotest", lambda: nextstat.hypotest(model, 1.0))
    if test is not None:
        q, qa = test.test_statistic, test.asimov_test_statistic
        judge.observed("hypotest: q", q, 1.0, below(1.0))
        judge.on_asimov("hypotest: qA", qa, 1.0, 0.0, below(1.0))
        judge.formula("CLs", test.cls, cls(q, qa))
        for sigma, band, right in zip(SIGMAS, test.expected, expected_cls(qa), strict=True):
            judge.formula(f"CLs expected at {sigma:+d}", band, right)
    z0 = judge.ask("significance", lambda: nextstat.significance(model))
    if z0 is not None:
        judge.observed("significance", z0**2, 0.0, above(0.0))
    z0 = judge.ask("expected significance", lambda: nextstat.significance(model, expected=True))
    if z0 is not None:
        judge.on_asimov("expected significance", z0**2, 0.0, 1.0, above(0.0))
    for truth in (0.0, 1.0):
        for dataset, best in judge.asimov(truth)[:1]:
            judge.search.know(Question(dataset, None, judge.search.own_bounds()), best.point)
            judge.fit("fit of Asimov data", dataset)
            judge.fit("fit of Asimov data at mu", dataset, 1.0 - truth)


def check_limits(judge: Judge) -> None:
    """Upper limits: the lowest minima there must give the level."""
    limit = judge.ask("limit", lambda: nextstat.upper_limit(judge.model))
    if limit is None:
        return
    if np.isfinite(limit.observed):
        _check_observed_limit(judge, limit.observed)
    for sigma, found in zip(SIGMAS, limit.expected, strict=True):
        if sigma in BANDS and np.isfinite(found):
            qa = q_at_limit(sigma, ALPHA)
            judge.on_asimov("expected limit", qa, float(found), 0.0, below(float(found)))


def _check_observed_limit(judge: Judge, mu: float) -> None:
    """CLs of the lowest minima at a limit, within the tolerance of each nll."""
    judge.notes.compared("limit")
    search = judge.search
    best = search.unbounded(max(search.own_bounds()[0], 0.0))[0]
    held = search.lowest("observed", mu)
    q = max(2.0 * (held.nll - best.nll), 0.0) if best.point[judge.poi] < mu else 0.0
    ranges = []
    for dataset, minimum in judge.asimov(0.0):
        qa = max(2.0 * (search.lowest(dataset, mu).nll - minimum.nll), 0.0)
        low, high = cls_range(q, qa, 2.0 * TOLERANCE)
        if low * (1.0 - EXACT) <= ALPHA <= high * (1.0 + EXACT):
            return
        ranges.append((low, high))
    question = Question("observed", mu, search.own_bounds())
    judge.notes.miss("limit", None, held, search, question, limit=mu, cls_there=ranges)


def check_toys(judge: Judge) -> None:
    """Fits of toys, thrown at the lowest minimum of the observed data."""
    truth, seed = judge.search.lowest().point, judge.notes.case.number
    options = {"params": truth, "seed": seed}
    batch = judge.run("fit of toys", lambda: nextstat.fit_toys(judge.model, N_TOYS, **options))
    if batch is None:
        return
    for k, data in enumerate(nextstat.toy_data(judge.model, N_TOYS, **options)):
        judge.search.add(f"toy {k}", data, truth)
        status, nll = str(batch.status[k]), float(batch.nll[k])
        judge.fitted("fit of toys", status, batch.values[k], nll, f"toy {k}", None)
    judge.fit("fit of toys at mu", "toy 0", 1.0)
