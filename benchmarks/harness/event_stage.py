"""The stage of events: who fills, learns and smooths, and the best of several rounds of it."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from harness.compare import Results
from harness.jobs import WORKERS, Result, run_worker
from harness.peers import OURS, Peer

BUDGET = 120.0  # seconds, for every call

FILLING = tuple(
    f"{edges} {dtype}" for dtype in ("float64", "float32") for edges in ("uniform", "variable")
)
ESTIMATOR = tuple(
    f"{y} {variation}" for y in ("int64", "str") for variation in ("str", "Categorical")
)
STUDIES = ("events", "histograms", "nothing")
KERNELS = ("kde 0.02 float64", "kde 0.1 float64", "sigmoid 0.02 float64", "kde 0.02 float32")
MORE_BINS = f"{KERNELS[0]} 100"  # the others have 20
SMOOTHING = (
    *(f"{what} {kernel}" for kernel in KERNELS for what in ("forward", "both", "memory")),
    f"memory {MORE_BINS}",
)

_HISTOGRAMS = ("boost-histogram==1.8.1", "numpy")


def _filler(method: str, title: str) -> Peer:
    return Peer(
        method,
        title,
        "run_filling_peers.py",
        FILLING,
        venv="histograms",
        requirements=_HISTOGRAMS,
        options={"method": method},
    )


def _ours(script: str, tasks: tuple[str, ...]) -> Peer:
    return Peer(OURS.key, OURS.title, script, tasks, uses_ours=True)


FILL_OURS = _ours("run_filling_ours.py", FILLING)
FILLERS = (
    _filler("numpy", "numpy\n2 calls"),
    _filler("numpy-yields", "numpy\n1 call"),
    _filler("boost", "boost\neach"),
    _filler("boost-groups", "boost\none pass"),
)
ESTIMATOR_OURS = _ours("run_estimator.py", ESTIMATOR)
OPTUNA = Peer(
    OURS.key,
    "Optuna",
    "run_optuna.py",
    STUDIES,
    venv="optuna",
    requirements=("optuna==5.0.0",),
    uses_ours=True,
)
SMOOTH_OURS = _ours("run_smooth_ours.py", SMOOTHING)
_TORCH = ("torch==2.13.0", "numpy")
SMOOTH_MODULE = Peer(
    "module",
    "SoftHistogram",
    "run_smooth_module.py",
    SMOOTHING,
    venv="torch",
    requirements=_TORCH,
    uses_ours=True,
)
SMOOTH_TORCH = Peer(
    "torch", "torch", "run_smooth_torch.py", SMOOTHING, venv="torch", requirements=_TORCH
)


def busy_share(seconds: float = 1.0) -> float | None:
    """Share of this machine's processors that others keep busy; None where it does not tell."""

    def read() -> list[int]:
        first = Path("/proc/stat").read_text().splitlines()[0]
        return [int(number) for number in first.split()[1:9]]

    try:
        before = read()
        time.sleep(seconds)
        spent = [after - start for after, start in zip(read(), before, strict=True)]
    except (OSError, ValueError):
        return None
    idle = spent[3] + spent[4]  # idle, waiting for disks
    return 1.0 - idle / max(sum(spent), 1)


@dataclass
class Rounds:
    """Workers that take turns, and what each obtained at best.

    Parameters
    ----------
    pythons
        Interpreter of each environment, by its name; None is that of the benchmark.
    n_rounds, repeats
        Turns of every worker, and repeats of a call in each.
    versions
        What each worker runs with, by peer and distribution.
    busy
        Shares of the processors that others kept busy, one before every turn.
    """

    pythons: Mapping[str | None, Path]
    n_rounds: int
    repeats: int
    versions: dict[str, dict[str, str]] = field(default_factory=dict)
    busy: list[float] = field(default_factory=list)

    def measure(self, peers: Sequence[Peer], threads: int, **options: Any) -> Results:
        """Best result of every peer and task; `options` go to the workers."""
        best: dict[str, dict[str, Result]] = {peer.key: {} for peer in peers}
        for _ in range(self.n_rounds):
            for peer in peers:
                if (share := busy_share(0.5)) is not None:
                    self.busy.append(share)
                for task, result in self._turn(peer, threads, options).items():
                    known = best[peer.key].get(task)
                    best[peer.key][task] = result if known is None else _better(result, known)
        return best

    def _turn(self, peer: Peer, threads: int, options: Mapping[str, Any]) -> dict[str, Result]:
        job = {
            "tasks": list(peer.tasks),
            "budget": BUDGET,
            "repeats": self.repeats,
            "threads": threads,
            **peer.options,
            **options,
        }
        command = [str(self.pythons[peer.venv]), str(WORKERS / peer.script)]
        isolated = peer.venv is not None and not peer.uses_ours
        results, versions, event, message = run_worker(command, job, isolated)
        self.versions.setdefault(peer.key, {}).update(versions)
        if event is not None:
            message = f"longer than {BUDGET:.0f} s" if event == "timeout" else message
            for task in peer.tasks:
                results.setdefault(task, {"status": "error", "error": message})
        return results


def _better(one: Result, other: Result) -> Result:
    """The faster of two results; errors come last."""
    if "error" in (one["status"], other["status"]):
        return one if one["status"] == "ok" else other
    faster = min(one, other, key=lambda result: result["seconds"])
    return faster | {"cpu_seconds": min(one["cpu_seconds"], other["cpu_seconds"])}
