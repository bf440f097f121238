"""Goodness of fit by the saturated model."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import numpy.typing as npt
from scipy.stats import chi2

import nextstat._core as _core
from nextstat._base.arguments import check_calculator
from nextstat._base.arrays import Vector
from nextstat._base.read_only import ReadOnly
from nextstat._fits.default_bounds import warn_of_bounds
from nextstat._fits.fit import require_lowest
from nextstat._fits.free_bounds import fit_freely, free_poi
from nextstat._fits.settings import MAX_ITERATIONS, Bounds, Fixed, Init, Problem, make_problem
from nextstat._fits.toys import fit_toys, share_error
from nextstat._inference.profile import ROUNDING
from nextstat._model.histfactory import HistFactoryModel
from nextstat.exceptions import FitError


@dataclass(frozen=True, eq=False)
class GoodnessOfFit(ReadOnly):
    """Agreement of the data with the fitted model.

    Attributes
    ----------
    statistic : float
        2 (nll - nll of the saturated model, whose expectation is the data themselves).
    n_dof : int
        Bins less free parameters without constraint.
    pvalue : float
        Probability of data that agree less.
    pvalue_error : float
        Standard error from the number of toys; 0 for the asymptotic chi2.
    channels : dict of str to (float, int)
        Share of each channel in the statistic, and its number of bins.
    constraints : float
        Share of the constraint terms.
    toys : (n,) ndarray or None
        The statistic of the toys that could be fitted.
    n_failed : int
        Toys that could not; they count nowhere.
    seed : int or None
        Of the toys.
    """

    statistic: float
    n_dof: int
    pvalue: float
    channels: dict[str, tuple[float, int]]
    constraints: float
    pvalue_error: float = 0.0
    toys: Vector | None = field(default=None, repr=False)
    n_failed: int = 0
    seed: int | None = None

    def to_dict(self) -> dict[str, object]:
        """Plain Python values, ready for JSON; of the toys, their number."""
        values = {**self.__dict__, "n_toys": 0 if self.toys is None else len(self.toys)}
        values["channels"] = {name: list(share) for name, share in self.channels.items()}
        del values["toys"]
        return values


def goodness_of_fit(
    model: HistFactoryModel,
    *,
    data: npt.ArrayLike | None = None,
    auxdata: npt.ArrayLike | None = None,
    init: Init | None = None,
    fixed: Fixed | None = None,
    bounds: Bounds | None = None,
    n_starts: int = 1,
    max_iterations: int = MAX_ITERATIONS,
    calculator: Literal["asymptotics", "toys"] = "asymptotics",
    n_toys: int = 1000,
    seed: int | None = None,
    n_jobs: int | None = None,
    progress: bool = False,
) -> GoodnessOfFit:
    """Goodness of fit by the likelihood ratio to the saturated model.

    Parameters
    ----------
    model : HistFactoryModel
    data, auxdata, init, fixed, bounds, n_starts, max_iterations
        As for `fit`.
    calculator : {"asymptotics", "toys"}
        The chi2 distribution, which needs a few events in every bin, or toys thrown at the fit.
    n_toys, seed, n_jobs, progress
        As for `fit_toys`.

    Returns
    -------
    GoodnessOfFit

    Raises
    ------
    FitError
        If the fit did not converge, or none of the toys did.
    ValueError
        If an option is impossible, or there are no degrees of freedom for the chi2.

    Notes
    -----
    Baker and Cousins, NIM 221 (1984) 437. With n_b events where nu_b are expected,
    2 sum_b [nu_b - n_b + n_b ln(n_b / nu_b)], plus the same of the constraints.
    """
    check_calculator(calculator)
    problem = make_problem(model, init, fixed, bounds, n_starts, max_iterations)
    core_data = model._data(data, auxdata)
    poi = free_poi(model, problem, bounds)
    if poi is None:
        minimum = require_lowest(model, core_data, problem, "the fit")
    else:
        minimum, problem = fit_freely(model, core_data, problem, poi)
    expected = model.expected_data(minimum.values)
    observed = np.concatenate([core_data.n, core_data.aux])
    bins = _poisson_deviance(observed[: model.n_bins], expected[: model.n_bins])
    constraints = _constraint_deviance(model, observed, expected)
    channels = {
        name: (float(bins[where].sum()), where.stop - where.start)
        for name, where in model.channel_slices.items()
    }
    statistic = float(bins.sum()) + constraints
    n_dof = _degrees_of_freedom(model, core_data, minimum, problem)
    if calculator == "asymptotics":
        warn_of_bounds(model, problem, [minimum.values], but=poi)
        if n_dof < 1:
            raise ValueError(
                "there are no more bins that can hold events than free parameters without "
                f"constraint ({n_dof} degrees of freedom): nothing is left to test"
            )
        pvalue = float(chi2.sf(statistic, n_dof))
        return GoodnessOfFit(statistic, n_dof, pvalue, channels, constraints)
    batch = fit_toys(
        model,
        n_toys,
        params=minimum.values,
        seed=seed,
        fixed=fixed,
        bounds=bounds,
        n_starts=n_starts,
        max_iterations=max_iterations,
        n_jobs=n_jobs,
        progress=progress,
    )
    toys = batch.deviance[batch.converged]
    if not len(toys):
        raise FitError("none of the toys could be fitted")
    pvalue = float(np.mean(toys >= statistic - ROUNDING))
    error = share_error(pvalue, len(toys))
    n_failed = len(batch) - len(toys)
    return GoodnessOfFit(
        statistic, n_dof, pvalue, channels, constraints, error, toys, n_failed, batch.seed
    )


def _degrees_of_freedom(
    model: HistFactoryModel, data: _core.Data, minimum: _core.Minimum, problem: Problem
) -> int:
    """Bins that can hold events, less the unconstrained directions in which the fit can move.

    An empty bin in which nothing is expected at the fit, and which no parameter fills there, is
    none. Nor is a parameter that is held, by whatever means, or that changes no expectation;
    several that change the expectations alike count once.
    """
    expected = model.expected_data(minimum.values, include_auxdata=False)
    free = np.flatnonzero(~problem.fixed & (problem.lower < problem.upper))
    units = np.eye(model.n_bins)
    slopes = [_core.yield_sensitivities(model._core, minimum.values, b)[0] for b in units]
    moves = np.array(slopes).T[free]
    bins = (expected > 0.0) | (data.n > 0.0) | (moves != 0.0).any(axis=0)
    unconstrained = moves[~model.parameters.constrained[free]][:, bins]
    scaled = unconstrained / np.sqrt(np.maximum(expected[bins], 1e-300))
    return int(bins.sum()) - _rank(scaled)


def _rank(rows: Vector) -> int:
    size = np.sqrt((rows**2).sum(axis=1))
    rows = rows[size > 0.0] / size[size > 0.0, None]
    return int(np.linalg.matrix_rank(rows)) if len(rows) else 0


def _poisson_deviance(n: Vector, nu: Vector) -> Vector:
    """2 (nu - n + n ln(n / nu)) of each count; an expectation below 0 counts as 0."""
    nu = np.maximum(nu, 0.0)
    with np.errstate(divide="ignore", invalid="ignore"):
        log_ratio = np.where(n > 0.0, np.log1p((nu - n) / np.where(n > 0.0, n, 1.0)), 0.0)
    deviance: Vector = 2.0 * ((nu - n) - n * log_ratio)
    return deviance


def _constraint_deviance(model: HistFactoryModel, observed: Vector, expected: Vector) -> float:
    aux, mean = observed[model.n_bins :], expected[model.n_bins :]
    constrained = model.parameters.constrained
    width, tau = model.parameters.width[constrained], model.parameters.tau[constrained]
    gaussian = np.isnan(tau)
    pulls = (aux[gaussian] - mean[gaussian]) / width[gaussian]
    return float((pulls**2).sum() + _poisson_deviance(aux[~gaussian], mean[~gaussian]).sum())
