"""Importances with their spread, and their display."""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
import pytest
from events import YIELDS, make_sample
from matplotlib.figure import Figure
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline

import nextstat
from nextstat import HistFactoryEstimator
from nextstat.datasets import make_workspace
from nextstat.exceptions import FitWarning
from nextstat.inspection import ImpactDisplay, impact_importance
from nextstat.interpret import rank_impact


@pytest.fixture(scope="module")
def analysis() -> HistFactoryEstimator:
    est = HistFactoryEstimator(5, 0.0, 1.0, observable=1, yields=YIELDS)
    return est.fit(*make_sample().all)


def test_pseudo_experiments(analysis: HistFactoryEstimator) -> None:
    """Rankings of toys thrown from the model; the same ones for the same seed."""
    found = impact_importance(analysis, n_repeats=3, random_state=1)
    n = len(analysis.nuisance_names_)
    assert found.nuisance_names == analysis.nuisance_names_
    assert found.importances.shape == (n, 3)
    seed = int(np.random.RandomState(1).randint(2**31))
    for k, toy in enumerate(nextstat.toy_data(analysis.model_, 3, seed=seed)):
        ranked = rank_impact(analysis.model_, data=toy, bounds={"mu": (-10.0, 10.0)})
        rows = {row["name"]: row["total_impact"] for row in ranked}
        expected = [rows[x] for x in analysis.nuisance_names_]
        np.testing.assert_array_equal(found.importances[:, k], expected)
    np.testing.assert_allclose(found.importances_mean, np.nanmean(found.importances, axis=1))
    np.testing.assert_allclose(found.importances_std, np.nanstd(found.importances, axis=1))
    many = impact_importance(analysis, n_repeats=40, random_state=0).importances_mean
    large = analysis.feature_importances_ > 0.2
    assert large.sum() > 2
    np.testing.assert_allclose(many[large], analysis.feature_importances_[large], rtol=0.2)


def test_bootstraps(analysis: HistFactoryEstimator) -> None:
    """Around the importances of all events, with the spread of their number; pipelines too."""
    sample = make_sample()
    X, y, weight, variation = sample.all
    groups = np.arange(len(y))  # no row shares its event with another
    options = {"sample_weight": weight, "variation": variation, "groups": groups}
    found = impact_importance(analysis, X, y, n_repeats=10, random_state=0, **options)
    again = impact_importance(
        make_pipeline("passthrough", analysis), X, y, n_repeats=10, random_state=0, **options
    )
    np.testing.assert_array_equal(found.importances, again.importances)
    assert (found.importances_std > 0.0).all()
    jes = analysis.nuisance_names_.index("jes")
    pull = found.importances_mean[jes] - analysis.feature_importances_[jes]
    assert abs(pull) < 3.0 * found.importances_std[jes]
    with pytest.raises(ValueError, match="events with variations need groups"):
        impact_importance(analysis, X, y, variation=variation)


def test_bootstrap_without_variations() -> None:
    sample = make_sample(systematics=())
    est = HistFactoryEstimator(3, 0.0, 1.0, observable=1).fit(sample.X, sample.y)
    found = impact_importance(est, sample.X, sample.y, n_repeats=4, random_state=0)
    assert found.importances.shape == (6, 4)
    assert (found.importances_std > 0.0).all()


def test_bootstraps_with_other_bins() -> None:
    """Where bins are merged, gammas of the same name are of other bins: left out."""
    rng = np.random.default_rng(0)
    X = np.concatenate([rng.uniform(0.0, 0.5, 60), [0.9], rng.uniform(size=60)])[:, None]
    y = np.array(["b"] * 61 + ["signal"] * 60)
    est = HistFactoryEstimator(2, 0.0, 1.0, norm_systematics={"xs": {"b": 0.2}}).fit(X, y)
    found = impact_importance(est, X, y, n_repeats=8, random_state=0)
    merged = np.isnan(found.importances[1:]).all(axis=0)
    assert 0 < merged.sum() < 8
    assert np.isfinite(found.importances[0]).all()
    assert np.isfinite(found.importances_mean).all()


def test_variations_are_drawn_with_their_event() -> None:
    """Copies that differ in nothing have no effect in any bootstrap."""
    sample = make_sample(systematics=())
    X, y = np.vstack([sample.X] * 3), np.tile(sample.y, 3)
    variation = np.repeat(["nominal", "a_up", "a_down"], len(sample.y))
    groups = np.tile(np.arange(len(sample.y)), 3)
    est = HistFactoryEstimator(3, 0.0, 1.0, observable=1).fit(X, y, variation=variation)
    found = impact_importance(
        est, X, y, variation=variation, groups=groups, n_repeats=3, random_state=0
    )
    assert found.importances[est.nuisance_names_.index("a")] == pytest.approx(0.0, abs=1e-9)


def test_fits_that_fail(analysis: HistFactoryEstimator, monkeypatch: pytest.MonkeyPatch) -> None:
    """They are NaN, counted aloud, and do not spoil the mean."""
    rows, calls = rank_impact(analysis.model_), iter(range(100))

    def sometimes(model: object, **options: object) -> object:
        if next(calls) % 2:
            raise nextstat.FitError("not this one")
        return rows

    monkeypatch.setattr("nextstat.inspection.rank_impact", sometimes)
    with pytest.warns(FitWarning, match="2 of 4 repetitions could not be fitted"):
        found = impact_importance(analysis, n_repeats=4, random_state=0)
    assert np.isnan(found.importances).all(axis=0).tolist() == [False, True, False, True]
    np.testing.assert_allclose(found.importances_mean, analysis.feature_importances_)
    monkeypatch.setattr("nextstat.inspection.rank_impact", lambda *a, **k: sometimes(*a, **k))
    next(calls)
    with pytest.raises(nextstat.FitError, match="none of the 1 repetitions"):
        impact_importance(analysis, n_repeats=1, random_state=0)


def test_display(analysis: HistFactoryEstimator) -> None:
    """The ranking of the model, in a new figure or in axes of one's own."""
    display = ImpactDisplay.from_estimator(analysis, max_display=4)
    assert isinstance(display.figure_, Figure)
    labels = [label.get_text() for label in display.ax_.get_yticklabels()]
    expected = [row["name"] for row in rank_impact(analysis.model_, top_n=4)]
    assert labels == expected[::-1]
    other = make_sample(seed=3)
    X, y, weight, variation = other.all
    new = ImpactDisplay.from_estimator(analysis, X, y, sample_weight=weight, variation=variation)
    rows = rank_impact(nextstat.from_pyhf(analysis.workspace(*other.all)), top_n=20)
    assert [row["name"] for row in new.rows] == [row["name"] for row in rows]
    figure, ax = plt.subplots()
    steps = make_pipeline("passthrough", analysis)
    other = ImpactDisplay.from_estimator(steps, method="covariance", ax=ax)
    assert other.ax_ is ax
    assert other.figure_ is figure
    plt.close("all")


def test_workspace_of_ones_own() -> None:
    est = HistFactoryEstimator().fit(
        make_workspace(1, 3, 2, 2, signal_fraction=0.5, random_state=0)
    )
    found = impact_importance(est, n_repeats=2, random_state=0)
    assert found.importances.shape == (len(est.nuisance_names_), 2)


def test_bad_input(analysis: HistFactoryEstimator) -> None:
    with pytest.raises(NotFittedError):
        impact_importance(HistFactoryEstimator())
    with pytest.raises(TypeError, match="estimator is a LogisticRegression, expected"):
        impact_importance(LogisticRegression())
    sample = make_sample()
    X, y = sample.X, sample.y
    with pytest.raises(ValueError, match="X is given but y is not"):
        impact_importance(analysis, X)
    with pytest.raises(ValueError, match="groups has 10 entries"):
        impact_importance(analysis, X, y, groups=np.arange(10))
    with pytest.raises(ValueError, match="inconsistent numbers of samples"):
        impact_importance(analysis, X[:10], y)
    with pytest.raises(ValueError, match="n_repeats is 0"):
        impact_importance(analysis, n_repeats=0)
