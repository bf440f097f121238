"""The HistFactory model: parameters, expected events and likelihood."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

import nextstat._core as _core
from nextstat._base.arrays import Vector
from nextstat._model.compilation import Compiled, compile_workspace
from nextstat._model.measurement import choose_poi
from nextstat._model.templates import ModelTemplates
from nextstat.workspace import Patch, Source, load
from nextstat.workspace._reading import MAX_BYTES

# Arrays that templates and constraints fill; the others are the structure.
NUMBERS = ("nominal", "norm_lo", "norm_hi", "histo_lo", "histo_hi", "constraint_scale")

_NORM_CODES = {"code1": 1, "code4": 4}
_HISTO_CODES = {"code0": 0, "code2": 2, "code4p": 4}


class HistFactoryModel:
    """A binned likelihood with constrained nuisance parameters; immutable and thread-safe.

    Build one with `nextstat.from_pyhf`. Parameter arrays have the order of `parameter_names`,
    which is pyhf's; bins stand channel by channel, in the order of `channels`.

    Attributes
    ----------
    parameters : ParameterTable
        Names, kinds, starting values, bounds and constraints.
    poi : str or None
        Parameter of interest.
    channels, samples : tuple of str
        Sorted by name.
    channel_bins : tuple of int
        Number of bins of each channel.
    data : (n_bins,) ndarray
        Observed events.
    auxdata : (n_aux,) ndarray
        Auxiliary measurements of the constrained parameters.
    """

    def __init__(
        self,
        compiled: Compiled,
        data: npt.ArrayLike,
        poi: str | None,
        codes: tuple[int, int],
        core: _core.Model | None = None,
    ) -> None:
        self._compiled = compiled
        self._codes = codes
        self.parameters = compiled.parameters
        self.poi = poi
        self.channels = compiled.channels
        self.channel_bins = compiled.channel_bins
        self.samples = compiled.samples
        self.data = np.array(data, dtype=np.float64)
        self.data.flags.writeable = False
        self._core = core or _core.Model(**compiled.arrays, norm_code=codes[0], histo_code=codes[1])
        self._observed = _core.Data(self._core, self.data, self.auxdata)

    # Immutable: copies are the object itself, and attributes cannot be set twice.
    def __setattr__(self, name: str, value: object) -> None:
        if "_observed" in self.__dict__:
            raise AttributeError(f"HistFactoryModel is immutable; cannot set {name!r}")
        super().__setattr__(name, value)

    def __delattr__(self, name: str) -> None:
        raise AttributeError(f"HistFactoryModel is immutable; cannot delete {name!r}")

    def __copy__(self) -> HistFactoryModel:
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> HistFactoryModel:
        return self

    def _with(self, compiled: Compiled) -> HistFactoryModel:
        """The same model with other numbers in its arrays."""
        numbers = {name: compiled.arrays[name] for name in NUMBERS}
        core = self._core.with_numbers(**numbers)
        return HistFactoryModel(compiled, self.data, self.poi, self._codes, core)

    def __reduce__(self) -> tuple[Any, ...]:
        return HistFactoryModel, (self._compiled, self.data, self.poi, self._codes)

    def __repr__(self) -> str:
        return (
            f"HistFactoryModel({len(self.parameters)} parameters, {self.n_bins} bins in "
            f"{len(self.channels)} channels, {len(self.samples)} samples, poi={self.poi!r})"
        )

    @property
    def parameter_names(self) -> tuple[str, ...]:
        """Names of the parameters, (P,), as pyhf spells them."""
        return self.parameters.names

    @property
    def init(self) -> Vector:
        """Starting values, (P,)."""
        return self.parameters.init

    @property
    def bounds(self) -> Vector:
        """Lower and upper bounds, (P, 2)."""
        return self.parameters.bounds

    @property
    def fixed(self) -> npt.NDArray[np.bool_]:
        """Which parameters are fixed at their starting values, (P,)."""
        return self.parameters.fixed

    @property
    def auxdata(self) -> Vector:
        """Auxiliary measurements, (n_aux,), in the order of the constrained parameters."""
        return self.parameters.auxdata

    @property
    def channel_samples(self) -> dict[str, tuple[str, ...]]:
        """Names of the samples of each channel."""
        members: dict[str, list[str]] = {channel: [] for channel in self.channels}
        for channel, sample in self._compiled.sample_of:
            members[self.channels[channel]].append(self.samples[sample])
        return {channel: tuple(samples) for channel, samples in members.items()}

    @property
    def channel_slices(self) -> dict[str, slice]:
        """Where the bins of each channel are among all bins."""
        last = np.cumsum(self.channel_bins).tolist()
        bins = zip(self.channels, self.channel_bins, last, strict=True)
        return {channel: slice(stop - n, stop) for channel, n, stop in bins}

    def _name_bins(self, where: npt.NDArray[np.bool_]) -> str:
        """For messages: which bins, (n_bins,), the first of them by name."""
        first, n = int(where.argmax()), int(where.sum())
        if n == 0:
            return "some bin"
        channel, bins = next(item for item in self.channel_slices.items() if first < item[1].stop)
        name = f"bin {first - bins.start} of channel {channel!r}"
        return name if n == 1 else f"{name} and {n - 1} more"

    @property
    def _cell_bins(self) -> npt.NDArray[np.intp]:
        """Bin of each of the nominal yields of the arrays, (n_cells,)."""
        slices = list(self.channel_slices.values())
        bins = np.arange(self.n_bins)
        return np.concatenate([bins[slices[channel]] for channel, _ in self._compiled.sample_of])

    @property
    def n_bins(self) -> int:
        """Number of bins, over all channels."""
        return int(self._core.n_bins)

    def templates(self) -> dict[str, Vector]:
        """Copies of the templates, by names that `nextstat.torch.HistFactoryLayer` takes too.

        Returns
        -------
        dict of str to ndarray
            "channel/sample": nominal yields, (n_bins,) of the channel.
            "channel/sample/histosys/name/lo" and ".../hi": varied yields, (n_bins,).
            "channel/sample/normsys/name/lo" and ".../hi": factors, ().
            "channel/staterror/name": squared uncertainties, the sum over its samples, (n_bins,).
            "channel/sample/shapesys/name": uncertainties, (n_bins,).
            The last two only where the widths follow from them, and are not set by the
            measurement.
        """
        return ModelTemplates(self._compiled).values()

    def expected_data(self, params: npt.ArrayLike, *, include_auxdata: bool = True) -> Vector:
        """Expected events of each bin, and expected auxiliary measurements.

        Parameters
        ----------
        params : (P,) array_like
        include_auxdata : bool
            Append the expected auxiliary measurements, as pyhf does.

        Returns
        -------
        (n_bins + n_aux,) or (n_bins,) ndarray
        """
        try:
            events = _core.expected(self._core, params)
        except TypeError:
            raise _bad_params(params) from None
        if not include_auxdata:
            return events
        table = self.parameters
        rate = np.where(table.poisson, table.tau, 1.0) * np.asarray(params, dtype=np.float64)
        return np.concatenate([events, rate[table.constrained]])

    def expected_by_sample(self, params: npt.ArrayLike) -> Vector:
        """Expected events of each sample in each bin; 0 in channels a sample is not part of.

        Returns
        -------
        (n_samples, n_bins) ndarray
        """
        cells = _core.expected_by_sample(self._core, params)
        out = np.zeros((len(self.samples), self.n_bins))
        slices = list(self.channel_slices.values())
        start = 0
        for channel, sample in self._compiled.sample_of:
            stop = start + self.channel_bins[channel]
            out[sample, slices[channel]] = cells[start:stop]
            start = stop
        return out

    def nll(self, params: npt.ArrayLike, data: npt.ArrayLike | None = None) -> float:
        """Negative log-likelihood, all constants kept (half of pyhf's `twice_nll`).

        Parameters
        ----------
        params : (P,) array_like
        data : (n_bins,) or (n_bins + n_aux,) array_like, optional
            Events, and auxiliary measurements, in place of the observed ones.

        Returns
        -------
        float
            Infinite where events were observed and none are expected.
        """
        data_ = self._observed if data is None else self._data(data)
        try:
            return _core.nll(self._core, data_, params)
        except TypeError:
            raise _bad_params(params) from None

    def logpdf(self, params: npt.ArrayLike, data: npt.ArrayLike | None = None) -> float:
        """Log-likelihood, -nll."""
        return -self.nll(params, data)

    def nll_gradient(self, params: npt.ArrayLike, data: npt.ArrayLike | None = None) -> Vector:
        """Gradient of `nll` in the parameters, (P,).

        At the kinks of the interpolation codes 0 and 1, the derivative from the right (from the
        left at -0.0).
        """
        data_ = self._observed if data is None else self._data(data)
        try:
            return _core.nll_gradient(self._core, data_, params)
        except TypeError:
            raise _bad_params(params) from None

    def nll_hessian(self, params: npt.ArrayLike, data: npt.ArrayLike | None = None) -> Vector:
        """Second derivatives of `nll` in the parameters, (P, P)."""
        data_ = self._observed if data is None else self._data(data)
        try:
            return _core.nll_hessian(self._core, data_, params)
        except TypeError:
            raise _bad_params(params) from None

    def _data(self, data: npt.ArrayLike | None, auxdata: npt.ArrayLike | None = None) -> _core.Data:
        """Data given by a caller, checked; the observed ones where None."""
        if data is None and auxdata is None:
            return self._observed
        events = self.data if data is None else np.asarray(data, dtype=np.float64)
        n_aux = len(self.auxdata)
        if auxdata is None and events.shape == (self.n_bins + n_aux,):
            events, auxdata = events[: self.n_bins], events[self.n_bins :]
        if events.shape == (self.n_bins + n_aux,) and n_aux:
            raise ValueError("the auxiliary measurements are given twice: in data and as auxdata")
        if events.shape != (self.n_bins,):
            raise ValueError(
                f"data has shape {events.shape}, expected ({self.n_bins},) events or "
                f"({self.n_bins + n_aux},) events and auxiliary measurements"
            )
        return _core.Data(self._core, events, self.auxdata if auxdata is None else auxdata)


def _bad_params(params: object) -> TypeError:
    hint = "; pass its values" if hasattr(params, "values") else ""
    return TypeError(f"params is a {type(params).__name__}, expected an array of numbers{hint}")


def from_pyhf(
    workspace: Source,
    *,
    measurement: str | None = None,
    poi: str | None = None,
    patch: Patch | None = None,
    interpolation: tuple[str, str] = ("code4", "code4p"),
    max_bytes: int = MAX_BYTES,
) -> HistFactoryModel:
    """Build a model from a workspace in the pyhf JSON format.

    Parameters
    ----------
    workspace : mapping, str, bytes, path, open file or Workspace
        Workspace, JSON text, or a ``.json`` or ``.json.gz`` file.
    measurement : str, optional
        Name of the measurement; the first one by default.
    poi : str, optional
        Parameter of interest; the measurement's by default, "" for none. A workspace no sample of
        which carries the measurement's parameter of interest (a background-only one) gives a
        model without.
    patch : RFC 6902 operations, path, or pair (PatchSet, name), optional
        Applied to the workspace first; see `nextstat.workspace.load`.
    interpolation : (str, str)
        Codes of normsys ("code1" or "code4") and histosys ("code0", "code2" or "code4p").
    max_bytes : int
        Most text that a file may hold, after decompression.

    Returns
    -------
    HistFactoryModel

    Raises
    ------
    WorkspaceError
        If the workspace is rejected; the message names the JSON path, what was found there and
        what was expected.
    ValueError
        If an interpolation code is unknown.

    Warns
    -----
    WorkspaceWarning
        If no sample carries the measurement's parameter of interest and its name looks misspelt,
        or a patch was applied; or settings of a parameter that no sample uses look meant for one
        that has none.
    """
    codes = _interpolation_codes(interpolation)
    spec = load(workspace, patch=patch, max_bytes=max_bytes)
    chosen = spec.measurement(measurement)
    compiled = compile_workspace(spec, chosen)
    name = choose_poi(spec, chosen, compiled.parameters, poi, patched=patch is not None)
    observed = {observation.name: observation.data for observation in spec.observations}
    counts = [x for channel in compiled.channels for x in observed[channel]]
    return HistFactoryModel(compiled, counts, name, codes)


def _interpolation_codes(interpolation: tuple[str, str]) -> tuple[int, int]:
    try:
        norm, histo = interpolation
        return _NORM_CODES[norm], _HISTO_CODES[histo]
    except (KeyError, TypeError, ValueError):
        raise ValueError(
            f"interpolation is {interpolation!r}, expected (normsys code, histosys code) from "
            f"{list(_NORM_CODES)} and {list(_HISTO_CODES)}"
        ) from None
