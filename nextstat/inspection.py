"""Which systematic limits an analysis: importances with their spread, and their display."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from sklearn.utils import Bunch, _safe_indexing, check_random_state
from sklearn.utils.validation import check_consistent_length, check_is_fitted

from nextstat._base.arguments import check_integer
from nextstat._base.arrays import Vector
from nextstat._base.warnings import warn
from nextstat._estimators.estimator import HistFactoryEstimator
from nextstat._estimators.expected_results import free_poi
from nextstat._events.table import drop_absent, nominal_rows, read_groups
from nextstat._fits.toys import toy_data
from nextstat._model.histfactory import HistFactoryModel, from_pyhf
from nextstat.exceptions import FitError, NotConvergedWarning
from nextstat.interpret import RankingMethod, rank_impact
from nextstat.metrics import last_step
from nextstat.plot import ranking

__all__ = ["ImpactDisplay", "impact_importance"]

Repeat: TypeAlias = tuple[HistFactoryModel, Vector | None]


def impact_importance(
    estimator: Any,
    X: Any = None,
    y: Any = None,
    *,
    n_repeats: int = 5,
    random_state: int | np.random.RandomState | None = None,
    sample_weight: Any = None,
    variation: Any = None,
    groups: Any = None,
) -> Bunch:
    """Importance of every nuisance parameter, with its spread over repetitions.

    Like `sklearn.inspection.permutation_importance`, but of what limits the measurement: the
    total post-fit impact on mu, as in `HistFactoryEstimator.feature_importances_`.

    Parameters
    ----------
    estimator : HistFactoryEstimator, or Pipeline that ends in one
        Fitted.
    X, y : optional
        Events. Without, every repetition is a pseudo-experiment: a toy of events and auxiliary
        measurements thrown from the fitted model. With events, every repetition draws as many
        again with replacement, and makes new templates from them: the spread that the number of
        simulated events causes.
    n_repeats : int
    random_state : int, RandomState or None
    sample_weight, variation
        Of the events, as for `HistFactoryEstimator.fit`.
    groups : (n_rows,) array_like, optional
        Which event each row is of; an event and its variations are drawn together.

    Returns
    -------
    sklearn.utils.Bunch
        ``importances_mean``, ``importances_std`` (n_nuisances,), ``importances`` (n_nuisances,
        n_repeats), in the order of ``nuisance_names``. NaN, and left out of mean and standard
        deviation: a parameter at its bound, which has no error; those of single bins, where events
        drawn made other bins (some were merged); and a repetition whose fit did not converge, of
        which a `NotConvergedWarning` tells.

    Raises
    ------
    ValueError
        If there are events of variations without `groups`, or events for a workspace's estimator.
    FitError
        If no repetition could be fitted.
    """
    check_integer(n_repeats, "n_repeats")
    rng = check_random_state(random_state)
    analysis, X = _analysis_of(estimator, X)
    if X is None:
        toys = toy_data(analysis.model_, n_repeats, seed=int(rng.randint(2**31)))
        repeats: Iterator[Repeat] = ((analysis.model_, toy) for toy in toys)
    else:
        if y is None:
            raise ValueError("X is given but y is not, expected the labels of the events")
        check_consistent_length(X, y)
        columns = drop_absent(sample_weight, X, y, variation, groups)
        sample_weight, X, y, variation, groups = columns
        nominal = nominal_rows(variation, len(y))
        event = read_groups(groups, nominal is not None and len(nominal) < len(y), len(y))
        repeats = (
            (from_pyhf(analysis.workspace(*drawn)), None)
            for drawn in _bootstraps((X, y, sample_weight, variation), event, n_repeats, rng)
        )
    names = analysis.nuisance_names_
    importances = np.full((len(names), n_repeats), np.nan)
    for k, (model, data) in enumerate(repeats):
        try:
            rows = rank_impact(model, data=data, bounds=free_poi(model))
        except FitError:
            continue
        impacts = {row["name"]: row["total_impact"] for row in rows}
        importances[:, k] = [impacts.get(name, 0.0) for name in names]
        if model.n_bins != analysis.model_.n_bins:  # merged: gammas by name are of other bins
            of_bins = [name.endswith("]") for name in names]
            importances[of_bins, k] = np.nan
    return _bunch(names, importances)


def _bootstraps(
    columns: tuple[Any, ...],
    event: npt.NDArray[np.int32],
    n_repeats: int,
    rng: np.random.RandomState,
) -> Iterator[tuple[Any, ...]]:
    """The columns with events drawn with replacement, as many as there are."""
    n_events = int(event.max()) + 1
    for _ in range(n_repeats):
        times = np.bincount(rng.randint(n_events, size=n_events), minlength=n_events)
        rows = np.repeat(np.arange(len(event)), times[event])
        yield tuple(None if x is None else _safe_indexing(x, rows) for x in columns)


def _bunch(names: tuple[str, ...], importances: Vector) -> Bunch:
    failed = np.array([len(names) > 0 and np.isnan(column).all() for column in importances.T])
    if failed.all():
        raise FitError(f"none of the {len(failed)} repetitions could be fitted and ranked")
    if failed.any():
        warn(
            f"{np.count_nonzero(failed)} of {len(failed)} repetitions could not be fitted and "
            "ranked; they are NaN and left out of the mean",
            NotConvergedWarning,
        )
    known = np.ma.masked_invalid(importances)
    mean = known.mean(axis=1)
    return Bunch(
        importances_mean=mean.filled(np.nan),
        importances_std=known.std(axis=1).filled(np.nan),
        importances=importances,
        nuisance_names=names,
    )


class ImpactDisplay:
    """The ranking of an analysis, drawn.

    Make one with `from_estimator`.

    Parameters
    ----------
    rows : list of dict
        As returned by `nextstat.interpret.rank_impact`.
    poi : str
        Name of the parameter of interest.

    Attributes
    ----------
    ax_ : matplotlib Axes
        Of the pulls.
    figure_ : matplotlib Figure
    """

    def __init__(self, rows: list[dict[str, Any]], poi: str = "mu") -> None:
        self.rows = rows
        self.poi = poi

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        X: Any = None,
        y: Any = None,
        *,
        sample_weight: Any = None,
        variation: Any = None,
        max_display: int | None = 20,
        method: RankingMethod = "refit",
        ax: Axes | None = None,
    ) -> ImpactDisplay:
        """Rank the nuisance parameters of a fitted estimator, and draw them.

        Parameters
        ----------
        estimator : HistFactoryEstimator, or Pipeline that ends in one
        X, y, sample_weight, variation : optional
            Events to make the templates from; by default those of `fit`.
        max_display : int, optional
            Number of parameters to draw; None for all.
        method : {"refit", "covariance", "auxdata"}
            As for `nextstat.interpret.rank_impact`.
        ax : matplotlib Axes, optional
            Axes to draw in; a new figure by default.
        """
        analysis, X = _analysis_of(estimator, X)
        model = analysis.model_
        if X is not None:
            model = from_pyhf(analysis.workspace(X, y, sample_weight, variation))
        rows = rank_impact(model, top_n=max_display, method=method, bounds=free_poi(model))
        return cls(rows, str(model.poi)).plot(ax)

    def plot(self, ax: Axes | None = None) -> ImpactDisplay:
        """Draw impacts as bars and pulls as points, as `nextstat.plot.ranking` does."""
        self.figure_: Figure = ranking(self.rows, poi=self.poi, ax=ax)
        self.ax_: Axes = self.figure_.axes[0] if ax is None else ax
        return self


def _analysis_of(estimator: Any, X: Any = None) -> tuple[HistFactoryEstimator, Any]:
    """The fitted analysis at the end of a pipeline, and the events as they reach it."""
    last, X = last_step(estimator, X)
    if not isinstance(last, HistFactoryEstimator):
        raise TypeError(
            f"estimator is a {type(last).__name__}, expected a HistFactoryEstimator or a "
            "Pipeline that ends in one"
        )
    check_is_fitted(last)
    return last, X
