"""Asymptotic distributions of the test statistics (arXiv:1007.1727).

Throughout, r is the square root of the observed statistic and ra that of its value on the Asimov
data of the alternative hypothesis.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from scipy.optimize import brentq
from scipy.special import log_ndtr, ndtr, ndtri

from nextstat._base.arrays import Vector
from nextstat._inference.profile import TestStatistic

BANDS = np.array([-2.0, -1.0, 0.0, 1.0, 2.0])


class Probabilities(NamedTuple):
    """Of data that agree less with the tested hypothesis than those observed.

    Attributes
    ----------
    tested, alternative : float
        Under the tested hypothesis (CLs+b, or p0) and under the alternative (CLb).
    ratio : float
        CLs; NaN where it is not defined, for q0 and the two-sided statistics.
    significance : float
        `tested` in standard deviations of a normal distribution: of one side, or of both for the
        two-sided statistics.
    expected : (5,) ndarray
        Median and 1, 2 sigma bands, under the alternative, of `ratio`, or of `tested` where there
        is no ratio.
    """

    tested: float
    alternative: float
    ratio: float
    significance: float
    expected: Vector


def probabilities(statistic: TestStatistic, q: float, q_asimov: float) -> Probabilities:
    """p-values from the statistic on the data and on the Asimov data."""
    r, ra = math.sqrt(q), math.sqrt(q_asimov)
    if statistic in ("t", "ttilde"):
        return _two_sided(r, ra, physical=statistic == "ttilde")
    # positions of the statistic in the normal distributions of the two hypotheses
    if statistic == "qtilde" and math.inf > r > ra > 0.0:
        tested, alternative = -(q + q_asimov) / (2.0 * ra), (q_asimov - q) / (2.0 * ra)
    else:
        tested, alternative = -r, (ra - r if r < math.inf else -math.inf)
    if statistic == "q0":
        ratio, significance, expected = math.nan, r, ndtr(-ra - BANDS[::-1])
    else:
        ratio, significance = _ratio(tested, alternative), -tested
        expected = np.exp(log_ndtr(-ra - BANDS[::-1]) - log_ndtr(BANDS))
    return Probabilities(
        float(ndtr(tested)), float(ndtr(alternative)), ratio, significance, expected
    )


def _ratio(tested: float, alternative: float) -> float:
    """Phi(tested) / Phi(alternative) without underflow of either; 0 if both vanish."""
    if tested == -math.inf:
        return 0.0
    return float(np.exp(log_ndtr(tested) - log_ndtr(alternative)))


def _two_sided(r: float, ra: float, *, physical: bool) -> Probabilities:
    """For t, and for ttilde, whose best fit is physical: not below 0 (CCGV, 3.3 and 3.4)."""

    def tested(x: float) -> float:
        other = _folded(x, ra, x * x + ra * ra) if physical and x > ra else x
        return float(ndtr(-x) + ndtr(-other))

    def alternative(x: float) -> float:
        other = _folded(x, ra, x * x - ra * ra) if physical and x > ra else x - ra
        return float(ndtr(-(x + ra)) + ndtr(-other))

    # the p-value that data of the alternative undercut with probability Phi(N)
    expected = [
        tested(brentq(lambda x, p=p: alternative(x) - p, 0.0, ra + 12.0, xtol=1e-12))
        for p in ndtr(BANDS)
    ]
    p = tested(r)
    both_sides = -float(ndtri(0.5 * p)) if p > 0.0 else r
    return Probabilities(p, alternative(r), math.nan, both_sides, np.array(expected))


def _folded(x: float, ra: float, numerator: float) -> float:
    """Position of data with a negative best fit, which counts as 0."""
    if x == math.inf or ra == 0.0:
        return math.inf
    return numerator / (2.0 * ra)
