"""The estimator: its templates, its model and its scores, against the same made by other means."""

from __future__ import annotations

import copy
import json
import pickle
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyhf
import pytest
from events import YIELDS, Sample, histogram, make_sample, workspace_by_hand
from hypothesis import given
from hypothesis import strategies as st
from sklearn.base import clone
from sklearn.exceptions import NotFittedError

import nextstat
from nextstat import HistFactoryEstimator
from nextstat._events.edges import asimov_q0
from nextstat.datasets import make_workspace
from nextstat.exceptions import FitWarning, WorkspaceWarning
from nextstat.interpret import rank_impact
from nextstat.metrics import METRICS

EDGES = np.linspace(0.0, 1.0, 7)
NORM = {"lumi": {label: (0.98, 1.02) for label in YIELDS}, "xs": {"top": (0.9, 1.15)}}


def analysis(**options: Any) -> HistFactoryEstimator:
    """Six bins of the second column between 0 and 1."""
    defaults = {"n_bins": 6, "lo": 0.0, "hi": 1.0, "observable": 1, "yields": YIELDS}
    return HistFactoryEstimator(**(defaults | options))


def check_same_workspace(found: dict[str, Any], expected: dict[str, Any]) -> None:
    """Templates and errors of two workspaces, whose samples have the same order."""
    pairs = zip(found["channels"][0]["samples"], expected["channels"][0]["samples"], strict=True)
    for mine, theirs in pairs:
        assert mine["name"] == theirs["name"]
        np.testing.assert_allclose(mine["data"], theirs["data"], rtol=1e-12, atol=1e-12)
        for a, b in zip(mine["modifiers"], theirs["modifiers"], strict=True):
            assert a["type"] == b["type"]
            if isinstance(b["data"], dict):
                assert a["name"] == b["name"]
                for key, value in b["data"].items():
                    np.testing.assert_allclose(a["data"][key], value, rtol=1e-12, atol=1e-12)
            elif b["data"] is not None:
                np.testing.assert_allclose(a["data"], b["data"], rtol=1e-12, atol=1e-12)


# Templates ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("overflow", ["drop", "keep"])
@pytest.mark.parametrize("binning", ["uniform", [0.0, 0.15, 0.4, 0.8, 1.0]])
def test_templates_are_those_of_boost_histogram(binning: Any, overflow: Any) -> None:
    sample = make_sample()
    est = analysis(binning=binning, overflow=overflow, norm_systematics=NORM).fit(*sample.all)
    edges = EDGES if binning == "uniform" else np.array(binning)
    np.testing.assert_allclose(est.edges_, edges, rtol=1e-15)
    keep = overflow == "keep"
    expected = workspace_by_hand(sample, est.edges_, norm=NORM, keep=keep)
    check_same_workspace(est.workspace_, expected)
    other = make_sample(seed=1)
    expected = workspace_by_hand(other, est.edges_, norm=NORM, keep=keep)
    check_same_workspace(est.workspace(*other.all), expected)


@given(seed=st.integers(0, 2**32 - 1), n=st.integers(30, 300), n_bins=st.integers(1, 12))
def test_any_events(seed: int, n: int, n_bins: int) -> None:
    """Learned ends: the range of the nominal events, open for later ones."""
    sample, later = make_sample(seed, n), make_sample(seed + 1, n)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", (WorkspaceWarning, FitWarning))
        est = analysis(n_bins=n_bins, lo=None, hi=None).fit(*sample.all)
        found = est.workspace(*later.all)
    nominal = sample.X[sample.variation == "nominal", 1]
    assert est.edges_[0] == nominal.min()
    assert est.edges_[-1] == nominal.max()
    expected = workspace_by_hand(later, est.edges_, keep=True)
    if len(found["observations"][0]["data"]) == len(est.edges_) - 1:
        check_same_workspace(found, expected)
    assert sum(found["observations"][0]["data"]) == pytest.approx(530.0)


def test_training_events_beyond_learned_ends() -> None:
    """Varied rows may lie beyond the nominal ones; they count in the outer bins."""
    sample = make_sample(systematics=("jes",))
    est = analysis(lo=None, hi=None, n_bins=4).fit(*sample.all)
    check_same_workspace(est.workspace_, workspace_by_hand(sample, est.edges_, keep=True))


def test_split_normalisation() -> None:
    """At alpha = +-1 the model expects the varied templates, split or not."""
    sample = make_sample()
    whole, split = (
        analysis(split_normalisation=x, staterror=False).fit(*sample.all) for x in (False, True)
    )
    kinds = {m["type"] for s in split.workspace_["channels"][0]["samples"] for m in s["modifiers"]}
    assert kinds == {"normfactor", "normsys", "histosys"}
    assert whole.model_.parameter_names == split.model_.parameter_names
    for systematic in ("jes", "scale"):
        for alpha in (-1.0, 0.0, 1.0):
            params = whole.model_.init.copy()
            params[whole.model_.parameter_names.index(systematic)] = alpha
            expected = [est.model_.expected_data(params) for est in (whole, split)]
            np.testing.assert_allclose(expected[0], expected[1], rtol=1e-12)
    hi = split.workspace_["channels"][0]["samples"][1]["modifiers"][0]["data"]
    assert hi["hi"] != pytest.approx(1.0)


@pytest.mark.parametrize("side", ["up", "down"])
def test_one_side_is_mirrored(side: str) -> None:
    sample = make_sample(systematics=("jes",))
    other = "down" if side == "up" else "up"
    one_sided = sample.rows(sample.variation != f"jes_{other}")
    est = analysis()
    said = f"'jes' has {side} but no {other} rows for signal, top, wjets"
    with pytest.warns(WorkspaceWarning, match=said):
        est.fit(*one_sided.all)
    for s in est.workspace_["channels"][0]["samples"]:
        shape = next(m["data"] for m in s["modifiers"] if m["type"] == "histosys")
        given, mirrored = (
            shape[key] for key in ("hi_data", "lo_data")[:: 1 if side == "up" else -1]
        )
        rows = (one_sided.y == s["name"]) & (one_sided.variation == f"jes_{side}")
        nominal = (one_sided.y == s["name"]) & (one_sided.variation == "nominal")
        factor = YIELDS[s["name"]] / one_sided.weight[nominal].sum()
        expected = factor * histogram(one_sided.X[rows, 1], one_sided.weight[rows], EDGES)[0]
        np.testing.assert_allclose(given, expected, rtol=1e-12)
        content = np.array(s["data"])
        image = np.maximum(2.0 * content - given, np.minimum(content, 0.0))
        np.testing.assert_allclose(mirrored, image, atol=1e-12)


def test_mirrored_side_is_not_negative() -> None:
    """An upward variation of more than 100 % has no mirror image below zero."""
    X = [[0.2], [0.3], [0.7], [0.6], [0.1], [0.9]]
    y = ["top", "signal", "top", "top", "wjets", "wjets"]
    variation = ["nominal", "nominal", "nominal", "a_up", "nominal", "nominal"]
    est = analysis(observable=0, yields={"top": 10.0, "signal": 3.0, "wjets": 5.0}, n_bins=2)
    with pytest.warns(WorkspaceWarning, match="mirror image"):
        workspace = est.fit(X, y, [1.0, 1.0, 0.5, 4.0, 1.0, 1.0], variation).workspace_
    top = workspace["channels"][0]["samples"][1]
    shape = next(m["data"] for m in top["modifiers"] if m["type"] == "histosys")
    assert shape["lo_data"][1] == 0.0


def test_bins_without_background_are_merged() -> None:
    """Nothing is lost, and a warning says so; in the training events and in others."""
    X = [[0.1], [0.15], [0.3], [0.5], [0.7], [0.9], [0.95]]
    y = ["top", "top", "top", "signal", "top", "signal", "signal"]
    est = analysis(observable=0, n_bins=5, yields={"top": 40.0, "signal": 9.0})
    with pytest.warns(WorkspaceWarning, match="2 of 5 bins have no reliably positive background"):
        est.fit(X, y)
    np.testing.assert_allclose(est.edges_, [0.0, 0.2, 0.6, 1.0])
    signal, top = est.workspace_["channels"][0]["samples"]
    assert signal["data"] == pytest.approx([0.0, 3.0, 6.0])
    assert top["data"] == pytest.approx([20.0, 10.0, 10.0])
    workspace = est.workspace(X[:4], y[:4])
    assert len(workspace["observations"][0]["data"]) == 2
    assert len(est.edges_) == 4


def test_last_edge_is_in_the_last_bin() -> None:
    """Scores of exactly 1, and the largest of integers."""
    X, y = [[0.1], [0.3], [0.6], [1.0], [0.8], [1.0]], ["b"] * 4 + ["signal"] * 2
    for options in ({"n_bins": 2, "lo": 0, "hi": 1}, {"binning": [0.0, 0.5, 1.0]}):
        est = HistFactoryEstimator(**options, yields={"b": 100.0, "signal": 20.0}).fit(X, y)
        b, signal = est.workspace_["channels"][0]["samples"]
        assert b["data"] == [50.0, 50.0]
        assert signal["data"] == [0.0, 20.0]
        np.testing.assert_array_equal(est.edges_, [0.0, 0.5, 1.0])


def test_simulated_statistics_of_the_background_are_its_own() -> None:
    """However large the signal: as known as an auxiliary count of the same precision."""
    rng = np.random.default_rng(0)
    X = rng.uniform(size=(1025, 1))
    y = np.array(["b"] * 25 + ["signal"] * 1000)
    est = HistFactoryEstimator(1, 0, 1, yields={"b": 25.0, "signal": 25.0}).fit(X, y)
    exact = asimov_q0(np.array([25.0]), np.array([25.0]), np.array([25.0])) ** 0.5
    assert est.score(X, y) == pytest.approx(exact[0], rel=0.1)
    without = est.set_params(staterror=False).fit(X, y).score(X, y)
    assert without > 1.3 * exact[0]


@pytest.mark.parametrize("case", ["cancel", "vary", "kernel"])
def test_background_of_no_substance(case: str) -> None:
    """Weights that cancel, a variation that empties a bin, the far tail of a kernel."""
    rng = np.random.default_rng(0)
    X = np.concatenate([rng.uniform(0.0, 1.0, 300), [1.2, 1.4, 1.6], rng.uniform(1.0, 2.0, 300)])
    y = np.array(["b"] * 303 + ["signal"] * 300)
    weight, variation, options = np.ones(603), np.full(603, "nominal"), {}
    if case == "cancel":
        weight[300:303] = [0.1, 0.2, -0.3]
    elif case == "vary":
        moved = np.where(np.arange(603) // 300 == 1, np.where(y == "b", 0.5, X), X)
        X = np.concatenate([X, moved, X])
        variation = np.repeat(["nominal", "a_up", "a_down"], 603)
        y, weight = np.tile(y, 3), np.tile(weight, 3)
    else:
        X[:300], X[303:], weight[300:303] = 0.1 * X[:300], X[303:] + 2.0, 0.0
        options = {"smoothing": "kde", "bandwidth": 0.2, "hi": 4.0}
    est = HistFactoryEstimator(2, **{"lo": 0.0, "hi": 2.0, **options})
    with pytest.warns(WorkspaceWarning, match="1 of 2 bins have no reliably positive background"):
        est.fit(X[:, None], y, weight, variation)
    assert est.edges_.tolist() == [0.0, options.get("hi", 2.0)]


def test_a_failed_fit_forgets_the_one_before() -> None:
    """Nothing of two fits is mixed; neither of events and of a workspace."""
    sample = make_sample()
    est = analysis(norm_systematics=NORM).fit(*sample.all)
    with pytest.raises(ValueError, match="background events are expected"):
        est.set_params(lo=5.0, hi=6.0).fit(*sample.all)
    with pytest.raises(NotFittedError):
        est.score(*sample.all)
    assert not [name for name in vars(est) if name.endswith("_") and "model" in name]
    est.set_params(lo=0.0, hi=1.0).fit(*sample.all).fit(make_workspace(1, 4, 3, 5, random_state=2))
    for name in ("edges_", "classes_", "yields_", "workspace_", "n_features_in_"):
        assert not hasattr(est, name)


def test_only_the_metric_changes_after_fit() -> None:
    sample = make_sample()
    est = analysis(norm_systematics=NORM).fit(*sample.all)
    score = est.score(*sample.all)
    est.set_params(norm_systematics=None, staterror=False, yields=None, split_normalisation=True)
    assert est.score(*sample.all) == score


def test_yields() -> None:
    """By default those of the weights, times the luminosity; kept for other events."""
    sample = make_sample()
    nominal = sample.variation == "nominal"
    sums = {k: sample.weight[nominal & (sample.y == k)].sum() for k in YIELDS}
    est = analysis(yields=None, luminosity=0.25).fit(*sample.all)
    assert est.yields_ == pytest.approx({k: 0.25 * x for k, x in sums.items()})
    half = sample.rows(np.arange(len(sample.y)) % 2 == 0)
    workspace = est.workspace(*half.all)
    check_same_workspace(workspace, workspace_by_hand(half, EDGES, est.yields_))


def test_smoothing() -> None:
    """Kernels of no width count; wide ones keep the sums and smooth the shapes."""
    sample = make_sample()
    counted = analysis(overflow="keep").fit(*sample.all)
    for mode in ("kde", "sigmoid"):
        sharp = analysis(overflow="keep", smoothing=mode, bandwidth=1e-9).fit(*sample.all)
        check_same_workspace(sharp.workspace_, counted.workspace_)
        soft = analysis(overflow="keep", smoothing=mode).fit(*sample.all)
        for a, b in zip(
            soft.workspace_["channels"][0]["samples"],
            counted.workspace_["channels"][0]["samples"],
            strict=True,
        ):
            assert sum(a["data"]) == pytest.approx(sum(b["data"]))
            assert a["data"] != pytest.approx(b["data"], rel=1e-3)
    steps = [
        analysis(lo=lo, smoothing="kde").fit(*sample.all).score(*sample.all) for lo in (0.2, 0.2001)
    ]
    assert steps[0] != steps[1]
    assert steps[0] == pytest.approx(steps[1], rel=1e-2)


def test_scott_bandwidth() -> None:
    """sigma n^(-1/5) of each sample, from its nominal events."""
    x = np.random.default_rng(0).normal(size=(500, 1))
    y = np.arange(500) % 2
    est = HistFactoryEstimator(lo=-1.0, hi=1.0, n_bins=2, smoothing="kde").fit(x, y)
    explicit = [x[y == k, 0].std() * 250**-0.2 for k in (0, 1)]
    from scipy.stats import norm

    for k, bandwidth in enumerate(explicit):
        inside = norm.cdf((0.0 - x[y == k, 0]) / bandwidth) - norm.cdf(
            (-1.0 - x[y == k, 0]) / bandwidth
        )
        data = est.workspace_["channels"][0]["samples"][k]["data"]
        assert data[0] == pytest.approx(inside.sum(), rel=1e-12)


# Scores ------------------------------------------------------------------------------------------


def test_score_is_the_significance_of_the_workspace() -> None:
    sample, later = make_sample(), make_sample(seed=1)
    est = analysis(norm_systematics=NORM).fit(*sample.all)
    for events in (sample, later):
        model = nextstat.from_pyhf(workspace_by_hand(events, EDGES, norm=NORM))
        score = est.score(*events.all)
        assert score == pytest.approx(nextstat.significance(model), rel=1e-7)
        assert score == pytest.approx(nextstat.significance(model, expected=True), rel=1e-7)


@pytest.mark.parametrize("seed", range(4))
def test_pyhf_agrees(seed: int) -> None:
    """Expected Z0 and expected CLs, by pyhf, of a workspace made with boost-histogram."""
    sample = make_sample(seed, n=1000)
    est = analysis(norm_systematics=NORM).fit(*sample.all)
    pyhf.set_backend("numpy", pyhf.optimize.minuit_optimizer(tolerance=1e-4))
    try:
        workspace = pyhf.Workspace(workspace_by_hand(sample, EDGES, norm=NORM))
        model = workspace.model(
            modifier_settings={
                "normsys": {"interpcode": "code4"},
                "histosys": {"interpcode": "code4p"},
            }
        )
        data = workspace.data(model)
        p0 = pyhf.infer.hypotest(0.0, data, model, test_stat="q0")
        init = np.array(model.config.suggested_init())
        init[model.config.poi_index] = 0.0
        background = model.expected_data(init)
        _, cls = pyhf.infer.hypotest(1.0, background, model, return_expected=True)
    finally:
        pyhf.set_backend("numpy", pyhf.optimize.scipy_optimizer())
    from scipy.stats import norm

    assert est.score(*sample.all) == pytest.approx(norm.isf(float(p0)), rel=1e-4)
    assert est.set_params(metric="cls").score(*sample.all) == pytest.approx(-float(cls), rel=1e-3)


def test_metrics() -> None:
    """Each as its own function gives it, before any data; higher is better."""
    sample = make_sample()
    est = analysis().fit(*sample.all)
    model = est.model_
    background = nextstat.asimov_data(model, 0.0, nuisances="nominal")
    expected = {
        "significance": nextstat.significance(model),
        "cls": -nextstat.hypotest(model, 1.0, data=background).cls,
        "upper_limit": -nextstat.upper_limit(model, data=background).observed,
        "mu_uncertainty": -est.result_.error("mu"),
    }
    assert expected.keys() == METRICS.keys()
    more = copy.deepcopy(est).set_params(yields={**YIELDS, "signal": 60.0})
    for metric, value in expected.items():
        assert est.set_params(metric=metric).score(*sample.all) == pytest.approx(value, rel=1e-6)
        assert more.set_params(metric=metric).fit(*sample.all).score(*sample.all) > value


def test_score_does_not_depend_on_the_size_of_weights() -> None:
    sample = make_sample()
    est = analysis().fit(*sample.all)
    X, y, weight, variation = sample.all
    assert est.score(X, y, 7.5 * weight, variation) == pytest.approx(
        est.score(*sample.all), rel=1e-9
    )


def test_result() -> None:
    """The fit of data that are what is expected."""
    est = analysis().fit(*make_sample().all)
    assert est.result_.converged
    assert est.result_.mu == pytest.approx(1.0, abs=1e-6)
    np.testing.assert_allclose(est.model_.data, est.model_.expected_data(est.model_.init)[:6])


def test_importances() -> None:
    """Total impacts in the order of the names; the signal strength is not among them."""
    est = analysis(norm_systematics=NORM).fit(*make_sample().all)
    rows = {row["name"]: row["total_impact"] for row in rank_impact(est.model_)}
    assert set(est.nuisance_names_) == rows.keys()
    assert est.nuisance_names_ == tuple(n for n in est.model_.parameter_names if n != "mu")
    importances = est.feature_importances_
    assert importances.tolist() == [rows[name] for name in est.nuisance_names_]
    assert (importances >= 0.0).all()
    alone = analysis(staterror=False).fit(*make_sample(systematics=()).all)
    assert alone.nuisance_names_ == ()
    assert alone.feature_importances_.shape == (0,)


# Kinds of input ----------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["pandas", "polars", "float32", "list", "fortran"])
def test_kinds_of_input(kind: str) -> None:
    sample = make_sample()
    X, y, weight, variation = sample.all
    observable: Any = 1
    expected = analysis().fit(*sample.all).score(*sample.all)
    if kind == "pandas":
        frame = pd.DataFrame(X, columns=["noise", "m_bb"], index=np.arange(len(y))[::-1])
        X, y, weight, variation = frame, pd.Series(y), pd.Series(weight), pd.Categorical(variation)
        observable = "m_bb"
    elif kind == "polars":
        X, y = pl.DataFrame({"noise": X[:, 0], "m_bb": X[:, 1]}), pl.Series(y.tolist())
        weight, variation = pl.Series(weight), pl.Series(variation.tolist(), dtype=pl.Categorical)
        observable = "m_bb"
    elif kind == "float32":
        X, weight = X.astype(np.float32), weight.astype(np.float32)
    elif kind == "list":
        X, y, weight, variation = X.tolist(), y.tolist(), weight.tolist(), variation.tolist()
    else:
        X = np.asfortranarray(X)
    est = analysis(observable=observable).fit(X, y, weight, variation)
    assert est.score(X, y, weight, variation) == pytest.approx(expected, rel=1e-5)
    if observable == "m_bb":
        assert est.feature_names_in_.tolist() == ["noise", "m_bb"]


@pytest.mark.parametrize("labels", [(1, 0, 2), (True, False), ("s", "b"), (1.0, -1.0)])
def test_labels(labels: tuple[Any, ...]) -> None:
    """Any labels; among numbers the largest is the signal."""
    rng = np.random.default_rng(0)
    y = np.array(labels)[rng.integers(len(labels), size=300)]
    x = rng.uniform(size=(300, 1))
    signal = "s" if "s" in labels else max(labels)
    asked = None if len(labels) == 2 and signal != "s" else signal
    est = HistFactoryEstimator(signal=asked, lo=0, hi=1).fit(x, y)
    assert est.signal_ == signal
    assert est.classes_.tolist() == sorted(labels)
    assert est.yields_ == {k: float((y == k).sum()) for k in labels}


@pytest.mark.parametrize("kind", ["dict", "text", "path", "workspace", "model"])
def test_workspace_in_place_of_events(kind: str, tmp_path: Path) -> None:
    """The engine without the event stage, with the data of the workspace."""
    document = make_workspace(1, 4, 3, 5, random_state=2)
    path = tmp_path / "workspace.json"
    path.write_text(json.dumps(document))
    model = nextstat.from_pyhf(document)
    X = {
        "dict": document,
        "text": json.dumps(document),
        "path": path,
        "workspace": nextstat.workspace.load(document),
        "model": model,
    }[kind]
    est = HistFactoryEstimator().fit(X)
    assert est.result_.nll == pytest.approx(nextstat.fit(model).nll)
    with_signal, background = (
        nextstat.asimov_data(model, mu, nuisances="nominal") for mu in (1.0, 0.0)
    )
    assert est.score(X) == nextstat.significance(model, data=with_signal)
    cls = nextstat.hypotest(model, 1.0, data=background).expected[2]
    assert est.set_params(metric="cls").score(X) == pytest.approx(-cls, rel=1e-6)
    rows = {row["name"]: row["total_impact"] for row in rank_impact(model)}
    assert est.feature_importances_.tolist() == [rows[name] for name in est.nuisance_names_]
    with pytest.raises(ValueError, match="fit was given a workspace"):
        est.score([[1.0], [2.0]], [0, 1])


def test_copies() -> None:
    sample = make_sample()
    est = analysis(norm_systematics=NORM).fit(*sample.all)
    score = est.score(*sample.all)
    for other in (pickle.loads(pickle.dumps(est)), copy.deepcopy(est)):
        assert other.score(*sample.all) == score
        assert other.nuisance_names_ == est.nuisance_names_
    fresh = clone(est)
    with pytest.raises(NotFittedError):
        fresh.score(*sample.all)
    with pytest.raises(NotFittedError):
        _ = fresh.feature_importances_
    assert fresh.fit(*sample.all).score(*sample.all) == score
    assert "HistFactoryEstimator" in est._repr_html_()


# Sensitivity binning -----------------------------------------------------------------------------


def test_sensitivity_binning() -> None:
    """Fewer bins than any equally wide ones need for the same significance, within limits."""
    sample = make_sample(n=4000)
    options: dict[str, Any] = {"binning": "sensitivity", "min_background": 5.0, "max_mc_error": 0.1}
    est = analysis(**options).fit(*sample.all)
    assert 2 <= len(est.edges_) - 1 <= 6
    samples = est.workspace_["channels"][0]["samples"][1:]
    background = np.sum([s["data"] for s in samples], axis=0)
    errors = np.sqrt(np.sum([np.square(s["modifiers"][-1]["data"]) for s in samples], axis=0))
    assert (background >= 5.0).all()
    assert (errors <= 0.1 * background).all()
    uniform = analysis().fit(*sample.all)
    assert est.score(*sample.all) > uniform.score(*sample.all)


def test_sensitive_bins_are_at_least_as_good_as_others() -> None:
    """On the training events; with a systematic that other bins measure."""
    sample = make_sample(n=3000, systematics=("jes",))
    scores = {
        binning: analysis(binning=binning, lo=-0.5, hi=2.0).fit(*sample.all).score(*sample.all)
        for binning in ("uniform", "quantile", "sensitivity")
    }
    assert scores["sensitivity"] > 0.99 * max(scores.values())


def test_sensitivity_binning_follows_the_metric() -> None:
    """No other number of merged bins has a better metric."""
    sample = make_sample(n=1000)
    scores = []
    for n_bins in (1, 2, 3, 4, 5):
        est = analysis(binning="sensitivity", n_bins=n_bins, metric="mu_uncertainty")
        scores.append(est.fit(*sample.all).score(*sample.all))
    assert scores == sorted(scores)


# Bad input ---------------------------------------------------------------------------------------

X3 = [[0.2], [0.4], [0.6]]
BAD: list[tuple[dict[str, Any], tuple[Any, ...], str]] = [
    ({}, (X3, None), "requires y to be passed"),
    ({}, (X3, [0, 1]), "y has 2 entries for 3 rows"),
    ({}, (X3, [1, 1, 1]), "y holds one class only, 1; expected signal and at least one"),
    ({}, (X3, ["a", "b", "b"]), "which of the labels ['a', 'b'] is the signal?"),
    ({"signal": 7}, (X3, [0, 1, 1]), "signal is 7, expected one of the labels of y, [0, 1]"),
    ({}, (X3, [0, 1, np.nan]), "y is missing (NaN or None) for 1 rows"),
    ({}, ([[0.2], [np.nan], [0.1]], [0, 1, 1]), "Input X contains NaN"),
    ({}, (X3, [0, 1, 1], [1.0, 2.0]), "sample_weight has shape (2,), expected (3,)"),
    ({}, (X3, [0, 1, 1], [1.0, np.nan, 1.0]), "Input sample_weight contains NaN"),
    ({}, (X3, [0, 1, 1], [0.0, 0.0, 0.0]), "sample_weight is zero for all rows"),
    ({}, (X3, [0, 1, 1], [1.0, 1.0, -3.0]), "the weights of label 1, nominal, add up to -2"),
    ({}, (X3, [0, 1, 1], [0.0, 1.0, 1.0]), "one class only, 1 (rows of weight 0 do not count)"),
    (
        {},
        (np.r_[X3, X3], [0, 0, 1, 1, 1, 1], [1.0, -1.0, 1, 1, 1, 1]),
        "label 0, nominal, add up to 0",
    ),
    ({}, (X3, [0, 1, 1], None, ["nominal"]), "variation has 1 entries for 3 rows"),
    ({}, (X3, [0, 1, 1], None, ["nominal", "nominal", "jes"]), "variation holds 'jes', expected"),
    (
        {},
        (X3, [0, 1, 1], None, ["nominal", "nominl", "nominal"]),
        "variation holds 'nominl' (did you mean 'nominal'?), expected 'nominal'",
    ),
    ({}, (X3, [0, 1, 1], None, ["nominal", None, "nominal"]), "variation is missing"),
    ({}, (X3, [0, 1, 1], None, ["nominal", "jes_up", "jes_up"]), "label 1 has no nominal events"),
    (
        {},
        ([*X3, [0.1]], [0, 1, 1, 1], [1.0, 1.0, 1.0, -1.0], ["nominal"] * 3 + ["jes_up"]),
        "the weights of label 1, jes_up, add up to -1",
    ),
    (
        {},
        (X3, [0, 1, 1], None, ["nominal", "nominal", "mu_up"]),
        "'mu' is the name of another parameter",
    ),
    ({"lo": 2.0, "hi": 3.0}, (X3, [0, 1, 1]), "0 background events are expected between 2 and 3"),
    ({"lo": 0.0, "hi": 0.3}, (X3, [0, 1, 1]), "0 signal events are expected between 0 and 0.3"),
    ({"lo": 0.5, "hi": 0.5}, (X3, [0, 1, 1]), "start at 0.5 and end at 0.5, expected lo < hi"),
    ({"lo": 0.8}, (X3, [0, 1, 1]), "the observable is between 0.2 and 0.6"),
    ({"lo": np.nan}, (X3, [0, 1, 1]), "expected lo < hi"),
    ({"binning": "unifrom"}, (X3, [0, 1, 1]), "binning is 'unifrom', expected one of"),
    ({"binning": [0.0, 0.0, 1.0]}, (X3, [0, 1, 1]), "expected finite, increasing edges"),
    ({"binning": [1.0]}, (X3, [0, 1, 1]), "binning has shape (1,), expected at least two"),
    ({"n_bins": 0}, (X3, [0, 1, 1]), "n_bins is 0, expected at least 1"),
    ({"staterror": "no"}, (X3, [0, 1, 1]), "staterror is 'no', expected True or False"),
    ({"luminosity": np.inf}, (X3, [0, 1, 1]), "luminosity is inf, expected a number > 0"),
    ({"lo": -np.inf}, (X3, [0, 1, 1]), "expected lo < hi, both finite"),
    ({"lo": 0.3, "hi": 0.3 + 1e-16}, (X3, [0, 1, 1]), "cannot be divided into 10 equally wide"),
    ({"norm_systematics": ["xs"]}, (X3, [0, 1, 1]), "expected a mapping of names to sizes"),
    ({"yields": {0: None, 1: 1.0}}, (X3, [0, 1, 1]), "yields[0] is None, expected a number"),
    ({"metric": "auc"}, (X3, [0, 1, 1]), "metric is 'auc', expected one of"),
    ({"overflow": "clip"}, (X3, [0, 1, 1]), "overflow is 'clip'"),
    ({"smoothing": "box"}, (X3, [0, 1, 1]), "smoothing is 'box'"),
    ({"bandwidth": 0.0}, (X3, [0, 1, 1]), "bandwidth is 0.0, expected a number > 0"),
    ({"luminosity": -1}, (X3, [0, 1, 1]), "luminosity is -1, expected a number > 0"),
    ({"min_background": -1}, (X3, [0, 1, 1]), "min_background is -1, expected a number >= 0"),
    (
        {"binning": "sensitivity", "min_background": 5.0},
        (X3, [0, 1, 1]),
        "does not reach min_background=5",
    ),
    ({"observable": 1}, (X3, [0, 1, 1]), "observable is 1, but X has 1 columns"),
    ({"observable": "m"}, (X3, [0, 1, 1]), "observable is 'm', expected a column of X"),
    ({"yields": {0: 1.0}}, (X3, [0, 1, 1]), "yields has no entry for label 1, only [0]"),
    ({"yields": {0: 1.0, 1: 0.0}}, (X3, [0, 1, 1]), "yields[1] is 0.0, expected a number > 0"),
    (
        {"yields": {0: 1.0, 1: 1.0, 2: 1.0}},
        (X3, [0, 1, 1]),
        "yields names label 2, which has no events in y",
    ),
    (
        {"norm_systematics": {"xs": {"top": 0.1}}},
        (X3, ["ttbar", "signal", "signal"]),
        "norm_systematics['xs'] names label 'top', expected one of those of y",
    ),
    (
        {"norm_systematics": {"xs": {0: -1.5}}},
        (X3, [0, 1, 1]),
        "norm_systematics['xs'][0] is -1.5, expected a relative uncertainty",
    ),
    ({"norm_systematics": {"xs": {"1": 0.1}}}, (X3, [0, 1, 1]), "names label '1', expected one of"),
    ({"norm_systematics": {"xs": {0: 6}}}, (X3, [0, 1, 1]), "between 0 and 1 (0.06: 6 %)"),
    ({"norm_systematics": {"xs": 0.0}}, (X3, [0, 1, 1]), "that are positive"),
    ({"norm_systematics": {"xs": {0: (1.0,)}}}, (X3, [0, 1, 1]), "expected a relative uncertainty"),
    ({"norm_systematics": {"mu": 0.1}}, (X3, [0, 1, 1]), "'mu' is the name of another parameter"),
]


@pytest.mark.parametrize(("options", "arguments", "message"), BAD)
def test_bad_input(options: dict[str, Any], arguments: tuple[Any, ...], message: str) -> None:
    """An error that names what was found and what was expected."""
    with pytest.raises((ValueError, TypeError)) as error:
        HistFactoryEstimator(**options).fit(*arguments)
    assert message in str(error.value)


def test_events_to_score_are_like_those_of_fit() -> None:
    """Nothing that fit knew is dropped, nothing that it did not know is used."""
    sample = make_sample()
    est = analysis().fit(*sample.all)
    X, y, weight, variation = sample.all
    for events, message in [
        ((X, y, weight), "no rows of variation 'jes_up' for label 'signal', which fit had"),
        (sample.rows(variation != "jes_down").all, "no rows of variation 'jes_down'"),
        (sample.rows(y != "top").all, "label 'top' has no events in y"),
        ((X, np.where(y == "top", "tt", y), weight, variation), "y holds 'tt', which fit did not"),
        ((X[:, :1], y, weight, variation), "X has 1 features, but HistFactoryEstimator"),
        ((X, y, None, variation), "the events of fit had weights, these have none"),
        (
            (X, y, np.where(variation == "jes_up", 0.0, weight), variation),
            "no rows of variation 'jes_up' for label 'signal', which fit had",
        ),
    ]:
        with pytest.raises(ValueError) as error:
            est.score(*events)
        assert message in str(error.value)
    without = make_sample(systematics=("jes",))
    with pytest.raises(ValueError, match="'scale_up' has rows for label 'top', but had none"):
        analysis().fit(*without.all).score(*sample.all)


def test_suspicious_settings() -> None:
    """Said, but done: factors on one side, a signal chosen among several numbers."""
    with pytest.warns(WorkspaceWarning, match="both are on one side of 1"):
        HistFactoryEstimator(2, norm_systematics={"xs": {0: (0.06, 0.04)}}).fit(
            [[0.1], [0.6], [0.2], [0.7]], [0, 0, 1, 1]
        )
    with pytest.warns(WorkspaceWarning, match="the signal is taken to be 2, the largest of"):
        est = HistFactoryEstimator(1).fit([[0.1], [0.6], [0.2], [0.7]], [0, 0, 1, 2])
    assert est.signal_ == 2


def test_limits_of_weak_signals_are_not_announced() -> None:
    """Far beyond the bounds of mu, which nobody set."""
    sample = make_sample()
    est = analysis(yields={**YIELDS, "signal": 0.05}, metric="upper_limit").fit(*sample.all)
    assert est.score(*sample.all) < -100.0


def test_pyhf_reads_the_workspace() -> None:
    """Limits included, which depend on the bounds of mu."""
    sample = make_sample(systematics=("jes",))
    est = analysis(n_bins=3, yields={**YIELDS, "signal": 60.0}).fit(*sample.all)
    workspace = pyhf.Workspace(est.workspace_)
    model = workspace.model()
    data = workspace.data(model)
    assert model.config.suggested_bounds()[model.config.poi_index] == (0, 10)
    cls = float(pyhf.infer.hypotest(1.5, data, model, test_stat="qtilde"))
    assert nextstat.hypotest(est.model_, 1.5).cls == pytest.approx(cls, rel=1e-3)


def test_same_name_twice() -> None:
    """A normalisation of the same name is the same parameter, unless it would stand twice."""
    sample: Sample = make_sample(systematics=("jes",))
    est = analysis(norm_systematics={"jes": {"top": 0.1}})
    est.fit(*sample.all)
    assert est.model_.parameter_names.count("jes") == 1
    with pytest.raises(ValueError, match="'jes' of 'top' would have two normalisations"):
        est.set_params(split_normalisation=True).fit(*sample.all)


@pytest.mark.parametrize("where", ["lowest", "highest"])
def test_quantile_bins_of_a_value_that_most_events_have(where: str) -> None:
    """All the bins asked for, which see the signal as other binnings do; few values are told."""
    rng = np.random.default_rng(0)
    n, end = 2000, 0.0 if where == "lowest" else 1.0
    background = np.where(rng.random(n) < 0.8, end, rng.random(n))
    signal = np.where(rng.random(n) < 0.8, abs(1.0 - end) * 0.9 + 0.1 * rng.random(n), 0.5)
    X, y = np.r_[background, signal][:, None], np.r_[["background"] * n, ["signal"] * n]
    options: dict[str, Any] = {"n_bins": 3, "yields": {"background": 1000.0, "signal": 30.0}}
    quantile = HistFactoryEstimator(binning="quantile", **options).fit(X, y)
    uniform = HistFactoryEstimator(**options).fit(X, y)
    assert len(quantile.edges_) == 4
    assert quantile.score(X, y) > 0.8 * uniform.score(X, y)


@pytest.mark.parametrize("n_values", [1, 2, 4])
def test_fewer_values_than_quantile_bins(n_values: int) -> None:
    x = np.tile(np.arange(n_values), 60)[:, None].astype(float)
    y = np.repeat(["background", "signal"], len(x) // 2)
    with pytest.warns(WorkspaceWarning, match=rf"5 bins with .*: {n_values} (is|are) left") as seen:
        estimator = HistFactoryEstimator(n_bins=5, binning="quantile").fit(x, y)
    assert seen[0].filename == __file__
    assert len(estimator.edges_) - 1 == n_values


# What looks odd but has an answer, or does not --------------------------------------------------


def odd_events() -> tuple[Any, Any]:
    rng = np.random.default_rng(0)
    x = np.r_[rng.normal(0.7, 0.15, 300), rng.uniform(size=300)]
    return x[:, None], np.repeat(["signal", "top"], 300)


@pytest.mark.parametrize("smoothing", [None, "kde"])
@pytest.mark.parametrize("scale", [1e-150, 1e-20, 1.0, 1e20, 1e140])
def test_any_size_of_weights(scale: float, smoothing: Any) -> None:
    """Results do not depend on it, as far as squares of weights are numbers; beyond, it says so."""
    X, y = odd_events()
    est = HistFactoryEstimator(4, yields={"signal": 10.0, "top": 90.0}, smoothing=smoothing)
    expected = sklearn_score(est, X, y, np.ones(600))
    assert sklearn_score(est, X, y, np.full(600, scale)) == pytest.approx(expected, rel=1e-9)
    for too_much in (1e-160, 5e-324, 1e160, 1e300):
        with pytest.raises(
            ValueError, match=r"the largest of sample_weight is .* cannot be squared"
        ):
            est.fit(X, y, np.full(600, too_much))


def sklearn_score(est: HistFactoryEstimator, X: Any, y: Any, weight: Any) -> float:
    return est.fit(X, y, weight).score(X, y, weight)


@pytest.mark.parametrize("scale", [1e-290, 1e-100, 1e100, 1e290])
def test_any_unit_of_the_observable(scale: float) -> None:
    """Scott's rule does not lose or exceed the range of numbers."""
    X, y = odd_events()
    est = HistFactoryEstimator(4, yields={"signal": 10.0, "top": 90.0}, smoothing="kde")
    expected = est.fit(X, y).score(X, y)
    assert est.fit(scale * X, y).score(scale * X, y) == pytest.approx(expected, rel=1e-9)


def test_missing_values_elsewhere() -> None:
    """Only the observable has to be known."""
    X, y = odd_events()
    other = np.where(X > 0.5, np.nan, np.inf)
    expected = HistFactoryEstimator(4).fit(X, y)
    frame = pd.DataFrame({"other": other[:, 0], "x": X[:, 0]})
    found = HistFactoryEstimator(4, observable="x").fit(frame, y)
    assert found.workspace_ == expected.workspace_
    assert found.score(frame, y) == expected.score(X, y)
    for column in ("other", 0):
        with pytest.raises(ValueError, match=r"Input X contains (NaN|infinity)"):
            HistFactoryEstimator(4, observable=column).fit(frame, y)
    with pytest.raises(ValueError, match="Input X contains infinity"):
        found.score(frame.replace({"x": {X[0, 0]: np.inf}}), y)


def test_labels_in_bytes() -> None:
    """Samples are called like the text."""
    X, y = odd_events()
    est = HistFactoryEstimator(4).fit(X, y.astype("S"))
    assert est.signal_ == b"signal"
    assert est.model_.samples == ("signal", "top")
    assert est.workspace_ == HistFactoryEstimator(4).fit(X, y).workspace_
    assert est.score(X, y.astype("S")) == HistFactoryEstimator(4).fit(X, y).score(X, y)


@pytest.mark.parametrize("weight", [1.0, np.ones((600, 1)), np.ones(3)])
def test_weights_of_another_shape(weight: Any) -> None:
    X, y = odd_events()
    with pytest.raises(ValueError, match=r"sample_weight has shape .*, expected \(600,\)"):
        HistFactoryEstimator(4).fit(X, y, weight)
