"""Worker for `HistFactoryEstimator`: fit and score on labelled events, and the parts of both."""

from __future__ import annotations

import time
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from clock import Clock, Parts
from protocol import Job, Task, serve

import nextstat
from nextstat import metrics
from nextstat._estimators import estimator
from nextstat._events import stage as _event_stage
from nextstat._events import sums as _event_sums
from nextstat._events import table as _event_table

PLACES: dict[str, list[tuple[Any, str]]] = {
    "check X": [(estimator, "validate_data")],
    "number y": [(_event_table, "read_labels")],
    "number variation": [(_event_table, "read_variations")],
    "check weights": [(_event_table, "read_weights")],
    "nominal rows": [
        (_event_table.Events, "nominal"),
        (_event_table.Events, "expected"),
        (estimator, "nominal_totals"),
        (estimator, "find_range"),
    ],
    "group of each row": [(_event_table.Events, "group")],
    "fill": [(_event_sums, "fill_histogram")],
    "model": [(_event_stage, "make_workspace"), (estimator, "from_pyhf")],
    "fit of model": [(estimator, "fit")],
    "expected result": [(metrics.METRICS, "significance")],
}


SIGNAL = {"int64": 2, "str": "signal"}


class Rows(NamedTuple):
    """What fit and score take: one observable, and labels and variations in each form."""

    x: Any
    weight: Any
    y: dict[str, Any]
    variation: dict[str, Any]
    ends: tuple[float, float]


def load(job: Job) -> Rows:
    """Labelled events; ``n_events`` of them and eight variations of each."""
    nextstat.set_num_threads(job["threads"])
    events = nextstat.datasets.make_events(job["n_events"], 2, random_state=0)
    x = np.ascontiguousarray(events.data[:, :1])
    lo, hi = np.quantile(x[: job["n_events"]], [0.01, 0.99]).tolist()
    names = np.array(["ttbar", "wjets", "signal"])
    return Rows(
        x,
        events.sample_weight,
        {
            "int64": np.argmax(events.target[:, None] == names, axis=1),
            "str": events.target,
        },
        {"str": events.variation, "Categorical": pd.Categorical(events.variation)},
        (lo, hi),
    )


def tasks(rows: Rows, job: Job) -> dict[str, Task]:
    """Fit and score for each form of labels and of variations."""

    def make(y: str, variation: str) -> Task:
        runs: list[tuple[float, dict[str, Parts]]] = []
        arguments = (rows.x, rows.y[y], rows.weight, rows.variation[variation])

        def call() -> float:
            lo, hi = rows.ends
            analysis = nextstat.HistFactoryEstimator(n_bins=20, lo=lo, hi=hi, signal=SIGNAL[y])
            parts: dict[str, Parts] = {}
            score = 0.0
            for verb in ("fit", "score"):
                clock = Clock()
                with clock.watching(PLACES):
                    start = time.perf_counter()
                    score = getattr(analysis, verb)(*arguments)
                    total = time.perf_counter() - start
                rest = total - sum(clock.parts.values())
                parts[verb] = {**clock.parts, "rest": rest, "total": total}
            runs.append((sum(of["total"] for of in parts.values()), parts))
            return score

        def describe(score: float) -> dict[str, Any]:
            return {"value": score, "parts": min(runs, key=lambda run: run[0])[1]}

        return Task(call, describe)

    return {name: make(*name.split()) for name in job["tasks"]}


if __name__ == "__main__":
    serve(load, tasks, distributions=("nextstat", "numpy", "pandas", "scikit-learn"))
