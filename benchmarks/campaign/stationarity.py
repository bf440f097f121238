"""Is a fit that says "converged" at a minimum? By the second likelihood alone."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize

from benchmarks.campaign.likelihood import Likelihood, Vector

EDM = 1e-6  # what convergence promises, in nll
ROUNDING = 1e-12  # of the nll
STEP = 1e-6  # of the Hessian's differences
BOX = 0.05  # in standard deviations: the neighbourhood in which nothing may be lower


def local_descent(
    likelihood: Likelihood,
    point: Vector,
    held: npt.NDArray[np.bool_],
    lower: Vector,
    upper: Vector,
    data: Vector,
) -> float:
    """By how much the nll can be lowered near a point; 0.0 at a minimum.

    Where the gradient and the Hessian promise less than `EDM` and the Hessian is positive
    definite, the point is a minimum. Otherwise (kinks of interpolations, edges of empty bins, flat
    and undetermined directions have neither) nearby points decide: along the coordinates, the
    principal axes and the gradient, and where L-BFGS-B ends in a small box.

    Parameters
    ----------
    point, lower, upper : (P,) ndarray
    held : (P,) bool ndarray
        Fixed parameters.
    data : (n_bins + n_aux,) ndarray
    """
    gradient = likelihood.gradient(point[None, :], data)[0]
    hessian = likelihood.hessian(point, STEP * np.maximum(np.abs(point), 1.0), data)
    tight = 1e-9 * np.maximum(np.abs(point), 1.0)
    pressed = ((point <= lower + tight) & (gradient > 0)) | (
        (point >= upper - tight) & (gradient < 0)
    )
    free = ~held & ~pressed & (lower < upper)
    if not free.any() or _promise(gradient[free], hessian[np.ix_(free, free)]) < EDM:
        return 0.0
    return _look_around(likelihood, point, ~held, lower, upper, data, gradient, hessian)


def _promise(gradient: Vector, hessian: Vector) -> float:
    """Estimated distance to the minimum; infinite if there is no minimum to estimate."""
    if not (np.isfinite(gradient).all() and np.isfinite(hessian).all()):
        return np.inf
    scale = np.sqrt(np.maximum(np.abs(np.diag(hessian)), 1e-300))
    curvature, axes = np.linalg.eigh(hessian / np.outer(scale, scale))
    if curvature[0] < 1e-9:
        return np.inf
    return float(0.5 * ((axes.T @ (gradient / scale)) ** 2 / curvature).sum())


def _look_around(
    likelihood: Likelihood,
    point: Vector,
    moves: npt.NDArray[np.bool_],
    lower: Vector,
    upper: Vector,
    data: Vector,
    gradient: Vector,
    hessian: Vector,
) -> float:
    here = likelihood.at(point, data)
    width = np.where(likelihood.constrained, likelihood.width, 1.0)
    curvature = np.nan_to_num(np.abs(np.diag(hessian)), nan=0.0, posinf=1e300)
    scale = BOX * np.minimum(width, 1.0 / np.sqrt(np.maximum(curvature, 1e-6)))
    low, high = np.maximum(lower, point - scale), np.minimum(upper, point + scale)
    low, high = np.where(moves, low, point), np.where(moves, high, point)
    scaled = np.nan_to_num(hessian * np.outer(scale, scale), posinf=0.0, neginf=0.0)
    slope = np.nan_to_num(gradient * scale)
    axes = np.concatenate([np.eye(len(point)), np.linalg.eigh(scaled)[1].T, [slope]])
    axes /= np.maximum(np.abs(axes).max(axis=1, keepdims=True), 1e-300)
    steps = np.concatenate([sign * 10.0 ** np.arange(-4.0, 0.5) for sign in (1.0, -1.0)])
    around = point + scale * (axes[:, None, :] * steps[:, None]).reshape(-1, len(point))
    around = np.clip(around, low, high)
    with np.errstate(all="ignore"):
        nll = np.nan_to_num(likelihood.nll(around, data), nan=np.inf)
    best = around[nll.argmin()] if nll.min() < here else point
    lowest = min(float(nll.min()), _descend(likelihood, best, low, high, data))
    fallen = here - lowest
    return fallen if fallen > EDM + ROUNDING * abs(here) else 0.0


def _descend(
    likelihood: Likelihood, start: Vector, low: Vector, high: Vector, data: Vector
) -> float:
    """The nll where L-BFGS-B ends within a box."""
    offset, size = likelihood.at(start, data), np.maximum(high - low, 1e-300)

    def value(x: Vector) -> tuple[float, Vector]:
        point = np.clip(low + size * x, low, high)
        found, gradient = likelihood.value_and_gradient(point[None, :], data)
        nll, slope = float(found[0]) - offset, gradient[0] * size
        if not (np.isfinite(nll) and np.isfinite(slope).all()):
            return 1e300, np.zeros_like(x)
        return nll, slope

    first = (start - low) / size
    end = minimize(value, first, jac=True, method="L-BFGS-B", bounds=[(0.0, 1.0)] * len(start))
    return min(likelihood.at(np.clip(low + size * end.x, low, high), data), offset)
