"""Worker for this package, in the environment that runs the benchmark."""

from __future__ import annotations

from typing import Any

import numpy as np
from protocol import Job, Task, serve

import nextstat


def load(job: Job) -> nextstat.HistFactoryModel:
    """Build the model from the file."""
    nextstat.set_num_threads(job["threads"])
    return nextstat.from_pyhf(job["workspace"])


def tasks(model: nextstat.HistFactoryModel, job: Job) -> dict[str, Task]:
    """Every task; the ranking makes four refits per nuisance parameter."""
    theta = np.array([job["point"][name] for name in model.parameter_names])

    def describe_norm(array: Any) -> dict[str, Any]:
        return {"value": float(np.linalg.norm(array))}

    def describe_fit(result: nextstat.FitResult) -> dict[str, Any]:
        return {"value": result.nll, "mu": result.mu, "converged": bool(result.converged)}

    def describe_ranking(rows: list[dict[str, Any]]) -> dict[str, Any]:
        top = max(rows, key=lambda row: row["total_impact"])
        return {"value": top["total_impact"], "top": top["name"]}

    def rank() -> list[dict[str, Any]]:
        return nextstat.interpret.rank_impact(model, n_jobs=job["threads"])

    return {
        "nll": Task(lambda: model.nll(theta)),
        "gradient": Task(lambda: model.nll_gradient(theta), describe_norm),
        "hessian": Task(lambda: model.nll_hessian(theta), describe_norm),
        "fit": Task(lambda: nextstat.fit(model), describe_fit),
        "hypotest": Task(
            lambda: nextstat.hypotest(model, mu=1.0), lambda h: {"value": float(h.cls)}
        ),
        "limit": Task(
            lambda: nextstat.upper_limit(model, level=0.95),
            lambda limit: {"value": float(limit.observed)},
        ),
        "ranking": Task(rank, describe_ranking),
        "ranking_2": Task(rank, describe_ranking),
    }


if __name__ == "__main__":
    serve(load, tasks, distributions=("nextstat", "numpy"))
