"""Workspaces of one channel, small enough to be worked out by hand."""

from __future__ import annotations

from typing import Any

import nextstat
from nextstat import HistFactoryModel


def counting(
    *, signal: float, background: float, observed: float, lumi: float | None = None
) -> dict[str, Any]:
    """One bin: signal scaled by mu, background by a 10 % uncertainty or by the luminosity."""
    common = normsys("scale", 1.1, 0.9) if lumi is None else luminosity()
    workspace = one_channel(
        [
            {"name": "signal", "data": [signal], "modifiers": [normfactor("mu")]},
            {"name": "background", "data": [background], "modifiers": [common]},
        ],
        [observed],
    )
    if lumi is not None:
        config = {
            "name": "lumi",
            "auxdata": [1.0],
            "sigmas": [lumi],
            "inits": [1.0],
            "bounds": [[0.5, 1.5]],
        }
        workspace["measurements"][0]["config"]["parameters"].append(config)
    return workspace


def one_channel(samples: list[dict[str, Any]], observed: list[float]) -> dict[str, Any]:
    return {
        "channels": [{"name": "channel", "samples": samples}],
        "observations": [{"name": "channel", "data": observed}],
        "measurements": [{"name": "m", "config": {"poi": "mu", "parameters": []}}],
        "version": "1.0.0",
    }


def normfactor(name: str) -> dict[str, Any]:
    return {"name": name, "type": "normfactor", "data": None}


def luminosity() -> dict[str, Any]:
    return {"name": "lumi", "type": "lumi", "data": None}


def normsys(name: str, hi: float, lo: float) -> dict[str, Any]:
    return {"name": name, "type": "normsys", "data": {"hi": hi, "lo": lo}}


def counting_model(signal: float, background: float, observed: float) -> HistFactoryModel:
    """One bin, nothing uncertain."""
    samples = [
        {"name": "signal", "data": [signal], "modifiers": [normfactor("mu")]},
        {"name": "background", "data": [background], "modifiers": []},
    ]
    return nextstat.from_pyhf(one_channel(samples, [observed]))
