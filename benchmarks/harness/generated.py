"""Generated workspaces: one bin (what a call costs), 1,500 parameters, and two scaling series."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rich.console import Console

import nextstat
from harness.compare import Results
from harness.peers import Peer
from harness.tables import show_ratio

ONE_BIN: dict[str, Any] = {
    "channels": [
        {
            "name": "channel",
            "samples": [
                {
                    "name": "signal",
                    "data": [10.0],
                    "modifiers": [{"name": "mu", "type": "normfactor", "data": None}],
                }
            ],
        }
    ],
    "observations": [{"name": "channel", "data": [12.0]}],
    "measurements": [{"name": "one bin", "config": {"poi": "mu", "parameters": []}}],
    "version": "1.0.0",
}

SINGLE: dict[str, tuple[dict[str, int] | None, tuple[str, ...]]] = {
    "one-bin": (None, ("nll", "gradient", "hessian", "fit")),
    "large": (
        {"n_channels": 10, "n_bins": 50, "n_samples": 5, "n_systematics": 1000},
        ("build", "nll", "gradient", "hessian", "fit", "hypotest"),
    ),
}
"""Name -> (arguments of make_workspace, tasks)."""


@dataclass(frozen=True)
class Series:
    """Workspaces of growing size.

    Parameters
    ----------
    title
        Above the table.
    varied
        Argument of make_workspace that takes the sizes.
    sizes
        In growing order.
    arguments
        The others.
    fit_sizes
        Two sizes whose fit times are compared.
    """

    title: str
    varied: str
    sizes: tuple[int, ...]
    arguments: dict[str, int] = field(default_factory=dict)
    fit_sizes: tuple[int, int] = (0, 0)


SERIES = {
    "staterror": Series(
        "one channel of n bins with staterror, 5 systematics",
        "n_bins",
        (16, 64, 256, 1024, 4096),
        {"n_channels": 1, "n_samples": 4, "n_systematics": 5},
        (64, 4096),
    ),
    "systematics": Series(
        "one channel of 30 bins with staterror, n systematics",
        "n_systematics",
        (10, 30, 100, 300, 1000),
        {"n_channels": 1, "n_bins": 30, "n_samples": 4},
        (10, 1000),
    ),
}
SERIES_TASKS = ("nll", "gradient", "fit")


def write_workspace(path: Path, arguments: Mapping[str, Any] | None) -> Path:
    """Write a generated workspace (None: the one-bin one) and return its path."""
    workspace = (
        ONE_BIN
        if arguments is None
        else nextstat.datasets.make_workspace(**arguments, random_state=0)
    )
    path.write_text(json.dumps(workspace))
    return path


def slope(sizes: Sequence[int], seconds: Sequence[float]) -> float:
    """Least-squares slope of log(seconds) against log(sizes)."""
    x = [math.log(size) for size in sizes]
    y = [math.log(value) for value in seconds]
    mean_x, mean_y = sum(x) / len(x), sum(y) / len(y)
    covariance = sum((a - mean_x) * (b - mean_y) for a, b in zip(x, y, strict=True))
    return covariance / sum((a - mean_x) ** 2 for a in x)


def print_scaling(
    console: Console, series: Series, measured: Mapping[int, Results], peers: Sequence[Peer]
) -> None:
    """Print how nll and gradient grow over the last three sizes, and a ratio of fits."""
    for key, title in (("ours", "nextstat"), *((p.key, " ".join(p.title.split())) for p in peers)):
        times = {
            task: {
                size: results[key][task]["seconds"]
                for size, results in measured.items()
                if results.get(key, {}).get(task, {}).get("status") == "ok"
            }
            for task in SERIES_TASKS
        }
        parts = []
        for task in ("nll", "gradient"):
            last = list(times[task].items())[-3:]
            if len(last) >= 2:
                exponent = slope([size for size, _ in last], [value for _, value in last])
                parts.append(f"{task} ~ n^{exponent:.2f} ({last[0][0]} to {last[-1][0]})")
        small, big = series.fit_sizes
        if small in times["fit"] and big in times["fit"]:
            ratio = times["fit"][big] / times["fit"][small]
            parts.append(f"fit({big}) / fit({small}) = {show_ratio(ratio)}")
        if parts:
            console.print(
                f" {title}: {parts[0]}", *(f"   {p}" for p in parts[1:]), sep="\n", highlight=False
            )
    console.print()
