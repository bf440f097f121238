"""Filling histograms: always what numpy.histogram gives."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import textwrap
from collections.abc import Iterator
from typing import Any

import boost_histogram as bh
import joblib
import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

import nextstat
from nextstat._execution.threads import threads_here
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
        ([0.5], [np.nan, 0.0], None, "finite"),
        ([0.5], [0.0, np.inf, np.inf], None, "finite"),
        ([0.5], [0.0, -np.inf], None, "increase"),
        ([0.5], [np.inf, 0.0], None, "increase"),
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


# Groups -----------------------------------------------------------------------------------------


@EDGES
@pytest.mark.parametrize("overflow", ["drop", "keep"])
@pytest.mark.parametrize("dtype", ["i4", "i8", "u1", ">i4"])
def test_groups(edges: npt.NDArray[np.float64], overflow: Any, dtype: str) -> None:
    """One pass over all groups is one call for each, empty groups included."""
    rng = np.random.default_rng(3)
    x, w, groups = events(), rng.normal(size=5000), rng.choice([0, 1, 2, 4], 5000)
    yields, variances = fill_histogram(
        x, edges, w, groups=groups.astype(dtype), n_groups=7, overflow=overflow
    )
    assert yields.shape == variances.shape == (7, len(edges) - 1)
    assert yields.flags.c_contiguous
    for g in range(7):
        mine = groups == g
        alone = fill_histogram(x[mine], edges, w[mine], overflow=overflow)
        np.testing.assert_array_equal(yields[g], alone[0])
        np.testing.assert_array_equal(variances[g], alone[1])


def test_number_of_groups() -> None:
    """As many as the highest code says, unless told; one group is still a row."""
    x = [0.5, 0.5, 0.5]
    assert fill_histogram(x, [0, 1], groups=[2, 0, 2])[0].tolist() == [[1.0], [0.0], [2.0]]
    assert fill_histogram(x, [0, 1], groups=[0, 0, 0])[0].tolist() == [[3.0]]
    assert fill_histogram([], [0, 1], groups=[], n_groups=2)[0].tolist() == [[0.0], [0.0]]
    assert fill_histogram([], [0, 1], groups=[])[0].shape == (0, 1)


@pytest.mark.parametrize(
    ("groups", "n_groups", "error", "message"),
    [
        ([0, 3], 3, ValueError, "groups holds 3, expected codes from 0 to 2"),
        ([0, -1], None, ValueError, "groups holds -1, expected codes from 0 to 0"),
        (np.array([0, 5], "i4"), 2, ValueError, "groups holds 5"),
        (np.array([-7, 0], "i4"), 2, ValueError, "groups holds -7"),
        ([0, 2**40], 2, ValueError, "groups holds 1099511627776"),
        ([0], None, ValueError, r"groups has shape \(1,\), expected \(2,\)"),
        ([0.0, 1.0], None, TypeError, "groups holds float64, expected integers"),
        ([0, 1], -2, ValueError, "n_groups is -2"),
        ([0, 1], 2.0, TypeError, "n_groups is 2.0"),
        (None, 2, ValueError, "no groups"),
    ],
)
def test_group_errors(groups: Any, n_groups: Any, error: type[Exception], message: str) -> None:
    """Codes out of range are named."""
    with pytest.raises(error, match=message):
        fill_histogram([0.5, 0.6], [0.0, 1.0], groups=groups, n_groups=n_groups)


# Overflow ---------------------------------------------------------------------------------------


@given(edges=binnings(), data=st.data())
def test_keep(edges: npt.NDArray[np.float64], data: st.DataObject) -> None:
    """Edge bins take the tails: no event is lost, as with infinite outer edges."""
    near = st.sampled_from(edges.tolist())
    x = data.draw(st.lists(st.one_of(near, st.floats(allow_nan=False)), max_size=40))
    yields, variances = fill_histogram(x, edges, overflow="keep")
    clipped = np.clip(np.array(x), edges[0], edges[-1])
    np.testing.assert_array_equal(yields, np.histogram(clipped, edges)[0])
    np.testing.assert_array_equal(variances, yields)
    opened = np.concatenate([[-np.inf], edges[1:-1], [np.inf]])
    np.testing.assert_array_equal(yields, fill_histogram(x, opened)[0])


def test_infinite_edges() -> None:
    """One open side, or two, with the other side as it was."""
    x = [-np.inf, -5.0, 0.0, 0.5, 1.0, 2.0, 9.0, np.inf]
    assert fill_histogram(x, [-np.inf, 0.0, 1.0, 2.0])[0].tolist() == [2.0, 2.0, 2.0]
    assert fill_histogram(x, [0.0, 1.0, np.inf])[0].tolist() == [2.0, 4.0]
    assert fill_histogram(x, [-np.inf, 1.0, np.inf])[0].tolist() == [4.0, 4.0]
    assert fill_histogram(x, [-np.inf, np.inf])[0].tolist() == [8.0]
    assert fill_histogram(x, [0.0, 1.0], overflow="keep")[0].tolist() == [8.0]
    assert fill_histogram([], [-np.inf, np.inf])[0].tolist() == [0.0]


def test_wrong_overflow() -> None:
    """Anything but the two is refused."""
    with pytest.raises(ValueError, match="overflow is 'fold', expected 'drop' or 'keep'"):
        fill_histogram([0.5], [0.0, 1.0], overflow="fold")  # type: ignore[arg-type]


# Memory, peers, threads -------------------------------------------------------------------------


@EDGES
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_in_place(edges: npt.NDArray[np.float64], dtype: Any) -> None:
    """A column of a table, weights of either precision, and fields that are not aligned."""
    table = np.random.default_rng(4).normal(size=(3000, 5)).astype(dtype)
    check(table[:, 2], edges, table[:, 4])
    check(table[::-2, 3], edges, table[::-2, 0].astype(np.float32))
    packed = np.zeros(3000, dtype=[("flag", "u1"), ("x", dtype)])
    packed["x"] = table[:, 1]
    check(packed["x"], edges)


@given(data=st.data())
def test_uneven_bins(data: st.DataObject) -> None:
    """Bins of widths that differ by any factor, many of them in one cell of the lookup."""
    exponents = data.draw(st.sets(st.integers(-60, 60), min_size=2, max_size=40))
    edges = np.sort(
        np.concatenate([-(2.0 ** np.array([*exponents])), 2.0 ** np.array([*exponents])])
    )
    x = np.concatenate([edges, np.nextafter(edges, -np.inf), np.nextafter(edges, np.inf)])
    check(x, edges)
    check(x.astype(np.float32), edges)


@pytest.mark.parametrize("weighted", [False, True])
def test_boost_histogram(weighted: bool) -> None:
    """The same as boost-histogram, with its variable axis and weighted storage."""
    rng = np.random.default_rng(5)
    x, groups = events(200_000), rng.integers(0, 4, 200_000)
    w = rng.normal(1.0, 0.3, len(x)) if weighted else None
    peer = bh.Histogram(
        bh.axis.Integer(0, 4), bh.axis.Variable(VARIABLE), storage=bh.storage.Weight()
    ).fill(groups, x, weight=w)
    yields, variances = fill_histogram(x, VARIABLE, w, groups=groups)
    np.testing.assert_allclose(yields, peer.values(), rtol=1e-12)
    np.testing.assert_allclose(variances, peer.variances(), rtol=1e-12)


@pytest.fixture
def default_threads() -> Iterator[None]:
    """The default number of threads again, afterwards."""
    yield
    nextstat.set_num_threads(0)


@pytest.mark.usefixtures("default_threads")
def test_threads() -> None:
    """Not one bit of the result depends on the number of threads."""
    rng = np.random.default_rng(6)
    x, w, groups = rng.normal(size=300_001), rng.normal(size=300_001), rng.integers(0, 3, 300_001)
    results = []
    for n in (1, 2, 3, 7):
        nextstat.set_num_threads(n)
        results.append(np.stack(fill_histogram(x, UNIFORM, w, groups=groups)))
    for other in results[1:]:
        np.testing.assert_array_equal(other, results[0])


@pytest.mark.usefixtures("default_threads")
def test_threads_in_joblib() -> None:
    """A thread of joblib's works alone; a process of joblib's uses what it is given."""
    nextstat.set_num_threads(3)
    assert threads_here() == 3
    call = joblib.delayed(threads_here)
    assert joblib.Parallel(2, backend="threading")(call() for _ in range(4)) == [1] * 4
    assert joblib.Parallel(1)(call() for _ in range(2)) == [3] * 2


@pytest.mark.skipif(not hasattr(os, "fork"), reason="fork is a Unix matter")
def test_fork() -> None:
    """A process forked after threads were started fills on one thread and does not hang."""
    script = """
        import os, sys
        import numpy as np
        import nextstat
        from nextstat.histogram import fill_histogram
        nextstat.set_num_threads(2)
        x = np.linspace(-3, 3, 400_000)
        expected, _ = fill_histogram(x, [-1, 0, 1])
        child = os.fork()
        if child == 0:
            same = np.array_equal(fill_histogram(x, [-1, 0, 1])[0], expected)
            os._exit(0 if same else 1)
        sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
    """
    subprocess.run(
        [sys.executable, "-W", "ignore::DeprecationWarning", "-c", textwrap.dedent(script)],
        check=True,
        timeout=60,
        cwd=tempfile.gettempdir(),  # not the checkout, whose nextstat/ holds no extension module
    )


@pytest.mark.parametrize("overflow", ["drop", "keep"])
def test_events_without_weight_are_as_absent(overflow: Any) -> None:
    """Even where they are nowhere; with a weight, that is an error."""
    rng = np.random.default_rng(0)
    x, weights, groups = rng.normal(size=100), rng.uniform(0.5, 1.0, 100), rng.integers(3, size=100)
    weights[::7], x[::14] = 0.0, np.nan
    kept = weights != 0.0
    options: dict[str, Any] = {"n_groups": 3, "overflow": overflow}
    found = fill_histogram(x, UNIFORM, weights, groups=groups, **options)
    expected = fill_histogram(x[kept], UNIFORM, weights[kept], groups=groups[kept], **options)
    np.testing.assert_array_equal(found, expected)
    weights[14] = 1e-300
    with pytest.raises(ValueError, match="x is NaN for 1 events"):
        fill_histogram(x, UNIFORM, weights, groups=groups, **options)
