"""Fits: the right minimum, an honest status, errors, and options."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest
from channels import counting, normfactor, normsys, one_channel
from hypothesis import given, settings
from iminuit import Minuit
from random_workspaces import random_parameters, random_workspace, seeds

import nextstat
from nextstat import FitResult, FitWarning, HistFactoryModel

CODES = [("code4", "code4p"), ("code1", "code0"), ("code4", "code2"), ("code1", "code4p")]


def quiet_fit(model: HistFactoryModel, **options: Any) -> FitResult:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FitWarning)
        return nextstat.fit(model, **options)


def falls_along(model: HistFactoryModel, start: np.ndarray, end: np.ndarray) -> bool:
    """Whether the nll never rises, beyond rounding, on the straight way from start to end."""
    path = start + np.linspace(0.0, 1.0, 400)[:, None] * (end - start)
    return bool(np.max([model.nll(x) for x in path]) <= model.nll(start) + 1e-9)


def assert_minimum(model: HistFactoryModel, result: FitResult) -> None:
    """A converged result is stationary and its Hessian positive definite, by independent means.

    Each coordinate is moved by a thousandth of its error to both sides; within the bounds, and
    without crossing a kink from one side, the nll must not fall by more than the square of that.
    """
    low, high = model.bounds.T
    free = ~(result.held | model.fixed)
    hessian = model.nll_hessian(result.values)[np.ix_(free, free)]
    if free.any() and not result.minimum.at_edge:
        root = np.sqrt(np.diag(hessian))
        assert np.linalg.eigvalsh(hessian / np.outer(root, root))[0] > 0
    errors = np.where(np.isnan(result.errors), 0.1, result.errors)
    for i in np.flatnonzero(~model.fixed):
        for side in (-1e-3, 1e-3):
            moved = result.values.copy()
            moved[i] = np.clip(moved[i] + side * errors[i], low[i], high[i])
            if moved[i] * result.values[i] < 0 and model._codes != (4, 4):
                continue
            assert model.nll(moved) >= result.nll - 1e-7, model.parameter_names[i]


@pytest.mark.parametrize("block", range(8))
def test_two_thousand_random_fits(block: int) -> None:
    """No fit claims a non-stationary point, or one with a lower point downhill of it."""
    converged = singular = 0
    for seed in range(250 * block, 250 * (block + 1)):
        workspace = random_workspace(seed, tension=(0.5, 1.0, 3.0, 6.0)[seed % 4])
        model = nextstat.from_pyhf(workspace, interpolation=CODES[(seed // 4) % 4])
        result = quiet_fit(model)
        if result.status == "singular":
            singular += 1
            assert np.isnan(result.errors).all()
            continue
        if not result.converged:
            continue
        converged += 1
        assert 0 <= result.edm < 1e-8
        assert_minimum(model, result)
        if model._codes[0] == 1:
            continue  # kinks make basins everywhere
        starts = [random_parameters(model, 7 * seed + k, 2.0) for k in range(3)]
        for start in starts:
            other = quiet_fit(model, init=np.where(model.fixed, model.init, start))
            if other.converged and other.nll < result.nll - 1e-6:
                assert not falls_along(model, result.values, other.values)
    assert converged > 215
    assert converged + singular >= 248


@given(seed=seeds)
@settings(max_examples=25, deadline=None)
def test_matches_minuit(seed: int) -> None:
    model = nextstat.from_pyhf(random_workspace(seed))
    result = quiet_fit(model)
    if not result.converged:
        return
    minuit = Minuit(model.nll, result.values, grad=model.nll_gradient, name=model.parameter_names)
    minuit.errordef = Minuit.LIKELIHOOD
    minuit.limits = [tuple(b) for b in model.bounds]
    minuit.fixed = list(model.fixed)
    minuit.strategy = 2
    minuit.tol = 1e-3
    minuit.migrad()
    assert result.nll <= minuit.fval + 1e-6
    free = ~result.held
    inside = free & (result.values - 4 * result.errors > model.bounds[:, 0])
    smooth = not result.minimum.at_edge
    if smooth and minuit.valid and minuit.accurate and inside[free].all():
        minuit.fixed = list(result.held)
        minuit.hesse()
        if not minuit.accurate:
            return
        # Minuit's Hessian is numerical
        np.testing.assert_allclose(np.array(minuit.errors)[free], result.errors[free], rtol=0.03)


def test_covariance_is_the_inverse_hessian() -> None:
    model = nextstat.from_pyhf(nextstat.datasets.make_workspace(random_state=3, shapesys=True))
    result = nextstat.fit(model)
    free = ~result.held
    inverse = np.linalg.inv(model.nll_hessian(result.values)[np.ix_(free, free)])
    np.testing.assert_allclose(
        result.covariance[np.ix_(free, free)], inverse, rtol=1e-8, atol=1e-12
    )
    np.testing.assert_allclose(result.errors**2, np.diag(result.covariance), rtol=1e-9)
    np.testing.assert_allclose(np.diag(result.correlation), 1.0, rtol=1e-9)
    np.testing.assert_array_equal(result.covariance, result.covariance.T)


def test_excluded_parameters_are_reported() -> None:
    workspace = counting(signal=10.0, background=50.0, observed=30.0)
    model = nextstat.from_pyhf(workspace)
    result = nextstat.fit(model)
    assert result.converged
    assert result.active_bounds == ("mu",)
    assert result.mu == 0.0
    assert np.isnan(result.errors[model.parameters.index("mu")])
    assert not result.covariance[model.parameters.index("mu")].any()
    fixed = nextstat.fit(model, fixed={"mu": 1.0})
    assert fixed["mu"] == 1.0
    assert fixed.active_bounds == ()
    assert np.isnan(fixed.errors[model.parameters.index("mu")])
    assert fixed.nll > result.nll


# Hard input ---------------------------------------------------------------------------------------


def test_lumi_at_its_bound() -> None:
    """Signal 20, background 100, 10 % luminosity within [0.5, 1.5], 55 observed."""
    workspace = counting(signal=20.0, background=100.0, observed=55.0, lumi=0.1)
    model = nextstat.from_pyhf(workspace)
    result = nextstat.fit(model)
    assert result.converged
    assert set(result.active_bounds) <= {"mu", "lumi"}
    lumi = np.linspace(0.5, 1.5, 200_001)
    nu = 100.0 * lumi
    log_factorial = float(np.sum(np.log(np.arange(1, 56))))
    nll = nu - 55.0 * np.log(nu) + log_factorial
    nll += 0.5 * ((lumi - 1) / 0.1) ** 2 + np.log(0.1 * np.sqrt(2 * np.pi))
    assert result.nll == pytest.approx(nll.min(), abs=1e-8)
    assert result.twice_nll == pytest.approx(15.20, abs=0.005)
    assert nextstat.hypotest(model, 1.0).cls == pytest.approx(0.00157, abs=5e-6)


def test_small_signal_on_large_yields() -> None:
    """Yields of 5e6 with s/b of 0.1 %: the optimum is exactly mu = 0."""
    rng = np.random.default_rng(0)
    background = np.full(10, 5e6)
    signal = 1e-3 * background
    observed = background - np.abs(rng.normal(0.0, 1.0, 10)) * 1e3
    sample = {
        "name": "background",
        "data": background.tolist(),
        "modifiers": [normsys("scale", 1.0001, 0.9999)],
    }
    workspace = one_channel(
        [{"name": "signal", "data": signal.tolist(), "modifiers": [normfactor("mu")]}, sample],
        observed.tolist(),
    )
    model = nextstat.from_pyhf(workspace)
    result = nextstat.fit(model)
    assert result.converged
    assert result.mu == 0.0
    assert_minimum(model, result)


def test_degenerate_factors() -> None:
    workspace = counting(signal=10.0, background=50.0, observed=70.0)
    workspace["channels"][0]["samples"][0]["modifiers"].append(normfactor("nu"))
    model = nextstat.from_pyhf(workspace)
    with pytest.warns(FitWarning, match=r"singular.*'mu', 'nu'"):
        result = nextstat.fit(model)
    assert not result.converged
    assert result.status == "singular"
    assert np.isnan(result.errors).all()
    with pytest.warns(FitWarning, match=r"do not determine 'mu', 'nu' in the global fit") as told:
        test = nextstat.hypotest(model, 0.5)
    assert len(told) == 1
    assert test.test_statistic == pytest.approx(0.0, abs=1e-9)  # nu makes up for any mu


def test_flat_poi() -> None:
    workspace = counting(signal=0.0, background=50.0, observed=70.0)
    model = nextstat.from_pyhf(workspace)
    with pytest.warns(FitWarning, match="singular.*'mu'"):
        assert nextstat.fit(model).status == "singular"


def test_what_is_held_by_nothing_is_named() -> None:
    """A signal too small for its factor to matter, in the fit and in what goes on without it."""
    model = nextstat.from_pyhf(counting(signal=1e-12, background=1e-11, observed=0.0))
    with pytest.warns(FitWarning, match=r"singular.*\('mu'\)"):
        nextstat.fit(model)
    with pytest.warns(FitWarning, match="do not determine 'mu' in the global fit"):
        nextstat.significance(model)


def test_the_distance_of_exact_fits_is_not_negative() -> None:
    model = nextstat.from_pyhf(counting(signal=5.0, background=50.0, observed=70.0))
    result = nextstat.fit(model, fixed=model.parameter_names)
    assert not np.signbit(result.edm)
    for mu in (0.0, 1.0):
        at_start = nextstat.fit(model, nextstat.asimov_data(model, mu), init={"mu": mu})
        assert not np.signbit(at_start.edm)


def test_all_parameters_fixed() -> None:
    model = nextstat.from_pyhf(counting(signal=5.0, background=50.0, observed=70.0))
    result = nextstat.fit(model, fixed=model.parameter_names)
    assert result.converged
    assert result.n_iter == 0
    assert result.edm == 0.0
    assert result.nll == model.nll(model.init)
    assert np.isnan(result.errors).all()


def test_events_where_none_are_expected() -> None:
    workspace = counting(signal=5.0, background=0.0, observed=3.0)
    workspace["channels"][0]["samples"][1]["modifiers"] = []
    model = nextstat.from_pyhf(workspace)
    with pytest.warns(FitWarning, match="infinite"):
        result = nextstat.fit(model, fixed={"mu": 0.0})
    assert result.status == "infinite"
    assert result.nll == np.inf
    assert nextstat.fit(model, init={"mu": 0.0}).mu == pytest.approx(0.6, abs=1e-4)


def test_saddle_point_is_left() -> None:
    """A one-sided systematic: the start is stationary in it, but not a minimum."""
    shape = {"name": "shape", "type": "histosys", "data": {"hi_data": [70.0], "lo_data": [70.0]}}
    background = {"name": "background", "data": [50.0], "modifiers": [shape]}
    workspace = one_channel(
        [{"name": "signal", "data": [0.01], "modifiers": [normfactor("mu")]}, background], [75.0]
    )
    model = nextstat.from_pyhf(workspace)
    result = nextstat.fit(model, fixed={"mu": 1.0})
    assert result.converged
    assert abs(result["shape"]) > 0.5
    assert result.nll < model.nll(model.init) - 1.0


def test_pinned_at_a_kink() -> None:
    """Both sides of a code0 systematic make it worse: it stays at 0, and says so."""
    shape = {"name": "shape", "type": "histosys", "data": {"hi_data": [70.0], "lo_data": [65.0]}}
    background = {"name": "background", "data": [50.0], "modifiers": [shape]}
    workspace = one_channel(
        [{"name": "signal", "data": [5.0], "modifiers": [normfactor("mu")]}, background], [51.0]
    )
    model = nextstat.from_pyhf(workspace, interpolation=("code4", "code0"))
    result = nextstat.fit(model, fixed={"mu": 1.0})
    assert result.converged
    assert result["shape"] == 0.0
    assert result.active_bounds == ("shape",)


def test_minimum_on_the_edge_of_no_expectation() -> None:
    """An empty bin whose expectation would go below zero: the nll has a kink at the minimum."""
    shape = {"hi_data": [6.0, -2.0], "lo_data": [4.0, 6.0]}
    modifiers = [normfactor("mu"), {"name": "shape", "type": "histosys", "data": shape}]
    sample = {"name": "signal", "data": [5.0, 2.0], "modifiers": modifiers}
    model = nextstat.from_pyhf(one_channel([sample], [9.0, 0.0]))
    result = nextstat.fit(model)
    assert result.converged
    assert "bin 1 of channel 'channel' expects no events" in result.message
    assert model.expected_data(result.values)[1] == pytest.approx(0.0, abs=1e-5)
    # along the edge the first bin alone decides: 5.5 mu = 9
    assert result["shape"] == pytest.approx(0.5, abs=1e-6)
    assert result.mu == pytest.approx(9.0 / 5.5, abs=1e-6)
    assert result.error("mu") == pytest.approx(3.0 / 5.5, rel=1e-4)
    assert result.error("shape") < 1e-2


@pytest.mark.parametrize("block", range(2))
def test_toys_with_empty_bins_converge(block: int) -> None:
    """Sparse data with large uncertainties: minima at the edge are found, lower than any other."""
    at_edge = 0
    for seed in range(100 * block, 100 * (block + 1)):
        rng = np.random.default_rng(seed)
        n = 4
        shapes = [
            {
                "name": f"shape{k}",
                "type": "histosys",
                "data": {
                    "hi_data": list(1 + rng.normal(0, 1.2, n)),
                    "lo_data": list(1 - rng.normal(0, 1.2, n)),
                },
            }
            for k in range(2)
        ]
        signal = {
            "name": "signal",
            "data": list(rng.uniform(0.2, 1, n)),
            "modifiers": [normfactor("mu")],
        }
        background = {"name": "background", "data": [1.0] * n, "modifiers": shapes}
        observed = [float(x) for x in rng.poisson(0.7, n)]
        model = nextstat.from_pyhf(one_channel([signal, background], observed))
        result = quiet_fit(model)
        assert result.converged, (seed, result.status)
        at_edge += result.minimum.at_edge
        assert_minimum(model, result)
        for _ in range(50):
            near = result.values + rng.normal(0, 0.02, len(result.values))
            assert model.nll(np.clip(near, *model.bounds.T)) >= result.nll - 1e-7, seed
    assert at_edge > 10


# Options and results ------------------------------------------------------------------------------


def test_data_and_auxdata() -> None:
    model = nextstat.from_pyhf(nextstat.datasets.make_workspace(random_state=5))
    truth = model.init.copy()
    truth[model.parameters.index("mu")] = 2.0
    asimov = model.expected_data(truth)
    result = nextstat.fit(model, asimov)
    np.testing.assert_allclose(result.values, truth, atol=1e-6)
    split = nextstat.fit(model, asimov[: model.n_bins], auxdata=asimov[model.n_bins :])
    np.testing.assert_array_equal(split.values, result.values)


def test_bounds_init_and_fixed() -> None:
    model = nextstat.from_pyhf(nextstat.datasets.make_workspace(random_state=5, mu=4.0))
    best = nextstat.fit(model)
    bounded = nextstat.fit(model, bounds={"mu": (0.0, 1.5)}, init={"mu": 0.5})
    assert bounded.mu == 1.5
    assert bounded.active_bounds == ("mu",)
    elsewhere = nextstat.fit(model, init={"mu": 4.0})
    assert elsewhere.mu == pytest.approx(best.mu, abs=1e-4)
    names = nextstat.fit(model, fixed=["mu", "lumi"])
    flags = nextstat.fit(model, fixed=[n in ("mu", "lumi") for n in model.parameter_names])
    np.testing.assert_array_equal(names.values, flags.values)
    assert (names["mu"], names["lumi"]) == (1.0, 1.0)


def test_several_starts_find_the_lower_basin() -> None:
    """Two basins: the default start ends in one, some of ten starts in the lower one."""
    for seed in (467, 83, 211, 301):
        model = nextstat.from_pyhf(random_workspace(seed, tension=6.0))
        single, several = quiet_fit(model), quiet_fit(model, n_starts=10)
        assert several.nll <= single.nll
        np.testing.assert_array_equal(several.values, quiet_fit(model, n_starts=10).values)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"init": [1.0]}, ValueError, r"init has shape \(1,\), expected"),
        ({"init": {"lumo": 1.0}}, KeyError, "did you mean 'lumi'"),
        ({"init": {"mu": 20.0}}, ValueError, "'mu' is 20, outside its bounds"),
        ({"init": {"mu": np.nan}}, ValueError, "'mu' is nan"),
        ({"bounds": {"mu": (2.0, 1.0)}}, ValueError, "lower <= upper"),
        ({"bounds": [[0.0, 1.0]]}, ValueError, "bounds has shape"),
        ({"fixed": "mi"}, KeyError, "unknown parameter 'mi'"),
        ({"fixed": {"m": 1.0}}, KeyError, "unknown parameter 'm'"),
        ({"fixed": [True]}, ValueError, "fixed has shape"),
        ({"n_starts": 0}, ValueError, "n_starts is 0"),
        ({"data": [1.0]}, ValueError, "data has shape"),
        ({"auxdata": [1.0]}, ValueError, "auxdata has shape"),
    ],
)
def test_bad_options(options: dict[str, Any], error: type[Exception], message: str) -> None:
    model = nextstat.from_pyhf(nextstat.datasets.make_workspace(random_state=1))
    with pytest.raises(error, match=message):
        nextstat.fit(model, **options)


def test_result_access() -> None:
    model = nextstat.from_pyhf(nextstat.datasets.make_workspace(random_state=1))
    result = nextstat.fit(model)
    assert result.mu == result["mu"] == result.to_dict()["parameters"]["mu"]
    assert result.twice_nll == 2 * result.nll
    assert result.time_ms > 0
    assert result.parameter_names == model.parameter_names
    frame = result.to_dataframe()
    assert list(frame.columns) == ["value", "error", "fixed", "at_bound"]
    assert frame.loc["mu", "value"] == result.mu
    assert "converged" in repr(result)
    assert "<table" in result._repr_html_()
    with pytest.raises(KeyError, match="did you mean 'lumi'"):
        result["lumo"]
