"""Rankings without refits, uncertainty budgets, pulls, yields, goodness of fit."""

from __future__ import annotations

import warnings
from typing import Any

import cabinetry
import numpy as np
import pyhf
import pytest
from channels import counting_model, normfactor, one_channel
from hypothesis import example, given, settings
from random_workspaces import random_workspace, seeds
from scipy import stats

import nextstat
from nextstat import FitError, FitWarning, HistFactoryModel
from nextstat.interpret import correlation_df, pulls, rank_impact, uncertainty_breakdown

WORKSPACE = nextstat.datasets.make_workspace(
    n_channels=2, n_bins=4, n_systematics=6, random_state=12
)
WORKSPACE["measurements"][0]["config"]["parameters"].append(
    {"name": "mu", "bounds": [[-10.0, 10.0]]}  # far from everything
)
MODEL = nextstat.from_pyhf(WORKSPACE)


def fit_options(model: Any) -> dict[str, Any]:
    """Far bounds: Minuit maps parameters onto them by a sine, which biases errors by up to 1 %."""
    bounds = [(-100.0, 100.0) if b == (-5.0, 5.0) else b for b in model.config.suggested_bounds()]
    return {"par_bounds": bounds, "strategy": 2, "tolerance": 1e-3}


@pytest.fixture(scope="module")
def cabinetry_fit() -> tuple[Any, Any, Any]:
    """pyhf's model and data and cabinetry's fit of them."""
    pyhf.set_backend("numpy", pyhf.optimize.minuit_optimizer(tolerance=1e-4, strategy=2))
    model, data = cabinetry.model_utils.model_and_data(WORKSPACE)
    options = fit_options(model)
    result = cabinetry.fit.fit(model, data, goodness_of_fit=True, **options)
    yield model, data, result
    pyhf.set_backend("numpy")


def by_name(rows: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    return {row["name"]: row for row in rows}


# Against cabinetry --------------------------------------------------------------------------------


def test_ranking_matches_cabinetry(cabinetry_fit: tuple[Any, Any, Any]) -> None:
    model, data, result = cabinetry_fit
    reference = cabinetry.fit.ranking(model, data, fit_results=result, **fit_options(model))
    ours = by_name(rank_impact(MODEL))
    seen = 0
    for k, label in enumerate(reference.labels):
        row = ours[label]
        assert row["delta_mu_up"] == pytest.approx(reference.postfit_up[k], rel=2e-3, abs=1e-3)
        assert row["delta_mu_down"] == pytest.approx(reference.postfit_down[k], rel=2e-3, abs=1e-3)
        assert row["delta_mu_up_prefit"] == pytest.approx(
            reference.prefit_up[k], rel=2e-3, abs=1e-3
        )
        assert row["delta_mu_down_prefit"] == pytest.approx(
            reference.prefit_down[k], rel=2e-3, abs=1e-3
        )
        seen += 1
    assert seen == len(ours)


def test_pulls_match_cabinetry(cabinetry_fit: tuple[Any, Any, Any]) -> None:
    result = cabinetry_fit[2]
    rows = by_name(pulls(nextstat.fit(MODEL)))
    for label, value, error in zip(result.labels, result.bestfit, result.uncertainty, strict=True):
        if label not in rows:
            continue
        row = rows[label]
        assert row["value"] == pytest.approx(value, abs=1e-4)
        assert row["error"] == pytest.approx(error, rel=1e-3)
        if row["kind"] in ("normsys", "histosys"):
            assert row["pull"] == row["value"]
            assert row["constraint"] == row["error"]
    assert "mu" not in rows
    assert rows["lumi"]["pull"] == pytest.approx((rows["lumi"]["value"] - 1) / 0.02, rel=0.2)


def test_correlation_matches_cabinetry(cabinetry_fit: tuple[Any, Any, Any]) -> None:
    result = cabinetry_fit[2]
    frame = correlation_df(nextstat.fit(MODEL))
    names = list(frame.index)
    order = [result.labels.index(name) for name in names]
    np.testing.assert_allclose(frame, result.corr_mat[np.ix_(order, order)], atol=2e-3)
    strong = correlation_df(nextstat.fit(MODEL), threshold=0.3)
    assert 0 < len(strong) < len(frame)
    for name in names:
        largest = frame[name].drop(name).abs().max()
        assert (name in strong.index) == (largest >= 0.3)


def test_goodness_of_fit_matches_cabinetry(cabinetry_fit: tuple[Any, Any, Any]) -> None:
    found = nextstat.goodness_of_fit(MODEL)
    assert found.pvalue == pytest.approx(cabinetry_fit[2].goodness_of_fit, abs=1e-4)
    shares = sum(share for share, _ in found.channels.values())
    assert shares + found.constraints == pytest.approx(found.statistic)
    assert sum(n for _, n in found.channels.values()) == MODEL.n_bins


@pytest.mark.parametrize("fitted", [False, True])
def test_yields_match_cabinetry(cabinetry_fit: tuple[Any, Any, Any], fitted: bool) -> None:
    model, _, result = cabinetry_fit
    reference = cabinetry.model_utils.prediction(model, fit_results=result if fitted else None)
    ours = nextstat.yields(MODEL, nextstat.fit(MODEL) if fitted else None)
    assert ours.fitted == fitted
    names = [c for c in model.config.channels]
    assert names == list(MODEL.channels)
    for c, (channel, bins) in enumerate(MODEL.channel_slices.items()):
        samples = np.array(reference.model_yields[c])
        order = [model.config.samples.index(s) for s in MODEL.samples if s in model.config.samples]
        np.testing.assert_allclose(ours.samples[:, bins], samples[order], rtol=2e-3, atol=1e-3)
        errors = np.array(reference.total_stdev_model_bins[c])  # samples, then the total
        np.testing.assert_allclose(ours.total_error[bins], errors[-1], rtol=5e-3)
        np.testing.assert_allclose(ours.sample_errors[:, bins], errors[order], rtol=5e-3, atol=1e-6)
        total = np.array(reference.total_stdev_model_channels[c])
        assert ours.channel_total_error[c] == pytest.approx(total[-1], rel=5e-3)
        np.testing.assert_allclose(ours.channel_sample_errors[:, c], total[order], rtol=5e-3)
        assert ours.channel_total[c] == pytest.approx(ours.total[bins].sum())
        assert channel == names[c]


# Yields -------------------------------------------------------------------------------------------


def test_yield_tables() -> None:
    ours = nextstat.yields(MODEL)
    frame = ours.to_dataframe()
    totals = frame[frame["sample"] == "total"]
    assert totals["expected"].tolist() == pytest.approx(ours.channel_total.tolist())
    observed = frame[frame["sample"] == "data"]
    assert observed["expected"].sum() == MODEL.data.sum()
    bins = ours.to_dataframe(per_bin=True)
    assert bins[bins["sample"] == "total"]["expected"].tolist() == pytest.approx(
        ours.total.tolist()
    )
    parts = bins[~bins["sample"].isin(["total", "data"])].groupby(["channel", "bin"])
    np.testing.assert_allclose(parts["expected"].sum(), ours.total)


def test_yields_without_constraints() -> None:
    model = counting_model(5.0, 6.0, 7.0)
    before = nextstat.yields(model)
    assert before.total_error.tolist() == before.channel_total_error.tolist() == [0.0]
    gone = nextstat.fit(counting_model(5.0, 6.0, 3.0))  # the signal is fitted to 0
    with pytest.warns(FitWarning, match="at a bound have no error.*: mu"):
        frame = nextstat.yields(gone.model, gone).to_dataframe()
    assert frame["sample"].tolist() == ["background", "signal", "total", "data"]
    assert frame["expected"].tolist() == pytest.approx([6.0, 0.0, 6.0, 3.0], abs=1e-6)


def test_yields_of_a_fit_use_its_data() -> None:
    shifted = MODEL.data + 2.0
    ours = nextstat.yields(MODEL, nextstat.fit(MODEL, shifted))
    assert np.array_equal(ours.data, shifted)
    with pytest.raises(ValueError, match="another model"):
        nextstat.yields(counting_model(5.0, 6.0, 7.0), nextstat.fit(MODEL))


# Rankings -----------------------------------------------------------------------------------------


def gaussian_model(seed: int = 0) -> HistFactoryModel:
    """So many events and so small systematics that the likelihood is a parabola."""
    rng = np.random.default_rng(seed)
    n = 5
    signal, background = 1e5 * rng.uniform(1, 3, n), 1e7 * rng.uniform(1, 3, n)
    shapes = [
        {
            "name": f"shape{k}",
            "type": "histosys",
            "data": {"hi_data": list(background + d), "lo_data": list(background - d)},
        }
        for k, d in enumerate(rng.normal(0, 3e3, (3, n)))
    ]
    samples = [
        {"name": "signal", "data": list(signal), "modifiers": [normfactor("mu")]},
        {"name": "background", "data": list(background), "modifiers": shapes},
    ]
    observed = np.round(signal + background + rng.normal(0, 3e3, n))
    return nextstat.from_pyhf(one_channel(samples, [float(x) for x in observed]))


def test_covariance_is_the_gaussian_limit_of_refits() -> None:
    model = gaussian_model()
    refit, linear = (by_name(rank_impact(model, method=m)) for m in ("refit", "covariance"))
    result = nextstat.fit(model)
    i = model.parameters.index("mu")
    for name, row in linear.items():
        k = model.parameters.index(name)
        assert row["delta_mu_up"] == pytest.approx(result.covariance[i, k] / result.errors[k])
        for key in ("delta_mu_up", "delta_mu_down", "delta_mu_up_prefit", "delta_mu_down_prefit"):
            assert row[key] == pytest.approx(refit[name][key], rel=1e-3, abs=1e-9)
        assert row["pull"] == refit[name]["pull"]
        assert row["constraint"] == refit[name]["constraint"]


@given(seed=seeds)
@settings(max_examples=15, deadline=None)
def test_auxdata_impacts_are_fits_of_shifted_data(seed: int) -> None:
    model = nextstat.from_pyhf(random_workspace(seed))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FitWarning)
        result = nextstat.fit(model)
        if not result.converged:
            return
        try:
            rows = rank_impact(model, method="auxdata")
        except ValueError:
            return  # the parameter of interest is fixed
        constrained = [p for p, c in enumerate(model.parameters.constraints) if c != "none"]
        for row in rows:
            assert np.isnan(row["delta_mu_up_prefit"])
            p = model.parameters.index(row["name"])
            if p not in constrained:
                assert row["total_impact"] == 0.0
                continue
            parameter = model.parameters[row["name"]]
            aux = model.auxdata.copy()
            tau = model.parameters.tau[p]
            sigma = parameter.width if np.isnan(tau) else np.sqrt(tau * result.values[p])
            aux[constrained.index(p)] += sigma
            fit = nextstat.fit(model, auxdata=aux, init=result.values)
            if fit.converged and np.isfinite(row["delta_mu_up"]):
                expected = fit.mu - result.mu
                error = result.error(model.poi) if model.poi else 1.0
                scale = error if np.isfinite(error) else 1.0
                assert row["delta_mu_up"] == pytest.approx(expected, abs=1e-3 * scale)


def test_ranking_methods_are_checked() -> None:
    with pytest.raises(ValueError, match="method is 'x'"):
        rank_impact(MODEL, method="x")  # type: ignore[arg-type]


# Budgets ------------------------------------------------------------------------------------------


@given(seed=seeds)
@example(seed=85848967)
@settings(max_examples=20, deadline=None)
def test_budget_adds_up_where_data_are_as_expected(seed: int) -> None:
    """On Asimov data observed and expected curvature agree, whatever the model."""
    model = nextstat.from_pyhf(random_workspace(seed))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FitWarning)
        result = nextstat.fit(model)
        if not result.converged or result.held[model.parameters.index(str(model.poi))]:
            return
        data = nextstat.asimov_data(model, result.mu, nuisances="nominal")
        try:
            budget = uncertainty_breakdown(model, data=data)
        except FitError:
            return
        fit = nextstat.fit(model, data)
    total = budget.pop("total")
    # a fit ends up to 1e-5 errors off the exact minimum, that of a budget does not
    assert total == pytest.approx(fit.error(str(model.poi)), rel=1e-4)
    assert np.sqrt(sum(x**2 for x in budget.values())) == pytest.approx(total, rel=1e-8)


def test_budget_in_the_gaussian_limit() -> None:
    """Observed data, many events: sums to the total within 1e-6 of the parameter's unit."""
    model = gaussian_model()
    budget = uncertainty_breakdown(model, {"first": "shape0", "rest": ["shape1", "shape2"]})
    total = budget.pop("total")
    assert list(budget) == ["statistical", "first", "rest"]
    assert np.sqrt(sum(x**2 for x in budget.values())) == pytest.approx(total, abs=1e-6)
    # parts are what shifted measurements do
    rows = by_name(rank_impact(model, method="auxdata"))
    first = 0.5 * (rows["shape0"]["delta_mu_up"] - rows["shape0"]["delta_mu_down"])
    assert budget["first"] == pytest.approx(abs(first), rel=1e-3)
    rest = [0.5 * rows[n]["total_impact"] for n in ("shape1", "shape2")]
    assert budget["rest"] == pytest.approx(np.hypot(*rest), rel=1e-3)


def test_statistical_part_is_the_spread_of_fits_of_fluctuated_events() -> None:
    """Toys of the main data alone."""
    model = gaussian_model(1)
    result = nextstat.fit(model)
    budget = uncertainty_breakdown(model)
    toys = nextstat.toy_data(model, 2000, params=result.values, seed=1)
    expected = model.expected_data(result.values)
    toys[:, model.n_bins :] = expected[model.n_bins :]
    spread = nextstat.fit_batch(model, toys).mu.std()
    assert budget["statistical"] == pytest.approx(spread, rel=0.05)
    everything = nextstat.fit_toys(model, 2000, params=result.values, seed=2).mu.std()
    assert budget["total"] == pytest.approx(everything, rel=0.05)


def test_fixing_groups() -> None:
    budget = uncertainty_breakdown(MODEL, {"jets": "jet_.*", "mc": "staterror_.*"}, method="fix")
    result = nextstat.fit(MODEL)
    jets = {n: result[n] for n in MODEL.parameter_names if n.startswith("jet_")}
    assert jets
    fixed = nextstat.fit(MODEL, fixed=jets)
    expected = np.sqrt(result.error("mu") ** 2 - fixed.error("mu") ** 2)
    assert budget["jets"] == pytest.approx(expected, rel=1e-5)
    assert list(budget) == ["statistical", "jets", "mc", "other", "total"]
    assert budget["total"] == pytest.approx(result.error("mu"))
    kinds = set(uncertainty_breakdown(MODEL)) - {"statistical", "total"}
    table = MODEL.parameters
    constrained = {
        k for k, c, f in zip(table.kinds, table.constraints, table.fixed, strict=True)
        if c != "none" and not f
    }  # fmt: skip
    assert kinds == constrained


@pytest.mark.parametrize(
    ("groups", "message"),
    [
        ({"jets": "jat_.*"}, "group 'jets' with 'jat_.*' matches no"),
        ({"jets": "jet"}, "whole names"),
        ({"a": "lumi", "b": "lu.*"}, "'lumi' is in two groups, 'a' and 'b'"),
        ({"total": "lumi"}, "name of the budget itself"),
        ({"a": "("}, "no regular expression"),
    ],
)
def test_bad_groups(groups: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        uncertainty_breakdown(MODEL, groups)


def test_budget_of_a_parameter_at_its_bound() -> None:
    model = counting_model(5.0, 6.0, 3.0)
    with pytest.raises(FitError, match="stopped by its bound"):
        uncertainty_breakdown(model)
    budget = uncertainty_breakdown(model, bounds={"mu": (-1.0, 10.0)})
    assert budget["statistical"] == pytest.approx(budget["total"], rel=1e-5)
    assert budget["total"] == pytest.approx(np.sqrt(3.0) / 5.0, rel=1e-5)
    below = {"mu": (-3.0, 0.5)}  # where the model's own starting value is not
    again = uncertainty_breakdown(model, init={"mu": 0.0}, bounds=below)
    assert again == pytest.approx(budget, rel=1e-5)


# Goodness of fit ----------------------------------------------------------------------------------


def test_goodness_of_fit_by_toys() -> None:
    workspace = nextstat.datasets.make_workspace(
        n_channels=2, n_bins=5, n_systematics=3, random_state=2
    )
    model = nextstat.from_pyhf(workspace)
    exact = nextstat.goodness_of_fit(model)
    toys = nextstat.goodness_of_fit(model, calculator="toys", n_toys=2000, seed=1)
    assert toys.statistic == exact.statistic
    assert toys.pvalue == pytest.approx(exact.pvalue, abs=4 * toys.pvalue_error + 0.02)
    assert toys.toys is not None
    # as chi2 distributed as it should be with so many events
    assert stats.kstest(toys.toys, stats.chi2(toys.n_dof).cdf).pvalue > 1e-4
    assert toys.to_dict()["n_toys"] == 2000


def test_goodness_of_fit_of_a_bad_model() -> None:
    """Alternate bins of one channel up and down, as no normalisation can."""
    data = MODEL.data.copy()
    bins = MODEL.channel_slices[MODEL.channels[1]]
    data[bins][::2] *= 2.0
    data[bins][1::2] *= 0.4
    found = nextstat.goodness_of_fit(MODEL, data=data)
    assert found.pvalue < 1e-6
    worst = max(found.channels, key=lambda name: found.channels[name][0])
    assert worst == MODEL.channels[1]


def test_goodness_of_fit_needs_degrees_of_freedom() -> None:
    model = counting_model(5.0, 6.0, 9.0)
    with pytest.raises(ValueError, match="nothing is left to test"):
        nextstat.goodness_of_fit(model)
    assert nextstat.goodness_of_fit(model, calculator="toys", n_toys=50, seed=1).pvalue > 0.5
    with pytest.raises(ValueError, match="calculator is 'x'"):
        nextstat.goodness_of_fit(model, calculator="x")  # type: ignore[arg-type]
