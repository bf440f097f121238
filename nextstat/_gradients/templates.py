"""Models with some of their templates replaced, and derivatives in these."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from nextstat._base.arrays import Vector
from nextstat._model.histfactory import HistFactoryModel
from nextstat._model.templates import FIELDS, ModelTemplates


class BindableTemplates(ModelTemplates):
    """The templates of a model, by name, and the model with others in their place.

    Parameters
    ----------
    model : HistFactoryModel
    """

    def __init__(self, model: HistFactoryModel) -> None:
        super().__init__(model._compiled)
        self.model = model

    def bind(self, values: Mapping[str, Vector]) -> Bound:
        """The model with some of its templates replaced: that of a workspace with these values.

        Parameters
        ----------
        values : mapping of str to ndarray
            Finite float64 arrays of the shapes of `places`.

        Raises
        ------
        ValueError
            If the samples of a bin add up to less than 0 at the starting values, a normsys factor
            is not positive, or a variance or an uncertainty is negative.
        """
        model, compiled = self.model, self.model._compiled
        arrays = dict(compiled.arrays)
        uncertainties = {
            name: width.uncertainty
            for name, width in self.widths.items()
            if not width.sources.isdisjoint(values)
        }
        for name, value in values.items():
            field, where, _ = self.places[name]
            if field in FIELDS:
                if arrays[field] is compiled.arrays[field]:
                    arrays[field] = arrays[field].copy()
                arrays[field][where] = value
            else:
                if (value < 0.0).any():
                    raise ValueError(f"{name!r} is negative: {value.min():g}, expected {field}s")
                uncertainties[name] = np.sqrt(value) if field == "variance" else value.copy()
        for field in ("norm_lo", "norm_hi"):
            if arrays[field] is not compiled.arrays[field] and not (arrays[field] > 0.0).all():
                raise ValueError(f"a normsys factor is {arrays[field].min():g}, expected > 0")
        parameters = compiled.parameters
        for name in self.stuck.keys() & values.keys():
            raise ValueError(
                f"{name!r} is replaced, but the auxiliary data of its shapesys "
                f"{self.stuck[name]!r}, whose factors the measurement sets, cannot follow"
            )
        if uncertainties:
            scale, aux, fixed = self._constraints(arrays["nominal"], uncertainties)
            arrays["constraint_scale"] = scale
            parameters = parameters.rescaled(scale, aux, fixed)
        changed = replace(compiled, arrays=arrays, parameters=parameters)
        bound = Bound(self, model._with(changed), tuple(values), uncertainties)
        if arrays["nominal"].min() < 0.0:
            _check_sums(bound.model)
        return bound

    def _constraints(
        self, nominal: Vector, uncertainties: dict[str, Vector]
    ) -> tuple[Vector, Vector, npt.NDArray[np.bool_]]:
        """Scales (P,), auxiliary measurements (n_aux,) and fixed flags (P,) with these."""
        model = self.model
        table = model.parameters
        scale: Vector = model._compiled.arrays["constraint_scale"].copy()
        aux = np.zeros(len(table))
        aux[table.constrained] = table.auxdata
        fixed = table.fixed.copy()
        for name, uncertainty in uncertainties.items():
            width = self.widths[name]
            before = scale[width.where]
            _, acted = width.scale(model._compiled.arrays["nominal"], width.uncertainty)
            after, acts = width.scale(nominal, uncertainty)
            if width.poisson:  # measured as expected, unless the measurement says otherwise
                follows = aux[width.where] == before
                aux[width.where] = np.where(follows, after, aux[width.where])
            scale[width.where] = after
            fixed[width.where] = (fixed[width.where] & acted) | ~acts
        return scale, aux[table.constrained], fixed


def _check_sums(model: HistFactoryModel) -> None:
    """Raise ValueError where a fit would start below zero."""
    totals = model.expected_data(model.init, include_auxdata=False)
    if (totals < 0.0).any():
        raise ValueError(
            f"yields of {model._name_bins(totals < 0.0)} add up to {totals.min():g} at the "
            "starting values, expected a sum >= 0"
        )


@dataclass(frozen=True)
class Bound:
    """A model with some of its templates replaced.

    Attributes
    ----------
    templates : BindableTemplates
    model : HistFactoryModel
    names : tuple of str
        Those that were replaced.
    uncertainties : dict of str to ndarray
        Behind the constraints that follow from the templates replaced.
    """

    templates: BindableTemplates
    model: HistFactoryModel
    names: tuple[str, ...]
    uncertainties: dict[str, Vector]

    def pull_back(self, fields: Mapping[str, Vector]) -> dict[str, Vector]:
        """From derivatives in the model's arrays to those in the templates replaced.

        Parameters
        ----------
        fields : mapping of str to ndarray
            As `nextstat._gradients.derivatives.Derivatives` has them; 0 where absent.

        Returns
        -------
        dict of str to ndarray
            Of the shapes of the templates, for `names`.
        """
        templates = self.templates
        nominal = self.model._compiled.arrays["nominal"]
        in_nominal = np.array(fields.get("nominal", np.zeros(len(nominal))))
        found = {}
        if self.uncertainties and "constraint_scale" in fields:
            in_scale = self._with_aux(fields)
            for name, uncertainty in self.uncertainties.items():
                width = templates.widths[name]
                in_yield, in_uncertainty = width.pull_back(
                    nominal, uncertainty, in_scale[width.where]
                )
                for cells in width.cells:
                    in_nominal[cells] += in_yield
                if not width.poisson:  # in the variance
                    acts = uncertainty > 0.0
                    in_uncertainty[acts] /= 2.0 * uncertainty[acts]
                found[name] = in_uncertainty
        for name in self.names:
            field, where, shape = templates.places[name]
            if field == "nominal":
                found[name] = in_nominal[where]
            elif field in fields:
                found[name] = fields[field][where].reshape(shape)
            else:
                found.setdefault(name, np.zeros(shape))
        return {name: found[name] for name in self.names}

    def _with_aux(self, fields: Mapping[str, Vector]) -> Vector:
        """Derivatives in the scales, those of auxiliary measurements that follow them added."""
        table, scale = self.model.parameters, fields["constraint_scale"]
        if "aux" not in fields:
            return scale
        aux, in_aux = np.zeros((2, len(table)))
        aux[table.constrained], in_aux[table.constrained] = table.auxdata, fields["aux"]
        follows = table.poisson & (aux == self.model._compiled.arrays["constraint_scale"])
        total: Vector = scale + np.where(follows, in_aux, 0.0)
        return total
