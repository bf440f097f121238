"""A classifier as a transformer: trained on nominal rows, and honest about its training events."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest
import sklearn
from events import Sample, make_sample
from sklearn.base import BaseEstimator, ClassifierMixin, clone
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LogisticRegression, SGDClassifier
from sklearn.model_selection import GroupKFold, KFold, StratifiedKFold, cross_val_predict
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC, LinearSVC

from nextstat import ScoreTransformer


@pytest.fixture
def sample() -> Sample:
    """Events with variations; a weight of 1 so that any classifier will do."""
    made = make_sample(systematics=("jes",))
    made.weight[:] = np.abs(made.weight)
    return made


@pytest.fixture
def groups(sample: Sample) -> npt.NDArray[np.intp]:
    """The number of the event: every part holds the events in the same order."""
    return np.arange(len(sample.y)) % (len(sample.y) // 3)


def test_learns_from_nominal_rows(sample: Sample) -> None:
    nominal = sample.variation == "nominal"
    own = LogisticRegression().fit(
        sample.X[nominal], sample.y[nominal], sample_weight=sample.weight[nominal]
    )
    step = ScoreTransformer(LogisticRegression()).fit(*sample.all)
    expected = own.predict_proba(sample.X)
    np.testing.assert_array_equal(step.transform(sample.X), expected[:, :1])
    assert step.signal_ == "signal"
    assert step.classes_.tolist() == ["signal", "top", "wjets"]
    everything = ScoreTransformer(LogisticRegression(), output="all").fit(*sample.all)
    np.testing.assert_array_equal(everything.transform(sample.X), expected)
    assert everything.get_feature_names_out().tolist() == [
        "score_signal",
        "score_top",
        "score_wjets",
    ]


@pytest.mark.parametrize("signal", [0, 1])
def test_decision_functions(signal: int) -> None:
    """Larger for the signal, whichever label it is."""
    rng = np.random.default_rng(0)
    y = rng.integers(2, size=300)
    X = rng.normal(size=(300, 2)) + y[:, None]
    step = ScoreTransformer(LinearSVC(), signal=signal).fit(X, y)
    scores = step.transform(X)[:, 0]
    assert scores[y == signal].mean() > scores[y != signal].mean()
    both = ScoreTransformer(LinearSVC(), signal=signal, output="all").fit(X, y).transform(X)
    np.testing.assert_array_equal(both[:, signal], scores)


def test_balance(sample: Sample) -> None:
    """The signal weighs as much as all backgrounds, whose shares stay as they are."""
    sample.weight[sample.y == "signal"] *= 1e-3
    nominal = sample.variation == "nominal"
    weight = sample.weight[nominal].copy()
    own = sample.y[nominal] == "signal"
    weight[own] *= weight[~own].sum() / weight[own].sum()
    expected = LogisticRegression().fit(sample.X[nominal], sample.y[nominal], weight)
    step = ScoreTransformer(LogisticRegression(), balance=True).fit(*sample.all)
    np.testing.assert_allclose(
        step.transform(sample.X), expected.predict_proba(sample.X)[:, :1], rtol=1e-9
    )
    plain = ScoreTransformer(LogisticRegression()).fit(*sample.all)
    assert plain.transform(sample.X).max() < 0.1 < step.transform(sample.X).max()


def test_cross_fitting_without_variations() -> None:
    """What cross_val_predict gives; `transform` has seen all events."""
    sample = make_sample(systematics=())
    X, y = sample.X, sample.y
    cv = StratifiedKFold(4, shuffle=True, random_state=0)
    step = ScoreTransformer(LogisticRegression(), cv=cv)
    expected = cross_val_predict(LogisticRegression(), X, y, cv=cv, method="predict_proba")
    np.testing.assert_array_equal(step.fit_transform(X, y), expected[:, :1])
    full = LogisticRegression().fit(X, y).predict_proba(X)[:, :1]
    np.testing.assert_array_equal(step.transform(X), full)


class Memory(ClassifierMixin, BaseEstimator):
    """Its score is 1 for events it has learned from, by their first feature."""

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Memory:
        self.classes_ = np.unique(y)
        self.n_features_in_ = X.shape[1]
        self.known_ = np.asarray(X)[:, 0]
        return self

    def predict_proba(self, X: Any) -> npt.NDArray[np.float64]:
        """One for the known."""
        known = np.isin(np.asarray(X)[:, 0], self.known_).astype(float)
        return np.column_stack([known] * len(self.classes_))


def test_cross_fitting_never_scores_what_it_learned(
    sample: Sample, groups: npt.NDArray[np.intp]
) -> None:
    """Neither an event nor a variation of it."""
    sample.X[:, 0] = groups
    step = ScoreTransformer(Memory(), cv=GroupKFold(4))
    assert not step.fit_transform(*sample.all, groups).any()
    assert step.transform(sample.X).all()
    assert ScoreTransformer(Memory()).fit_transform(*sample.all).all()


def test_event_without_a_nominal_row(sample: Sample, groups: npt.NDArray[np.intp]) -> None:
    """It passes the selection in a variation only; any classifier may score it."""
    sample.X[:, 0] = groups
    kept = (sample.variation != "nominal") | (groups % 5 != 0)
    step = ScoreTransformer(Memory(), cv=GroupKFold(3))
    scores = step.fit_transform(*sample.rows(kept).all, groups[kept])
    assert scores.shape == (kept.sum(), 1)
    assert not scores.any()


def test_set_output(sample: Sample) -> None:
    X = pd.DataFrame(sample.X, columns=["a", "b"], index=np.arange(len(sample.X))[::-1])
    step = ScoreTransformer(LogisticRegression()).set_output(transform="pandas")
    frame = step.fit(X, *sample.all[1:]).transform(X)
    assert frame.columns.tolist() == ["score"]
    assert frame.index.equals(X.index)
    assert step.feature_names_in_.tolist() == ["a", "b"]
    assert step.n_features_in_ == 2
    crossed = ScoreTransformer(LogisticRegression(), cv=3).set_output(transform="pandas")
    assert crossed.fit_transform(X, sample.y).columns.tolist() == ["score"]


def test_weights_reach_a_pipeline(sample: Sample) -> None:
    """By metadata routing."""
    with sklearn.config_context(enable_metadata_routing=True):
        inner = make_pipeline(
            StandardScaler().set_fit_request(sample_weight=False),
            LogisticRegression().set_fit_request(sample_weight=True),
        )
        scores = ScoreTransformer(inner).fit(*sample.all).transform(sample.X)
        nominal = sample.variation == "nominal"
        expected = clone(inner).fit(
            sample.X[nominal], sample.y[nominal], sample_weight=sample.weight[nominal]
        )
        np.testing.assert_array_equal(scores, expected.predict_proba(sample.X)[:, :1])
    with pytest.raises(ValueError, match="takes no sample_weight in fit, but events have weights"):
        ScoreTransformer(inner).fit(*sample.all)


def test_missing_features_are_the_classifiers_business(sample: Sample) -> None:
    sample.X[::7, 0] = np.nan
    step = ScoreTransformer(HistGradientBoostingClassifier(max_iter=3)).fit(*sample.all)
    assert np.isfinite(step.transform(sample.X)).all()
    assert sklearn.utils.get_tags(step).input_tags.allow_nan
    with pytest.raises(ValueError, match="contains NaN"):
        ScoreTransformer(LogisticRegression()).fit(*sample.all)


@pytest.mark.parametrize(
    ("options", "change", "message"),
    [
        ({"output": "both"}, {}, "output is 'both', expected one of"),
        ({"signal": "Signal"}, {}, "signal is 'Signal', expected one of the labels"),
        ({}, {"y": None}, "requires y to be passed"),
        ({}, {"sample_weight": [1.0]}, "sample_weight has shape"),
        ({}, {"variation": ["nominal"]}, "variation has 1 entries for"),
        ({"classifier": KNeighborsClassifier()}, {}, "takes no sample_weight in fit"),
        ({"cv": 3}, {}, "events with variations need groups"),
        ({"cv": 3}, {"groups": [0, 1]}, "groups has 2 entries for"),
        ({"cv": KFold(3, shuffle=True)}, {"groups": "coarse"}, "rows of one group into several"),
        ({"cv": [(np.arange(5, 10), np.arange(5))]}, {"groups": "event"}, "leaves some events out"),
    ],
)
def test_bad_input(
    sample: Sample,
    groups: npt.NDArray[np.intp],
    options: dict[str, Any],
    change: dict[str, Any],
    message: str,
) -> None:
    X, y, weight, variation = sample.all
    arguments = {"y": y, "sample_weight": weight, "variation": variation} | change
    named = {"coarse": groups // 10, "event": groups}
    if isinstance(arguments.get("groups"), str):
        arguments["groups"] = named[arguments["groups"]]
    step = ScoreTransformer(**({"classifier": SGDClassifier(loss="log_loss")} | options))
    with pytest.raises(ValueError, match=message):
        step.fit_transform(X, **arguments)


def test_no_nominal_rows(sample: Sample) -> None:
    varied = sample.rows(sample.variation == "jes_up")
    with pytest.raises(ValueError, match="no nominal rows"):
        ScoreTransformer(LogisticRegression()).fit(*varied.all)


def test_overlapping_folds() -> None:
    sample = make_sample(systematics=())
    everything = np.arange(len(sample.y))
    cv = [(everything[::2], everything[1::2]), (everything[2::2], everything[1::2])]
    with pytest.raises(ValueError, match="scores some events twice"):
        ScoreTransformer(LogisticRegression(), cv=cv).fit_transform(sample.X, sample.y)


def test_folds_that_train_on_what_they_score() -> None:
    sample = make_sample(systematics=())
    everything = np.arange(len(sample.y))
    cv = [(everything, everything[::2]), (everything, everything[1::2])]
    with pytest.raises(ValueError, match="trains on events that the same fold scores"):
        ScoreTransformer(LogisticRegression(), cv=cv).fit_transform(sample.X, sample.y)


def test_a_fold_without_a_label() -> None:
    X, y = np.random.default_rng(0).normal(size=(60, 2)), np.repeat(["a", "b", "signal"], 20)
    with pytest.raises(ValueError, match=r"a fold of cv has nominal events of \['b', 'signal'\]"):
        ScoreTransformer(LogisticRegression(), cv=KFold(3), output="all").fit_transform(X, y)


def test_groups_that_do_not_group(sample: Sample) -> None:
    """Numbers of rows, say."""
    step = ScoreTransformer(LogisticRegression(), cv=3)
    with pytest.raises(ValueError, match="most variations have groups of their own"):
        step.fit_transform(*sample.all, np.arange(len(sample.y)))


def test_pairwise_decisions() -> None:
    """Three columns for three labels, but not one each: there is no telling; ovr is fine."""
    rng = np.random.default_rng(0)
    y = rng.integers(4, size=200)
    X = rng.normal(size=(200, 2)) + y[:, None]
    step = ScoreTransformer(SVC(decision_function_shape="ovr"), signal=3).fit(X, y)
    assert step.transform(X).shape == (200, 1)
    with pytest.raises(ValueError, match=r"shape \(200, 6\) for 4 labels"):
        ScoreTransformer(SVC(decision_function_shape="ovo"), signal=3).fit(X, y).transform(X)


def test_a_failed_fit_forgets_the_one_before(sample: Sample) -> None:
    step = ScoreTransformer(LogisticRegression()).fit(*sample.all)
    with pytest.raises(ValueError, match="Input X contains NaN"):
        step.fit(np.full((4, 1), np.nan), [0, 1, 0, 1])
    assert not hasattr(step, "classes_")
    with pytest.raises(NotFittedError):
        step.transform(sample.X)


def test_neither_probability_nor_decision() -> None:
    class Silent(ClassifierMixin, BaseEstimator):
        """Predicts, but does not say how sure it is."""

        def fit(self, X: Any, y: Any) -> Silent:
            self.classes_ = np.unique(y)
            return self

    sample = make_sample(systematics=())
    with pytest.raises(ValueError, match="neither predict_proba nor decision_function"):
        ScoreTransformer(Silent()).fit(sample.X, sample.y)


def test_splits_of_rows_that_are_absent(sample: Sample, groups: npt.NDArray[np.intp]) -> None:
    """Splits count the rows to learn from; one that counts others is refused in words."""
    nominal = sample.variation == "nominal"
    X, y, weight = sample.X[nominal], sample.y[nominal], sample.weight[nominal].copy()
    weight[::10] = 0.0
    parts = np.arange(len(y)) % 2
    splits = [(np.flatnonzero(parts == k), np.flatnonzero(parts != k)) for k in (0, 1)]
    with pytest.raises(ValueError, match=f"there are: {np.count_nonzero(weight)} are nominal and"):
        ScoreTransformer(LogisticRegression(), cv=splits).fit_transform(X, y, weight)
    n = np.count_nonzero(weight)
    splits = [(train[train < n], test[test < n]) for train, test in splits]
    scores = ScoreTransformer(LogisticRegression(), cv=splits).fit_transform(X, y, weight)
    assert scores.shape == (len(y), 1)
