# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
"""Numbering labels of which few are distinct."""

import numpy as np

cimport numpy
from libc.stdint cimport int16_t, uint8_t, uint16_t, uint32_t, uint64_t
from libc.string cimport memcpy

cdef enum:
    MOST = 256  # distinct items, what uint8 can number
    BITS = 10  # of the size of the hash table

ctypedef fused code_type:
    signed char
    unsigned char
    short
    int
    unsigned int
    long long


cdef inline uint64_t load(const uint8_t *p) noexcept nogil:
    """Eight bytes, at any address."""
    cdef uint64_t word
    memcpy(&word, p, 8)
    return word


cdef inline uint64_t load_last(const uint8_t *p, Py_ssize_t size) noexcept nogil:
    """The last eight bytes of an item, or all of a shorter one."""
    cdef uint32_t low, high
    cdef uint16_t short_low, short_high
    if size >= 8:
        return load(p + size - 8)
    if size >= 4:
        memcpy(&low, p, 4)
        memcpy(&high, p + size - 4, 4)
        return low | <uint64_t>high << 32
    if size >= 2:
        memcpy(&short_low, p, 2)
        memcpy(&short_high, p + size - 2, 2)
        return short_low | <uint64_t>short_high << 16
    return p[0]


cdef inline Py_ssize_t hash_item(const uint8_t *p, Py_ssize_t size) noexcept nogil:
    """Where to look for an item in the table: the highest bits of a sum over its words."""
    cdef uint64_t total = load_last(p, size)
    cdef Py_ssize_t k
    for k in range((size - 1) // 8):
        total += load(p + 8 * k) * <uint64_t>(2 * k + 3)
    return <Py_ssize_t>(total * <uint64_t>0x9E3779B97F4A7C15 >> (64 - BITS))


cdef inline bint same_item(const uint8_t *p, const uint8_t *q, Py_ssize_t size) noexcept nogil:
    """Whether two items have the same bytes."""
    cdef uint64_t difference = load_last(p, size) ^ load_last(q, size)
    cdef Py_ssize_t k
    for k in range((size - 1) // 8):
        difference |= load(p + 8 * k) ^ load(q + 8 * k)
    return difference == 0


cdef inline int number_items(const uint8_t[:, :] items, Py_ssize_t size, uint8_t *codes,
                             Py_ssize_t *first) noexcept nogil:
    """Number items in order of appearance; how many are distinct, -1 for more than MOST."""
    cdef int16_t[1 << BITS] table
    cdef Py_ssize_t i, place, stride = items.strides[0]
    cdef const uint8_t *start = &items[0, 0]
    cdef const uint8_t *item
    cdef int n_found = 0, number
    for place in range(1 << BITS):
        table[place] = -1
    for i in range(items.shape[0]):
        item = start + i * stride
        place = hash_item(item, size)
        number = table[place]
        while number >= 0 and not same_item(item, start + first[number] * stride, size):
            place = (place + 1) & ((1 << BITS) - 1)
            number = table[place]
        if number < 0:
            if n_found == MOST:
                return -1
            number = table[place] = n_found
            first[number] = i
            n_found += 1
        codes[i] = number
    return n_found


def number_bytes(const uint8_t[:, :] items):
    """Number items of equal size by their bytes, in order of appearance.

    Parameters
    ----------
    items : (n, size) uint8
        At least one item of at least one byte; the bytes of each are contiguous.

    Returns
    -------
    first : (n_distinct,) intp, or None where more than 256 items are distinct
        Where each distinct item appears first.
    codes : (n,) uint8
        Which of these each item is.
    """
    codes, first = np.empty(items.shape[0], dtype=np.uint8), np.empty(MOST, dtype=np.intp)
    cdef uint8_t[::1] code = codes
    cdef Py_ssize_t[::1] firsts = first
    cdef int n_found
    with nogil:
        if items.shape[1] == 1:  # sizes that occur most, each compiled to a loop of its own
            n_found = number_items(items, 1, &code[0], &firsts[0])
        elif items.shape[1] == 4:
            n_found = number_items(items, 4, &code[0], &firsts[0])
        elif items.shape[1] == 8:
            n_found = number_items(items, 8, &code[0], &firsts[0])
        elif items.shape[1] == 32:
            n_found = number_items(items, 32, &code[0], &firsts[0])
        else:
            n_found = number_items(items, items.shape[1], &code[0], &firsts[0])
    return (first[:n_found] if n_found >= 0 else None), codes


def number_objects(numpy.ndarray[object, ndim=1] values):
    """Number hashable objects in order of appearance.

    Parameters
    ----------
    values : (n,) object

    Returns
    -------
    distinct : list
    codes : (n,) int32
        Which of these each object equals.
    """
    codes = np.empty(values.shape[0], dtype=np.int32)
    cdef int[::1] code = codes
    cdef dict numbers = {}
    cdef object value, last = numbers  # no label
    cdef int number = 0
    cdef Py_ssize_t i
    for i in range(values.shape[0]):
        value = values[i]
        if value is not last:
            number = numbers.setdefault(value, len(numbers))
            last = value
        code[i] = number
    return list(numbers), codes


def renumber(const code_type[:] codes, const int[::1] numbers, int[::1] out):
    """out = numbers[codes], all (n,); codes must be indices of `numbers`, and may be `out`."""
    cdef Py_ssize_t i
    with nogil:
        for i in range(codes.shape[0]):
            out[i] = numbers[codes[i]]
