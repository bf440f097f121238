"""From counts of events to templates and a workspace."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from nextstat._base.arrays import Vector
from nextstat._base.warnings import warn
from nextstat._text import printable_list
from nextstat.exceptions import WorkspaceWarning

Sides: TypeAlias = dict[tuple[str, str], tuple[str, ...]]

POI = "mu"
CHANNEL = "events"
STATERROR = f"staterror_{CHANNEL}"  # of the backgrounds
SIGNAL_STATERROR = "staterror_signal"
RESERVED = (POI, STATERROR, SIGNAL_STATERROR)


@dataclass(frozen=True)
class Templates:
    """Expected events of every sample, nominal and varied.

    Attributes
    ----------
    samples : tuple of str
    is_signal : (n_samples,) ndarray of bool
    nominal, variance : (n_samples, n_bins) ndarray
        Expected events, and their variance from the number of simulated ones.
    varied : dict of str to dict of int to (2, n_bins) ndarray
        Of each systematic, for each sample it changes (by its index): expected events up, down.
    sides : dict of (str, str) to tuple of str
        Of each systematic and sample, which of "up" and "down" there were events for.
    one_event : float
        Background that a bin needs at least: what an average simulated event stands for where
        kernels spread events out, else 0.
    """

    samples: tuple[str, ...]
    is_signal: npt.NDArray[np.bool_]
    nominal: Vector
    variance: Vector
    varied: dict[str, dict[int, Vector]]
    sides: Sides
    one_event: float

    @property
    def signal(self) -> Vector:
        """Expected signal, (n_bins,)."""
        total: Vector = self.nominal[self.is_signal].sum(axis=0)
        return total

    @property
    def background(self) -> Vector:
        """Sum of the backgrounds, (n_bins,)."""
        total: Vector = self.nominal[~self.is_signal].sum(axis=0)
        return total

    @property
    def background_variance(self) -> Vector:
        """Variance of `background`, (n_bins,)."""
        total: Vector = self.variance[~self.is_signal].sum(axis=0)
        return total

    def unsupported(self) -> npt.NDArray[np.bool_]:
        """Bins whose background is not known to be positive, (n_bins,).

        Nominal or with any one of the variations it is zero or less; or it is smaller than its
        uncertainty from simulation, as where weights cancel; or than one simulated event.
        """
        background, variance = self.background, self.background_variance
        bad = (background <= 0.0) | (background < self.one_event)
        bad |= variance > (1.0 + 1e-9) * background**2
        for of_sample in self.varied.values():
            for side in (0, 1):
                backgrounds = ((k, x) for k, x in of_sample.items() if not self.is_signal[k])
                shift = [x[side] - self.nominal[k] for k, x in backgrounds]
                bad |= background + np.sum(shift, axis=0) <= 1e-9 * background
        return bad

    def merged(self, edges: Vector) -> tuple[Templates, Vector]:
        """With each unsupported bin joined to the neighbour that expects less background.

        Returns
        -------
        Templates
        (n_bins + 1,) ndarray
            The edges that are left of `edges`.

        Raises
        ------
        ValueError
            If no background or no signal is expected in any bin.
        """
        for what, content in (("background", self.background), ("signal", self.signal)):
            if not content.sum() > 0.0:
                raise ValueError(
                    f"{content.sum():g} {what} events are expected between {edges[0]:g} and "
                    f"{edges[-1]:g}, expected more than 0: check lo, hi and the weights"
                )
        templates, first = self, np.arange(len(edges) - 1)
        while len(first) > 1 and (bad := templates.unsupported()).any():
            background = templates.background
            k = int(np.where(bad, background, np.inf).argmin())
            last = len(first) - 1
            to_left = k == last or (k > 0 and background[k - 1] <= background[k + 1])
            kept = np.delete(np.arange(len(first)), k if to_left else k + 1)
            templates, first = templates.rebinned(kept), first[kept]
        return templates, np.concatenate([edges[first], edges[-1:]])

    def rebinned(self, first: npt.NDArray[np.intp]) -> Templates:
        """With bins merged; `first`: the first bin of each group of neighbours."""
        varied = {
            systematic: {k: np.add.reduceat(x, first, axis=1) for k, x in of_sample.items()}
            for systematic, of_sample in self.varied.items()
        }
        nominal, variance = (
            np.add.reduceat(x, first, axis=1) for x in (self.nominal, self.variance)
        )
        return replace(self, nominal=nominal, variance=variance, varied=varied)


def mirrored(nominal: Vector, shape: Vector, given: tuple[str, ...]) -> Vector:
    """Both sides of a systematic, (2, n_bins); where one is not given, it mirrors the other.

    The mirror image is 2 nominal - other, but not less than 0 where nominal is not.
    """
    if len(given) == 2:
        return shape
    other = shape[0] if given == ("up",) else shape[1]
    image = np.maximum(2.0 * nominal - other, np.minimum(nominal, 0.0))
    return np.stack([other, image] if given == ("up",) else [image, other])


def warn_of_merged(n_before: int, n_after: int) -> None:
    """Say how many bins were merged."""
    if n_after < n_before:
        warn(
            f"{n_before - n_after} of {n_before} bins have no reliably positive background and "
            f"were merged with a neighbour; {n_after} are left",
            WorkspaceWarning,
        )


def warn_of_ties(n_wanted: int, n_found: int) -> None:
    """Say that there are fewer different values than bins."""
    if n_found < n_wanted:
        warn(
            f"the observable has too few different values for {n_wanted} bins with equal numbers "
            f"of events: {n_found} {'is' if n_found == 1 else 'are'} left",
            WorkspaceWarning,
        )


def warn_of_mirrored(sides: Sides) -> None:
    """Say which systematics have one side only."""
    one_sided: dict[tuple[str, str], list[str]] = {}
    for (systematic, sample), given in sides.items():
        if len(given) == 1:
            one_sided.setdefault((systematic, given[0]), []).append(sample)
    for (systematic, side), samples in one_sided.items():
        other = "down" if side == "up" else "up"
        warn(
            f"systematic {systematic!r} has {side} but no {other} rows for "
            f"{printable_list(samples)}: {other} is taken as the mirror image of {side}",
            WorkspaceWarning,
        )


def make_workspace(
    templates: Templates,
    norm_systematics: Mapping[str, Mapping[int, tuple[float, float]]],
    *,
    staterror: bool,
    split_normalisation: bool,
) -> dict[str, Any]:
    """Workspace of one channel, whose observed events are those expected with the signal.

    Parameters
    ----------
    templates : Templates
    norm_systematics : mapping of str to mapping of int to (float, float)
        Of each, for each sample it changes: factors down, up.
    staterror : bool
        Give every bin an uncertainty from the number of simulated events: one common to the
        backgrounds, one of the signal, which says nothing of the backgrounds.
    split_normalisation : bool
        Make the effect of a systematic on the sum of the bins a normsys, and the rest a histosys
        of the same name.

    Returns
    -------
    dict
        In the pyhf JSON format.
    """
    samples = []
    for k, name in enumerate(templates.samples):
        modifiers: list[dict[str, Any]] = []
        if templates.is_signal[k]:
            modifiers.append({"name": POI, "type": "normfactor", "data": None})
        for systematic, factors in norm_systematics.items():
            if k in factors:
                modifiers.append(_normsys(systematic, *factors[k]))
        for systematic, varied in templates.varied.items():
            if k in varied:
                shape = varied[k]
                if split_normalisation:
                    if k in norm_systematics.get(systematic, {}):
                        raise ValueError(
                            f"{systematic!r} of {name!r} would have two normalisations: one of "
                            "norm_systematics and one split from its variations; rename one"
                        )
                    up, down = _factors(templates.nominal[k], shape, systematic, name)
                    modifiers.append(_normsys(systematic, down, up))
                    shape = shape / np.array([[up], [down]])
                modifiers.append(_histosys(systematic, shape))
        if staterror:
            spread = np.sqrt(templates.variance[k]).tolist()
            stat = SIGNAL_STATERROR if templates.is_signal[k] else STATERROR
            modifiers.append({"name": stat, "type": "staterror", "data": spread})
        samples.append(
            {"name": name, "data": templates.nominal[k].tolist(), "modifiers": modifiers}
        )
    expected = templates.nominal.sum(axis=0)
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
