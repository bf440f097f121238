"""Tables of the stage of events."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Console

from harness.compare import Results
from harness.event_stage import (
    ESTIMATOR,
    FILLERS,
    FILLING,
    KERNELS,
    MORE_BINS,
    SMOOTH_MODULE,
    SMOOTH_TORCH,
    SMOOTHING,
    STUDIES,
)
from harness.tables import new_table, print_table, print_times, show_ratio, show_seconds

ByThreads = Mapping[int, Results]
"""Number of threads -> peer -> task -> result."""

BYTES = {"float64": 8 + 8 + 4, "float32": 4 + 4 + 4}  # of an event: x, weight, group
TOLERANCE = {"float64": 1e-6, "float32": 2e-3}  # events on an edge of rounded numbers
STUDY_TITLES = {
    "events": "events to expected significance",
    "histograms": "histograms to significance",
    "nothing": "the same parameters, nothing computed",
}


def rows_of(by_threads: ByThreads) -> dict[str, Results]:
    """Labels of groups of rows."""
    return {f"{n} thread{'s' if n > 1 else ''}": results for n, results in by_threads.items()}


def seconds_of(results: Results, peer: str, task: str) -> float | None:
    """Time of a task that was done."""
    seconds = results.get(peer, {}).get(task, {}).get("seconds")
    return None if seconds is None else float(seconds)


def print_differences(console: Console, by_threads: ByThreads, tasks: Sequence[str]) -> None:
    """Print who obtained something else than we did."""
    for threads, results in by_threads.items():
        for peer in results:
            for task in tasks:
                ours, theirs = (
                    results.get(key, {}).get(task, {}).get("value") for key in ("ours", peer)
                )
                if ours is None or theirs is None:
                    continue
                difference = abs(theirs / ours - 1.0)
                if difference > TOLERANCE[task.split()[-1]]:
                    console.print(
                        f" * {peer}, {task}, {threads} threads: differs by {difference:.1g}"
                    )


def print_filling(
    console: Console, by_threads: ByThreads, bandwidth: Mapping[int, float], n_events: int
) -> None:
    """Print times per event of one variation, and the distance from the memory's limit."""
    title = f"filling {n_events:,} events x 9 variations, 50 bins: time per event and variation"
    print_times(console, title, rows_of(by_threads), FILLING, FILLERS, {})
    print_differences(console, by_threads, FILLING)
    for threads, results in by_threads.items():
        for task in FILLING:
            seconds = seconds_of(results, "ours", task)
            if seconds is None:
                continue
            n_bytes = BYTES[task.split()[-1]]
            floor = n_bytes / bandwidth[threads]
            console.print(
                f" {task}, threads {threads}: {n_bytes} bytes at"
                f" {bandwidth[threads] / 1e9:.1f} GB/s take {show_seconds(floor)};"
                f" fill / limit {show_ratio(seconds / floor)}",
                highlight=False,
            )
    console.print()


def print_estimator(console: Console, by_threads: ByThreads, n_events: int) -> None:
    """Print fit and score by parts, one table per number of threads."""
    for threads, results in by_threads.items():
        done = results["ours"]
        columns = [task for task in ESTIMATOR if "parts" in done.get(task, {})]
        table = new_table(
            f"y {task.split()[0]}\n{task.split()[1]}\n{verb}"
            for task in columns
            for verb in ("fit", "score")
        )
        parts: dict[str, None] = {}  # in order of appearance
        for task in columns:
            for verb in ("fit", "score"):
                parts |= dict.fromkeys(done[task]["parts"][verb])
        last = ("rest", "total")
        for part in (*(part for part in parts if part not in last), *last):
            cells = [done[task]["parts"][v].get(part) for task in columns for v in ("fit", "score")]
            table.add_row(part, *("" if c is None else show_seconds(c) for c in cells))
        both = [sum(of["total"] for of in done[task]["parts"].values()) for task in columns]
        table.add_row("fit + score", *(c for s in both for c in ("", show_seconds(s))))
        title = f"estimator, {n_events:,} events x 9 variations, threads: {threads}"
        print_table(console, title, table)
        print_errors(console, done)
    console.print()


def print_optuna(console: Console, results: Results, n_trials: int) -> None:
    """Print the time of each study, and the share of it inside nextstat."""
    table = new_table(("total", "in nextstat", "per trial", "best value"))
    for task in STUDIES:
        done = results["ours"].get(task, {})
        if done.get("status") == "ok":
            table.add_row(
                STUDY_TITLES[task],
                show_seconds(done["seconds"]),
                show_seconds(done["inside"]) if done["inside"] else "",
                show_seconds(done["inside"] / n_trials) if done["inside"] else "",
                f"{done['value']:.4g}" if done["inside"] else "",
            )
    print_table(console, f"Optuna, {n_trials} trials of n_bins, lo, hi", table)
    print_errors(console, results["ours"])
    console.print()


def print_smoothing(console: Console, by_threads: ByThreads, n_events: int) -> None:
    """Print times of forward, and of forward and backward together, and the memory."""
    tasks = [task for task in SMOOTHING if not task.startswith("memory")]
    title = f"smoothed histogram of {n_events:,} events, 20 bins (both: forward and backward)"
    print_times(console, title, rows_of(by_threads), tasks, (SMOOTH_MODULE, SMOOTH_TORCH), {})
    print_differences(console, by_threads, [task for task in tasks if task.startswith("both")])
    table = new_table(("nextstat", "SoftHistogram", "torch"))
    for threads, results in by_threads.items():
        for kernel in (*KERNELS, MORE_BINS):
            peaks = [
                results.get(peer, {}).get(f"memory {kernel}", {}).get("value")
                for peer in ("ours", "module", "torch")
            ]
            shown = ("" if peak is None else f"{peak:,.0f} MB" for peak in peaks)
            bins = " bins" if kernel == MORE_BINS else ""
            table.add_row(f"{kernel}{bins}, threads {threads}", *shown)
    print_table(console, "memory of forward and backward, beyond the events", table)
    console.print()


def print_errors(console: Console, done: Mapping[str, Mapping[str, Any]]) -> None:
    """Print one line per task that failed."""
    for task, result in done.items():
        if result["status"] == "error":
            console.print(f" ! {task}: {result['error']}")
