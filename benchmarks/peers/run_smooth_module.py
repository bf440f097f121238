"""Worker for this package's `SoftHistogram`, with automatic derivatives by everything."""

from __future__ import annotations

from typing import Any

import torch
from event_data import make_smeared
from protocol import Job, Task, extra_memory_mb, serve

import nextstat
from nextstat.torch import SoftHistogram


def load(job: Job) -> int:
    """The number of events."""
    torch.set_num_threads(job["threads"])
    nextstat.set_num_threads(job["threads"])
    return int(job["n_events"])


def tasks(n_events: int, job: Job) -> dict[str, Task]:
    """As the other workers do; the widths of bins are derived in place of their edges."""

    def make(what: str, mode: Any, bandwidth: str, dtype: str, n_bins: str = "20") -> Task:
        sample = make_smeared(n_events, dtype, int(n_bins))
        x, weight, _, by_yields, by_variances = (torch.from_numpy(column) for column in sample)
        by_sums = torch.stack([by_yields, by_variances]).double()
        histogram = SoftHistogram(
            sample.edges,
            float(bandwidth),
            mode,
            overflow="drop",
            learn_edges=True,
            learn_bandwidth=True,
        )
        inputs = (x, weight, *histogram.parameters())

        def scalar() -> Any:
            return (by_sums * torch.stack(histogram.with_variances(x, weight))).sum()

        def forward() -> float:
            with torch.no_grad():
                return scalar().item()

        def both() -> tuple[float, Any]:
            for tensor in inputs:
                tensor.requires_grad_(True)
            value = scalar()
            return value.item(), torch.autograd.grad(value, inputs)

        def describe(result: tuple[float, Any]) -> dict[str, Any]:
            return {"value": result[0] + sum(float(part.norm()) for part in result[1][:2])}

        if what == "memory":
            return Task(lambda: extra_memory_mb(both), lambda peak: {"value": peak})
        return Task(forward) if what == "forward" else Task(both, describe)

    return {name: make(*name.split()) for name in job["tasks"]}


if __name__ == "__main__":
    serve(load, tasks, distributions=("nextstat", "torch", "numpy"))
