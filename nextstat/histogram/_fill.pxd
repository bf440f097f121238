"""Finding bins, and cutting events into blocks: shared by the kernels that fill."""


cdef struct Grid:
    # Cells of equal width over [lo, hi]: cell_of is monotonic in x, so that only the thresholds
    # that fall into the cell of x have to be compared with it. `base[c]` counts those in cells
    # before c. No cell holds more than 2**levels - 1; NaN pads `thresholds`.
    double lo, hi, scale
    const int *base
    const double *thresholds
    int levels


cdef inline Py_ssize_t cell_of(double x, Grid grid) noexcept nogil:
    """Cell of x; the first below lo and for NaN, the last above hi."""
    x = x if x > grid.lo else grid.lo
    x = x if x < grid.hi else grid.hi
    return <Py_ssize_t>((x - grid.lo) * grid.scale)


cdef inline Py_ssize_t slot_of_one(double x, Grid grid) noexcept nogil:
    """`slot_of` where no cell holds more than one threshold."""
    cdef Py_ssize_t slot = grid.base[cell_of(x, grid)]
    return slot + (grid.thresholds[slot] <= x)


cdef inline Py_ssize_t slot_of(double x, Grid grid) noexcept nogil:
    """Number of thresholds <= x, 0 for NaN: a bisection, without branches, inside one cell."""
    cdef Py_ssize_t slot = grid.base[cell_of(x, grid)]
    cdef int level = grid.levels
    while level > 0:
        level -= 1
        slot += (<Py_ssize_t>(grid.thresholds[slot + (1 << level) - 1] <= x)) << level
    return slot


cdef inline Py_ssize_t block_count(Py_ssize_t n_events, Py_ssize_t size,
                                   Py_ssize_t least) noexcept nogil:
    """Number of blocks the events are cut into, of `least` events or more.

    Each has a private histogram of `size` slots, and sums are formed block by block: the number
    must not depend on that of threads.
    """
    return min(256, max(1, n_events // max(least, 8 * size)))


cdef inline Py_ssize_t block_begin(Py_ssize_t block, Py_ssize_t n_blocks,
                                   Py_ssize_t n_events) noexcept nogil:
    """First event of a block."""
    return n_events // n_blocks * block + min(block, n_events % n_blocks)


cdef inline Py_ssize_t blocks_at_once(Py_ssize_t n_blocks, Py_ssize_t n_events, Py_ssize_t work,
                                      int n_threads) noexcept nogil:
    """Number of blocks between two looks for Ctrl-C, which take about 0.1 s.

    An event takes `work` times as long as one that is only put into its bin.
    """
    cdef Py_ssize_t in_time = 20_000_000 * n_threads // max(1, work)
    return max(n_threads, in_time // max(1, n_events // n_blocks))


cdef class Bins:
    cdef Grid grid
    cdef const int[::1] base
    cdef const double[::1] thresholds
    cdef readonly Py_ssize_t n_slots
