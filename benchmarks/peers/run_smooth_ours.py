"""Worker for this package's `smooth_histogram` and its gradients."""

from __future__ import annotations

from typing import Any

import numpy as np
from event_data import make_smeared
from protocol import Job, Task, extra_memory_mb, serve

import nextstat
from nextstat.histogram import smooth_histogram, smooth_histogram_gradients


def load(job: Job) -> int:
    """The number of events."""
    nextstat.set_num_threads(job["threads"])
    return int(job["n_events"])


def tasks(n_events: int, job: Job) -> dict[str, Task]:
    """Forward, forward and backward, and the memory of both."""

    def make(what: str, mode: Any, bandwidth: str, dtype: str, n_bins: str = "20") -> Task:
        x, weight, edges, by_yields, by_variances = make_smeared(n_events, dtype, int(n_bins))
        options: dict[str, Any] = {"bandwidth": float(bandwidth), "mode": mode, "overflow": "drop"}

        def forward() -> float:
            yields, variances = smooth_histogram(x, edges, weight, **options)
            return float(by_yields @ yields + by_variances @ variances)

        def both() -> tuple[float, Any]:
            value = forward()
            gradients = smooth_histogram_gradients(
                x, edges, weight, by_yields, by_variances, **options
            )
            return value, gradients

        def describe(result: tuple[float, Any]) -> dict[str, Any]:
            parts = [float(np.linalg.norm(gradient)) for gradient in result[1][:2]]
            return {"value": result[0] + sum(parts)}

        if what == "memory":
            return Task(lambda: extra_memory_mb(both), lambda peak: {"value": peak})
        return Task(forward) if what == "forward" else Task(both, describe)

    return {name: make(*name.split()) for name in job["tasks"]}


if __name__ == "__main__":
    serve(load, tasks, distributions=("nextstat", "numpy"))
