"""Toys: reproducibility, batches of fits, tests against exact sums and pyhf."""

from __future__ import annotations

import _thread
import signal
import threading
import warnings
from typing import Any

import numpy as np
import pyhf
import pytest
from channels import counting, counting_model, normfactor, one_channel
from hypothesis import given, settings
from random_workspaces import random_workspace, seeds
from scipy import stats
from scipy.optimize import brentq

import nextstat
from nextstat import FitError, FitWarning, HistFactoryModel, _core

SMALL = nextstat.from_pyhf(
    nextstat.datasets.make_workspace(n_channels=2, n_bins=3, n_systematics=4, random_state=5)
)


def test_seeds_streams_and_threads() -> None:
    a = nextstat.toy_data(SMALL, 300, seed=1)
    assert np.array_equal(a, nextstat.toy_data(SMALL, 300, seed=1))
    assert np.array_equal(a[:100], nextstat.toy_data(SMALL, 100, seed=1))
    b = nextstat.toy_data(SMALL, 300, seed=2)
    assert not set(map(bytes, a)) & set(map(bytes, b))
    one = nextstat.fit_toys(SMALL, 300, seed=1, n_jobs=1)
    three = nextstat.fit_toys(SMALL, 300, seed=1, n_jobs=3)
    assert np.array_equal(one.values, three.values)
    assert np.array_equal(one.nll, three.nll)
    drawn = nextstat.fit_toys(SMALL, 3)
    assert np.array_equal(nextstat.fit_toys(SMALL, 3, seed=drawn.seed).values, drawn.values)
    assert nextstat.fit_toys(SMALL, 3).seed != drawn.seed


# Batches ------------------------------------------------------------------------------------------


@given(seed=seeds)
@settings(max_examples=20, deadline=None)
def test_batch_equals_single_fits(seed: int) -> None:
    model = nextstat.from_pyhf(random_workspace(seed))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FitWarning)
        toys = nextstat.toy_data(model, 8, params=model.init, seed=seed)
        batch = nextstat.fit_batch(model, toys)
        singles = [nextstat.fit(model, row) for row in toys]
    for k, single in enumerate(singles):
        if not (single.converged and batch.converged[k]):
            continue
        # from another start, at worst another minimum: then it must be one
        again = nextstat.fit(model, toys[k], init=batch.values[k])
        assert again.nll == pytest.approx(batch.nll[k], abs=1e-7)
        if single.nll == pytest.approx(batch.nll[k], abs=1e-7):
            np.testing.assert_allclose(
                batch.errors[k], again.errors, rtol=1e-3, atol=1e-6, equal_nan=True
            )


def test_bad_rows_do_not_kill_the_batch() -> None:
    rows = np.tile(np.concatenate([SMALL.data, SMALL.auxdata]), (4, 1))
    rows[1, 0] = np.nan
    rows[2, 0] = -1.0
    with pytest.warns(FitWarning, match="2 of 4 fits did not converge"):
        batch = nextstat.fit_batch(SMALL, rows)
    assert batch.status.tolist() == ["converged", "bad_data", "bad_data", "converged"]
    assert batch.converged.tolist() == [True, False, False, True]
    assert np.isnan(batch.values[1]).all()
    single = nextstat.fit(SMALL)
    assert batch.mu[0] == pytest.approx(single.mu, abs=1e-6)
    assert batch["mu"][3] == batch.mu[3]
    assert batch.errors[0] == pytest.approx(single.errors, rel=1e-5)
    assert batch.deviance[0] == pytest.approx(nextstat.goodness_of_fit(SMALL).statistic, abs=1e-7)
    frame = batch.to_dataframe()
    assert frame.shape == (4, 5 + len(SMALL.parameters))
    assert frame["mu"][0] == batch.mu[0]


def test_batch_with_auxdata() -> None:
    events = np.stack([SMALL.data, SMALL.data + 1.0])
    shifted = SMALL.auxdata * 1.01
    for aux in (shifted, np.stack([shifted, shifted])):
        batch = nextstat.fit_batch(SMALL, events, auxdata=aux)
        single = nextstat.fit(SMALL, events[1], auxdata=shifted)
        assert batch.mu[1] == pytest.approx(single.mu, abs=1e-6)
    held = nextstat.fit_batch(SMALL, events, fixed={"mu": 0.5}, init={"mu": 0.5})
    assert held.mu.tolist() == [0.5, 0.5]
    assert np.isnan(held.errors[:, SMALL.parameters.index("mu")]).all()


def interrupted(call: Any, after: float) -> Any:
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # may be ignored
    timer = threading.Timer(after, _thread.interrupt_main)
    timer.start()
    try:
        return call()
    finally:
        timer.cancel()
        timer.join()
        signal.signal(signal.SIGINT, before)


def test_interrupted_work_is_kept() -> None:
    with pytest.warns(FitWarning, match="interrupted after"):
        batch = interrupted(lambda: nextstat.fit_toys(SMALL, 10**6, seed=1, n_jobs=1), 0.5)
    assert 0 < len(batch) < 10**6
    same = nextstat.fit_toys(SMALL, len(batch), seed=1)
    assert np.array_equal(batch.values, same.values)
    with pytest.warns(FitWarning, match="interrupted after"):
        test = interrupted(
            lambda: nextstat.hypotest(SMALL, 2.0, calculator="toys", n_toys=10**6, seed=1), 1.5
        )
    assert test.toys is not None
    assert 0 < len(test.toys.tested) < 10**6
    assert test.cls_error > 0.0


def test_an_interrupted_limit_is_no_limit() -> None:
    with pytest.raises(KeyboardInterrupt):
        interrupted(lambda: nextstat.upper_limit(SMALL, calculator="toys", n_toys=10**6), 0.5)


# Tests --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("observed", [3.0, 7.0, 12.0])
def test_counting_experiment_is_exact(observed: float) -> None:
    """Without nuisance parameters the statistic orders data as the count does."""
    signal, background = 5.0, 6.0
    model = counting_model(signal, background, observed)
    test = nextstat.hypotest(model, 1.0, calculator="toys", n_toys=20_000, seed=3)
    clsb = stats.poisson.cdf(observed, signal + background)
    clb = stats.poisson.cdf(observed, background)
    if observed >= signal + background:  # the statistic is 0 there and beyond
        clsb = clb = 1.0
    assert test.clsb == pytest.approx(clsb, abs=4 * test.pvalue_error + 1e-9)
    assert test.clb == pytest.approx(clb, abs=0.015)
    assert test.cls == pytest.approx(clsb / clb, abs=4 * test.cls_error + 1e-9)
    assert test.cls == test.clsb / test.clb
    # bands: counts at the quantiles of the background
    quantiles = stats.poisson.ppf(stats.norm.cdf([-1, 0]), background)
    for expected, n in zip(test.expected[1:3], quantiles, strict=True):
        exact = stats.poisson.cdf(n, signal + background) / stats.poisson.cdf(n, background)
        assert expected == pytest.approx(exact, rel=0.1)

    discovery = nextstat.hypotest(model, 0.0, calculator="toys", n_toys=20_000, seed=4)
    p0 = stats.poisson.sf(observed - 1, background) if observed > background else 1.0
    assert discovery.pvalue == pytest.approx(p0, abs=4 * discovery.pvalue_error + 1e-9)
    assert discovery.significance == pytest.approx(max(-stats.norm.ppf(discovery.pvalue), 0.0))
    assert np.isnan(discovery.cls)


def test_matches_pyhf_toys(published: Any) -> None:
    """pyhf 0.7.6 with 10,000 toys at mu = 1: 0.390 +/- 0.023 with its default 2,000."""
    model = nextstat.from_pyhf(published / "2bin.json")
    test = nextstat.hypotest(model, 1.0, calculator="toys", n_toys=20_000, seed=1)
    assert abs(test.cls - 0.390) < 3 * np.hypot(0.023, test.cls_error)


def test_matches_pyhf_toy_for_toy() -> None:
    """Both packages' statistics of the same toys."""
    workspace = counting(signal=10.0, background=50.0, observed=44.0)
    model = nextstat.from_pyhf(workspace)
    reference = pyhf.Workspace(workspace)
    pdf = reference.model()
    truth = nextstat.fit(model, fixed={"mu": 1.0}).values
    toys = nextstat.toy_data(model, 40, params=truth, seed=8)
    expected = [
        float(
            pyhf.infer.test_statistics.qmu_tilde(
                1.0, row, pdf, pdf.config.suggested_init(), [[0, 10], [-5, 5]], [False, False]
            )
        )
        for row in toys
    ]
    ours = [nextstat.hypotest(model, 1.0, data=row).test_statistic for row in toys]
    np.testing.assert_allclose(ours, expected, atol=1e-4)
    in_batch = _core.test_toys(
        model._core, truth, 8, 0, (0, 40), make_core_problem(model, truth), model.init, 0, 1.0, 1, 1
    )
    assert pdf.config.par_names[0] == model.parameter_names[0] == "mu"
    np.testing.assert_allclose(in_batch[0], ours, atol=1e-6)
    assert not in_batch[2].any()


def make_core_problem(model: HistFactoryModel, start: np.ndarray) -> _core.FitProblem:
    from nextstat._fits.settings import make_problem

    return make_problem(model).start(start).core()


@pytest.mark.parametrize("test_stat", ["q", "qtilde", "t", "ttilde"])
def test_agrees_with_asymptotics_at_high_counts(test_stat: Any) -> None:
    workspace = counting(signal=400.0, background=9000.0, observed=9250.0)
    model = nextstat.from_pyhf(workspace)
    wide = {"mu": (0.0, 20.0)}
    toys = nextstat.hypotest(
        model, 4.0, test_stat=test_stat, calculator="toys", n_toys=4000, seed=2, bounds=wide
    )
    exact = nextstat.hypotest(model, 4.0, test_stat=test_stat, bounds=wide)
    assert toys.test_statistic == pytest.approx(exact.test_statistic)
    assert toys.pvalue == pytest.approx(exact.pvalue, abs=4 * toys.pvalue_error + 0.01)
    assert toys.clb == pytest.approx(exact.clb, abs=0.04)
    if test_stat in ("q", "qtilde"):
        assert toys.cls == pytest.approx(exact.cls, abs=4 * toys.cls_error + 0.01)
        np.testing.assert_allclose(toys.expected[1:3], exact.expected[1:3], atol=0.02)
    else:
        assert np.isnan(toys.cls)
        assert np.isnan(exact.cls)
        np.testing.assert_allclose(toys.expected, exact.expected, atol=0.04)


def test_two_sided_significance() -> None:
    model = nextstat.from_pyhf(counting(signal=400.0, background=9000.0, observed=9250.0))
    test = nextstat.hypotest(model, 4.0, test_stat="t")
    assert test.significance == pytest.approx(np.sqrt(test.test_statistic))
    assert test.pvalue == pytest.approx(2 * stats.norm.sf(test.significance))
    zero = nextstat.hypotest(model, 0.0, test_stat="t")
    q0 = nextstat.hypotest(model, 0.0)
    assert zero.test_statistic == pytest.approx(q0.test_statistic)
    assert zero.pvalue == pytest.approx(2 * q0.pvalue)


def test_stops_when_precise_enough() -> None:
    model = counting_model(5.0, 6.0, 7.0)
    test = nextstat.hypotest(model, 1.0, calculator="toys", n_toys=100_000, seed=1, precision=0.02)
    assert test.toys is not None
    assert test.cls_error < 0.02
    assert len(test.toys.tested) % 256 == 0
    assert len(test.toys.tested) < 5_000
    summary = test.to_dict()
    assert summary["n_toys"] == len(test.toys.tested)
    assert summary["seed"] == 1
    assert summary["n_failed"] == 0


def test_events_where_none_are_expected() -> None:
    """mu = 0 lets no event be: data with events exclude it outright, by toys too."""
    model = counting_model(5.0, 0.0, 3.0)
    outright = pytest.warns(FitWarning, match="excluded outright")
    with pytest.warns(FitWarning, match="is infinite"), outright:
        test = nextstat.hypotest(model, 0.0, calculator="toys", n_toys=300, seed=1)
    assert test.test_statistic == np.inf
    assert test.pvalue == 0.0


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: nextstat.fit_toys(SMALL, 0), ValueError, "n_toys is 0"),
        (lambda: nextstat.fit_toys(SMALL, 1.5), TypeError, "n_toys is 1.5"),
        (lambda: nextstat.fit_toys(SMALL, 5, seed="x"), TypeError, "seed is 'x'"),
        (lambda: nextstat.fit_toys(SMALL, 5, seed=True), TypeError, "seed is True"),
        (lambda: nextstat.fit_toys(SMALL, 5, seed=-1), ValueError, "seed is -1"),
        (lambda: nextstat.fit_toys(SMALL, 5, seed=2**64), ValueError, "2\\*\\*64"),
        (lambda: nextstat.fit_toys(SMALL, 5, params=[1.0]), ValueError, "params has shape"),
        (lambda: nextstat.fit_toys(SMALL, 5, params=SMALL.init * np.nan), ValueError, "not finite"),
        (lambda: nextstat.fit_toys(SMALL, 5, n_jobs=0), ValueError, "n_jobs is 0"),
        (lambda: nextstat.fit_batch(SMALL, SMALL.data), ValueError, "data has shape"),
        (lambda: nextstat.fit_batch(SMALL, []), ValueError, "no rows"),
        (
            lambda: nextstat.fit_batch(SMALL, [SMALL.data], auxdata=[1.0]),
            ValueError,
            "auxdata has shape",
        ),
        (
            lambda: nextstat.hypotest(SMALL, 1.0, calculator="toys", n_toys=0),
            ValueError,
            "n_toys is 0",
        ),
        (
            lambda: nextstat.hypotest(SMALL, 1.0, calculator="toys", precision=0.0),
            ValueError,
            "precision is 0.0",
        ),
        (
            lambda: nextstat.hypotest(SMALL, 99.0, bounds={"mu": (0.0, 10.0)}),
            ValueError,
            "outside the bounds",
        ),
        (lambda: nextstat.fit_toys(SMALL, 2, seed=1)["nu"], KeyError, "unknown parameter 'nu'"),
    ],
)
def test_bad_options(call: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        call()


# Limits -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("observed", [3, 7, 12])
def test_limit_by_toys_is_exact_on_average(observed: int) -> None:
    """Counting: CLs is a ratio of sums of Poisson probabilities."""
    signal, background = 5.0, 6.0
    model = counting_model(signal, background, float(observed))
    limits = [
        nextstat.upper_limit(model, calculator="toys", n_toys=4000, seed=k, expected=False)
        for k in range(6)
    ]

    def excess(mu: float) -> float:
        clsb = stats.poisson.cdf(observed, background + signal * mu)
        return float(clsb / stats.poisson.cdf(observed, background) - 0.05)

    exact = brentq(excess, 0.1, 10.0)
    found = np.array([limit.observed for limit in limits])
    assert found.mean() == pytest.approx(exact, abs=0.005 + 3 * found.std() / np.sqrt(5))
    assert found.std() < 0.05 * exact
    assert [limit.seed for limit in limits] == list(range(6))
    assert np.isnan(limits[0].expected).all()


def test_expected_limits_by_toys() -> None:
    model = nextstat.from_pyhf(counting(signal=400.0, background=9000.0, observed=9050.0))
    toys = nextstat.upper_limit(model, calculator="toys", n_toys=2000, seed=3)
    exact = nextstat.upper_limit(model)
    assert toys.observed == pytest.approx(exact.observed, rel=0.06)
    np.testing.assert_allclose(toys.expected[1:4], exact.expected[1:4], rtol=0.08)
    with pytest.raises(ValueError, match="calculator is 'x'"):
        nextstat.upper_limit(model, calculator="x")  # type: ignore[arg-type]


def test_observed_limit_alone() -> None:
    alone = nextstat.upper_limit(SMALL, expected=False)
    assert np.isnan(alone.expected).all()
    assert alone.observed == pytest.approx(nextstat.upper_limit(SMALL).observed, rel=1e-6)


# Rare toys ----------------------------------------------------------------------------------------


def test_deficit_that_no_toy_shows() -> None:
    model = counting_model(10.0, 50.0, 20.0)
    with pytest.warns(FitWarning, match="CLb is 0 and CLs not defined"):
        test = nextstat.hypotest(model, 1.0, calculator="toys", n_toys=300, seed=1)
    assert test.clb == 0.0
    assert np.isnan(test.cls)
    assert np.isnan(test.cls_error)
    with (
        pytest.warns(FitWarning, match="CLb is 0"),
        pytest.raises(FitError, match="throw more"),
    ):
        nextstat.upper_limit(model, calculator="toys", n_toys=100, seed=1)


def test_no_toys_beyond_the_data_are_no_certainty() -> None:
    """A share of 0 has an error of 1 / n; asked for precision, the toys go on."""
    model = counting_model(10.0, 50.0, 52.0)
    test = nextstat.hypotest(model, 3.4, calculator="toys", n_toys=40_000, seed=1, precision=2e-4)
    assert test.toys is not None
    assert len(test.toys.tested) > 5_000
    assert 0.0 < test.cls_error < 2e-4
    exact = stats.poisson.cdf(52, 84.0) / stats.poisson.cdf(52, 50.0)
    assert test.cls == pytest.approx(exact, abs=4 * test.cls_error)


def test_flat_minima_count() -> None:
    """Without events q has no unique minimum at negative mu, yet its value is known."""
    scale = {"name": "k", "type": "normsys", "data": {"hi": 1.1, "lo": 0.9}}
    samples = [
        {"name": "signal", "data": [3.0], "modifiers": [normfactor("mu")]},
        {"name": "background", "data": [2.0], "modifiers": [scale]},
    ]
    model = nextstat.from_pyhf(one_channel(samples, [2.0]))
    test = nextstat.hypotest(model, 1.0, test_stat="q", calculator="toys", n_toys=20_000, seed=2)
    assert test.n_failed == 0
    tilde = nextstat.hypotest(model, 1.0, calculator="toys", n_toys=20_000, seed=2)
    assert test.cls == pytest.approx(tilde.cls, abs=4 * test.cls_error)


def test_few_toys_say_so() -> None:
    with pytest.warns(FitWarning, match="few toys decide"):
        nextstat.upper_limit(SMALL, 0.99, calculator="toys", n_toys=100, seed=1, expected=False)
