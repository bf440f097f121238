"""Confidence intervals from the profile likelihood (MINOS)."""

from __future__ import annotations

import math
from dataclasses import dataclass

from scipy.optimize import brentq
from scipy.stats import chi2

from nextstat._base.arguments import check_level
from nextstat._base.warnings import warn
from nextstat._fits.result import FitResult, check_converged, check_result
from nextstat._inference.profile import Profile, poi_index
from nextstat.exceptions import LocalMinimumWarning

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
    target = quantile(level, 1)
    profile = profile_of(result, parameter)
    error = result.errors[profile.poi]
    bounds = (profile.problem.lower[profile.poi], profile.problem.upper[profile.poi])
    best = math.nan
    while best != profile.muhat:  # a lower minimum turned up on the way
        best = profile.muhat
        ends = [crossing(profile, target, error, float(bound)) for bound in bounds]
    if best != result.values[profile.poi]:
        warn_lower(f"{profile.name}={best:.6g}", "interval")
    (lower, low_stop), (upper, high_stop) = ends
    profile.warn_of_bounds(lower, upper)
    return Interval(profile.name, best, lower, upper, level, (low_stop, high_stop))


def warn_lower(where: str, what: str) -> None:
    warn(
        f"the fit had stopped in a higher minimum; the {what} is that of the lower one, at "
        f"{where}. Fit again with n_starts or other starting values",
        LocalMinimumWarning,
    )


def quantile(level: float, dimensions: int) -> float:
    return float(chi2.ppf(check_level(level), dimensions))


def profile_of(result: FitResult, parameter: str | None) -> Profile:
    model = check_result(result).model
    index = poi_index(model, parameter)
    check_converged(result)
    data = model._data(result.dataset)
    problem = result.problem._replace(told=set())
    return Profile(model, data, problem, index, best=result.values)


def crossing(profile: Profile, target: float, error: float, bound: float) -> tuple[float, bool]:
    """Where the profile reaches the target on the way to a bound, and whether the bound is first.

    Steps outwards start from the parabola's guess and double.
    """
    best = profile.muhat
    if best == bound:
        return best, True
    side = math.copysign(1.0, bound - best)
    step = error * math.sqrt(target) if error > 0.0 else 0.1 * abs(bound - best)
    inside = best
    while True:
        outside = best + side * step
        if side * (outside - bound) >= 0.0:
            outside = bound
        height = profile.statistic(outside)
        if profile.muhat != best:  # the caller starts again from there
            return math.nan, False
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
