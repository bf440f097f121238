"""Scorers: of analyses, of pipelines that end in one, of plain classifiers."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
from events import YIELDS, make_sample
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import LinearSVC

from nextstat import HistFactoryEstimator, ScoreTransformer
from nextstat.metrics import METRICS, get_scorer, get_scorer_names


@pytest.mark.parametrize("metric", get_scorer_names())
def test_score_with_another_metric(metric: str) -> None:
    """The estimator itself keeps its own."""
    sample = make_sample()
    X, y, weight, variation = sample.all
    steps = make_pipeline(
        ScoreTransformer(LogisticRegression()),
        HistFactoryEstimator(4, 0.0, 1.0, yields=YIELDS),
    )
    scores = steps[0].fit(X, y, np.abs(weight), variation).transform(X)
    analysis = steps[1].fit(scores, y, weight, variation)
    expected = analysis.set_params(metric=metric).score(scores, y, weight, variation)
    analysis.set_params(metric="significance")
    scorer = pickle.loads(pickle.dumps(get_scorer(metric)))
    metadata = {"sample_weight": weight, "variation": variation}
    assert scorer(analysis, scores, y, **metadata) == expected
    assert scorer(steps, X, y, **metadata) == expected
    assert scorer(make_pipeline("passthrough", steps), X, y, **metadata) == expected
    assert analysis.metric == "significance"


def test_classifier() -> None:
    """Its signal probability binned between 0 and 1, in the bins asked for."""
    sample = make_sample(systematics=("jes",))
    X, y, weight, variation = sample.all
    classifier = LogisticRegression().fit(X, y)
    scores = classifier.predict_proba(X)[:, :1]
    scorer = get_scorer("upper_limit", n_bins=7, yields=YIELDS)
    analysis = HistFactoryEstimator(7, 0.0, 1.0, yields=YIELDS, metric="upper_limit")
    expected = analysis.fit(scores, y, weight, variation).score(scores, y, weight, variation)
    assert scorer(classifier, X, y, weight, variation) == expected
    other = get_scorer("significance", n_bins=2, signal="top", lo=0.2)
    analysis = HistFactoryEstimator(2, lo=0.2, hi=1.0, signal="top")
    tops = classifier.predict_proba(X)[:, 1:2]
    expected = analysis.fit(tops, y).score(tops, y)
    assert other(classifier, X, y) == expected


def test_decision_function() -> None:
    """Binned over its range, not between 0 and 1; whatever labels the scored events have."""
    sample = make_sample(systematics=())
    classifier = LinearSVC().fit(sample.X, sample.y == "signal")
    y = (sample.y == "signal").astype(int)
    scores = classifier.decision_function(sample.X)[:, None]
    expected = HistFactoryEstimator(5).fit(scores, y).score(scores, y)
    assert get_scorer("significance", n_bins=5)(classifier, sample.X, sample.y == "signal") == (
        pytest.approx(expected)
    )


def test_signal_is_the_classifiers() -> None:
    """Not the largest label of the events that are scored."""
    rng = np.random.default_rng(0)
    y = rng.integers(3, size=300)
    X = rng.normal(size=(300, 1)) + y[:, None]
    classifier = LogisticRegression().fit(X, y)
    with pytest.raises(ValueError, match="signal is 2, expected one of the labels"):
        get_scorer("significance", signal=2)(classifier, X[y < 2], y[y < 2])


def test_pipeline_of_one_step() -> None:
    sample = make_sample(systematics=())
    analysis = HistFactoryEstimator(3, 0.0, 1.0, observable=1).fit(sample.X, sample.y)
    steps = Pipeline([("analysis", analysis)])
    expected = analysis.score(sample.X, sample.y)
    assert get_scorer("significance")(steps, sample.X, sample.y) == expected


def test_names() -> None:
    assert get_scorer_names() == sorted(METRICS)
    assert repr(get_scorer("cls", n_bins=4)) == "get_scorer('cls', n_bins=4)"
    with pytest.raises(ValueError, match="unknown option 'nbins' \\(did you mean 'n_bins'"):
        get_scorer("significance", nbins=5)
    with pytest.raises(ValueError, match="neither predict_proba nor decision_function"):
        get_scorer("significance")(StandardScaler(), [[0.0]], [0])
    with pytest.raises(ValueError, match="unknown metric 'signifcance' \\(did you mean"):
        get_scorer("signifcance")  # type: ignore[arg-type]


def test_options_of_an_analysis() -> None:
    sample = make_sample()
    analysis = HistFactoryEstimator(4, 0.0, 1.0, observable=1).fit(*sample.all)
    with pytest.raises(ValueError, match=r"options \['n_bins'\] are for classifiers"):
        get_scorer("cls", n_bins=3)(analysis, *sample.all)
