"""The arithmetic limit of one nll: what the workspace makes any implementation read and do.

Counted from the JSON, with 8-byte numbers, each read once:

=====================  ========================================  ==============================
part                   bytes                                     flops
=====================  ========================================  ==============================
normsys                52: six coefficients of the polynomial    13: two per coefficient, one
                       in alpha, a 4-byte sample index           to multiply the sample's factor
histosys, per bin      16: difference and curvature              4: two multiply-adds
nominal, per bin       8                                         2: multiply by the factor, add
normfactor, lumi       4: a sample index                         1
gammas, per bin        -: one parameter per bin, see below       1
data, per bin          16: n and lnGamma(n+1)                    25: one logarithm (20), rest
constraint             16: centre and inverse width              4, Poisson 24
parameter              8                                         -
=====================  ========================================  ==============================

Modifiers that do nothing (lo = hi = 1; lo = hi = nominal) are left out. The limit is the longer
of bytes / bandwidth and flops / rate on one core, with the rate of a small matrix product and the
bandwidth measured twice: for a working set of that size, as in repeated calls (``seconds``), and
for one that no cache holds (``memory_seconds``). The gradient reads the same numbers: it is
compared with the same limits.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from harness.jobs import WORKERS, environment

MEMORY_BYTES = 2**27  # larger than the caches
GAMMAS = ("staterror", "shapesys", "shapefactor")


@dataclass(frozen=True)
class Cost:
    """Bytes and flops of one nll."""

    n_bytes: int
    flops: int


def count(workspace: Mapping[str, Any]) -> Cost:
    """Count the bytes and flops of one nll (see the table above)."""
    n_bytes = flops = 0
    widths: dict[tuple[str, str], int] = {}  # (kind of constraint, name) -> parameters
    for channel in workspace["channels"]:
        n_bins = len(channel["samples"][0]["data"])
        n_bytes += 16 * n_bins
        flops += 25 * n_bins
        for sample in channel["samples"]:
            n_bytes += 8 * n_bins
            flops += 2 * n_bins
            for modifier in sample["modifiers"]:
                kind, name, data = modifier["type"], modifier["name"], modifier["data"]
                if kind == "normsys":
                    widths["gauss", name] = 1
                    if data["lo"] != 1 or data["hi"] != 1:
                        n_bytes, flops = n_bytes + 52, flops + 13
                elif kind == "histosys":
                    widths["gauss", name] = 1
                    if not data["lo_data"] == data["hi_data"] == sample["data"]:
                        n_bytes, flops = n_bytes + 16 * n_bins, flops + 4 * n_bins
                elif kind in GAMMAS:
                    group = {"shapesys": "poisson", "shapefactor": "free"}.get(kind, "gauss")
                    widths[group, name] = n_bins
                    flops += n_bins
                else:
                    widths["gauss" if kind == "lumi" else "free", name] = 1
                    n_bytes, flops = n_bytes + 4, flops + 1
    names: dict[str, int] = {}
    for (kind, name), width in widths.items():
        names[name] = max(names.get(name, 0), width)
        if kind != "free":
            n_bytes += 16 * width
            flops += (24 if kind == "poisson" else 4) * width
    return Cost(n_bytes + 8 * sum(names.values()), flops)


def machine_rates(sizes: Sequence[int], threads: int = 1) -> tuple[list[float], float]:
    """Bandwidth (bytes/s) for each working set in bytes, and the flop rate (1/s)."""
    command = [sys.executable, str(WORKERS / "run_machine.py"), *map(str, sizes)]
    done = subprocess.run(
        command,
        env=environment(threads, isolated=False),
        capture_output=True,
        text=True,
        check=True,
    )
    rates = json.loads(done.stdout)
    return rates["bandwidth"], rates["flops"]


def limit(cost: Cost) -> dict[str, float]:
    """Limits of one nll in seconds, with the count and the rates they follow from."""
    (bandwidth, memory_bandwidth), flop_rate = machine_rates([cost.n_bytes, MEMORY_BYTES])
    return {
        "bytes": cost.n_bytes,
        "flops": cost.flops,
        "bandwidth": bandwidth,
        "memory_bandwidth": memory_bandwidth,
        "flop_rate": flop_rate,
        "seconds": max(cost.n_bytes / bandwidth, cost.flops / flop_rate),
        "memory_seconds": max(cost.n_bytes / memory_bandwidth, cost.flops / flop_rate),
    }
