"""Smoothed histograms of tensors: the kernels and plain operations against each other."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from drawn_tensors import normal
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import expit, ndtr
from torch.autograd import gradcheck, gradgradcheck

from nextstat.torch._histograms.smoothing import smooth, smooth_plain, softmax, softmax_plain

EDGES = [-2.0, -1.5, -0.2, 0.0, 0.7, 3.0]
KERNELS = pytest.mark.parametrize("mode", ["kde", "sigmoid"])


@given(
    seed=st.integers(0, 2**32 - 1),
    n_events=st.integers(0, 5),
    n_bins=st.integers(1, 4),
    mode=st.sampled_from(["kde", "sigmoid"]),
    out=st.sampled_from(["keep", "drop"]),
    weighted=st.booleans(),
    adaptive=st.booleans(),
    infinite=st.booleans(),
)
def test_both_ways(
    seed: int,
    n_events: int,
    n_bins: int,
    mode: Any,
    out: Any,
    weighted: bool,
    adaptive: bool,
    infinite: bool,
) -> None:
    """Kernels and plain operations agree in values and derivatives of any scalar."""
    rng = np.random.default_rng(seed)
    x, w = rng.normal(size=(2, n_events))
    edges = rng.uniform(-2.0, 0.0) + np.cumsum(rng.uniform(0.1, 1.0, n_bins + 1))
    if infinite:
        edges[0] = -math.inf
    x[:1] = edges[-1]  # an event on an edge
    h = rng.uniform(0.05, 1.5, n_events if adaptive else None)
    leaves = [torch.tensor(part, requires_grad=True) for part in (x, w, edges, h)]
    inputs = (leaves[0], leaves[1] if weighted else None, leaves[2], leaves[3], mode, out)
    by_sums = torch.from_numpy(rng.normal(size=(2, n_bins)))
    results = []
    for function in (smooth, smooth_plain):
        sums = torch.stack(function(*inputs))  # type: ignore[arg-type]
        results.append(
            (sums, torch.autograd.grad((by_sums * sums).sum(), leaves, materialize_grads=True))
        )
    torch.testing.assert_close(*results, rtol=1e-12, atol=1e-12)


@given(
    seed=st.integers(0, 2**32 - 1),
    n_events=st.integers(0, 5),
    n_bins=st.integers(1, 4),
    weighted=st.booleans(),
)
def test_both_ways_of_softmax(seed: int, n_events: int, n_bins: int, weighted: bool) -> None:
    """The same for probabilities."""
    rng = np.random.default_rng(seed)
    parts = rng.normal(size=(n_events, n_bins)), rng.normal(size=n_events), rng.uniform(0.05, 2.0)
    leaves = [torch.tensor(part, dtype=torch.float64, requires_grad=True) for part in parts]
    by_sums = torch.from_numpy(rng.normal(size=(2, n_bins)))
    results = []
    for function in (softmax, softmax_plain):
        sums = torch.stack(function(leaves[0], leaves[1] if weighted else None, leaves[2]))
        results.append(
            (sums, torch.autograd.grad((by_sums * sums).sum(), leaves, materialize_grads=True))
        )
    torch.testing.assert_close(*results, rtol=1e-11, atol=1e-11)


@KERNELS
@pytest.mark.parametrize("out", ["keep", "drop"])
@pytest.mark.parametrize("function", [smooth, smooth_plain])
def test_gradcheck(mode: Any, out: Any, function: Any) -> None:
    """Derivatives by events, weights, edges and bandwidths against finite differences."""
    edges = torch.tensor(EDGES, dtype=torch.float64, requires_grad=True)
    for h in (torch.tensor(0.4), torch.linspace(0.2, 1.0, 6)):
        leaf = h.double().requires_grad_()
        inputs = (normal(6, grad=True), normal(6, seed=1, grad=True), edges, leaf, mode, out)
        assert gradcheck(function, inputs)
    if function is smooth_plain:
        assert gradgradcheck(function, inputs)


@pytest.mark.parametrize("function", [softmax, softmax_plain])
def test_gradcheck_of_softmax(function: Any) -> None:
    """Derivatives by outputs, weights and temperature against finite differences."""
    temperature = torch.tensor(0.5, dtype=torch.float64, requires_grad=True)
    inputs = (normal(6, 3, grad=True), normal(6, seed=1, grad=True), temperature)
    assert gradcheck(function, inputs)
    if function is softmax_plain:
        assert gradgradcheck(function, inputs)


@KERNELS
@pytest.mark.parametrize("function", [smooth, smooth_plain])
def test_tails(mode: Any, function: Any) -> None:
    """Neither side of an event loses digits, and infinite events have derivatives of 0."""
    edges = torch.tensor([-math.inf, 5.0, 6.0, math.inf], dtype=torch.float64)
    mirrored = -edges.flip(0)
    cdf = ndtr if mode == "kde" else expit
    h = torch.tensor(1.0, dtype=torch.float64, requires_grad=True)
    x = torch.zeros(1, dtype=torch.float64)
    right, left = (function(x, None, e, h, mode, "keep")[0].tolist() for e in (edges, mirrored))
    assert right[1:] == pytest.approx([cdf(-5.0) - cdf(-6.0), cdf(-6.0)], rel=1e-13)
    assert left == pytest.approx(right[::-1], rel=1e-14)
    far = torch.tensor([-math.inf, math.inf], dtype=torch.float64, requires_grad=True)
    counts, _ = function(far, None, edges, h, mode, "keep")
    assert counts.tolist() == [1.0, 0.0, 1.0]
    for slope in torch.autograd.grad(counts[1], (far, h)):
        assert not slope.any()


@pytest.mark.parametrize("function", [smooth, smooth_plain])
@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"x": [0.1, math.nan]}, "x is NaN for 1"),
        ({"weights": [1.0, math.nan]}, "weights is NaN for 1"),
        ({"edges": [0.0, 0.0, 1.0]}, "edges must increase"),
        ({"bandwidth": 0.0}, "bandwidth"),
        ({"bandwidth": [0.1, -0.1]}, "bandwidth"),
        ({"bandwidth": [0.1, math.nan]}, "bandwidth"),
    ],
)
def test_impossible_values(function: Any, change: dict[str, Any], message: str) -> None:
    """Errors by either way, never NaN."""
    valid = {"x": [0.1, 0.2], "weights": [1.0, 1.0], "edges": [0.0, 0.5, 1.0], "bandwidth": 0.1}
    tensors = [torch.tensor(part, dtype=torch.float64) for part in (valid | change).values()]
    with pytest.raises(ValueError, match=message):
        function(*tensors, "kde", "keep")


@pytest.mark.parametrize("function", [softmax, softmax_plain])
def test_impossible_outputs(function: Any) -> None:
    """The same for probabilities."""
    one = torch.tensor(1.0, dtype=torch.float64)
    with pytest.raises(ValueError, match="logits is not finite"):
        function(torch.tensor([[0.0, math.inf]]), None, one)
    with pytest.raises(ValueError, match=r"temperature is 0\.0"):
        function(torch.zeros(1, 2), None, 0.0 * one)
