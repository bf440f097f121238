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
from nextstat.torch._choice import FitSummary as FitSummary
from nextstat.torch._chunks import chunked_backward as chunked_backward
from nextstat.torch._counting import asimov_significance as asimov_significance
from nextstat.torch._counting import soft_cut as soft_cut
from nextstat.torch._layer import HistFactoryLayer as HistFactoryLayer
from nextstat.torch._losses import CLsLoss as CLsLoss
from nextstat.torch._losses import MuUncertaintyLoss as MuUncertaintyLoss
from nextstat.torch._losses import SignificanceLoss as SignificanceLoss
from nextstat.torch._losses import UpperLimitLoss as UpperLimitLoss
from nextstat.torch._session import Session as Session
from nextstat.torch._session import create_session as create_session
from nextstat.torch._session import expected_cls as expected_cls
from nextstat.torch._session import profiled_q0 as profiled_q0
from nextstat.torch._session import profiled_qmu as profiled_qmu
from nextstat.torch._session import profiled_z0 as profiled_z0
from nextstat.torch._session import signal_jacobian as signal_jacobian
from nextstat.torch._session import signal_jacobian_numpy as signal_jacobian_numpy
from nextstat.torch._soft_histogram import SoftHistogram as SoftHistogram
