"""The callback of Optuna in real studies."""

from __future__ import annotations

import math
import subprocess
import sys
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import optuna
import pytest
from fitted import FREE, counting
from mlflow import MlflowClient
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from searches import model_of, objective

import nextstat
from nextstat import FitWarning
from nextstat.callbacks import OptunaCallback
from nextstat.mlops import mlflow_names, model_metrics


@pytest.fixture(autouse=True)
def quiet() -> Any:
    before = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    yield
    optuna.logging.set_verbosity(before)


def test_trials_of_every_kind_are_logged() -> None:
    logged: list[dict[str, float]] = []
    study = optuna.create_study(direction="maximize", sampler=optuna.samplers.RandomSampler(seed=0))
    callback = OptunaCallback(logged.append)
    study.optimize(objective, n_trials=6, callbacks=[callback], catch=ZeroDivisionError)
    states = [tuple(row[f"trial/{s}"] for s in ("complete", "pruned", "failed")) for row in logged]
    good, pruned, failed = (1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0)
    assert states == [good, good, pruned, failed, failed, good]
    for row, trial in zip(logged, study.trials, strict=True):
        assert all(type(value) is float for value in row.values())
        assert row["trial/number"] == trial.number
        assert row["trial/duration_s"] > 0.0
        assert row["trial/params/rate"] == trial.params["rate"]
        assert ("trial/value" in row) == (trial.state.name == "COMPLETE")
        assert ("trial/z0" in row) == (trial.number != 4)
        if "trial/z0" in row:
            model = model_of(trial.params["rate"])
            z0 = nextstat.significance(model, expected=True)
            assert row["trial/z0"] == pytest.approx(z0, rel=1e-8)
            assert row["trial/converged"] == 1.0
            assert row["trial/impact/rate"] > 0.0
            assert row.get("trial/value", z0) == z0


@pytest.mark.filterwarnings("ignore:Choices for a categorical distribution")
def test_parameters_of_numpy_are_numbers() -> None:
    logged: list[dict[str, float]] = []
    study = optuna.create_study()
    for choice in (np.int64(3), np.float32(0.5), np.True_, 2, "quantile"):
        study.optimize(
            lambda trial, x=choice: float(trial.suggest_categorical(f"x{x}", [x]) is not None),
            n_trials=1,
            callbacks=[OptunaCallback(logged.append)],
        )
    found = [[v for k, v in row.items() if k.startswith("trial/params")] for row in logged]
    assert found == [[3.0], [0.5], [1.0], [2.0], []]


def test_a_model_that_cannot_be_fitted_is_logged_as_such() -> None:
    def failing(trial: optuna.Trial) -> float:
        metrics = model_metrics(counting(*FREE))
        trial.set_user_attr("nextstat", metrics)
        return metrics["z0"]

    logged: list[dict[str, float]] = []
    study = optuna.create_study()
    with (
        pytest.warns(FitWarning, match="singular"),
        pytest.warns(FitWarning, match="do not determine 'free'"),
    ):
        study.optimize(failing, n_trials=1, callbacks=[OptunaCallback(logged.append, prefix="")])
    (row,) = logged
    assert row["failed"] == 1.0  # Optuna does not take NaN
    assert row["converged"] == 0.0
    assert math.isnan(row["z0"])
    assert "value" not in row


def test_several_objectives() -> None:
    logged: list[dict[str, float]] = []
    study = optuna.create_study(directions=["maximize", "minimize"])
    study.optimize(lambda trial: (1.0, 2.0), 1, callbacks=[OptunaCallback(logged.append)])
    assert logged[0]["trial/value_0"] == 1.0
    assert logged[0]["trial/value_1"] == 2.0
    with pytest.raises(TypeError, match="log is None"):
        OptunaCallback(None)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="prefix is None"):
        OptunaCallback(print, prefix=None)  # type: ignore[arg-type]


def test_a_part_of_a_trial_is_no_value() -> None:
    def reporting(trial: optuna.Trial) -> float:
        for step in range(2):
            trial.report(trial.number + step, step)
        if trial.number == 1:
            raise optuna.TrialPruned
        return math.nan if trial.number == 2 else 7.0

    logged: list[dict[str, float]] = []
    study = optuna.create_study()
    study.optimize(reporting, n_trials=3, callbacks=[OptunaCallback(logged.append, prefix="")])
    assert study.trials[1].value == 2.0  # by Optuna
    found = [(row.get("value"), row.get("last_report")) for row in logged]
    assert found == [(7.0, None), (None, 2.0), (None, 3.0)]


@pytest.mark.parametrize(
    ("left", "error", "message"),
    [
        ([1, 2], TypeError, r"attribute 'nextstat' of trial 0 is \[1, 2\], expected a dict"),
        (3.0, TypeError, r"is 3.0, expected a dict of names to numbers"),
        ({3: 1.0}, TypeError, r"is \{3: 1.0\}, expected a dict of names"),
        ({"a": "b"}, TypeError, "of trial 0 at 'a' is 'b', expected a number"),
        ({"a": None}, TypeError, "at 'a' is a NoneType, expected a number"),
        ({"a": {"b": 1.0}}, TypeError, "at 'a' is a dict, expected a number"),
        ({"number": 77}, ValueError, "left the metric 'number', which the callback logs itself"),
        ({"value": 99}, ValueError, "left the metric 'value'"),
        ({"last_report": 1}, ValueError, "left the metric 'last_report'"),
        ({"params/x": 1}, ValueError, "left the metric 'params/x'"),
    ],
)
def test_what_trials_leave_is_checked(left: Any, error: type[Exception], message: str) -> None:
    def leaving(trial: optuna.Trial) -> float:
        trial.set_user_attr("nextstat", left)
        return trial.suggest_float("x", 0.0, 1.0)

    with pytest.raises(error, match=message):
        optuna.create_study().optimize(leaving, n_trials=1, callbacks=[OptunaCallback(print)])


@pytest.mark.filterwarnings("ignore::DeprecationWarning:(mlflow|sqlalchemy).*")
def test_trials_of_several_threads_end_in_one_run(sqlite_uri: str) -> None:
    client = MlflowClient(sqlite_uri)
    run = client.create_run(client.create_experiment("threads")).info.run_id
    before = mlflow.get_tracking_uri()
    mlflow.set_tracking_uri(sqlite_uri)

    def log(metrics: dict[str, float]) -> None:
        step = int(metrics["trial/number"])
        mlflow.log_metrics(mlflow_names(metrics), step=step, run_id=run)

    study = optuna.create_study(direction="maximize")
    study.optimize(objective, 8, n_jobs=2, callbacks=[OptunaCallback(log)], catch=ZeroDivisionError)
    mlflow.set_tracking_uri(before)
    history = client.get_metric_history(run, "trial/value")
    found = {point.step: point.value for point in history}
    assert found == {t.number: t.value for t in study.trials if t.state.name == "COMPLETE"}
    assert len(found) == 5
    assert len(client.search_runs([client.get_run(run).info.experiment_id])) == 1


WORKER = """
import sys, optuna
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from nextstat.callbacks import OptunaCallback
from searches import objective

optuna.logging.set_verbosity(optuna.logging.ERROR)
storage = JournalStorage(JournalFileBackend(sys.argv[1]))
study = optuna.load_study(study_name="shared", storage=storage)
log = lambda metrics: print(int(metrics["trial/number"]), metrics.get("trial/z0"))
study.optimize(objective, 4, catch=ZeroDivisionError, callbacks=[OptunaCallback(log)])
"""


def test_processes_share_a_study(tmp_path: Path) -> None:
    path = str(tmp_path / "journal.log")
    storage = JournalStorage(JournalFileBackend(path))
    study = optuna.create_study(study_name="shared", storage=storage, direction="maximize")
    here = Path(__file__).parent
    workers = [
        subprocess.Popen(
            [sys.executable, "-c", WORKER, path], cwd=here, stdout=subprocess.PIPE, text=True
        )
        for _ in range(2)
    ]
    lines = [line for worker in workers for line in worker.communicate()[0].splitlines()]
    assert [worker.returncode for worker in workers] == [0, 0]
    logged = {int(number): z0 for number, z0 in (line.split() for line in lines)}
    assert sorted(logged) == list(range(8))
    for trial in study.trials:
        kept = trial.user_attrs.get("nextstat", {})
        assert str(kept.get("z0")) == logged[trial.number]
        assert bool(kept) == (trial.number != 4)
