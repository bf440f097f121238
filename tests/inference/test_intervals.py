"""Intervals, scans, contours and Feldman-Cousins against closed forms and Minuit."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest
from channels import counting_model, normfactor, one_channel
from hypothesis import given, settings
from hypothesis import strategies as st
from iminuit import Minuit
from random_workspaces import random_workspace, seeds
from scipy import stats
from scipy.optimize import brentq

import nextstat
from nextstat import FitError, FitWarning, HistFactoryModel
from nextstat._fits.fit import make_result, minimise
from nextstat._fits.settings import make_problem

SMALL = nextstat.from_pyhf(
    nextstat.datasets.make_workspace(n_channels=2, n_bins=3, n_systematics=4, random_state=5)
)


def minuit_of(model: HistFactoryModel, result: nextstat.FitResult) -> Minuit:
    minuit = Minuit(model.nll, result.values, grad=model.nll_gradient, name=model.parameter_names)
    minuit.errordef = Minuit.LIKELIHOOD
    minuit.limits = [tuple(b) for b in model.bounds]
    minuit.fixed = list(model.fixed)
    minuit.strategy = 2
    minuit.tol = 1e-4
    minuit.migrad()
    return minuit


# Intervals ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("observed", [3.0, 20.0, 400.0])
@pytest.mark.parametrize("level", [0.5, 0.6827, 0.95])
def test_interval_of_a_count(observed: float, level: float) -> None:
    """Signal only: 2 (s mu - n + n ln(n / (s mu))) is the quantile."""
    model = nextstat.from_pyhf(
        one_channel(
            [{"name": "signal", "data": [10.0], "modifiers": [normfactor("mu")]}], [observed]
        )
    )
    result = nextstat.fit(model, bounds={"mu": (0.0, 100.0)})
    found = nextstat.interval(result, level=level)
    target = stats.chi2.ppf(level, 1)

    def excess(mu: float) -> float:
        return float(2 * (10 * mu - observed + observed * np.log(observed / (10 * mu))) - target)

    best = observed / 10
    assert found.lower == pytest.approx(brentq(excess, 1e-6, best), rel=1e-5)
    assert found.upper == pytest.approx(brentq(excess, best, 100.0), rel=1e-5)
    assert found.best == pytest.approx(best, abs=1e-6)
    assert found.error_down == found.lower - found.best
    assert found.error_up == found.upper - found.best
    assert found.at_bound == (False, False)


@given(seed=seeds, level=st.sampled_from([0.6826894921370859, 0.9]))
@settings(max_examples=15, deadline=None)
def test_interval_matches_minos(seed: int, level: float) -> None:
    model = nextstat.from_pyhf(random_workspace(seed))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FitWarning)
        result = nextstat.fit(model)
    if not result.converged or result.minimum.at_edge:
        return
    minuit = minuit_of(model, result)
    free = np.flatnonzero(~result.held)
    if not minuit.valid or not len(free):
        return
    i = int(free[seed % len(free)])
    name = model.parameter_names[i]
    reach = 4 * result.errors[i]
    low, high = model.bounds[i]
    if not low < result.values[i] - reach < result.values[i] + reach < high:
        return
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FitWarning)
        found = nextstat.interval(result, name, level)
    if found.best != result.values[i]:
        return  # another minimum
    # a likelihood that falls again between the best fit and the end has no unique interval
    points = np.linspace(found.lower, found.upper, 15)
    curve = nextstat.scan(model, name, points).twice_delta_nll
    best = int(curve.argmin())
    monotonic = np.all(np.diff(curve[: best + 1]) < 0) and np.all(np.diff(curve[best:]) > 0)
    try:
        minuit.minos(name, cl=level)
    except RuntimeError:
        return
    errors = minuit.merrors[name]
    if not errors.is_valid or not monotonic:
        return
    expected = [result.values[i] + errors.lower, result.values[i] + errors.upper]
    close = np.abs(np.array([found.lower, found.upper]) - expected) < 0.01 * result.errors[i]
    for value in np.array(expected)[~close]:  # ours must be the lower of two minima there
        height = nextstat.scan(model, name, [value]).twice_delta_nll[0]
        assert height < stats.chi2.ppf(level, 1) - 1e-3


def test_interval_ends_at_a_bound() -> None:
    model = counting_model(5.0, 6.0, 3.0)
    result = nextstat.fit(model)
    found = nextstat.interval(result)
    assert found.best == found.lower == 0.0
    assert found.at_bound == (True, False)
    assert 2 * (model.nll([found.upper]) - result.nll) == pytest.approx(1.0, abs=1e-5)
    tight = nextstat.fit(model, bounds={"mu": (0.0, 0.1)}, init={"mu": 0.05})
    assert nextstat.interval(tight).at_bound == (True, True)
    assert nextstat.interval(tight).upper == 0.1
    assert nextstat.interval(tight).to_dict()["at_bound"] == [True, True]


def test_interval_keeps_the_problem_of_its_fit() -> None:
    """Fixed parameters and other data hold in the fits of the interval too."""
    result = nextstat.fit(SMALL, SMALL.data + 3.0)
    others = {name: result[name] for name in SMALL.parameter_names if name != "mu"}
    alone = nextstat.fit(SMALL, SMALL.data + 3.0, fixed=others)
    narrow, wide = nextstat.interval(alone), nextstat.interval(result)
    assert narrow.best == pytest.approx(wide.best, abs=1e-5)
    assert wide.lower < narrow.lower < narrow.upper < wide.upper
    data = np.concatenate([SMALL.data + 3.0, SMALL.auxdata])
    at = {**others, "mu": narrow.upper}
    values = [at[name] for name in SMALL.parameter_names]
    assert 2 * (SMALL.nll(values, data) - alone.nll) == pytest.approx(1.0, abs=1e-4)


@pytest.mark.filterwarnings("ignore:bounds that nobody chose")
@pytest.mark.parametrize("seed", [742, 545, 1002])
def test_interval_and_contour_of_the_lower_minimum(seed: int) -> None:
    """A fit that stopped in a higher minimum, from which a scan finds the lower one."""
    model = nextstat.from_pyhf(random_workspace(seed, tension=6.0))
    problem = make_problem(model)
    higher = minimise(model, model._observed, problem.searching(0))
    result = make_result(model, model._observed, problem, higher, 0.0)
    assert nextstat.fit(model).nll < result.nll - 1e-3
    with pytest.warns(FitWarning, match="a higher minimum"):
        found = nextstat.interval(result)
    assert abs(found.best - result.mu) > 0.1
    assert found.lower < found.best < found.upper
    best = nextstat.fit(model, fixed={"mu": found.best}, n_starts=20).nll
    for end in (found.lower, found.upper):
        height = 2 * (nextstat.fit(model, fixed={"mu": end}, n_starts=20).nll - best)
        assert height == pytest.approx(1.0, abs=1e-4)
    if seed == 742:
        with pytest.warns(FitWarning, match="a higher minimum"):
            contour = nextstat.contour(result, "mu", "alpha_1", n_points=8)
        assert contour.best[0] == pytest.approx(found.best, abs=1e-4)


# Scans --------------------------------------------------------------------------------------------


@given(seed=seeds)
@settings(max_examples=15, deadline=None)
def test_scan_is_made_of_conditional_fits(seed: int) -> None:
    model = nextstat.from_pyhf(random_workspace(seed))
    name = model.parameter_names[seed % len(model.parameter_names)]
    i = model.parameters.index(name)
    if model.fixed[i]:
        return
    low, high = model.bounds[i]
    values = np.linspace(max(low, model.init[i] - 1.5), min(high, model.init[i] + 1.5), 9)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FitWarning)
        try:
            scan = nextstat.scan(model, name, values)
        except FitError:
            return
        best = nextstat.fit(model)
        lowest = min(best.nll, *map(model.nll, scan.params))
        offsets = []
        for value, delta, params in zip(
            scan.values, scan.twice_delta_nll, scan.params, strict=True
        ):
            if not np.isfinite(delta):
                continue
            assert params[i] == value
            offsets.append(delta - 2 * (model.nll(params) - lowest))
            again = nextstat.fit(model, fixed={name: value}, init=params)
            assert again.nll == pytest.approx(model.nll(params), abs=1e-6)
        # all from one minimum, the lowest known or one still lower
        assert min(offsets, default=0.0) > -1e-5
        assert np.ptp(offsets or [0.0]) < 1e-5
        last = nextstat.fit(model, fixed={name: scan.values[-1]})  # a single fit is not lower
        limit = 2 * (last.nll - lowest) + max(offsets, default=0.0) + 1e-5
        assert not (last.converged and scan.twice_delta_nll[-1] > limit)


@pytest.mark.parametrize("seed", range(6))
def test_scan_of_one_basin(seed: int) -> None:
    """Where there is one minimum at each value, it is the one of single fits."""
    workspace = nextstat.datasets.make_workspace(
        n_channels=2, n_bins=3, n_systematics=4, random_state=seed
    )
    model = nextstat.from_pyhf(workspace)
    scan = nextstat.scan(model, values=np.linspace(0.0, 4.0, 30))
    best = nextstat.fit(model).nll
    singles = [2 * (nextstat.fit(model, fixed={"mu": v}).nll - best) for v in scan.values]
    np.testing.assert_allclose(scan.twice_delta_nll, singles, atol=1e-6)


def test_scan_defaults_and_order() -> None:
    scan = nextstat.scan(SMALL)
    result = nextstat.fit(SMALL)
    assert scan.parameter == "mu"
    assert len(scan.values) == 51
    assert np.all(np.diff(scan.values) > 0)
    assert scan.values[-1] == pytest.approx(result.mu + 3 * result.error("mu"))
    assert scan.best == pytest.approx(result.mu)
    shuffled = nextstat.scan(SMALL, values=scan.values[::-1], n_jobs=1)
    assert np.array_equal(shuffled.twice_delta_nll, scan.twice_delta_nll)
    assert np.array_equal(nextstat.scan(SMALL, n_jobs=3).params, scan.params)
    frame = scan.to_dataframe()
    assert frame["mu"].tolist() == scan.values.tolist()
    upper = nextstat.interval(result).upper
    assert nextstat.scan(SMALL, values=[upper]).twice_delta_nll[0] == pytest.approx(1.0, abs=1e-5)


def test_scan_from_a_bound() -> None:
    """A fit at its bound has no error: the scan goes to where the profile reaches 9."""
    scan = nextstat.scan(counting_model(5.0, 6.0, 3.0))
    assert scan.best == scan.values[0] == 0.0
    assert scan.twice_delta_nll[-1] == pytest.approx(9.0, abs=1e-4)


def test_scan_over_values_the_data_exclude() -> None:
    scan = nextstat.scan(counting_model(5.0, 0.0, 3.0), values=[0.0, 0.5, 1.0])
    assert scan.twice_delta_nll[0] == np.inf
    assert np.isfinite(scan.twice_delta_nll[1:]).all()


def test_cls_scan() -> None:
    values = [0.5, 1.0, 2.0]
    scan = nextstat.cls_scan(SMALL, values)
    for k, mu in enumerate(values):
        test = nextstat.hypotest(SMALL, mu)
        assert scan.observed[k] == pytest.approx(test.cls, rel=1e-5)
        np.testing.assert_allclose(scan.expected[k], test.expected, rtol=1e-5)


# Contours -----------------------------------------------------------------------------------------


def test_contour_matches_minuit() -> None:
    model = SMALL
    result = nextstat.fit(model)
    x, y = "mu", model.parameter_names[1]
    contour = nextstat.contour(result, x, y, levels=(0.6827, 0.9), n_points=16)
    minuit = minuit_of(model, result)
    for level in contour.levels:
        points = contour.points[level]
        target = stats.chi2.ppf(level, 2)
        inside = points[points[:, 0] > 0.0]  # the others are at the bound of mu
        assert len(inside) >= 12
        for px, py in inside:
            fit = nextstat.fit(model, fixed={x: px, y: py})
            assert 2 * (fit.nll - result.nll) == pytest.approx(target, abs=2e-3)
        theirs = np.array(minuit.mncontour(x, y, cl=level, size=40))
        np.testing.assert_allclose(points.min(axis=0), theirs.min(axis=0), atol=0.05)
        np.testing.assert_allclose(points.max(axis=0), theirs.max(axis=0), atol=0.05)
    # counterclockwise, around the best fit
    around = contour.points[0.9] - contour.best
    angles = np.unwrap(np.arctan2(around[:, 1], around[:, 0]))
    assert np.all(np.diff(angles) > 0)
    assert angles[-1] - angles[0] < 2 * np.pi


def test_contour_of_a_gaussian_is_an_ellipse() -> None:
    scale = {"name": "scale", "type": "normsys", "data": {"hi": 1.001, "lo": 0.999}}
    samples = [
        {"name": "signal", "data": [4e4], "modifiers": [normfactor("mu")]},
        {"name": "background", "data": [9e6], "modifiers": [scale]},
    ]
    model = nextstat.from_pyhf(one_channel(samples, [9.05e6]))
    result = nextstat.fit(model, bounds={"mu": (-100.0, 100.0)})
    contour = nextstat.contour(result, "mu", "scale", levels=(0.9,), n_points=12)
    inverse = np.linalg.inv(result.covariance)
    around = contour.points[0.9] - contour.best
    distance = np.einsum("ni,ij,nj->n", around, inverse, around)
    np.testing.assert_allclose(distance, stats.chi2.ppf(0.9, 2), rtol=0.02)


def test_contour_stops_at_bounds() -> None:
    result = nextstat.fit(SMALL, bounds={"mu": (0.9, 1.4)})
    contour = nextstat.contour(result, "mu", SMALL.parameter_names[1], n_points=20)
    xs = np.concatenate([contour.points[level][:, 0] for level in contour.levels])
    assert xs.min() == pytest.approx(0.9)
    assert xs.max() == pytest.approx(1.4)
    assert contour.to_dict()["parameters"][0] == "mu"


# Feldman-Cousins ----------------------------------------------------------------------------------


def exact_feldman_cousins(n: int, background: float, signal: float, level: float) -> list[float]:
    """Interval of mu by the original construction: sums of Poisson probabilities."""
    counts = np.arange(0, 120)
    best = np.maximum(counts - background, 0.0) + background
    accepted = []
    grid = np.arange(0.0, 4.0, 0.005)
    for mu in grid:
        mean = signal * mu + background
        probability = stats.poisson.pmf(counts, mean)
        ratio = probability / stats.poisson.pmf(counts, best)
        # accepted unless the counts with a larger ratio already fill the level
        accepted.append(probability[ratio > ratio[n] * (1 + 1e-9)].sum() < level)
    inside = grid[accepted]
    return [float(inside[0]), float(inside[-1])]


@pytest.mark.parametrize("n", [0, 3, 9])
def test_feldman_cousins_is_exact(n: int) -> None:
    background, signal, level = 3.0, 4.0, 0.9
    model = counting_model(signal, background, float(n))
    lower, upper = exact_feldman_cousins(n, background, signal, level)
    values = np.arange(0.0, 3.9, 0.05)
    found = nextstat.feldman_cousins(model, values, level, n_toys=4000, seed=2)
    # p-values jump where the acceptance region changes: within a step and the noise
    assert found.lower == pytest.approx(lower, abs=0.1)
    assert found.upper == pytest.approx(upper, abs=0.12)
    assert found.level == level
    mean = signal * values + background
    best = max(n - background, 0.0) + background
    expected = 2 * (mean - best - n * np.log(mean / best)) if n else 2 * (mean - best)
    np.testing.assert_allclose(found.statistic, expected, atol=1e-6)


def test_feldman_cousins_is_reproducible() -> None:
    values = np.linspace(0.0, 4.0, 17)
    one = nextstat.feldman_cousins(SMALL, values, n_toys=300, seed=5, n_jobs=1)
    two = nextstat.feldman_cousins(SMALL, values, n_toys=300, seed=5, n_jobs=2)
    assert np.array_equal(one.pvalues, two.pvalues)
    assert one.n_failed == 0
    assert one.to_dict()["seed"] == 5


def test_feldman_cousins_on_coarse_values() -> None:
    """Where the p-value falls from 1 to 0 at once, the ends are guesses: it says so."""
    model = counting_model(1e6, 1e6, 2e6)
    with pytest.warns(FitWarning, match="closer to each other"):
        nextstat.feldman_cousins(model, [0.0, 0.5, 1.0, 2.0], n_toys=100, seed=1)


# Bad input ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda r: nextstat.interval(r, level=1.0), ValueError, "level is 1.0"),
        (lambda r: nextstat.interval(r, "my"), KeyError, "unknown parameter 'my'"),
        (lambda r: nextstat.contour(r, "mu", "mu"), ValueError, "both 'mu'"),
        (lambda r: nextstat.contour(r, "mu", "my"), KeyError, "unknown parameter 'my'"),
        (
            lambda r: nextstat.contour(r, "mu", SMALL.parameter_names[1], levels=(2.0,)),
            ValueError,
            "level is 2.0",
        ),
        (
            lambda r: nextstat.contour(r, "mu", SMALL.parameter_names[1], n_points=2),
            ValueError,
            "n_points is 2",
        ),
        (
            lambda r: nextstat.contour(r, "mu", SMALL.parameter_names[1], levels=()),
            ValueError,
            "levels is empty",
        ),
        (lambda r: nextstat.scan(SMALL, "my"), KeyError, "unknown parameter 'my'"),
        (
            lambda r: nextstat.scan(SMALL, values=[11.0], bounds={"mu": (0.0, 10.0)}),
            ValueError,
            "outside the bounds",
        ),
        (lambda r: nextstat.scan(SMALL, values=[]), ValueError, "values has shape"),
        (lambda r: nextstat.scan(SMALL, values=[np.nan]), ValueError, "outside the bounds"),
        (lambda r: nextstat.scan(SMALL, fixed={"mu": 1.0}), ValueError, "'mu' is fixed"),
        (lambda r: nextstat.cls_scan(SMALL, [-0.5, 1.0]), ValueError, "outside the bounds"),
        (
            lambda r: nextstat.feldman_cousins(SMALL, [0.5, 0.6], seed=1, n_toys=20),
            FitError,
            "extend them",
        ),
        (
            lambda r: nextstat.feldman_cousins(SMALL, [8.0, 9.0], seed=1, n_toys=20),
            FitError,
            "is excluded",
        ),
        (lambda r: nextstat.feldman_cousins(SMALL, [1.0]), ValueError, "single value"),
        (lambda r: nextstat.feldman_cousins(SMALL, [1.0, 2.0], 95), ValueError, "level is 95"),
    ],
)
def test_bad_input(call: Any, error: type[Exception], message: str) -> None:
    result = nextstat.fit(SMALL)
    with pytest.raises(error, match=message):
        call(result)


def test_what_did_not_converge_has_no_interval() -> None:
    twins = [
        {"name": f"s{k}", "data": [5.0], "modifiers": [normfactor(name)]}
        for k, name in enumerate(("mu", "twin"))
    ]
    model = nextstat.from_pyhf(one_channel(twins, [10.0]))
    with pytest.warns(FitWarning):
        result = nextstat.fit(model)
    with pytest.raises(FitError, match="singular"):
        nextstat.interval(result)
    with pytest.raises(FitError, match="singular"):
        nextstat.yields(model, result)
    with pytest.raises(FitError, match="singular"):
        nextstat.interpret.pulls(result)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda r: nextstat.interval(SMALL), "expected a FitResult, found a HistFactoryModel; fit"),
        (lambda r: nextstat.contour(SMALL, "mu", "lumi"), "expected a FitResult"),
        (lambda r: nextstat.interpret.pulls(SMALL), "expected a FitResult"),
        (lambda r: nextstat.yields(SMALL, 5), "expected a FitResult, found a int"),
        (lambda r: nextstat.yields(r), "found a FitResult; its model is result.model"),
        (lambda r: nextstat.scan(r), "expected a HistFactoryModel, found a FitResult"),
        (lambda r: nextstat.goodness_of_fit(r), "expected a HistFactoryModel"),
        (lambda r: nextstat.fit("m.json"), "found a str; make one with from_pyhf"),
        (lambda r: nextstat.interpret.rank_impact(r), "expected a HistFactoryModel"),
        (lambda r: SMALL.nll(r), "params is a FitResult, .*; pass its values"),
        (lambda r: SMALL.expected_data({"mu": 1.0}), "params is a dict"),
        (lambda r: nextstat.fit_toys(SMALL, 2, n_jobs=1.5), "n_jobs is 1.5"),
        (lambda r: nextstat.fit(SMALL, fixed=3), "fixed is 3"),
        (lambda r: nextstat.fit(SMALL, n_starts="3"), "n_starts is '3'"),
        (lambda r: nextstat.upper_limit(SMALL, "0.95"), "level is '0.95'"),
        (lambda r: nextstat.contour(r, "mu", "lumi", levels=0.68), "levels is 0.68"),
        (lambda r: nextstat.interpret.uncertainty_breakdown(SMALL, "jets"), "groups is 'jets'"),
        (lambda r: nextstat.set_num_threads(2.5), "n is 2.5"),
    ],
)
def test_wrong_types(call: Any, message: str) -> None:
    result = nextstat.fit(SMALL)
    with pytest.raises(TypeError, match=message):
        call(result)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: nextstat.fit(SMALL, bounds={"mu": 3}), "bounds of 'mu' are 3"),
        (lambda: nextstat.fit(SMALL, bounds={"mu": (0, 1, 2)}), "expected \\(lower, upper\\)"),
        (
            lambda: nextstat.fit(
                SMALL, np.concatenate([SMALL.data, SMALL.auxdata]), auxdata=SMALL.auxdata
            ),
            "given twice",
        ),
        (lambda: nextstat.significance(SMALL, poi="lumi"), "outside the bounds"),
        (lambda: nextstat.upper_limit(SMALL, poi="lumi"), "background-only hypothesis is 0"),
        (
            lambda: nextstat.hypotest(SMALL, 1.02, poi="lumi"),
            "alternative hypothesis is 0, outside",
        ),
        (lambda: nextstat.toy_data(SMALL, 10**12), "less than"),
        (lambda: nextstat.fit_batch(SMALL, [SMALL.data, SMALL.data[:2]]), "equal length"),
    ],
)
def test_wrong_values(call: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call()
