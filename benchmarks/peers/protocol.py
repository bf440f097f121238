"""What every worker shares: a job on stdin, timed calls, one JSON line per result on stdout.

A job is a JSON object: ``workspace`` (path), ``tasks`` (names, in order), ``point`` (parameter
name -> value), ``budget`` (seconds per task), ``repeats``, ``threads`` and the peer's own
options. Standard library only: this file runs in every peer's environment.
"""

from __future__ import annotations

import contextlib
import ctypes
import gc
import json
import math
import os
import resource
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

LOOP_SECONDS = 0.02  # one repeat of a fast call lasts at least this long
SLOW_SECONDS = 2.0  # slower calls are timed once; all repeats of a faster one share this time

Job = dict[str, Any]


@dataclass(frozen=True)
class Task:
    """One timed call.

    Parameters
    ----------
    call
        The work to time, without arguments.
    describe
        What the work obtained, from the result of ``call``: ``value``, and ``mu``, ``top`` or
        ``converged`` where they exist.
    items
        Number of pieces of work in one call; the time reported is that of one piece.
    """

    call: Callable[[], Any]
    describe: Callable[[Any], dict[str, Any]] = lambda result: {"value": float(result)}
    items: int = 1


@dataclass(frozen=True)
class Timing:
    """Best time of one call in seconds, the time of the first call, and the number of calls.

    `cpu_seconds` is the least processor time of a call, of all threads: on a busy machine, that
    is nearer to what one thread would take if it were alone.
    """

    seconds: float
    cpu_seconds: float
    first_seconds: float
    n_repeats: int


def measure(
    call: Callable[[], Any], budget: float, repeats: int, compiles: bool
) -> tuple[Any, Timing]:
    """Time a call: one warm-up, then the best of several repeats.

    A call slower than `SLOW_SECONDS` counts as it is, except where the first call compiles
    (`compiles`): then a second one is timed if the budget allows it.
    """
    gc.collect()
    result, first, cpu = _clocked(call, 1)
    if first > SLOW_SECONDS and not (compiles and 2.2 * first < budget):
        return result, Timing(first, cpu, first, 1)
    result, best, cpu = _clocked(call, 1)
    count = 2
    loops = max(1, math.ceil(LOOP_SECONDS / max(best, 1e-9)))
    spent = best
    for _ in range(repeats):
        if spent + loops * best > SLOW_SECONDS:
            break
        _, seconds, cpu_seconds = _clocked(call, loops)
        spent += loops * seconds
        best, cpu = min(best, seconds), min(cpu, cpu_seconds)
        count += loops
    return result, Timing(best, cpu, first, count)


def _clocked(call: Callable[[], Any], loops: int) -> tuple[Any, float, float]:
    """Result, seconds and processor seconds of a call, from several."""
    start, cpu_start = time.perf_counter(), time.process_time()
    for _ in range(loops):
        result = call()
    seconds, cpu_seconds = time.perf_counter() - start, time.process_time() - cpu_start
    return result, seconds / loops, cpu_seconds / loops


def peak_rss_mb() -> float:
    """Largest resident memory of this process so far, in MB (10^6 bytes).

    ``ru_maxrss`` of a child process starts at its parent's value on Linux, hence VmHWM first.
    """
    with contextlib.suppress(OSError):
        return _resident_mb("VmHWM")
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e6


def extra_memory_mb(call: Callable[[], Any]) -> float | None:
    """Memory that a call takes at its peak on top of what is there before, in MB (10^6 bytes).

    None where the system does not tell.
    """
    gc.collect()
    try:
        ctypes.CDLL(None).malloc_trim(0)  # memory that was freed but not given back
        Path("/proc/self/clear_refs").write_text("5")  # the peak starts anew
        before = _resident_mb("VmRSS")
        call()
        return _resident_mb("VmHWM") - before
    except (OSError, AttributeError):
        return None


def _resident_mb(key: str) -> float:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(key)) * 1024 / 1e6


def _versions(distributions: tuple[str, ...]) -> dict[str, str]:
    return {name: metadata.version(name) for name in distributions}


def _finite(value: Any) -> Any:
    return None if isinstance(value, float) and not math.isfinite(value) else value


def serve(
    load: Callable[[Job], Any],
    tasks: Callable[[Any, Job], Mapping[str, Task]],
    *,
    distributions: tuple[str, ...],
    compiles: bool = False,
) -> None:
    """Run the job on stdin and write its results.

    Parameters
    ----------
    load
        Builds the model from ``job["workspace"]``; timed as the task ``build``.
    tasks
        The peer's tasks for a model, by name.
    distributions
        Installed distributions whose versions are reported.
    compiles
        Whether the first call of a task compiles it.
    """
    # Whatever a library prints goes to stderr; the original stdout carries results only.
    stream = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)

    def emit(record: dict[str, Any]) -> None:
        stream.write(json.dumps({key: _finite(value) for key, value in record.items()}) + "\n")

    def run(name: str, task: Task) -> Any:
        try:
            result, timing = measure(task.call, job["budget"], job["repeats"], compiles)
            described = task.describe(result)
        except Exception as error:
            emit({"task": name, "error": f"{type(error).__name__}: {error}"[:300]})
            return None
        times = {
            **vars(timing),
            "seconds": timing.seconds / task.items,
            "cpu_seconds": timing.cpu_seconds / task.items,
        }
        emit({"task": name, **described, **times, "peak_rss_mb": peak_rss_mb()})
        return result

    job: Job = json.load(sys.stdin)
    emit({"event": "started", "versions": _versions(distributions)})
    if "build" in job["tasks"]:
        model = run("build", Task(lambda: load(job), lambda _: {}))
    else:
        model = load(job)
    if model is None:
        return
    emit({"event": "loaded"})
    available = tasks(model, job)
    for name in job["tasks"]:
        if name in available:
            run(name, available[name])
