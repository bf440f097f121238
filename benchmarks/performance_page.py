"""Rewrite the tables of docs/performance.md and README.md from the results of the benchmarks.

Files that do not exist leave their tables as they are. See README.md beside this file.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from harness.compare import Results, disagreements
from harness.event_stage import FILLERS, SMOOTH_MODULE, SMOOTH_TORCH
from harness.pages import rewrite, table
from harness.peers import LABELS, PEERS, TASKS, Peer
from harness.tables import ratio_of, show_ratio, show_seconds

HERE = Path(__file__).resolve().parent
PAGE, README = HERE.parent / "docs" / "performance.md", HERE.parent / "README.md"
HEADS = LABELS | {"ranking_2": "ranking, 2 threads", "toys_2": "toy, 2 threads"}
IN_README = ("nll", "gradient", "fit", "hypotest", "ranking", "toys")
FROM_PYTHON = {"1": "one thread", "2": "two threads"}


def time_of(done: Mapping[str, Any], task: str) -> str:
    """Time of a task, empty if nobody tried."""
    result = done.get(task, {"status": ""})
    if result["status"] == "timeout":
        return f"> {result['budget']:.0f} s"
    return show_seconds(result["seconds"]) if result["status"] == "ok" else result["status"]


def over_ours(results: Results, peer: str, task: str, flags: Iterable[tuple[str, str]]) -> str:
    """Time of a peer over ours, starred if the peer obtained something else."""
    if results.get(peer, {}).get(task, {}).get("status") == "error":
        return "error"
    ratio = ratio_of(results, peer, task)
    star = "\\*" if (peer, task) in flags else ""
    return "" if ratio is None else f"{ratio[0]} {show_ratio(ratio[1])}{star}".strip()


def plain(title: str) -> str:
    """Title of a peer on one line."""
    return " ".join(title.split())


def fits(document: Mapping[str, Any]) -> Iterator[str]:
    """Times of ours, a table of ratios for each peer, and who obtained something else."""
    records: Mapping[str, Mapping[str, Any]] = document["records"]
    done = {name: record["results"] for name, record in records.items()}
    tasks = [task for task in TASKS if any(task in results["ours"] for results in done.values())]
    head = [HEADS.get(task, task) for task in tasks]
    rows = (
        [
            name,
            f"{records[name]['n_parameters']}, {records[name]['n_bins']}",
            *(time_of(results["ours"], task) for task in tasks),
        ]
        for name, results in done.items()
    )
    yield table(["nextstat", "parameters, bins", *head], rows)
    notes = {name: disagreements(results, {}) for name, results in done.items()}
    for peer in PEERS:
        of_peer = {name: results for name, results in done.items() if peer.key in results}
        if of_peer:
            known = [task for task in tasks if task in peer.tasks]
            yield f"{plain(peer.title)}, time over ours:"
            yield table(
                [plain(peer.title), *(HEADS.get(task, task) for task in known)],
                (
                    [name, *(over_ours(results, peer.key, task, notes[name]) for task in known)]
                    for name, results in of_peer.items()
                ),
            )
    remarks = []
    for name, results in done.items():
        remarks += [f"\\* {name}, {peer}: {note}" for (peer, _), note in notes[name].items()]
        remarks += [f"error of {name}, {line}" for line in errors(results)]
    if remarks:
        yield "\n".join(f"- {remark}" for remark in remarks)


def speed(document: Mapping[str, Any]) -> Iterator[str]:
    """The table of the README: our times, and how much longer pyhf takes."""

    def cell(results: Results, task: str) -> str:
        ratio = over_ours(results, "pyhf-scipy", task, ())
        return time_of(results["ours"], task) + (f" ({ratio})" if ratio else "")

    rows = (
        [
            name,
            f"{record['n_parameters']}, {record['n_bins']}",
            *(cell(record["results"], task) for task in IN_README),
        ]
        for name, record in document["records"].items()
    )
    head = ["workspace", "parameters, bins", *(HEADS.get(task, task) for task in IN_README)]
    yield table(head, rows)


def errors(results: Results) -> list[str]:
    """What went wrong, once for each peer."""
    found = {
        (peer, result["error"]): None
        for peer, tasks in results.items()
        for result in tasks.values()
        if result["status"] == "error"
    }
    return [f"{peer}: {error}" for peer, error in found]


def beside_peers(by_threads: Mapping[str, Results], peers: Sequence[Peer], what: str) -> str:
    """Our time of each task, and each peer's over it, by number of threads."""
    tasks = [task for task in by_threads["1"]["ours"] if not task.startswith("memory")]
    present = [peer for peer in peers if any(peer.key in r for r in by_threads.values())]
    rows = (
        [
            f"{task}, {FROM_PYTHON[threads]}",
            time_of(results["ours"], task),
            *(over_ours(results, peer.key, task, ()) for peer in present),
        ]
        for threads, results in by_threads.items()
        for task in tasks
    )
    return table([what, "nextstat", *(plain(peer.title) for peer in present)], rows)


def events(document: Mapping[str, Any]) -> Iterator[str]:
    """Filling of histograms, and smoothed ones, beside the peers."""
    records: Mapping[str, Any] = document["records"]
    n_events = document["sizes"]["n_events"]
    if "filling" in records:
        yield (
            f"Filling {n_events:,} events in 9 variations, time per event and variation, and the "
            "others' over ours; numpy takes a fast path where bins are uniform:"
        )
        yield beside_peers(records["filling"]["results"], FILLERS, "filling")
    if "smooth" in records:
        yield (
            f"Smoothed histograms of {n_events:,} events in 20 bins, and the others' times over "
            "ours. Both: forward and backward; 0.02 and 0.1: the bandwidth."
        )
        peers = (SMOOTH_MODULE, SMOOTH_TORCH)
        yield beside_peers(records["smooth"]["results"], peers, "smoothing")


def training(document: Mapping[str, Any]) -> Iterator[str]:
    """Every task with one and two threads."""
    by_threads: Mapping[str, Mapping[str, Any]] = document["records"]
    rows = (
        [
            task if task.startswith("neos") else f"tttt: {task}",
            *(time_of(done, task) for done in by_threads.values()),
        ]
        for task in by_threads["1"]
    )
    yield table(["training", *(FROM_PYTHON[threads] for threads in by_threads)], rows)


SECTIONS = {
    "fits": ("results.json", fits),
    "events": ("results-events.json", events),
    "training": ("results-training.json", training),
}


def provenance(document: Mapping[str, Any], day: str) -> str:
    """On what it was measured, and how busy that was."""
    machine = document["machine"]
    budget = document.get("settings", {}).get("budget")
    of_budget = "" if budget is None else f"; `>`: more than the budget of {budget:.0f} s"
    return (
        f"{machine['cpu']}, {machine['cores']} cores, load {machine['load']:.1f} before the run, "
        f"Python {machine['python']}, {day}{of_budget}."
    )


def main(arguments: Sequence[str] | None = None) -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--page", type=Path, default=PAGE, help="performance.md")
    parser.add_argument("--readme", type=Path, default=README, help="README.md")
    for section, (file, _) in SECTIONS.items():
        parser.add_argument(f"--{section}", type=Path, default=HERE / file, help="results (JSON)")
    options = vars(parser.parse_args(arguments))
    page: str = options["page"].read_text(encoding="utf-8")
    for section, (_, paragraphs) in SECTIONS.items():
        results: Path = options[section]
        if not results.is_file():
            print(f"{section}: left as it is, there is no {results.name}")
            continue
        document = json.loads(results.read_text(encoding="utf-8"))
        day = time.strftime("%Y-%m-%d", time.gmtime(results.stat().st_mtime))
        page = rewrite(page, section, [provenance(document, day), *paragraphs(document)])
        print(f"{section}: rewritten")
        if section == "fits":
            readme = options["readme"].read_text(encoding="utf-8")
            readme = rewrite(readme, "speed", [provenance(document, day), *speed(document)])
            options["readme"].write_text(readme, encoding="utf-8")
    options["page"].write_text(page, encoding="utf-8")


if __name__ == "__main__":
    main()
