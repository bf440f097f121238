"""Models of one channel from tensors: what they are made of, and by which names."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, NamedTuple, TypeAlias

import numpy as np
from torch import Tensor

from nextstat._base.messages import unknown
from nextstat._base.warnings import warn
from nextstat._gradients.templates import BindableTemplates
from nextstat._model.histfactory import from_pyhf
from nextstat.exceptions import WorkspaceWarning
from nextstat.torch._statistics.evaluate import Array, to_array
from nextstat.workspace._single_channel import check_name, find_norm_systematics

Background: TypeAlias = "Tensor | Mapping[str, Tensor]"
Pair: TypeAlias = "tuple[Tensor, Tensor | None]"
Pairs: TypeAlias = "Pair | Mapping[str, Pair]"

CHANNEL, SIGNAL, BACKGROUND = "channel", "signal", "background"
STATERROR = {True: "staterror_signal", False: "staterror"}


class Structure(NamedTuple):
    """What a model is made of, without numbers.

    Attributes
    ----------
    n_bins : int
    samples : tuple of str
        Signal first.
    histosys, normsys : tuple of (name, sample), of (name, sample, down, up)
    staterror : tuple of str
        Samples whose simulated events are limited.
    interpolation : (str, str)
    """

    n_bins: int
    samples: tuple[str, ...]
    histosys: tuple[tuple[str, str], ...]
    normsys: tuple[tuple[str, str, float, float], ...]
    staterror: tuple[str, ...]
    interpolation: tuple[str, str]


@dataclass(frozen=True)
class Histograms:
    """Tensors that a model of one channel is made of.

    Attributes
    ----------
    structure : Structure
    tensors : dict of str to Tensor
        By the names of the templates.
    """

    structure: Structure
    tensors: dict[str, Tensor]

    def templates(self) -> BindableTemplates:
        """Those of a model of this structure; its numbers stand for those of the tensors."""
        return _templates(self.structure)

    def workspace(self) -> dict[str, Any]:
        """A workspace with these numbers, and their sum as observations.

        Raises
        ------
        ValueError
            If the tensors are a batch.
        """
        numbers = {name: to_array(tensor) for name, tensor in self.tensors.items()}
        shape = max((array.shape for array in numbers.values()), key=len)
        if len(shape) > 1:
            raise ValueError(
                f"the histograms are a batch of shape {shape[:-1]}, expected those of one model: "
                "make a layer of one element"
            )
        return _workspace(self.structure, numbers)


def collect(
    signal: Tensor,
    background: Background,
    variations: Mapping[str, Pairs] | None,
    norm_systematics: Mapping[str, object] | None,
    staterror: Tensor | Mapping[str, Tensor] | None,
    interpolation: tuple[str, str],
) -> Histograms:
    """The structure of a model, and its tensors by the names of the templates.

    Raises
    ------
    TypeError, ValueError
        See `HistFactoryLayer.from_histograms`.
    """
    backgrounds = background if isinstance(background, Mapping) else {BACKGROUND: background}
    if not backgrounds or SIGNAL in backgrounds:
        raise ValueError(
            f"background is {list(backgrounds)}, expected at least one sample, none called 'signal'"
        )
    samples = {SIGNAL: signal, **backgrounds}
    n_bins = _n_bins(SIGNAL, signal)
    tensors = {f"{CHANNEL}/{name}": tensor for name, tensor in samples.items()}
    histosys = []
    for name, pairs in (variations or {}).items():
        check_name(name, "variations")
        for sample, (up, down) in _by_sample(name, pairs, samples).items():
            histosys.append((name, sample))
            path = f"{CHANNEL}/{sample}/histosys/{name}"
            tensors[f"{path}/hi"], tensors[f"{path}/lo"] = up, down
    variances = _variances(staterror, samples)
    tensors |= {f"{CHANNEL}/staterror/{name}": tensor for name, (_, tensor) in variances.items()}
    for name, tensor in tensors.items():
        if (n := _n_bins(name, tensor)) != n_bins:
            raise ValueError(f"{name!r} has {n} bins, expected {n_bins} as signal")
    _refuse_tensors(norm_systematics)
    names = np.array(list(samples))
    found = find_norm_systematics(norm_systematics, names)
    normsys = tuple(
        (name, str(names[i]), *factors)
        for name, sizes in found.items()
        for i, factors in sizes.items()
    )
    limited = tuple(sample for users, _ in variances.values() for sample in users)
    norm_code, histo_code = interpolation
    structure = Structure(
        n_bins, tuple(samples), tuple(histosys), normsys, limited, (norm_code, histo_code)
    )
    return Histograms(structure, tensors)


def _refuse_tensors(norm_systematics: Mapping[str, object] | None) -> None:
    """Raise TypeError for sizes that are tensors, whose derivatives would be lost."""
    for name, sizes in (norm_systematics or {}).items():
        values = list(sizes.values()) if isinstance(sizes, Mapping) else [sizes]
        flat = [x for value in values for x in (value if isinstance(value, tuple) else (value,))]
        if any(isinstance(x, Tensor) for x in flat):
            raise TypeError(
                f"norm_systematics[{name!r}] holds a tensor, expected numbers; to differentiate in "
                "factors, use HistFactoryLayer(model) and the templates '.../normsys/...'"
            )


def _n_bins(name: str, tensor: object) -> int:
    if not isinstance(tensor, Tensor):
        found = type(tensor).__name__
        raise TypeError(f"{name!r} is a {found}, expected a histogram as a torch tensor")
    if tensor.ndim == 0 or tensor.shape[-1] == 0:
        raise ValueError(f"{name!r} has shape {tuple(tensor.shape)}, expected (..., n_bins)")
    return tensor.shape[-1]


def _by_sample(
    name: str, pairs: Pairs, samples: Mapping[str, Tensor]
) -> dict[str, tuple[Tensor, Tensor]]:
    """Up and down variation of each sample that has them."""
    where = f"variations[{name!r}]"
    if not isinstance(pairs, Mapping):
        if len(samples) > 2:
            raise ValueError(f"{where}: of which sample? pass a mapping of samples to (up, down)")
        pairs = {list(samples)[1]: pairs}
    found = {}
    for sample, pair in pairs.items():
        if sample not in samples:
            raise ValueError(f"{where}: {unknown('sample', str(sample), list(samples))}")
        if not isinstance(pair, tuple | list) or len(pair) != 2:
            raise ValueError(f"{where} is of type {type(pair).__name__}, expected (up, down)")
        up, down = pair
        if down is None:
            warn(
                f"{where} of {sample!r} is one-sided; down is taken as the mirror image of up",
                WorkspaceWarning,
            )
            down = 2.0 * samples[sample] - up
        found[sample] = up, down
    return found


def _variances(
    staterror: Tensor | Mapping[str, Tensor] | None, samples: Mapping[str, Tensor]
) -> dict[str, tuple[tuple[str, ...], Tensor]]:
    """Samples that share a staterror, and their summed variances, by its name."""
    if staterror is None:
        return {}
    if not isinstance(staterror, Mapping):
        return {STATERROR[False]: (tuple(samples)[1:], staterror)}
    found: dict[str, tuple[tuple[str, ...], Tensor]] = {}
    for sample, variance in staterror.items():
        if sample not in samples:
            raise ValueError(f"staterror: {unknown('sample', str(sample), list(samples))}")
        _n_bins(f"staterror of {sample}", variance)
        name = STATERROR[sample == SIGNAL]
        users, total = found.get(name, ((), 0.0))
        found[name] = (*users, sample), total + variance
    return found


@lru_cache(maxsize=64)
def _templates(structure: Structure) -> BindableTemplates:
    ones = _workspace(structure, None)
    return BindableTemplates(from_pyhf(ones, interpolation=structure.interpolation))


def _workspace(structure: Structure, numbers: Mapping[str, Array] | None) -> dict[str, Any]:
    """In the pyhf format; without numbers, with ones in their place."""

    def values(name: str) -> list[float]:
        found = np.ones(structure.n_bins) if numbers is None else numbers[f"{CHANNEL}/{name}"]
        return [float(x) for x in found]

    modifiers: dict[str, list[dict[str, Any]]] = {name: [] for name in structure.samples}
    modifiers[SIGNAL].append({"name": "mu", "type": "normfactor", "data": None})
    for name, sample in structure.histosys:
        path = f"{sample}/histosys/{name}"
        data: Any = {"hi_data": values(f"{path}/hi"), "lo_data": values(f"{path}/lo")}
        modifiers[sample].append({"name": name, "type": "histosys", "data": data})
    for name, sample, down, up in structure.normsys:
        data = {"hi": up, "lo": down}
        modifiers[sample].append({"name": name, "type": "normsys", "data": data})
    seen = set()
    for sample in structure.staterror:
        name = STATERROR[sample == SIGNAL]
        variances = values(f"staterror/{name}")
        if min(variances) < 0.0:
            raise ValueError(f"{name!r} is negative: {min(variances):g}, expected variances")
        # the samples' squared errors are added up: the first one gets them all
        errors = [0.0 if name in seen else math.sqrt(x) for x in variances]
        seen.add(name)
        modifiers[sample].append({"name": name, "type": "staterror", "data": errors})
    yields = {name: values(name) for name in structure.samples}
    samples = [
        {"name": name, "data": data, "modifiers": modifiers[name]} for name, data in yields.items()
    ]
    total = np.maximum(np.sum(list(yields.values()), axis=0), 0.0)
    return {
        "channels": [{"name": CHANNEL, "samples": samples}],
        "observations": [{"name": CHANNEL, "data": total.tolist()}],
        "measurements": [{"name": "measurement", "config": {"poi": "mu", "parameters": []}}],
        "version": "1.0.0",
    }
