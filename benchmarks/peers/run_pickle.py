"""Worker for pickled models: what sending one to another process takes."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

from protocol import Job, Task, serve

import nextstat


def load(job: Job) -> nextstat.HistFactoryModel:
    """The model of the workspace, with the threads wanted."""
    nextstat.set_num_threads(job["threads"])
    return nextstat.from_pyhf(Path(job["workspace"]))


def tasks(model: nextstat.HistFactoryModel, job: Job) -> dict[str, Task]:
    """Pickling, unpickling, both, and, to compare, making the model from its file."""
    pickled = pickle.dumps(model)
    path = Path(job["workspace"])

    def describe(_: Any) -> dict[str, Any]:
        again = pickle.loads(pickled)
        if again.nll(model.init) != model.nll(model.init):
            raise ValueError("the model that came back is another")
        return {"value": len(pickled), "json_bytes": path.stat().st_size}

    return {
        "dumps": Task(lambda: pickle.dumps(model), describe),
        "loads": Task(lambda: pickle.loads(pickled), describe),
        "round trip": Task(lambda: pickle.loads(pickle.dumps(model)), describe),
        "from file": Task(lambda: nextstat.from_pyhf(path), describe),
    }


if __name__ == "__main__":
    serve(load, tasks, distributions=("nextstat", "numpy"))
