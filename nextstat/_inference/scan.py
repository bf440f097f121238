"""Profile scans: the likelihood along one parameter, and CLs along the parameter of interest."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

import nextstat._core as _core
from nextstat._base.arrays import Vector
from nextstat._base.read_only import ReadOnly
from nextstat._base.spelling import set_apart
from nextstat._base.warnings import warn
from nextstat._execution.chunks import in_chunks
from nextstat._fits.default_bounds import warn_of_bounds
from nextstat._fits.fit import INFINITE, LOWEST, minimise, require_lowest, require_minimum
from nextstat._fits.settings import MAX_ITERATIONS, Bounds, Fixed, Init, Problem
from nextstat._inference.hypotest import asimov_profile, exclusion
from nextstat._inference.interval import crossing
from nextstat._inference.profile import ROUNDING, Profile, observe
from nextstat._model.histfactory import HistFactoryModel
from nextstat.exceptions import NotConvergedWarning

if TYPE_CHECKING:
    import pandas as pd

_POINTS = 51
_REACH = 3.0  # in errors
_CHAIN = 13  # points that start from one another,
_COLD = 4  # of which every so many start from the model's starting values too


@dataclass(frozen=True, eq=False)
class Scan(ReadOnly):
    """Profile likelihood along a parameter.

    Attributes
    ----------
    parameter : str
    values : (n,) ndarray
        In increasing order.
    twice_delta_nll : (n,) ndarray
        2 (nll - minimum), everything else fitted; infinite where the data exclude the value, NaN
        where a fit found no lowest nll.
    params : (n, P) ndarray
        All parameters at each value; the best fit where there is none.
    best : float
        Fitted value.
    """

    parameter: str
    values: Vector
    twice_delta_nll: Vector
    params: Vector
    best: float

    def to_dict(self) -> dict[str, object]:
        """Plain Python values, ready for JSON, without `params`."""
        return {
            "parameter": self.parameter,
            "best": self.best,
            "values": self.values.tolist(),
            "twice_delta_nll": self.twice_delta_nll.tolist(),
        }

    def to_dataframe(self) -> pd.DataFrame:
        """One row per value: the parameter, by its name, and twice_delta_nll.

        A parameter that is called so is "param/twice_delta_nll".
        """
        import pandas as pd

        [name] = set_apart([self.parameter], ["twice_delta_nll"], "param/")
        frame: pd.DataFrame = pd.DataFrame(
            {name: self.values, "twice_delta_nll": self.twice_delta_nll}
        )
        return frame


def scan(
    model: HistFactoryModel,
    parameter: str | None = None,
    values: npt.ArrayLike | None = None,
    *,
    data: npt.ArrayLike | None = None,
    auxdata: npt.ArrayLike | None = None,
    init: Init | None = None,
    fixed: Fixed | None = None,
    bounds: Bounds | None = None,
    n_starts: int = 1,
    max_iterations: int = MAX_ITERATIONS,
    n_jobs: int | None = None,
    progress: bool = False,
) -> Scan:
    """Scan the profile likelihood along a parameter.

    Parameters
    ----------
    model : HistFactoryModel
    parameter : str, optional
        The parameter of interest by default.
    values : (n,) array_like, optional
        51 values within three errors of the fitted one by default; at a bound, to where the
        profile reaches 9.
    data, auxdata, init, fixed, bounds, n_starts, max_iterations
        As for `fit`.
    n_jobs, progress
        As for `fit_batch`.

    Returns
    -------
    Scan

    Raises
    ------
    FitError
        If the global fit did not converge.
    KeyError
        If no parameter has that name; the message names the nearest.
    ValueError
        If the parameter is fixed, or a value is outside its bounds or not finite.

    Notes
    -----
    Each fit starts from its neighbour, from the best fit outwards; every fourth also from the
    model's starting values. If those lead lower, so do the fits since the last time.
    """
    profile = observe(
        model,
        data=data,
        auxdata=auxdata,
        poi=parameter,
        init=init,
        fixed=fixed,
        bounds=bounds,
        n_starts=n_starts,
        max_iterations=max_iterations,
    )
    points = _default_values(profile) if values is None else check_values(profile, values)
    params = np.empty((len(points), len(profile.best)))
    height = np.empty(len(points))
    chains = _chains(points, profile.muhat)
    dataset = np.concatenate([profile.data.n, profile.data.aux])
    task = partial(
        _follow, model, dataset, profile.problem, profile.poi, profile.best, points, chains
    )
    for k, found in in_chunks(
        task,
        len(chains),
        size=1,
        n_jobs=n_jobs,
        progress=progress,
        description="Scan",
        threaded=False,
    ):
        params[chains[k]], height[chains[k]] = found
    failed = int(np.count_nonzero(np.isnan(height)))
    if failed:
        message = f"{failed} of {len(points)} fits did not converge; they are NaN"
        warn(message, NotConvergedWarning)
    delta = _above_best(profile, params) + height
    lowest = int(np.argmin(np.where(np.isnan(delta), np.inf, delta)))
    if delta[lowest] < -ROUNDING:  # the global fit had stopped in another basin
        start = profile.problem.start(params[lowest])
        better = require_lowest(model, profile.data, start, "the global fit").values
        profile = Profile(model, profile.data, profile.problem, profile.poi, best=better)
        delta = _above_best(profile, params) + height
    delta = np.maximum(delta, 0.0)
    fits = params[np.isfinite(delta)]
    warn_of_bounds(model, profile.problem, [profile.best], fits, but=profile.poi)
    return Scan(profile.name, points, delta, params, profile.muhat)


def _default_values(profile: Profile) -> Vector:
    """Values within three errors; to where the profile reaches 9 if the fit is at a bound."""
    minimum = require_minimum(profile.model, profile.data, profile.problem, "the global fit")
    low, high = (float(x[profile.poi]) for x in (profile.problem.lower, profile.problem.upper))
    if minimum.held[profile.poi]:
        (first, _), (last, _) = (crossing(profile, _REACH**2, math.nan, x) for x in (low, high))
    else:
        reach = _REACH * float(minimum.errors()[profile.poi])
        first, last = max(low, profile.muhat - reach), min(high, profile.muhat + reach)
    return np.linspace(first, last, _POINTS)


def check_values(profile: Profile, values: npt.ArrayLike) -> Vector:
    """The values in increasing order; ValueError if one is outside the parameter's bounds."""
    points = np.sort(np.atleast_1d(np.asarray(values, dtype=np.float64)))
    if points.ndim != 1 or not len(points):
        raise ValueError(f"values has shape {np.shape(values)}, expected (n,) with n > 0")
    low, high = profile.problem.lower[profile.poi], profile.problem.upper[profile.poi]
    for value in points[[not profile.allows(value) for value in points]][:1]:
        raise ValueError(
            f"the value {value:g} is outside the bounds [{low:g}, {high:g}] of {profile.name!r}; "
            "widen them with bounds="
        )
    return points


def _chains(points: Vector, best: float) -> list[npt.NDArray[np.intp]]:
    """Numbers of the points in chains, each on one side of the best fit and leading outwards."""
    below, above = np.flatnonzero(points < best)[::-1], np.flatnonzero(points >= best)
    return [side[k : k + _CHAIN] for side in (above, below) for k in range(0, len(side), _CHAIN)]


def _follow(
    model: HistFactoryModel,
    dataset: Vector,
    problem: Problem,
    poi: int,
    best: Vector,
    points: Vector,
    chains: Sequence[npt.NDArray[np.intp]],
    k: int,
    _number: int,
    _n_threads: int,
) -> tuple[Vector, Vector]:
    """Fits of one chain: parameters at each point, and 0, or the height of those without."""
    data, values = model._data(dataset), points[chains[k]]

    def fit(row: int, start: Vector) -> _core.Minimum:
        return minimise(model, data, problem.start(start).fix(poi, values[row]))

    fits: list[_core.Minimum] = []
    last = best
    for row in range(len(values)):
        near = fit(row, last)
        if near.status in LOWEST and row % _COLD != _COLD - 1 and row != len(values) - 1:
            fits.append(near)
        else:
            fits.append(_lower(near, fit(row, problem.init)))
            if _is_lower(fits[row], near):  # since when?
                for i in range(row - 1, max(row - _COLD, -1), -1):
                    others = (fit(i, fits[i + 1].values), fit(i, problem.init))
                    fits[i] = _lower(fits[i], *others)
        last = fits[row].values if fits[row].status in LOWEST else last
    converged = np.array([fit.status in LOWEST for fit in fits])
    excluded = np.array([fit.status == INFINITE for fit in fits])
    params = np.where(converged[:, None], [fit.values for fit in fits], best)
    return params, np.where(converged, 0.0, np.where(excluded, np.inf, np.nan))


def _lower(*fits: _core.Minimum) -> _core.Minimum:
    return min(fits, key=lambda fit: (fit.status not in LOWEST, fit.nll))


def _is_lower(fit: _core.Minimum, other: _core.Minimum) -> bool:
    return fit.status in LOWEST and (other.status not in LOWEST or fit.nll < other.nll - ROUNDING)


def _above_best(profile: Profile, params: Vector) -> Vector:
    core, data, best = profile.model._core, profile.data, profile.best
    return np.array([2.0 * _core.nll_difference(core, data, row, best) for row in params])


@dataclass(frozen=True, eq=False)
class ClsScan(ReadOnly):
    """CLs along the parameter of interest.

    Attributes
    ----------
    parameter : str
    values : (n,) ndarray
    observed : (n,) ndarray
    expected : (n, 5) ndarray
        Median and bands (-2, -1, 0, +1, +2 sigma) under the background-only hypothesis.
    """

    parameter: str
    values: Vector
    observed: Vector
    expected: Vector

    def to_dict(self) -> dict[str, object]:
        """Plain Python values, ready for JSON."""
        return {
            "parameter": self.parameter,
            "values": self.values.tolist(),
            "observed": self.observed.tolist(),
            "expected": self.expected.tolist(),
        }


def cls_scan(
    model: HistFactoryModel,
    values: npt.ArrayLike,
    *,
    data: npt.ArrayLike | None = None,
    auxdata: npt.ArrayLike | None = None,
    poi: str | None = None,
    init: Init | None = None,
    fixed: Fixed | None = None,
    bounds: Bounds | None = None,
    n_starts: int = 1,
    max_iterations: int = MAX_ITERATIONS,
) -> ClsScan:
    """CLs of asymptotic qtilde tests at several values of the parameter of interest.

    Parameters
    ----------
    values : (n,) array_like
        None below 0.
    data, auxdata, poi, init, fixed, bounds, n_starts, max_iterations
        As for `hypotest`.

    Raises
    ------
    FitError, ValueError, KeyError
        As for `hypotest`.
    """
    observed = observe(
        model,
        data=data,
        auxdata=auxdata,
        poi=poi,
        init=init,
        fixed=fixed,
        bounds=bounds,
        n_starts=n_starts,
        max_iterations=max_iterations,
        statistic="qtilde",
    )
    points = check_values(observed, values)
    if points[0] < 0.0:
        raise ValueError(f"the values start at {points[0]:g}, expected none below 0")
    asimov = asimov_profile(model, observed, 0.0)
    found = [exclusion(mu, observed, asimov) for mu in points]
    observed.warn_of_bounds(*points)
    return ClsScan(
        parameter=observed.name,
        values=points,
        observed=np.array([p.ratio for p in found]),
        expected=np.array([p.expected for p in found]),
    )
