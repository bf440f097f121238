# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
"""Filling weighted histograms from events."""

import numpy as np

from cython cimport floating


cdef inline Py_ssize_t bin_uniform(double x, double lo, double hi, Py_ssize_t n_bins,
                                   double scale, const double[::1] edges) noexcept nogil:
    """Bin of x among equally wide bins, -1 outside; the edges decide, as in a search."""
    cdef Py_ssize_t k
    if not (lo <= x <= hi):
        return -1
    k = <Py_ssize_t>((x - lo) * scale)
    if k >= n_bins:
        k = n_bins - 1
    if x < edges[k]:
        return k - 1
    if k + 1 < n_bins and x >= edges[k + 1]:
        return k + 1
    return k


cdef inline Py_ssize_t bin_search(double x, Py_ssize_t n_bins,
                                  const double[::1] edges) noexcept nogil:
    """Bin of x by bisection, -1 outside; the last bin includes its upper edge."""
    cdef Py_ssize_t left = 0, right = n_bins, middle
    if not (edges[0] <= x <= edges[n_bins]):
        return -1
    while right - left > 1:
        middle = (left + right) // 2
        if x >= edges[middle]:
            left = middle
        else:
            right = middle
    return left


def fill(const floating[::1] x, const double[::1] weight, const double[::1] edges, bint uniform):
    """Sum of weights, and of squared weights, of the events in each bin.

    Parameters
    ----------
    x : (n_events,) float32 or float64
    weight : (n_events,) float64, or of length 0 for unit weights
    edges : (n_bins + 1,) float64, increasing
    uniform : whether all bins have the same width

    Returns
    -------
    yields, variances : (n_bins,) float64
    """
    cdef Py_ssize_t n_events = x.shape[0], n_bins = edges.shape[0] - 1
    cdef Py_ssize_t i, k
    cdef bint weighted = weight.shape[0] > 0
    cdef double w = 1.0, lo = edges[0], hi = edges[n_bins], scale = n_bins / (hi - lo)
    yields, variances = np.zeros(n_bins), np.zeros(n_bins)
    cdef double[::1] total = yields, squares = variances
    with nogil:
        for i in range(n_events):
            if uniform:
                k = bin_uniform(x[i], lo, hi, n_bins, scale, edges)
            else:
                k = bin_search(x[i], n_bins, edges)
            if k < 0:
                continue
            if weighted:
                w = weight[i]
            total[k] += w
            squares[k] += w * w
    return yields, variances
