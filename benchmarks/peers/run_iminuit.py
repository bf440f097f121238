"""Worker for iminuit: Migrad and Hesse on this package's nll and gradient."""

from __future__ import annotations

from typing import Any

from iminuit import Minuit
from protocol import Job, Task, serve

import nextstat


def load(job: Job) -> nextstat.HistFactoryModel:
    """Build our model from the file."""
    nextstat.set_num_threads(job["threads"])
    return nextstat.from_pyhf(job["workspace"])


def tasks(model: nextstat.HistFactoryModel, job: Job) -> dict[str, Task]:
    """The fit, with parameter errors."""
    names = list(model.parameter_names)

    def fit() -> Minuit:
        minuit = Minuit(model.nll, model.init, grad=model.nll_gradient, name=names)
        minuit.errordef = Minuit.LIKELIHOOD
        minuit.limits = [tuple(bound) for bound in model.bounds]
        minuit.fixed = [bool(flag) for flag in model.fixed]
        minuit.migrad()
        minuit.hesse()
        return minuit

    def describe(minuit: Minuit) -> dict[str, Any]:
        mu = None if model.poi is None else minuit.values[model.poi]
        return {"value": minuit.fval, "mu": mu, "converged": bool(minuit.valid)}

    return {"fit": Task(fit, describe)}


if __name__ == "__main__":
    serve(load, tasks, distributions=("iminuit", "numpy"))
