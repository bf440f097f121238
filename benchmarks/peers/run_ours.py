"""Worker for this package, in the environment that runs the benchmark."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
from protocol import Job, Task, serve

import nextstat


def load(job: Job) -> nextstat.HistFactoryModel:
    """Build the model from the file."""
    nextstat.set_num_threads(job["threads"])
    return nextstat.from_pyhf(job["workspace"])


def scan_points() -> Any:
    """51 values of the parameter of interest, the same for everyone."""
    return np.linspace(0.0, 2.5, 51)


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

    n_toys = 500

    def throw() -> nextstat.FitBatch:
        with warnings.catch_warnings():  # of toys that did not converge: they are counted
            warnings.simplefilter("ignore", nextstat.FitWarning)
            return nextstat.fit_toys(
                model, n_toys, params=model.init, seed=1, n_jobs=job["threads"]
            )

    def describe_toys(batch: nextstat.FitBatch) -> dict[str, Any]:
        return {"converged_share": float(batch.converged.mean())}

    toys = Task(throw, describe_toys, items=n_toys)
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
        "covariance": Task(
            lambda: nextstat.interpret.rank_impact(model, method="covariance"), lambda rows: {}
        ),
        "scan": Task(lambda: nextstat.scan(model, values=scan_points()), lambda scan: {}),
        "toys": toys,
        "toys_2": toys,
    }


if __name__ == "__main__":
    serve(load, tasks, distributions=("nextstat", "numpy"))
