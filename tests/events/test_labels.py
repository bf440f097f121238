"""Labels as numbers: always what numpy.unique gives."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import nextstat
from nextstat._events.labels import encode

TEXT = ["nominal", "jes_up", "jes_down", "", "nominal_", "µ"]


def check(values: Any, expected: npt.ArrayLike) -> None:
    """Compare with numpy.unique of what the values are."""
    unique, codes = encode(values, "y")
    wanted, inverse = np.unique(np.asarray(expected), return_inverse=True)
    assert codes.dtype == np.int32
    assert unique.dtype == wanted.dtype
    np.testing.assert_array_equal(unique, wanted)
    np.testing.assert_array_equal(codes, inverse)


def any_array() -> st.SearchStrategy[npt.NDArray[Any]]:
    """Arrays of every fixed-width type that can be sorted, few or many of their items distinct."""
    types = st.one_of(
        hnp.boolean_dtypes(),
        hnp.integer_dtypes(endianness="?"),
        hnp.unsigned_integer_dtypes(endianness="?"),
        hnp.floating_dtypes(endianness="?"),
        hnp.unicode_string_dtypes(endianness="?", min_len=1, max_len=11),
        hnp.byte_string_dtypes(min_len=1, max_len=35),
        hnp.datetime64_dtypes(endianness="?"),
    )
    return types.flatmap(lambda dtype: hnp.arrays(dtype, st.integers(1, 60)))


@given(array=any_array(), repeats=st.integers(1, 3), step=st.sampled_from([1, 2, 3, -1, -2]))
def test_arrays(array: npt.NDArray[Any], repeats: int, step: int) -> None:
    """Any type, byte order and stride; an array with missing values says so."""
    values = np.tile(array, repeats)[::step]
    missing = np.count_nonzero(values != values)
    if missing:
        with pytest.raises(ValueError, match=rf"^y is missing \(NaN or None\) for {missing} rows$"):
            encode(values, "y")
    else:
        native = values.astype(values.dtype.newbyteorder("="))
        unique, codes = encode(values, "y")
        wanted, inverse = np.unique(native, return_inverse=True)
        np.testing.assert_array_equal(unique, wanted)
        np.testing.assert_array_equal(codes, inverse)


@given(st.lists(st.sampled_from(TEXT), min_size=1, max_size=50))
def test_strings(labels: list[str]) -> None:
    """Strings from wherever they come."""
    polars = pytest.importorskip("polars")
    categories = ["unused", *reversed(TEXT)]
    for values in (
        labels,
        tuple(labels),
        np.array(labels, dtype=object),
        np.array(labels, dtype=object)[::-1][::-1],
        np.array([*labels, "longer than any"])[:-1],
        pd.Series(labels),
        pd.Series(labels, dtype=object),
        pd.Series(labels, dtype="string"),
        pd.Series(labels, index=range(7, 7 + len(labels))).iloc[:],
        pd.Index(labels),
        pd.Series(pd.Categorical(labels, categories=categories)),
        pd.Categorical(labels, categories=categories),
        polars.Series(labels),
        polars.Series(labels, dtype=polars.Categorical),
        polars.Series(labels, dtype=polars.Enum(categories)),
    ):
        unique, codes = encode(values, "y")
        wanted, inverse = np.unique(np.array(labels), return_inverse=True)
        assert unique.dtype.kind == "U"
        assert unique.tolist() == wanted.tolist()
        assert codes.tolist() == inverse.tolist()


@given(st.lists(st.integers(-3, 3), min_size=1, max_size=50))
def test_numbers(labels: list[int]) -> None:
    """Numbers from wherever they come."""
    polars = pytest.importorskip("polars")
    for values in (
        labels,
        np.array(labels, dtype=object),
        pd.Series(labels),
        pd.Series(labels, dtype="Int64"),
        pd.Series(labels, dtype="category"),
        polars.Series(labels),
    ):
        check(values, labels)
    halves = [label / 2 for label in labels]
    for values in (halves, pd.Series(halves), pd.Series(halves, dtype="Float64"), np.array(halves)):
        check(values, halves)
    truths = [label > 0 for label in labels]
    for values in (truths, pd.Series(truths), pd.Series(truths, dtype="boolean")):
        check(values, truths)


@pytest.mark.parametrize("n", [255, 256, 257, 5000])
@pytest.mark.parametrize("dtype", ["i8", "f4", "U9", "O"])
def test_many_labels(n: int, dtype: str) -> None:
    """Past the table's size the result is the same."""
    values = np.random.default_rng(0).permutation(np.repeat(np.arange(n), 3)).astype(dtype)
    check(values, values.tolist() if dtype == "O" else values)


def test_zeros() -> None:
    """Both zeros are one label, as are equal numbers of different types."""
    unique, codes = encode(np.array([0.0, -0.0, 1.0, -0.0]), "y")
    assert unique.tolist() == [0.0, 1.0]
    assert codes.tolist() == [0, 0, 1, 0]
    assert encode(np.array([1, 1.0, True, 0], dtype=object), "y")[1].tolist() == [1, 1, 1, 0]


def test_read_only() -> None:
    """Arrays that may not be written to are read."""
    for values in (np.array(["b", "a"]), np.array(["b", "a"], dtype=object)):
        values.flags.writeable = False
        assert encode(values, "y")[1].tolist() == [1, 0]


MISSING = {
    "float": np.array([1.0, np.nan, np.nan]),
    "float with many labels": np.append(np.arange(1000.0), [np.nan, np.nan]),
    "date": np.array(["2020-01-01", "NaT", "NaT"], dtype="M8[D]"),
    "list": ["a", None, float("nan")],
    "object": np.array(["a", np.nan, pd.NA], dtype=object),
    "times": np.array(["a", pd.NaT, None], dtype=object),
    "mixed": np.array(["a", 1, None, None], dtype=object),
    "pandas str": pd.Series(["a", None, None]),
    "pandas string": pd.Series(["a", None, None], dtype="string"),
    "pandas Int64": pd.Series([1, None, None], dtype="Int64"),
    "pandas float": pd.Series([1.0, None, None]),
    "categorical": pd.Series(["a", None, None], dtype="category"),
}


@pytest.mark.parametrize("values", MISSING.values(), ids=MISSING.keys())
def test_missing(values: Any) -> None:
    """Missing values are counted."""
    with pytest.raises(ValueError, match=r"^variation is missing \(NaN or None\) for 2 rows$"):
        encode(values, "variation")


def test_missing_in_polars() -> None:
    """Null and NaN of polars are missing values."""
    polars = pytest.importorskip("polars")
    for values in (
        polars.Series(["a", None, None]),
        polars.Series([1, None, None]),
        polars.Series([1.0, None, None]),
        polars.Series([1.0, float("nan"), float("nan")]),
        polars.Series(["a", None, None], dtype=polars.Categorical),
    ):
        with pytest.raises(ValueError, match=r"y is missing \(NaN or None\) for 2 rows"):
            encode(values, "y")


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ([], r"y has shape \(0,\), expected one label for each event"),
        (pd.Series([], dtype=str), r"shape \(0,\)"),
        (pd.Series([], dtype="category"), r"shape \(0,\)"),
        ("nominal", r"shape \(\)"),
        (np.zeros((3, 2)), r"shape \(3, 2\)"),
        ([1, "a"], "y mixes labels that have no common order: int, str"),
        (np.array([1, "a"], dtype=object), "y mixes labels that have no common order: int, str"),
        (pd.Series([1, "a"]), "int, str"),
        (pd.Series([1, "a"], dtype="category"), "int, str"),
        (np.array([{}, []], dtype=object), "y holds objects that are no labels"),
    ],
)
def test_errors(values: Any, message: str) -> None:
    """What is no column of labels is a ValueError that says why."""
    with pytest.raises(ValueError, match=message):
        encode(values, "y")


def test_many_polars_categories() -> None:
    """More than one byte can number."""
    values = pl.Series([f"event {k}" for k in range(70_000)])
    for series in (values, values.cast(pl.Categorical), values[:300]):
        unique, codes = encode(series, "groups")
        assert unique[codes].tolist() == series.cast(pl.String).to_list()


@pytest.mark.parametrize("n_distinct", [3, 300])
def test_threads_do_not_matter(n_distinct: int) -> None:
    """Each numbers a part of many rows; parts may lack labels."""
    rng = np.random.default_rng(0)
    values = np.sort(rng.integers(n_distinct, size=600_001)).astype("U5")[::-1]
    expected = np.unique(values, return_inverse=True)
    for n_threads in (1, 3):
        nextstat.set_num_threads(n_threads)
        try:
            unique, codes = encode(values, "y")
        finally:
            nextstat.set_num_threads(0)
        np.testing.assert_array_equal(unique, expected[0])
        np.testing.assert_array_equal(codes, expected[1])
