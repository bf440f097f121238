"""What metrics are made of: names with a prefix, and plain numbers."""

from __future__ import annotations

import numpy as np

from nextstat._fits.result import FitResult

_TEXT = (str, bytes, bytearray, memoryview)


def check_prefix(prefix: object) -> None:
    """Raise TypeError for what cannot stand in front of a name."""
    if not isinstance(prefix, str):
        raise TypeError(f"prefix is {prefix!r}, expected a string")


def number(value: object, name: str) -> float:
    """The single number in a value, which may be an array or a tensor.

    Raises
    ------
    TypeError
        If there is none: text that could be read as one, times and masked values are none.
    ValueError
        If it is too large.
    """
    try:
        if isinstance(value, _TEXT) or np.ma.is_masked(value):
            raise TypeError
        if isinstance(value, np.ndarray | np.generic) and value.dtype.kind not in "biufO":
            raise TypeError
        return float(value.item() if hasattr(value, "item") else value)  # type: ignore[arg-type]
    except (TypeError, ValueError, RuntimeError):
        shape = f" of shape {tuple(value.shape)}" if hasattr(value, "shape") else ""
        found = repr(value) if isinstance(value, str) else f"a {type(value).__name__}{shape}"
        raise TypeError(f"{name} is {found}, expected a number") from None
    except OverflowError:
        raise ValueError(f"{name} is too large, expected at most 1.8e308") from None


def health(result: FitResult, prefix: str, *, include_time: bool = True) -> dict[str, float]:
    """The numbers of a fit as a whole."""
    metrics = {
        f"{prefix}mu": result.mu,
        f"{prefix}nll": result.nll,
        f"{prefix}edm": result.edm,
        f"{prefix}converged": float(result.converged),
    }
    if include_time:
        metrics[f"{prefix}time_ms"] = result.time_ms
    return metrics
