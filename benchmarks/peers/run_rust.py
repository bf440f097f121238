"""Worker for PyPI's nextstat 0.10.1, an unrelated Rust package with the same import name."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from protocol import Job, Task, serve

import nextstat


def load(job: Job) -> Any:
    """Build the model from the file."""
    return nextstat.from_pyhf(Path(job["workspace"]).read_text())


def tasks(model: Any, job: Job) -> dict[str, Task]:
    """Every task but the Hessian.

    Parameters are matched by name: the order of this package differs from pyhf's. Its ranking
    makes two refits per constrained parameter, at the nominal value plus and minus the constraint
    width: half of the work, and other numbers than a post-fit impact, so none to compare. Its toys
    keep the auxiliary data as observed.
    """
    theta = np.array([job["point"][name] for name in model.parameter_names()])
    poi = model.poi_index()

    def describe_fit(result: Any) -> dict[str, Any]:
        mu = None if poi is None else result.parameters[poi]
        return {"value": result.nll, "mu": mu, "converged": bool(result.converged)}

    def describe_ranking(rows: list[dict[str, Any]]) -> dict[str, Any]:
        def impact(row: dict[str, Any]) -> float:
            return abs(float(row["delta_mu_up"])) + abs(float(row["delta_mu_down"]))

        top = max(rows, key=impact)
        return {"prefit_impact": impact(top), "top": top["name"]}

    def rank() -> list[dict[str, Any]]:
        return nextstat.ranking(model)

    truth = model.suggested_init()
    n_toys = 10

    def throw() -> Any:
        return nextstat.fit_toys(model, truth, n_toys=n_toys, seed=1)

    toys = Task(throw, lambda result: {}, items=n_toys)
    return {
        "nll": Task(lambda: model.nll(theta)),
        "gradient": Task(
            lambda: model.grad_nll(theta), lambda g: {"value": float(np.linalg.norm(g))}
        ),
        "fit": Task(lambda: nextstat.fit(model), describe_fit),
        "hypotest": Task(lambda: nextstat.hypotest(1.0, model)),
        "limit": Task(
            lambda: nextstat.upper_limit(model, method="root"),
            lambda limits: {"value": float(limits[0])},
        ),
        "ranking": Task(rank, describe_ranking),
        "ranking_2": Task(rank, describe_ranking),
        "scan": Task(
            lambda: nextstat.profile_scan(model, np.linspace(0.0, 2.5, 51).tolist()),
            lambda result: {},
        ),
        "toys": toys,
        "toys_2": toys,
    }


if __name__ == "__main__":
    serve(load, tasks, distributions=("nextstat", "numpy"))
