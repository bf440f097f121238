"""Data to try things on: workspaces, events with systematic variations, a published toy problem.

Names load on first use: events need scikit-learn, which takes a second to import; workspaces do
not.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from nextstat._base.lazy import loader

if TYPE_CHECKING:
    from nextstat.datasets._blobs import make_blobs as make_blobs
    from nextstat.datasets._events import make_events as make_events
    from nextstat.datasets._workspaces import make_workspace as make_workspace

_HOME = {"make_blobs": "_blobs", "make_events": "_events", "make_workspace": "_workspaces"}

__all__ = sorted(_HOME)
__getattr__ = loader(__name__, _HOME)


def __dir__() -> list[str]:
    return __all__
