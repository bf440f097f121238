"""Hypothesis tests (arXiv:1007.1727)."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from nextstat._base.arguments import check_calculator
from nextstat._base.arrays import Vector
from nextstat._base.read_only import ReadOnly
from nextstat._base.warnings import warn
from nextstat._fits.settings import MAX_ITERATIONS, Bounds, Fixed, Init, check_model
from nextstat._inference.asimov import AsimovNuisances, alternative_to, asimov_at, asimov_parameters
from nextstat._inference.asymptotics import Probabilities, probabilities
from nextstat._inference.ensembles import ToyEnsembles, ToyPlan, throw_ensembles
from nextstat._inference.profile import Profile, TestStatistic, observe
from nextstat._model.histfactory import HistFactoryModel
from nextstat.exceptions import EmptyBinWarning

# For which values of the parameter of interest a statistic is defined.
_TESTS: dict[str, tuple[Callable[[float], bool], str]] = {
    "q0": (lambda mu: mu == 0.0, "0"),
    "q": (lambda mu: mu > 0.0, "mu > 0"),
    "qtilde": (lambda mu: mu >= 0.0, "mu >= 0"),
    "t": (lambda mu: True, "any mu"),
    "ttilde": (lambda mu: mu > 0.0, "mu > 0"),
}


@dataclass(frozen=True, eq=False)
class HypoTestResult(ReadOnly):
    """Outcome of a test of `mu`.

    Attributes
    ----------
    mu : float
        Tested value of the parameter of interest.
    test_stat : str
        "q0", "q", "qtilde", "t" or "ttilde".
    test_statistic : float
        Its observed value; infinite if the data exclude `mu` outright.
    asimov_test_statistic : float
        Its value on the Asimov data of the alternative (mu = 0, or 1 where 0 is tested); NaN
        for toys.
    pvalue : float
        Probability, under the tested hypothesis, of data that agree less: p0 for q0, else
        CLs+b.
    significance : float
        The same in standard deviations of a normal distribution: of one side, or of both for t
        and ttilde. sqrt(q0) for q0.
    clsb, clb, cls : float
        CLs+b, CLb and their ratio. For q0, `clsb` is p0 and `clb` refers to the signal
        hypothesis. `cls` is NaN for q0, t and ttilde.
    expected : (5,) ndarray
        Median and 1, 2 sigma bands (-2, ..., +2 sigma), under the alternative, of `cls`, or of
        `pvalue` where there is no `cls`.
    muhat : float
        Fitted parameter of interest.
    pvalue_error, cls_error : float
        Standard errors from the number of toys; 0 for asymptotics.
    toys : ToyEnsembles or None
        Of the toy calculator.
    """

    mu: float
    test_stat: TestStatistic
    test_statistic: float
    asimov_test_statistic: float
    pvalue: float
    significance: float
    clsb: float
    clb: float
    cls: float
    expected: Vector
    muhat: float
    pvalue_error: float = 0.0
    cls_error: float = 0.0
    toys: ToyEnsembles | None = field(default=None, repr=False)

    @property
    def n_failed(self) -> int:
        """Toys whose fits did not converge; they count nowhere."""
        return 0 if self.toys is None else self.toys.n_failed

    def to_dict(self) -> dict[str, object]:
        """Plain Python values, ready for JSON; of the toys, their number and their seed."""
        values = {**self.__dict__, "expected": self.expected.tolist()}
        toys = values.pop("toys")
        return values if toys is None else {**values, **toys.summary()}


def hypotest(
    model: HistFactoryModel,
    mu: float = 1.0,
    *others: object,
    test_stat: TestStatistic | None = None,
    calculator: Literal["asymptotics", "toys"] = "asymptotics",
    data: npt.ArrayLike | None = None,
    auxdata: npt.ArrayLike | None = None,
    poi: str | None = None,
    init: Init | None = None,
    fixed: Fixed | None = None,
    bounds: Bounds | None = None,
    n_starts: int = 1,
    max_iterations: int = MAX_ITERATIONS,
    n_toys: int = 2000,
    seed: int | None = None,
    precision: float | None = None,
    n_jobs: int | None = None,
    progress: bool = False,
) -> HypoTestResult:
    """Test a value of the parameter of interest.

    Parameters
    ----------
    model : HistFactoryModel
    mu : float
        0 is the discovery test, anything else a test for exclusion.
    *others
        None: an error says what to do where arguments are in pyhf's order.
    test_stat : {"q0", "q", "qtilde", "t", "ttilde"}, optional
        Defaults to "q0" for `mu` = 0 and "qtilde" otherwise; "t" and "ttilde" are two-sided. "q"
        and "t" let the parameter of interest become negative in the fits; "qtilde" and "ttilde"
        never do.
    calculator : {"asymptotics", "toys"}
    data, auxdata : array_like, optional
        In place of the observed events and auxiliary measurements; see `fit`.
    poi : str, optional
        Another parameter as parameter of interest.
    init, fixed, bounds, n_starts, max_iterations
        As for `fit`.
    n_toys : int
        Toys of each hypothesis.
    seed : int, optional
        As for `fit_toys`.
    precision : float, optional
        Stop as soon as the standard error of CLs (of the p-value where there is no CLs) is below
        this.
    n_jobs, progress
        As for `fit_batch`.

    Returns
    -------
    HypoTestResult
        Interrupted (Ctrl-C), from the toys that were done, with an `InterruptedWarning`. An
        `EmptyBinWarning` says where data, or Asimov data, exclude `mu` outright: the statistic is
        infinite and its p-value 0.

    Raises
    ------
    FitError
        If a fit of the data did not converge, or no toy did.
    ValueError, TypeError
        If the test statistic does not apply to `mu`, `mu` is outside the bounds, there is no
        parameter of interest, or an option of the toys is impossible.

    Notes
    -----
    Formulas of arXiv:1007.1727: t (8), ttilde (11), q0 (12), q (14), qtilde (16) and their
    asymptotic distributions (section 3), bands from the Asimov data (section 4). The Asimov data
    have the nuisance parameters fitted at the alternative, as in pyhf. Toys are thrown with the
    nuisance parameters fitted at each hypothesis; main and auxiliary data fluctuate.
    """
    check_model(model, others)
    if np.ndim(mu):
        raise TypeError(f"mu has shape {np.shape(mu)}, expected a number; data is a keyword")
    mu = float(mu)
    statistic = _choose(test_stat, mu)
    check_calculator(calculator)
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
        statistic=statistic,
    )
    alternative = alternative_to(mu)
    check_bounds(observed, mu)
    check_bounds(observed, alternative, "the alternative hypothesis")
    q = deviation(statistic, mu, observed)
    if calculator == "toys":
        throw = ToyPlan(n_toys, seed, precision, n_jobs, progress)
        if q == math.inf:
            warn(infinite(observed, mu), EmptyBinWarning)
        result = toy_test(statistic, mu, q, observed, throw)
        observed.warn_of_bounds(mu, alternative)
        return result
    asimov = asimov_profile(model, observed, alternative)
    q_asimov = deviation(statistic, mu, asimov)
    if math.inf in (q, q_asimov):
        own = q == math.inf
        message = infinite(observed, mu) if own else infinite(asimov, mu, " of the Asimov data")
        warn(message, EmptyBinWarning)
    observed.warn_of_bounds(mu, alternative)
    found = probabilities(statistic, q, q_asimov)
    return _result(statistic, mu, q, observed, found, asimov_test_statistic=q_asimov)


def toy_test(
    statistic: TestStatistic, mu: float, q: float, observed: Profile, plan: ToyPlan
) -> HypoTestResult:
    """The test from toys of both hypotheses."""
    toys = throw_ensembles(statistic, mu, q, observed, plan)
    found, pvalue_error, cls_error = toys.probabilities(statistic, q)
    return _result(
        statistic,
        mu,
        q,
        observed,
        found,
        asimov_test_statistic=math.nan,
        pvalue_error=pvalue_error,
        cls_error=cls_error,
        toys=toys,
    )


def _result(
    statistic: TestStatistic,
    mu: float,
    q: float,
    observed: Profile,
    found: Probabilities,
    **others: Any,
) -> HypoTestResult:
    return HypoTestResult(
        mu=mu,
        test_stat=statistic,
        test_statistic=q,
        pvalue=found.tested,
        significance=found.significance,
        clsb=found.tested,
        clb=found.alternative,
        cls=found.ratio,
        expected=found.expected,
        muhat=observed.muhat,
        **others,
    )


def significance(
    model: HistFactoryModel,
    expected: bool = False,
    mu: float = 1.0,
    *,
    data: npt.ArrayLike | None = None,
    auxdata: npt.ArrayLike | None = None,
    poi: str | None = None,
    init: Init | None = None,
    fixed: Fixed | None = None,
    bounds: Bounds | None = None,
    n_starts: int = 1,
    max_iterations: int = MAX_ITERATIONS,
) -> float:
    """Significance Z0 = sqrt(q0) of a discovery, in standard deviations.

    Parameters
    ----------
    expected : bool
        The median under signal of strength `mu`: the significance of the Asimov data, nuisance
        parameters fitted to the observed data at `mu`.
    mu : float
        Signal strength of the Asimov data; unused for the observed significance.
    data, auxdata, poi, init, fixed, bounds, n_starts, max_iterations
        As for `hypotest`.

    Returns
    -------
    float
        Infinite, with a `FitWarning`, where the data exclude `mu` = 0 outright: there are events
        in bins where none can be expected.

    Raises
    ------
    FitError, ValueError
        As for `hypotest`.
    """
    check_model(model)
    if not isinstance(expected, bool | np.bool_):
        raise TypeError(f"expected is {expected!r}, expected True or False; data is a keyword")
    if not math.isfinite(mu):
        raise ValueError(f"mu is {mu}, expected a finite number")
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
    )
    check_bounds(observed, 0.0)
    profile = asimov_profile(model, observed, float(mu)) if expected else observed
    q0 = deviation("q0", 0.0, profile)
    profile.warn_of_bounds(0.0)
    if q0 == math.inf:
        warn(infinite(profile, 0.0), EmptyBinWarning)
    return math.sqrt(q0)


def asimov_profile(
    model: HistFactoryModel,
    observed: Profile,
    mu: float,
    nuisances: AsimovNuisances = "fitted",
) -> Profile:
    """Profile of the Asimov data at `mu`, whose global minimum is where they were made."""
    params = asimov_parameters(observed, mu, nuisances)
    data = model._data(asimov_at(model, params))
    problem = observed.problem.widen(observed.poi, mu, mu)
    return Profile(model, data, problem, observed.poi, best=params)


def deviation(statistic: TestStatistic, mu: float, profile: Profile) -> float:
    """The statistic: the profile likelihood ratio where the data deviate to the tested side."""
    if statistic == "q0" and not profile.muhat > 0.0:
        return 0.0
    if statistic in ("q", "qtilde") and not profile.muhat < mu:
        return 0.0
    return profile.statistic(mu)


def infinite(profile: Profile, mu: float, of: str = "") -> str:
    """Why a test statistic is infinite."""
    reason = profile.why_impossible(mu)
    return f"the test statistic{of} is infinite: {reason}; give every bin some background"


def exclusion(mu: float, observed: Profile, asimov: Profile) -> Probabilities:
    """The asymptotic test of qtilde."""
    q, q_asimov = (deviation("qtilde", mu, profile) for profile in (observed, asimov))
    return probabilities("qtilde", q, q_asimov)


def _choose(test_stat: TestStatistic | None, mu: float) -> TestStatistic:
    if not math.isfinite(mu):
        raise ValueError(f"mu is {mu}, expected a finite number")
    if test_stat is None:
        test_stat = "q0" if mu == 0.0 else "qtilde"
    if test_stat not in _TESTS:
        raise ValueError(f"test_stat is {test_stat!r}, expected one of {list(_TESTS)}")
    possible, condition = _TESTS[test_stat]
    if not possible(mu):
        raise ValueError(
            f"test_stat {test_stat!r} does not apply to mu={mu:g}, expected {condition}"
        )
    return test_stat


def check_bounds(profile: Profile, mu: float, what: str = "mu") -> None:
    """Raise ValueError if a hypothesis is outside the bounds of the parameter of interest.

    Above an upper bound that nobody chose, any value may be tested.
    """
    lower, upper = profile.problem.lower[profile.poi], profile.problem.upper[profile.poi]
    if not profile.allows(mu):
        wider = f"({min(lower, 2 * mu):g}, {max(upper, 2 * mu):g})"
        raise ValueError(
            f"{what} is {mu:g}, outside the bounds [{lower:g}, {upper:g}] of {profile.name!r}; "
            f"widen them, for example bounds={{{profile.name!r}: {wider}}}"
        )
