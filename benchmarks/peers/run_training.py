"""Worker for derivatives of statistics: what a step of training spends in the analysis."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from protocol import Job, Task, serve
from torch import Tensor, nn

import nextstat
from nextstat.datasets import make_blobs
from nextstat.exceptions import WorkspaceWarning
from nextstat.torch import HistFactoryLayer, SoftHistogram

EXPECTED = {"signal": 20.0, "background": 100.0, "background_up": 100.0, "background_down": 100.0}
CHANGE = 0.002  # of the signal from one step to the next, relative


def load(job: Job) -> nextstat.HistFactoryModel | None:
    """The published model, where there is one."""
    torch.set_num_threads(job["threads"])
    nextstat.set_num_threads(job["threads"])
    path = job["workspace"]
    return nextstat.from_pyhf(Path(path)) if path else None


def neos_layer(histograms: dict[str, Tensor]) -> Tensor:
    """Logarithm of CLs, from the four histograms of the neos problem."""
    signal, background, up, down = histograms.values()
    layer = HistFactoryLayer.from_histograms(signal, background, variations={"shape": (up, down)})
    return layer.log_cls()


def neos(dtype: torch.dtype, *, analysis: bool) -> Callable[[], float]:
    """A step of the neos README's training; without analysis, a plain loss of the network."""
    torch.manual_seed(0)
    network = nn.Sequential(
        nn.Linear(2, 1024), nn.ReLU(), nn.Linear(1024, 1024), nn.ReLU(), nn.Linear(1024, 1)
    ).to(dtype)
    blobs = make_blobs(random_state=0)
    events = torch.tensor(np.concatenate([blobs[name] for name in EXPECTED]), dtype=dtype)
    histogram = SoftHistogram(np.linspace(0.0, 1.0, 4), bandwidth=0.27, overflow="drop")
    optimiser = torch.optim.Adam(network.parameters(), lr=1e-3)

    def step() -> float:
        optimiser.zero_grad()
        output = torch.sigmoid(network(events))
        if analysis:
            parts = zip(EXPECTED.items(), output.split(500), strict=True)
            loss = neos_layer({name: n / 500 * histogram(x) for (name, n), x in parts})
        else:
            loss = output.mean()
        loss.backward()
        optimiser.step()
        return loss.item()

    return step


def statistic(model: nextstat.HistFactoryModel, name: str, options: dict[str, Any]) -> Task:
    """Value and derivative in the signal of a published model that changes from step to step."""
    layer = HistFactoryLayer(model)
    templates = model.templates()
    own = {k: torch.from_numpy(v) for k, v in templates.items() if k.split("/")[1:] == ["tttt"]}
    rng = np.random.default_rng(0)

    def step() -> float:
        moved = {
            k: (v * torch.from_numpy(1.0 + CHANGE * rng.normal(size=v.shape))).requires_grad_()
            for k, v in own.items()
        }
        value = getattr(layer, name)(moved, **options)
        value.backward()
        return float(value.item())

    return Task(step, lambda _: {"value": math.nan})


def tasks(model: nextstat.HistFactoryModel | None, job: Job) -> dict[str, Task]:
    """By name."""
    warnings.simplefilter("ignore", WorkspaceWarning)
    h = {"s": [2.0, 8.0, 10.0], "b": [60.0, 30.0, 10.0], "u": [55.0, 33.0, 12.0], "d": [62, 27, 9]}
    leaves = {k: torch.tensor(v, dtype=torch.float64, requires_grad=True) for k, v in h.items()}

    def layer() -> float:
        value = neos_layer(leaves)
        value.backward()
        return value.item()

    found = {"neos layer": Task(layer)}
    for name, dtype in (("float32", torch.float32), ("float64", torch.float64)):
        found[f"neos step {name}"] = Task(neos(dtype, analysis=True))
        found[f"neos network {name}"] = Task(neos(dtype, analysis=False))
    if model is not None:
        found["fit"] = Task(lambda: nextstat.fit(model).errors, lambda _: {"value": math.nan})
        for task in job["tasks"]:
            name, _, data = task.partition(" ")
            if data:
                kind = {"observed": {"data": "observed"}}.get(data, {"nuisances": data})
                if name in ("q0", "log_cls", "mu_uncertainty"):
                    found[task] = statistic(model, name, kind)
    return found


if __name__ == "__main__":
    serve(load, tasks, distributions=("nextstat", "torch", "numpy"))
