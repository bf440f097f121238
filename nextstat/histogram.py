"""Histograms of weighted events."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from nextstat import _histogram

Vector = npt.NDArray[np.float64]


def fill_histogram(
    x: npt.ArrayLike, edges: npt.ArrayLike, weights: npt.ArrayLike | None = None
) -> tuple[Vector, Vector]:
    """Fill events into bins.

    Parameters
    ----------
    x : (n_events,) array_like
        Observable of each event; float32 and float64 are read in place.
    edges : (n_bins + 1,) array_like
        Increasing bin edges. Bins include their lower edge, the last one its upper edge too, as in
        `numpy.histogram`.
    weights : (n_events,) array_like, optional
        Event weights; 1 by default.

    Returns
    -------
    yields : (n_bins,) ndarray
        Sum of the weights in each bin. Events outside the range are not counted.
    variances : (n_bins,) ndarray
        Sum of the squared weights.

    Raises
    ------
    ValueError
        If the edges do not increase or are not finite, shapes do not match, or an observable or
        weight is NaN.
    """
    events = np.asarray(x)
    if events.dtype not in (np.float32, np.float64):
        events = events.astype(np.float64)
    events = np.ascontiguousarray(events)
    bounds = np.ascontiguousarray(edges, dtype=np.float64)
    if bounds.ndim != 1 or len(bounds) < 2:
        raise ValueError(f"edges has shape {bounds.shape}, expected at least two edges")
    if not (np.all(np.isfinite(bounds)) and np.all(bounds[1:] > bounds[:-1])):
        raise ValueError("edges must be finite and increase")
    if events.ndim != 1:
        raise ValueError(f"x has shape {events.shape}, expected (n_events,)")
    weight = np.empty(0) if weights is None else np.ascontiguousarray(weights, dtype=np.float64)
    if weights is not None and weight.shape != events.shape:
        raise ValueError(f"weights has shape {weight.shape}, expected {events.shape}")
    for name, values in (("x", events), ("weights", weight)):
        if np.isnan(values).any():
            raise ValueError(f"{name} is NaN for {np.count_nonzero(np.isnan(values))} events")
    uniform = _equally_wide(bounds)
    yields, variances = _histogram.fill(events, weight, bounds, uniform)
    return yields, variances


def _equally_wide(edges: Vector) -> bool:
    """Whether all bins have the same width, and one the arithmetic of widths can handle."""
    with np.errstate(over="ignore"):
        span, widths = edges[-1] - edges[0], np.diff(edges)
    return bool(1e-300 < span < 1e300 and np.allclose(widths, widths[0], rtol=1e-9, atol=0.0))
