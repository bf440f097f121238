"""Worker for Optuna: studies of a binning, and how much of their time nextstat takes."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import optuna
from protocol import Job, Task, serve

import nextstat

Objective = Callable[[optuna.Trial], tuple[float, float]]
"""Value of a trial, and the seconds inside nextstat."""


def load(job: Job) -> Any:
    """Labelled events with two systematics, ``n_events`` and four variations of each."""
    nextstat.set_num_threads(job["threads"])
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    return nextstat.datasets.make_events(
        job["n_events"], 2, systematics=("jes", "pileup"), random_state=0
    )


def of_events(events: Any) -> Objective:
    """Fit and score a `HistFactoryEstimator` that bins the mass."""
    x = np.ascontiguousarray(events.data[:, :1])
    options = {"yields": events.yields, "norm_systematics": events.norm_systematics}

    def objective(trial: optuna.Trial) -> tuple[float, float]:
        n_bins = trial.suggest_int("n_bins", 3, 40)
        lo = trial.suggest_float("lo", 40.0, 90.0)
        hi = trial.suggest_float("hi", 150.0, 400.0)
        start = time.perf_counter()
        analysis = nextstat.HistFactoryEstimator(n_bins=n_bins, lo=lo, hi=hi, **options)
        rows = (x, events.target, events.sample_weight, events.variation)
        value = analysis.fit(*rows).score(*rows)
        return value, time.perf_counter() - start

    return objective


def build_workspace(n_bins: int, lo: float, hi: float) -> dict[str, Any]:
    """Signal of 50 events, normal around 0.5 with spread 0.08, on 200 events of exp(-2 x).

    Contents of the bins are integrals of the densities; the background is known to 5 %.
    """
    edges = np.linspace(lo, hi, n_bins + 1)
    normal = np.array([0.5 * math.erf((e - 0.5) / (0.08 * math.sqrt(2.0))) for e in edges])
    signal = 50.0 * np.diff(normal)
    background = 200.0 * -np.diff(np.exp(-2.0 * edges)) / -math.expm1(-2.0)
    return {
        "channels": [
            {
                "name": "region",
                "samples": [
                    {
                        "name": "signal",
                        "data": signal.tolist(),
                        "modifiers": [{"name": "mu", "type": "normfactor", "data": None}],
                    },
                    {
                        "name": "background",
                        "data": background.tolist(),
                        "modifiers": [
                            {"name": "bkg", "type": "normsys", "data": {"hi": 1.05, "lo": 0.95}}
                        ],
                    },
                ],
            }
        ],
        "observations": [{"name": "region", "data": (signal + background).tolist()}],
        "measurements": [{"name": "study", "config": {"poi": "mu", "parameters": []}}],
        "version": "1.0.0",
    }


def of_histograms(trial: optuna.Trial) -> tuple[float, float]:
    """Discovery significance of a workspace."""
    n_bins = trial.suggest_int("n_bins", 3, 40)
    lo = trial.suggest_float("lo", 0.0, 0.3)
    hi = trial.suggest_float("hi", 0.7, 1.0)
    workspace = build_workspace(n_bins=n_bins, lo=lo, hi=hi)
    start = time.perf_counter()
    model = nextstat.from_pyhf(workspace)
    value = float(nextstat.hypotest(model, mu=0.0).significance)
    return value, time.perf_counter() - start


def of_nothing(trial: optuna.Trial) -> tuple[float, float]:
    """The same parameters for free: what Optuna takes."""
    n_bins = trial.suggest_int("n_bins", 3, 40)
    lo = trial.suggest_float("lo", 0.0, 0.3)
    hi = trial.suggest_float("hi", 0.7, 1.0)
    return hi - lo - abs(n_bins - 20), 0.0


def tasks(events: Any, job: Job) -> dict[str, Task]:
    """One study each: in memory, with the TPE sampler."""

    def make(objective: Objective) -> Task:
        runs: list[tuple[float, float]] = []

        def call() -> float:
            inside = 0.0

            def watched(trial: optuna.Trial) -> float:
                nonlocal inside
                value, seconds = objective(trial)
                inside += seconds
                return value

            sampler = optuna.samplers.TPESampler(seed=0)
            study = optuna.create_study(direction="maximize", sampler=sampler)
            start = time.perf_counter()
            study.optimize(watched, n_trials=job["n_trials"])
            runs.append((time.perf_counter() - start, inside))
            return study.best_value

        def describe(value: float) -> dict[str, Any]:
            return {"value": value, "inside": min(runs)[1]}

        return Task(call, describe)

    studies = {"events": of_events(events), "histograms": of_histograms, "nothing": of_nothing}
    return {name: make(studies[name]) for name in job["tasks"]}


if __name__ == "__main__":
    serve(load, tasks, distributions=("optuna", "nextstat", "numpy"))
