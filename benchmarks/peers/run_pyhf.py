"""Worker for pyhf, with the job's ``backend`` (numpy, jax) and ``optimizer`` (scipy, minuit)."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyhf
from protocol import Job, Task, serve

INTERPOLATION = {"normsys": {"interpcode": "code4"}, "histosys": {"interpcode": "code4p"}}


def load(job: Job) -> tuple[Any, Any]:
    """Model and data from the file, schema validation included as pyhf does it."""
    pyhf.set_backend(job["backend"], job["optimizer"], precision="64b")
    workspace = pyhf.Workspace(json.loads(Path(job["workspace"]).read_text()))
    model = workspace.model(modifier_settings=INTERPOLATION)
    return model, pyhf.tensorlib.astensor(workspace.data(model))


def _derivatives(model: Any, data: Any, theta: Any) -> dict[str, Task]:
    """Compiled nll, gradient and Hessian of the jax backend."""
    import jax

    def nll(parameters: Any) -> Any:
        return -model.logpdf(parameters, data)[0]

    def compiled(function: Any) -> Callable[[], Any]:
        jitted = jax.jit(function)
        return lambda: jitted(theta).block_until_ready()

    def describe_norm(array: Any) -> dict[str, Any]:
        return {"value": float(np.linalg.norm(np.asarray(array)))}

    return {
        "nll": Task(compiled(nll)),
        "gradient": Task(compiled(jax.grad(nll)), describe_norm),
        "hessian": Task(compiled(jax.hessian(nll)), describe_norm),
    }


def tasks(loaded: tuple[Any, Any], job: Job) -> dict[str, Task]:
    """Nll, fit, hypotest and limit; gradient and Hessian where the backend has them."""
    model, data = loaded
    names = model.config.par_names
    theta = pyhf.tensorlib.astensor([job["point"][name] for name in names])

    def describe_fit(result: tuple[Any, Any]) -> dict[str, Any]:
        values, twice_nll = result
        mu = np.asarray(values)[model.config.poi_index].ravel()[0]
        return {"value": float(twice_nll) / 2, "mu": float(mu)}

    def hypotest() -> Any:
        return pyhf.infer.hypotest(1.0, data, model, test_stat="qtilde", return_expected_set=True)

    def fit_toy() -> Any:
        """One toy, thrown at the starting values: a fit may take the whole budget."""
        toy = model.make_pdf(init).sample()
        return pyhf.infer.mle.fit(toy, model)

    init = pyhf.tensorlib.astensor(model.config.suggested_init())
    available = {
        "nll": Task(lambda: float(pyhf.infer.mle.twice_nll(theta, data, model)[0]) / 2),
        "fit": Task(lambda: pyhf.infer.mle.fit(data, model, return_fitted_val=True), describe_fit),
        "hypotest": Task(hypotest, lambda result: {"value": float(result[0])}),
        "limit": Task(
            lambda: pyhf.infer.intervals.upper_limits.upper_limit(data, model, level=0.05),
            lambda result: {"value": float(result[0])},
        ),
        "toys": Task(fit_toy, lambda result: {}),
    }
    if job["backend"] == "jax":
        available |= _derivatives(model, data, theta)
    return available


if __name__ == "__main__":
    uses_jax = "jax" in sys.argv[1:]
    serve(
        load,
        tasks,
        distributions=("pyhf", "numpy", "scipy", "iminuit", *(("jax",) if uses_jax else ())),
        compiles=uses_jax,
    )
