"""Smoothed histograms against dense formulas, and their derivatives against finite differences."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import mpmath
import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import expit, ndtr, softmax

import nextstat
from nextstat.histogram import (
    fill_histogram,
    smooth_histogram,
    smooth_histogram_gradients,
    softmax_histogram,
    softmax_histogram_gradients,
)

Vector = npt.NDArray[np.float64]
EDGES = np.array([-2.0, -1.5, -0.2, 0.0, 0.7, 3.0])
MODES = pytest.mark.parametrize("mode", ["kde", "sigmoid"])
OVERFLOW = pytest.mark.parametrize("overflow", ["keep", "drop"])


def shares(x: Vector, edges: Vector, h: Any, mode: str, overflow: str) -> Vector:
    """The share of each event in each bin, (n_events, n_bins), by the formula."""
    bounds = edges.copy()
    if overflow == "keep":
        bounds[[0, -1]] = -np.inf, np.inf
    cdf = ndtr if mode == "kde" else expit
    return np.diff(cdf((bounds - x[:, None]) / np.reshape(h, (-1, 1))), axis=1)


def dense(k: Vector, w: Vector, groups: npt.NDArray[np.intp], n: int) -> tuple[Vector, Vector]:
    """Sums of weighted shares and of their squares, (n, n_bins)."""
    wk = w[:, None] * k
    total = np.stack([wk[groups == g].sum(axis=0) for g in range(n)])
    return total, np.stack([(wk[groups == g] ** 2).sum(axis=0) for g in range(n)])


@MODES
@OVERFLOW
@pytest.mark.parametrize("adaptive", [False, True])
@pytest.mark.parametrize("h", [1e-3, 0.1, 1.0, 30.0])
def test_formula(mode: Any, overflow: Any, adaptive: bool, h: float) -> None:
    """The dense formula, for groups and weights of both signs."""
    rng = np.random.default_rng(0)
    x, w, groups = rng.normal(size=500), rng.normal(size=500), rng.integers(0, 3, 500)
    bandwidth = h * rng.uniform(0.5, 2.0, 500) if adaptive else h
    expected = dense(shares(x, EDGES, bandwidth, mode, overflow), w, groups, 3)
    options: Any = {"bandwidth": bandwidth, "mode": mode, "overflow": overflow}
    found = smooth_histogram(x, EDGES, w, groups=groups, **options)
    np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-13)
    mine = groups == 1
    options["bandwidth"] = bandwidth[mine] if adaptive else h  # type: ignore[index]
    alone = smooth_histogram(x[mine], EDGES, w[mine], **options)
    np.testing.assert_allclose(alone, (expected[0][1], expected[1][1]), rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize(("mode", "reach"), [("kde", 8.3), ("sigmoid", 37.0)])
def test_accuracy(mode: Any, reach: float) -> None:
    """Tails of one event on either side: right to 1e-14 relative to their own size."""
    with mpmath.workdps(40):
        for t in np.random.default_rng(0).uniform(0.0, reach, 300):
            if mode == "kde":
                tail = mpmath.erfc(mpmath.mpf(t) / mpmath.sqrt(2)) / 2
                density = mpmath.npdf(t)
            else:
                tail = 1 / (1 + mpmath.exp(t))
                density = tail * (1 - tail)
            for edges, which in (([-np.inf, t, np.inf], 1), ([-np.inf, -t, np.inf], 0)):
                yields, _ = smooth_histogram([0.0], edges, bandwidth=1.0, mode=mode)
                assert abs(yields[which] / float(tail) - 1) < 2e-14
                gradient = smooth_histogram_gradients(
                    [0.0], edges, None, [0.0, 1.0], bandwidth=1.0, mode=mode
                )
                assert abs(gradient.x[0] / float(density) - 1) < 2e-14


@pytest.mark.parametrize(("mode", "reach"), [("kde", 8.4), ("sigmoid", 37.3)])
def test_beyond_reach(mode: Any, reach: float) -> None:
    """Far from all edges an event counts in one bin exactly; infinite ones in the outer bins."""
    x = np.array([-np.inf, -reach, reach, np.inf])
    yields, variances = smooth_histogram(x, [-1e9, 0.0, 1e9], bandwidth=1.0, mode=mode)
    assert yields.tolist() == variances.tolist() == [2.0, 2.0]
    gradient = smooth_histogram_gradients(
        x, [-1e9, 0.0, 1e9], None, [1.0, 3.0], bandwidth=1.0, mode=mode
    )
    assert not gradient.x.any()
    assert gradient.bandwidth == 0.0


@MODES
@OVERFLOW
def test_narrow_kernel(mode: Any, overflow: Any) -> None:
    """Without smoothing this is `fill_histogram`."""
    rng = np.random.default_rng(1)
    x, w = rng.normal(scale=2.0, size=2000), rng.normal(size=2000)
    found = smooth_histogram(x, EDGES, w, bandwidth=1e-9, mode=mode, overflow=overflow)
    np.testing.assert_array_equal(found, fill_histogram(x, EDGES, w, overflow=overflow))


@MODES
def test_all_is_kept(mode: Any) -> None:
    """With overflow="keep" the shares of an event add up to one, infinite edges or not."""
    x = np.random.default_rng(2).normal(size=100)
    for edges in (EDGES, [-np.inf, 0.0, np.inf], [-np.inf, np.inf], [0.0, 1.0]):
        yields, _ = smooth_histogram(x, edges, bandwidth=0.5, mode=mode)
        np.testing.assert_allclose(yields.sum(), 100.0, rtol=1e-14)


@MODES
def test_single_precision(mode: Any) -> None:
    """float32 columns of a table are read as they are; derivatives have their type."""
    table = np.random.default_rng(3).normal(size=(300, 4)).astype(np.float32)
    x, w = table[:, 1], table[::-1, 2]
    found = smooth_histogram(x, EDGES, w, bandwidth=0.3, mode=mode)
    expected = smooth_histogram(x.astype(float), EDGES, w.astype(float), bandwidth=0.3, mode=mode)
    np.testing.assert_array_equal(found, expected)
    by_yields = np.arange(5.0)
    single = smooth_histogram_gradients(x, EDGES, w, by_yields, bandwidth=0.3, mode=mode)
    double = smooth_histogram_gradients(
        x.astype(float), EDGES, w.astype(float), by_yields, bandwidth=0.3, mode=mode
    )
    assert single.x.dtype == np.float32
    assert single.weights is not None
    assert single.weights.dtype == np.float32
    np.testing.assert_array_equal(single.x, double.x.astype(np.float32))
    np.testing.assert_array_equal(single.edges, double.edges)


# Derivatives ------------------------------------------------------------------------------------


def difference(f: Callable[[Vector], float], at: Vector) -> Vector:
    """Central differences of f by each entry, of fourth order."""
    gradient = np.empty_like(at)
    for k in range(at.size):
        step = np.zeros_like(at)
        step.flat[k] = 1e-3
        gradient.flat[k] = (
            8.0 * (f(at + step) - f(at - step)) - (f(at + 2.0 * step) - f(at - 2.0 * step))
        ) / 12e-3
    return gradient


def close(found: Any, expected: Any) -> None:
    """Compare with finite differences."""
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-7)


@given(
    seed=st.integers(0, 2**32 - 1),
    n_events=st.integers(0, 6),
    n_bins=st.integers(1, 5),
    mode=st.sampled_from(["kde", "sigmoid"]),
    overflow=st.sampled_from(["keep", "drop"]),
    adaptive=st.booleans(),
    grouped=st.booleans(),
)
def test_gradients(
    seed: int, n_events: int, n_bins: int, mode: Any, overflow: Any, adaptive: bool, grouped: bool
) -> None:
    """Every derivative of a scalar that depends on yields and variances."""
    rng = np.random.default_rng(seed)
    x, w = rng.normal(size=n_events), rng.normal(size=n_events)
    edges = rng.uniform(-2.0, 0.0) + np.cumsum(rng.uniform(0.1, 1.0, n_bins + 1))
    h = rng.uniform(0.2, 1.5, n_events if adaptive else None)
    options: dict[str, Any] = {"mode": mode, "overflow": overflow}
    if grouped:
        options |= {"groups": rng.integers(0, 2, n_events), "n_groups": 2}
    shape = (2, n_bins) if grouped else (n_bins,)
    by_yields, by_variances = rng.normal(size=shape), rng.normal(size=shape)

    def scalar(x: Vector, edges: Vector, w: Vector, h: Any) -> float:
        yields, variances = smooth_histogram(x, edges, w, bandwidth=h, **options)
        return float((by_yields * yields).sum() + (by_variances * variances).sum())

    found = smooth_histogram_gradients(x, edges, w, by_yields, by_variances, bandwidth=h, **options)
    close(found.x, difference(lambda v: scalar(v, edges, w, h), x))
    close(found.weights, difference(lambda v: scalar(x, edges, v, h), w))
    close(found.edges, difference(lambda v: scalar(x, v, w, h), edges))
    close(found.bandwidth, difference(lambda v: scalar(x, edges, w, v), np.asarray(h)))
    if overflow == "keep":
        assert found.edges[0] == found.edges[-1] == 0.0


@MODES
def test_unweighted_gradients(mode: Any) -> None:
    """Without weights there is no derivative by them; the others are those for ones."""
    x, by_yields = np.linspace(-1, 1, 7), np.arange(5.0)
    options: Any = {"bandwidth": 0.4, "mode": mode}
    found = smooth_histogram_gradients(x, EDGES, None, by_yields, by_yields, **options)
    ones = smooth_histogram_gradients(x, EDGES, np.ones(7), by_yields, by_yields, **options)
    assert found.weights is None
    np.testing.assert_array_equal(found.x, ones.x)
    assert isinstance(found.bandwidth, float)
    assert found.bandwidth == ones.bandwidth


def test_infinite_edges() -> None:
    """Edges that do not exist have derivative 0; the others as with overflow="keep"."""
    x, by_yields = np.linspace(-1, 1, 7), [1.0, -2.0, 3.0]
    half = smooth_histogram_gradients(
        x, [-np.inf, 0.0, 0.5, 2.0], None, by_yields, bandwidth=0.4, overflow="drop"
    )
    assert half.edges[0] == 0.0
    assert (half.edges[1:] != 0.0).all()
    opened = smooth_histogram_gradients(
        x, [-np.inf, 0.0, 0.5, np.inf], None, by_yields, bandwidth=0.4, overflow="drop"
    )
    kept = smooth_histogram_gradients(x, [-9.0, 0.0, 0.5, 9.0], None, by_yields, bandwidth=0.4)
    np.testing.assert_array_equal(opened.edges, kept.edges)
    np.testing.assert_array_equal(opened.x, kept.x)


# Softmax ----------------------------------------------------------------------------------------


@given(
    seed=st.integers(0, 2**32 - 1),
    n_events=st.integers(0, 6),
    n_bins=st.integers(1, 5),
    weighted=st.booleans(),
    grouped=st.booleans(),
)
def test_softmax(seed: int, n_events: int, n_bins: int, weighted: bool, grouped: bool) -> None:
    """The dense formula and every derivative."""
    rng = np.random.default_rng(seed)
    f, w = rng.normal(size=(n_events, n_bins)), rng.normal(size=n_events)
    groups = rng.integers(0, 2, n_events) if grouped else np.zeros(n_events, dtype=int)
    options: dict[str, Any] = {"groups": groups, "n_groups": 2} if grouped else {}
    temperature = rng.uniform(0.3, 2.0)
    weights = w if weighted else None
    expected = dense(
        softmax(f / temperature, axis=1), w if weighted else np.ones(n_events), groups, 2
    )
    found = softmax_histogram(f, weights, temperature=temperature, **options)
    for got, want in zip(found, expected, strict=True):
        np.testing.assert_allclose(got, want if grouped else want[0], rtol=1e-12, atol=1e-14)
    by_yields, by_variances = rng.normal(size=(2, *found[0].shape))

    def scalar(f: Vector, w: Vector | None, temperature: float) -> float:
        yields, variances = softmax_histogram(f, w, temperature=temperature, **options)
        return float((by_yields * yields).sum() + (by_variances * variances).sum())

    gradient = softmax_histogram_gradients(
        f, weights, by_yields, by_variances, temperature=temperature, **options
    )
    close(gradient.logits, difference(lambda v: scalar(v, weights, temperature), f))
    close(
        gradient.temperature,
        difference(lambda v: scalar(f, weights, float(v)), np.asarray(temperature)),
    )
    if weighted:
        close(gradient.weights, difference(lambda v: scalar(f, v, temperature), w))
    else:
        assert gradient.weights is None


def test_large_logits() -> None:
    """Neither large logits nor small temperatures overflow."""
    f = np.array([[1e4, 1e4 + 1.0, -1e4]], dtype=np.float32)
    yields, _ = softmax_histogram(f, temperature=1.0)
    np.testing.assert_allclose(yields, softmax([0.0, 1.0, -np.inf]), rtol=1e-12)
    assert softmax_histogram(f, temperature=1e-6)[0].tolist() == [0.0, 1.0, 0.0]
    gradient = softmax_histogram_gradients(f, None, [1.0, 2.0, 3.0], temperature=1e-6)
    assert gradient.logits.dtype == np.float32
    assert not gradient.logits.any()


# Threads and errors -----------------------------------------------------------------------------


@pytest.fixture
def default_threads() -> Iterator[None]:
    """The default number of threads again, afterwards."""
    yield
    nextstat.set_num_threads(0)


@pytest.mark.usefixtures("default_threads")
def test_threads() -> None:
    """Not one bit of any result depends on the number of threads."""
    rng = np.random.default_rng(4)
    n = 20_001
    x, w, groups, f = (
        rng.normal(size=n),
        rng.normal(size=n),
        rng.integers(0, 2, n),
        rng.normal(size=(n, 3)),
    )
    results = []
    for threads in (1, 2, 3):
        nextstat.set_num_threads(threads)
        options: Any = {"bandwidth": 0.3, "groups": groups}
        results.append(
            [
                *smooth_histogram(x, EDGES, w, **options),
                *smooth_histogram_gradients(x, EDGES, w, np.ones((2, 5)), **options),
                *softmax_histogram(f, w, temperature=0.5),
                *softmax_histogram_gradients(f, w, [1.0, 2.0, 3.0], temperature=0.5),
            ]
        )
    for other in results[1:]:
        for one, another in zip(results[0], other, strict=True):
            np.testing.assert_array_equal(one, another)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"bandwidth": 0.0}, "bandwidth is 0.0, expected positive"),
        ({"bandwidth": -1.0}, "bandwidth is -1.0"),
        ({"bandwidth": np.nan}, "bandwidth is nan"),
        ({"bandwidth": np.inf}, "bandwidth is inf"),
        ({"bandwidth": [1.0, -2.0]}, "bandwidth is -2.0 for 1 events"),
        ({"bandwidth": [1.0]}, r"bandwidth has shape \(1,\), expected \(2,\)"),
        ({"mode": "box"}, "mode is 'box', expected 'kde' or 'sigmoid'"),
        ({"overflow": "fold"}, "overflow is 'fold'"),
        ({"x": [0.1, np.nan]}, "x is NaN for 1 events"),
        ({"x": [[0.1]]}, r"x has shape \(1, 1\)"),
        ({"weights": [1.0, np.nan]}, "weights is NaN for 1 events"),
        ({"weights": [1.0]}, r"weights has shape \(1,\)"),
        ({"edges": [0.0, 0.0, 1.0]}, "edges must increase"),
        ({"groups": [0, 5], "n_groups": 1}, "groups holds 5"),
    ],
)
def test_errors(arguments: dict[str, Any], message: str) -> None:
    """Impossible input is a ValueError that says what is wrong, forwards and backwards."""
    valid = {"x": [0.1, 0.2], "edges": [0.0, 0.5, 1.0], "weights": [1.0, 1.0], "bandwidth": 0.1}
    values = {**valid, **arguments}
    with pytest.raises(ValueError, match=message):
        smooth_histogram(**values)
    shape = (1, 2) if "groups" in values else 2
    with pytest.raises(ValueError, match=message):
        smooth_histogram_gradients(**values, yields_gradient=np.ones(shape))


def test_gradient_shapes() -> None:
    """Derivatives must have the shape of what they belong to."""
    with pytest.raises(ValueError, match=r"yields_gradient has shape \(3,\), expected \(2,\)"):
        smooth_histogram_gradients([0.1], [0.0, 0.5, 1.0], None, np.ones(3), bandwidth=0.1)
    with pytest.raises(ValueError, match=r"variances_gradient has shape \(2,\), expected \(1, 2\)"):
        smooth_histogram_gradients(
            [0.1], [0.0, 0.5, 1.0], None, [[1, 1]], [1, 1], bandwidth=0.1, groups=[0]
        )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"logits": [[0.0, np.nan], [0.0, 0.0]]}, "logits is not finite for 1 events"),
        ({"logits": [[0.0, np.inf], [-np.inf, 0.0]]}, "logits is not finite for 2 events"),
        ({"logits": [0.0, 1.0]}, r"logits has shape \(2,\), expected \(n_events, n_bins\)"),
        ({"logits": np.zeros((2, 0))}, r"logits has shape \(2, 0\)"),
        ({"temperature": 0.0}, "temperature is 0.0, expected a positive number"),
        ({"temperature": np.nan}, "temperature is nan"),
        ({"weights": [1.0, np.nan]}, "weights is NaN for 1 events"),
        ({"weights": [1.0]}, r"weights has shape \(1,\), expected \(2,\)"),
        ({"groups": [0, -1], "n_groups": 1}, "groups holds -1"),
    ],
)
def test_softmax_errors(arguments: dict[str, Any], message: str) -> None:
    """Impossible input is a ValueError that says what is wrong, forwards and backwards."""
    valid = {"logits": [[0.0, 1.0], [2.0, 3.0]], "weights": [1.0, 1.0], "temperature": 1.0}
    values = {**valid, **arguments}
    with pytest.raises(ValueError, match=message):
        softmax_histogram(**values)
    shape = (1, 2) if "groups" in values else 2
    with pytest.raises(ValueError, match=message):
        softmax_histogram_gradients(**values, yields_gradient=np.ones(shape))
