"""Smoothed histograms of tensors: the kernels of `nextstat.histogram`, or plain torch operations.

The kernels work on processors, in memory that does not grow with the number of bins. On other
devices the same formulas run on the matrix of shares, (n_events, n_bins).
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn.functional import pad

from nextstat.histogram._columns import Overflow, check_edges, finite_edges
from nextstat.histogram._smoothing import (
    Mode,
    smooth_histogram,
    smooth_histogram_gradients,
    softmax_histogram,
    softmax_histogram_gradients,
)
from nextstat.torch._histograms.tensors import check_no_nan

Sums = tuple[Tensor, Tensor]
"""Yields and variances, (n_bins,) float64: sums of weighted shares, and of their squares."""

FAR = 1e100  # distances from all edges at which an event counts as infinitely far


def smooth(
    x: Tensor, weights: Tensor | None, edges: Tensor, bandwidth: Tensor, mode: Mode, out: Overflow
) -> Sums:
    """Fill events into bins, each event smeared by a kernel: `nextstat.histogram.smooth_histogram`.

    Parameters
    ----------
    x, weights : (n_events,) Tensor of float32 or float64
    edges : (n_bins + 1,) Tensor of float64
    bandwidth : () or (n_events,) Tensor of float64
    mode, out : as `mode` and `overflow` there

    Returns
    -------
    yields, variances : (n_bins,) Tensor of float64
        Differentiable in all tensors; once on processors.

    Raises
    ------
    ValueError
        As there.
    """
    if x.device.type == "cpu":
        sums: Sums = _Smooth.apply(x, weights, edges, bandwidth, mode, out)  # type: ignore[no-untyped-call]
        return sums
    return smooth_plain(x, weights, edges, bandwidth, mode, out)


def softmax(logits: Tensor, weights: Tensor | None, temperature: Tensor) -> Sums:
    """Fill events into bins with the probabilities softmax(logits / temperature).

    Parameters
    ----------
    logits : (n_events, n_bins) Tensor of float32 or float64
    weights : (n_events,) Tensor of float32 or float64
    temperature : () Tensor of float64

    Returns
    -------
    yields, variances : (n_bins,) Tensor of float64
        Differentiable in all tensors; once on processors.

    Raises
    ------
    ValueError
        As `nextstat.histogram.softmax_histogram`.
    """
    if logits.device.type == "cpu":
        sums: Sums = _Softmax.apply(logits, weights, temperature)  # type: ignore[no-untyped-call]
        return sums
    return softmax_plain(logits, weights, temperature)


def smooth_plain(
    x: Tensor, weights: Tensor | None, edges: Tensor, bandwidth: Tensor, mode: Mode, out: Overflow
) -> Sums:
    """`smooth` from torch operations.

    As in the kernels, nothing cancels in the tails: with D_k = S(u_k) - [u_k > 0] at each edge,
    the share of a bin is D_{k+1} - D_k, plus 1 for the bin that holds the event.
    """
    check_no_nan(x=x)
    if not ((bandwidth > 0.0) & torch.isfinite(bandwidth)).all():
        raise ValueError("bandwidth holds other than positive numbers")
    inner, bins = finite_edges(check_edges(edges.detach().cpu().numpy()), out)
    first = 1 - bins.start
    thresholds = edges[first : first + len(inner)]
    u = (thresholds - x.to(torch.float64).clamp(-FAR, FAR)[:, None]) / bandwidth.reshape(-1, 1)
    right = u > 0.0
    step = torch.special.ndtr if mode == "kde" else torch.sigmoid
    tail = step(torch.where(right, -u, u))
    holds = pad(pad(right.to(u), (1, 0)), (0, 1), value=1.0).diff()
    shares = pad(torch.where(right, -tail, tail), (1, 1)).diff() + holds
    return _sums(shares[:, bins], weights)


def softmax_plain(logits: Tensor, weights: Tensor | None, temperature: Tensor) -> Sums:
    """`softmax` from torch operations."""
    if not torch.isfinite(logits).all():
        raise ValueError("logits is not finite")
    if not 0.0 < temperature.item() < float("inf"):
        raise ValueError(f"temperature is {temperature.item()}, expected a positive number")
    return _sums(torch.softmax(logits.to(torch.float64) / temperature, dim=1), weights)


def _sums(shares: Tensor, weights: Tensor | None) -> Sums:
    if weights is not None:
        check_no_nan(weights=weights)
        shares = shares * weights.to(torch.float64)[:, None]
    return shares.sum(dim=0), shares.square().sum(dim=0)


class _Smooth(torch.autograd.Function):
    """`smooth` by the kernels."""

    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        weights: Tensor | None,
        edges: Tensor,
        bandwidth: Tensor,
        mode: Mode,
        out: Overflow,
    ) -> Sums:
        ctx.save_for_backward(x, weights, edges, bandwidth)
        ctx.options = {"mode": mode, "overflow": out}
        x_, weights_, edges_, bandwidth_ = map(_numpy, (x, weights, edges, bandwidth))
        sums = smooth_histogram(x_, edges_, weights_, bandwidth=bandwidth_, **ctx.options)
        return torch.from_numpy(sums[0]), torch.from_numpy(sums[1])

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *by_sums: Tensor) -> tuple[Any, ...]:
        x, weights, edges, bandwidth = map(_numpy, ctx.saved_tensors)
        by = smooth_histogram_gradients(
            x, edges, weights, *map(_numpy, by_sums), bandwidth=bandwidth, **ctx.options
        )
        return *map(_tensor, (by.x, by.weights, by.edges, by.bandwidth)), None, None


class _Softmax(torch.autograd.Function):
    """`softmax` by the kernels."""

    @staticmethod
    def forward(ctx: Any, logits: Tensor, weights: Tensor | None, temperature: Tensor) -> Sums:
        ctx.save_for_backward(logits, weights, temperature)
        sums = softmax_histogram(_numpy(logits), _numpy(weights), temperature=temperature.item())
        return torch.from_numpy(sums[0]), torch.from_numpy(sums[1])

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *by_sums: Tensor) -> tuple[Any, ...]:
        logits, weights, temperature = map(_numpy, ctx.saved_tensors)
        by = softmax_histogram_gradients(
            logits, weights, *map(_numpy, by_sums), temperature=temperature.item()
        )
        return tuple(map(_tensor, by))


def _numpy(tensor: Tensor | None) -> Any:
    """The memory of a tensor as an array."""
    return None if tensor is None else tensor.detach().numpy()


def _tensor(values: Any) -> Tensor | None:
    """A tensor on the memory of an array; numbers become tensors of float64."""
    return None if values is None else torch.from_numpy(np.asarray(values))
