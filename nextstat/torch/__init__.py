"""Differentiable statistics: results of the analysis as torch functions of its histograms."""

from __future__ import annotations

try:
    import torch as _torch  # noqa: F401
except ImportError as error:
    raise ImportError(
        'nextstat.torch needs PyTorch: pip install torch, or pip install "nextstat[torch]"'
    ) from error

from nextstat.torch._chunked_backward import chunked_backward
from nextstat.torch._histograms.bandwidth import (
    BandwidthAnnealing,
    adaptive_bandwidth,
    scott_bandwidth,
    silverman_bandwidth,
)
from nextstat.torch._histograms.cuts import asimov_significance, soft_cut
from nextstat.torch._histograms.soft_histogram import SoftHistogram
from nextstat.torch._statistics.dataset import FitSummary
from nextstat.torch._statistics.layer import HistFactoryLayer
from nextstat.torch._statistics.losses import (
    CLsLoss,
    MuUncertaintyLoss,
    SignificanceLoss,
    UpperLimitLoss,
)
from nextstat.torch._statistics.session import (
    Session,
    create_session,
    expected_cls,
    profiled_q0,
    profiled_qmu,
    profiled_z0,
    signal_jacobian,
    signal_jacobian_numpy,
)

__all__ = [
    "BandwidthAnnealing",
    "CLsLoss",
    "FitSummary",
    "HistFactoryLayer",
    "MuUncertaintyLoss",
    "Session",
    "SignificanceLoss",
    "SoftHistogram",
    "UpperLimitLoss",
    "adaptive_bandwidth",
    "asimov_significance",
    "chunked_backward",
    "create_session",
    "expected_cls",
    "profiled_q0",
    "profiled_qmu",
    "profiled_z0",
    "scott_bandwidth",
    "signal_jacobian",
    "signal_jacobian_numpy",
    "silverman_bandwidth",
    "soft_cut",
]
