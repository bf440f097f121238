"""Models that the tests share."""

from __future__ import annotations

from typing import Any

import nextstat
from nextstat import HistFactoryModel


def counting(*modifiers: tuple[str, str, Any], poi: str = "mu") -> HistFactoryModel:
    """Two bins of signal and background; the modifiers are those of the background."""
    strength = [{"name": "mu", "type": "normfactor", "data": None}]
    others = [{"name": name, "type": kind, "data": data} for name, kind, data in modifiers]
    samples = [
        {"name": "signal", "data": [5.0, 10.0], "modifiers": strength if poi else []},
        {"name": "background", "data": [50.0, 40.0], "modifiers": others},
    ]
    return nextstat.from_pyhf(
        {
            "channels": [{"name": "SR", "samples": samples}],
            "observations": [{"name": "SR", "data": [57.0, 52.0]}],
            "measurements": [{"name": "m", "config": {"poi": poi, "parameters": []}}],
            "version": "1.0.0",
        }
    )


RATE = ("rate", "normsys", {"hi": 1.1, "lo": 0.9})
STATISTICS = ("stat", "staterror", [2.0, 2.0])
FREE = [("free", "normfactor", None), ("too_free", "normfactor", None)]  # only their product acts
AWKWARD = "b-tag [c+jets] #1: µ/../x"
