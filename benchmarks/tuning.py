"""Measure what hyper-parameter searches need: a study of 200 trials, and models that travel.

See README.md beside this file.
"""

from __future__ import annotations

import dataclasses
import json
import sys
from typing import Any

from harness.event_stage import OPTUNA, Rounds, busy_share
from harness.options import new_parser
from harness.peers import OURS, Peer, python_of
from harness.suite import machine_facts
from harness.tables import new_table, print_table, show_ratio, show_seconds
from rich.console import Console

N_TRIALS = 200
STUDY = dataclasses.replace(OPTUNA, tasks=("histograms", "nothing"))
PICKLE = Peer(
    OURS.key,
    "pickle",
    "run_pickle.py",
    ("dumps", "loads", "round trip", "from file"),
    uses_ours=True,
)
STUDY_TARGET, INSIDE_TARGET, PICKLE_TARGET, SIZE_TARGET = 2.0, 0.2, 20e-3, 2.0


def main() -> None:
    """Command line."""
    parser = new_parser(__doc__, "results-tuning.json", workspaces=True)
    parser.add_argument("--rounds", type=int, default=5, help="turns of each worker")
    arguments = parser.parse_args()
    workspace = arguments.workspaces / "tttt.json"
    if not workspace.is_file():
        sys.exit(f"{workspace} is missing")
    pythons = {peer.venv: python_of(peer, arguments.venvs) for peer in (STUDY, PICKLE)}
    rounds = Rounds(pythons, arguments.rounds, 20)
    study = rounds.measure((STUDY,), 1, n_events=100, n_trials=N_TRIALS)[STUDY.key]
    pickled = rounds.measure((PICKLE,), 1, workspace=str(workspace))[PICKLE.key]
    console = Console(width=80)
    report(console, study, pickled)
    if rounds.busy:
        share = sum(rounds.busy) / len(rounds.busy)
        console.print(f"others kept the processors busy by {share:.0%} on average")
    document = {
        "machine": machine_facts() | {"busy": busy_share()},
        "versions": rounds.versions,
        "records": {"study": study, "pickle": pickled},
    }
    arguments.output.write_text(json.dumps(document, indent=1) + "\n")
    console.print(f"results: {arguments.output}", soft_wrap=True)


def report(console: Console, study: dict[str, Any], pickled: dict[str, Any]) -> None:
    """Two tables, with the targets."""
    for task, result in (study | pickled).items():
        if result["status"] != "ok":
            console.print(f"{task}: {result.get('error', result['status'])}")
            return
    table = new_table(("time", "of one trial", "target"))
    total = study["histograms"]["seconds"]
    inside = study["histograms"]["inside"]
    for name, seconds, target in (
        ("study", total, f"< {show_seconds(STUDY_TARGET)}"),
        ("in nextstat", inside, f"< {show_seconds(INSIDE_TARGET)}"),
        ("the same trials, nothing computed", study["nothing"]["seconds"], ""),
    ):
        table.add_row(name, show_seconds(seconds), show_seconds(seconds / N_TRIALS), target)
    print_table(console, f"Optuna, TPE in memory, {N_TRIALS} trials of n_bins, lo, hi", table)
    console.print()
    table = new_table(("time", "target"))
    for name in PICKLE.tasks:
        target = f"< {show_seconds(PICKLE_TARGET)}" if name == "round trip" else ""
        table.add_row(name, show_seconds(pickled[name]["seconds"]), target)
    print_table(console, "a pickled model, tttt", table)
    size, json_size = pickled["dumps"]["value"], pickled["dumps"]["json_bytes"]
    ratio, most = show_ratio(size / json_size), show_ratio(SIZE_TARGET)
    console.print(f" {size / 1e3:.0f} kB, {ratio} its JSON (target: at most {most})\n")


if __name__ == "__main__":
    main()
