"""Tensors as the histograms take them."""

from __future__ import annotations

import torch
from torch import Tensor


def as_floats(values: Tensor, name: str) -> Tensor:
    """The same values in float32 or float64, without a copy where they are.

    Shorter floating-point numbers become float32 and integers float64, so nothing is rounded.

    Raises
    ------
    TypeError
        If they are no tensor, or complex.
    """
    if not isinstance(values, Tensor):
        raise TypeError(f"{name} is {type(values).__name__}, expected a tensor")
    if values.is_complex():
        raise TypeError(f"{name} holds {values.dtype}, expected real numbers")
    if values.dtype in (torch.float32, torch.float64):
        return values
    return values.to(torch.float32 if values.is_floating_point() else torch.float64)


def as_column(values: Tensor, name: str, n_events: int | None = None) -> Tensor:
    """One number for each event, (n_events,), from a column of shape (n_events,) or (n_events, 1).

    Raises
    ------
    TypeError
        As `as_floats`.
    ValueError
        If the shape is another.
    """
    column = as_floats(values, name)
    if column.ndim == 2 and column.shape[1] == 1:
        column = column[:, 0]
    if column.ndim != 1 or n_events not in (None, len(column)):
        n = "n_events" if n_events is None else str(n_events)
        raise ValueError(f"{name} has shape {tuple(values.shape)}, expected ({n},) or ({n}, 1)")
    return column


def check_device(values: Tensor, name: str, device: torch.device) -> None:
    """Raise ValueError if a tensor is on another device than expected."""
    if values.device != device:
        raise ValueError(f"{name} is on {values.device}, expected {device}; move it with .to()")


def check_no_nan(**tensors: Tensor) -> None:
    """Raise ValueError if one of the tensors holds NaN."""
    for name, values in tensors.items():
        if missing := int(torch.isnan(values).sum()):
            raise ValueError(f"{name} is NaN for {missing} of {values.numel()}")
