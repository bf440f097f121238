"""Derivatives of fits in what a model is made of: its templates, constraints and data.

One number at a time, backwards: a statistic is made of likelihoods at minima, these depend on the
templates explicitly, through the minima, and through the data where these are Asimov data. See
`cpp/kernels/sensitivity.h` for the two theorems.
"""

from __future__ import annotations

import numpy as np

import nextstat._core as _core
from nextstat._base.arrays import Vector
from nextstat._base.warnings import warn
from nextstat._gradients.warm_profile import WarmProfile
from nextstat._inference.asimov import AsimovNuisances, asimov_at, asimov_parameters, possible
from nextstat._model.histfactory import NUMBERS, HistFactoryModel
from nextstat.exceptions import EmptyBinWarning

FIELDS = (*NUMBERS, "data", "aux")

Fields = dict[str, Vector]


def sizes(model: HistFactoryModel) -> dict[str, int]:
    """Number of derivatives in each of the `FIELDS`."""
    arrays = model._compiled.arrays
    found = {name: len(arrays[name]) for name in NUMBERS}
    return {**found, "data": model.n_bins, "aux": len(model.auxdata)}


class Derivatives:
    """Derivatives of one number, gathered term by term.

    Attributes
    ----------
    total : (n,) ndarray
        In everything, one of the `FIELDS` after the other.
    fields : dict of str to ndarray
        Views of these, by name.
    """

    def __init__(self, model: HistFactoryModel) -> None:
        self.model = model
        self.fields: Fields = {}
        lengths = sizes(model)
        self.total = np.zeros(sum(lengths.values()))
        start = 0
        for name, n in lengths.items():
            self.fields[name] = self.total[start : start + n]
            start += n

    def add_nll(self, data: _core.Data, params: Vector, factor: float) -> Vector:
        """Of factor * nll at given parameters; returns that in the parameters, (P,)."""
        in_params, terms = _core.nll_sensitivities(self.model._core, data, params)
        self.total += factor * terms
        return factor * in_params

    def add_along(
        self, data: _core.Data, params: Vector, direction: Vector, factor: float
    ) -> Vector:
        """Of factor * direction . H . direction; returns that in the parameters, (P,)."""
        in_params, terms = _core.nll_sensitivities_along(self.model._core, data, params, direction)
        self.total += factor * terms[1]
        second: Vector = factor * in_params[1]
        return second

    def add_through_minimum(self, data: _core.Data, minimum: _core.Minimum, weight: Vector) -> None:
        """Of weight . theta, theta the minimum of the nll: -H^-1 d2 nll / d theta dt.

        Parameters that are fixed or at a bound do not move.
        """
        direction = minimum.covariance_times(weight)
        if direction.any():
            _, terms = _core.nll_sensitivities_along(
                self.model._core, data, minimum.values, direction
            )
            self.total -= terms[0]

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
        in_data, in_aux = self.fields["data"], self.fields["aux"]
        in_params, terms = _core.yield_sensitivities(self.model._core, params, in_data)
        self.total += terms
        if len(in_aux):
            scale = self.model._compiled.arrays["constraint_scale"]
            aux = np.zeros(len(params))
            aux[table.constrained] = in_aux
            in_params += aux * np.where(table.poisson, scale, 1.0)
            self.fields["constraint_scale"] += np.where(table.poisson, params * aux, 0.0)
        in_data[:] = 0.0
        in_aux[:] = 0.0
        return in_params


class Dataset:
    """Data of a model, and how they and their best fit depend on what the model is made of.

    Parameters
    ----------
    profile : WarmProfile
    """

    def __init__(self, profile: WarmProfile) -> None:
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
            found.add_through_minimum(self.profile.data, self.profile.minimum(), in_best)


class Asimov(Dataset):
    """Data as expected at a value of the parameter of interest.

    Parameters
    ----------
    observed : WarmProfile
    mu : float
    nuisances : {"nominal", "fitted"}
        At their starting values, or at their best for the observed data.
    """

    def __init__(self, observed: WarmProfile, mu: float, nuisances: AsimovNuisances) -> None:
        self.source = possible(observed, mu) if nuisances == "fitted" else observed
        self.mu, self.nuisances = mu, nuisances
        self.params = asimov_parameters(self.source, mu, nuisances)
        model = observed.model
        data = model._data(asimov_at(model, self.params))
        # the best fit is at mu, whatever the bounds are
        problem = observed.problem.widen(observed.poi, mu - 1.0, mu + 1.0)
        super().__init__(
            WarmProfile(
                model,
                data,
                problem,
                observed.poi,
                memory=observed.memory,
                label=f"Asimov {mu:g}",
                best=self.params,
            )
        )

    def settle(self, found: Derivatives, in_best: Vector | None = None) -> None:
        """As for any data; the best fit of these is where they were made."""
        self._leave_empty_bins(found)
        in_params = found.add_expected(self.params)
        if in_best is not None:
            in_params = in_params + in_best
        if self.nuisances == "nominal":
            self._follow_centres(found, in_params)
            return
        source = self.source
        found.add_through_minimum(source.data, source.minimum(self.mu), in_params)

    def _follow_centres(self, found: Derivatives, in_params: Vector) -> None:
        """Nominal parameters are at the centres of their constraints, auxdata over rate."""
        table = self.model.parameters
        follows = table.constrained & ~self.source.problem.fixed & (self.params == table.centre)
        in_centre = np.where(follows, in_params, 0.0)
        tau = np.where(table.poisson, table.tau, 1.0)
        found.fields["constraint_scale"] -= np.where(
            table.poisson, in_centre * self.params / tau, 0.0
        )
        if len(found.fields["aux"]):
            found.fields["aux"] += (in_centre / tau)[table.constrained]

    def forget_empty_bins(self, found: Derivatives, conditional: Vector) -> None:
        """Give no derivative of a test in the yields of bins that expect nothing, signal or not.

        With signal alone, the data would exclude the background outright.
        """
        empty = self.profile.data.n == 0.0
        if not empty.any():
            return
        model = self.model
        empty &= model.expected_data(conditional, include_auxdata=False) <= 0.0
        if not empty.any():
            return
        found.fields["nominal"][empty[model._cell_bins]] = 0.0
        warn(
            f"all samples are empty in {model._name_bins(empty)}: no derivatives are given in "
            "yields there; give every bin some background, or leave them out",
            EmptyBinWarning,
        )

    def _leave_empty_bins(self, found: Derivatives) -> None:
        """Take out derivatives through the data of bins that expect nothing: they are infinite."""
        infinite = (self.profile.data.n == 0.0) & (found.fields["data"] != 0.0)
        if infinite.any():
            found.fields["data"][infinite] = 0.0
            warn(
                f"no events are expected at {self.profile.name}={self.mu:g} in "
                f"{self.model._name_bins(infinite)}, where derivatives in yields are infinite: "
                "they are given for fixed data; give every bin some background",
                EmptyBinWarning,
            )
