"""Upper limits by the CLs criterion."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.optimize import brentq
from scipy.special import ndtr, ndtri

from nextstat._asymptotics import BANDS
from nextstat._hypotest import asimov_profile, asymptotic_cls, deviation
from nextstat._profile import Profile, observe
from nextstat.exceptions import FitError, FitWarning
from nextstat.model import HistFactoryModel, Vector

_RELATIVE_PRECISION = 1e-8
_WIDEST = 1e9  # in units of the expected limit


@dataclass(frozen=True)
class UpperLimit:
    """Upper limit on the parameter of interest.

    Attributes
    ----------
    observed : float
    expected : (5,) ndarray
        Median and bands (-2, -1, 0, +1, +2 sigma) under the background-only hypothesis.
    level : float
        Confidence level.
    message : str
        Not empty if the bound of the parameter of interest had to be widened.
    """

    observed: float
    expected: Vector
    level: float
    message: str = ""

    def to_dict(self) -> dict[str, object]:
        """Plain Python values, ready for JSON."""
        return {**self.__dict__, "expected": self.expected.tolist()}


def upper_limit(
    model: HistFactoryModel,
    level: float = 0.95,
    *,
    data: npt.ArrayLike | None = None,
    auxdata: npt.ArrayLike | None = None,
    poi: str | None = None,
) -> UpperLimit:
    """Largest value of the parameter of interest not excluded at a confidence level by CLs.

    Parameters
    ----------
    level : float
        Confidence level, 0 < level < 1; values with CLs < 1 - level are excluded.
    data, auxdata : array_like, optional
        In place of the observed events and auxiliary measurements; see `fit`.
    poi : str, optional
        Another parameter as parameter of interest.

    Returns
    -------
    UpperLimit

    Raises
    ------
    FitError
        If a fit did not converge, or no value is excluded.
    ValueError
        If `level` is not between 0 and 1, or there is no parameter of interest.

    Notes
    -----
    Asymptotic qtilde (arXiv:1007.1727). The band at N sigma is where the expected CLs,
    Phi(N - sqrt(qA)) / Phi(N), falls to 1 - level: where sqrt(qA) of the Asimov data reaches
    N - Phi^-1((1 - level) Phi(N)). Roots by Brent's method.
    """
    if not 0.0 < level < 1.0:
        raise ValueError(f"level is {level}, expected a number between 0 and 1")
    observed = observe(model, data=data, auxdata=auxdata, poi=poi, statistic="qtilde")
    index = observed.poi
    while True:
        found, bands = _limits(model, observed, 1.0 - level)
        largest, upper = max(found, float(bands[-1])), float(observed.problem.upper[index])
        if largest <= upper:
            break
        wider = observed.problem.widen(index, 0.0, 2.0 * largest)
        observed = Profile(model, observed.data, wider, index)
    message = ""
    if upper > model.bounds[index, 1]:
        message = (
            f"the limits reach {largest:.4g}, beyond the upper bound {model.bounds[index, 1]:g} "
            f"of {observed.name!r}, which was widened for them"
        )
        warnings.warn(message, FitWarning, stacklevel=2)
    return UpperLimit(found, bands, level, message)


def _limits(model: HistFactoryModel, observed: Profile, alpha: float) -> tuple[float, Vector]:
    """Observed limit, and expected ones (5,), at CLs = alpha."""
    asimov = asimov_profile(model, observed, 0.0)
    roots = _Cached(lambda mu: math.sqrt(deviation("qtilde", mu, asimov)))
    targets = BANDS - ndtri(alpha * ndtr(BANDS))
    first = _first_guess(roots, float(targets[2]), observed)
    bands = np.array([_crossing(roots, float(t), first, observed.name) for t in targets])

    def excess(mu: float) -> float:
        cls = asymptotic_cls(mu, observed, asimov)
        return math.log(alpha / max(cls, 1e-300))

    return _crossing(_Cached(excess), 0.0, float(bands[2]), observed.name), bands


class _Cached:
    """A function of one number that remembers its values."""

    def __init__(self, function: Callable[[float], float]) -> None:
        self.function = function
        self.values: dict[float, float] = {}

    def __call__(self, x: float) -> float:
        if x not in self.values:
            self.values[x] = self.function(x)
        return self.values[x]


def _first_guess(root: _Cached, target: float, observed: Profile) -> float:
    """A value near the median limit: where sqrt(qA), nearly linear, reaches the target."""
    scale = max(abs(float(observed.problem.init[observed.poi])), 1e-6)
    for _ in range(200):
        height = root(scale)
        if not math.isfinite(height):
            scale /= 2.0
        elif height < 1e-3 * target:
            scale *= 10.0
            if scale > _WIDEST:
                break
        elif height > 10.0 * target:
            scale *= 2.0 * target / height
        else:
            return scale * target / height
    raise FitError(
        f"no upper limit: the data do not exclude any value of {observed.name!r} up to "
        f"{scale:.3g}; does any sample depend on it?"
    )


def _crossing(function: _Cached, target: float, first: float, name: str) -> float:
    """Where an increasing function reaches the target; the bracket grows around `first`."""
    low, high = first, first
    while function(low) > target:
        high, low = low, 0.5 * low
        if low < first / _WIDEST:
            return 0.0
    while function(high) < target:
        low, high = high, 1.5 * high
        if high > first * _WIDEST:
            raise FitError(f"no upper limit: no value of {name!r} up to {high:.3g} is excluded")
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
        xtol=_RELATIVE_PRECISION * high,
        rtol=_RELATIVE_PRECISION,
    )
    return root
