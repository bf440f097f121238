"""Sums over labelled events: counts in bins, or what kernels put there."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from nextstat._base.arrays import Vector
from nextstat._events.table import Events
from nextstat.histogram import fill_histogram, smooth_histogram


@dataclass(frozen=True)
class Smoothing:
    """Kernel-density estimates in place of counts.

    Attributes
    ----------
    mode : {"kde", "sigmoid"}
    bandwidth : (n_labels,) ndarray
        In units of the observable.
    """

    mode: Literal["kde", "sigmoid"]
    bandwidth: Vector


@dataclass(frozen=True)
class Sums:
    """Sums over the rows of each label and variation, and of each part where there are parts.

    Attributes
    ----------
    yields, variances : (n_labels, n_variations, 1 + n_bins + 1) ndarray
        Of weights, and of their squares; the outermost bins hold what lies beyond the edges.
    squares : (n_labels, n_variations) ndarray
        Of the squares of weights, wherever the rows are.
    """

    yields: Vector
    variances: Vector
    squares: Vector

    def over(self, parts: Any) -> Sums:
        """Sums over some of the parts, which are the first axis; `parts` indexes it."""
        return Sums(*(x[parts].sum(axis=0) for x in (self.yields, self.variances, self.squares)))


def sum_events(
    events: Events,
    edges: Vector,
    smoothing: Smoothing | None,
    part: npt.NDArray[np.int32] | None = None,
    n_parts: int = 1,
) -> Sums:
    """Sums in one pass over the events; of each `part` of the rows by itself, if there are any.

    Parameters
    ----------
    events : Events
    edges : (n_bins + 1,) ndarray
    smoothing : Smoothing or None
    part : (n_rows,) int32 ndarray, optional
        From 0 to n_parts - 1.
    n_parts : int
    """
    shape: tuple[int, ...] = (len(events.labels), events.n_variations)
    group, n_groups = events.group, shape[0] * shape[1]
    if part is not None:
        group, shape = group + n_groups * part, (n_parts, *shape)
        n_groups *= n_parts
    options: dict[str, Any] = {"groups": group, "n_groups": n_groups}
    if smoothing is None:
        last = np.nextafter(edges[-1], np.inf)  # which the last bin includes
        open_edges = np.concatenate([[-np.inf], edges[:-1], [last, np.inf]])
        yields, variances = fill_histogram(events.x, open_edges, events.weight, **options)
        squares = variances.sum(axis=1)
    else:
        _, squares = fill_histogram(events.x, [-np.inf, np.inf], events.weight, **options)
        # With overflow kept, it does not matter where the outermost edges are.
        width = edges[-1] - edges[0]
        open_edges = np.concatenate([[edges[0] - width], edges, [edges[-1] + width]])
        options |= {"bandwidth": smoothing.bandwidth[events.label], "mode": smoothing.mode}
        yields, variances = smooth_histogram(
            events.x, open_edges, events.weight, overflow="keep", **options
        )
    of_bins = (*shape, len(edges) + 1)
    return Sums(yields.reshape(of_bins), variances.reshape(of_bins), squares.reshape(shape))


def find_smoothing(
    mode: Literal["kde", "sigmoid"] | None, bandwidth: float | Literal["scott"], nominal: Events
) -> Smoothing | None:
    """Kernels as asked for.

    Scott's rule is sigma n^(-1/5) (D. W. Scott, "Multivariate Density Estimation", 1992), with
    the effective number of events (sum w)^2 / sum w^2.
    """
    if mode is None:
        return None
    n_labels = len(nominal.labels)
    if not isinstance(bandwidth, str):
        return Smoothing(mode, np.full(n_labels, float(bandwidth)))
    weight = np.ones(len(nominal.x)) if nominal.weight is None else nominal.weight.astype(float)
    totals = np.bincount(nominal.label, weight, n_labels)
    number = totals**2 / np.bincount(nominal.label, weight**2, n_labels)
    mean = np.bincount(nominal.label, weight * nominal.x, n_labels) / totals
    distance = nominal.x - mean[nominal.label]
    unit = float(np.abs(distance).max()) or 1.0  # squares neither overflow nor vanish
    square = np.bincount(nominal.label, weight * (distance / unit) ** 2, n_labels) / totals
    spread = unit * np.sqrt(np.maximum(square, 0.0))
    width = spread * number**-0.2
    for label, h in zip(nominal.labels.tolist(), width, strict=True):
        if not h > 0.0:
            raise ValueError(
                f"label {label!r} has no spread from which to take a bandwidth; pass a number"
            )
    return Smoothing(mode, width)
