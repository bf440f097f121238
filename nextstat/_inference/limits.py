"""Upper limits by the CLs criterion."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
from scipy.special import ndtr, ndtri

from nextstat._base.arguments import check_calculator, check_level
from nextstat._base.arrays import Vector
from nextstat._base.read_only import ReadOnly
from nextstat._base.warnings import warn
from nextstat._fits.settings import MAX_ITERATIONS, Bounds, Fixed, Init, check_model
from nextstat._inference.asymptotics import BANDS
from nextstat._inference.ensembles import ToyPlan
from nextstat._inference.hypotest import (
    HypoTestResult,
    asimov_profile,
    check_bounds,
    deviation,
    exclusion,
    toy_test,
)
from nextstat._inference.profile import Profile, observe
from nextstat._inference.roots import Cached, crossing, first_guess
from nextstat._model.histfactory import HistFactoryModel
from nextstat.exceptions import BoundWarning, FitError, LimitWarning, PrecisionWarning

_TOY_PRECISION = 1e-3
_FEW = 5.0  # toys beyond a limit, on average


@dataclass(frozen=True, eq=False)
class UpperLimit(ReadOnly):
    """Upper limit on the parameter of interest.

    Attributes
    ----------
    observed : float
    expected : (5,) ndarray
        Median and bands (-2, -1, 0, +1, +2 sigma) under the background-only hypothesis; NaN if
        not asked for.
    level : float
        Confidence level.
    message : str
        Not empty if the bound of the parameter of interest had to be widened.
    seed : int or None
        Of the toys.
    """

    observed: float
    expected: Vector
    level: float
    message: str = ""
    seed: int | None = None

    def to_dict(self) -> dict[str, object]:
        """Plain Python values, ready for JSON."""
        return {**self.__dict__, "expected": self.expected.tolist()}


def upper_limit(
    model: HistFactoryModel,
    level: float = 0.95,
    *others: object,
    data: npt.ArrayLike | None = None,
    auxdata: npt.ArrayLike | None = None,
    poi: str | None = None,
    init: Init | None = None,
    fixed: Fixed | None = None,
    bounds: Bounds | None = None,
    n_starts: int = 1,
    max_iterations: int = MAX_ITERATIONS,
    expected: bool = True,
    calculator: Literal["asymptotics", "toys"] = "asymptotics",
    n_toys: int = 1000,
    seed: int | None = None,
    n_jobs: int | None = None,
    progress: bool = False,
) -> UpperLimit:
    """Largest value of the parameter of interest not excluded at a confidence level by CLs.

    Parameters
    ----------
    level : float
        Confidence level, 0 < level < 1; values with CLs < 1 - level are excluded.
    *others
        None: an error says what to do where arguments are in pyhf's order.
    data, auxdata : array_like, optional
        In place of the observed events and auxiliary measurements; see `fit`.
    poi : str, optional
        Another parameter as parameter of interest.
    init, fixed, bounds, n_starts, max_iterations
        As for `fit`.
    expected : bool
        Whether to give the expected limits too.
    calculator : {"asymptotics", "toys"}
        As for `hypotest`. Limits by toys are precise to 0.1 % for the toys of the seed, beyond
        that to what their number allows.
    n_toys : int
        Toys of each hypothesis at each value tried. Limits rest on few of them: 1 - level times
        CLb, which is 2.3 % for the band at -2 sigma.
    seed, n_jobs, progress
        As for `fit_toys`.

    Returns
    -------
    UpperLimit

    Raises
    ------
    FitError
        If a fit did not converge, or no toy of the background is like the data. A
        `PrecisionWarning` says where few toys decide, a `LimitWarning` where a limit is infinite
        since no value is excluded.
    ValueError, TypeError
        If `level` is not between 0 and 1, there is no parameter of interest, or an option of the
        toys is impossible.

    Notes
    -----
    Asymptotic qtilde (arXiv:1007.1727). The band at N sigma is where the expected CLs,
    Phi(N - sqrt(qA)) / Phi(N), falls to 1 - level: where sqrt(qA) of the Asimov data reaches
    N - Phi^-1((1 - level) Phi(N)). Roots by Brent's method.
    """
    check_model(model, others)
    level = limit_level(level)
    check_calculator(calculator)
    plan = None
    if calculator == "toys":
        plan = ToyPlan(n_toys, seed, None, n_jobs, progress, keep_partial=False)
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
    check_bounds(observed, 0.0, "the background-only hypothesis")
    index = observed.poi
    given = float(observed.problem.upper[index])
    said = observed.muhat > given  # by the fit, for which the bound was widened
    while True:
        found, bands = _limits(model, observed, 1.0 - level, expected)
        if plan is not None:
            found, bands = _toy_limits(observed, 1.0 - level, found, bands, plan)
        reached = [x for x in (found, *bands) if math.isfinite(x)]
        largest = max(reached, default=0.0)
        upper = float(observed.problem.upper[index])
        if largest <= upper:
            break
        wider = observed.problem.widen(index, 0.0, 2.0 * largest)
        observed = Profile(model, observed.data, wider, index)
    observed.warn_of_bounds(0.0, found)
    message = ""
    if upper > given:
        message = (
            f"the limits reach {largest:.4g}, beyond the upper bound {given:g} "
            f"of {observed.name!r}, which was widened for them"
        )
        if not said:
            warn(message, BoundWarning)
    if math.isinf(found) or np.isinf(bands).any():
        warn(
            f"a limit does not exist: no value of {observed.name!r} is excluded, and infinity "
            "stands in its place; does any sample depend on the parameter?",
            LimitWarning,
        )
    return UpperLimit(found, bands, level, message, None if plan is None else plan.seed)


def _limits(
    model: HistFactoryModel, observed: Profile, alpha: float, expected: bool
) -> tuple[float, Vector]:
    """Observed limit, and expected ones (5,), at CLs = alpha."""
    asimov = asimov_profile(model, observed, 0.0)
    roots, targets = asimov_root(asimov), limit_targets(alpha)
    first = first_guess(roots, float(targets[2]), observed)
    bands = np.full(5, np.nan)
    if expected:
        bands[:] = [crossing(roots, float(t), first) for t in targets]
    return crossing(cls_excess(observed, asimov, alpha), 0.0, first), bands


def asimov_root(asimov: Profile) -> Cached:
    """sqrt(qA) of tested values: the expected limits are where it reaches the targets."""
    return Cached(lambda mu: math.sqrt(deviation("qtilde", mu, asimov)))


def limit_level(level: object) -> float:
    """A confidence level; one below 0.5 is likely meant as 1 - level, and warned of.

    Raises
    ------
    TypeError, ValueError
        If it is no number between 0 and 1.
    """
    found = check_level(level)
    if found < 0.5:
        warn(
            f"level={found:g} is the confidence level of the limit; did you mean {1.0 - found:g}?",
            LimitWarning,
        )
    return found


def limit_targets(alpha: float) -> Vector:
    """What sqrt(qA) reaches at the expected limits, (5,)."""
    targets: Vector = BANDS - ndtri(alpha * ndtr(BANDS))
    return targets


def cls_excess(observed: Profile, asimov: Profile, alpha: float) -> Cached:
    """How far CLs of tested values is below alpha, as a logarithm: 0 at the observed limit."""

    def excess(mu: float) -> float:
        cls = exclusion(mu, observed, asimov).ratio
        return math.log(alpha / max(cls, 1e-300))

    return Cached(excess)


def _toy_limits(
    observed: Profile, alpha: float, guess: float, guesses: Vector, plan: ToyPlan
) -> tuple[float, Vector]:
    """The same from toys, the same toys at every value; the asymptotic limits are where to look.

    Bands that were not asked for (NaN) stay so.
    """
    tests: dict[float, HypoTestResult] = {}

    def test(mu: float) -> HypoTestResult:
        if mu not in tests:
            q = deviation("qtilde", mu, observed)
            tests[mu] = toy_test("qtilde", mu, q, observed, plan)
        return tests[mu]

    def toy_crossing(cls_of: Callable[[HypoTestResult], float], first: float) -> float:
        def excess(mu: float) -> float:
            cls = cls_of(test(mu))
            if math.isnan(cls):
                raise FitError(f"no toy of the background is like the data at {mu:g}: throw more")
            return math.log(alpha / max(cls, 1e-300))

        return crossing(Cached(excess), 0.0, first, _TOY_PRECISION)

    bands = guesses.copy()
    for k in np.flatnonzero(~np.isnan(guesses)):
        bands[k] = toy_crossing(lambda h, k=k: float(h.expected[k]), guesses[k])  # type: ignore[misc]
    found = toy_crossing(lambda h: h.cls, guess)
    # the toys' steps may let neighbouring bands cross
    bands = np.sort(bands)
    rest = {"observed": alpha * test(found).clb * plan.n_toys, "median": alpha * 0.5 * plan.n_toys}
    few = [f"the {name} limit rests on {n:.1f}" for name, n in rest.items() if n < _FEW]
    if few:
        message = f"few toys decide: {' and '.join(few)} of {plan.n_toys}; throw more"
        warn(message, PrecisionWarning)
    return found, bands
