"""Confidence regions of two parameters from the profile likelihood."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import partial

import numpy as np
from scipy.optimize import brentq

import nextstat._core as _core
from nextstat._base.arguments import check_integer
from nextstat._base.arrays import Vector
from nextstat._base.read_only import ReadOnly
from nextstat._execution.chunks import in_chunks
from nextstat._fits.fit import INFINITE, fit, minimise
from nextstat._fits.result import FitResult
from nextstat._inference.interval import ONE_SIGMA, TWO_SIGMA, profile_of, quantile, warn_lower
from nextstat._inference.profile import ROUNDING
from nextstat.exceptions import FitError, NextstatError


@dataclass(frozen=True, eq=False)
class Contour(ReadOnly):
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
    if isinstance(levels, int | float):
        raise TypeError(f"levels is {levels!r}, expected several numbers, such as ({levels!r},)")
    targets = [quantile(level, 2) for level in levels]
    if not levels:
        raise ValueError("levels is empty")
    check_integer(n_points, "n_points", 3)
    if x == y:
        raise ValueError(f"x and y are both {x!r}, expected two parameters")
    pair = [profile_of(result, name).poi for name in (x, y)]
    block = result.covariance[np.ix_(pair, pair)]
    if not np.all(np.diag(block) > 0.0):
        at = (x, y)[int(np.argmin(np.diag(block)))]
        raise ValueError(f"{at!r} is at its bound; a region needs both parameters free")
    try:
        borders = _borders(result, pair, block, targets, n_points, n_jobs, progress=progress)
    except _LowerMinimum as lower:
        init = result.problem.start(lower.params)
        again = fit(
            result.model,
            result.dataset,
            init=init.init,
            fixed=result.fixed,
            bounds=np.stack([init.lower, init.upper], axis=1),
        )
        warn_lower(f"{x}={again[x]:.6g}, {y}={again[y]:.6g}", "contour")
        return contour(
            again, x, y, levels=levels, n_points=n_points, n_jobs=n_jobs, progress=progress
        )
    points = {level: borders[k] for k, level in enumerate(levels)}
    return Contour((x, y), result.values[pair], tuple(levels), points)


class _LowerMinimum(NextstatError):
    """Found on the way to a border: parameters with a lower nll than the fit's."""

    def __init__(self, params: Vector) -> None:
        super().__init__(params)
        self.params = params


def _borders(
    result: FitResult,
    pair: list[int],
    block: Vector,
    targets: list[float],
    n_points: int,
    n_jobs: int | None,
    *,
    progress: bool,
) -> Vector:
    """Points on the borders of all levels, (levels, n_points, 2)."""
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
    return np.concatenate(found, axis=1)


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
        ray = _Ray(result, data, pair, rays[first + k])
        for row, target in enumerate(targets):
            out[row, k] = result.values[pair] + ray.crossing(target) * ray.direction
    return out


class _Ray:
    """The profile likelihood along a ray in the plane of two parameters."""

    def __init__(
        self,
        result: FitResult,
        data: _core.Data,
        pair: list[int],
        direction: Vector,
    ) -> None:
        self.model, self.data, self.pair = result.model, data, pair
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
            found = minimise(self.model, self.data, problem)
            if found.status == INFINITE:  # excluded outright
                return 1e6
            if found.status != 0:
                names = [self.model.parameter_names[i] for i in self.pair]
                raise FitError(f"a fit on the way to the border in {names} did not converge")
            rise = _core.nll_difference(self.model._core, self.data, found.values, self.best)
            if 2.0 * rise < -ROUNDING:
                raise _LowerMinimum(found.values)
            self.known[length] = (max(2.0 * rise, 0.0), found.values)
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
