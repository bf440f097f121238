"""Tests and limits against pyhf and closed forms."""

from __future__ import annotations

import math
import warnings
from typing import Any

import numpy as np
import pyhf
import pytest
from channels import counting, normfactor, one_channel
from hypothesis import given, settings
from random_workspaces import seeds
from scipy.special import ndtr

import nextstat
from nextstat import FitError, FitWarning
from nextstat.datasets import make_workspace


def simple(seed: int) -> dict[str, Any]:
    """A workspace whose fits pyhf gets right too."""
    return nextstat.datasets.make_workspace(
        n_channels=2, n_bins=3, n_systematics=4, n_samples=3, random_state=seed
    )


@pytest.fixture
def _minuit() -> Any:
    pyhf.set_backend("numpy", pyhf.optimize.minuit_optimizer(tolerance=1e-4, strategy=2))
    yield
    pyhf.set_backend("numpy")


@pytest.mark.usefixtures("_minuit")
@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("mu", [0.5, 1.0, 2.0])
def test_exclusion_matches_pyhf(seed: int, mu: float) -> None:
    workspace = simple(seed)
    test = nextstat.hypotest(nextstat.from_pyhf(workspace), mu)
    reference = pyhf.Workspace(workspace)
    model = reference.model()
    cls, tails, expected = pyhf.infer.hypotest(
        mu, reference.data(model), model, return_tail_probs=True, return_expected_set=True
    )
    assert test.test_stat == "qtilde"
    assert test.cls == pytest.approx(float(cls), abs=2e-4)
    assert (test.clsb, test.clb) == pytest.approx([float(t) for t in tails], abs=2e-4)
    np.testing.assert_allclose(test.expected, np.array(expected, dtype=float), atol=2e-4)
    assert test.cls == pytest.approx(test.clsb / test.clb)
    assert test.pvalue == test.clsb


@pytest.mark.usefixtures("_minuit")
@pytest.mark.parametrize("seed", range(6))
def test_discovery_matches_pyhf(seed: int) -> None:
    workspace = simple(seed)
    model = nextstat.from_pyhf(workspace)
    test = nextstat.hypotest(model, 0.0)
    reference = pyhf.Workspace(workspace)
    pdf = reference.model()
    p0, expected = pyhf.infer.hypotest(
        0.0, reference.data(pdf), pdf, test_stat="q0", return_expected_set=True
    )
    assert test.pvalue == pytest.approx(float(p0), abs=1e-4)
    np.testing.assert_allclose(test.expected, np.array(expected, dtype=float), atol=1e-4)
    assert test.significance == nextstat.significance(model) == math.sqrt(test.test_statistic)
    median = nextstat.significance(model, expected=True)
    assert ndtr(-median) == pytest.approx(test.expected[2], rel=1e-9)


@pytest.mark.usefixtures("_minuit")
def test_q_matches_pyhf() -> None:
    """q lets mu be negative: the lower bound is widened."""
    workspace = counting(signal=10.0, background=50.0, observed=44.0)
    test = nextstat.hypotest(nextstat.from_pyhf(workspace), 1.0, test_stat="q")
    reference = pyhf.Workspace(workspace)
    model = reference.model()
    bounds = model.config.suggested_bounds()
    bounds[model.config.poi_index] = (-10.0, 10.0)
    cls = pyhf.infer.hypotest(1.0, reference.data(model), model, test_stat="q", par_bounds=bounds)
    assert test.muhat == pytest.approx(-0.6, abs=1e-4)
    assert test.cls == pytest.approx(float(cls), abs=1e-4)


def test_counting_experiment_in_closed_form() -> None:
    """Known background: q0 = 2 [n ln(n/b) - (n - b)], and no nuisance parameters."""
    workspace = counting(signal=10.0, background=50.0, observed=68.0)
    workspace["channels"][0]["samples"][1]["modifiers"] = []
    model = nextstat.from_pyhf(workspace)
    q0 = 2 * (68 * math.log(68 / 50) - 18)
    assert nextstat.hypotest(model, 0.0).test_statistic == pytest.approx(q0, rel=1e-9)
    expected = math.sqrt(2 * (60 * math.log(60 / 50) - 10))
    assert nextstat.significance(model, expected=True) == pytest.approx(expected, rel=1e-9)
    test = nextstat.hypotest(model, 3.0)
    assert test.muhat == pytest.approx(1.8, abs=1e-5)
    q = 2 * (80 - 68 - 68 * math.log(80 / 68))
    q_asimov = 2 * (80 - 50 - 50 * math.log(80 / 50))
    assert test.test_statistic == pytest.approx(q, rel=1e-6)
    assert test.asimov_test_statistic == pytest.approx(q_asimov, rel=1e-9)
    assert test.clsb == pytest.approx(ndtr(-math.sqrt(q)), rel=1e-6)
    clb = ndtr(math.sqrt(q_asimov) - math.sqrt(q))
    assert test.clb == pytest.approx(clb, rel=1e-6)


def test_one_sided_statistics_are_zero_on_the_other_side() -> None:
    model = nextstat.from_pyhf(counting(signal=10.0, background=50.0, observed=75.0))
    assert nextstat.hypotest(model, 1.0).test_statistic == 0.0
    assert nextstat.hypotest(model, 1.0).clsb == 0.5
    model = nextstat.from_pyhf(counting(signal=10.0, background=50.0, observed=40.0))
    assert nextstat.hypotest(model, 0.0).test_statistic == 0.0
    assert nextstat.significance(model) == 0.0


def test_excluded_outright() -> None:
    """Events in a bin where only the signal contributes: mu = 0 is impossible."""
    signal = {"name": "signal", "data": [5.0, 5.0], "modifiers": [normfactor("mu")]}
    background = {"name": "background", "data": [0.0, 20.0], "modifiers": []}
    model = nextstat.from_pyhf(one_channel([signal, background], [3.0, 22.0]))
    infinite = "the test statistic is infinite: there are events in bin 0 of channel 'channel'"
    with pytest.warns(FitWarning, match=infinite):
        assert nextstat.significance(model) == math.inf
    with pytest.warns(FitWarning, match=infinite):
        discovery = nextstat.hypotest(model, 0.0)
    assert (discovery.test_statistic, discovery.pvalue) == (math.inf, 0.0)
    with pytest.warns(FitWarning, match="excluded outright"):
        test = nextstat.hypotest(model, 1.0)
    assert 0.0 < test.cls < 1.0


@pytest.mark.usefixtures("_minuit")
@pytest.mark.parametrize("seed", [1, 4])
def test_limit_matches_pyhf(seed: int) -> None:
    """At our limits, pyhf's CLs is 0.05."""
    workspace = simple(seed)
    limit = nextstat.upper_limit(nextstat.from_pyhf(workspace))
    reference = pyhf.Workspace(workspace)
    model = reference.model()
    for k, mu in ((None, limit.observed), (2, limit.expected[2]), (4, limit.expected[4])):
        cls, expected = pyhf.infer.hypotest(
            mu, reference.data(model), model, return_expected_set=True
        )
        assert float(cls if k is None else expected[k]) == pytest.approx(0.05, abs=2e-4)
    assert limit.message == ""


@given(seed=seeds)
@settings(max_examples=40, deadline=None)
def test_limit_is_where_cls_crosses(seed: int) -> None:
    model = nextstat.from_pyhf(simple(seed))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FitWarning)
        try:
            limit = nextstat.upper_limit(model, 0.9)
        except FitError:
            return
        test = nextstat.hypotest(model, limit.observed)
        assert test.cls == pytest.approx(0.1, abs=1e-5)
        assert (np.diff(limit.expected) > 0).all()
        for k, band in enumerate(limit.expected):
            assert nextstat.hypotest(model, float(band)).expected[k] == pytest.approx(0.1, abs=1e-5)


def test_one_warning_for_one_cause() -> None:
    """Of all the fits of a limit, a test or a scan, none determines two factors of one sample."""
    spec = counting(signal=10.0, background=50.0, observed=52.0)
    spec["channels"][0]["samples"][1]["modifiers"] += [normfactor("a"), normfactor("b")]
    control = {"name": "control", "samples": [{**spec["channels"][0]["samples"][1]}]}
    spec["channels"].append(control)
    spec["observations"].append({"name": "control", "data": [51.0]})
    model = nextstat.from_pyhf(spec)
    calls: list[Any] = [
        nextstat.upper_limit,
        nextstat.hypotest,
        nextstat.significance,
        lambda m: nextstat.cls_scan(m, [1.0, 2.0]),
    ]
    for call in calls * 2:  # and again in the next call
        with pytest.warns(FitWarning) as told:
            call(model)
        messages = [str(warning.message) for warning in told]
        assert len(messages) == 1, messages
        assert "the data do not determine 'a', 'b' in the global fit" in messages[0]


def test_limit_beyond_the_bound() -> None:
    model = nextstat.from_pyhf(counting(signal=0.1, background=50.0, observed=60.0))
    with pytest.warns(FitWarning) as told:
        limit = nextstat.upper_limit(model)
    (message,) = (str(warning.message) for warning in told)  # one cause, one warning
    assert "the fit reaches mu=100, beyond the bounds [0, 10]" in message
    assert limit.observed > 10.0
    assert "widened" in limit.message
    strong = nextstat.upper_limit(
        nextstat.from_pyhf(counting(signal=10.0, background=50.0, observed=60.0))
    )
    assert strong.observed == pytest.approx(limit.observed / 100.0, rel=1e-4)


def test_any_parameter_of_interest() -> None:
    workspace = simple(2)
    model = nextstat.from_pyhf(workspace)
    name = next(n for n in model.parameter_names if n.startswith("norm_"))
    other = nextstat.from_pyhf(workspace, poi=name)
    assert nextstat.hypotest(model, 1.2, poi=name).cls == nextstat.hypotest(other, 1.2).cls
    assert nextstat.upper_limit(model, poi=name).observed == nextstat.upper_limit(other).observed


def test_asimov_data() -> None:
    model = nextstat.from_pyhf(simple(1))
    nominal = nextstat.asimov_data(model, 0.0, nuisances="nominal")
    params = model.init.copy()
    params[model.parameters.index("mu")] = 0.0
    np.testing.assert_array_equal(nominal, model.expected_data(params))
    fitted = nextstat.asimov_data(model, 1.0)
    result = nextstat.fit(model, fitted)
    conditional = nextstat.fit(model, fixed={"mu": 1.0})
    np.testing.assert_allclose(result.values, conditional.values, atol=1e-4)
    assert nextstat.hypotest(model, 0.0, data=fitted).significance == pytest.approx(
        nextstat.significance(model, expected=True), rel=1e-6
    )


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda m: nextstat.hypotest(m, math.nan), ValueError, "mu is nan"),
        (lambda m: nextstat.hypotest(m, 1.0, test_stat="q0"), ValueError, "does not apply"),
        (lambda m: nextstat.hypotest(m, 0.0, test_stat="ttilde"), ValueError, "does not apply"),
        (lambda m: nextstat.hypotest(m, 1.0, test_stat="x"), ValueError, "one of \\['q0'"),
        (lambda m: nextstat.hypotest(m, 1.0, calculator="x"), ValueError, "calculator is 'x'"),
        (lambda m: nextstat.hypotest(m, 1.0, poi="nu"), KeyError, "unknown parameter 'nu'"),
        (lambda m: nextstat.hypotest(m, 1.0, fixed=["mu"]), ValueError, "'mu' is fixed"),
        (lambda m: nextstat.upper_limit(m, 0.0), ValueError, "between 0 and 1"),
        (lambda m: nextstat.upper_limit(m, 95), ValueError, "between 0 and 1"),
        (lambda m: nextstat.asimov_data(m, nuisances="x"), ValueError, "nuisances is 'x'"),
    ],
)
def test_bad_options(call: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        call(nextstat.from_pyhf(simple(1)))


def test_without_parameter_of_interest() -> None:
    workspace = simple(1)
    for channel in workspace["channels"]:
        channel["samples"] = [s for s in channel["samples"] if s["name"] != "signal"]
    model = nextstat.from_pyhf(workspace)
    assert model.poi is None
    assert nextstat.fit(model).converged
    for call in (nextstat.hypotest, nextstat.significance, nextstat.upper_limit):
        with pytest.raises(ValueError, match="no parameter of interest; pass poi="):
            call(model)


def test_no_limit_without_signal() -> None:
    model = nextstat.from_pyhf(counting(signal=0.0, background=50.0, observed=50.0))
    with (
        pytest.warns(FitWarning, match="do not determine 'mu'"),
        pytest.warns(FitWarning, match="no value of 'mu' is excluded"),
    ):
        limit = nextstat.upper_limit(model)
    assert limit.observed == math.inf
    assert (limit.expected == math.inf).all()
    with pytest.warns(FitWarning, match="do not determine 'mu'"):
        assert nextstat.hypotest(model, 1.0).cls == pytest.approx(1.0)
    with pytest.warns(FitWarning, match="do not determine 'mu'"):
        assert nextstat.significance(model) == pytest.approx(0.0, abs=1e-6)


def test_qtilde_excludes_nothing_at_zero() -> None:
    model = nextstat.from_pyhf(counting(signal=10.0, background=50.0, observed=60.0))
    assert nextstat.hypotest(model, 0.0, test_stat="qtilde").cls == pytest.approx(1.0)
    assert nextstat.cls_scan(model, [0.0, 1.0]).observed[0] == pytest.approx(1.0)


def test_a_level_that_looks_like_its_complement() -> None:
    model = nextstat.from_pyhf(make_workspace(random_state=0))
    with pytest.warns(FitWarning, match=r"level=0.05 is the confidence level .* mean 0.95\?"):
        low = nextstat.upper_limit(model, level=0.05, expected=False)
    assert low.observed < nextstat.upper_limit(model, expected=False).observed
