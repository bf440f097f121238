"""Rows of weight zero are as absent, whatever they hold: dropping them changes nothing."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import polars as pl
import pytest
from events import YIELDS, Sample, make_sample
from sklearn.dummy import DummyClassifier
from sklearn.ensemble import HistGradientBoostingClassifier

from nextstat import HistFactoryEstimator, ScoreTransformer
from nextstat.inspection import impact_importance
from nextstat.metrics import get_scorer

OPTIONS: dict[str, dict[str, Any]] = {
    "uniform": {},
    "quantile": {"binning": "quantile"},
    "sensitivity": {"binning": "sensitivity", "n_bins": 3},
    "given": {"binning": [0.0, 0.3, 0.6, 1.0], "overflow": "keep"},
    "smoothed": {"smoothing": "kde"},
    "luminosity": {"yields": None, "luminosity": 2.0},
    "jackknife": {"jackknife": 3, "binning": "quantile", "n_bins": 3},
}


def analysis(**options: Any) -> HistFactoryEstimator:
    return HistFactoryEstimator(**({"n_bins": 4, "observable": 1, "yields": YIELDS} | options))


@pytest.fixture
def sample() -> Sample:
    return make_sample(n=200, systematics=("jes",))


def with_absent(sample: Sample) -> tuple[Sample, npt.NDArray[np.bool_]]:
    """Rows of weight zero in between: extreme, of other labels and variations, or missing."""
    n = 60
    rng = np.random.default_rng(1)
    x = rng.choice([-1e9, 0.5, 1e9, np.nan, np.inf], n)
    rows = Sample(
        np.column_stack([x, x]),
        rng.choice(["signal", "top", "data", "unseen"], n),
        rng.choice([0.0, -0.0], n),
        rng.choice(["nominal", "jes_up", "other_up", "no variation"], n),
    )
    place = rng.permutation(len(sample.y) + n)
    place[np.sort(np.argsort(place)[: len(sample.y)])] = np.arange(len(sample.y))  # in order
    place[np.flatnonzero(place >= len(sample.y))] = np.arange(len(sample.y), len(sample.y) + n)
    columns = (
        np.concatenate([getattr(sample, name), getattr(rows, name)])[place]
        for name in ("X", "y", "weight", "variation")
    )
    return Sample(*columns), place >= len(sample.y)


def groups_of(sample: Sample) -> npt.NDArray[np.intp]:
    """The number of the event: every part holds the events in the same order."""
    return np.arange(len(sample.y)) % (np.count_nonzero(sample.variation == "nominal"))


@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS.keys())
def test_analysis(sample: Sample, options: dict[str, Any]) -> None:
    """Edges, bandwidths, templates, model and scores, to the last bit."""
    full, absent = with_absent(sample)
    assert absent.any()
    groups = np.full(len(absent), -7)
    groups[~absent] = groups_of(sample)
    expected, found = analysis(**options).fit(*sample.all), analysis(**options).fit(*full.all)
    assert found.edges_.tolist() == expected.edges_.tolist()
    assert found.workspace_ == expected.workspace_
    assert found.classes_.tolist() == expected.classes_.tolist()
    assert found.yields_ == expected.yields_
    score = expected.score(*sample.all, groups=groups_of(sample))
    assert found.score(*full.all, groups=groups) == score
    assert found.workspace(*full.all) == expected.workspace(*sample.all)


@pytest.mark.parametrize("kind", ["pandas", "polars", "list", "categorical", "float32"])
def test_kinds_of_input(sample: Sample, kind: str) -> None:
    full, _ = with_absent(sample)
    X, y, weight, variation = full.all
    X = X.astype(np.float32).astype(float)
    made: dict[str, tuple[Any, ...]] = {
        "pandas": (pd.DataFrame(X), pd.Series(y), pd.Series(weight), pd.Series(variation)),
        "polars": (pl.DataFrame(X), pl.Series(y), pl.Series(weight), pl.Series(variation)),
        "list": (X.tolist(), y.tolist(), weight.tolist(), variation.tolist()),
        "categorical": (X, pd.Categorical(y), weight, pd.Categorical(variation)),
        "float32": (X.astype(np.float32), y, weight, variation),
    }
    kept = weight != 0.0
    expected = analysis().fit(X[kept], y[kept], weight[kept], variation[kept])
    found = analysis().fit(*made[kind])
    np.testing.assert_allclose(found.edges_, expected.edges_, rtol=1e-6)
    assert found.model_.expected_data(found.model_.init) == pytest.approx(
        expected.model_.expected_data(expected.model_.init), rel=1e-6
    )


def test_labels_of_absent_rows_only(sample: Sample) -> None:
    """They are not seen, and the message says why."""
    weight = np.where(sample.y == "wjets", 0.0, sample.weight)
    events = (sample.X, sample.y, weight, sample.variation)
    with pytest.raises(ValueError, match="yields names label 'wjets', which has no events"):
        analysis().fit(*events)
    yields = {label: n for label, n in YIELDS.items() if label != "wjets"}
    assert analysis(yields=yields).fit(*events).classes_.tolist() == ["signal", "top"]
    with pytest.raises(ValueError, match=r"'wjets' has no events in y \(or only some of weight 0"):
        analysis().fit(*sample.all).score(*events)


def test_lengths_are_compared_first(sample: Sample) -> None:
    full, _ = with_absent(sample)
    X, y, weight, variation = full.all
    for arguments, message in [
        ((X, y[:-1], weight, variation), "y has"),
        ((X, y, weight[:-1], variation), "sample_weight has shape"),
        ((X, y, weight, variation[:-1]), "variation has"),
    ]:
        with pytest.raises(ValueError, match=f"{message}|contains NaN|contains infinity"):
            analysis().fit(*arguments)


def finite(sample: Sample) -> Sample:
    return Sample(np.nan_to_num(sample.X, posinf=9.0, neginf=-9.0), *sample.all[1:])


@pytest.mark.parametrize("cv", [None, 3])
def test_score_transformer(sample: Sample, cv: int | None) -> None:
    """The trees learn their bins from rows with weights only; all rows get scores."""
    sample.weight[:] = np.abs(sample.weight)
    full, absent = with_absent(sample)
    full = finite(full)
    groups = np.full(len(absent), 10_000)
    groups[~absent] = groups_of(sample)
    options: dict[str, Any] = {"max_iter": 10, "random_state": 0}
    step = ScoreTransformer(HistGradientBoostingClassifier(**options), cv=cv, balance=True)
    expected = step.fit_transform(*sample.all, groups=groups_of(sample))
    found = step.fit_transform(*full.all, groups=groups)
    assert len(found) == len(absent)
    np.testing.assert_array_equal(found[~absent], expected)
    assert step.classes_.tolist() == ["signal", "top", "wjets"]


def test_variations_without_weight_need_no_groups(sample: Sample) -> None:
    weight = np.where(sample.variation == "nominal", np.abs(sample.weight), 0.0)
    step = ScoreTransformer(HistGradientBoostingClassifier(max_iter=5), cv=2)
    step.fit_transform(sample.X, sample.y, weight, sample.variation)
    jackknifed = analysis(jackknife=2, n_bins=2)
    jackknifed.fit(sample.X, sample.y, weight, sample.variation)
    jackknifed.score(sample.X, sample.y, weight, sample.variation)


def test_repetitions_and_scorers(sample: Sample) -> None:
    """Draws are of events with weights; a classifier's scores are binned without the others."""
    full, absent = with_absent(sample)
    groups = np.full(len(absent), -7)
    groups[~absent] = groups_of(sample)
    fitted = analysis(n_bins=2).fit(*sample.all)
    results = []
    for events, of_event in ((sample, groups_of(sample)), (full, groups)):
        results.append(
            impact_importance(
                fitted,
                events.X,
                events.y,
                sample_weight=events.weight,
                variation=events.variation,
                groups=of_event,
                n_repeats=2,
                random_state=0,
            ).importances
        )
    np.testing.assert_array_equal(*results)
    classifier = DummyClassifier(strategy="uniform", random_state=0).fit(sample.X, sample.y)
    scorer = get_scorer("significance", n_bins=1, signal="signal")
    expected = scorer(classifier, *sample.all)
    assert scorer(classifier, finite(full).X, *full.all[1:]) == pytest.approx(expected, rel=1e-12)
