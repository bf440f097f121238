"""The formulas of arXiv:1007.1727 once more, without a line of the package under test."""

from __future__ import annotations

import itertools

import numpy as np
from scipy.stats import norm

SIGMAS = (-2, -1, 0, 1, 2)


def cls(q: float, q_asimov: float) -> float:
    """CLs of qtilde: (57), (59), and (65), (66) beyond qA."""
    root, asimov = np.sqrt(q), np.sqrt(q_asimov)
    if q <= q_asimov or asimov == 0.0:
        tested, alternative = norm.logsf(root), norm.logcdf(asimov - root)
    else:
        tested = norm.logsf((q + q_asimov) / (2.0 * asimov))
        alternative = norm.logcdf(-(q - q_asimov) / (2.0 * asimov))
    return float(np.exp(tested - alternative))


def expected_cls(q_asimov: float) -> list[float]:
    """CLs at -2, ..., +2 standard deviations of muhat under background only."""
    asimov = np.sqrt(q_asimov)
    return [float(norm.cdf(n - asimov) / norm.cdf(n)) for n in SIGMAS]


def q_at_limit(n: int, alpha: float) -> float:
    """qA where the expected CLs at n standard deviations is alpha."""
    return float((n - norm.ppf(alpha * norm.cdf(n))) ** 2)


def cls_range(q: float, q_asimov: float, slack: float) -> tuple[float, float]:
    """Smallest and largest CLs of statistics that are off by `slack`."""
    moved = [
        cls(max(q + a * slack, 0.0), max(q_asimov + b * slack, 0.0))
        for a, b in itertools.product((-1.0, 0.0, 1.0), repeat=2)
    ]
    return min(moved), max(moved)
