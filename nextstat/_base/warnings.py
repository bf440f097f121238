"""Warnings that point to the line of the user, however deep below it they are found."""

from __future__ import annotations

import sys
import warnings
from types import FrameType

# Packages whose frames are nobody's line: ours, and those that stand between us and the user.
_BETWEEN = frozenset(
    {
        "contextlib",
        "functools",
        "joblib",
        "lightning",
        "nextstat",
        "numpy",
        "optuna",
        "pytorch_lightning",
        "scipy",
        "sklearn",
        "torch",
    }
)


def warn(message: str, category: type[Warning]) -> None:
    """Issue a warning about the innermost line outside of this package.

    Frames of scikit-learn, PyTorch and the like do not count as lines of the user: who calls
    `cross_validate` reads of that line. In a worker, whose stack has no line of the user, the
    warning points to the outermost one.
    """
    frame: FrameType | None = sys._getframe(1)
    level = outermost = 2  # that of the caller
    while frame is not None and _package(frame) in _BETWEEN:
        outermost = level
        frame = frame.f_back
        level += 1
    warnings.warn(message, category, stacklevel=outermost if frame is None else level)


def _package(frame: FrameType) -> str:
    return str(frame.f_globals.get("__name__", "")).partition(".")[0]
