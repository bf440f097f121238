# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
"""Smoothed histograms, and the derivatives of what is computed from them.

An event at x with bandwidth h gives the slot between thresholds a and b the share
S((b - x) / h) - S((a - x) / h), where S is a symmetric cumulative distribution. It is known by its
upper tail Q(t) = 1 - S(t) = S(-t), t >= 0, in a table of Taylor polynomials, and is 0 or 1 beyond
the table. Walking through thresholds t_k from left to right, with D_k = S - [t_k > x], that is
Q on the left of x and -Q on its right, the share of slot k is D_k - D_{k-1}, plus 1 for the slot
that holds x: nothing cancels on either side.
"""

import numpy as np

from cpython.exc cimport PyErr_CheckSignals
from cython cimport floating
from cython.parallel cimport prange
from libc.math cimport exp, fabs

from nextstat.histogram._fill cimport Bins, Grid, block_begin, block_count, blocks_at_once, slot_of

ctypedef fused weight_type:
    float
    double

cdef enum:
    TERMS = 12  # of a Taylor polynomial
    LEAST = 1024  # events in a block
    WORK = 20  # per event, in terms of blocks_at_once


cdef struct Tail:
    const double *terms  # (n_cells, TERMS), around the middle of each cell
    double width  # of a cell
    double per_width
    double reach  # where the table ends


cdef inline double tail(double t, Tail kernel) noexcept nogil:
    """Q(t) for 0 <= t < reach: even and odd terms side by side, Q = even(d^2) + d odd(d^2)."""
    cdef Py_ssize_t cell = <Py_ssize_t>(t * kernel.per_width), n
    cdef const double *term = kernel.terms + cell * TERMS
    cdef double d = t - (<double>cell + 0.5) * kernel.width, s = d * d
    cdef double even = term[TERMS - 2], odd = term[TERMS - 1]
    for n in range(TERMS - 4, -1, -2):
        even = even * s + term[n]
        odd = odd * s + term[n + 1]
    return even + d * odd


cdef inline double tail_and_slope(double t, Tail kernel, double *slope) noexcept nogil:
    """Q(t), and -Q'(t) = -(odd + 2 d (even' + d odd')), for 0 <= t < reach."""
    cdef Py_ssize_t cell = <Py_ssize_t>(t * kernel.per_width), n
    cdef const double *term = kernel.terms + cell * TERMS
    cdef double d = t - (<double>cell + 0.5) * kernel.width, s = d * d
    cdef double even = term[TERMS - 2], odd = term[TERMS - 1], by_even = 0.0, by_odd = 0.0
    for n in range(TERMS - 4, -1, -2):
        by_even = by_even * s + even
        by_odd = by_odd * s + odd
        even = even * s + term[n]
        odd = odd * s + term[n + 1]
    slope[0] = -(odd + 2.0 * d * (by_even + d * by_odd))
    return even + d * odd


cdef inline Py_ssize_t first_slot(double x, double per_h, Py_ssize_t slot, Tail kernel,
                                  const double[::1] thresholds) noexcept nogil:
    """First slot that an event in `slot` reaches."""
    while slot > 0 and (x - thresholds[slot - 1]) * per_h < kernel.reach:
        slot -= 1
    return slot


cdef inline Py_ssize_t last_slot(double x, double per_h, Py_ssize_t slot, Tail kernel,
                                 const double[::1] thresholds) noexcept nogil:
    """Last slot that an event in `slot` reaches."""
    while slot < thresholds.shape[0] and (thresholds[slot] - x) * per_h < kernel.reach:
        slot += 1
    return slot


cdef inline void add_event(double x, double w, double h, Py_ssize_t slot, Tail kernel,
                           const double[::1] thresholds, double *sums) noexcept nogil:
    """Add the shares of one event, which lies in `slot`, to sums, (n_slots, 2)."""
    cdef double per_h = 1.0 / h, level, before = 0.0, share
    cdef Py_ssize_t first = first_slot(x, per_h, slot, kernel, thresholds)
    cdef Py_ssize_t last = last_slot(x, per_h, slot, kernel, thresholds), k
    for k in range(first, last + 1):
        level = 0.0
        if k < last:
            level = tail(fabs((thresholds[k] - x) * per_h), kernel)
            level = level if k < slot else -level
        share = w * (level - before + (k == slot))
        sums[2 * k] += share
        sums[2 * k + 1] += share * share
        before = level


cdef inline void event_gradient(double x, double w, double h, Py_ssize_t slot, Tail kernel,
                                const double[::1] thresholds, const double *by_sums,
                                double *by_x, double *by_w, double *by_h,
                                double *by_thresholds) noexcept nogil:
    """Derivatives of a scalar for one event, given those by its histogram's sums, (n_slots, 2).

    With u_k = (t_k - x) / h and G_k the derivative by the share of slot k, the derivative by
    S(u_k) is G_k - G_{k+1}. Those by thresholds are added, the others set.
    """
    cdef double per_h = 1.0 / h, level, before = 0.0, u = 0.0, share, slope = 0.0
    cdef double u_before = 0.0, slope_before = 0.0, by_share, by_share_before = 0.0, by_t
    cdef Py_ssize_t first = first_slot(x, per_h, slot, kernel, thresholds)
    cdef Py_ssize_t last = last_slot(x, per_h, slot, kernel, thresholds), k
    by_x[0] = by_w[0] = by_h[0] = 0.0
    for k in range(first, last + 1):
        level = 0.0
        if k < last:
            u = (thresholds[k] - x) * per_h
            level = tail_and_slope(fabs(u), kernel, &slope)
            level = level if k < slot else -level
        share = level - before + (k == slot)
        by_share = by_sums[2 * k] + 2.0 * by_sums[2 * k + 1] * w * share
        by_w[0] += by_share * share
        by_share *= w
        if k > first:
            by_t = (by_share_before - by_share) * slope_before * per_h
            by_thresholds[k - 1] += by_t
            by_x[0] -= by_t
            by_h[0] -= by_t * u_before
        before, slope_before, u_before, by_share_before = level, slope, u, by_share


cdef inline Py_ssize_t histogram_of(const int[:] group, Py_ssize_t n_groups,
                                    Py_ssize_t i) noexcept nogil:
    """Group of an event, -1 if there is none of that number."""
    if group.shape[0] == 0:
        return 0
    return group[i] if 0 <= group[i] < n_groups else -1


cdef bint fill_block(const floating[:] x, const weight_type[:] weight, const double[:] bandwidth,
                     const int[:] group, Py_ssize_t n_groups, const double[::1] thresholds,
                     Grid grid, Tail kernel, Py_ssize_t begin, Py_ssize_t end,
                     double *sums) noexcept nogil:
    """Add events begin to end to sums; whether all of them could be."""
    cdef Py_ssize_t i, g, stride = 2 * (thresholds.shape[0] + 1)
    cdef double value, w = 1.0
    for i in range(begin, end):
        value = x[i]
        if weight.shape[0] > 0:
            w = weight[i]
        g = histogram_of(group, n_groups, i)
        if g < 0 or value != value or w != w:
            return False
        add_event(value, w, bandwidth[i], slot_of(value, grid), kernel, thresholds,
                  sums + g * stride)
    return True


cdef bint gradient_block(const floating[:] x, const weight_type[:] weight,
                         const double[:] bandwidth, const int[:] group, Py_ssize_t n_groups,
                         const double[::1] thresholds, Grid grid, Tail kernel, Py_ssize_t begin,
                         Py_ssize_t end, const double *by_sums, floating[::1] by_x,
                         weight_type[::1] by_weight, double[::1] by_bandwidth,
                         double *by_thresholds) noexcept nogil:
    """Derivatives by events begin to end; whether all could be formed."""
    cdef Py_ssize_t i, g, stride = 2 * (thresholds.shape[0] + 1)
    cdef double value, w = 1.0, to_x, to_w, to_h
    for i in range(begin, end):
        value = x[i]
        if weight.shape[0] > 0:
            w = weight[i]
        g = histogram_of(group, n_groups, i)
        if g < 0 or value != value or w != w:
            return False
        event_gradient(value, w, bandwidth[i], slot_of(value, grid), kernel, thresholds,
                       by_sums + g * stride, &to_x, &to_w, &to_h, by_thresholds)
        by_x[i] = <floating>to_x
        by_bandwidth[i] = to_h
        if weight.shape[0] > 0:
            by_weight[i] = <weight_type>to_w
    return True


cdef Tail make_tail(const double[:, ::1] terms, double width) except *:
    """The table as the functions above take it."""
    if terms.shape[1] != TERMS:
        raise ValueError(f"the table has {terms.shape[1]} terms, expected {TERMS}")
    return Tail(&terms[0, 0], width, 1.0 / width, terms.shape[0] * width)


def smooth(const floating[:] x, const weight_type[:] weight, const double[:] bandwidth,
           const int[:] group, const double[::1] thresholds, const double[:, ::1] terms,
           double width, Py_ssize_t n_groups, int n_threads):
    """Sums of the shares of events in each slot of each group, and of their squares.

    Parameters
    ----------
    x : (n_events,) float32 or float64
    weight : (n_events,) float32 or float64, or of length 0 for unit weights
    bandwidth : (n_events,) float64, positive
    group : (n_events,) int32, or of length 0 where there is one group
    thresholds : (n_slots - 1,) float64, finite and increasing
    terms : (n_cells, 12) float64
        Taylor coefficients of the upper tail around the middle of each cell, cells from 0 on.
    width : width of a cell
    n_groups : number of groups
    n_threads : number of threads; the result does not depend on it

    Returns
    -------
    sums : (n_groups, n_slots, 2) float64
    valid : bool
        False where an observable or weight is NaN or a group out of range: sums mean nothing.
    """
    cdef Py_ssize_t n_events = x.shape[0], n_slots = thresholds.shape[0] + 1, b
    cdef Py_ssize_t n_blocks = block_count(n_events, n_groups * n_slots, LEAST)
    cdef Py_ssize_t at_once = blocks_at_once(n_blocks, n_events, WORK, n_threads), first, last
    cdef Bins bins = Bins(thresholds)
    cdef Grid grid = bins.grid
    cdef Tail kernel = make_tail(terms, width)
    partial = np.zeros((n_blocks, n_groups, n_slots, 2))
    cdef double[:, ::1] sums = partial.reshape(n_blocks, -1)
    cdef bint valid = True
    for first in range(0, n_blocks, at_once):
        PyErr_CheckSignals()
        last = min(first + at_once, n_blocks)
        for b in prange(first, last, nogil=True, schedule="dynamic", num_threads=n_threads):
            valid &= fill_block(x, weight, bandwidth, group, n_groups, thresholds, grid, kernel,
                                block_begin(b, n_blocks, n_events),
                                block_begin(b + 1, n_blocks, n_events), &sums[b, 0])
    return partial.sum(axis=0), bool(valid)


def smooth_gradients(const floating[:] x, const weight_type[:] weight, const double[:] bandwidth,
                     const int[:] group, const double[::1] thresholds,
                     const double[:, ::1] terms, double width, const double[:, :, ::1] by_sums,
                     int n_threads):
    """Derivatives of a scalar by what `smooth` takes, given those by its sums.

    Parameters
    ----------
    by_sums : (n_groups, n_slots, 2) float64
        The others are those of `smooth`.

    Returns
    -------
    by_x : (n_events,) of the type of x
    by_weight : (n_events,) of the type of weight, or of length 0 for unit weights
    by_bandwidth : (n_events,) float64
    by_thresholds : (n_slots - 1,) float64
    valid : bool
        As of `smooth`.
    """
    cdef Py_ssize_t n_events = x.shape[0], n_groups = by_sums.shape[0], b
    cdef Py_ssize_t n_blocks = block_count(n_events, thresholds.shape[0], LEAST)
    cdef Py_ssize_t at_once = blocks_at_once(n_blocks, n_events, WORK, n_threads), first, last
    cdef Bins bins = Bins(thresholds)
    cdef Grid grid = bins.grid
    cdef Tail kernel = make_tail(terms, width)
    by_x = np.empty(n_events, dtype=np.asarray(x).dtype)
    by_weight = np.empty(weight.shape[0], dtype=np.asarray(weight).dtype)
    by_bandwidth, partial = np.empty(n_events), np.zeros((n_blocks, thresholds.shape[0] + 1))
    cdef floating[::1] to_x = by_x
    cdef weight_type[::1] to_weight = by_weight
    cdef double[::1] to_bandwidth = by_bandwidth
    cdef double[:, ::1] to_thresholds = partial
    cdef bint valid = True
    for first in range(0, n_blocks, at_once):
        PyErr_CheckSignals()
        last = min(first + at_once, n_blocks)
        for b in prange(first, last, nogil=True, schedule="dynamic", num_threads=n_threads):
            valid &= gradient_block(x, weight, bandwidth, group, n_groups, thresholds, grid, kernel,
                                    block_begin(b, n_blocks, n_events),
                                    block_begin(b + 1, n_blocks, n_events), &by_sums[0, 0, 0],
                                    to_x, to_weight, to_bandwidth, &to_thresholds[b, 0])
    return by_x, by_weight, by_bandwidth, partial.sum(axis=0)[:thresholds.shape[0]], bool(valid)


cdef inline bint softmax(const floating[:, :] logits, Py_ssize_t i, double per_temperature,
                         double *p, double *highest) noexcept nogil:
    """Probabilities p, (n_bins,), of event i, and its highest logit; whether all are finite."""
    cdef Py_ssize_t k
    cdef double top = logits[i, 0], total = 0.0
    cdef bint finite = True
    for k in range(logits.shape[1]):
        top = max(top, <double>logits[i, k])
        finite &= logits[i, k] - logits[i, k] == 0
    for k in range(logits.shape[1]):
        p[k] = exp((logits[i, k] - top) * per_temperature)
        total += p[k]
    for k in range(logits.shape[1]):
        p[k] /= total
    highest[0] = top
    return finite


cdef bint softmax_block(const floating[:, :] logits, const weight_type[:] weight,
                        const int[:] group, Py_ssize_t n_groups, double per_temperature,
                        Py_ssize_t begin, Py_ssize_t end, double *p,
                        double *sums) noexcept nogil:
    """Add events begin to end to sums; whether all of them could be."""
    cdef Py_ssize_t i, k, g, n_bins = logits.shape[1]
    cdef double w = 1.0, share, top
    for i in range(begin, end):
        if weight.shape[0] > 0:
            w = weight[i]
        g = histogram_of(group, n_groups, i)
        if g < 0 or w != w or not softmax(logits, i, per_temperature, p, &top):
            return False
        for k in range(n_bins):
            share = w * p[k]
            sums[2 * (g * n_bins + k)] += share
            sums[2 * (g * n_bins + k) + 1] += share * share
    return True


cdef bint softmax_gradient_block(const floating[:, :] logits, const weight_type[:] weight,
                                 const int[:] group, double per_temperature, Py_ssize_t begin,
                                 Py_ssize_t end, double *p, const double[:, :, ::1] by_sums,
                                 floating[:, ::1] by_logits, weight_type[::1] by_weight,
                                 double *by_temperature) noexcept nogil:
    """Derivatives by events begin to end; whether all could be formed.

    With G_k the derivative by p_k, that by f_k is p_k (G_k - sum_j p_j G_j) / temperature, and
    that by the temperature minus the sum of f_k times it, over the temperature.
    """
    cdef Py_ssize_t i, k, g, n_bins = logits.shape[1]
    cdef double w = 1.0, top, mean, by_p, by_logit
    for i in range(begin, end):
        if weight.shape[0] > 0:
            w = weight[i]
        g = histogram_of(group, by_sums.shape[0], i)
        if g < 0 or w != w or not softmax(logits, i, per_temperature, p, &top):
            return False
        mean = 0.0
        for k in range(n_bins):
            mean += p[k] * (by_sums[g, k, 0] + 2.0 * by_sums[g, k, 1] * w * p[k])
        if weight.shape[0] > 0:
            by_weight[i] = <weight_type>mean
        for k in range(n_bins):
            by_p = by_sums[g, k, 0] + 2.0 * by_sums[g, k, 1] * w * p[k]
            by_logit = w * p[k] * (by_p - mean) * per_temperature
            by_logits[i, k] = <floating>by_logit
            by_temperature[0] -= by_logit * (logits[i, k] - top) * per_temperature
    return True


def soft_assign(const floating[:, :] logits, const weight_type[:] weight, const int[:] group,
                double temperature, Py_ssize_t n_groups, int n_threads):
    """Sums of weighted softmax probabilities in each bin of each group, and of their squares.

    Parameters
    ----------
    logits : (n_events, n_bins) float32 or float64
    temperature : divides the logits; positive
    weight, group, n_groups, n_threads : as in `smooth`

    Returns
    -------
    sums : (n_groups, n_bins, 2) float64
    valid : bool
        False where a logit is not finite, a weight NaN or a group out of range.
    """
    cdef Py_ssize_t n_events = logits.shape[0], n_bins = logits.shape[1], b
    cdef Py_ssize_t n_blocks = block_count(n_events, n_groups * n_bins, LEAST)
    cdef Py_ssize_t at_once = blocks_at_once(n_blocks, n_events, n_bins, n_threads), first, last
    partial = np.zeros((n_blocks, n_groups, n_bins, 2))
    cdef double[:, ::1] sums = partial.reshape(n_blocks, -1)
    cdef double[:, ::1] p = np.empty((n_blocks, n_bins))
    cdef bint valid = True
    for first in range(0, n_blocks, at_once):
        PyErr_CheckSignals()
        last = min(first + at_once, n_blocks)
        for b in prange(first, last, nogil=True, schedule="dynamic", num_threads=n_threads):
            valid &= softmax_block(logits, weight, group, n_groups, 1.0 / temperature,
                                   block_begin(b, n_blocks, n_events),
                                   block_begin(b + 1, n_blocks, n_events), &p[b, 0], &sums[b, 0])
    return partial.sum(axis=0), bool(valid)


def soft_assign_gradients(const floating[:, :] logits, const weight_type[:] weight,
                          const int[:] group, double temperature,
                          const double[:, :, ::1] by_sums, int n_threads):
    """Derivatives of a scalar by what `soft_assign` takes, given those by its sums.

    Parameters
    ----------
    by_sums : (n_groups, n_bins, 2) float64
        The others are those of `soft_assign`.

    Returns
    -------
    by_logits : (n_events, n_bins) of the type of logits
    by_weight : (n_events,) of the type of weight, or of length 0 for unit weights
    by_temperature : float
    valid : bool
        As of `soft_assign`.
    """
    cdef Py_ssize_t n_events = logits.shape[0], n_bins = logits.shape[1], b
    cdef Py_ssize_t n_blocks = block_count(n_events, n_bins, LEAST)
    cdef Py_ssize_t at_once = blocks_at_once(n_blocks, n_events, n_bins, n_threads), first, last
    by_logits = np.empty((n_events, n_bins), dtype=np.asarray(logits).dtype)
    by_weight = np.empty(weight.shape[0], dtype=np.asarray(weight).dtype)
    partial = np.zeros(n_blocks)
    cdef floating[:, ::1] to_logits = by_logits
    cdef weight_type[::1] to_weight = by_weight
    cdef double[::1] to_temperature = partial
    cdef double[:, ::1] p = np.empty((n_blocks, n_bins))
    cdef bint valid = True
    for first in range(0, n_blocks, at_once):
        PyErr_CheckSignals()
        last = min(first + at_once, n_blocks)
        for b in prange(first, last, nogil=True, schedule="dynamic", num_threads=n_threads):
            valid &= softmax_gradient_block(logits, weight, group, 1.0 / temperature,
                                            block_begin(b, n_blocks, n_events),
                                            block_begin(b + 1, n_blocks, n_events), &p[b, 0],
                                            by_sums, to_logits, to_weight, &to_temperature[b])
    return by_logits, by_weight, float(partial.sum()), bool(valid)
