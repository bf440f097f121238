"""From a checked workspace to parameters and the arrays of the numeric model."""

from __future__ import annotations

import math
from collections import defaultdict
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

from nextstat._base.messages import show
from nextstat._model.measurement import configure
from nextstat._model.parameters import ParameterSet, ParameterTable
from nextstat.workspace._rejection import rejection
from nextstat.workspace._schema import (
    Channel,
    HistoSys,
    Lumi,
    Measurement,
    NormFactor,
    NormSys,
    Sample,
    ShapeFactor,
    ShapeSys,
    StatError,
    Workspace,
)

Arrays: TypeAlias = dict[str, npt.NDArray[Any]]

_GAMMA_BOUNDS = (1e-10, 10.0)
_FACTOR_BOUNDS = (0.0, 10.0)
_ALPHA_BOUNDS = (-5.0, 5.0)
_CANCELLED = 1e-9  # sums of yields that are less, relative to their sizes, are rounding
_CODES = {"none": 0, "gaussian": 1, "poisson": 2}


@dataclass
class Compiled:
    """What a model is built from: names on one side, numbers on the other.

    Attributes
    ----------
    sample_of : tuple of (int, int)
        (channel, sample) of each of the arrays' samples.
    uncertainties : dict of str to ndarray
        Absolute uncertainties behind the constraints of a staterror (of its samples together) or
        a shapesys; of those that follow the templates, not those a measurement sets.
    arrays : dict of str to ndarray
        Arguments of the numeric model; see ModelSpec in cpp/model/model.h.
    """

    channels: tuple[str, ...]
    channel_bins: tuple[int, ...]
    samples: tuple[str, ...]
    sample_of: tuple[tuple[int, int], ...]
    parameters: ParameterTable
    uncertainties: dict[str, npt.NDArray[np.float64]]
    arrays: Arrays


def compile_workspace(workspace: Workspace, measurement: Measurement) -> Compiled:
    """Parameters and numeric arrays of one measurement of a checked workspace.

    Channels, samples and parameters stand in pyhf's order: channels and samples by name;
    parameters by modifier type, then by first appearance (staterror: by name).

    Raises
    ------
    WorkspaceError
        If the measurement's settings do not fit the parameters.
    """
    walk = _Walk()
    channels = sorted(workspace.channels, key=lambda channel: channel.name)
    samples = sorted({sample.name for channel in channels for sample in channel.samples})
    position = {name: i for i, name in enumerate(samples)}
    sample_of = []
    for c, channel in enumerate(channels):
        for sample in sorted(channel.samples, key=lambda sample: sample.name):
            sample_of.append((c, position[sample.name]))
            walk.add(channel, sample)
    _check_cancelling(workspace, walk.stat)
    sets = walk.parameter_sets()
    _check_distinct(workspace, sets)
    configure(workspace, measurement, sets)
    return Compiled(
        channels=tuple(channel.name for channel in channels),
        channel_bins=tuple(len(channel.samples[0].data) for channel in channels),
        samples=tuple(samples),
        sample_of=tuple(sample_of),
        parameters=ParameterTable(sets),
        uncertainties={s.name: np.array(s.uncertainty) for s in sets if s.uncertainty},
        arrays=walk.arrays(channels, sets),
    )


def _check_distinct(workspace: Workspace, sets: list[ParameterSet]) -> None:
    """Reject a scalar parameter called as a bin of another: `g[0]` beside a shapesys `g`."""
    owner: dict[str, str] = {}
    for s in sets:
        for name in s.names():
            if name in owner:
                raise rejection(
                    workspace,
                    ("channels",),
                    f"two parameters are called {show(name)}: {show(owner[name])} and "
                    f"{show(s.name)} ({s.kind}); rename one",
                )
            owner[name] = s.name


def _check_cancelling(workspace: Workspace, stat: dict[str, dict[str, _Sums]]) -> None:
    """Reject uncertainties relative to yields that cancel: they would be dropped, or huge."""
    for name, per_channel in stat.items():
        for channel, sums in per_channel.items():
            for b, (total, size, variance) in enumerate(zip(*sums, strict=True)):
                if abs(total) < _CANCELLED * size and variance > 0.0:
                    raise rejection(
                        workspace,
                        ("channels",),
                        f"the yields of the samples that share the staterror {show(name)} cancel "
                        f"in bin {b} of channel {show(channel)}: absolute ones add up to {size:g}, "
                        f"signed ones to {total:g}, to which no uncertainty is relative; expected "
                        "a sum that is not 0, or a staterror of another name for samples with "
                        "negative yields",
                    )


class _Sums(NamedTuple):
    """Sums over the samples of a channel that share a staterror, per bin."""

    nominal: list[float]
    size: list[float]  # of absolute yields
    variance: list[float]  # of squared uncertainties


class _Walk:
    """Gathers modifiers sample by sample; plain lists, because models have 10,000 of them."""

    def __init__(self) -> None:
        self.n_samples = 0
        self.nominal: list[float] = []
        self.norm: tuple[list[str], list[int], list[float], list[float]] = ([], [], [], [])
        self.histo: tuple[list[str], list[int], list[float], list[float]] = ([], [], [], [])
        self.factor: tuple[list[str], list[int]] = ([], [])
        self.binwise: list[tuple[str, str, int]] = []  # name, channel, sample
        self.order: dict[type, dict[str, ParameterSet | None]] = defaultdict(dict)
        self.stat: dict[str, dict[str, _Sums]] = defaultdict(dict)  # by staterror and channel

    def add(self, channel: Channel, sample: Sample) -> None:
        s = self.n_samples
        self.n_samples += 1
        self.nominal.extend(sample.data)
        norm_names, norm_samples, norm_lo, norm_hi = self.norm
        histo_names, histo_samples, histo_lo, histo_hi = self.histo
        order = self.order
        new: list[tuple[str, type, ParameterSet | None]] = []
        for modifier in sample.modifiers:
            kind = type(modifier)
            name = modifier.name
            if kind is NormSys:
                norm_names.append(name)
                norm_samples.append(s)
                norm_lo.append(modifier.data.lo)  # type: ignore[union-attr]
                norm_hi.append(modifier.data.hi)  # type: ignore[union-attr]
            elif kind is HistoSys:
                histo_names.append(name)
                histo_samples.append(s)
                histo_lo.extend(modifier.data.lo_data)  # type: ignore[union-attr]
                histo_hi.extend(modifier.data.hi_data)  # type: ignore[union-attr]
            elif kind is NormFactor or kind is Lumi:
                self.factor[0].append(name)
                self.factor[1].append(s)
            else:
                self.binwise.append((name, channel.name, s))
                if isinstance(modifier, StatError):
                    self._add_staterror(modifier, channel.name, sample)
            if name not in order[kind]:
                made = (
                    _per_bin_set(modifier, sample)
                    if isinstance(modifier, ShapeSys | ShapeFactor)
                    else None
                )
                new.append((name, kind, made))
        for name, kind, made in sorted(new, key=lambda item: item[0]):
            order[kind][name] = made

    def _add_staterror(self, modifier: StatError, channel: str, sample: Sample) -> None:
        of_name = self.stat[modifier.name]
        if channel not in of_name:
            of_name[channel] = _Sums(*([0.0] * len(sample.data) for _ in range(3)))
        nominal, size, variance = of_name[channel]
        for b, (expected, uncertainty) in enumerate(zip(sample.data, modifier.data, strict=True)):
            nominal[b] += expected
            size[b] += abs(expected)
            variance[b] += uncertainty * uncertainty

    def parameter_sets(self) -> list[ParameterSet]:
        """Parameter sets in pyhf's order, with their defaults."""
        sets: dict[str, ParameterSet] = {}
        for name in self.order[HistoSys]:
            both = "histosys+normsys" if name in self.order[NormSys] else "histosys"
            sets[name] = _alpha(name, both)
        for name in self.order[Lumi]:
            sets[name] = ParameterSet(name, "lumi", True, "gaussian", [], [], [False])
        for name in self.order[NormFactor]:
            sets[name] = ParameterSet(
                name, "normfactor", True, "none", [1.0], [_FACTOR_BOUNDS], [False]
            )
        for name in self.order[NormSys]:
            if name not in sets:
                sets[name] = _alpha(name, "normsys")
        for kind in (ShapeFactor, ShapeSys):
            for name, made in self.order[kind].items():
                assert made is not None
                sets[name] = made
        for name in sorted(self.stat):
            sets[name] = _staterror(name, self.stat[name])
        return list(sets.values())

    def arrays(self, channels: list[Channel], sets: list[ParameterSet]) -> Arrays:
        """Arguments of the numeric model; see ModelSpec in cpp/model/model.h."""
        first: dict[str, int] = {}
        n_params = 0
        for parameter_set in sets:
            first[parameter_set.name] = n_params
            n_params += len(parameter_set)
        # Where each channel's bins start within a staterror that spans channels.
        start = {
            (name, channel): first[name] + offset
            for name, per_channel in self.stat.items()
            for channel, offset in _offsets(per_channel).items()
        }
        ints, floats = np.int32, np.float64
        return {
            "channel_bins": np.array([len(c.samples[0].data) for c in channels], ints),
            "channel_samples": np.array([len(c.samples) for c in channels], ints),
            "nominal": np.array(self.nominal, floats),
            "norm_param": np.array([first[name] for name in self.norm[0]], ints),
            "norm_sample": np.array(self.norm[1], ints),
            "norm_lo": np.array(self.norm[2], floats),
            "norm_hi": np.array(self.norm[3], floats),
            "histo_param": np.array([first[name] for name in self.histo[0]], ints),
            "histo_sample": np.array(self.histo[1], ints),
            "histo_lo": np.array(self.histo[2], floats),
            "histo_hi": np.array(self.histo[3], floats),
            "factor_param": np.array([first[name] for name in self.factor[0]], ints),
            "factor_sample": np.array(self.factor[1], ints),
            "binwise_first": np.array(
                [start.get((name, channel), first[name]) for name, channel, _ in self.binwise], ints
            ),
            "binwise_sample": np.array([s for _, _, s in self.binwise], ints),
            "constraint": np.array(
                [_CODES[s.constraint] for s in sets for _ in range(len(s))], ints
            ),
            "constraint_scale": np.array(
                [x for s in sets for x in (s.scale or [0.0] * len(s))], floats
            ),
        }


def _offsets(per_channel: dict[str, _Sums]) -> dict[str, int]:
    offsets = {}
    total = 0
    for channel, sums in per_channel.items():
        offsets[channel] = total
        total += len(sums.nominal)
    return offsets


def _alpha(name: str, kind: str) -> ParameterSet:
    return ParameterSet(name, kind, True, "gaussian", [0.0], [_ALPHA_BOUNDS], [False], [0.0], [1.0])


def _per_bin_set(modifier: ShapeSys | ShapeFactor, sample: Sample) -> ParameterSet:
    n = len(sample.data)
    if isinstance(modifier, ShapeFactor):
        return ParameterSet(
            modifier.name,
            "shapefactor",
            False,
            "none",
            [1.0] * n,
            [_FACTOR_BOUNDS] * n,
            [False] * n,
        )
    acts = [y != 0 and u > 0 for y, u in zip(sample.data, modifier.data, strict=True)]
    tau = [
        (y / u) * (y / u) if a else 1.0
        for a, y, u in zip(acts, sample.data, modifier.data, strict=True)
    ]
    return ParameterSet(
        modifier.name,
        "shapesys",
        False,
        "poisson",
        [1.0] * n,
        [_GAMMA_BOUNDS] * n,
        [not a for a in acts],
        list(tau),
        tau,
        list(modifier.data),
    )


def _staterror(name: str, per_channel: dict[str, _Sums]) -> ParameterSet:
    uncertainty = [math.sqrt(v) for sums in per_channel.values() for v in sums.variance]
    nominal = [y for sums in per_channel.values() for y in sums.nominal]
    relative = [u / abs(y) if y else 0.0 for y, u in zip(nominal, uncertainty, strict=True)]
    n = len(relative)
    return ParameterSet(
        name,
        "staterror",
        False,
        "gaussian",
        [1.0] * n,
        [_GAMMA_BOUNDS] * n,
        [r == 0.0 for r in relative],
        [1.0] * n,
        [r or 1.0 for r in relative],
        uncertainty,
    )
