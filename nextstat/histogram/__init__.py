"""Histograms of weighted events."""

from __future__ import annotations

from nextstat.histogram._filling import fill_histogram as fill_histogram
from nextstat.histogram._smoothing import SmoothGradients as SmoothGradients
from nextstat.histogram._smoothing import SoftmaxGradients as SoftmaxGradients
from nextstat.histogram._smoothing import smooth_histogram as smooth_histogram
from nextstat.histogram._smoothing import smooth_histogram_gradients as smooth_histogram_gradients
from nextstat.histogram._smoothing import softmax_histogram as softmax_histogram
from nextstat.histogram._smoothing import softmax_histogram_gradients as softmax_histogram_gradients

__all__ = [
    "SmoothGradients",
    "SoftmaxGradients",
    "fill_histogram",
    "smooth_histogram",
    "smooth_histogram_gradients",
    "softmax_histogram",
    "softmax_histogram_gradients",
]
