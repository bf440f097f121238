"""Rankings, uncertainty budgets, pulls and correlations, as rows and tables."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt

from nextstat._base.arguments import check_integer
from nextstat._fits.default_bounds import warn_of_bounds
from nextstat._fits.free_bounds import wider_bounds
from nextstat._fits.result import FitResult, check_converged
from nextstat._fits.settings import (
    MAX_ITERATIONS,
    Bounds,
    Fixed,
    Init,
    Problem,
    are_chosen,
    make_problem,
)
from nextstat._inference.profile import poi_index
from nextstat._model.histfactory import HistFactoryModel
from nextstat.exceptions import FitError
from nextstat.interpret._budget import (
    BreakdownMethod,
    Groups,
    auxdata_budget,
    fix_budget,
    groups_of,
)
from nextstat.interpret._impacts import GlobalFit, by_auxdata, by_covariance, by_refit, rows_of

if TYPE_CHECKING:
    import pandas as pd

RankingMethod = Literal["refit", "covariance", "auxdata"]
SortKey = Literal["total", "pull", "constraint"]
_COLUMNS = (
    "rank",
    "name",
    "kind",
    "total_impact",
    "delta_mu_up",
    "delta_mu_down",
    "delta_mu_up_prefit",
    "delta_mu_down_prefit",
    "pull",
    "constraint",
)
_SORT_COLUMNS = {"total": "total_impact", "pull": "pull", "constraint": "constraint"}


def rank_impact(
    model: HistFactoryModel,
    *,
    top_n: int | None = None,
    sort_by: SortKey = "total",
    ascending: bool = False,
    method: RankingMethod = "refit",
    n_jobs: int | None = None,
    progress: bool = False,
    data: npt.ArrayLike | None = None,
    auxdata: npt.ArrayLike | None = None,
    poi: str | None = None,
    init: Init | None = None,
    fixed: Fixed | None = None,
    bounds: Bounds | None = None,
    n_starts: int = 1,
    max_iterations: int = MAX_ITERATIONS,
) -> list[dict[str, Any]]:
    """Rank the nuisance parameters by their impact on the parameter of interest.

    Parameters
    ----------
    model : HistFactoryModel
    top_n : int, optional
        Keep the first rows only.
    sort_by : {"total", "pull", "constraint"}
        Order of the rows; pulls by their size.
    ascending : bool
        Smallest first.
    method : {"refit", "covariance", "auxdata"}
        "refit": each impact is a fit with the parameter held at its shifted value. "covariance":
        the same in the Gaussian limit, without refits. "auxdata": a fit with the parameter's
        auxiliary measurement shifted by its standard deviation (arXiv:2307.04007); such impacts,
        unlike the others, add in quadrature, with the statistical part, to the total error.
    n_jobs : int, optional
        Threads; -1 for all processors. Inside ``joblib.parallel_config``, joblib's workers. The
        result does not depend on it.
    progress : bool
        Show a progress bar.
    data, auxdata : array_like, optional
        In place of the observed events and auxiliary measurements; see `fit`.
    poi : str, optional
        Another parameter as parameter of interest.
    init : (P,) array_like or mapping of name to value, optional
        Where the first fit starts.
    fixed : mapping of name to value, names, or (P,) bools, optional
        Parameters to hold, as for `fit`; they are left out.
    bounds : (P, 2) array_like or mapping of name to (lower, upper), optional
        In place of the model's. A parameter of interest that is stopped by its bound in the fits
        has no meaningful impacts (a `BoundWarning` says so): widen its bounds here.

    Returns
    -------
    list of dict
        One per nuisance parameter that is not fixed, with the keys

        - ``rank``: 1 for the largest impact, whatever the order of the rows
        - ``name``, ``kind``
        - ``total_impact``: ``|delta_mu_up| + |delta_mu_down|``
        - ``delta_mu_up``, ``delta_mu_down``: shift of the fitted parameter of interest when the
          parameter is held at its fitted value plus, minus its post-fit error
        - ``delta_mu_up_prefit``, ``delta_mu_down_prefit``: the same with the width of its
          constraint; 0 for unconstrained parameters, NaN for the method "auxdata"
        - ``pull``: (fitted - centre) / width of the constraint; NaN if unconstrained
        - ``constraint``: post-fit error / width of the constraint; NaN if unconstrained

        Shifts stop at the bounds. NaN marks an impact whose refit did not converge (with a
        `NotConvergedWarning`), or a parameter at its bound, which has no error.

    Raises
    ------
    FitError
        If the global fit did not converge.
    ValueError, KeyError
        If there is no parameter of interest, or an option is unknown.
    """
    if method not in ("refit", "covariance", "auxdata"):
        raise ValueError(f"method is {method!r}, expected 'refit', 'covariance' or 'auxdata'")
    if sort_by not in _SORT_COLUMNS:
        raise ValueError(f"sort_by is {sort_by!r}, expected one of {list(_SORT_COLUMNS)}")
    if top_n is not None:
        check_integer(top_n, "top_n")
    problem = make_problem(model, init, fixed, bounds, n_starts, max_iterations)
    fit = _global_fit(model, data, auxdata, problem, poi, bounds)
    if method == "covariance":
        impact = by_covariance(fit)
    elif method == "auxdata":
        impact = by_auxdata(fit, n_jobs, progress=progress)
    else:
        impact = by_refit(fit, n_jobs, progress=progress)
    rows = rows_of(fit, impact)
    rows.sort(key=lambda row: (np.isnan(row["total_impact"]), -row["total_impact"]))
    for rank, row in enumerate(rows, start=1):
        row["rank"] = rank
    column, sign = _SORT_COLUMNS[sort_by], 1.0 if ascending else -1.0
    rows.sort(key=lambda row: (np.isnan(row[column]), sign * abs(row[column])))
    return rows[:top_n]


def rank_impact_df(model: HistFactoryModel, **options: Any) -> pd.DataFrame:
    """`rank_impact` as a DataFrame, one row per nuisance parameter, the same options."""
    import pandas as pd

    frame: pd.DataFrame = pd.DataFrame(rank_impact(model, **options), columns=_COLUMNS)
    return frame


def uncertainty_breakdown(
    model: HistFactoryModel,
    groups: Groups | None = None,
    *,
    method: BreakdownMethod = "auxdata",
    data: npt.ArrayLike | None = None,
    auxdata: npt.ArrayLike | None = None,
    poi: str | None = None,
    init: Init | None = None,
    fixed: Fixed | None = None,
    bounds: Bounds | None = None,
    n_starts: int = 1,
    max_iterations: int = MAX_ITERATIONS,
) -> dict[str, float]:
    """Break the error of the parameter of interest down into its sources.

    Parameters
    ----------
    model : HistFactoryModel
    groups : mapping of name to regular expression or several, optional
        Constrained nuisance parameters by their whole names; by default grouped by the type of
        their modifiers. What no group takes is "other".
    method : {"auxdata", "fix"}
        "auxdata": how far the fitted value moves with each measurement, main or auxiliary,
        shifted by its standard deviation (arXiv:2307.04007). The parts add in quadrature to the
        error: exactly where the data are as expected, else up to the difference between the
        observed and the expected curvature of the likelihood. "fix": how much smaller, in
        quadrature, the error is with the group fixed; such parts do not add up if groups are
        correlated.
    data, auxdata, poi, init, fixed, bounds, n_starts, max_iterations
        As for `rank_impact`.

    Returns
    -------
    dict
        "statistical", each group, and "total" (the error of the fit), in units of the parameter.

    Raises
    ------
    FitError
        If a fit did not converge, or ended with the parameter of interest at its bound.
    ValueError
        If a group matches nothing, or two groups share a parameter.
    """
    if method not in ("auxdata", "fix"):
        raise ValueError(f"method is {method!r}, expected 'auxdata' or 'fix'")
    problem = make_problem(model, init, fixed, bounds, n_starts, max_iterations)
    fit = _global_fit(model, data, auxdata, problem, poi, bounds)
    members = groups_of(model, fit.nuisances, groups)
    total = float(fit.errors[fit.poi])
    if np.isnan(total):
        name = model.parameter_names[fit.poi]
        raise FitError(
            f"{name!r} is stopped by its bound and has no error to break down; widen it with "
            f"bounds={{{name!r}: {wider_bounds(fit.problem, fit.poi, fit.values)}}}"
        )
    parts = auxdata_budget(fit, members) if method == "auxdata" else fix_budget(fit, members)
    return {**parts, "total": total}


def pulls(result: FitResult) -> list[dict[str, Any]]:
    """Pulls and constraints of the nuisance parameters of a fit.

    Returns
    -------
    list of dict
        One per parameter with a constraint that is not fixed: ``name``, ``kind``, ``value``,
        ``error``, and ``pull`` and ``constraint`` as in `rank_impact`.

    Raises
    ------
    FitError
        If the fit did not converge.
    """
    check_converged(result)
    table = result.model.parameters
    wanted = np.flatnonzero(~np.isnan(table.width) & ~result.fixed)
    return [
        {
            "name": table.names[p],
            "kind": table.kinds[p],
            "value": float(result.values[p]),
            "error": float(result.errors[p]),
            "pull": float((result.values[p] - table.centre[p]) / table.width[p]),
            "constraint": float(result.errors[p] / table.width[p]),
        }
        for p in wanted
    ]


def correlation_df(result: FitResult, *, threshold: float = 0.0) -> pd.DataFrame:
    """Correlation matrix of the free parameters, those with strong correlations only.

    Parameters
    ----------
    threshold : float
        Keep parameters that have a correlation of at least this size with another.

    Raises
    ------
    FitError
        If the fit did not converge.
    ValueError
        If the threshold is not between 0 and 1.
    """
    import pandas as pd

    check_converged(result)
    if not 0.0 <= threshold <= 1.0:
        raise ValueError(f"threshold is {threshold}, expected a number from 0 to 1")
    free = np.flatnonzero(~result.held)
    matrix = result.correlation[np.ix_(free, free)]
    others = np.abs(matrix - np.eye(len(free)))
    strong = (others >= threshold).any(axis=1) if threshold > 0.0 else np.full(len(free), True)
    names = [result.parameter_names[p] for p in free[strong]]
    frame: pd.DataFrame = pd.DataFrame(matrix[np.ix_(strong, strong)], index=names, columns=names)
    return frame


def _global_fit(
    model: HistFactoryModel,
    data: npt.ArrayLike | None,
    auxdata: npt.ArrayLike | None,
    problem: Problem,
    poi: str | None,
    bounds: Bounds | None,
) -> GlobalFit:
    index = poi_index(model, poi)
    chosen = are_chosen(bounds, model.parameter_names[index])
    fit = GlobalFit(model, model._data(data, auxdata), problem, index, free_bounds=not chosen)
    warn_of_bounds(model, problem, [fit.values], but=index)
    return fit
