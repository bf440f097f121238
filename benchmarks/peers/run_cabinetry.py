"""Worker for cabinetry: the full ranking (four refits per parameter with pyhf and Minuit)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import cabinetry
import numpy as np
from protocol import Job, Task, serve


def load(job: Job) -> tuple[Any, Any]:
    """Model and data from the file (code4 and code4p are cabinetry's interpolation too)."""
    workspace = json.loads(Path(job["workspace"]).read_text())
    model, data = cabinetry.model_utils.model_and_data(workspace)
    return model, data


def tasks(loaded: tuple[Any, Any], job: Job) -> dict[str, Task]:
    """The ranking, including the global fit it starts from."""
    model, data = loaded

    def describe(ranking: Any) -> dict[str, Any]:
        impact = np.abs(ranking.postfit_up) + np.abs(ranking.postfit_down)
        top = int(np.argmax(impact))
        return {"value": float(impact[top]), "top": ranking.labels[top]}

    return {"ranking": Task(lambda: cabinetry.fit.ranking(model, data), describe)}


if __name__ == "__main__":
    serve(load, tasks, distributions=("cabinetry", "pyhf", "iminuit", "numpy"))
