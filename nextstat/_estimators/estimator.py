"""The scikit-learn estimator: a whole analysis, from labelled events to its expected result."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, ClassVar, Literal

import numpy as np
import numpy.typing as npt
from sklearn.base import BaseEstimator
from sklearn.utils import Tags, check_array
from sklearn.utils.validation import check_is_fitted, validate_data

from nextstat._base.arguments import check_flag, check_integer, check_option, check_positive
from nextstat._base.arrays import Vector
from nextstat._estimators.expected_results import METRICS, Metric, free_poi
from nextstat._estimators.jackknife import jackknife_score
from nextstat._events.edges import (
    candidate_edges,
    explicit_edges,
    find_range,
    quantile_edges,
    uniform_edges,
)
from nextstat._events.sensitive_bins import SensitiveBins
from nextstat._events.settings import find_label, find_yields
from nextstat._events.stage import EventStage, nominal_totals
from nextstat._events.sums import find_smoothing
from nextstat._events.table import Events, check_shared, drop_absent, read_events, read_groups
from nextstat._events.templates import warn_of_merged, warn_of_mirrored, warn_of_ties
from nextstat._fits.fit import fit
from nextstat._model.histfactory import HistFactoryModel, from_pyhf
from nextstat.interpret import rank_impact
from nextstat.workspace import Source, Workspace
from nextstat.workspace._single_channel import check_name, find_norm_systematics

_NO_NAMES = "it has no names; pass a position, or the step before .set_output(transform='pandas')"


class HistFactoryEstimator(BaseEstimator):  # type: ignore[misc]
    """An analysis as an estimator: bins events, builds a HistFactory model, and scores it.

    `fit` learns bin edges and builds the model; `score` is the result to expect of the analysis
    if its templates are made from the events given, in the bins learned. In a cross-validation
    it is thus the sensitivity, with systematics, on events that nothing was tuned on.

    Parameters
    ----------
    n_bins : int
        Number of bins; the most there may be if they are merged.
    lo, hi : float, optional
        Ends of the binning; events beyond are handled as `overflow` says. By default the extremes
        of the nominal training events, and later events beyond count in the first, last bin.
    binning : {"uniform", "quantile", "sensitivity"} or (n + 1,) array_like
        Equally wide bins; bins with equal numbers of expected events (see Notes on ties); the
        bins, up to `n_bins` of them, with the best `metric` (see Notes); or the edges themselves.
    observable : int or str
        Column of X to bin, by position or by name; the others may hold NaN.
    signal : label, optional
        By default "signal" or, among numbers, the largest label (with a warning if there are more
        than two). All others are backgrounds, but for labels that say data ("data_obs") or, beside
        a signal that says so too, signal ("signal_500"): these are errors unless they say
        background as well ("bkg_signal_500"). The `repr` says which is which.
    yields : mapping of label to float, optional
        Expected events of each sample, in or out of the bins: of all the rows that are passed.
        By default the sum of the nominal training weights times `luminosity`. Events scored later
        are scaled to the same yields, however many they are.
    norm_systematics : mapping of name to mapping of label to size, optional
        Uncertainties of yields: relative ones (0.06 for 6 %), or factors (down, up). A size in
        place of the inner mapping is common to all labels.
    staterror : bool
        Give every bin the uncertainty from the number of simulated events (from the sum of
        squared weights): one parameter per bin for all backgrounds, and one for the signal.
    metric : {"significance", "cls", "upper_limit", "mu_uncertainty"}
        What `score` gives: the expected discovery significance; or, with a minus sign so that
        higher is better, the expected CLs of mu = 1, the expected 95 % CL upper limit on mu, or
        the error of mu.
    luminosity : float
        Factor from weights to expected events where there are no `yields`.
    overflow : {"drop", "keep"}
        Whether events beyond `lo`, `hi` or the given edges are cut away, or count in the first,
        last bin.
    split_normalisation : bool
        Make the effect of a variation on a sample's sum over bins a normsys, and the rest a
        histosys of the same name; by default all of it is a histosys.
    min_background : float
        For "sensitivity": least expected background of a bin.
    max_mc_error : float, optional
        For "sensitivity": largest relative uncertainty of a bin's background from the number of
        simulated events.
    smoothing : {"kde", "sigmoid"}, optional
        Spread every event over bins with a Gaussian, or a logistic, kernel instead of counting it
        in one: templates that change smoothly with the events. The uncertainties from simulation
        are then those of single bins, as if neighbours were not correlated.
    bandwidth : float or "scott"
        Of the kernels, in units of the observable; "scott" is sigma n^(-1/5) of each sample.
    jackknife : int, optional
        Number of groups of events, 10 for example, for a `score` corrected to that of many events
        (see Notes). By default, `score` is that of as many events as are given.

    Attributes
    ----------
    classes_ : (n_labels,) ndarray
        Sorted labels.
    signal_ : label
    yields_ : dict of label to float
    edges_ : (n_bins + 1,) ndarray
    workspace_ : dict
        pyhf JSON; its observed events are those expected with the signal.
    model_ : HistFactoryModel
    result_ : FitResult
        Fit of the model to its data.
    nuisance_names_ : tuple of str
        The free nuisance parameters, in the order of `feature_importances_`.
    n_features_in_, feature_names_in_
        As in scikit-learn.

    See Also
    --------
    ScoreTransformer : a classifier as the step before.
    nextstat.metrics.get_scorer : other metrics than the estimator's own.
    nextstat.inspection.impact_importance : importances with their spread.

    Notes
    -----
    There is one channel, "events", and what floats freely is the signal strength alone.

    The rows of a variation are complete: each sample that a systematic changes comes again as
    rows called "<name>_up" and "<name>_down", with observables and weights as they are then. A
    sample without such rows is not changed; where one side is missing, it is mirrored. Variations
    are scaled like the nominal sample, so they may change its yields. Hence an event and its
    variations must not be torn apart: split by event (`GroupKFold`), and let successive halving
    not draw rows at random (another `resource` than "n_samples").

    `score` is the result to expect of an analysis whose templates have the statistics of the
    events given: with `staterror`, few simulated events cost sensitivity. Pass `yields` where
    events are divided into folds: by default they are those of the training events.

    With `jackknife`, it estimates the result of infinitely many such events, in the same bins and
    without staterror: G score(all events) - (G - 1) mean of score(all but one of G groups). That
    removes the bias from fluctuations of templates, which falls like one over the number of
    events, in first order [1]_ [2]_. It scatters a little more, and may leave the range of the
    metric. An event and its variations are in one group. The `workspace` stays that of the events
    given.

    In "quantile" bins, a value that many events have takes one bin, and the other events share the
    rest equally. With fewer different values than `n_bins`, a `WorkspaceWarning` says how many bins
    are left.

    "sensitivity" merges bins between 200 quantiles of signal and background, so that all of them
    satisfy `min_background` and `max_mc_error`. It compares the bins with the largest sum of
    squared Asimov significances, background uncertainties from simulation included (by dynamic
    programming, for each number of bins), equally wide and equally filled ones by the `metric`
    of the whole model, and moves the edges of the best while that improves it.

    A bin whose background is not positive for sure joins a neighbour: none is expected, nominally
    or in a variation, or less than its own uncertainty (or, smoothed, than one simulated event).
    `fit` says so with a `WorkspaceWarning`; `score` merges bins for itself, silently.

    X may also be a workspace, a path to one, or a `HistFactoryModel`: there are the same metrics,
    importances, and attributes from `model_` on. Scores do not depend on observed data: nuisance
    parameters are at their nominal values.

    References
    ----------
    .. [1] M. H. Quenouille, "Notes on bias in estimation", Biometrika 43 (1956) 353.
    .. [2] B. Efron, "The Jackknife, the Bootstrap and Other Resampling Plans", SIAM, 1982.

    Examples
    --------
    >>> from nextstat import HistFactoryEstimator
    >>> X = [[0.1], [0.3], [0.6], [0.4], [0.8], [0.9]]
    >>> y = ["ttbar", "ttbar", "ttbar", "signal", "signal", "signal"]
    >>> yields = {"ttbar": 100.0, "signal": 20.0}
    >>> analysis = HistFactoryEstimator(n_bins=2, lo=0, hi=1, yields=yields, staterror=False)
    >>> analysis.fit(X, y).edges_.tolist()
    [0.0, 0.5, 1.0]
    >>> round(analysis.score(X, y), 3)
    2.32
    """

    # Metadata asked for where scikit-learn routes them; see its metadata routing.
    __metadata_request__fit: ClassVar = {"sample_weight": True, "variation": True}
    __metadata_request__score: ClassVar = {"sample_weight": True, "variation": True, "groups": True}

    def __init__(
        self,
        n_bins: int = 10,
        lo: float | None = None,
        hi: float | None = None,
        binning: Literal["uniform", "quantile", "sensitivity"] | npt.ArrayLike = "uniform",
        observable: int | str = 0,
        signal: Any = None,
        yields: Mapping[Any, float] | None = None,
        norm_systematics: Mapping[str, Any] | None = None,
        staterror: bool = True,
        metric: Metric = "significance",
        *,
        luminosity: float = 1.0,
        overflow: Literal["drop", "keep"] = "drop",
        split_normalisation: bool = False,
        min_background: float = 0.0,
        max_mc_error: float | None = None,
        smoothing: Literal["kde", "sigmoid"] | None = None,
        bandwidth: float | Literal["scott"] = "scott",
        jackknife: int | None = None,
    ) -> None:
        self.n_bins = n_bins
        self.lo = lo
        self.hi = hi
        self.binning = binning
        self.observable = observable
        self.signal = signal
        self.yields = yields
        self.norm_systematics = norm_systematics
        self.staterror = staterror
        self.metric = metric
        self.luminosity = luminosity
        self.overflow = overflow
        self.split_normalisation = split_normalisation
        self.min_background = min_background
        self.max_mc_error = max_mc_error
        self.smoothing = smoothing
        self.bandwidth = bandwidth
        self.jackknife = jackknife

    def fit(
        self, X: Any, y: Any = None, sample_weight: Any = None, variation: Any = None
    ) -> HistFactoryEstimator:
        """Learn the binning, and build and fit the model.

        Parameters
        ----------
        X : (n_rows, n_features) array_like or DataFrame, or workspace, path or HistFactoryModel
        y : (n_rows,) array_like
            Sample label of each row.
        sample_weight : (n_rows,) array_like, optional
            Event weights, which may be negative. A row of weight 0 is as absent, whatever it holds.
        variation : (n_rows,) array_like of str, optional
            "nominal", "<systematic>_up" or "<systematic>_down"; all nominal by default.

        Returns
        -------
        HistFactoryEstimator
            Itself.

        Raises
        ------
        ValueError
            If a parameter is impossible, an array has the wrong length or holds NaN, a variation
            is called otherwise, or a label has no events, a negative sum of weights, or is that of
            data or of a second signal.
        WorkspaceError
            If X is a workspace that is rejected.

        Warns
        -----
        WorkspaceWarning
            If a one-sided variation was mirrored, bins without background were merged, or there
            are fewer bins than asked for since many events have the same value.
        NotConvergedWarning
            If the fit did not converge.
        """
        for name in [name for name in vars(self) if name.endswith("_")]:
            delattr(self, name)  # of an earlier fit
        self._check_parameters()
        self._stage: EventStage | None = None
        if _is_workspace(X):
            model = _model(X)
        else:
            self._fit_events(self._events(X, y, sample_weight, variation, reset=True))
            model = from_pyhf(self.workspace_)
        self.result_ = fit(model)
        names = zip(model.parameter_names, model.fixed.tolist(), strict=True)
        self.nuisance_names_ = tuple(name for name, f in names if not f and name != model.poi)
        self.model_ = model
        return self

    def score(
        self,
        X: Any,
        y: Any = None,
        sample_weight: Any = None,
        variation: Any = None,
        groups: Any = None,
    ) -> float:
        """Expected result of the analysis with templates made from these events.

        Parameters
        ----------
        X, y, sample_weight, variation
            As for `fit`, with the same labels and variations.
        groups : (n_rows,) array_like, optional
            For `jackknife`: which event each row is of, the same for its variations. Without
            variations, each row is an event by default.

        Returns
        -------
        float
            The `metric`; higher is better.

        Raises
        ------
        ValueError
            As for `fit`, or if labels or variations are not those of `fit`. With `jackknife`: if
            X is a workspace, there are variations without `groups`, or too few events.
        FitError
            If a fit did not converge.
        """
        check_is_fitted(self)
        self._check_score()
        metric = METRICS[self.metric]
        if _is_workspace(X):
            if self.jackknife is not None:
                raise ValueError("jackknife needs events to leave out, but X is a workspace")
            return metric(_model(X))
        if self.jackknife is None:
            return metric(from_pyhf(self.workspace(X, y, sample_weight, variation)))
        columns = drop_absent(sample_weight, X, y, variation, groups)
        sample_weight, X, y, variation, groups = columns
        stage, events = self._new_events(X, y, sample_weight, variation)
        nominal = slice(None) if (rows := events.nominal_rows) is None else rows
        event = read_groups(groups, events.varied, len(events.x))
        check_shared(event, event[nominal])
        return jackknife_score(stage, events, event, self.jackknife, metric)

    def workspace(
        self, X: Any, y: Any, sample_weight: Any = None, variation: Any = None
    ) -> dict[str, Any]:
        """Workspace with templates made from these events, in the bins learned.

        Parameters
        ----------
        X, y, sample_weight, variation
            As for `score`.

        Returns
        -------
        dict
            pyhf JSON, like `workspace_`. Its observed events are those expected with the signal;
            `score` is the `metric` for data without such: its "upper_limit" is that of
            ``data=asimov_data(model, 0, nuisances="nominal")``.

        Raises
        ------
        ValueError
            As for `score`, or if `fit` was given a workspace.
        """
        check_is_fitted(self)
        stage, events = self._new_events(X, y, sample_weight, variation)
        templates, _ = stage.templates(events).merged(stage.edges)
        return stage.workspace(templates)

    @property
    def feature_importances_(self) -> Vector:
        """Impact of every nuisance parameter on the signal strength, (n_nuisances,).

        The total post-fit impact ``|up| + |down|`` of `nextstat.interpret.rank_impact`, in units of
        mu, not normalised; in the order of `nuisance_names_`. mu may become negative.

        They are those of the training templates. Where these hold scores of a classifier that was
        trained on the same events, the impacts are of no other events: cross-fit
        (`ScoreTransformer`), or see `nextstat.inspection` for others.
        """
        check_is_fitted(self)
        rows = rank_impact(self.model_, bounds=free_poi(self.model_))
        impacts = {row["name"]: row["total_impact"] for row in rows}
        return np.array([impacts[name] for name in self.nuisance_names_])

    def __repr__(self, N_CHAR_MAX: int = 700) -> str:
        """The parameters and, once events were learned from, which labels are what."""
        text: str = super().__repr__(N_CHAR_MAX)
        if not hasattr(self, "classes_"):
            return text
        labels = self.classes_.tolist()
        backgrounds = ", ".join(repr(label) for label in labels if label != self.signal_)
        return f"{text} <signal: {self.signal_!r}; backgrounds: {backgrounds}>"

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "model_")

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.target_tags.required = True
        return tags

    def _check_parameters(self) -> None:
        check_integer(self.n_bins, "n_bins")
        if isinstance(self.binning, str):
            check_option(self.binning, "binning", ("uniform", "quantile", "sensitivity"))
        self._check_score()
        check_option(self.overflow, "overflow", ("drop", "keep"))
        if self.smoothing is not None:
            check_option(self.smoothing, "smoothing", ("kde", "sigmoid"))
        check_flag(self.staterror, "staterror")
        check_flag(self.split_normalisation, "split_normalisation")
        check_positive(self.luminosity, "luminosity")
        check_positive(self.min_background, "min_background", or_zero=True)
        if self.max_mc_error is not None:
            check_positive(self.max_mc_error, "max_mc_error")
        if isinstance(self.bandwidth, str):
            check_option(self.bandwidth, "bandwidth", ("scott",))
        else:
            check_positive(self.bandwidth, "bandwidth")

    def _check_score(self) -> None:
        """Of the parameters that count after `fit`."""
        check_option(self.metric, "metric", METRICS)
        if self.jackknife is not None:
            check_integer(self.jackknife, "jackknife", 2)

    def _new_events(
        self, X: Any, y: Any, sample_weight: Any, variation: Any
    ) -> tuple[EventStage, Events]:
        """What `fit` learned, and events to apply it to."""
        if self._stage is None:
            raise ValueError("fit was given a workspace: it has not learned to bin events")
        return self._stage, self._events(X, y, sample_weight, variation, reset=False)

    def _events(self, X: Any, y: Any, sample_weight: Any, variation: Any, *, reset: bool) -> Events:
        if y is None:
            raise ValueError(
                f"{type(self).__name__} requires y to be passed, but the target y is None"
            )
        sample_weight, X, y, variation = drop_absent(sample_weight, X, y, variation)
        dtype = [np.float64, np.float32]
        X = validate_data(self, X, dtype=dtype, ensure_all_finite=False, reset=reset)
        x = X[:, self._column()]
        check_array(x, ensure_2d=False, dtype=dtype, input_name="X", estimator=self)
        return read_events(x, y, sample_weight, variation)

    def _column(self) -> int:
        n_features = self.n_features_in_
        if isinstance(self.observable, str):
            names = getattr(self, "feature_names_in_", np.array([])).tolist()
            if self.observable not in names:
                raise ValueError(
                    f"observable is {self.observable!r}, expected a column of X: "
                    f"{names or _NO_NAMES}"
                )
            return int(names.index(self.observable))
        column = check_integer(self.observable, "observable", -n_features)
        if column >= n_features:
            raise ValueError(f"observable is {column}, but X has {n_features} columns")
        return column

    def _fit_events(self, events: Events) -> None:
        labels = events.labels
        signal = find_label(self.signal, labels, weighted=events.weight is not None)
        for systematic in events.systematics:
            check_name(systematic, "variation")
        nominal = events.nominal()
        totals = nominal_totals(nominal)
        yields = self.luminosity * totals
        if self.yields is not None:
            yields = find_yields(self.yields, labels)
        learned, keep = isinstance(self.binning, str), self.overflow == "keep"
        stage = EventStage(
            labels=labels,
            is_signal=np.array([label == signal for label in labels.tolist()]),
            yields=yields,
            edges=np.empty(0),
            keeps=(keep or (learned and self.lo is None), keep or (learned and self.hi is None)),
            smoothing=find_smoothing(self.smoothing, self.bandwidth, nominal),
            norm_systematics=find_norm_systematics(self.norm_systematics, labels),
            staterror=bool(self.staterror),
            split_normalisation=bool(self.split_normalisation),
        )
        expected = nominal.expected(yields / totals)
        stage = replace(stage, edges=self._learn_edges(stage, events, nominal, expected))
        templates, self.edges_ = stage.templates(events).merged(stage.edges)
        warn_of_merged(len(stage.edges) - 1, len(self.edges_) - 1)
        warn_of_mirrored(templates.sides)
        self._stage = replace(
            stage,
            edges=self.edges_,
            sides=templates.sides,
            weighted=events.weight is not None,
        )
        self.classes_, self.signal_ = labels, signal
        self.yields_ = dict(zip(labels.tolist(), yields.tolist(), strict=True))
        self.workspace_ = stage.workspace(templates)

    def _learn_edges(
        self, stage: EventStage, events: Events, nominal: Events, expected: Vector
    ) -> Vector:
        """Bin edges; `expected`: events that each of the nominal ones stands for, (n_nominal,)."""
        if not isinstance(self.binning, str):
            return explicit_edges(self.binning)
        ends = find_range(nominal.x, self.lo, self.hi)
        if self.binning == "uniform":
            return uniform_edges(ends, self.n_bins)
        if self.binning == "quantile":
            edges = quantile_edges(nominal.x, expected, ends, self.n_bins)
            warn_of_ties(self.n_bins, len(edges) - 1)
            return edges
        of_signal = stage.is_signal[nominal.label]
        edges = candidate_edges(nominal.x, expected, of_signal, ends)
        metric = METRICS[self.metric]
        first = SensitiveBins(
            replace(stage, edges=edges).templates(events),
            edges,
            self.n_bins,
            min_background=self.min_background,
            max_mc_error=np.inf if self.max_mc_error is None else self.max_mc_error,
            value=lambda templates: metric(from_pyhf(stage.workspace(templates))),
        ).search()
        return np.concatenate([edges[first], edges[-1:]])


def _is_workspace(X: object) -> bool:
    if hasattr(X, "shape"):  # a sparse matrix may be a mapping, too
        return False
    return isinstance(X, HistFactoryModel | Workspace | Mapping | str | bytes | os.PathLike)


def _model(X: HistFactoryModel | Source) -> HistFactoryModel:
    return X if isinstance(X, HistFactoryModel) else from_pyhf(X)
