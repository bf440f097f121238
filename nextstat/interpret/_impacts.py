"""Impacts of nuisance parameters, by refits, from the covariance, or by their measurements."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

import nextstat._core as _core
from nextstat._base.arrays import Vector
from nextstat._base.text import printable_list
from nextstat._base.warnings import warn
from nextstat._execution.chunks import in_chunks
from nextstat._fits.fit import require_minimum
from nextstat._fits.free_bounds import fit_freely, wider_bounds
from nextstat._fits.settings import Problem
from nextstat._model.histfactory import HistFactoryModel
from nextstat.exceptions import BoundWarning, NotConvergedWarning

_CHUNK = 512  # refits


class GlobalFit:
    """The fit that impacts refer to.

    Parameters
    ----------
    poi : int
        Position of the parameter of interest.
    free_bounds : bool
        Whether its bounds are moved outwards where they stop the fit.

    Raises
    ------
    FitError
        If the fit did not converge.
    ValueError
        If the parameter of interest is fixed.
    """

    def __init__(
        self,
        model: HistFactoryModel,
        data: _core.Data,
        problem: Problem,
        poi: int,
        free_bounds: bool = False,
    ) -> None:
        fixed = problem.fixed | (problem.lower == problem.upper)
        if fixed[poi]:
            raise ValueError(f"the parameter of interest {model.parameter_names[poi]!r} is fixed")
        if free_bounds:
            self.minimum, problem = fit_freely(model, data, problem, poi, require_minimum)
        else:
            self.minimum = require_minimum(model, data, problem, "the global fit")
        self.model, self.data, self.problem, self.poi = model, data, problem, poi
        self.values = self.minimum.values
        self.errors = np.where(self.minimum.held, np.nan, self.minimum.errors())
        self.nuisances = np.flatnonzero(~fixed & (np.arange(len(fixed)) != poi))
        self.width = np.nan_to_num(model.parameters.width)  # 0 where unconstrained

    @property
    def dataset(self) -> Vector:
        """Events and auxiliary measurements."""
        return np.concatenate([self.data.n, self.data.aux])

    @property
    def aux_parameters(self) -> npt.NDArray[np.intp]:
        """Parameter of each auxiliary measurement, (n_aux,)."""
        return np.flatnonzero(self.model.parameters.constrained)

    def aux_errors(self) -> Vector:
        """Standard deviation of each parameter's auxiliary measurement at the fit, (P,).

        s for a Gaussian constraint, sqrt(tau theta) for a Poisson one, 0 without.
        """
        tau = self.model.parameters.tau
        poisson = np.sqrt(np.maximum(np.nan_to_num(tau) * self.values, 0.0))
        return np.where(np.isnan(tau), self.width, poisson)


def by_refit(fit: GlobalFit, n_jobs: int | None, *, progress: bool) -> Vector:
    """Impacts (4, nuisances): up, down, and both with pre-fit shifts, by refits."""
    nuisances, poi = fit.nuisances, fit.poi
    best, problem = fit.values, fit.problem
    shifts = np.stack([fit.errors, -fit.errors, fit.width, -fit.width])[:, nuisances]
    low, high = problem.lower[nuisances], problem.upper[nuisances]
    values = np.clip(best[nuisances] + shifts, low, high)
    fitted = np.where(np.isnan(shifts), np.nan, best[poi])
    moved = np.isfinite(shifts) & (values != best[nuisances])
    order = np.argwhere(moved.T)[:, ::-1]  # the four refits of a parameter side by side
    where = tuple(order.T)
    parameters = nuisances[order[:, 1]]
    task = partial(
        _refits, fit.model, fit.minimum, fit.dataset, problem, poi, parameters, values[where]
    )
    fitted[where] = _gather(task, len(order), n_jobs, progress=progress)
    failed = [fit.model.parameter_names[nuisances[j]] for i, j in order if np.isnan(fitted[i, j])]
    _warn_failed(failed)
    _warn_stopped(fit, fitted)
    impact: Vector = fitted - best[poi]
    return impact


def by_covariance(fit: GlobalFit) -> Vector:
    """The same in the Gaussian limit: C[mu, t] / C[t, t] times the shift of t."""
    _warn_stopped(fit, fit.values[[fit.poi]])
    row = fit.minimum.covariance_with(fit.poi)
    with np.errstate(invalid="ignore", divide="ignore"):
        up = row / fit.errors
        prefit = row / fit.errors**2 * fit.width
    return np.stack([up, -up, prefit, -prefit])[:, fit.nuisances]


def by_auxdata(fit: GlobalFit, n_jobs: int | None, *, progress: bool) -> Vector:
    """Fits with a parameter's auxiliary measurement shifted by its standard deviation.

    Rows up and down; there are no pre-fit ones (NaN). 0 for unconstrained parameters.
    """
    parameters = fit.aux_parameters
    dataset, n_bins = fit.dataset, fit.model.n_bins
    shift = fit.aux_errors()[parameters]
    wanted = np.flatnonzero(np.isin(parameters, fit.nuisances))
    rows = np.tile(dataset, (2 * len(wanted), 1))
    for k, a in enumerate(wanted):
        rows[2 * k, n_bins + a] += shift[a]
        rows[2 * k + 1, n_bins + a] -= shift[a]
    poisson = ~np.isnan(fit.model.parameters.tau[parameters])
    rows[:, n_bins:][:, poisson] = np.maximum(rows[:, n_bins:][:, poisson], 0.0)
    task = partial(_fits_of_rows, fit.model, rows, fit.problem, fit.values, fit.poi)
    fitted = _gather(task, len(rows), n_jobs, progress=progress).reshape(-1, 2).T
    names = fit.model.parameter_names
    _warn_failed(
        [names[parameters[a]] for k, a in enumerate(wanted) if np.isnan(fitted[:, k]).any()]
    )
    _warn_stopped(fit, fitted)
    impact = np.zeros((4, len(fit.model.parameters)))
    impact[2:] = np.nan
    impact[:2, parameters[wanted]] = fitted - fit.values[fit.poi]
    return impact[:, fit.nuisances]


def rows_of(fit: GlobalFit, impact: Vector) -> list[dict[str, Any]]:
    """Rows of the ranking, unsorted and without rank."""
    table = fit.model.parameters
    pulls = (fit.values - table.centre) / table.width
    constraints = fit.errors / table.width
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
        for k, p in enumerate(fit.nuisances)
    ]


def _gather(task: Any, n: int, n_jobs: int | None, *, progress: bool) -> Vector:
    if n == 0:
        return np.empty(0)
    found = in_chunks(task, n, size=_CHUNK, n_jobs=n_jobs, progress=progress, description="Ranking")
    return np.concatenate([fitted for _, fitted in found])


def _refits(
    model: HistFactoryModel,
    minimum: _core.Minimum,
    dataset: Vector,
    problem: Problem,
    poi: int,
    parameters: npt.NDArray[np.intp],
    values: Vector,
    first: int,
    number: int,
    n_threads: int,
) -> Vector:
    """Fitted parameter of interest with each parameter held at its value; NaN where it failed."""
    chunk = slice(first, first + number)
    mu, status = _core.refit_shifted(
        model._core,
        minimum,
        model._data(dataset),
        problem.core(),
        poi,
        parameters[chunk],
        values[chunk],
        n_threads,
    )
    return np.where(status == 0, mu, np.nan)


def _fits_of_rows(
    model: HistFactoryModel,
    rows: Vector,
    problem: Problem,
    start: Vector,
    poi: int,
    first: int,
    number: int,
    n_threads: int,
) -> Vector:
    """Fitted parameter of interest of each dataset; NaN where the fit failed."""
    fits = _core.fit_rows(
        model._core,
        rows[first : first + number],
        problem.start(start).core(),
        problem.init,
        n_threads,
    )
    return np.where(fits["status"] == 0, fits["values"][:, poi], np.nan)


def _warn_failed(names: list[str]) -> None:
    if names:
        warn(
            f"{len(names)} refits did not converge; NaN impacts for: "
            + printable_list(sorted(set(names))),
            NotConvergedWarning,
        )


def _warn_stopped(fit: GlobalFit, fitted: Vector) -> None:
    low, high = fit.problem.lower[fit.poi], fit.problem.upper[fit.poi]
    stopped = (fitted <= low) | (fitted >= high)
    if stopped.any():
        name = fit.model.parameter_names[fit.poi]
        at = fit.values.copy()
        at[fit.poi] = fitted[stopped].flat[0]
        wider = wider_bounds(fit.problem, fit.poi, at)
        warn(
            f"{name!r} is stopped by its bounds [{low:g}, {high:g}] in "
            f"{np.count_nonzero(stopped)} of {stopped.size} fits, whose impacts are cut short; "
            f"widen them, for example bounds={{{name!r}: {wider}}}",
            BoundWarning,
        )
