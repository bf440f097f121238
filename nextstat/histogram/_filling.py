"""Histograms of weighted events, each counted in one bin."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

import nextstat.histogram._fill as _histogram
from nextstat._base.arrays import Vector
from nextstat._execution.threads import threads_for
from nextstat.histogram._columns import (
    NONE,
    Overflow,
    as_column,
    as_groups,
    check_codes,
    check_edges,
    check_no_nan,
    finite_edges,
    split,
)


def fill_histogram(
    x: npt.ArrayLike,
    edges: npt.ArrayLike,
    weights: npt.ArrayLike | None = None,
    *,
    groups: npt.ArrayLike | None = None,
    n_groups: int | None = None,
    overflow: Overflow = "drop",
) -> tuple[Vector, Vector]:
    """Fill events into bins, and into the histograms of several groups at once.

    Parameters
    ----------
    x : (n_events,) array_like
        Observable of each event; float32 and float64 are read in place, with any stride.
    edges : (n_bins + 1,) array_like
        Increasing bin edges. Bins include their lower edge, the last one its upper edge too, as in
        `numpy.histogram`. The outer two may be infinite.
    weights : (n_events,) array_like, optional
        Event weights; 1 by default. float32 and float64 are read in place. An event of weight 0 is
        as absent: its observable may be NaN.
    groups : (n_events,) array_like of int, optional
        Which histogram each event belongs to, from 0 to n_groups - 1: a sample, or a systematic
        variation of one. int32 is read in place.
    n_groups : int, optional
        Number of groups; by default that of the highest code.
    overflow : {"drop", "keep"}
        Whether events outside the range are not counted, or counted in the first and last bin.

    Returns
    -------
    yields : (n_bins,) ndarray, or (n_groups, n_bins) where there are groups
        Sum of the weights in each bin. It does not depend on the number of threads.
    variances : ndarray of the same shape
        Sum of the squared weights.

    Raises
    ------
    TypeError
        If `groups` are no integers.
    ValueError
        If the edges do not increase or inner ones are not finite, shapes do not match, an
        observable or weight is NaN, or a group is out of range.
    """
    bounds = check_edges(edges)
    events = as_column(x, "x")
    n_events = len(events)
    weight = NONE if weights is None else as_column(weights, "weights", n_events)
    codes, n_histograms = as_groups(groups, n_groups, n_events)
    thresholds, bins = finite_edges(bounds, overflow)
    if bins.stop == len(thresholds):  # no open last bin: it includes its upper edge
        thresholds = np.append(thresholds[:-1], np.nextafter(thresholds[-1], np.inf))
    sums, valid = _histogram.fill(
        events, weight, codes, _histogram.Bins(thresholds), n_histograms, threads_for(n_events)
    )
    if not valid:
        if len(rows := np.flatnonzero(weight)) < len(weight):
            chosen = None if groups is None else codes[rows]
            options: dict[str, Any] = {"n_groups": n_groups, "overflow": overflow}
            return fill_histogram(events[rows], edges, weight[rows], groups=chosen, **options)
        check_no_nan(x=events, weights=weight)
        check_codes(codes, n_histograms)
    return split(sums[:, bins], groups)
