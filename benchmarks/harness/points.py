"""The point at which nll, gradient and Hessian are timed: random, reproducible, in bounds."""

from __future__ import annotations

import math

import numpy as np

import nextstat

SCALE = 0.3  # of the constraint width
UNCONSTRAINED_WIDTH = 1 / 3  # such parameters move by 0.1
MARGIN = 1e-3  # distance kept from the bounds


def random_point(model: nextstat.HistFactoryModel, seed: int = 20) -> dict[str, float]:
    """Parameter values by name: init + 0.3 width * N(0, 1), inside the bounds.

    The step is halved until the nll is finite: a shifted template may be negative. Fixed
    parameters keep their init.
    """
    rng = np.random.default_rng(seed)
    widths = model.parameters.width
    widths = np.where(np.isfinite(widths), widths, UNCONSTRAINED_WIDTH)
    step = SCALE * widths * rng.standard_normal(widths.size)
    step = np.where(model.fixed, 0.0, step)
    lower, upper = np.asarray(model.bounds).T
    margin = np.minimum(MARGIN, (upper - lower) / 4)
    for _ in range(20):
        theta = np.clip(model.init + step, lower + margin, upper - margin)
        theta = np.where(model.fixed, model.init, theta)
        if math.isfinite(model.nll(theta)):
            break
        step /= 2
    return dict(zip(model.parameter_names, theta.tolist(), strict=True))
