"""Where a function of the parameter of interest reaches a value, bracketed from a guess."""

from __future__ import annotations

import math
from collections.abc import Callable

from scipy.optimize import brentq

from nextstat._inference.profile import Profile

RELATIVE_PRECISION = 1e-8
WIDEST = 1e9  # in units of the first guess
_DECADES = 60  # above the first scale, in which an excluded value is looked for


class Cached:
    """A function of one number that remembers its values."""

    def __init__(self, function: Callable[[float], float]) -> None:
        self.function = function
        self.values: dict[float, float] = {}

    def __call__(self, x: float) -> float:
        if x not in self.values:
            self.values[x] = self.function(x)
        return self.values[x]


def first_guess(root: Cached, target: float, observed: Profile) -> float:
    """A value near the median limit: where sqrt(qA), nearly linear, reaches the target.

    Infinite if it never does: no sample depends on the parameter.
    """
    scale = max(abs(float(observed.problem.init[observed.poi])), 1e-6)
    widest = scale * 10.0**_DECADES
    for _ in range(200):
        height = root(scale)
        if not math.isfinite(height):
            scale /= 2.0
        elif height < 1e-3 * target:
            scale *= 10.0
            if scale > widest:
                break
        elif height > 10.0 * target:
            scale *= 2.0 * target / height
        else:
            return scale * target / height
    return math.inf


def crossing(
    function: Cached,
    target: float,
    first: float,
    precision: float = RELATIVE_PRECISION,
) -> float:
    """Where an increasing function reaches the target; the bracket grows around `first`.

    Infinite if it never does.
    """
    if first == math.inf:
        return first
    low, high = first, first
    while function(low) > target:
        high, low = low, 0.5 * low
        if low < first / WIDEST:
            return 0.0
    while function(high) < target:
        low, high = high, 1.5 * high
        if high > first * WIDEST:
            return math.inf
    if function(high) == target:
        return high
    known = sorted((x, y) for x, y in function.values.items() if low <= x <= high)
    low = max(x for x, y in known if y <= target)
    high = min(x for x, y in known if y >= target)
    if low == high:
        return low
    root: float = brentq(
        lambda x: min(function(x) - target, 1e6),
        low,
        high,
        xtol=precision * high,
        rtol=precision,
    )
    return root
