"""Workspaces of one channel, written from arrays: the names in them, and their systematics."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from nextstat._base.arrays import Vector
from nextstat._base.messages import show, suggestion
from nextstat._base.warnings import warn
from nextstat.exceptions import WorkspaceWarning

POI = "mu"
CHANNEL = "events"
STATERROR = f"staterror_{CHANNEL}"  # of the backgrounds
SIGNAL_STATERROR = "staterror_signal"
RESERVED = (POI, STATERROR, SIGNAL_STATERROR)


def make_workspace(
    names: Sequence[str],
    is_signal: npt.NDArray[np.bool_],
    nominal: Vector,
    varied: Mapping[str, Mapping[int, Vector]],
    norm_systematics: Mapping[str, Mapping[int, tuple[float, float]]],
    *,
    variance: Vector | None = None,
    split_normalisation: bool = False,
) -> dict[str, Any]:
    """Workspace of one channel, whose observed events are those expected with the signal.

    Parameters
    ----------
    names : sequence of str
        Of the samples.
    is_signal : (n_samples,) ndarray of bool
    nominal : (n_samples, n_bins) ndarray
        Expected events.
    varied : mapping of str to mapping of int to (2, n_bins) ndarray
        Of each systematic, for each sample it changes (by its index): expected events up, down.
    norm_systematics : mapping of str to mapping of int to (float, float)
        Of each, for each sample it changes: factors down, up.
    variance : (n_samples, n_bins) ndarray, optional
        Of the expected events, from the number of simulated ones. With it, every bin has an
        uncertainty common to the backgrounds, and one of the signal, which says nothing of the
        backgrounds.
    split_normalisation : bool
        Make the effect of a systematic on the sum of the bins a normsys, and the rest a histosys
        of the same name.

    Returns
    -------
    dict
        In the pyhf JSON format.

    Raises
    ------
    ValueError
        If a normalisation that is split off is not positive, or there is another of its name.
    """
    samples = []
    for k, name in enumerate(names):
        modifiers: list[dict[str, Any]] = []
        if is_signal[k]:
            modifiers.append({"name": POI, "type": "normfactor", "data": None})
        for systematic, factors in norm_systematics.items():
            if k in factors:
                modifiers.append(_normsys(systematic, *factors[k]))
        for systematic, changed in varied.items():
            if k in changed:
                shape = changed[k]
                if split_normalisation:
                    if k in norm_systematics.get(systematic, {}):
                        raise ValueError(
                            f"{systematic!r} of {name!r} would have two normalisations: one of "
                            "norm_systematics and one split from its variations; rename one"
                        )
                    up, down = _factors(nominal[k], shape, systematic, name)
                    modifiers.append(_normsys(systematic, down, up))
                    shape = shape / np.array([[up], [down]])
                modifiers.append(_histosys(systematic, shape))
        if variance is not None:
            spread = np.sqrt(variance[k]).tolist()
            stat = SIGNAL_STATERROR if is_signal[k] else STATERROR
            modifiers.append({"name": stat, "type": "staterror", "data": spread})
        samples.append({"name": name, "data": nominal[k].tolist(), "modifiers": modifiers})
    expected = nominal.sum(axis=0)
    return {
        "channels": [{"name": CHANNEL, "samples": samples}],
        "observations": [{"name": CHANNEL, "data": expected.tolist()}],
        "measurements": [
            {"name": "measurement", "config": {"poi": POI, "parameters": []}},
        ],
        "version": "1.0.0",
    }


def _normsys(name: str, down: float, up: float) -> dict[str, Any]:
    return {"name": name, "type": "normsys", "data": {"hi": float(up), "lo": float(down)}}


def _histosys(name: str, shape: Vector) -> dict[str, Any]:
    data = {"hi_data": shape[0].tolist(), "lo_data": shape[1].tolist()}
    return {"name": name, "type": "histosys", "data": data}


def _factors(nominal: Vector, shape: Vector, systematic: str, sample: str) -> tuple[float, float]:
    """Sums of both sides over the nominal sum: up, down."""
    total = nominal.sum()
    up, down = (float(side.sum() / total) if total else 1.0 for side in shape)
    if not (up > 0.0 and down > 0.0):
        raise ValueError(
            f"systematic {systematic!r} scales {sample!r} by {up:g} up and {down:g} down; both "
            "must be positive to make its normalisation a normsys"
        )
    return up, down


def find_norm_systematics(
    norm_systematics: Mapping[str, Any] | None, labels: npt.NDArray[Any]
) -> dict[str, dict[int, tuple[float, float]]]:
    """Factors down and up, by systematic and by index of the label.

    Raises
    ------
    ValueError
        If a label is unknown, a name reserved or a size impossible.
    """
    if norm_systematics is None:
        return {}
    if not isinstance(norm_systematics, Mapping):
        raise TypeError(
            f"norm_systematics is {norm_systematics!r}, expected a mapping of names to sizes"
        )
    names = labels.tolist()
    found: dict[str, dict[int, tuple[float, float]]] = {}
    for systematic, sizes in norm_systematics.items():
        check_name(systematic, "norm_systematics")
        if not isinstance(sizes, Mapping):
            sizes = dict.fromkeys(names, sizes)
        for label, size in sizes.items():
            where = f"norm_systematics[{systematic!r}]"
            if label not in names:
                words = [str(name) for name in names]
                hint = "" if str(label) in words else suggestion(str(label), words)
                raise ValueError(
                    f"{where} names label {label!r}{hint}, expected one of those of y, {names}"
                )
            factors = _read_factors(size, f"{where}[{label!r}]")
            found.setdefault(systematic, {})[names.index(label)] = factors
    return found


def check_name(systematic: object, where: str) -> None:
    """Raise ValueError for names that other parameters of the model have."""
    if not isinstance(systematic, str) or not systematic:
        raise ValueError(f"{where} has the key {show(systematic)}, expected a name")
    if systematic in RESERVED:
        raise ValueError(f"{where}: {systematic!r} is the name of another parameter; choose one")


def _read_factors(size: Any, where: str) -> tuple[float, float]:
    expected = "expected a relative uncertainty between 0 and 1 (0.06: 6 %) or factors (down, up)"
    try:
        down, up = (1.0 - size, 1.0 + size) if np.ndim(size) == 0 else size
        factors = float(down), float(up)
    except (TypeError, ValueError):
        raise ValueError(f"{where} is {size!r}, {expected}") from None
    if not all(0.0 < factor < np.inf for factor in factors) or (np.ndim(size) == 0 and size <= 0):
        raise ValueError(f"{where} is {size!r}, {expected} that are positive")
    if (down - 1.0) * (up - 1.0) > 0.0:
        warn(
            f"{where} is {size!r}: as factors, both are on one side of 1",
            WorkspaceWarning,
        )
    return factors
