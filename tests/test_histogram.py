"""Filling histograms: always what numpy.histogram gives."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nextstat.histogram import fill_histogram

UNIFORM = np.linspace(-2.0, 3.0, 11)
VARIABLE = np.array([-2.0, -1.9, -0.3, 0.0, 1e-12, 0.1, 2.5, 3.0])
EDGES = pytest.mark.parametrize("edges", [UNIFORM, VARIABLE], ids=["uniform", "variable"])


def events(n: int = 5000, seed: int = 0) -> npt.NDArray[np.float64]:
    """Observables inside and outside the range of the edges above."""
    return np.random.default_rng(seed).normal(0.5, 2.0, n)


def check(x: npt.ArrayLike, edges: npt.ArrayLike, weights: npt.ArrayLike | None = None) -> None:
    """Compare with numpy.histogram: unweighted counts exactly."""
    yields, variances = fill_histogram(x, edges, weights)
    counts, _ = np.histogram(x, edges)
    unweighted, squares = fill_histogram(x, edges)
    np.testing.assert_array_equal(unweighted, counts)
    np.testing.assert_array_equal(squares, counts)
    w = np.ones(np.shape(x)) if weights is None else np.asarray(weights, dtype=np.float64)
    scale = max(1.0, np.abs(w).max(initial=0.0))
    expected, _ = np.histogram(x, edges, weights=w)
    np.testing.assert_allclose(yields, expected, rtol=1e-12, atol=1e-11 * scale)
    expected, _ = np.histogram(x, edges, weights=w**2)
    np.testing.assert_allclose(variances, expected, rtol=1e-12, atol=1e-11 * scale**2)


@EDGES
def test_counts(edges: npt.NDArray[np.float64]) -> None:
    """Events, with and without weights of both signs."""
    x = events()
    check(x, edges)
    check(x, edges, np.random.default_rng(1).normal(1.0, 0.8, len(x)))


def test_result() -> None:
    """Two float64 arrays, one entry per bin, summed by hand."""
    yields, variances = fill_histogram([0.5, 1.5, 1.7], [0.0, 1.0, 2.0], [2.0, 3.0, -1.0])
    assert yields.dtype == variances.dtype == np.float64
    assert yields.tolist() == [2.0, 2.0]
    assert variances.tolist() == [4.0, 10.0]


@EDGES
@pytest.mark.parametrize("dtype", ["f4", "f8", ">f8", "f2", "i8", "i4", "u1"])
def test_types(edges: npt.NDArray[np.float64], dtype: str) -> None:
    """Any real type is filled as its own values, not as rounded ones."""
    x = np.clip(events(), 0.0 if dtype == "u1" else -9.0, 9.0).astype(dtype)
    check(x, edges)
    check(x, edges, np.arange(len(x)))


@EDGES
def test_float32_near_edges(edges: npt.NDArray[np.float64]) -> None:
    """Single-precision neighbours of an edge are compared with it in double precision."""
    x = edges.astype(np.float32)
    above, below = np.nextafter(x, np.float32(9)), np.nextafter(x, np.float32(-9))
    check(np.concatenate([x, above, below]), edges)


@EDGES
def test_on_edges(edges: npt.NDArray[np.float64]) -> None:
    """An edge belongs to the bin above it, the last edge to the last bin."""
    yields, _ = fill_histogram(edges, edges)
    assert yields.tolist() == [1.0] * (len(edges) - 2) + [2.0]
    below, above = np.nextafter(edges, -np.inf), np.nextafter(edges, np.inf)
    assert fill_histogram(below, edges)[0].tolist() == [1.0] * (len(edges) - 1)
    assert fill_histogram(above, edges)[0].tolist() == [1.0] * (len(edges) - 1)


@EDGES
def test_outside(edges: npt.NDArray[np.float64]) -> None:
    """What lies outside is not counted, infinities included."""
    yields, variances = fill_histogram([-np.inf, -1e300, -2.1, 3.1, 1e300, np.inf], edges)
    assert not yields.any()
    assert not variances.any()


@EDGES
def test_memory_layouts(edges: npt.NDArray[np.float64]) -> None:
    """Strided, reversed, read-only and list inputs; none is modified."""
    x, w = events(), np.random.default_rng(2).uniform(size=5000)
    for array in (x, w):
        array.flags.writeable = False
    check(x, edges, w)
    check(x[::3], edges, w[::3])
    check(x[::-1], edges, w[::-1])
    check(x.tolist(), edges.tolist(), w.tolist())


def test_empty() -> None:
    """No events give empty bins, with and without weights."""
    for yields, variances in (fill_histogram([], UNIFORM), fill_histogram([], UNIFORM, [])):
        assert yields.tolist() == variances.tolist() == [0.0] * 10


def test_one_bin() -> None:
    """A single bin includes both of its edges."""
    assert fill_histogram([0.0, 0.5, 1.0, 1.1], [0.0, 1.0])[0].tolist() == [3.0]


finite = st.floats(-1e6, 1e6, allow_subnormal=False)


@st.composite
def binnings(draw: st.DrawFn) -> npt.NDArray[np.float64]:
    """Equally wide bins, as anyone would make them, or arbitrary ones."""
    if draw(st.booleans()):
        lo = draw(finite)
        width = draw(st.floats(1e-3, 1e6))
        return np.linspace(lo, lo + width, draw(st.integers(2, 60)))
    return np.array(sorted(draw(st.sets(finite, min_size=2, max_size=12))))


@given(edges=binnings(), data=st.data())
def test_any_events(edges: npt.NDArray[np.float64], data: st.DataObject) -> None:
    """Any binning, any events: those next to an edge above all."""
    near = st.sampled_from(edges.tolist()).flatmap(
        lambda x: st.sampled_from([x, np.nextafter(x, -np.inf), np.nextafter(x, np.inf)])
    )
    x = data.draw(st.lists(st.one_of(finite, near, st.floats(allow_nan=False)), max_size=40))
    weights = data.draw(
        st.none() | st.lists(st.floats(-100, 100), min_size=len(x), max_size=len(x))
    )
    check(np.array(x), edges, weights)


@given(
    offset=st.floats(-1e9, 1e9),
    width=st.floats(1e-6, 1e3),
    n_bins=st.integers(1, 2000),
    seed=st.integers(0, 2**32 - 1),
)
def test_uniform_bins(offset: float, width: float, n_bins: int, seed: int) -> None:
    """The shortcut for equally wide bins ends in the bin that a search finds."""
    edges = offset + width * np.arange(n_bins + 1)
    if not np.all(np.diff(edges) > 0):
        return
    rng = np.random.default_rng(seed)
    x = np.concatenate([edges, np.nextafter(edges, -np.inf), np.nextafter(edges, np.inf)])
    inside = rng.uniform(edges[0], edges[-1], 200)
    check(np.concatenate([x, inside]), edges)
    check(np.concatenate([x, inside]).astype(np.float32), edges)


@given(st.lists(st.floats(-5, 5), max_size=50), st.integers(0, 50))
def test_additive(x: list[float], cut: int) -> None:
    """Filling two parts and adding is filling the whole, exactly, for unit weights."""
    first, second = fill_histogram(x[:cut], VARIABLE), fill_histogram(x[cut:], VARIABLE)
    np.testing.assert_array_equal(np.add(first, second), fill_histogram(x, VARIABLE))


@pytest.mark.parametrize(
    ("x", "edges", "weights", "message"),
    [
        ([0.5], [1.0, 0.0], None, "increase"),
        ([0.5], [0.0, 0.0], None, "increase"),
        ([0.5], [0.0, 1.0, 0.5], None, "increase"),
        ([0.5], [0.0, np.nan], None, "finite"),
        ([0.5], [0.0, np.inf], None, "finite"),
        ([0.5], [0.0], None, r"edges has shape \(1,\)"),
        ([0.5], [], None, r"edges has shape \(0,\)"),
        ([0.5], [[0.0, 1.0]], None, r"edges has shape \(1, 2\)"),
        ([[0.5]], [0.0, 1.0], None, r"x has shape \(1, 1\)"),
        ([0.5], [0.0, 1.0], [1.0, 2.0], r"weights has shape \(2,\), expected \(1,\)"),
        ([0.5], [0.0, 1.0], [], r"weights has shape \(0,\)"),
        ([0.5, np.nan, np.nan], [0.0, 1.0], None, "x is NaN for 2 events"),
        ([0.5], [0.0, 1.0], [np.nan], "weights is NaN for 1 events"),
        (["a"], [0.0, 1.0], None, "could not convert"),
    ],
)
def test_errors(x: Any, edges: Any, weights: Any, message: str) -> None:
    """Impossible input is a ValueError that says what is wrong."""
    with pytest.raises(ValueError, match=message):
        fill_histogram(x, edges, weights)


@pytest.mark.parametrize(
    "edges",
    [
        [0.0, 5e-324],
        [0.0, 1e-310, 2e-310],
        [1.0, 1.0 + 2**-52],
        [1e300, 1.0000001e300],
        [-1e308, 0.0, 1e308],
        [-1.7e308, 1.7e308],
    ],
)
def test_extreme_edges(edges: list[float]) -> None:
    """Bins as narrow or as wide as numbers allow: whatever arithmetic on widths does."""
    check([*edges, 0.0, 1.0], edges)
