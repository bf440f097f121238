"""Compare nextstat with its peers on the same work: times, ratios, memory, values obtained.

See README.md beside this file.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from harness.compare import Results
from harness.generated import (
    SERIES,
    SERIES_TASKS,
    SINGLE,
    print_scaling,
    write_workspace,
)
from harness.jobs import Settings
from harness.options import new_parser
from harness.peers import OURS, PEERS, TASKS, python_of
from harness.suite import Record, Suite, machine_facts
from harness.tables import WIDTH, print_limit, print_summary, print_times, print_values
from rich.console import Console

SUMMARY_PEERS = ("rust", "pyhf-scipy")
QUICK = Settings(budget=10.0, repeats=2)
QUICK_SIZES = 3  # of each series


def _names(text: str) -> tuple[str, ...]:
    return tuple(name for name in text.split(",") if name)


def parse_arguments() -> argparse.Namespace:
    """Command line."""
    parser = new_parser(__doc__, "results.json", workspaces=True)
    add = parser.add_argument
    add("--only", type=_names, default=(), help="workspaces; also one-bin, large, staterror, ...")
    add("--tasks", type=_names, default=TASKS, help=",".join(TASKS))
    add(
        "--peers",
        type=_names,
        default=tuple(peer.key for peer in PEERS),
        help=",".join(peer.key for peer in PEERS) + "; '' for none",
    )
    add("--budget", type=float, help="seconds per task, default 120")
    add("--quick", action="store_true", help="budget of 10 s, fewer repeats, short series")
    add("--reuse", type=Path, help="results of an earlier run: measure only what it lacks, and us")
    return parser.parse_args()


def find_workspaces(folder: Path) -> dict[str, Mapping[str, Any]]:
    """Reference values by workspace name, from truth.json; without one, every JSON file."""
    truth = folder / "truth.json"
    if truth.is_file():
        known: dict[str, Mapping[str, Any]] = json.loads(truth.read_text())
        return known
    return {path.stem: {} for path in sorted(folder.glob("*.json"))}


class Benchmark:
    """The whole run: measures, prints and saves as it goes."""

    def __init__(self, arguments: argparse.Namespace) -> None:
        self.arguments = arguments
        self.console = Console(width=WIDTH)
        self.settings = QUICK if arguments.quick else Settings()
        if arguments.budget:
            self.settings = Settings(arguments.budget, self.settings.repeats)
        self.peers = [peer for peer in PEERS if peer.key in arguments.peers]
        earlier = json.loads(arguments.reuse.read_text()) if arguments.reuse else {}
        self.suite = Suite(
            self.peers,
            {peer.key: python_of(peer, arguments.venvs) for peer in (OURS, *self.peers)},
            self.settings,
            earlier.get("records", {}),
            earlier.get("versions", {}),
        )
        self.machine = machine_facts()
        self.records: dict[str, Record] = {}

    def wants(self, name: str) -> bool:
        """Whether --only lets a workspace or series through."""
        return not self.arguments.only or name in self.arguments.only

    def tasks(self, tasks: tuple[str, ...]) -> tuple[str, ...]:
        """Those of `tasks` that were asked for."""
        return tuple(task for task in tasks if task in self.arguments.tasks)

    def measure(
        self,
        name: str,
        path: Path,
        tasks: tuple[str, ...],
        slow: Mapping[str, set[str]] | None = None,
    ) -> Record:
        """Measure one workspace and save."""
        self.console.print(f"[dim]measuring {name}[/dim]")
        self.records[name] = self.suite.measure(name, path, tasks, slow)
        self.save()
        return self.records[name]

    def single(
        self, name: str, path: Path, tasks: tuple[str, ...], truth: Mapping[str, Any]
    ) -> None:
        """Measure one workspace and print its tables."""
        record = self.measure(name, path, tasks)
        title = f"{name}: {record['n_parameters']} parameters, {record['n_bins']} bins"
        results = record["results"]
        print_times(self.console, title, {"": results}, tasks, self.peers, truth)
        print_values(self.console, name, results, self.peers, truth)
        print_limit(self.console, record["limit"], results)

    def series(self, name: str, folder: Path) -> None:
        """Measure a scaling series; a peer that exceeds its budget skips the larger sizes."""
        series = SERIES[name]
        tasks = self.tasks(SERIES_TASKS)
        sizes = series.sizes[:QUICK_SIZES] if self.arguments.quick else series.sizes
        slow: dict[str, set[str]] = {}
        measured: dict[int, Results] = {}
        for size in sizes:
            arguments = {**series.arguments, series.varied: size}
            path = write_workspace(folder / f"{name}-{size}.json", arguments)
            measured[size] = self.measure(path.stem, path, tasks, slow)["results"]
            for peer, done in measured[size].items():
                lost = {task for task, result in done.items() if result["status"] == "timeout"}
                slow.setdefault(peer, set()).update(lost)
        rows = {str(size): results for size, results in measured.items()}
        print_times(self.console, f"{name}: {series.title}", rows, tasks, self.peers, {})
        print_scaling(self.console, series, measured, self.peers)

    def run(self) -> None:
        """Measure everything that was asked for."""
        self.console.print(self.machine, "\n")
        known = find_workspaces(self.arguments.workspaces)
        for name, truth in known.items():
            if self.wants(name):
                path = self.arguments.workspaces / f"{name}.json"
                self.single(name, path, self.tasks(TASKS), truth)
        with tempfile.TemporaryDirectory() as temporary:
            folder = Path(temporary)
            for name, (arguments, tasks) in SINGLE.items():
                if self.wants(name):
                    path = write_workspace(folder / f"{name}.json", arguments)
                    self.single(name, path, self.tasks(tasks), {})
            for name in SERIES:
                if self.wants(name):
                    self.series(name, folder)
        singles = {
            name: record["results"]
            for name, record in self.records.items()
            if name in known or name in SINGLE
        }
        for peer in self.peers:
            if peer.key in SUMMARY_PEERS:
                print_summary(self.console, singles, peer, self.tasks(peer.tasks))
        self.console.print(f"results: {self.arguments.output}")

    def save(self) -> None:
        """Write everything measured so far."""
        document = {
            "machine": self.machine,
            "versions": self.suite.versions,
            "settings": vars(self.settings),
            "records": self.records,
        }
        self.arguments.output.write_text(json.dumps(document, indent=1) + "\n")


def main() -> None:
    """Check the names given and run."""
    arguments = parse_arguments()
    known = {*find_workspaces(arguments.workspaces), *SINGLE, *SERIES}
    for given, allowed in (
        (arguments.only, known),
        (arguments.tasks, TASKS),
        (arguments.peers, [peer.key for peer in PEERS]),
    ):
        if unknown := sorted(set(given) - set(allowed)):
            sys.exit(f"unknown: {', '.join(unknown)}; known: {', '.join(sorted(allowed))}")
    Benchmark(arguments).run()


if __name__ == "__main__":
    main()
