"""Tensors as the histograms take them."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from nextstat.exceptions import DeviceError

_LONGEST = 120  # of torch's reasons, which may list all that there is


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


def usable_device(device: Any) -> torch.device:
    """A device that holds numbers of float64 on this machine.

    Raises
    ------
    DeviceError
        If it does not, or is none at all: torch would say so late, in words of its own.
    """
    try:
        found = torch.device(device)
        torch.zeros((), dtype=torch.float64, device=found).item()
    except (AssertionError, RuntimeError, TypeError) as error:
        reason = str(error).partition("\n")[0][:_LONGEST].rstrip(".")
        advice = 'expected a device of this machine that has float64, such as "cpu"'
        if str(device).startswith("cuda"):
            advice += (
                "; for a GPU of NVIDIA, a PyTorch built for CUDA and its driver are needed: "
                f"torch.cuda.device_count() is {torch.cuda.device_count()}"
            )
        raise DeviceError(
            f"device is {str(device)!r}, which cannot be used ({reason}); {advice}"
        ) from error
    return found


class OnDevice(torch.nn.Module):
    """A module that is moved only to devices that it can work on.

    A module without tensors could be moved to one that does not exist.
    """

    def to(self, *args: Any, **kwargs: Any) -> Any:
        """As of `torch.nn.Module`; a `DeviceError` for a device that cannot be used here."""
        for given in (*args, kwargs.get("device")):
            of_device = isinstance(given, str | int | torch.device) and not isinstance(given, bool)
            if of_device and str(given) != "meta":  # where modules have shapes only
                usable_device(given)
        return super().to(*args, **kwargs)

    def cuda(self, device: Any = None) -> Any:
        """As of `torch.nn.Module`; a `DeviceError` where there is none."""
        usable_device(torch.device("cuda", device) if isinstance(device, int) else device or "cuda")
        return super().cuda(device)


def check_no_nan(**tensors: Tensor) -> None:
    """Raise ValueError if one of the tensors holds NaN."""
    for name, values in tensors.items():
        if missing := int(torch.isnan(values).sum()):
            raise ValueError(f"{name} is NaN for {missing} of {values.numel()}")
