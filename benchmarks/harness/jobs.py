"""Runs one worker after another under a time budget and collects their results."""

from __future__ import annotations

import json
import os
import queue
import subprocess
import tempfile
import threading
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from harness.peers import CONTAINED_IN, TASKS, Peer

WORKERS = Path(__file__).parents[1] / "peers"
START_SECONDS = 120.0  # imports of a worker, with cold file caches

Result = dict[str, Any]
"""``status`` "ok" (``seconds``, ``value``, ...), "timeout" (``budget``) or "error" (``error``)."""


@dataclass(frozen=True)
class Settings:
    """Budget per task in seconds, and repeats of a fast call."""

    budget: float = 120.0
    repeats: int = 5


def environment(threads: int, isolated: bool) -> dict[str, str]:
    """Environment variables that hold a worker to `threads` threads.

    `isolated` keeps PYTHONPATH away from it: another nextstat may be there.
    """
    dropped = ("PYTHONPATH",) if isolated else ()
    kept = {key: value for key, value in os.environ.items() if key not in dropped}
    for name in ("OMP", "OPENBLAS", "MKL", "NUMEXPR", "RAYON"):
        kept[f"{name}_NUM_THREADS"] = str(threads)
    return kept | {
        "NPROC": str(threads),
        "XLA_FLAGS": "--xla_cpu_multi_thread_eigen=false",
        "JAX_PLATFORMS": "cpu",
        "PYTHONNOUSERSITE": "1",
        "PYTHONWARNINGS": "ignore",
    }


def _read_lines(stream: IO[str], lines: queue.Queue[str | None]) -> None:
    for line in stream:
        lines.put(line)
    lines.put(None)


def run_worker(
    command: list[str], job: dict[str, Any], isolated: bool
) -> tuple[dict[str, Result], dict[str, str], str | None, str]:
    """Run a worker until it ends or a task exceeds the budget.

    Returns
    -------
    tuple
        Finished results, the peer's versions, the event "timeout" (killed), "error" (died) or
        None, and the last line of its stderr.
    """
    results: dict[str, Result] = {}
    versions: dict[str, str] = {}
    event: str | None = None
    lines: queue.Queue[str | None] = queue.Queue()
    with tempfile.TemporaryFile("w+", errors="replace") as log:
        process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
            env=environment(job["threads"], isolated),
        )
        assert process.stdin is not None
        assert process.stdout is not None
        reader = threading.Thread(target=_read_lines, args=(process.stdout, lines), daemon=True)
        reader.start()
        try:
            process.stdin.write(json.dumps(job))
            process.stdin.close()
            limit = START_SECONDS
            while (line := lines.get(timeout=limit)) is not None:
                record = json.loads(line)
                limit = job["budget"]
                versions |= record.get("versions", {})
                if name := record.pop("task", None):
                    results[name] = {"status": "error" if "error" in record else "ok", **record}
            event = "error" if process.wait() else None
        except queue.Empty:
            event = "timeout"
        except BrokenPipeError:
            event = "error"
        finally:
            process.kill()
            process.wait()
            reader.join()
        log.seek(0)
        tail = log.read().strip().splitlines()
    return results, versions, event, tail[-1][:300] if tail else "the worker died"


def timed_out(task: str, budget: float) -> dict[str, Result]:
    """Results that follow from one task having exceeded its budget."""
    lost = {"status": "timeout", "budget": budget}
    return {task: lost} | {name: lost for name in CONTAINED_IN.get(task, ())}


def run_peer(
    peer: Peer,
    python: Path,
    workspace: Path,
    tasks: Iterable[str],
    point: Mapping[str, float],
    settings: Settings,
) -> tuple[dict[str, Result], dict[str, str]]:
    """Results of the tasks that a peer can do, by task, and the versions it reports.

    A worker that exceeds the budget is killed; the tasks left go to a fresh one, except those
    that contain the lost one. Tasks with two threads have a worker of their own.
    """
    wanted = [task for task in TASKS if task in set(tasks) & set(peer.tasks)]
    results: dict[str, Result] = {}
    versions: dict[str, str] = {}
    isolated = peer.venv is not None and not peer.uses_ours
    for threads in (1, 2):
        group = [task for task in wanted if task.endswith("_2") == (threads == 2)]
        while pending := [task for task in group if task not in results]:
            job = {
                "workspace": str(workspace),
                "tasks": pending,
                "point": dict(point),
                "budget": settings.budget,
                "repeats": settings.repeats,
                "threads": threads,
                **peer.options,
            }
            command = [str(python), str(WORKERS / peer.script), *peer.arguments]
            done, reported, event, message = run_worker(command, job, isolated)
            versions |= reported
            results |= done
            left = [task for task in pending if task not in results]
            if not left:
                break
            if left[0] != "build" and event == "timeout":
                lost = timed_out(left[0], settings.budget)
                results |= {task: lost[task] for task in lost if task in wanted}
                continue
            if event == "timeout":
                results["build"] = timed_out("build", settings.budget)["build"]
                left, message = left[1:], "no model within the budget"
            no_model = results.get("build", {}).get("status", "ok") != "ok"
            failure = {"status": "error", "error": done.get("build", {}).get("error", message)}
            results |= {task: failure for task in (left if no_model else left[:1])}
    return results, versions
