"""Which systematic matters: the ranking of nuisance parameters as feature importance."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt

from nextstat import _core
from nextstat._fit import require_minimum
from nextstat._problem import Bounds, Problem, make_problem
from nextstat._profile import poi_index
from nextstat._threads import resolve_n_jobs
from nextstat.exceptions import FitWarning
from nextstat.model import HistFactoryModel, Vector

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

SortKey = Literal["total", "pull", "constraint"]
_SORT_COLUMNS = {"total": "total_impact", "pull": "pull", "constraint": "constraint"}


def rank_impact(
    model: HistFactoryModel,
    *,
    top_n: int | None = None,
    sort_by: SortKey = "total",
    ascending: bool = False,
    method: Literal["refit"] = "refit",
    n_jobs: int | None = None,
    progress: bool = False,
    data: npt.ArrayLike | None = None,
    auxdata: npt.ArrayLike | None = None,
    poi: str | None = None,
    bounds: Bounds | None = None,
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
    method : {"refit"}
        Each impact is a fit with the parameter held at its shifted value.
    n_jobs : int, optional
        Threads; -1 for all processors. The result does not depend on it.
    progress : bool
        Show a progress bar.
    data, auxdata : array_like, optional
        In place of the observed events and auxiliary measurements; see `fit`.
    poi : str, optional
        Another parameter as parameter of interest.
    bounds : (P, 2) array_like or mapping of name to (lower, upper), optional
        In place of the model's. A parameter of interest that is stopped by its bound in the fits
        has no meaningful impacts (a `FitWarning` says so): widen its bounds here.

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
          constraint; 0 for unconstrained parameters
        - ``pull``: (fitted - centre) / width of the constraint; NaN if unconstrained
        - ``constraint``: post-fit error / width of the constraint; NaN if unconstrained

        Shifts stop at the bounds. NaN marks an impact whose refit did not converge (with a
        `FitWarning`), or a parameter at its bound, which has no error.

    Raises
    ------
    FitError
        If the global fit did not converge.
    ValueError, KeyError
        If there is no parameter of interest, or an option is unknown.
    """
    if method != "refit":
        raise ValueError(f"method is {method!r}, expected 'refit'")
    if sort_by not in _SORT_COLUMNS:
        raise ValueError(f"sort_by is {sort_by!r}, expected one of {list(_SORT_COLUMNS)}")
    if top_n is not None and top_n < 1:
        raise ValueError(f"top_n is {top_n}, expected at least 1")
    index = poi_index(model, poi)
    rows = _impacts(
        model,
        model._data(data, auxdata),
        make_problem(model, bounds=bounds),
        index,
        resolve_n_jobs(n_jobs),
        progress=progress,
    )
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


def plot_rank_impact(model: HistFactoryModel, *, top_n: int | None = 20, **options: Any) -> Figure:
    """Draw the ranking: impacts as bars on the upper axis, pulls on the lower.

    Parameters
    ----------
    top_n : int, optional
        Number of parameters to draw; None for all.
    **options
        As for `rank_impact`.

    Returns
    -------
    matplotlib.figure.Figure
    """
    from nextstat.plot import ranking

    rows = rank_impact(model, top_n=top_n, **options)
    poi = options.get("poi") or model.poi
    return ranking(rows, poi=str(poi))


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


def _impacts(
    model: HistFactoryModel,
    data: _core.Data,
    problem: Problem,
    poi: int,
    n_threads: int,
    *,
    progress: bool,
) -> list[dict[str, Any]]:
    """Rows of the ranking, unsorted and without rank."""
    fixed = problem.fixed | (problem.lower == problem.upper)
    if fixed[poi]:
        raise ValueError(f"the parameter of interest {model.parameter_names[poi]!r} is fixed")
    minimum = require_minimum(model, data, problem, "the global fit")
    best, errors = minimum.values, minimum.errors()
    errors[minimum.held] = np.nan
    table = model.parameters
    nuisances = np.flatnonzero(~fixed & (np.arange(len(table)) != poi))
    width = np.where(np.isnan(table.width), 0.0, table.width)
    # (4, nuisances): up, down, up prefit, down prefit
    shifts = np.stack([errors, -errors, width, -width])[:, nuisances]
    values = np.clip(best[nuisances] + shifts, problem.lower[nuisances], problem.upper[nuisances])
    fitted = np.where(np.isnan(shifts), np.nan, best[poi])
    moved = np.isfinite(shifts) & (values != best[nuisances])
    order = np.argwhere(moved.T)[:, ::-1]  # the four refits of a parameter side by side
    fitted[tuple(order.T)] = _refits(
        model,
        minimum,
        data,
        problem,
        poi,
        nuisances[order[:, 1]],
        values[tuple(order.T)],
        n_threads,
        progress=progress,
    )
    failed = [table.names[nuisances[j]] for i, j in order if np.isnan(fitted[i, j])]
    if failed:
        warnings.warn(
            f"{len(failed)} refits did not converge; NaN impacts for: "
            + ", ".join(sorted(set(failed))),
            FitWarning,
            stacklevel=3,
        )
    stopped = (fitted <= problem.lower[poi]) | (fitted >= problem.upper[poi])
    if stopped.any():
        name = table.names[poi]
        warnings.warn(
            f"{name!r} is stopped by its bounds [{problem.lower[poi]:g}, {problem.upper[poi]:g}] "
            f"in {np.count_nonzero(stopped)} of {stopped.size} fits, whose impacts are cut short; "
            f"widen them, for example bounds={{{name!r}: (-10, 10)}}",
            FitWarning,
            stacklevel=3,
        )
    impact = fitted - best[poi]
    pulls = (best - table.centre) / table.width
    constraints = errors / table.width
    return [
        {
            "rank": 0,
            "name": table.names[p],
            "kind": table.kinds[p],
            "total_impact": float(abs(impact[0, k]) + abs(impact[1, k])),
            "delta_mu_up": float(impact[0, k]),
            "delta_mu_down": float(impact[1, k]),
            "delta_mu_up_prefit": float(impact[2, k]),
            "delta_mu_down_prefit": float(impact[3, k]),
            "pull": float(pulls[p]),
            "constraint": float(constraints[p]),
        }
        for k, p in enumerate(nuisances)
    ]


def _refits(
    model: HistFactoryModel,
    minimum: _core.Minimum,
    data: _core.Data,
    problem: Problem,
    poi: int,
    parameters: npt.NDArray[np.intp],
    values: Vector,
    n_threads: int,
    *,
    progress: bool,
) -> Vector:
    """Fitted parameter of interest with each parameter held at its value; NaN where it failed."""
    step = 32 * n_threads if progress else max(1, len(parameters))
    batches = range(0, len(parameters), step)
    if progress:
        from rich.progress import track

        batches = track(batches, description="Ranking")  # type: ignore[assignment]
    fitted = [np.empty(0)]
    for start in batches:
        mu, status = _core.refit_shifted(
            model._core,
            minimum,
            data,
            problem.core(),
            poi,
            parameters[start : start + step],
            values[start : start + step],
            n_threads,
        )
        fitted.append(np.where(status == 0, mu, np.nan))
    return np.concatenate(fitted)
