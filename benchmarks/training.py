"""Measure differentiable statistics: what a step of training spends in the analysis.

See README.md beside this file.
"""

from __future__ import annotations

import json
from typing import Any

from harness.event_stage import Rounds, busy_share
from harness.options import new_parser
from harness.peers import OURS, Peer, python_of
from harness.suite import machine_facts
from harness.tables import WIDTH, new_table, print_table, show_ratio, show_seconds
from rich.console import Console

STATISTICS = ("q0", "log_cls", "mu_uncertainty")
DATA = ("nominal", "fitted", "observed")
NEOS = (
    "neos layer",
    *(f"neos {what} {dtype}" for dtype in ("float32", "float64") for what in ("step", "network")),
)
OF_A_MODEL = ("fit", *(f"{name} {data}" for name in STATISTICS for data in DATA))
PUBLISHED_STEP = 1.5  # seconds, of the neos README on two processors
LAYER_TARGET, FITS_TARGET, STEP_TARGET = 0.2e-3, 2.0, 10.0


def main() -> None:
    """Command line."""
    parser = new_parser(__doc__, "results-training.json", workspaces=True)
    parser.add_argument("--rounds", type=int, default=3, help="turns of the worker")
    arguments = parser.parse_args()
    workspace = arguments.workspaces / "tttt.json"
    tasks = (*NEOS, *(OF_A_MODEL if workspace.is_file() else ()))
    requirements = ("torch==2.13.0", "numpy")
    peer = Peer(
        OURS.key,
        OURS.title,
        "run_training.py",
        tasks,
        venv="torch",
        requirements=requirements,
        uses_ours=True,
    )
    rounds = Rounds({"torch": python_of(peer, arguments.venvs)}, arguments.rounds, 20)
    records: dict[str, Any] = {}
    console = Console(width=WIDTH)
    for threads in (1, 2):
        path = str(workspace) if workspace.is_file() else ""
        found = rounds.measure((peer,), threads, workspace=path)[peer.key]
        records[str(threads)] = found
        report(console, found, threads)
    facts = machine_facts() | {"busy": busy_share()}
    document = {"machine": facts, "versions": rounds.versions, "records": records}
    arguments.output.write_text(json.dumps(document, indent=1) + "\n")
    console.print(f"results: {arguments.output}")


def report(console: Console, found: dict[str, dict[str, Any]], threads: int) -> None:
    """A table of one number of threads, and what its targets are."""
    for task, result in found.items():
        if result["status"] != "ok":
            console.print(f"{task}: {result.get('error', result['status'])}")
    seconds = {task: r["seconds"] for task, r in found.items() if r["status"] == "ok"}
    table = new_table(("time", "compared", "target"))
    layer = seconds.get("neos layer")
    if layer:
        row(table, "neos layer", layer, "", f"< {show_seconds(LAYER_TARGET)}")
    for dtype in ("float32", "float64"):
        step, network = (seconds.get(f"neos {what} {dtype}") for what in ("step", "network"))
        if step and network:
            times = f"{show_ratio(PUBLISHED_STEP / step)} published, network {network / step:.0%}"
            row(table, f"neos step {dtype}", step, times, f"> {show_ratio(STEP_TARGET)}")
    fit = seconds.get("fit")
    if fit:
        row(table, "tttt: fit", fit, "", "")
        for task in OF_A_MODEL[1:]:
            if task in seconds:
                target = f"< {FITS_TARGET:.0f} fits" if task.endswith("nominal") else ""
                fits = f"{seconds[task] / fit:.2f} fits"
                row(table, f"tttt: {task}", seconds[task], fits, target)
    print_table(console, f"{threads} thread{'s' if threads > 1 else ''}", table)


def row(table: Any, name: str, seconds: float, compared: str, target: str) -> None:
    """One line."""
    table.add_row(name, show_seconds(seconds), compared, target)


if __name__ == "__main__":
    main()
