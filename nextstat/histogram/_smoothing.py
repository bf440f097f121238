"""Smoothed histograms, differentiable in everything they are made of."""

from __future__ import annotations

import math
from functools import cache
from typing import Any, Literal, NamedTuple

import numpy as np
import numpy.typing as npt

import nextstat.histogram._smooth as _soft_histogram
from nextstat._base.arrays import Vector
from nextstat._execution.threads import threads_for
from nextstat.histogram._columns import (
    NONE,
    Codes,
    Floats,
    Overflow,
    as_column,
    as_floats,
    as_groups,
    check_codes,
    check_edges,
    check_no_nan,
    finite_edges,
    split,
)

Mode = Literal["kde", "sigmoid"]

ENOUGH = 32_768  # events that are worth a second thread


class SmoothGradients(NamedTuple):
    """Derivatives of a scalar by what its smoothed histogram is made of.

    Attributes
    ----------
    x : (n_events,) ndarray of the type of x
    weights : (n_events,) ndarray of the type of the weights, or None where there were none
    edges : (n_bins + 1,) ndarray
        0 for outer edges that do not exist: infinite ones, and both with `overflow="keep"`.
    bandwidth : float, or (n_events,) ndarray where there was one for each event
    """

    x: Floats
    weights: Floats | None
    edges: Vector
    bandwidth: float | Vector


class SoftmaxGradients(NamedTuple):
    """Derivatives of a scalar by what its softmax histogram is made of.

    Attributes
    ----------
    logits : (n_events, n_bins) ndarray of the type of the logits
    weights : (n_events,) ndarray of the type of the weights, or None where there were none
    temperature : float
    """

    logits: Floats
    weights: Floats | None
    temperature: float


def smooth_histogram(
    x: npt.ArrayLike,
    edges: npt.ArrayLike,
    weights: npt.ArrayLike | None = None,
    *,
    bandwidth: npt.ArrayLike,
    mode: Mode = "kde",
    overflow: Overflow = "keep",
    groups: npt.ArrayLike | None = None,
    n_groups: int | None = None,
) -> tuple[Vector, Vector]:
    """Fill events into bins, each event smeared by a kernel.

    Event i gives bin k the share K_ik = S((e_{k+1} - x_i) / h_i) - S((e_k - x_i) / h_i) of its
    weight. As h goes to 0 this is `fill_histogram`.

    Parameters
    ----------
    x : (n_events,) array_like
        Observable of each event; float32 and float64 are read in place, with any stride.
    edges : (n_bins + 1,) array_like
        Increasing bin edges; the outer two may be infinite.
    weights : (n_events,) array_like, optional
        Event weights; 1 by default. float32 and float64 are read in place.
    bandwidth : float, or (n_events,) array_like
        Width h of the kernel, positive, in the units of x; one for each event makes it adaptive.
    mode : {"kde", "sigmoid"}
        S: the Gaussian distribution function (binned kernel density estimate), or the logistic
        function 1 / (1 + exp(-t)). They count as 0 and 1 beyond 8.3 and 37 bandwidths.
    overflow : {"keep", "drop"}
        Whether the first and the last bin take the tails beyond them, or these are not counted.
    groups, n_groups
        As in `fill_histogram`.

    Returns
    -------
    yields : (n_bins,) ndarray, or (n_groups, n_bins) where there are groups
        Sum over i of w_i K_ik. It does not depend on the number of threads.
    variances : ndarray of the same shape
        Sum over i of (w_i K_ik)^2.

    Raises
    ------
    TypeError
        If `groups` are no integers.
    ValueError
        If a bandwidth is not positive, or as in `fill_histogram`.
    """
    events = _read(x, edges, weights, bandwidth, mode, overflow, groups, n_groups)
    sums, valid = _soft_histogram.smooth(
        **events.columns,
        n_groups=events.n_groups,
        n_threads=threads_for(len(events.x), ENOUGH),
    )
    if not valid:
        events.explain()
    return split(sums[:, events.bins], groups)


def smooth_histogram_gradients(
    x: npt.ArrayLike,
    edges: npt.ArrayLike,
    weights: npt.ArrayLike | None,
    yields_gradient: npt.ArrayLike,
    variances_gradient: npt.ArrayLike | None = None,
    *,
    bandwidth: npt.ArrayLike,
    mode: Mode = "kde",
    overflow: Overflow = "keep",
    groups: npt.ArrayLike | None = None,
    n_groups: int | None = None,
) -> SmoothGradients:
    """Derivatives of a scalar L by all that a smoothed histogram is made of.

    Parameters
    ----------
    x, edges, weights, bandwidth, mode, overflow, groups, n_groups
        As in `smooth_histogram`.
    yields_gradient : array_like of the shape of the yields
        dL / dyields.
    variances_gradient : array_like of the same shape, optional
        dL / dvariances; 0 by default.

    Returns
    -------
    SmoothGradients
        dL / dx, dL / dweights, dL / dedges and dL / dbandwidth.

    Raises
    ------
    TypeError, ValueError
        As `smooth_histogram`, and for derivatives of another shape than the yields.
    """
    events = _read(x, edges, weights, bandwidth, mode, overflow, groups, n_groups)
    n_bins = events.bins.stop - events.bins.start
    by_sums = np.zeros((events.n_groups, len(events.thresholds) + 1, 2))
    by_sums[:, events.bins] = _join(
        yields_gradient, variances_gradient, (events.n_groups, n_bins), groups
    )
    by_x, by_weight, by_bandwidth, by_thresholds, valid = _soft_histogram.smooth_gradients(
        **events.columns, by_sums=by_sums, n_threads=threads_for(len(events.x), ENOUGH)
    )
    if not valid:
        events.explain()
    by_edges = np.zeros(n_bins + 1)
    first = 1 - events.bins.start
    by_edges[first : first + len(by_thresholds)] = by_thresholds
    return SmoothGradients(
        by_x,
        None if weights is None else by_weight,
        by_edges,
        by_bandwidth if np.ndim(bandwidth) else float(by_bandwidth.sum()),
    )


def softmax_histogram(
    logits: npt.ArrayLike,
    weights: npt.ArrayLike | None = None,
    *,
    temperature: float,
    groups: npt.ArrayLike | None = None,
    n_groups: int | None = None,
) -> tuple[Vector, Vector]:
    """Fill events into bins with the probabilities p_i = softmax(f_i / temperature).

    Parameters
    ----------
    logits : (n_events, n_bins) array_like
        f, one number per bin, as a classifier gives them; float32 and float64 are read in place.
    weights : (n_events,) array_like, optional
        Event weights; 1 by default.
    temperature : float
        Positive; towards 0, each event falls into the bin of its highest logit.
    groups, n_groups
        As in `fill_histogram`.

    Returns
    -------
    yields : (n_bins,) ndarray, or (n_groups, n_bins) where there are groups
        Sum over i of w_i p_ik. It does not depend on the number of threads.
    variances : ndarray of the same shape
        Sum over i of (w_i p_ik)^2.

    Raises
    ------
    TypeError
        If `groups` are no integers.
    ValueError
        If shapes do not match, a logit is not finite, a weight NaN, a group out of range, or the
        temperature not positive.
    """
    f, weight, codes, n_histograms = _read_logits(logits, weights, temperature, groups, n_groups)
    sums, valid = _soft_histogram.soft_assign(
        f, weight, codes, float(temperature), n_histograms, threads_for(len(f), ENOUGH)
    )
    if not valid:
        _explain_logits(f, weight, codes, n_histograms)
    return split(sums, groups)


def softmax_histogram_gradients(
    logits: npt.ArrayLike,
    weights: npt.ArrayLike | None,
    yields_gradient: npt.ArrayLike,
    variances_gradient: npt.ArrayLike | None = None,
    *,
    temperature: float,
    groups: npt.ArrayLike | None = None,
    n_groups: int | None = None,
) -> SoftmaxGradients:
    """Derivatives of a scalar L by all that a softmax histogram is made of.

    Parameters
    ----------
    logits, weights, temperature, groups, n_groups
        As in `softmax_histogram`.
    yields_gradient : array_like of the shape of the yields
        dL / dyields.
    variances_gradient : array_like of the same shape, optional
        dL / dvariances; 0 by default.

    Returns
    -------
    SoftmaxGradients
        dL / dlogits, dL / dweights and dL / dtemperature.

    Raises
    ------
    TypeError, ValueError
        As `softmax_histogram`, and for derivatives of another shape than the yields.
    """
    f, weight, codes, n_histograms = _read_logits(logits, weights, temperature, groups, n_groups)
    by_sums = _join(yields_gradient, variances_gradient, (n_histograms, f.shape[1]), groups)
    by_logits, by_weight, by_temperature, valid = _soft_histogram.soft_assign_gradients(
        f, weight, codes, float(temperature), by_sums, threads_for(len(f), ENOUGH)
    )
    if not valid:
        _explain_logits(f, weight, codes, n_histograms)
    return SoftmaxGradients(by_logits, None if weights is None else by_weight, by_temperature)


class _Events(NamedTuple):
    """Checked input of the kernels."""

    x: Floats
    weight: Floats
    bandwidth: Vector  # (n_events,), stride 0 where it is one number
    codes: Codes
    n_groups: int
    thresholds: Vector
    bins: slice
    mode: Mode

    @property
    def columns(self) -> dict[str, Any]:
        """What both kernels take."""
        terms, width = _table(self.mode)
        return {
            "x": self.x,
            "weight": self.weight,
            "bandwidth": self.bandwidth,
            "group": self.codes,
            "thresholds": self.thresholds,
            "terms": terms,
            "width": width,
        }

    def explain(self) -> None:
        """Raise ValueError for what the kernels could not take."""
        check_no_nan(x=self.x, weights=self.weight)
        check_codes(self.codes, self.n_groups)


def _read(
    x: npt.ArrayLike,
    edges: npt.ArrayLike,
    weights: npt.ArrayLike | None,
    bandwidth: npt.ArrayLike,
    mode: Mode,
    overflow: Overflow,
    groups: npt.ArrayLike | None,
    n_groups: int | None,
) -> _Events:
    if mode not in ("kde", "sigmoid"):
        raise ValueError(f"mode is {mode!r}, expected 'kde' or 'sigmoid'")
    bounds = check_edges(edges)
    events = as_column(x, "x")
    weight = NONE if weights is None else as_column(weights, "weights", len(events))
    codes, n_histograms = as_groups(groups, n_groups, len(events))
    widths = np.asarray(bandwidth, dtype=np.float64)
    if widths.ndim:
        as_column(widths, "bandwidth", len(events))
    wrong = ~((widths > 0.0) & (widths < np.inf))
    if wrong.any():
        found = f"{widths[wrong][0]} for {wrong.sum()} events" if widths.ndim else widths
        raise ValueError(f"bandwidth is {found}, expected positive numbers")
    thresholds, bins = finite_edges(bounds, overflow)
    spread = np.broadcast_to(widths, events.shape)
    return _Events(events, weight, spread, codes, n_histograms, thresholds, bins, mode)


def _read_logits(
    logits: npt.ArrayLike,
    weights: npt.ArrayLike | None,
    temperature: float,
    groups: npt.ArrayLike | None,
    n_groups: int | None,
) -> tuple[Floats, Floats, Codes, int]:
    f = as_floats(logits)
    if f.ndim != 2 or f.shape[1] == 0:
        raise ValueError(f"logits has shape {f.shape}, expected (n_events, n_bins)")
    if not 0.0 < temperature < math.inf:
        raise ValueError(f"temperature is {temperature}, expected a positive number")
    weight = NONE if weights is None else as_column(weights, "weights", len(f))
    return f, weight, *as_groups(groups, n_groups, len(f))


def _explain_logits(f: Floats, weight: Floats, codes: Codes, n_groups: int) -> None:
    """Raise ValueError for what the kernels could not take."""
    infinite = np.count_nonzero(~np.isfinite(f).all(axis=1))
    if infinite:
        raise ValueError(f"logits is not finite for {infinite} events")
    check_no_nan(weights=weight)
    check_codes(codes, n_groups)


def _join(
    yields: npt.ArrayLike,
    variances: npt.ArrayLike | None,
    shape: tuple[int, int],
    groups: npt.ArrayLike | None,
) -> Vector:
    """Derivatives by sums, (n_groups, n_bins, 2), of those by yields and by variances."""
    expected = shape if groups is not None else shape[1:]
    by_sums = np.zeros((*shape, 2))
    for part, (name, values) in enumerate({"yields": yields, "variances": variances}.items()):
        if values is not None:
            if np.shape(values) != expected:
                found = np.shape(values)
                raise ValueError(f"{name}_gradient has shape {found}, expected {expected}")
            by_sums[..., part] = values
    return by_sums


@cache
def _table(mode: Mode) -> tuple[Vector, float]:
    """Taylor polynomials of the upper tail 1 - S, (n_cells, 12), and the width of a cell.

    To the end of the table, where the tail is less than half of the spacing of numbers at 1, they
    are within 1e-14 of it relative to its value.
    """
    width, n_cells, expand = (1 / 16, 133, _gaussian) if mode == "kde" else (1 / 4, 149, _logistic)
    return np.array([expand((cell + 0.5) * width) for cell in range(n_cells)]), width


def _gaussian(z: float) -> list[float]:
    """Coefficients of the Gaussian upper tail around z, from those of the density g = -Q'.

    g' = -z g gives (n + 1) g_{n+1} = -(z g_n + g_{n-1}).
    """
    density = [math.exp(-0.5 * z * z) / math.sqrt(2.0 * math.pi)]
    terms = [0.5 * math.erfc(z / math.sqrt(2.0)), -density[0]]
    for n in range(1, 11):
        density.append(-(z * density[-1] + (density[-2] if n > 1 else 0.0)) / n)
        terms.append(-density[-1] / (n + 1))
    return terms


def _logistic(t: float) -> list[float]:
    """Coefficients of the logistic upper tail Q = 1 / (1 + exp(t)) around t, from Q' = Q^2 - Q."""
    terms = [1.0 / (1.0 + math.exp(t))]
    for n in range(11):
        square = math.fsum(terms[j] * terms[n - j] for j in range(n + 1))
        terms.append((square - terms[n]) / (n + 1))
    return terms
