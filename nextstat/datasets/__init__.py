"""Data to try things on: workspaces, events with systematic variations, a published toy problem.

Names load on first use: events need scikit-learn, which takes a second to import; workspaces do
not.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from nextstat.datasets._blobs import make_blobs as make_blobs
    from nextstat.datasets._events import make_events as make_events
    from nextstat.datasets._workspaces import make_workspace as make_workspace

_HOME = {"make_blobs": "_blobs", "make_events": "_events", "make_workspace": "_workspaces"}

__all__ = sorted(_HOME)


def __getattr__(name: str) -> Any:
    if name in _HOME:
        value = getattr(importlib.import_module(f"nextstat.datasets.{_HOME[name]}"), name)
        globals()[name] = value
        return value
    raise AttributeError(f"module 'nextstat.datasets' has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
