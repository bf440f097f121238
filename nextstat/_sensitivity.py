"""Derivatives of fits in what a model is made of: its templates, constraints and data.

One number at a time, backwards: a statistic is made of likelihoods at minima, these depend on the
templates explicitly, through the minima, and through the data where these are Asimov data. See
`cpp/sensitivity.h` for the two theorems.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from nextstat import _core
from nextstat._asimov import AsimovNuisances, asimov_at, asimov_parameters
from nextstat._fit import minimise, require_converged
from nextstat._hypotest import deviation
from nextstat._profile import Profile, TestStatistic
from nextstat.model import HistFactoryModel, Vector

TEMPLATES = ("nominal", "norm_lo", "norm_hi", "histo_lo", "histo_hi", "constraint_scale")
FIELDS = (*TEMPLATES, "data", "aux")


def replace_arrays(model: HistFactoryModel, arrays: dict[str, Vector]) -> HistFactoryModel:
    """The model with some of its templates or constraint widths replaced.

    Parameters
    ----------
    model : HistFactoryModel
    arrays : dict of str to ndarray
        Of `TEMPLATES`, with the shapes of the model's.
    """
    compiled = model._compiled
    sets = compiled.parameter_sets
    if "constraint_scale" in arrays:
        ends = np.cumsum([len(s) for s in sets])[:-1]
        parts = np.split(arrays["constraint_scale"], ends)
        pairs = zip(sets, parts, strict=True)
        sets = [replace(s, scale=part.tolist()) if s.scale else s for s, part in pairs]
    changed = replace(compiled, arrays={**compiled.arrays, **arrays}, parameter_sets=sets)
    return HistFactoryModel(changed, model.data, model.poi, model._codes)


class Derivatives:
    """Derivatives of one number, gathered term by term.

    Attributes
    ----------
    fields : dict of str to ndarray
        By the names of the model's arrays (`TEMPLATES`), and "data" (n_bins,), "aux" (n_aux,).
    """

    def __init__(self, model: HistFactoryModel) -> None:
        self.model = model
        self.fields: dict[str, Vector] = {}

    def add(self, terms: dict[str, Vector], factor: float = 1.0) -> Vector:
        """Add a multiple of derivatives; returns that of the parameters, (P,)."""
        for name in FIELDS:
            if len(terms[name]):
                self.fields[name] = self.fields.get(name, 0.0) + factor * terms[name]
        return factor * terms["params"]

    def add_nll(self, data: _core.Data, params: Vector, factor: float) -> Vector:
        """Of factor * nll at given parameters; returns that in the parameters."""
        return self.add(_core.nll_sensitivities(self.model._core, data, params), factor)

    def add_through_minimum(self, data: _core.Data, minimum: _core.Minimum, weight: Vector) -> None:
        """Of weight . theta, theta the minimum of the nll: -H^-1 d2 nll / d theta dt.

        Parameters that are fixed or at a bound do not move.
        """
        direction = minimum.covariance() @ np.where(minimum.held, 0.0, weight)
        if direction.any():
            along = _core.nll_sensitivities_along(self.model._core, data, minimum.values, direction)
            self.add({name: rows[0] for name, rows in along.items()}, -1.0)

    def add_expected(self, params: Vector) -> Vector:
        """Turn derivatives in the data into those of the expectation, which the data are.

        Parameters
        ----------
        params : (P,) ndarray
            Where the Asimov data were made.

        Returns
        -------
        (P,) ndarray
            Derivative in these parameters.
        """
        table = self.model.parameters
        in_data, in_aux = self.fields.pop("data"), self.fields.pop("aux")
        in_params = self.add(_core.yield_sensitivities(self.model._core, params, in_data))
        constrained = np.array(table.constraints) != "none"
        poisson = np.array(table.constraints) == "poisson"
        aux = np.zeros(len(params))
        aux[constrained] = in_aux
        in_params = in_params + aux * np.where(poisson, self._scale, 1.0)
        self.fields["constraint_scale"] += np.where(poisson, params * aux, 0.0)
        return in_params

    @property
    def _scale(self) -> Vector:
        scale: Vector = self.model._compiled.arrays["constraint_scale"]
        return scale


class Dataset:
    """Data of a model, and how they and their best fit depend on what the model is made of.

    Parameters
    ----------
    profile : Profile
    """

    def __init__(self, profile: Profile) -> None:
        self.profile = profile
        self.model = profile.model

    def settle(self, found: Derivatives, in_best: Vector | None = None) -> None:
        """Complete the derivatives of a statistic.

        Parameters
        ----------
        found : Derivatives
            Explicit ones, in the templates and in the data.
        in_best : (P,) ndarray, optional
            Derivative in the parameters of the global minimum.
        """
        if in_best is not None:
            profile = self.profile
            start = profile.problem.start(profile.best)
            minimum = minimise(self.model, profile.data, start)
            require_converged(self.model, minimum, "the global fit")
            found.add_through_minimum(profile.data, minimum, in_best)


class Asimov(Dataset):
    """Data as expected at a value of the parameter of interest.

    Parameters
    ----------
    observed : Profile
    mu : float
    nuisances : {"nominal", "fitted"}
        At their starting values, or at their best for the observed data.
    """

    def __init__(self, observed: Profile, mu: float, nuisances: AsimovNuisances) -> None:
        self.observed, self.mu, self.nuisances = observed, mu, nuisances
        self.params = asimov_parameters(observed, mu, nuisances)
        model = observed.model
        data = model._data(asimov_at(model, self.params))
        problem = observed.problem.widen(observed.poi, mu, mu)
        super().__init__(Profile(model, data, problem, observed.poi, best=self.params))

    def settle(self, found: Derivatives, in_best: Vector | None = None) -> None:
        """As for any data; the best fit of these is where they were made."""
        in_params = found.add_expected(self.params)
        if self.nuisances == "nominal":
            return
        if in_best is not None:
            in_params = in_params + in_best
        observed = self.observed
        start = observed.problem.start(self.params).fix(observed.poi, self.mu)
        minimum = minimise(self.model, observed.data, start)
        require_converged(self.model, minimum, f"the fit with {observed.name}={self.mu:g}")
        found.add_through_minimum(observed.data, minimum, in_params)


def test_statistic(
    dataset: Dataset, statistic: TestStatistic, mu: float
) -> tuple[float, dict[str, Vector]]:
    """A test statistic q = 2 [nll(conditional minimum) - nll(minimum)] and its derivatives.

    By the envelope theorem the minima count only through the data.
    """
    profile = dataset.profile
    q = deviation(statistic, mu, profile)
    found = Derivatives(dataset.model)
    conditional = profile.at(mu) if 0.0 < q < np.inf else None
    if conditional is not None:
        found.add_nll(profile.data, conditional, 2.0)
        found.add_nll(profile.data, profile.best, -2.0)
        dataset.settle(found)
    return q, found.fields


def variance(dataset: Dataset) -> tuple[float, dict[str, Vector]]:
    """Variance of the parameter of interest, [H^-1] at the minimum, and its derivatives.

    d variance = -h . dH . h with h the parameter's row of H^-1: explicitly, through the minimum
    and through the data.
    """
    profile, model = dataset.profile, dataset.model
    minimum = minimise(model, profile.data, profile.problem.start(profile.best))
    require_converged(model, minimum, "the global fit")
    row = minimum.covariance()[profile.poi]
    along = _core.nll_sensitivities_along(model._core, profile.data, minimum.values, row)
    found = Derivatives(model)
    in_best = found.add({name: rows[1] for name, rows in along.items()}, -1.0)
    dataset.settle(found, in_best)
    return float(row[profile.poi]), found.fields
