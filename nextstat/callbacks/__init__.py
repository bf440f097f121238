"""Callbacks for hyper-parameter searches and trainers; each needs its framework on first use."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from nextstat.callbacks._lightning import LightningCallback as LightningCallback
    from nextstat.callbacks._optuna import OptunaCallback as OptunaCallback

_HOME = {"LightningCallback": "_lightning", "OptunaCallback": "_optuna"}

__all__ = sorted(_HOME)


def __getattr__(name: str) -> Any:
    if name in _HOME:
        value = getattr(importlib.import_module(f"nextstat.callbacks.{_HOME[name]}"), name)
        globals()[name] = value
        return value
    raise AttributeError(f"module 'nextstat.callbacks' has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
