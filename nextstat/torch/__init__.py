"""Differentiable statistics: results of the analysis as torch functions of its histograms."""

from __future__ import annotations

try:
    import torch as _torch  # noqa: F401
except ImportError as error:
    raise ImportError(
        'nextstat.torch needs PyTorch: pip install torch, or pip install "nextstat[torch]"'
    ) from error

from nextstat.torch._bandwidth import BandwidthAnnealing as BandwidthAnnealing
from nextstat.torch._bandwidth import adaptive_bandwidth as adaptive_bandwidth
from nextstat.torch._bandwidth import scott_bandwidth as scott_bandwidth
from nextstat.torch._bandwidth import silverman_bandwidth as silverman_bandwidth
from nextstat.torch._counting import asimov_significance as asimov_significance
from nextstat.torch._counting import soft_cut as soft_cut
from nextstat.torch._soft_histogram import SoftHistogram as SoftHistogram
