"""Templates: expected events of every sample, nominal and varied."""

from __future__ import annotations

import heapq
from dataclasses import dataclass, replace
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from nextstat._base.arrays import Vector
from nextstat._base.text import printable_list
from nextstat._base.warnings import warn
from nextstat.exceptions import WorkspaceWarning

Sides: TypeAlias = dict[tuple[str, str], tuple[str, ...]]


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
        return _unsupported(self._backgrounds(), self.one_event)

    def _backgrounds(self) -> Vector:
        """Background, its variance, and the background with each variation, (n_bins, ...)."""
        background = self.background
        rows = [background, self.background_variance]
        for of_sample in self.varied.values():
            for side in (0, 1):
                backgrounds = ((k, x) for k, x in of_sample.items() if not self.is_signal[k])
                shift = [x[side] - self.nominal[k] for k, x in backgrounds]
                rows.append(background + np.sum(shift, axis=0))
        return np.stack(rows, axis=1)

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
        first = _supported_bins(self._backgrounds(), self.one_event)
        templates = self if len(first) == len(edges) - 1 else self.rebinned(first)
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


def _unsupported(bins: Vector, one_event: float) -> npt.NDArray[np.bool_]:
    """Which bins, (..., rows) as `_backgrounds` has them, may have no background, (...)."""
    background, variance, varied = bins[..., 0], bins[..., 1], bins[..., 2:]
    bad = (background <= 0.0) | (background < one_event)
    bad |= variance > (1.0 + 1e-9) * background**2
    found: npt.NDArray[np.bool_] = bad | (varied <= 1e-9 * background[..., None]).any(axis=-1)
    return found


def _supported_bins(bins: Vector, one_event: float) -> npt.NDArray[np.intp]:
    """First bin of each group of neighbours that together have background for sure.

    The unsupported bin that expects least goes first, to the neighbour that expects less. A heap
    knows which it is, so that a million bins take seconds.
    """
    n = len(bins)
    before, after = list(range(-1, n - 1)), list(range(1, n + 1))  # -1 and n: none
    bad = [bool(flag) for flag in _unsupported(bins, one_event)]
    empty = [not flag for flag in np.ravel(bins.any(axis=1))]  # joining such a bin changes nothing
    content = [float(yields) for yields in bins[:, 0]]
    changes = [0] * n  # -1 where merged away
    heap = [(content[k], k, 0) for k in range(n) if bad[k]]
    heapq.heapify(heap)
    while heap:
        _, k, change = heapq.heappop(heap)
        left, right = before[k], after[k]
        if change != changes[k] or (left < 0 and right == n):
            continue
        to_left = right == n or (left >= 0 and content[left] <= content[right])
        k, gone = (left, k) if to_left else (k, right)
        if not empty[gone]:
            bins[k] += bins[gone]
            content[k] = float(bins[k, 0])
            bad[k] = bad[gone] if empty[k] else bool(_unsupported(bins[k], one_event))
            empty[k] = False
        changes[k], changes[gone] = changes[k] + 1, -1
        after[k] = after[gone]
        if after[k] < n:
            before[after[k]] = k
        if bad[k]:
            heapq.heappush(heap, (content[k], k, changes[k]))
    return np.flatnonzero(np.array(changes) >= 0)


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
