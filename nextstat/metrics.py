"""Scorers: expected results of analyses, and of any classifier."""

from __future__ import annotations

import copy
from inspect import signature
from typing import Any

from sklearn.pipeline import Pipeline
from sklearn.utils.metadata_routing import MetadataRequest

from nextstat._base.messages import unknown
from nextstat._estimators.estimator import HistFactoryEstimator
from nextstat._estimators.expected_results import METRICS, Metric
from nextstat._estimators.score_transformer import response_method, signal_scores
from nextstat._events.settings import find_label
from nextstat._events.table import drop_absent

__all__ = ["METRICS", "MetricScorer", "get_scorer", "get_scorer_names"]


def get_scorer_names() -> list[str]:
    """Names that `get_scorer` takes."""
    return sorted(METRICS)


def get_scorer(metric: Metric, **options: Any) -> MetricScorer:
    """Scorer for ``scoring=`` of scikit-learn's searches and validations.

    Of a `HistFactoryEstimator`, or of a pipeline that ends in one, it is `score` with this
    metric in place of the estimator's own, so that several can be looked at in one search. Of a
    classifier, it is the expected result of an analysis that bins the classifier's signal
    probability.

    Parameters
    ----------
    metric : {"significance", "cls", "upper_limit", "mu_uncertainty"}
        As for `HistFactoryEstimator`; higher is better.
    **options
        For classifiers: parameters of the `HistFactoryEstimator` that bins their probability,
        between 0 and 1 by default, or their decision function, over its whole range by default.
        Its bins are taken from the events that are scored.

    Returns
    -------
    callable
        ``scorer(estimator, X, y, sample_weight=None, variation=None, groups=None)``. Where
        metadata routing is enabled it asks for all three.

    Raises
    ------
    ValueError
        If the metric is unknown.

    Examples
    --------
    >>> from nextstat.metrics import get_scorer
    >>> scoring = {"Z": get_scorer("significance"), "limit": get_scorer("upper_limit")}
    """
    return MetricScorer(metric, options)


def last_step(estimator: Any, X: Any = None) -> tuple[Any, Any]:
    """The last step of a pipeline, and the events as they reach it; X may be None."""
    while isinstance(estimator, Pipeline):
        if X is not None and len(estimator) > 1:
            X = estimator[:-1].transform(X)
        estimator = estimator[-1]
    return estimator, X


class MetricScorer:
    """See `get_scorer`, which makes them."""

    def __init__(self, metric: Metric, options: dict[str, Any]) -> None:
        if metric not in METRICS:
            raise ValueError(unknown("metric", str(metric), METRICS))
        known = signature(HistFactoryEstimator.__init__).parameters
        for name in options:
            if name not in known:
                raise ValueError(unknown("option", name, known))
        self.metric = metric
        self.options = options

    def __repr__(self) -> str:
        options = "".join(f", {name}={value!r}" for name, value in self.options.items())
        return f"get_scorer({self.metric!r}{options})"

    def __call__(
        self,
        estimator: Any,
        X: Any,
        y: Any,
        sample_weight: Any = None,
        variation: Any = None,
        groups: Any = None,
    ) -> float:
        """Score of the events; higher is better."""
        last, X = last_step(estimator, X)
        if isinstance(last, HistFactoryEstimator):
            return self._with_metric(last).score(X, y, sample_weight, variation, groups)
        columns = drop_absent(sample_weight, X, y, variation, groups)
        sample_weight, X, y, variation, groups = columns
        metadata = {"sample_weight": sample_weight, "variation": variation}
        options = {**self.options, "metric": self.metric}
        if response_method(last) == "predict_proba":
            options = {"lo": 0.0, "hi": 1.0, **options}
        signal = find_label(options.get("signal"), last.classes_)
        analysis = HistFactoryEstimator(**{**options, "signal": signal})
        scores = signal_scores(last, X, signal)
        return analysis.fit(scores, y, **metadata).score(scores, y, **metadata, groups=groups)

    def _with_metric(self, fitted: HistFactoryEstimator) -> HistFactoryEstimator:
        if self.options:
            raise ValueError(
                f"options {sorted(self.options)} are for classifiers; set them on the "
                "HistFactoryEstimator itself"
            )
        other = copy.copy(fitted)
        other.set_params(metric=self.metric)
        return other

    def get_metadata_routing(self) -> MetadataRequest:
        """Metadata that scoring asks for, in scikit-learn's terms."""
        request = MetadataRequest(owner=self)
        for name in ("sample_weight", "variation", "groups"):
            request.score.add_request(param=name, alias=True)
        return request
