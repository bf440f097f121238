"""A classifier as a step of a pipeline: events in, scores out."""

from __future__ import annotations

from typing import Any, Literal, TypeAlias

import numpy as np
import numpy.typing as npt
from sklearn import get_config
from sklearn.base import BaseEstimator, MetaEstimatorMixin, TransformerMixin, clone
from sklearn.model_selection import check_cv
from sklearn.utils import Tags, _safe_indexing, get_tags, indexable
from sklearn.utils.metadata_routing import get_routing_for_object
from sklearn.utils.validation import _num_samples, check_is_fitted, has_fit_parameter

from nextstat._base.arguments import check_flag, check_option
from nextstat._events.settings import find_label
from nextstat._events.table import (
    check_shared,
    drop_absent,
    nominal_rows,
    present_rows,
    read_groups,
    read_labels,
    read_weights,
)

Scores: TypeAlias = npt.NDArray[np.floating]


class ScoreTransformer(MetaEstimatorMixin, TransformerMixin, BaseEstimator):  # type: ignore[misc]
    """Make a classifier a transformer whose output is its signal probability.

    Trained on nominal rows only: those of systematic variations are scored, never learned from.

    Parameters
    ----------
    classifier : classifier
        With `predict_proba` or `decision_function`; it is cloned, not modified. More than two
        labels are learned as such.
    signal : label, optional
        Of the signal; by default "signal" or, among numbers, the largest label. As for
        `HistFactoryEstimator`, labels of data or of a second signal are errors.
    output : {"signal", "all"}
        One column with the score of the signal, or one for each label.
    balance : bool
        Train with the weights of the signal scaled so that they add up to those of all
        backgrounds.
    cv : int, splitter, iterable of splits, or None
        Cross-fitting. `fit_transform` then scores every event, with its variations, by a
        classifier that was not trained on it, so that templates made from training events are
        not optimistic; `transform` uses one classifier trained on all of them. Splits given as
        an iterable count nominal rows only, without those of weight 0.

    Attributes
    ----------
    classifier_ : classifier
        Trained on all nominal rows.
    classes_ : (n_labels,) ndarray
    signal_ : label

    See Also
    --------
    HistFactoryEstimator : bins the scores.

    Examples
    --------
    >>> from sklearn.linear_model import LogisticRegression
    >>> from nextstat import ScoreTransformer
    >>> step = ScoreTransformer(LogisticRegression(), cv=5)
    """

    # Metadata asked for where scikit-learn routes them; see its metadata routing.
    __metadata_request__fit = {"sample_weight": True, "variation": True, "groups": True}  # noqa: RUF012

    def __init__(
        self,
        classifier: Any,
        *,
        signal: Any = None,
        output: Literal["signal", "all"] = "signal",
        balance: bool = False,
        cv: Any = None,
    ) -> None:
        self.classifier = classifier
        self.signal = signal
        self.output = output
        self.balance = balance
        self.cv = cv

    def fit(
        self,
        X: Any,
        y: Any = None,
        sample_weight: Any = None,
        variation: Any = None,
        groups: Any = None,
    ) -> ScoreTransformer:
        """Train the classifier on the nominal rows.

        Parameters
        ----------
        X : (n_rows, n_features) array_like or DataFrame
        y : (n_rows,) array_like
            Sample labels.
        sample_weight : (n_rows,) array_like, optional
        variation : (n_rows,) array_like of str, optional
            "nominal", "<systematic>_up" or "<systematic>_down".
        groups : (n_rows,) array_like, optional
            Which event a row is of; used by `fit_transform`.

        Raises
        ------
        ValueError
            If lengths differ, there is no signal or no background, an option is unknown, or
            there are weights which the classifier cannot take.
        """
        self._learn(X, y, sample_weight, variation)
        return self

    def fit_transform(
        self,
        X: Any,
        y: Any = None,
        sample_weight: Any = None,
        variation: Any = None,
        groups: Any = None,
    ) -> Any:
        """Train, and score the same events; with `cv`, by classifiers not trained on them.

        Parameters
        ----------
        X, y, sample_weight, variation
            As for `fit`.
        groups : (n_rows,) array_like, optional
            Which event a row is of: its variations carry the value of the nominal row. Needed for
            `cv` if there are variations.

        Returns
        -------
        (n_rows, 1) or (n_rows, n_labels) ndarray, or what `set_output` chose
        """
        nominal = self._learn(X, y, sample_weight, variation)
        (X,) = indexable(X)
        if self.cv is None:
            return self._scores(self.classifier_, X)
        fold, trained_on = nominal.folds(self.cv, groups)
        parts: list[tuple[npt.NDArray[np.intp], Scores]] = []
        for rows in trained_on:
            classifier = nominal.train(clone(self.classifier), rows)
            if len(classifier.classes_) < len(self.classes_):
                raise ValueError(
                    f"a fold of cv has nominal events of {classifier.classes_.tolist()} only to "
                    f"learn from, expected all of {self.classes_.tolist()}; use fewer folds"
                )
            scored = np.flatnonzero(fold == len(parts))
            parts.append((scored, self._scores(classifier, _safe_indexing(X, scored))))
        scores = np.empty((len(fold), parts[0][1].shape[1]), parts[0][1].dtype)
        for scored, part in parts:
            scores[scored] = part
        return scores

    def transform(self, X: Any) -> Any:
        """Scores of events.

        Parameters
        ----------
        X : (n_rows, n_features) array_like or DataFrame

        Returns
        -------
        (n_rows, 1) or (n_rows, n_labels) ndarray, or what `set_output` chose
        """
        check_is_fitted(self)
        return self._scores(self.classifier_, X)

    def get_feature_names_out(self, input_features: Any = None) -> npt.NDArray[np.object_]:
        """ "score", or "score_<label>" for each label."""
        check_is_fitted(self)
        if self.output == "signal":
            return np.array(["score"], dtype=object)
        return np.array([f"score_{label}" for label in self.classes_.tolist()], dtype=object)

    @property
    def n_features_in_(self) -> int:
        """Number of features that the classifier was trained on."""
        if not hasattr(self, "classifier_"):
            raise AttributeError(f"{type(self).__name__} is not fitted")
        return int(self.classifier_.n_features_in_)

    @property
    def feature_names_in_(self) -> npt.NDArray[np.object_]:
        """Names of the features that the classifier was trained on, if they had any."""
        if not hasattr(self, "classifier_"):
            raise AttributeError(f"{type(self).__name__} is not fitted")
        names: npt.NDArray[np.object_] = self.classifier_.feature_names_in_
        return names

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.target_tags.required = True
        inner = get_tags(self.classifier)
        tags.input_tags.sparse = inner.input_tags.sparse
        tags.input_tags.allow_nan = inner.input_tags.allow_nan
        tags.non_deterministic = inner.non_deterministic
        return tags

    def _learn(self, X: Any, y: Any, sample_weight: Any, variation: Any) -> _Nominal:
        """Train the classifier on all nominal rows, which are returned."""
        for name in ("classes_", "signal_", "classifier_"):
            self.__dict__.pop(name, None)  # of an earlier fit
        check_option(self.output, "output", ("signal", "all"))
        nominal = _Nominal(X, y, sample_weight, variation)
        classes, code = read_labels(nominal.y, len(nominal.y))
        signal = find_label(self.signal, classes, weighted=nominal.weight is not None)
        if check_flag(self.balance, "balance"):
            nominal.balance(code == classes.tolist().index(signal))
        classifier = nominal.train(clone(self.classifier), slice(None))
        response_method(classifier)
        self.classes_, self.signal_, self.classifier_ = classes, signal, classifier
        return nominal

    def _scores(self, classifier: Any, X: Any) -> Scores:
        if self.output == "signal":
            return signal_scores(classifier, X, self.signal_)
        return _responses(classifier, X)


def signal_scores(classifier: Any, X: Any, signal: Any) -> Scores:
    """Signal probability, or the decision function where there is none, (n_rows, 1).

    Parameters
    ----------
    classifier : fitted classifier
    X : (n_rows, n_features)
    signal : label
    """
    column = classifier.classes_.tolist().index(signal)
    return _responses(classifier, X)[:, column : column + 1]


def _responses(classifier: Any, X: Any) -> Scores:
    """One column for each label, (n_rows, n_labels): larger in favour of it."""
    scores: Scores = getattr(classifier, response_method(classifier))(X)
    n_labels = len(classifier.classes_)
    if scores.ndim == 1 and n_labels == 2:  # a decision in favour of the second label
        return np.column_stack([-scores, scores])
    if scores.shape != (len(scores), n_labels):
        raise ValueError(
            f"{classifier!r} gives scores of shape {scores.shape} for {n_labels} labels, expected "
            "one for each label (decision_function_shape='ovr')"
        )
    return scores


def response_method(classifier: Any) -> str:
    """What a classifier gives scores by; ValueError if it has neither of both methods."""
    for method in ("predict_proba", "decision_function"):
        if hasattr(classifier, method):
            return method
    raise ValueError(
        f"{classifier!r} has neither predict_proba nor decision_function, expected a classifier "
        "with one of them"
    )


class _Nominal:
    """The nominal rows, from which classifiers learn.

    Attributes
    ----------
    rows : (n_nominal,) ndarray, or None
        Their indices among all rows, without those of weight 0; None if all are nominal.
    present : (n_present,) ndarray, or None
        Indices of all rows, of any variation, but those of weight 0; None if all have a weight.
    varied : bool
        Whether some rows with a weight are not nominal.
    X, y, weight
        Features, labels and weights of these rows.
    """

    def __init__(self, X: Any, y: Any, sample_weight: Any, variation: Any) -> None:
        if y is None:
            raise ValueError("ScoreTransformer requires y to be passed, but the target y is None")
        X, y = indexable(X, y)
        self.n_rows = _num_samples(y)
        self.weight = read_weights(sample_weight, self.n_rows)
        self.present = present_rows(sample_weight, self.n_rows)
        _, variation = drop_absent(sample_weight, variation)
        n_present = self.n_rows if self.present is None else len(self.present)
        self.rows = nominal_rows(variation, n_present)
        self.varied = self.rows is not None and len(self.rows) < n_present
        if self.present is not None:
            self.rows = self.present if self.rows is None else self.present[self.rows]
        if self.rows is not None and not len(self.rows):
            raise ValueError(
                "variation has no nominal rows, from which the classifier could learn; was it a "
                "split that tore variations from their events? use GroupKFold with groups="
            )
        self.X, self.y = X, np.asarray(y)
        if self.rows is not None:
            self.X, self.y = _safe_indexing(X, self.rows), self.y[self.rows]
            self.weight = None if self.weight is None else self.weight[self.rows]

    def balance(self, of_signal: npt.NDArray[np.bool_]) -> None:
        """Scale the weights of the signal so that they add up to those of the backgrounds."""
        weight = np.ones(len(self.y)) if self.weight is None else self.weight
        signal, background = weight[of_signal].sum(), weight[~of_signal].sum()
        if not (signal > 0.0 and background > 0.0):
            raise ValueError(
                f"the weights add up to {signal:g} for the signal and {background:g} for the "
                "backgrounds, expected positive sums to balance"
            )
        self.weight = np.where(of_signal, weight * (background / signal), weight)

    def train(self, classifier: Any, chosen: Any) -> Any:
        """Train on the chosen of the nominal rows."""
        everything = isinstance(chosen, slice)
        X = self.X if everything else _safe_indexing(self.X, chosen)
        if self.weight is None:
            return classifier.fit(X, self.y[chosen])
        if not takes_weights(classifier):
            raise ValueError(
                f"{classifier!r} takes no sample_weight in fit, but events have weights; choose a "
                "classifier that does, or pass no weights to this step"
            )
        return classifier.fit(X, self.y[chosen], sample_weight=self.weight[chosen])

    def folds(
        self, cv: Any, groups: Any
    ) -> tuple[npt.NDArray[np.intp], list[npt.NDArray[np.intp]]]:
        """Split for cross-fitting.

        Returns
        -------
        (n_rows,) ndarray
            Which fold scores each row, varied ones with the nominal one of the same group.
        list of ndarray
            The nominal rows that the classifier of each fold learns from.
        """
        event = read_groups(groups, self.varied, self.n_rows)
        present = event if self.present is None else event[self.present]
        nominal_event = event if self.rows is None else event[self.rows]
        check_shared(present, nominal_event)
        rows = np.arange(self.n_rows) if self.rows is None else self.rows
        splitter = check_cv(cv, self.y, classifier=True)
        fold_of_nominal = np.full(len(rows), -1, dtype=np.intp)
        trained_on: list[npt.NDArray[np.intp]] = []
        by_group = get_routing_for_object(splitter).consumes("split", ["groups"])
        given = nominal_event if by_group and groups is not None else None
        for train, test in splitter.split(self.X, self.y, given):
            if max(np.max(train, initial=0), np.max(test, initial=0)) >= len(rows):
                raise ValueError(
                    f"cv splits more rows than there are: {len(rows)} are nominal and have a weight"
                )
            if len(np.intersect1d(train, test)):
                raise ValueError("cv trains on events that the same fold scores")
            if (fold_of_nominal[test] >= 0).any():
                raise ValueError("cv scores some events twice, expected folds that do not overlap")
            fold_of_nominal[test] = len(trained_on)
            trained_on.append(train)
        if (fold_of_nominal < 0).any():
            raise ValueError("cv leaves some events out of every fold, expected a partition")
        # An event without a nominal row was learned from nowhere: any fold may score it.
        fold_of_event = np.arange(event.max() + 1) % len(trained_on)
        fold_of_event[nominal_event] = fold_of_nominal
        if (fold_of_event[nominal_event] != fold_of_nominal).any():
            raise ValueError(
                "cv puts rows of one group into several folds; use GroupKFold or "
                "StratifiedGroupKFold"
            )
        fold: npt.NDArray[np.intp] = fold_of_event[event]
        return fold, trained_on


def takes_weights(classifier: Any) -> bool:
    """Whether `fit` takes sample weights, by its signature or through metadata routing."""
    if has_fit_parameter(classifier, "sample_weight"):
        return True
    if not get_config()["enable_metadata_routing"]:
        return False
    return bool(get_routing_for_object(classifier).consumes("fit", ["sample_weight"]))
