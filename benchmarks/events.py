"""Measure the stage of events: filling, the estimator, Optuna studies, smoothed histograms.

See README.md beside this file.
"""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.event_stage import (
    ESTIMATOR,
    ESTIMATOR_OURS,
    FILL_OURS,
    FILLERS,
    FILLING,
    KERNELS,
    OPTUNA,
    SMOOTH_MODULE,
    SMOOTH_OURS,
    SMOOTH_TORCH,
    Rounds,
    busy_share,
)
from harness.event_tables import (
    ByThreads,
    print_estimator,
    print_filling,
    print_optuna,
    print_smoothing,
    seconds_of,
)
from harness.limits import MEMORY_BYTES, machine_rates
from harness.options import new_parser
from harness.peers import OURS, Peer, python_of
from harness.suite import machine_facts
from harness.tables import WIDTH, show_ratio, show_seconds
from rich.console import Console

THREADS = (1, 2)


@dataclass(frozen=True)
class Sizes:
    """How much is measured, and how often."""

    n_events: int = 1_000_000
    n_study_events: int = 100_000
    n_trials: int = 200
    n_rounds: int = 3
    repeats: int = 20


QUICK = Sizes(20_000, 2_000, 20, 1, 3)
PEERS: dict[str, tuple[Peer, ...]] = {
    "filling": (FILL_OURS, *FILLERS),
    "estimator": (ESTIMATOR_OURS,),
    "optuna": (OPTUNA,),
    "smooth": (SMOOTH_OURS, SMOOTH_MODULE, SMOOTH_TORCH),
}
"""Section -> who is measured."""


class Benchmark:
    """The whole run: measures, prints and saves section by section."""

    def __init__(self, sizes: Sizes, sections: tuple[str, ...], venvs: Path, output: Path) -> None:
        self.sizes, self.sections, self.output = sizes, sections, output
        self.console = Console(width=WIDTH)
        peers = [OURS, *(peer for section in sections for peer in PEERS[section])]
        pythons = {peer.venv: python_of(peer, venvs) for peer in peers}
        self.rounds = Rounds(pythons, sizes.n_rounds, sizes.repeats)
        self.machine = machine_facts() | {"busy": busy_share()}
        self.targets: list[tuple[str, bool]] = []
        self.records: dict[str, Any] = {}

    def run(self) -> None:
        """Measure what was asked for."""
        self.console.print(self.machine, "\n")
        for section in self.sections:
            self.console.print(f"[dim]measuring {section}[/dim]")
            self.rounds.busy.clear()
            getattr(self, f"_{section}")()
            if busy := self.rounds.busy:
                mean = sum(busy) / len(busy)
                self.records[section]["busy"] = mean
                self.console.print(
                    f" others kept the processors busy by {mean:.0%} on average,"
                    f" between {min(busy):.0%} and {max(busy):.0%}\n"
                )
            self.save()
        if self.sizes.n_events == Sizes.n_events:  # what the targets are for
            for text, met in self.targets:
                self.console.print(f"{'met   ' if met else 'MISSED'} {text}", highlight=False)
        self.console.print(f"results: {self.output}")

    def save(self) -> None:
        """Write everything measured so far."""
        document = {
            "machine": self.machine,
            "versions": self.rounds.versions,
            "sizes": vars(self.sizes),
            "records": self.records,
            "targets": dict(self.targets),
        }
        self.output.write_text(json.dumps(document, indent=1) + "\n")

    def _measure(self, section: str, n_events: int) -> ByThreads:
        by_threads = {
            threads: self.rounds.measure(PEERS[section], threads, n_events=n_events)
            for threads in THREADS
        }
        self.records[section] = {"results": by_threads}
        return by_threads

    def _target(self, text: str, value: float | None, limit: float, *, ratio: bool = False) -> None:
        """Note whether a time stays below a limit, or a ratio reaches one."""
        if value is None:
            self.targets.append((f"{text}: not measured", False))
            return
        show = show_ratio if ratio else show_seconds
        met = value >= limit if ratio else value <= limit
        sign = "at least" if ratio else "at most"
        self.targets.append((f"{text}: {show(value)}, {sign} {show(limit)}", met))

    def _filling(self) -> None:
        bandwidth = {n: machine_rates([MEMORY_BYTES], n)[0][0] for n in THREADS}
        by_threads = self._measure("filling", self.sizes.n_events)
        self.records["filling"]["bandwidth"] = bandwidth
        print_filling(self.console, by_threads, bandwidth, self.sizes.n_events)
        for peer, least in (("numpy", 5.0), ("boost", 1.0)):
            worst = [
                theirs / ours
                for results in by_threads.values()
                for task in FILLING
                if (ours := seconds_of(results, "ours", task))
                and (theirs := seconds_of(results, peer, task))
            ]
            text = f"filling, time of {peer} / ours, worst case"
            self._target(text, min(worst, default=None), least, ratio=True)

    def _estimator(self) -> None:
        by_threads = self._measure("estimator", self.sizes.n_events)
        print_estimator(self.console, by_threads, self.sizes.n_events)
        for task in ESTIMATOR:
            y, variation = task.split()
            seconds = seconds_of(by_threads[THREADS[-1]], "ours", task)
            self._target(f"fit + score, y {y}, variation {variation}, 2 threads", seconds, 0.5)

    def _optuna(self) -> None:
        results = self.rounds.measure(
            PEERS["optuna"],
            THREADS[-1],
            n_events=self.sizes.n_study_events,
            n_trials=self.sizes.n_trials,
        )
        self.records["optuna"] = {"results": results}
        print_optuna(self.console, results, self.sizes.n_trials)
        for task, limit in (("events", 30.0), ("histograms", 2.0)):
            seconds = seconds_of(results, "ours", task)
            self._target(f"study of {self.sizes.n_trials} trials, {task}", seconds, limit)

    def _smooth(self) -> None:
        by_threads = self._measure("smooth", self.sizes.n_events)
        print_smoothing(self.console, by_threads, self.sizes.n_events)
        for kernel in KERNELS:
            for threads, results in by_threads.items():
                theirs = seconds_of(results, "torch", f"both {kernel}")
                for peer, title, least in (
                    ("ours", "smoothing", 1.0),
                    ("module", "SoftHistogram", 3.0),
                ):
                    ours = seconds_of(results, peer, f"both {kernel}")
                    ratio = theirs / ours if ours and theirs else None
                    text = f"{title} {kernel}, threads {threads}, time of torch / ours"
                    self._target(text, ratio, least, ratio=True)


def _names(text: str) -> tuple[str, ...]:
    return tuple(name for name in text.split(",") if name)


def main() -> None:
    """Command line."""
    parser = new_parser(__doc__, "results-events.json")
    add = parser.add_argument
    add("--only", type=_names, default=tuple(PEERS), help=",".join(PEERS))
    add("--quick", action="store_true", help="few events, one round: whether everything runs")
    add("--rounds", type=int, help=f"turns of every worker, default {Sizes.n_rounds}")
    arguments = parser.parse_args()
    if unknown := sorted(set(arguments.only) - set(PEERS)):
        sys.exit(f"unknown: {', '.join(unknown)}; known: {', '.join(PEERS)}")
    sizes = QUICK if arguments.quick else Sizes()
    if arguments.rounds:
        sizes = Sizes(**vars(sizes) | {"n_rounds": arguments.rounds})
    Benchmark(sizes, arguments.only, arguments.venvs, arguments.output).run()


if __name__ == "__main__":
    main()
