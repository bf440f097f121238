"""Templates: expected events of every sample, nominal and varied."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from nextstat._base.arrays import Vector
from nextstat._base.warnings import warn
from nextstat._text import printable_list
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
