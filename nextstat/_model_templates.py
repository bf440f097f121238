"""The templates of a model by name: to read them, to replace them, and for derivatives in them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from nextstat._compile import Compiled
from nextstat._rejection import unknown
from nextstat.model import HistFactoryModel, Vector

FIELDS = ("nominal", "norm_lo", "norm_hi", "histo_lo", "histo_hi")


class Place(NamedTuple):
    """Where a template is among the model's arrays.

    Attributes
    ----------
    field : str
        One of `FIELDS`; "variance" for a staterror, "uncertainty" for a shapesys.
    where : slice
        Within that array; for the last two, where the parameters are.
    shape : tuple of int
        (n_bins,) of the channel; () for normsys.
    """

    field: str
    where: slice
    shape: tuple[int, ...]


@dataclass(frozen=True)
class Width:
    """Constraints that follow from templates: of a staterror in one channel, or of a shapesys.

    Attributes
    ----------
    where : slice
        The parameters.
    uncertainty : (n_bins,) ndarray
        Absolute, of all samples together.
    cells : tuple of slice
        Where the samples are in the nominal yields.
    sources : frozenset of str
        Names of the templates it follows from.
    poisson : bool
        Whether the scale is tau = (yield / uncertainty)^2 (shapesys) or uncertainty / yield.
    """

    where: slice
    uncertainty: Vector
    cells: tuple[slice, ...]
    sources: frozenset[str]
    poisson: bool

    def scale(self, nominal: Vector, uncertainty: Vector) -> tuple[Vector, npt.NDArray[np.bool_]]:
        """Scale of the constraints, and where there is one; 1 elsewhere, both (n_bins,)."""
        total = sum(nominal[cells] for cells in self.cells)
        acts = (total != 0.0) & (uncertainty > 0.0)
        ratio = np.divide(uncertainty, np.abs(total), out=np.ones(len(uncertainty)), where=acts)
        return ratio**-2 if self.poisson else ratio, acts

    def pull_back(
        self, nominal: Vector, uncertainty: Vector, in_scale: Vector
    ) -> tuple[Vector, Vector]:
        """From derivatives in the scale to those in each of the yields and in the uncertainty."""
        scale, acts = self.scale(nominal, uncertainty)
        in_log = np.where(acts, in_scale * scale * (-2.0 if self.poisson else 1.0), 0.0)
        total = sum(nominal[cells] for cells in self.cells)
        one = np.ones(len(scale))
        by_uncertainty = np.divide(in_log, uncertainty, out=0.0 * one, where=acts)
        return np.divide(-in_log, total, out=0.0 * one, where=acts), by_uncertainty


class ModelTemplates:
    """The templates of a model, by name.

    Parameters
    ----------
    model : HistFactoryModel

    Attributes
    ----------
    places : dict of str to Place
    """

    def __init__(self, model: HistFactoryModel) -> None:
        self.model = model
        compiled = model._compiled
        self._cells = _cells(compiled)
        self._widths: dict[str, Width] = {}
        self.places: dict[str, Place] = {}
        self._add_nominal(compiled)
        self._add_interpolated(compiled)
        self._add_widths(compiled)
        self._stuck = self._find_stuck(compiled)

    def _add(self, name: str, place: Place) -> None:
        if name in self.places:
            raise ValueError(f"two templates are called {name!r}: rename a channel or a sample")
        self.places[name] = place

    def _add_nominal(self, compiled: Compiled) -> None:
        self._paths = [
            f"{compiled.channels[c]}/{compiled.samples[s]}" for c, s in compiled.sample_of
        ]
        for path, cells in zip(self._paths, self._cells, strict=True):
            self._add(path, Place("nominal", cells, (cells.stop - cells.start,)))

    def _add_interpolated(self, compiled: Compiled) -> None:
        names, arrays = compiled.parameters.names, compiled.arrays
        histos = zip(arrays["histo_param"].tolist(), arrays["histo_sample"].tolist(), strict=True)
        first = 0
        for p, s in histos:
            n = self._cells[s].stop - self._cells[s].start
            where = slice(first, first := first + n)
            for end in ("lo", "hi"):
                name = f"{self._paths[s]}/histosys/{names[p]}/{end}"
                self._add(name, Place(f"histo_{end}", where, (n,)))
        norms = zip(arrays["norm_param"].tolist(), arrays["norm_sample"].tolist(), strict=True)
        for i, (p, s) in enumerate(norms):
            for end in ("lo", "hi"):
                name = f"{self._paths[s]}/normsys/{names[p]}/{end}"
                self._add(name, Place(f"norm_{end}", slice(i, i + 1), ()))

    def _add_widths(self, compiled: Compiled) -> None:
        """Staterrors, one for all samples of a channel that share it, and shapesys."""
        table, arrays = compiled.parameters, compiled.arrays
        samples: dict[int, list[int]] = {}
        binwise = arrays["binwise_first"].tolist(), arrays["binwise_sample"].tolist()
        for first, s in zip(*binwise, strict=True):
            samples.setdefault(first, []).append(s)
        for set_name, uncertainty in compiled.uncertainties.items():
            own = table.slices[set_name]
            kind = table.kinds[own.start]
            for first in (first for first in samples if own.start <= first < own.stop):
                cells = tuple(self._cells[s] for s in samples[first])
                n = cells[0].stop - cells[0].start
                where = slice(first, first + n)
                absolute = uncertainty[first - own.start : first - own.start + n]
                paths = [self._paths[s] for s in samples[first]]
                path = paths[0]
                if kind == "staterror":
                    path = compiled.channels[compiled.sample_of[samples[first][0]][0]]
                name = f"{path}/{kind}/{set_name}"
                field = "variance" if kind == "staterror" else "uncertainty"
                self._add(name, Place(field, where, (n,)))
                sources = frozenset([name, *paths])
                self._widths[name] = Width(where, absolute, cells, sources, kind == "shapesys")

    def _find_stuck(self, compiled: Compiled) -> dict[str, str]:
        """Nominal yields that auxiliary data follow in ways that are not known, and of whom."""
        table, arrays = compiled.parameters, compiled.arrays
        first = {
            own.start: name
            for name, own in table.slices.items()
            if table.kinds[own.start] == "shapesys" and name not in compiled.uncertainties
        }
        binwise = zip(
            arrays["binwise_first"].tolist(), arrays["binwise_sample"].tolist(), strict=True
        )
        return {self._paths[s]: first[p] for p, s in binwise if p in first}

    def place(self, name: str) -> Place:
        """Where a template is.

        Raises
        ------
        KeyError
            If there is none of that name; the message names the nearest.
        """
        if name not in self.places:
            raise KeyError(unknown("template", str(name), list(self.places)))
        return self.places[name]

    def values(self) -> dict[str, Vector]:
        """Copies of all templates."""
        arrays = self.model._compiled.arrays
        found = {}
        for name, (field, where, shape) in self.places.items():
            if field in FIELDS:
                found[name] = arrays[field][where].reshape(shape).copy()
            else:
                uncertainty = self._widths[name].uncertainty
                found[name] = uncertainty**2 if field == "variance" else uncertainty.copy()
        return found

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
            for name, width in self._widths.items()
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
        for name in self._stuck.keys() & values.keys():
            raise ValueError(
                f"{name!r} is replaced, but the auxiliary data of its shapesys "
                f"{self._stuck[name]!r}, whose factors the measurement sets, cannot follow"
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
            width = self._widths[name]
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
    templates : ModelTemplates
    model : HistFactoryModel
    names : tuple of str
        Those that were replaced.
    uncertainties : dict of str to ndarray
        Behind the constraints that follow from the templates replaced.
    """

    templates: ModelTemplates
    model: HistFactoryModel
    names: tuple[str, ...]
    uncertainties: dict[str, Vector]

    def pull_back(self, fields: Mapping[str, Vector]) -> dict[str, Vector]:
        """From derivatives in the model's arrays to those in the templates replaced.

        Parameters
        ----------
        fields : mapping of str to ndarray
            As `nextstat._sensitivity.Derivatives` has them; 0 where absent.

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
                width = templates._widths[name]
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


def _cells(compiled: Compiled) -> list[slice]:
    """Where the samples are in the nominal yields."""
    sizes = [compiled.channel_bins[channel] for channel, _ in compiled.sample_of]
    last = np.cumsum(sizes).tolist()
    return [slice(stop - n, stop) for stop, n in zip(last, sizes, strict=True)]
