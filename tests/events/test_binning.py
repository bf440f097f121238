"""Learned bin edges: against their definitions and against trying everything."""

from __future__ import annotations

import time
from itertools import combinations

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

import nextstat
from nextstat._events.edges import (
    asimov_q0,
    candidate_edges,
    find_range,
    quantile_edges,
    sensitive_mergers,
)
from nextstat._events.templates import Templates

Vector = npt.NDArray[np.float64]


@given(
    signal=st.floats(0.1, 100.0), background=st.floats(0.5, 500.0), relative=st.floats(0.01, 0.8)
)
def test_asimov_q0_is_that_of_an_auxiliary_count(
    signal: float, background: float, relative: float
) -> None:
    """The fit of one bin whose background has a Poisson constraint (shapesys)."""
    constraint = {"name": "b", "type": "shapesys", "data": [relative * background]}
    mu = {"name": "mu", "type": "normfactor", "data": None}
    workspace = {
        "channels": [
            {
                "name": "c",
                "samples": [
                    {"name": "s", "data": [signal], "modifiers": [mu]},
                    {"name": "b", "data": [background], "modifiers": [constraint]},
                ],
            }
        ],
        "observations": [{"name": "c", "data": [signal + background]}],
        "measurements": [
            {
                "name": "m",
                "config": {"poi": "mu", "parameters": [{"name": "b", "bounds": [[1e-10, 1000.0]]}]},
            }
        ],
        "version": "1.0.0",
    }
    expected = nextstat.significance(nextstat.from_pyhf(workspace)) ** 2
    values = (np.array([x]) for x in (signal, background, (relative * background) ** 2))
    assert asimov_q0(*values)[0] == pytest.approx(expected, rel=1e-6, abs=2e-8)  # EDM of fits


def test_asimov_q0_limits() -> None:
    """A known background; no signal; a published value."""
    s, b, zero = np.array([3.0, 0.0, -1.0]), np.full(3, 10.0), np.zeros(3)
    known = 2.0 * (13.0 * np.log(1.3) - 3.0)
    np.testing.assert_allclose(asimov_q0(s, b, zero), [known, 0.0, 0.0], rtol=1e-12)
    almost = asimov_q0(s, b, np.full(3, 1e-9))
    np.testing.assert_allclose(almost, [known, 0.0, 0.0], rtol=1e-8)
    values = (np.array([x]) for x in (14.0, 5.0, 1.5**2))
    assert np.sqrt(asimov_q0(*values))[0] == pytest.approx(3.6149635359712184, rel=1e-12)


def all_partitions(n: int, m: int) -> list[tuple[int, ...]]:
    """Every way to start m bins among n fine ones."""
    return [(0, *rest) for rest in combinations(range(1, n), m - 1)]


@given(
    data=st.data(),
    n=st.integers(1, 8),
    min_background=st.sampled_from([0.0, 3.0, 8.0]),
    max_mc_error=st.sampled_from([np.inf, 0.6, 0.3]),
)
def test_sensitive_mergers_against_all_partitions(
    data: st.DataObject, n: int, min_background: float, max_mc_error: float
) -> None:
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32 - 1)))
    signal, background = rng.exponential(1.0, n), rng.exponential(4.0, n)
    background[rng.uniform(size=n) < 0.2] = 0.0
    variance = rng.exponential(0.5, n) * background

    def value(first: npt.ArrayLike) -> float:
        s, b, v = (np.add.reduceat(x, np.asarray(first)) for x in (signal, background, variance))
        if not ((b > 0.0) & (b >= min_background)).all() or (np.sqrt(v) > max_mc_error * b).any():
            return -np.inf
        return float(asimov_q0(s, b, v).sum())

    options = {"min_background": min_background, "max_mc_error": max_mc_error}
    best = [max(map(value, all_partitions(n, m)), default=-np.inf) for m in range(1, n + 1)]
    if best[0] == -np.inf:
        with pytest.raises(ValueError, match="does not reach min_background"):
            next(sensitive_mergers(signal, background, variance, n, **options))
        return
    found = list(sensitive_mergers(signal, background, variance, n, **options))
    assert len(found) == sum(1 for x in best if x > -np.inf)
    for m, first in enumerate(found, start=1):
        assert len(first) == m
        assert value(first) == pytest.approx(best[m - 1], rel=1e-9)


@given(
    data=st.data(),
    background=st.lists(st.floats(-2.0, 10.0), min_size=1, max_size=10).filter(
        lambda b: sum(b) > 1e-6
    ),
)
def test_merged_bins_expect_background(data: st.DataObject, background: list[float]) -> None:
    """Neighbours only, nothing lost, every bin supported as far as one bin can be."""
    b, rng = np.array(background), np.random.default_rng(data.draw(st.integers(0, 2**32 - 1)))
    n = len(b)
    nominal = np.stack([np.ones(n), b])
    varied = {"a": {1: np.stack([b - rng.exponential(0.3, n), b])}}
    variance = np.stack([np.ones(n), rng.exponential(1.0, n)])
    is_signal = np.array([True, False])
    fine = Templates(("s", "b"), is_signal, nominal, variance, varied, {}, one_event=0.0)
    edges = np.arange(n + 1.0)
    merged, kept = fine.merged(edges)
    assert kept[0] == 0
    assert kept[-1] == n
    assert (np.diff(kept) > 0).all()
    np.testing.assert_allclose(merged.nominal.sum(axis=1), nominal.sum(axis=1))
    if len(kept) > 2:
        assert not merged.unsupported().any()
    if not fine.unsupported().any():
        assert merged is fine


def one_at_a_time(templates: Templates) -> list[int]:
    """The definition of `merged`, all bins looked at again after each: first bins of the groups."""
    first = list(range(templates.nominal.shape[1]))
    while len(first) > 1 and (bad := templates.unsupported()).any():
        b = templates.background
        k = int(np.where(bad, b, np.inf).argmin())
        to_left = k == len(first) - 1 or (k > 0 and b[k - 1] <= b[k + 1])
        gone = k if to_left else k + 1
        templates = templates.rebinned(np.delete(np.arange(len(first)), gone))
        del first[gone]
    return first


@given(
    seed=st.integers(0, 2**32 - 1),
    n=st.integers(1, 30),
    mean=st.sampled_from([0.1, 0.5, 3.0]),
    one_event=st.sampled_from([0.0, 1.0]),
)
def test_bins_are_merged_in_order(seed: int, n: int, mean: float, one_event: float) -> None:
    """Small integers: ties, empty bins and negative ones."""
    rng = np.random.default_rng(seed)
    nominal = 1.0 * rng.poisson(mean, (3, n)) - rng.poisson(0.1, (3, n))
    varied = {
        name: {k: np.maximum(nominal[k] + rng.integers(-2, 2, (2, n)), 0.0) for k in samples}
        for name, samples in (("a", (0, 1)), ("b", (2,)))
    }
    is_signal = np.array([True, False, False])
    variance = rng.choice([0.1, 1.0]) * np.abs(nominal)
    fine = Templates(("s", "b", "c"), is_signal, nominal, variance, varied, {}, one_event=one_event)
    if nominal[0].sum() > 0.0 and nominal[1:].sum() > 0.0:
        assert fine.merged(np.arange(n + 1.0))[1].tolist() == [*one_at_a_time(fine), n]


def test_many_more_bins_than_events() -> None:
    """A hundred thousand bins take a second, not minutes."""
    rng = np.random.default_rng(1)
    X = np.concatenate([rng.normal(0.0, 1.0, 500), rng.normal(1.0, 0.5, 100)])[:, None]
    y = ["b"] * 500 + ["signal"] * 100
    analysis = nextstat.HistFactoryEstimator(n_bins=100_000, staterror=False)
    started = time.perf_counter()
    with pytest.warns(nextstat.WorkspaceWarning, match="were merged with a neighbour"):
        analysis.fit(X, y)
    assert time.perf_counter() - started < 30.0
    assert 2 < len(analysis.edges_) < 600


@given(seed=st.integers(0, 2**32 - 1), n=st.integers(1, 2000), n_bins=st.integers(1, 30))
def test_quantiles(seed: int, n: int, n_bins: int) -> None:
    """Sums of weights as equal as single events permit."""
    rng = np.random.default_rng(seed)
    x, weight = rng.normal(size=n), rng.uniform(0.1, 2.0, n)
    ends = np.array([-5.0, 5.0])
    edges = quantile_edges(x, weight, ends, n_bins)
    assert edges[0] == -5.0
    assert edges[-1] == 5.0
    assert (np.diff(edges) > 0).all()
    if len(edges) == n_bins + 1:
        sums, _ = np.histogram(x, edges, weights=weight)
        np.testing.assert_allclose(sums, weight.sum() / n_bins, atol=2.0 * weight.max())


def test_quantiles_of_few_values() -> None:
    """Ties make fewer bins; events outside do not count; nothing to divide is an error."""
    x, ends = np.array([0.0, 0.0, 0.0, 1.0, 7.0]), np.array([0.0, 1.0])
    edges = quantile_edges(x, np.ones(5), ends, 4)
    assert edges.tolist() == [0.0, 0.5, 1.0]
    with pytest.raises(ValueError, match="no events are expected between 2 and 3"):
        quantile_edges(x, np.ones(5), np.array([2.0, 3.0]), 4)


ATOMS: dict[str, tuple[list[float], list[float]]] = {
    "at the minimum": ([0.0], [0.8]),
    "at the maximum": ([1.0], [0.8]),
    "in the middle": ([0.5], [0.8]),
    "at both ends": ([0.0, 1.0], [0.45, 0.45]),
    "three, one light": ([0.1, 0.4, 0.9], [0.4, 0.05, 0.35]),
    "adjacent": ([0.5, float(np.nextafter(0.5, 1.0))], [0.45, 0.45]),
}


@pytest.mark.parametrize("n_bins", [2, 3, 5, 20])
@pytest.mark.parametrize("atoms", ATOMS.values(), ids=ATOMS.keys())
def test_values_of_many_events_cost_one_bin_each(
    atoms: tuple[list[float], list[float]], n_bins: int
) -> None:
    """As many bins as wanted; but for the heavy values, none holds more than two shares."""
    values, shares = atoms
    rng = np.random.default_rng(0)
    x = np.concatenate(
        [rng.random(400), rng.choice(values, 1600, p=np.divide(shares, sum(shares)))]
    )
    weight = rng.uniform(0.5, 1.5, len(x))
    edges = quantile_edges(x, weight, np.array([0.0, 1.0]), n_bins)
    assert len(edges) == n_bins + 1
    assert (np.diff(edges) > 0.0).all()
    sums, _ = np.histogram(x, edges, weights=weight)
    assert (sums > 0.0).all()
    heavy = np.isin(x, values)
    sums, _ = np.histogram(x[~heavy], edges, weights=weight[~heavy])
    assert sums.max() <= 2.0 * weight.sum() / n_bins


@given(
    counts=st.lists(st.integers(1, 60), min_size=1, max_size=12),
    n_bins=st.integers(1, 12),
    scale=st.sampled_from([1.0, 0.1 / 3.0, 1e-12]),
)
def test_quantiles_of_integers(counts: list[int], n_bins: int, scale: float) -> None:
    """As many bins as there are values, if not more than wanted; edges are half-integers."""
    x = np.repeat(np.arange(len(counts)), counts).astype(float)
    ends = np.array([-0.5, len(counts) - 0.5])
    edges = quantile_edges(x, np.full(len(x), scale), ends, n_bins)
    assert len(edges) - 1 == min(n_bins, len(counts))
    assert (edges % 1.0 == 0.5).all()


def test_equal_values_are_divided_equally() -> None:
    """Rounding of sums of weights does not move a value into the next bin."""
    x = np.repeat(np.arange(10.0), 7)
    for scale in (1.0, 0.1, 0.1 / 3.0, 1e-7):
        edges = quantile_edges(x, np.full(len(x), scale), np.array([0.0, 9.0]), 5)
        assert edges.tolist() == [0.0, 1.5, 3.5, 5.5, 7.5, 9.0]


def test_edges_between_neighbouring_numbers() -> None:
    """Of two numbers without one between them, the upper one starts its bin; none overflows."""
    x = np.array([1.0, np.nextafter(1.0, 2.0), 2.0])
    edges = quantile_edges(x, np.ones(3), np.array([1.0, 2.0]), 3)
    assert edges.tolist() == [1.0, x[1], 1.5, 2.0]
    x = np.array([-1.7e308, 1.6e308, 1.7e308])
    edges = quantile_edges(x, np.ones(3), x[[0, 2]], 3)
    assert np.histogram(x[1:], edges[1:])[0].tolist() == [1, 1]


def test_quantile_midpoints_are_never_on_an_event() -> None:
    x = np.arange(100.0)
    edges = quantile_edges(x, np.ones(100), np.array([0.0, 99.0]), 4)
    assert edges.tolist() == [0.0, 24.5, 49.5, 74.5, 99.0]


def test_range() -> None:
    x = np.array([3.0, 1.0, 2.0])
    assert find_range(x, None, None).tolist() == [1.0, 3.0]
    assert find_range(x, 0.0, None).tolist() == [0.0, 3.0]
    assert find_range(x, None, 2.5).tolist() == [1.0, 2.5]
    assert find_range(np.ones(4), None, None).tolist() == [0.5, 1.5]
    lo, hi = find_range(np.full(4, 1e30), None, None)
    assert lo < 1e30 < hi


def test_candidates_resolve_signal_and_background() -> None:
    """A narrow signal on a broad background: a hundred bins in either."""
    rng = np.random.default_rng(0)
    x = np.concatenate([rng.normal(0.9, 1e-3, 2000), rng.uniform(0.0, 1.0, 20_000)])
    of_signal = np.arange(len(x)) < 2000
    edges = candidate_edges(x, np.ones(len(x)), of_signal, np.array([0.0, 1.0]))
    assert ((edges > 0.897) & (edges < 0.903)).sum() > 80
    assert (np.diff(edges) < 0.02).all()
