"""Random tensors."""

from __future__ import annotations

import torch
from torch import Tensor


def normal(*shape: int, seed: int = 0, grad: bool = False) -> Tensor:
    """Normal numbers, float64."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=generator, dtype=torch.float64, requires_grad=grad)
