"""Histograms as modules of a network: what they take, give and learn."""

from __future__ import annotations

import copy
import math
import pickle
from typing import Any

import numpy as np
import pytest
import torch
from drawn_tensors import normal
from torch import Tensor

from nextstat.exceptions import FitWarning
from nextstat.histogram import fill_histogram, smooth_histogram, softmax_histogram
from nextstat.torch import SoftHistogram, scott_bandwidth

EDGES = [-2.0, -1.5, -0.2, 0.0, 0.7, 3.0]
KERNELS = pytest.mark.parametrize("mode", ["kde", "sigmoid"])
MODES = pytest.mark.parametrize("mode", ["kde", "sigmoid", "softmax"])


def events(mode: str, n: int = 40, **options: Any) -> Tensor:
    """Input for a histogram of five bins."""
    return normal(*((n, 5) if mode == "softmax" else (n,)), **options)


@MODES
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_values(mode: Any, dtype: torch.dtype) -> None:
    """What the functions for arrays give, in float64; derivatives in the type of the input."""
    x, w = events(mode).to(dtype).requires_grad_(), normal(40, seed=1).to(dtype).requires_grad_()
    arrays = x.detach().numpy(), w.detach().numpy()
    if mode == "softmax":
        expected = softmax_histogram(*arrays, temperature=0.27)
    else:
        expected = smooth_histogram(arrays[0], EDGES, arrays[1], bandwidth=0.27, mode=mode)
    histogram = SoftHistogram(EDGES, 0.27, mode)
    yields, variances = histogram.with_variances(x, w)
    assert yields.tolist() == histogram(x, w).tolist() == expected[0].tolist()
    assert variances.tolist() == expected[1].tolist()
    (yields.square().sum() + variances.sum()).backward()
    for leaf in (x, w):
        assert leaf.grad is not None
        assert leaf.grad.dtype == dtype


@KERNELS
def test_narrow_kernel(mode: Any) -> None:
    """Without smoothing, an ordinary histogram; its variances are sums of squared weights."""
    x, w = events(mode, 500), normal(500, seed=1)
    found = SoftHistogram(EDGES, 1e-9, mode, overflow="drop").with_variances(x, w)
    np.testing.assert_array_equal(found, fill_histogram(x, EDGES, w))


@MODES
def test_shapes(mode: Any) -> None:
    """Columns as a last layer gives them, strides, integers, half precision, no events at all."""
    histogram, x, w = SoftHistogram(EDGES, 0.3, mode), events(mode), normal(40, seed=1)
    expected = histogram(x, w)
    assert histogram(x, w[:, None]).tolist() == expected.tolist()
    assert histogram(x[::2], w[::2]).shape == (5,)
    whole = torch.arange(40) % 3
    assert histogram(x, whole).tolist() == histogram(x, whole.double()).tolist()
    half = x.to(torch.bfloat16).requires_grad_()
    counts = histogram(half)
    assert counts.tolist() == histogram(half.detach().float()).tolist()
    counts[0].backward()
    assert half.grad is not None
    assert half.grad.dtype == torch.bfloat16
    empty = events(mode, 0, grad=True)
    nothing = histogram(empty)
    assert nothing.tolist() == [0.0] * 5
    nothing.sum().backward()
    if mode != "softmax":
        assert histogram(x[:, None], w).tolist() == expected.tolist()


@KERNELS
@pytest.mark.parametrize("overflow", ["keep", "drop"])
def test_density(mode: Any, overflow: Any) -> None:
    """The integral over the bins is 1, as of numpy."""
    x = events(mode, 500)
    density = SoftHistogram(EDGES, 1e-9, mode, overflow=overflow, density=True)
    clipped = x.clamp(EDGES[0], EDGES[-1]) if overflow == "keep" else x
    expected, _ = np.histogram(clipped, EDGES, density=True)
    np.testing.assert_allclose(density(x), expected, rtol=1e-14)
    smeared = SoftHistogram(EDGES, 0.4, mode, overflow=overflow, density=True, learn_edges=True)
    found = smeared(x)
    assert (found * smeared.bin_edges.diff()).sum().item() == pytest.approx(1.0)
    with pytest.raises(ValueError, match="add up to 0"):
        density(x[:0])
    with pytest.raises(ValueError, match="variances are those of counts"):
        density.with_variances(x)


def test_bandwidth_of_a_call() -> None:
    """One bandwidth for each event, in place of that of the module, with derivatives."""
    histogram, x = SoftHistogram(EDGES, 0.3), normal(40)
    each = torch.linspace(0.1, 0.9, 40, requires_grad=True)
    counts = histogram(x, bandwidth=each)
    expected, _ = smooth_histogram(x.numpy(), EDGES, bandwidth=each.detach().numpy())
    assert counts.tolist() == expected.tolist()
    counts[0].backward()
    assert each.grad is not None
    assert each.grad.dtype == torch.float32
    same = histogram(x, bandwidth=torch.tensor(0.3, dtype=torch.float64))
    assert same.tolist() == histogram(x).tolist()


def test_second_derivatives() -> None:
    """The kernels have no second derivatives, and torch says so."""
    x = normal(5, grad=True)
    counts = SoftHistogram(EDGES, 0.3)(x)
    (slope,) = torch.autograd.grad(counts[0] ** 2, x, create_graph=True)
    with pytest.raises(RuntimeError, match="once_differentiable"):
        slope.sum().backward()


# What is learned --------------------------------------------------------------------------------


def test_learned_edges() -> None:
    """Edges move to where a gradient wants them, and stay in order between fixed ends."""
    histogram = SoftHistogram([0.0, 0.1, 0.9, 1.0], 0.02, learn_edges=True)
    assert histogram.bin_edges.tolist() == pytest.approx([0.0, 0.1, 0.9, 1.0])
    x = torch.linspace(0.0, 1.0, 2001)
    target = torch.tensor([1000.0, 600.0, 401.0])
    optimizer = torch.optim.Adam(histogram.parameters(), lr=0.05)
    for _ in range(300):
        optimizer.zero_grad()
        ((histogram(x) - target) / 1000.0).square().sum().backward()
        optimizer.step()
        edges = histogram.bin_edges.tolist()
        assert edges == sorted(edges)
        assert edges[0] == 0.0
        assert edges[-1] == 1.0
    assert edges == pytest.approx([0.0, 0.5, 0.8, 1.0], abs=1e-3)


def test_edges_too_close() -> None:
    """Widths that vanish are an error, not an empty bin."""
    histogram = SoftHistogram([0.0, 0.5, 1.0], 0.1, learn_edges=True)
    torch.nn.init.constant_(histogram.log_widths[:1], 1e3)
    with pytest.raises(ValueError, match="edges must increase"):
        histogram(torch.rand(3))


@MODES
def test_learned_bandwidth(mode: Any) -> None:
    """It stays positive, and finds the smearing of a target."""
    x = events(mode, 300)
    target = SoftHistogram(EDGES, 0.6, mode)(x)
    histogram = SoftHistogram(EDGES, 0.2, mode, learn_bandwidth=True)
    optimizer = torch.optim.Adam(histogram.parameters(), lr=0.05)
    for _ in range(300):
        optimizer.zero_grad()
        (histogram(x) - target).square().sum().backward()
        optimizer.step()
    assert histogram.bandwidth.item() == pytest.approx(0.6, rel=1e-3)
    histogram.bandwidth = 0.1
    assert histogram.bandwidth.item() == pytest.approx(0.1)


@MODES
@pytest.mark.parametrize("learn", [False, True])
def test_copies(mode: Any, learn: bool) -> None:
    """Copies, pickles and saved states give the same; other precisions of a network do no harm."""
    options = {"learn_edges": learn and mode != "softmax", "learn_bandwidth": learn}
    histogram, x = SoftHistogram(EDGES, 0.25, mode, **options), events(mode)
    expected = histogram(x).tolist()
    assert copy.deepcopy(histogram)(x).tolist() == expected
    assert pickle.loads(pickle.dumps(histogram))(x).tolist() == expected
    other = SoftHistogram(np.linspace(0.0, 1.0, 6), 2.0, mode, **options)
    other.load_state_dict(histogram.state_dict())
    assert other(x).tolist() == expected
    single = histogram.float()(x)
    assert single.dtype == torch.float64
    assert single.tolist() == pytest.approx(expected, rel=1e-5)
    assert "n_bins=5, bandwidth=0.25" in repr(histogram)


def test_bins_of_softmax() -> None:
    """Without edges, the number of bins says all."""
    assert SoftHistogram(5, 0.5, "softmax")(events("softmax")).shape == (5,)


def test_in_a_network() -> None:
    """Three lines of a training, with a bandwidth from a rule."""
    torch.manual_seed(0)
    network = torch.nn.Sequential(torch.nn.Linear(2, 8), torch.nn.ReLU(), torch.nn.Linear(8, 1))
    features = torch.randn(200, 2)
    histogram = SoftHistogram([-math.inf, 0.0, math.inf], scott_bandwidth(network(features)))
    optimizer = torch.optim.Adam(network.parameters(), lr=1e-2)
    first = histogram(network(features))[1].item()
    for _ in range(20):
        optimizer.zero_grad()
        (-histogram(network(features))[1]).backward()
        optimizer.step()
    assert histogram(network(features))[1].item() > first + 10.0


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"bin_edges": [0.0, 0.0]}, "edges must increase"),
        ({"bin_edges": [1.0, 0.0]}, "edges must increase"),
        ({"bin_edges": [0.0, math.nan, 1.0]}, "edges must increase"),
        ({"bin_edges": [0.0]}, r"edges has shape \(1,\)"),
        ({"bin_edges": 3}, r"edges has shape \(\)"),
        ({"bandwidth": 0.0}, "bandwidth is 0.0, expected a positive number"),
        ({"bandwidth": math.nan}, "bandwidth is nan"),
        ({"mode": "box"}, "mode is 'box', expected 'kde', 'sigmoid' or 'softmax'"),
        ({"overflow": "fold"}, "overflow is 'fold'"),
        ({"mode": "softmax", "overflow": "drop"}, "softmax mode has no edges"),
        ({"mode": "softmax", "density": True}, "softmax mode has no edges"),
        ({"mode": "softmax", "learn_edges": True}, "softmax mode has no edges"),
        ({"mode": "softmax", "bin_edges": 0}, "bin_edges"),
        ({"density": True, "bin_edges": [0.0, math.inf]}, "finite outer edges"),
        ({"learn_edges": True, "bin_edges": [-math.inf, 0.0, 1.0]}, "finite outer edges"),
        ({"learn_edges": True, "bin_edges": [0.0, 1.0]}, "a single bin has no edges to learn"),
    ],
)
def test_impossible_options(change: dict[str, Any], message: str) -> None:
    """Options that contradict themselves or each other."""
    options = {"bin_edges": [0.0, 0.5, 1.0], "bandwidth": 0.1, **change}
    with pytest.raises(ValueError, match=message):
        SoftHistogram(**options)


@pytest.mark.parametrize(
    ("mode", "shape", "more", "message"),
    [
        ("kde", (4, 2), {}, r"x has shape \(4, 2\), expected \(n_events,\) or \(n_events, 1\)"),
        ("kde", (), {}, r"x has shape \(\)"),
        ("softmax", (4,), {}, r"x has shape \(4,\), expected \(n_events, 2\)"),
        ("softmax", (4, 3), {}, r"x has shape \(4, 3\), expected \(n_events, 2\)"),
        ("softmax", (4, 2), {"bandwidth": torch.ones(4)}, "expected one number"),
        ("kde", (4,), {"weights": torch.ones(3)}, r"weights has shape \(3,\), expected \(4,\)"),
        ("kde", (4,), {"bandwidth": torch.ones(3)}, r"bandwidth has shape \(3,\)"),
        ("kde", (4,), {"weights": torch.ones(4, device="meta")}, "weights is on meta"),
    ],
)
def test_impossible_shapes(
    mode: Any, shape: tuple[int, ...], more: dict[str, Tensor], message: str
) -> None:
    """Shapes and devices that do not match."""
    with pytest.raises(ValueError, match=message):
        SoftHistogram([0.0, 0.5, 1.0], 0.1, mode)(torch.zeros(shape), **more)


def test_impossible_types() -> None:
    """Arrays are no tensors; complex numbers have no order."""
    histogram = SoftHistogram([0.0, 0.5, 1.0], 0.1)
    with pytest.raises(TypeError, match="x is ndarray, expected a tensor"):
        histogram(np.zeros(3))
    with pytest.raises(TypeError, match=r"x holds torch\.complex64, expected real numbers"):
        histogram(torch.zeros(3, dtype=torch.complex64))


def test_what_would_be_lost_is_refused() -> None:
    width = torch.nn.Parameter(torch.tensor(0.1))
    with pytest.raises(TypeError, match="bandwidth is a tensor that requires a gradient"):
        SoftHistogram([0.0, 0.5, 1.0], width)
    edges = torch.tensor([0.0, 0.5, 1.0], requires_grad=True)
    with pytest.raises(TypeError, match="learn_edges=True"):
        SoftHistogram(edges, 0.1)


@pytest.mark.parametrize("overflow", ["keep", "drop"])
@pytest.mark.parametrize("side", [-30.0, 30.0])
def test_outputs_without_a_sigmoid_are_noticed(overflow: Any, side: float) -> None:
    histogram = SoftHistogram([0.0, 0.3, 0.6, 1.0], 0.05, overflow=overflow)
    events = side + torch.randn(100, generator=torch.Generator().manual_seed(0))
    with pytest.warns(FitWarning, match="do the outputs lack a sigmoid"):
        histogram(events)
    histogram(torch.cat([events, torch.tensor([0.5])]))  # one event inside: no warning


@pytest.mark.parametrize("weights", [None, [1.0, 1.0, 0.0]])
def test_events_without_weight_do_not_hide_that_all_are_outside(weights: Any) -> None:
    histogram = SoftHistogram([0.0, 0.5, 1.0], bandwidth=0.01)
    x = torch.tensor([3.0, 4.0, 0.2], dtype=torch.float64)
    if weights is None:
        x = x[:2]
    with pytest.warns(FitWarning, match="all events are between 3 and 4, outside of the bins"):
        histogram(x, None if weights is None else torch.tensor(weights, dtype=torch.float64))
    assert not histogram(x, torch.zeros(len(x))).any()
