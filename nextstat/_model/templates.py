"""The templates of a model by name."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from nextstat._base.arrays import Vector
from nextstat._base.messages import unknown
from nextstat._model.compilation import Compiled

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
    compiled : Compiled
        The arrays of the model.

    Attributes
    ----------
    places : dict of str to Place
    widths : dict of str to Width
        Constraints that follow from templates.
    stuck : dict of str to str
        Nominal yields that auxiliary data follow in ways that are not known, and of whom.
    """

    def __init__(self, compiled: Compiled) -> None:
        self._arrays = compiled.arrays
        self._cells = _cells(compiled)
        self.widths: dict[str, Width] = {}
        self.places: dict[str, Place] = {}
        self._add_nominal(compiled)
        self._add_interpolated(compiled)
        self._add_widths(compiled)
        self.stuck = self._find_stuck(compiled)

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
                self.widths[name] = Width(where, absolute, cells, sources, kind == "shapesys")

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
        found = {}
        for name, (field, where, shape) in self.places.items():
            if field in FIELDS:
                found[name] = self._arrays[field][where].reshape(shape).copy()
            else:
                uncertainty = self.widths[name].uncertainty
                found[name] = uncertainty**2 if field == "variance" else uncertainty.copy()
        return found


def _cells(compiled: Compiled) -> list[slice]:
    """Where the samples are in the nominal yields."""
    sizes = [compiled.channel_bins[channel] for channel, _ in compiled.sample_of]
    last = np.cumsum(sizes).tolist()
    return [slice(stop - n, stop) for stop, n in zip(last, sizes, strict=True)]
