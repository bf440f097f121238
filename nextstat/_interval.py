"""Confidence intervals and regions from the profile likelihood (MINOS)."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import partial

import numpy as np
from scipy.optimize import brentq
from scipy.stats import chi2

from nextstat import _core
from nextstat._chunks import in_chunks
from nextstat._fit import minimise
from nextstat._profile import Profile, poi_index
from nextstat.exceptions import FitError
from nextstat.model import HistFactoryModel, Vector
from nextstat.result import FitResult

ONE_SIGMA = math.erf(1.0 / math.sqrt(2.0))
TWO_SIGMA = math.erf(2.0 / math.sqrt(2.0))

_PRECISION = 1e-7  # of a crossing, in units of the error


@dataclass(frozen=True)
class Interval:
    """Confidence interval of a parameter.

    Attributes
    ----------
    parameter : str
    best : float
        Fitted value.
    lower, upper : float
        Where 2 (nll - minimum) reaches the quantile of the level, or the bound.
    level : float
    at_bound : (bool, bool)
        Whether the parameter's bound ended the interval before.
    """

    parameter: str
    best: float
    lower: float
    upper: float
    level: float
    at_bound: tuple[bool, bool]

    @property
    def error_down(self) -> float:
        """Distance from the fitted value down to `lower`, negative as MINOS has it."""
        return self.lower - self.best

    @property
    def error_up(self) -> float:
        """Distance from the fitted value up to `upper`."""
        return self.upper - self.best

    def to_dict(self) -> dict[str, object]:
        """Plain Python values, ready for JSON."""
        return {**self.__dict__, "at_bound": list(self.at_bound)}


def interval(result: FitResult, parameter: str | None = None, level: float = ONE_SIGMA) -> Interval:
    """Confidence interval of a parameter from the profile likelihood, as MINOS gives it.

    Parameters
    ----------
    result : FitResult
        The fit; its data, starting values, bounds and fixed parameters hold here too.
    parameter : str, optional
        The parameter of interest by default.
    level : float
        Confidence level, 0 < level < 1; one standard deviation by default.

    Returns
    -------
    Interval

    Raises
    ------
    FitError
        If the fit, or one of those at the values tried, did not converge.
    KeyError
        If no parameter has that name; the message names the nearest.
    ValueError
        If the parameter was fixed, or the level is not between 0 and 1.

    Notes
    -----
    The ends are where 2 (nll - minimum), everything else fitted, is the quantile of `level` of
    chi2 with one degree of freedom (Wilks; James, Statistical Methods, 9.3).
    """
    target = _quantile(level, 1)
    profile = _profile(result, parameter)
    best = profile.best[profile.poi]
    error = result.errors[profile.poi]
    bounds = (profile.problem.lower[profile.poi], profile.problem.upper[profile.poi])
    ends = [_crossing(profile, target, error, float(bound)) for bound in bounds]
    (lower, low_stop), (upper, high_stop) = ends
    return Interval(profile.name, float(best), lower, upper, level, (low_stop, high_stop))


def _quantile(level: float, dimensions: int) -> float:
    if not 0.0 < level < 1.0:
        raise ValueError(f"level is {level}, expected a number between 0 and 1")
    return float(chi2.ppf(level, dimensions))


def _profile(result: FitResult, parameter: str | None) -> Profile:
    model = result.model
    index = poi_index(model, parameter)
    if not result.converged:
        raise FitError(f"the fit did not converge ({result.status}): {result.message}")
    data = model._data(result.dataset)
    return Profile(model, data, result.problem, index, best=result.values)


def _crossing(profile: Profile, target: float, error: float, bound: float) -> tuple[float, bool]:
    """Where the profile reaches the target on the way to a bound, and whether the bound is first.

    Steps outwards start from the parabola's guess and double.
    """
    best = profile.muhat
    if best == bound:
        return best, True
    side = math.copysign(1.0, bound - best)
    step = error * math.sqrt(target) if error > 0.0 else 0.1 * abs(bound - best)
    inside, height = best, 0.0
    while True:
        outside = best + side * step
        if side * (outside - bound) >= 0.0:
            outside = bound
        height = profile.statistic(outside)
        if profile.muhat != best:  # a lower minimum turned up on the way
            return _crossing(profile, target, error, bound)
        if height >= target:
            break
        if outside == bound:
            return bound, True
        inside, step = outside, 2.0 * step
    precision = _PRECISION * abs(outside - best)

    def excess(value: float) -> float:
        # the square root is nearly linear
        return math.sqrt(min(profile.statistic(value), 1e6)) - math.sqrt(target)

    low, high = sorted((inside, outside))
    return float(brentq(excess, low, high, xtol=precision, rtol=1e-10)), False


@dataclass(frozen=True, eq=False)
class Contour:
    """Confidence regions of two parameters.

    Attributes
    ----------
    parameters : (str, str)
    best : (2,) ndarray
        Fitted values.
    levels : tuple of float
    points : dict of float to (n, 2) ndarray
        For each level the border of its region, counterclockwise, the first point not repeated.
    """

    parameters: tuple[str, str]
    best: Vector
    levels: tuple[float, ...]
    points: dict[float, Vector]

    def to_dict(self) -> dict[str, object]:
        """Plain Python values, ready for JSON."""
        return {
            "parameters": list(self.parameters),
            "best": self.best.tolist(),
            "levels": list(self.levels),
            "points": [self.points[level].tolist() for level in self.levels],
        }


def contour(
    result: FitResult,
    x: str,
    y: str,
    *,
    levels: tuple[float, ...] = (ONE_SIGMA, TWO_SIGMA),
    n_points: int = 40,
    n_jobs: int | None = None,
    progress: bool = False,
) -> Contour:
    """Confidence regions of two parameters from the profile likelihood.

    Parameters
    ----------
    result : FitResult
        The fit; its data, starting values, bounds and fixed parameters hold here too.
    x, y : str
        Names of the parameters.
    levels : tuple of float
        Confidence levels of the regions (of both parameters together).
    n_points : int
        Points on each border.
    n_jobs, progress
        As for `fit_batch`.

    Returns
    -------
    Contour

    Raises
    ------
    FitError
        If the fit, or one of those tried, did not converge.
    KeyError
        If no parameter has that name; the message names the nearest.
    ValueError
        If a parameter was fixed or at its bound, both are the same, or a level is impossible.

    Notes
    -----
    On each border 2 (nll - minimum), everything else fitted, is the quantile of its level of chi2
    with two degrees of freedom. The points lie on rays from the best fit, evenly spread in the
    metric of the covariance; a border that meets a ray twice is taken where it is met first. Rays
    end at the bounds.
    """
    targets = [_quantile(level, 2) for level in levels]
    if not levels:
        raise ValueError("levels is empty")
    if n_points < 3:
        raise ValueError(f"n_points is {n_points}, expected at least 3")
    if x == y:
        raise ValueError(f"x and y are both {x!r}, expected two parameters")
    pair = [_profile(result, name).poi for name in (x, y)]
    block = result.covariance[np.ix_(pair, pair)]
    if not np.all(np.diag(block) > 0.0):
        at = (x, y)[int(np.argmin(np.diag(block)))]
        raise ValueError(f"{at!r} is at its bound; a region needs both parameters free")
    angle = np.linspace(0.0, 2.0 * np.pi, n_points, endpoint=False)
    rays = np.stack([np.cos(angle), np.sin(angle)], axis=1) @ np.linalg.cholesky(block).T
    task = partial(_along_rays, result, pair, rays, targets)
    found = [
        points
        for _, points in in_chunks(
            task,
            n_points,
            size=2,
            n_jobs=n_jobs,
            progress=progress,
            description="Contour",
            threaded=False,
        )
    ]
    borders = np.concatenate(found, axis=1)  # (levels, n_points, 2)
    points = {level: borders[k] for k, level in enumerate(levels)}
    return Contour((x, y), result.values[pair], tuple(levels), points)


def _along_rays(
    result: FitResult,
    pair: list[int],
    rays: Vector,
    targets: list[float],
    first: int,
    number: int,
    _n_threads: int,
) -> Vector:
    """Points on the borders of all levels on a few rays, (levels, number, 2)."""
    data = result.model._data(result.dataset)
    out = np.empty((len(targets), number, 2))
    for k in range(number):
        ray = _Ray(result.model, data, result, pair, rays[first + k])
        for row, target in enumerate(targets):
            out[row, k] = result.values[pair] + ray.crossing(target) * ray.direction
    return out


class _Ray:
    """The profile likelihood along a ray in the plane of two parameters."""

    def __init__(
        self,
        model: HistFactoryModel,
        data: _core.Data,
        result: FitResult,
        pair: list[int],
        direction: Vector,
    ) -> None:
        self.model, self.data, self.pair = model, data, pair
        self.best, self.problem, self.direction = result.values, result.problem, direction
        self.known: dict[float, tuple[float, Vector]] = {0.0: (0.0, result.values)}
        bound = np.where(direction < 0.0, self.problem.lower[pair], self.problem.upper[pair])
        with np.errstate(divide="ignore", invalid="ignore"):
            self.end = float(np.nanmin((bound - self.best[pair]) / direction))

    def height(self, length: float) -> float:
        """2 (nll - minimum) at a distance, in units of the error along the ray."""
        if length not in self.known:
            nearest = min(self.known, key=lambda x: abs(x - length))
            problem = self.problem.start(self.known[nearest][1])
            for index, value in zip(
                self.pair, self.best[self.pair] + length * self.direction, strict=True
            ):
                low, high = problem.lower[index], problem.upper[index]
                problem = problem.fix(index, float(np.clip(value, low, high)))
            fit = minimise(self.model, self.data, problem)
            if fit.status == 4:  # infinite: excluded outright
                return 1e6
            if fit.status != 0:
                names = [self.model.parameter_names[i] for i in self.pair]
                raise FitError(f"a fit on the way to the border in {names} did not converge")
            rise = _core.nll_difference(self.model._core, self.data, fit.values, self.best)
            self.known[length] = (max(2.0 * rise, 0.0), fit.values)
        return self.known[length][0]

    def crossing(self, target: float) -> float:
        """Distance at which the profile reaches the target, or the bound."""
        inside, outside = 0.0, min(math.sqrt(target), self.end)
        while self.height(outside) < target:
            if outside == self.end:
                return outside
            inside, outside = outside, min(1.5 * outside, self.end)
        root: float = brentq(
            lambda length: math.sqrt(self.height(length)) - math.sqrt(target),
            inside,
            outside,
            xtol=1e-6,
        )
        return root
