"""Worker for this package's `fill_histogram`: all variations in one pass."""

from __future__ import annotations

from typing import Any

import numpy as np
from event_data import N_VARIATIONS, Table, make_edges, make_table
from protocol import Job, Task, serve

import nextstat


def load(job: Job) -> dict[str, Table]:
    """The events in both precisions."""
    nextstat.set_num_threads(job["threads"])
    return {dtype: make_table(job["n_events"], dtype) for dtype in ("float64", "float32")}


def describe(result: Any) -> dict[str, Any]:
    """A number that differs if any bin does."""
    position = np.arange(result[0].size)
    return {"value": float(sum(np.dot(np.sqrt(1.0 + position), part.ravel()) for part in result))}


def tasks(tables: dict[str, Table], job: Job) -> dict[str, Task]:
    """One for each kind of edges and precision; the time is that of one event of one variation."""

    def make(kind: str, dtype: str) -> Task:
        table, edges = tables[dtype], make_edges(kind)

        def fill() -> Any:
            return nextstat.histogram.fill_histogram(
                table.x, edges, table.weight, groups=table.group, n_groups=N_VARIATIONS
            )

        return Task(fill, describe, items=len(table.x))

    return {name: make(*name.split()) for name in job["tasks"]}


if __name__ == "__main__":
    serve(load, tasks, distributions=("nextstat", "numpy"))
