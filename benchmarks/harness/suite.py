"""Measures one workspace with every peer, and series of generated ones."""

from __future__ import annotations

import hashlib
import json
import os
import platform
import warnings
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import nextstat
from harness import limits
from harness.jobs import Result, Settings, run_peer, timed_out
from harness.peers import OURS, Peer
from harness.points import random_point

Record = dict[str, Any]
"""What is known of one workspace: sizes, ``digest``, ``limit``, ``results`` (peer, task)."""


def machine_facts() -> dict[str, Any]:
    """CPU, cores, load and interpreter."""
    model = platform.processor()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.is_file():
        names = [line for line in cpuinfo.read_text().splitlines() if "model name" in line]
        model = names[0].split(":", 1)[1].strip() if names else model
    return {
        "cpu": model,
        "cores": os.cpu_count(),
        "load": os.getloadavg()[0],
        "system": platform.platform(),
        "python": platform.python_version(),
    }


@dataclass
class Suite:
    """Peers, their interpreters, and what earlier runs measured.

    Parameters
    ----------
    peers, pythons
        Who is measured besides us, and the interpreter of each by key.
    settings
        Budgets and repeats.
    earlier
        Records of an earlier run by name; peers' results in them are not measured again.
    versions
        What each peer's worker runs with, by distribution.
    """

    peers: Sequence[Peer]
    pythons: Mapping[str, Path]
    settings: Settings
    earlier: Mapping[str, Record] = field(default_factory=dict)
    versions: dict[str, dict[str, str]] = field(default_factory=dict)

    def _settled(self, result: Result) -> bool:
        """Whether an earlier result stands: no error, no smaller budget exceeded."""
        status: str = result["status"]
        return status == "ok" or (
            status == "timeout" and float(result["budget"]) >= self.settings.budget
        )

    def measure(
        self,
        name: str,
        path: Path,
        tasks: Iterable[str],
        slow: Mapping[str, set[str]] | None = None,
    ) -> Record:
        """Measure a workspace with us and every peer.

        Parameters
        ----------
        name
            Key of `earlier`.
        path
            The workspace.
        tasks
            What to measure.
        slow
            Peer -> tasks known to exceed the budget (on a smaller workspace).
        """
        wanted = list(tasks)
        text = path.read_text()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", nextstat.WorkspaceWarning)
            model = nextstat.from_pyhf(path)
        point = random_point(model)
        rounded = {name: f"{value:.12g}" for name, value in point.items()}
        digest = hashlib.sha256((text + json.dumps(rounded)).encode()).hexdigest()[:16]
        earlier = self.earlier.get(name, {})
        known = earlier["results"] if earlier.get("digest") == digest else {}
        results: dict[str, dict[str, Result]] = {}
        for peer in (OURS, *self.peers):
            done = {
                task: result
                for task, result in known.get(peer.key, {}).items()
                if not peer.uses_ours and self._settled(result)
            }
            for task in (slow or {}).get(peer.key, ()):
                done.setdefault(task, timed_out(task, self.settings.budget)[task])
            left = [task for task in wanted if task not in done]
            fresh, versions = run_peer(
                peer, self.pythons[peer.key], path, left, point, self.settings
            )
            self.versions.setdefault(peer.key, {}).update(versions)
            results[peer.key] = {task: r for task, r in (done | fresh).items() if task in wanted}
        return {
            "n_parameters": len(point),
            "n_bins": int(model.n_bins),
            "digest": digest,
            "limit": limits.limit(limits.count(json.loads(text))),
            "results": results,
        }
