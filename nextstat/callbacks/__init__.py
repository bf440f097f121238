"""Callbacks for hyper-parameter searches and trainers; each needs its framework on first use."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nextstat._base.lazy import loader

if TYPE_CHECKING:
    from nextstat.callbacks._lightning import LightningCallback as LightningCallback
    from nextstat.callbacks._optuna import OptunaCallback as OptunaCallback

_HOME = {"LightningCallback": "_lightning", "OptunaCallback": "_optuna"}

__all__ = sorted(_HOME)
__getattr__ = loader(__name__, _HOME)


def __dir__() -> list[str]:
    return __all__
