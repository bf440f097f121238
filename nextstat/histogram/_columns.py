"""Columns of events, and bins to fill them into, as the kernels take them."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from nextstat._base.arguments import check_integer
from nextstat._base.arrays import Vector

Floats = npt.NDArray[np.float32] | npt.NDArray[np.float64]
Codes = npt.NDArray[np.int32]
Overflow = Literal["drop", "keep"]

NONE = np.empty(0)  # stands for unit weights
ONE_GROUP = np.empty(0, dtype=np.int32)


def as_column(values: npt.ArrayLike, name: str, n_events: int | None = None) -> Floats:
    """A column of float32 or float64, (n_events,), in place where it is one already."""
    column = as_floats(values)
    expected = f"({'n_events' if n_events is None else n_events},)"
    if column.ndim != 1 or n_events not in (None, len(column)):
        raise ValueError(f"{name} has shape {column.shape}, expected {expected}")
    return column


def as_floats(values: npt.ArrayLike) -> Floats:
    """An aligned array of float32 or float64 in native byte order, in place where it is one."""
    array = np.asarray(values)
    if array.dtype not in (np.float32, np.float64) or not array.flags.aligned:
        array = array.astype(np.float64)
    return array


def as_groups(
    groups: npt.ArrayLike | None, n_groups: int | None, n_events: int
) -> tuple[Codes, int]:
    """Codes of groups, (n_events,) or none, and the number of groups.

    Raises
    ------
    TypeError, ValueError
        If the codes are no integers, out of range, or of another shape.
    """
    if groups is None:
        if n_groups is not None:
            raise ValueError("n_groups is given, but no groups")
        return ONE_GROUP, 1
    codes = np.asarray(groups)
    if codes.dtype.kind not in "iu" and codes.size:
        raise TypeError(f"groups holds {codes.dtype}, expected integers")
    if codes.shape != (n_events,):
        raise ValueError(f"groups has shape {codes.shape}, expected ({n_events},)")
    if n_groups is None:
        n_groups = int(codes.max(initial=-1)) + 1
    n_groups = check_integer(n_groups, "n_groups", 0)
    if codes.dtype != np.int32:
        check_codes(codes, n_groups)
    return codes.astype(np.int32, copy=False), n_groups


def check_codes(codes: npt.NDArray[Any], n_groups: int) -> None:
    """Raise ValueError if a code is not in 0 to n_groups - 1."""
    for found in (codes.min(initial=0), codes.max(initial=0)):
        if codes.size and not 0 <= found < n_groups:
            raise ValueError(f"groups holds {found}, expected codes from 0 to {n_groups - 1}")


def check_no_nan(**columns: Floats) -> None:
    """Raise ValueError if one of the columns holds NaN."""
    for name, values in columns.items():
        if missing := np.count_nonzero(np.isnan(values)):
            raise ValueError(f"{name} is NaN for {missing} events")


def check_edges(edges: npt.ArrayLike) -> Vector:
    """Bin edges, (n_bins + 1,), that increase; the outer two may be infinite.

    Raises
    ------
    ValueError
        If they are not that.
    """
    bounds = np.ascontiguousarray(edges, dtype=np.float64)
    if np.ndim(edges) != 1 or len(bounds) < 2:
        raise ValueError(f"edges has shape {np.shape(edges)}, expected at least two edges")
    if not (np.all(np.isfinite(bounds[1:-1])) and np.all(bounds[1:] > bounds[:-1])):
        raise ValueError("edges must increase and, but for the outer two, be finite")
    return bounds


def finite_edges(edges: Vector, overflow: Overflow) -> tuple[Vector, slice]:
    """Edges that separate events, and which of the slots between and beyond them are the bins.

    A bin without an outer edge, be it infinite or `overflow="keep"`, takes the whole tail.
    """
    if overflow not in ("drop", "keep"):
        raise ValueError(f"overflow is {overflow!r}, expected 'drop' or 'keep'")
    below = overflow == "keep" or edges[0] == -np.inf
    above = overflow == "keep" or edges[-1] == np.inf
    inner = edges[int(below) : len(edges) - int(above)]
    return inner, slice(int(not below), len(inner) + int(above))


def split(sums: Vector, groups: npt.ArrayLike | None) -> tuple[Vector, Vector]:
    """Yields and variances of (n_groups, n_bins, 2) sums; (n_bins,) where there are no groups."""
    yields, variances = np.ascontiguousarray(sums.transpose(2, 0, 1))
    return (yields, variances) if groups is not None else (yields[0], variances[0])
