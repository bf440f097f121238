"""Worker for numpy.histogram and boost-histogram, whichever the job's ``method`` asks for."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import boost_histogram as bh
import numpy as np
from event_data import N_BINS, N_VARIATIONS, RANGE, Table, make_edges, make_table
from protocol import Job, Task, serve

Fill = Callable[[Table, str, int], Any]


def load(job: Job) -> dict[str, Table]:
    """The events in both precisions."""
    return {dtype: make_table(job["n_events"], dtype) for dtype in ("float64", "float32")}


def variations(table: Table) -> list[tuple[Any, Any]]:
    """Observables and weights of one variation after the other."""
    shape = (N_VARIATIONS, -1)
    return list(zip(table.x.reshape(shape), table.weight.reshape(shape), strict=True))


def binning(kind: str) -> dict[str, Any]:
    """Uniform bins by number and range: numpy is faster with those than with their edges."""
    if kind == "uniform":
        return {"bins": N_BINS, "range": RANGE}
    return {"bins": make_edges(kind)}


def numpy_yields(table: Table, kind: str, threads: int) -> Any:
    """Sums of weights only, one call per variation."""
    return [np.histogram(x, weights=w, **binning(kind))[0] for x, w in variations(table)]


def numpy_both(table: Table, kind: str, threads: int) -> Any:
    """Sums of weights, and of their squares: two calls per variation."""
    squares = [np.histogram(x, weights=w * w, **binning(kind))[0] for x, w in variations(table)]
    return numpy_yields(table, kind, threads), squares


def axis(kind: str) -> Any:
    """The observable's axis."""
    if kind == "uniform":
        return bh.axis.Regular(N_BINS, *RANGE)
    return bh.axis.Variable(make_edges(kind))


def boost(table: Table, kind: str, threads: int) -> Any:
    """One histogram per variation."""
    filled = []
    for x, w in variations(table):
        histogram = bh.Histogram(axis(kind), storage=bh.storage.Weight())
        filled.append(histogram.fill(x, weight=w, threads=threads).view())
    return [view.value for view in filled], [view.variance for view in filled]


def boost_groups(table: Table, kind: str, threads: int) -> Any:
    """One histogram with an axis of variations, in one pass."""
    groups = bh.axis.Integer(0, N_VARIATIONS, underflow=False, overflow=False)
    histogram = bh.Histogram(groups, axis(kind), storage=bh.storage.Weight())
    view = histogram.fill(table.group, table.x, weight=table.weight, threads=threads).view()
    return view.value, view.variance


METHODS: dict[str, Fill] = {
    "numpy-yields": numpy_yields,
    "numpy": numpy_both,
    "boost": boost,
    "boost-groups": boost_groups,
}


def describe(result: Any) -> dict[str, Any]:
    """As our worker does; nothing where there are no variances."""
    parts = [np.asarray(part) for part in result]
    if len(parts) != 2:
        return {}
    position = np.arange(parts[0].size)
    return {"value": float(sum(np.dot(np.sqrt(1.0 + position), part.ravel()) for part in parts))}


def tasks(tables: dict[str, Table], job: Job) -> dict[str, Task]:
    """One for each kind of edges and precision."""

    def make(kind: str, dtype: str) -> Task:
        table, fill = tables[dtype], METHODS[job["method"]]
        return Task(lambda: fill(table, kind, job["threads"]), describe, items=len(table.x))

    return {name: make(*name.split()) for name in job["tasks"]}


if __name__ == "__main__":
    serve(load, tasks, distributions=("boost-histogram", "numpy"))
