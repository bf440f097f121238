"""Labels of events as numbers."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

import nextstat._events._encoding as _encoding
from nextstat._execution.threads import threads_here

Array = npt.NDArray[Any]
Codes = npt.NDArray[np.int32]
T = TypeVar("T")

_ENOUGH = 500_000  # labels, to start threads for


def encode(values: Any, name: str) -> tuple[Array, Codes]:
    """Number labels, few of them distinct, in sorted order.

    As `numpy.unique` with `return_inverse=True`, in one pass instead of a sort.

    Parameters
    ----------
    values : (n,) array_like
        Labels: numbers, booleans or strings in a NumPy array, a pandas or polars Series of any
        type, categorical ones included, or a list.
    name : str
        What errors call the values.

    Returns
    -------
    unique : (n_labels,) ndarray
        Sorted labels that occur. Strings of any origin are NumPy strings.
    codes : (n,) int32 ndarray
        Index of each value in `unique`.

    Raises
    ------
    ValueError
        If values are missing, not one-dimensional, none at all, or cannot be ordered.
    """
    pandas, polars = sys.modules.get("pandas"), sys.modules.get("polars")
    if pandas is not None and isinstance(values, pandas.Series | pandas.Index):
        values = values.array
    if pandas is not None and isinstance(values, pandas.api.extensions.ExtensionArray):
        if isinstance(values, pandas.Categorical):
            _check_shape(values.shape, name)
            return _used(values.categories.to_numpy(), values.codes, name)
        if not isinstance(values, pandas.arrays.NumpyExtensionArray):
            _check_shape(values.shape, name)
            codes, distinct = pandas.factorize(values)
            return _used(np.asarray(distinct, dtype=object), codes, name)
    if polars is not None and isinstance(values, polars.Series):
        _check_shape(values.shape, name)
        _check_missing(values.null_count(), name)
        if values.dtype in (polars.String, polars.Categorical, polars.Enum):
            strings = values.cast(polars.String)
            distinct = strings.unique()
            numbers = strings.cast(polars.Enum(distinct)).to_physical()
            return _used(distinct.to_numpy(), numbers.to_numpy().astype(np.int32), name)
    array = np.asarray(values)
    if array.dtype.kind in "US" and not isinstance(values, np.ndarray):
        array = np.asarray(values, dtype=object)  # a list of strings, or of strings and others
    elif array.dtype.kind == "T":
        array = array.astype(object)
    _check_shape(array.shape, name)
    return _encode_objects(array, name) if array.dtype == object else _encode_array(array, name)


def _encode_array(array: Array, name: str) -> tuple[Array, Codes]:
    if array.dtype.kind in "biufmMUS" and array.dtype.itemsize > 0 and array.dtype.char != "g":
        n_parts = threads_here() if len(array) >= _ENOUGH else 1
        encoded = _encode_bytes(np.array_split(array, n_parts))
        if encoded is not None and not _missing(encoded[0]).any():
            return encoded
    _check_missing(np.count_nonzero(_missing(array)), name)
    unique, codes = np.unique(array, return_inverse=True)
    return unique, codes.astype(np.int32)


def _encode_bytes(parts: list[Array]) -> tuple[Array, Codes] | None:
    """Number labels by their bytes, each part on a thread; None for many distinct ones."""
    numbered = _each(_number_bytes, parts)
    firsts = [first for first, _ in numbered if first is not None]
    if len(firsts) < len(parts):
        return None
    distinct = np.concatenate([part[first] for part, first in zip(parts, firsts, strict=True)])
    unique, order = np.unique(distinct, return_inverse=True)
    codes = np.empty(sum(map(len, parts)), dtype=np.int32)
    ends = np.cumsum([len(first) for first in firsts])[:-1]
    _each(
        _encoding.renumber,
        [numbers for _, numbers in numbered],
        np.split(order.astype(np.int32), ends),
        np.array_split(codes, len(parts)),
    )
    return unique, codes


def _number_bytes(array: Array) -> tuple[npt.NDArray[np.intp] | None, npt.NDArray[np.uint8]]:
    return _encoding.number_bytes(array[:, None].view(np.uint8))


def _each(function: Callable[..., T], *columns: Sequence[Any]) -> list[T]:
    """Call a function that releases the GIL for each row, all at a time."""
    if len(columns[0]) == 1:
        return [function(*(column[0] for column in columns))]
    with ThreadPoolExecutor(len(columns[0])) as pool:
        return list(pool.map(function, *columns))


def _encode_objects(array: Array, name: str) -> tuple[Array, Codes]:
    try:
        distinct, numbers = _encoding.number_objects(array)
    except TypeError:
        raise ValueError(f"{name} holds objects that are no labels: they have no hash") from None
    missing = [k for k, label in enumerate(distinct) if _is_missing(label)]
    if missing:
        _check_missing(np.count_nonzero(np.isin(numbers, missing)), name)
    return _sorted(_as_array(distinct, name), numbers)


def _used(categories: Array, numbers: npt.NDArray[np.integer], name: str) -> tuple[Array, Codes]:
    """Labels and codes where numbers of categories are known, -1 where a value is missing."""
    _check_missing(np.count_nonzero(numbers < 0), name)
    used = np.bincount(numbers, minlength=len(categories)) > 0
    distinct = categories[used]
    if distinct.dtype == object:
        distinct = _as_array(distinct.tolist(), name)
    return _sorted(distinct, _renumbered(numbers, np.cumsum(used) - 1))


def _as_array(distinct: list[Any], name: str) -> Array:
    """Distinct labels as an array of what they are, which can be sorted."""
    try:
        ordered = np.asarray(sorted(distinct))
    except TypeError:
        kinds = ", ".join(sorted({type(label).__name__ for label in distinct}))
        raise ValueError(f"{name} mixes labels that have no common order: {kinds}") from None
    if ordered.ndim != 1:
        raise ValueError(f"{name} holds sequences, expected numbers or strings")
    return np.array(distinct, dtype=ordered.dtype)


def _sorted(distinct: Array, numbers: npt.NDArray[np.integer]) -> tuple[Array, Codes]:
    unique, order = np.unique(distinct, return_inverse=True)
    return unique, _renumbered(numbers, order)


def _renumbered(codes: npt.NDArray[np.integer], numbers: npt.NDArray[np.integer]) -> Codes:
    out = np.empty(len(codes), dtype=np.int32)
    _encoding.renumber(codes, numbers.astype(np.int32), out)
    return out


def _missing(array: Array) -> npt.NDArray[np.bool_]:
    """Which values are NaN or NaT."""
    return np.asarray(array != array)


def _is_missing(label: Any) -> bool:
    """Whether an object stands for no value: None, NaN, NaT or pandas.NA."""
    return label is None or type(label).__name__ == "NAType" or bool(label != label)


def _check_missing(n_missing: int | np.integer, name: str) -> None:
    if n_missing:
        raise ValueError(f"{name} is missing (NaN or None) for {n_missing} rows")


def _check_shape(shape: tuple[int, ...], name: str) -> None:
    if len(shape) != 1 or shape[0] == 0:
        raise ValueError(f"{name} has shape {shape}, expected one label for each event")
