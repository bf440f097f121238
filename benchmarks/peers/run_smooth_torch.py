"""Worker for a smoothed histogram of plain torch operations and its automatic derivatives."""

from __future__ import annotations

from typing import Any

import torch
from event_data import make_smeared
from protocol import Job, Task, extra_memory_mb, serve

STEPS = {"kde": torch.special.ndtr, "sigmoid": torch.sigmoid}


def load(job: Job) -> int:
    """The number of events."""
    torch.set_num_threads(job["threads"])
    return int(job["n_events"])


def tasks(n_events: int, job: Job) -> dict[str, Task]:
    """As our worker does."""

    def make(what: str, mode: str, bandwidth: str, dtype: str, n_bins: str = "20") -> Task:
        sample = make_smeared(n_events, dtype, int(n_bins))
        columns = [torch.from_numpy(column) for column in sample]
        x, weight, edges, by_yields, by_variances = columns
        h = torch.tensor(float(bandwidth), dtype=x.dtype)
        inputs = (x, weight, edges, h)

        def scalar() -> Any:
            steps = STEPS[mode]((edges - x[:, None]) / h)
            shares = weight[:, None] * steps.diff(dim=1)
            yields, variances = shares.sum(dim=0), shares.square().sum(dim=0)
            return by_yields @ yields + by_variances @ variances

        def forward() -> float:
            with torch.no_grad():
                return float(scalar())

        def both() -> tuple[float, Any]:
            for tensor in inputs:
                tensor.requires_grad_(True)
            value = scalar()
            return float(value), torch.autograd.grad(value, inputs)

        def describe(result: tuple[float, Any]) -> dict[str, Any]:
            return {"value": result[0] + sum(float(part.norm()) for part in result[1][:2])}

        if what == "memory":
            return Task(lambda: extra_memory_mb(both), lambda peak: {"value": peak})
        return Task(forward) if what == "forward" else Task(both, describe)

    return {name: make(*name.split()) for name in job["tasks"]}


if __name__ == "__main__":
    serve(load, tasks, distributions=("torch", "numpy"))
