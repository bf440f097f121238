"""Asimov data: the expectation itself as a dataset (arXiv:1007.1727, section 3.2)."""

from __future__ import annotations

from typing import Literal, TypeVar

import numpy as np
import numpy.typing as npt

from nextstat._base.arrays import Vector
from nextstat._base.warnings import warn
from nextstat._fits.default_bounds import warn_of_bounds
from nextstat._fits.settings import MAX_ITERATIONS, check_model
from nextstat._inference.profile import Profile, observe
from nextstat._model.histfactory import HistFactoryModel
from nextstat.exceptions import EmptyBinWarning, FitError

AsimovNuisances = Literal["fitted", "nominal"]
P = TypeVar("P", bound=Profile)


def asimov_data(
    model: HistFactoryModel,
    mu: float = 0.0,
    *,
    nuisances: AsimovNuisances = "fitted",
    data: npt.ArrayLike | None = None,
    auxdata: npt.ArrayLike | None = None,
    poi: str | None = None,
    n_starts: int = 1,
    max_iterations: int = MAX_ITERATIONS,
) -> Vector:
    """Expected events and auxiliary measurements at a value of the parameter of interest.

    Parameters
    ----------
    mu : float
    nuisances : {"fitted", "nominal"}
        Other parameters at their best values for the data at this `mu`, or at the centres of their
        constraints (at their starting values without one).
    data, auxdata : array_like, optional
        Dataset to fit, in place of the observed one.
    poi : str, optional
    n_starts, max_iterations
        As for `fit`.

    Returns
    -------
    (n_bins + n_aux,) ndarray
        Ready to be passed as `data` to `fit` and the tests.

    Raises
    ------
    FitError
        If a fit did not converge.
    """
    check_model(model)
    if not np.isfinite(mu):
        raise ValueError(f"mu is {mu}, expected a finite number")
    profile = observe(
        model,
        data=data,
        auxdata=auxdata,
        poi=poi,
        n_starts=n_starts,
        max_iterations=max_iterations,
    )
    params = asimov_parameters(profile, float(mu), nuisances)
    warn_of_bounds(model, profile.problem, [], [params], but=profile.poi)
    return asimov_at(model, params)


def alternative_to(mu: float) -> float:
    """The hypothesis that a tested one is set against: background only, or 1 for `mu` = 0."""
    return 1.0 if mu == 0.0 else 0.0


def asimov_at(model: HistFactoryModel, params: Vector) -> Vector:
    """The expectation as data: events are never negative, as in the likelihood."""
    data = model.expected_data(params)
    data[: model.n_bins] = np.maximum(data[: model.n_bins], 0.0)
    return data


def asimov_parameters(profile: Profile, mu: float, nuisances: AsimovNuisances) -> Vector:
    """Parameters that Asimov data are made from, (P,).

    Where the observed data exclude `mu` outright (events in bins where none can be expected),
    the nuisance parameters are fitted to the data without those events; see `possible`.
    """
    if nuisances not in ("fitted", "nominal"):
        raise ValueError(f"nuisances is {nuisances!r}, expected 'fitted' or 'nominal'")
    if nuisances == "nominal":
        return _nominal(profile, mu)
    source = possible(profile, mu)
    fitted = source.at(mu)
    if fitted is None:
        raise FitError(source.why_impossible(mu))
    return fitted


def _nominal(profile: Profile, mu: float) -> Vector:
    """The centres of the constraints, within the bounds; what is fixed stays where it is."""
    problem = profile.problem
    free = np.clip(profile.model.parameters.nominal, problem.lower, problem.upper)
    return problem.start(free).fix(profile.poi, mu).init


def possible(profile: P, mu: float) -> P:
    """The profile, or where its data exclude `mu` outright, that of the data without these events.

    With an `EmptyBinWarning` in the second case.
    """
    if profile.at(mu) is not None:
        return profile
    model = profile.model
    expected = model.expected_data(_nominal(profile, mu), include_auxdata=False)
    warn(
        f"{profile.name}={mu:g} is excluded outright: {profile.why_impossible(mu)}; the Asimov "
        "data are fitted without them",
        EmptyBinWarning,
    )
    events = np.where(expected > 0.0, profile.data.n, 0.0)
    return profile.with_data(model._data(events, profile.data.aux))
