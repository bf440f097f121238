"""Statistics with their derivatives in what a model is made of."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from scipy.special import digamma, erfcx, log_ndtr

import nextstat._core as _core
from nextstat._base.arrays import Vector
from nextstat._base.warnings import warn
from nextstat._fits.fit import without_expectation
from nextstat._gradients.derivatives import Asimov, Dataset, Derivatives, Fields
from nextstat._inference.asimov import AsimovNuisances
from nextstat._inference.hypotest import check_bounds, deviation, infinite
from nextstat._inference.limits import asimov_root, cls_excess, limit_targets
from nextstat._inference.profile import TestStatistic
from nextstat._inference.roots import crossing, first_guess
from nextstat.exceptions import EmptyBinWarning, FitError, GradientWarning

_LEAST_ROOT = 1e-7  # of a test statistic


class Statistic(NamedTuple):
    """A number or an array, and how to get from a derivative in it to those in its model.

    Attributes
    ----------
    value : float or ndarray
    pull_back : callable
        From dL / dvalue, of its shape, to dL / dfields: by the names of `FIELDS`, and "mu" or
        "params" where these were given.
    """

    value: float | Vector
    pull_back: Callable[[Vector], Fields]


def number(value: float, fields: Fields) -> Statistic:
    """A statistic of known derivatives."""
    return Statistic(value, lambda g: {name: float(g) * x for name, x in fields.items()})


def excluded(message: str) -> Statistic:
    """An infinite number, since the data exclude a value outright: it has no derivatives.

    `message` is a warning, and the `FitError` of those who ask for derivatives.
    """
    warn(message, EmptyBinWarning)

    def pull_back(g: Vector) -> Fields:
        if np.any(g):
            raise FitError(f"there are no derivatives: {message}")
        return {}

    return Statistic(math.inf, pull_back)


def nll_at(dataset: Dataset, params: Vector) -> Statistic:
    """The nll at given parameters; its derivatives in them are in "params"."""
    model, data = dataset.model, dataset.profile.data
    nll = _core.nll(model._core, data, params)
    if nll == np.inf:
        bins = without_expectation(model, data, params)
        return excluded(
            f"the nll is infinite: there are events in {bins}, where these parameters expect none; "
            "give every bin some background"
        )
    found = Derivatives(model)
    in_params = found.add_nll(data, params, 1.0)
    _complete_data(found, data)
    dataset.settle(found)
    return number(nll, {**found.fields, "params": in_params})


def lowest_nll(dataset: Dataset) -> Statistic:
    """The nll at its minimum: by the envelope theorem, the explicit derivatives are all."""
    return nll_at(dataset, dataset.profile.best)


def _complete_data(found: Derivatives, data: _core.Data) -> None:
    """Add the terms ln n! of the data, which the core leaves out."""
    found.fields["data"] += digamma(data.n + 1.0)
    if len(data.aux):
        table = found.model.parameters
        poisson = table.poisson[table.constrained]
        found.fields["aux"] += np.where(poisson, digamma(data.aux + 1.0), 0.0)


def test_statistic(dataset: Dataset, statistic: TestStatistic, mu: float) -> Statistic:
    """A test statistic q = 2 [nll(conditional minimum) - nll(minimum)] and its derivatives.

    By the envelope theorem the minima count only through the data. That in the tested value is
    in "mu".

    Raises
    ------
    ValueError
        If `mu` is outside the bounds that the best fit of observed data has.
    """
    profile = dataset.profile
    if not isinstance(dataset, Asimov):
        check_bounds(profile, mu)
    q = deviation(statistic, mu, profile)
    if q == np.inf:
        return excluded(infinite(profile, mu))
    found = Derivatives(dataset.model)
    in_mu = 0.0
    conditional = profile.at(mu) if q > 0.0 else None
    if conditional is not None:
        in_params = found.add_nll(profile.data, conditional, 2.0)
        in_mu = float(in_params[profile.poi])
        found.add_nll(profile.data, profile.best, -2.0)
        dataset.settle(found)
        if isinstance(dataset, Asimov):
            dataset.forget_empty_bins(found, conditional)
    return number(q, {**found.fields, "mu": np.array(in_mu)})


def root(statistic: Statistic, name: str, least: float = _LEAST_ROOT) -> Statistic:
    """Square root of a statistic; where it is not above the least, 0 is given as the derivative.

    Derivatives of a test statistic are those of two fits less one another: of less than the least
    root, rounding is all they are.
    """
    r = math.sqrt(statistic.value)
    if r == math.inf:
        return statistic
    return Statistic(r, lambda g: statistic.pull_back(g * _in_root(r, name, least)))


def _in_root(r: float, name: str, least: float) -> float:
    """Derivative of a root r in its square."""
    if r > least:
        return 0.5 / r
    found = f"{r * r:.2g}, 0 but for rounding" if r else "0"
    warn(
        f"{name} is {found}, where its root has a kink: 0 is given as the derivative, and nothing "
        "can be learned; is there any signal, or an excess on the tested side?",
        GradientWarning,
    )
    return 0.0


def expected_log_cls(asimov: Dataset, mu: float) -> Statistic:
    """Logarithm of the median CLs, 2 [1 - Phi(sqrt(qA))] (arXiv:1007.1727, section 4)."""
    r, pull_back = root(test_statistic(asimov, "qtilde", mu), "qmu")
    if r == math.inf:
        return Statistic(-math.inf, pull_back)
    in_r = -_in_log_ndtr(-float(r))
    return Statistic(float(log_ndtr(-r)) + math.log(2.0), lambda g: pull_back(g * in_r))


def observed_log_cls(observed: Dataset, mu: float, nuisances: AsimovNuisances) -> Statistic:
    """Logarithm of CLs of qtilde (arXiv:1007.1727, 65 and 66), as in `nextstat.hypotest`."""
    asimov = Asimov(observed.profile, 0.0, nuisances)
    q, pull_back_q = root(test_statistic(observed, "qtilde", mu), "qmu")
    qa, pull_back_qa = root(test_statistic(asimov, "qtilde", mu), "qmu of the Asimov data")
    r, ra = float(q), float(qa)
    if r == math.inf:
        return Statistic(-math.inf, pull_back_q)
    if r > ra > 0.0:  # positions in the normal distributions, and their derivatives in r and ra
        tested, alternative = -0.5 * (r * r / ra + ra), 0.5 * (ra - r * r / ra)
        x = r / ra
        slopes = (-x, 0.5 * (x * x - 1.0)), (-x, 0.5 * (x * x + 1.0))
    else:
        tested, alternative = -r, ra - r
        slopes = (-1.0, 0.0), (-1.0, 1.0)
    in_r, in_ra = (
        _in_log_ndtr(tested) * t - _in_log_ndtr(alternative) * a
        for t, a in zip(*slopes, strict=True)
    )
    value = float(log_ndtr(tested) - log_ndtr(alternative))

    def pull_back(g: Vector) -> Fields:
        total = pull_back_qa(g * in_ra)
        for name, x in pull_back_q(g * in_r).items():
            total[name] = total.get(name, 0.0) + x
        return total

    return Statistic(value, pull_back)


def _in_log_ndtr(x: float) -> float:
    """Derivative of ln Phi."""
    return math.sqrt(2.0 / math.pi) / float(erfcx(-x / math.sqrt(2.0)))


def find_limit(dataset: Dataset, alpha: float, nuisances: AsimovNuisances) -> float:
    """Upper limit at CLs = alpha: the median one of Asimov data, else the observed one.

    The search starts at the last limit. The upper bound of the parameter is moved outwards if the
    limit is beyond it, as in `nextstat.upper_limit`.

    Raises
    ------
    FitError
        If a fit did not converge, or no value is excluded.
    """
    profile = dataset.profile
    background = dataset if isinstance(dataset, Asimov) else Asimov(profile, 0.0, nuisances)
    asimov = background.profile
    roots, target = asimov_root(asimov), float(limit_targets(alpha)[2])
    first = profile.memory.get("limit", np.zeros(1))[0]
    if not (first > 0.0 and 0.1 * target < roots(first) < 10.0 * target):
        first = first_guess(roots, target, profile)
    if dataset is background:
        found = crossing(roots, target, first)
    else:
        found = crossing(cls_excess(profile, asimov, alpha), 0.0, first)
        while found > profile.problem.upper[profile.poi]:
            profile = profile.widened(2.0 * found)
            found = crossing(cls_excess(profile, asimov, alpha), 0.0, found)
    dataset.profile.memory["limit"] = np.array([found])
    return found


def uncertainty(dataset: Dataset) -> Statistic:
    """Standard deviation of the parameter of interest, the root of its variance."""
    return root(variance(dataset), "the variance", 0.0)


def covariance(dataset: Dataset) -> Statistic:
    """Covariance H^-1 of all parameters at the minimum, (P, P); 0 for those that are held."""
    minimum = dataset.profile.minimum()
    matrix = minimum.covariance()

    def pull_back(g: Vector) -> Fields:
        weights, vectors = np.linalg.eigh(matrix @ (0.5 * (g + g.T)) @ matrix)
        counts = np.abs(weights) > 1e-14 * np.abs(weights).max(initial=0.0)
        return _by_curvature(dataset, minimum, vectors.T[counts], -weights[counts])

    return Statistic(matrix, pull_back)


def variance(dataset: Dataset) -> Statistic:
    """Variance of the parameter of interest, [H^-1] at the minimum, and its derivatives.

    Raises
    ------
    FitError
        If the parameter of interest is at a bound, where it has none.
    """
    profile = dataset.profile
    minimum = profile.minimum()
    if minimum.held[profile.poi]:
        raise FitError(
            f"{profile.name!r} is fitted at its bound {profile.muhat:g}, where it has no "
            "variance: widen its bounds, or use Asimov data"
        )
    row = minimum.covariance_with(profile.poi)
    return Statistic(
        float(row[profile.poi]),
        lambda g: _by_curvature(dataset, minimum, row[None, :], -np.atleast_1d(g)),
    )


def _by_curvature(
    dataset: Dataset, minimum: _core.Minimum, directions: Vector, weights: Vector
) -> Fields:
    """Derivatives of sum_k weights_k v_k . H . v_k, H the Hessian at the minimum.

    d H^-1 = -H^-1 dH H^-1; H depends on the templates, the data and the minimum.
    """
    model, data = dataset.model, dataset.profile.data
    found = Derivatives(model)
    in_best = np.zeros(len(minimum.values))
    for direction, weight in zip(directions, weights, strict=True):
        in_best += found.add_along(data, minimum.values, direction, float(weight))
    dataset.settle(found, in_best)
    return found.fields
