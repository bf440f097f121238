"""Scores corrected for the bias of few events, against the same by hand."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import sklearn
from events import YIELDS, Sample, make_sample
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, GroupKFold, cross_val_score
from sklearn.pipeline import make_pipeline

from nextstat import HistFactoryEstimator, ScoreTransformer
from nextstat.datasets import make_workspace
from nextstat.metrics import METRICS, get_scorer

N_GROUPS = 4
PLAIN: dict[str, Any] = {"jackknife": None, "staterror": False}


def analysis(**options: Any) -> HistFactoryEstimator:
    """A few bins of the second column, corrected."""
    defaults = {"n_bins": 4, "lo": 0.0, "hi": 1.0, "observable": 1, "yields": YIELDS}
    return HistFactoryEstimator(**(defaults | {"jackknife": N_GROUPS} | options))


def event_of_row(sample: Sample) -> npt.NDArray[np.intp]:
    """Number of the event that each row is of; reweighted rows are of top quarks alone."""
    nominal = np.flatnonzero(sample.variation == "nominal")
    event = np.empty(len(sample.y), dtype=np.intp)
    for name in np.unique(sample.variation):
        rows = sample.variation == name
        event[rows] = nominal[sample.y[nominal] == "top"] if "scale" in name else nominal
    return event


def by_hand(est: HistFactoryEstimator, sample: Sample, event: npt.NDArray[np.intp]) -> float:
    """Quenouille's sum of scores of explicit subsets; `est` has neither jackknife nor staterror."""
    group = np.full(len(event), -1)
    by_label = [np.unique(event[sample.y == label]) for label in sorted(YIELDS)]
    for k, number in enumerate(np.concatenate(by_label)):
        group[event == number] = k % N_GROUPS
    without_one = [est.score(*sample.rows(group != k).all) for k in range(N_GROUPS)]
    return N_GROUPS * est.score(*sample.all) - (N_GROUPS - 1) * float(np.mean(without_one))


@pytest.mark.parametrize(
    "options",
    [
        *({"metric": metric} for metric in METRICS),
        {"binning": "quantile", "n_bins": 9},
        {"overflow": "keep", "split_normalisation": True},
        {"smoothing": "kde", "n_bins": 12},
    ],
    ids=str,
)
def test_is_that_of_explicit_subsets(options: dict[str, Any]) -> None:
    """With negative weights, variations and all; staterror has no part in it."""
    train, sample = make_sample(0, 200), make_sample(1, 200)
    event = event_of_row(sample)
    est = analysis(**options).fit(*train.all)
    plain = analysis(**options, **PLAIN).fit(*train.all)
    found = est.score(*sample.all, event)
    assert found == pytest.approx(by_hand(plain, sample, event), abs=1e-9)
    assert found != pytest.approx(plain.score(*sample.all), rel=1e-3)
    shuffled = np.random.default_rng(0).permutation(len(event))
    again = est.score(*sample.rows(shuffled).all, event[shuffled])
    assert again == pytest.approx(found, abs=1e-9)


def test_bins_that_are_merged() -> None:
    """Each subset for itself, as other scores do."""
    train, sample = make_sample(0, 400), make_sample(1, 25)
    event = event_of_row(sample)
    plain = analysis(n_bins=30, **PLAIN).fit(*train.all)
    n_bins = len(plain.workspace(*sample.all)["observations"][0]["data"])
    assert n_bins < len(plain.edges_) - 1
    expected = by_hand(plain, sample, event)
    found = plain.set_params(jackknife=N_GROUPS).score(*sample.all, event)
    assert found == pytest.approx(expected, abs=1e-9)


def test_events_without_variations() -> None:
    """Every row is an event, also where a column says that all are nominal."""
    sample = make_sample(systematics=())
    est = analysis(staterror=False).fit(*sample.all)
    found = est.score(*sample.all)
    assert found == est.score(sample.X, sample.y, sample.weight)
    assert found == est.score(*sample.all, np.arange(len(sample.y)))
    est.set_params(jackknife=None)
    assert found == pytest.approx(by_hand(est, sample, np.arange(len(sample.y))), abs=1e-9)


def test_search_with_groups() -> None:
    """Groups reach the scores through routing: the estimator's own, and those of scorers."""
    sample = make_sample()
    event = event_of_row(sample)
    sample.weight[:] = np.abs(sample.weight)
    X, y, weight, variation = sample.all
    with sklearn.config_context(enable_metadata_routing=True):
        step = ScoreTransformer(LogisticRegression().set_fit_request(sample_weight=True))
        search = GridSearchCV(
            make_pipeline(step, analysis(observable=0)),
            {"histfactoryestimator__jackknife": [None, N_GROUPS]},
            cv=GroupKFold(2),
            scoring={name: get_scorer(name) for name in METRICS},
            refit="significance",
            error_score="raise",
        )
        search.fit(X, y, sample_weight=weight, variation=variation, groups=event)
        own = cross_val_score(
            search.best_estimator_.set_params(histfactoryestimator__jackknife=N_GROUPS),
            X,
            y,
            cv=GroupKFold(2),
            params={"sample_weight": weight, "variation": variation, "groups": event},
        )
    for i, (train, test) in enumerate(GroupKFold(2).split(X, y, event)):
        scores = step.fit(*sample.rows(train).all).transform(X)
        of_scores = Sample(scores, y, weight, variation)
        est = analysis(observable=0).fit(*of_scores.rows(train).all)
        for metric in METRICS:
            est.set_params(metric=metric, jackknife=N_GROUPS)
            corrected = est.score(*of_scores.rows(test).all, event[test])
            plain = est.set_params(jackknife=None).score(*of_scores.rows(test).all)
            found = search.cv_results_[f"split{i}_test_{metric}"]
            assert found == pytest.approx([plain, corrected], abs=1e-9)
        assert own[i] == search.cv_results_[f"split{i}_test_significance"][1]


def test_classifier_with_a_scorer() -> None:
    """The jackknife is one of the options of its analysis."""
    sample = make_sample(systematics=())
    classifier = LogisticRegression().fit(sample.X, sample.y)
    scores = classifier.predict_proba(sample.X)[:, :1]
    event = np.arange(len(sample.y)) // 2
    expected = analysis(observable=0).fit(scores, sample.y).score(scores, sample.y, groups=event)
    scorer = get_scorer("significance", n_bins=4, yields=YIELDS, jackknife=N_GROUPS)
    assert scorer(classifier, sample.X, sample.y, groups=event) == expected


def test_only_the_score_is_corrected() -> None:
    sample = make_sample()
    plain, corrected = (analysis(jackknife=k).fit(*sample.all) for k in (None, N_GROUPS))
    assert corrected.workspace_ == plain.workspace_
    assert corrected.workspace(*sample.all) == plain.workspace(*sample.all)
    assert plain.score(*sample.all, event_of_row(sample)) == plain.score(*sample.all)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (1, "jackknife is 1, expected at least 2"),
        (2.5, "jackknife is 2.5, expected an integer"),
        (True, "jackknife is True, expected an integer"),
    ],
)
def test_bad_number_of_groups(value: Any, message: str) -> None:
    """At `fit`, or at `score` where it was set later."""
    sample = make_sample()
    with pytest.raises((ValueError, TypeError), match=message):
        analysis(jackknife=value).fit(*sample.all)
    est = analysis().fit(*sample.all).set_params(jackknife=value)
    with pytest.raises((ValueError, TypeError), match=message):
        est.score(*sample.all, event_of_row(sample))


def test_bad_groups() -> None:
    sample = make_sample()
    est, event = analysis().fit(*sample.all), event_of_row(sample)
    for groups, message in [
        (None, "events with variations need groups"),
        (np.arange(len(event)), "most variations have groups of their own"),
        (event[:5], "groups has 5 entries for"),
        (event % 3, "jackknife is 4, but there are 3 events to divide"),
    ]:
        with pytest.raises(ValueError, match=message):
            est.score(*sample.all, groups)


def test_too_few_events() -> None:
    """All that there is of something in one group, or no background in the bins without it."""
    X, y = [[0.1], [0.2], [0.3], [0.4], [0.6], [0.7]], ["top", "top", "signal"] * 2
    est = analysis(observable=0, yields=None, n_bins=2, jackknife=2).fit(X, y)
    assert np.isfinite(est.score([[5.0], *X[1:]], y))
    without = "jackknife=2: without one group of events, "
    with pytest.raises(ValueError, match=f"{without}0 background events are expected between 0"):
        est.score([[5.0], [6.0], *X[2:4], [7.0], X[5]], y)
    rare = ["wjets", *y[1:]]
    with pytest.raises(ValueError, match=f"{without}no rows of label 'wjets', nominal, are left"):
        est.fit(X, rare).score(X, rare)


def test_workspace_has_no_events() -> None:
    est = HistFactoryEstimator(jackknife=10)
    workspace = make_workspace(1, 3, 2, 2, signal_fraction=0.5, random_state=0)
    with pytest.raises(ValueError, match="jackknife needs events to leave out"):
        est.fit(workspace).score(workspace)
