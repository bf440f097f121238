# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
"""Filling weighted histograms from events."""

import numpy as np

cimport cython
from cpython.exc cimport PyErr_CheckSignals
from cython cimport floating
from cython.parallel cimport prange

ctypedef fused weight_type:
    float
    double


@cython.auto_pickle(False)
cdef class Bins:
    """Slots between thresholds, and the grid that finds the slot of an observable.

    Slot 0 lies below the first threshold, slot k from threshold k - 1, included, to threshold k.

    Parameters
    ----------
    thresholds : (n_slots - 1,) float64, increasing; the last may be infinite
    """

    def __init__(self, const double[::1] thresholds):
        cdef Py_ssize_t n = thresholds.shape[0], n_cells = 0, k, c, highest = 0
        cdef double span = thresholds[n - 1] - thresholds[0] if n > 1 else 0.0, narrowest = span
        self.n_slots = n + 1
        self.grid.lo = self.grid.hi = self.grid.scale = 0.0  # everything in one cell
        if 1e-290 < span < 1e300:  # what arithmetic can divide
            # One threshold per cell at most, unless widths differ too much for that.
            narrowest = np.diff(thresholds).min()
            n_cells = <Py_ssize_t>min(1.01 * span / narrowest + 1.0, max(4096.0, 4.0 * n))
            self.grid.lo, self.grid.hi = thresholds[0], thresholds[n - 1]
            self.grid.scale = n_cells / span
        count = np.zeros(n_cells + 2, dtype=np.intc)  # of thresholds in the cell before
        cdef int[::1] counts = count
        for k in range(n):
            c = cell_of(thresholds[k], self.grid) + 1
            counts[c] += 1
            highest = max(highest, counts[c])
        self.base = np.cumsum(count, dtype=np.intc)
        self.grid.levels = int(highest).bit_length()
        self.thresholds = np.concatenate([thresholds, np.full(1 << self.grid.levels, np.nan)])
        self.grid.base, self.grid.thresholds = &self.base[0], &self.thresholds[0]


cdef bint find_slots(const floating[:] x, Grid grid, Py_ssize_t begin, Py_ssize_t n,
                     Py_ssize_t *slots) noexcept nogil:
    """Slots of n observables from `begin` on; whether none is NaN."""
    cdef Py_ssize_t i
    cdef bint missing = False
    cdef double value
    if grid.levels == 1:  # nearly always: a loop of its own, which compiles to fewer instructions
        for i in range(n):
            value = x[begin + i]
            missing |= value != value
            slots[i] = slot_of_one(value, grid)
    else:
        for i in range(n):
            value = x[begin + i]
            missing |= value != value
            slots[i] = slot_of(value, grid)
    return not missing


cdef bint add_groups(const int[:] group, Py_ssize_t n_groups, Py_ssize_t n_slots,
                     Py_ssize_t begin, Py_ssize_t n, Py_ssize_t *slots) noexcept nogil:
    """Move the slots of n events to those of their groups; whether all groups exist."""
    cdef Py_ssize_t i
    for i in range(n):
        if not 0 <= group[begin + i] < n_groups:
            return False
        slots[i] += group[begin + i] * n_slots
    return True


cdef bint add_weights(const weight_type[:] weight, Py_ssize_t begin, Py_ssize_t n,
                      const Py_ssize_t *slots, double *sums) noexcept nogil:
    """Add the weights of n events, and their squares, to their slots; whether none is NaN."""
    cdef Py_ssize_t i
    cdef bint missing = False
    cdef double w
    for i in range(n):
        w = weight[begin + i]
        missing |= w != w
        sums[2 * slots[i]] += w
        sums[2 * slots[i] + 1] += w * w
    return not missing


cdef void count_events(Py_ssize_t n, const Py_ssize_t *slots, double *sums) noexcept nogil:
    """Add n events of weight 1."""
    cdef Py_ssize_t i
    for i in range(n):
        sums[2 * slots[i]] += 1.0
        sums[2 * slots[i] + 1] += 1.0


cdef bint fill_block(const floating[:] x, const weight_type[:] weight, const int[:] group,
                     Py_ssize_t n_groups, Py_ssize_t n_slots, Grid grid, Py_ssize_t begin,
                     Py_ssize_t end, double *sums) noexcept nogil:
    """Add events begin to end to sums; whether all of them could be."""
    cdef Py_ssize_t[256] slots
    cdef Py_ssize_t first, n
    cdef bint valid = True
    for first in range(begin, end, 256):
        n = min(256, end - first)
        valid &= find_slots(x, grid, first, n, slots)
        if group.shape[0] > 0 and not add_groups(group, n_groups, n_slots, first, n, slots):
            return False
        if weight.shape[0] > 0:
            valid &= add_weights(weight, first, n, slots, sums)
        else:
            count_events(n, slots, sums)
    return valid


def fill(const floating[:] x, const weight_type[:] weight, const int[:] group, Bins bins,
         Py_ssize_t n_groups, int n_threads):
    """Sum of weights, and of squared weights, of the events in each slot of each group.

    Parameters
    ----------
    x : (n_events,) float32 or float64
    weight : (n_events,) float32 or float64, or of length 0 for unit weights
    group : (n_events,) int32, or of length 0 where there is one group
    bins : the slots
    n_groups : number of groups
    n_threads : number of threads; the result does not depend on it

    Returns
    -------
    sums : (n_groups, n_slots, 2) float64
        Weights and squared weights.
    valid : bool
        False where an observable or weight is NaN or a group out of range: sums mean nothing.
    """
    cdef Py_ssize_t n_events = x.shape[0], n_slots = bins.n_slots, b
    cdef Py_ssize_t n_blocks = block_count(n_events, n_groups * n_slots, 32768)
    cdef Py_ssize_t at_once = blocks_at_once(n_blocks, n_events, 1, n_threads), first, last
    cdef Grid grid = bins.grid
    partial = np.zeros((n_blocks, n_groups, n_slots, 2))
    cdef double[:, ::1] sums = partial.reshape(n_blocks, -1)
    cdef bint valid = True
    for first in range(0, n_blocks, at_once):
        PyErr_CheckSignals()
        last = min(first + at_once, n_blocks)
        for b in prange(first, last, nogil=True, schedule="dynamic", num_threads=n_threads):
            valid &= fill_block(x, weight, group, n_groups, n_slots, grid,
                                block_begin(b, n_blocks, n_events),
                                block_begin(b + 1, n_blocks, n_events), &sums[b, 0])
    return partial.sum(axis=0), bool(valid)
