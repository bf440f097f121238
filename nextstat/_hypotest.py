"""Hypothesis tests with asymptotic distributions (arXiv:1007.1727)."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
from scipy.special import log_ndtr, ndtr, ndtri

from nextstat._asimov import AsimovNuisances, asimov_at, asimov_parameters
from nextstat._problem import Bounds, Fixed, Init, make_problem
from nextstat._profile import Profile, poi_index
from nextstat.model import HistFactoryModel, Vector

TestStatistic = Literal["q0", "q", "qtilde"]

BANDS = np.array([-2.0, -1.0, 0.0, 1.0, 2.0])


@dataclass(frozen=True)
class HypoTestResult:
    """Outcome of a test of `mu`.

    Attributes
    ----------
    mu : float
        Tested value of the parameter of interest.
    test_stat : str
        "q0", "q" or "qtilde".
    test_statistic : float
        Its observed value; infinite if the data exclude `mu` outright.
    asimov_test_statistic : float
        Its value on the Asimov data of the alternative (mu = 0, or 1 for q0).
    pvalue : float
        Probability, under the tested hypothesis, of data that agree less: p0 for q0, else
        CLs+b.
    significance : float
        The same in standard deviations of one side of a normal distribution; sqrt(q0) for q0.
    clsb, clb, cls : float
        CLs+b, CLb and their ratio. For q0, `clsb` is p0, `clb` refers to the signal hypothesis,
        and `cls` is NaN.
    expected : (5,) ndarray
        Median and 1, 2 sigma bands (-2, ..., +2 sigma) under the alternative of `cls`; of
        `pvalue` for q0.
    muhat : float
        Fitted parameter of interest.
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

    def to_dict(self) -> dict[str, object]:
        """Plain Python values, ready for JSON."""
        return {**self.__dict__, "expected": self.expected.tolist()}


def hypotest(
    model: HistFactoryModel,
    mu: float = 1.0,
    *,
    test_stat: TestStatistic | None = None,
    calculator: Literal["asymptotics"] = "asymptotics",
    data: npt.ArrayLike | None = None,
    auxdata: npt.ArrayLike | None = None,
    poi: str | None = None,
    init: Init | None = None,
    fixed: Fixed | None = None,
    bounds: Bounds | None = None,
) -> HypoTestResult:
    """Test a value of the parameter of interest.

    Parameters
    ----------
    model : HistFactoryModel
    mu : float
        0 is the discovery test, anything else a test for exclusion.
    test_stat : {"q0", "q", "qtilde"}, optional
        Defaults to "q0" for `mu` = 0 and "qtilde" otherwise. "q" lets the parameter of interest
        become negative in the fits; "qtilde" never does.
    calculator : {"asymptotics"}
    data, auxdata : array_like, optional
        In place of the observed events and auxiliary measurements; see `fit`.
    poi : str, optional
        Another parameter as parameter of interest.
    init, fixed, bounds
        As for `fit`.

    Returns
    -------
    HypoTestResult

    Raises
    ------
    FitError
        If a fit did not converge.
    ValueError
        If the test statistic does not apply to `mu`, or there is no parameter of interest.

    Notes
    -----
    Formulas of arXiv:1007.1727: q0 (12), q (14), qtilde (16) and their asymptotic distributions
    (sections 3.5 to 3.7), bands from the Asimov data (section 4). The Asimov data have the
    nuisance parameters fitted at the alternative, as in pyhf.
    """
    mu = float(mu)
    statistic = _choose(test_stat, mu)
    if calculator != "asymptotics":
        raise ValueError(f"calculator is {calculator!r}, expected 'asymptotics'")
    index = poi_index(model, poi)
    problem = make_problem(model, init, fixed, bounds)
    if statistic == "q":
        problem = problem.widen(index, -abs(problem.upper[index]), mu)
    if statistic == "qtilde":
        problem = problem.at_least(index, 0.0)
    observed = Profile(model, model._data(data, auxdata), problem, index)
    alternative = 1.0 if statistic == "q0" else 0.0
    asimov = asimov_profile(model, observed, alternative)
    return asymptotic_test(statistic, mu, observed, asimov)


def significance(
    model: HistFactoryModel,
    expected: bool = False,
    mu: float = 1.0,
    *,
    data: npt.ArrayLike | None = None,
    auxdata: npt.ArrayLike | None = None,
    poi: str | None = None,
) -> float:
    """Significance Z0 = sqrt(q0) of a discovery, in standard deviations.

    Parameters
    ----------
    expected : bool
        The median under signal of strength `mu`: the significance of the Asimov data, nuisance
        parameters fitted to the observed data at `mu`.
    mu : float
        Signal strength of the Asimov data; unused for the observed significance.
    data, auxdata, poi
        As for `hypotest`.

    Raises
    ------
    FitError, ValueError
        As for `hypotest`.
    """
    if not isinstance(expected, bool | np.bool_):
        raise TypeError(f"expected is {expected!r}, expected True or False; data is a keyword")
    if not math.isfinite(mu):
        raise ValueError(f"mu is {mu}, expected a finite number")
    index = poi_index(model, poi)
    observed = Profile(model, model._data(data, auxdata), make_problem(model), index)
    profile = asimov_profile(model, observed, float(mu)) if expected else observed
    return math.sqrt(one_sided("q0", 0.0, profile))


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


def one_sided(statistic: TestStatistic, mu: float, profile: Profile) -> float:
    """q0, q or qtilde: the profile likelihood ratio where the data deviate to the tested side."""
    muhat = profile.best[profile.poi]
    if statistic == "q0":
        return profile.statistic(0.0) if muhat > 0.0 else 0.0
    return profile.statistic(mu) if muhat < mu else 0.0


def asymptotic_test(
    statistic: TestStatistic, mu: float, observed: Profile, asimov: Profile
) -> HypoTestResult:
    """p-values of a test from the statistic on the data and on the Asimov data."""
    q, q_asimov = one_sided(statistic, mu, observed), one_sided(statistic, mu, asimov)
    root, root_asimov = math.sqrt(q), math.sqrt(q_asimov)
    # positions of the statistic in the normal distributions of the two hypotheses
    if statistic == "qtilde" and math.inf > root > root_asimov > 0.0:
        tested = -(q + q_asimov) / (2.0 * root_asimov)
        alternative = (q_asimov - q) / (2.0 * root_asimov)
    else:
        tested = -root
        alternative = root_asimov - root if root < math.inf else -math.inf
    clsb = float(ndtr(tested))
    bands = -root_asimov - BANDS[::-1]
    expected = ndtr(bands) if statistic == "q0" else np.exp(log_ndtr(bands) - log_ndtr(BANDS))
    return HypoTestResult(
        mu=mu,
        test_stat=statistic,
        test_statistic=q,
        asimov_test_statistic=q_asimov,
        pvalue=clsb,
        significance=root if statistic == "q0" else float(-ndtri(clsb)),
        clsb=clsb,
        clb=float(ndtr(alternative)),
        cls=math.nan if statistic == "q0" else _ratio(tested, alternative),
        expected=expected,
        muhat=float(observed.best[observed.poi]),
    )


def _ratio(tested: float, alternative: float) -> float:
    """Phi(tested) / Phi(alternative) without underflow of either; 0 if both vanish."""
    if tested == -math.inf:
        return 0.0
    return float(np.exp(log_ndtr(tested) - log_ndtr(alternative)))


def _choose(test_stat: TestStatistic | None, mu: float) -> TestStatistic:
    if not math.isfinite(mu):
        raise ValueError(f"mu is {mu}, expected a finite number")
    if test_stat is None:
        test_stat = "q0" if mu == 0.0 else "qtilde"
    if test_stat not in ("q0", "q", "qtilde"):
        raise ValueError(f"test_stat is {test_stat!r}, expected 'q0', 'q' or 'qtilde'")
    if mu < 0.0 or (test_stat == "q0") != (mu == 0.0):
        raise ValueError(
            f"test_stat {test_stat!r} does not apply to mu={mu:g}: 'q0' tests mu=0, "
            "'q' and 'qtilde' test mu > 0"
        )
    return test_stat
