"""Callbacks in real studies and real trainings."""

from __future__ import annotations

import csv
import math
import subprocess
import sys
from pathlib import Path
from typing import Any

import lightning
import mlflow
import optuna
import pytest
import torch
from fitted import FREE, RATE, counting
from lightning.pytorch.callbacks import EarlyStopping, ModelCheckpoint
from lightning.pytorch.loggers import CSVLogger
from mlflow import MlflowClient
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from searches import model_of, objective
from torch.utils.data import DataLoader, TensorDataset

import nextstat
from nextstat import FitWarning
from nextstat.callbacks import LightningCallback, OptunaCallback
from nextstat.mlops import mlflow_names, model_metrics
from nextstat.torch import HistFactoryLayer, SignificanceLoss, SoftHistogram


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


def test_a_model_that_cannot_be_fitted_is_logged_as_such() -> None:
    def failing(trial: optuna.Trial) -> float:
        metrics = model_metrics(counting(*FREE))
        trial.set_user_attr("nextstat", metrics)
        return metrics["z0"]

    logged: list[dict[str, float]] = []
    study = optuna.create_study()
    with pytest.warns(FitWarning, match="singular"):
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


class Network(lightning.LightningModule):
    """One histogram whose bins are learned, in a model of fixed background."""

    def __init__(self) -> None:
        super().__init__()
        self.network = torch.nn.Sequential(torch.nn.Linear(1, 1), torch.nn.Sigmoid())
        self.histogram = SoftHistogram([0.0, 0.5, 1.0], bandwidth=0.2)
        self.loss = SignificanceLoss(counting(RATE))

    def signal(self) -> torch.Tensor:
        events = torch.linspace(-1.0, 1.0, 20)[:, None]
        return 0.75 * self.histogram(self.network(events).squeeze(1))

    def training_step(self, batch: Any, index: int) -> torch.Tensor:
        loss: torch.Tensor = self.loss(self.signal())
        return loss

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), lr=0.5)


class Validated(Network):
    def validation_step(self, batch: Any, index: int) -> None:
        pass


BACKGROUND = torch.tensor([50.0, 40.0])
LOADER = DataLoader(TensorDataset(torch.zeros(1)))


# Of Lightning itself; the second on machines with many processors.
LIGHTNINGS_OWN = pytest.mark.filterwarnings(
    "ignore:.isinstance.treespec, LeafSpec:FutureWarning",
    "ignore:The '(train|val)_dataloader' does not have many workers",
)


def layer_of(module: lightning.LightningModule) -> HistFactoryLayer:
    assert isinstance(module, Network)
    signal = module.signal()
    assert not signal.requires_grad
    return HistFactoryLayer.from_histograms(
        signal, BACKGROUND, norm_systematics={"rate": {"background": (0.9, 1.1)}}
    )


def train(tmp_path: Path, epochs: int, *callbacks: Any) -> lightning.Trainer:
    return lightning.Trainer(
        accelerator="cpu",
        max_epochs=epochs,
        logger=CSVLogger(tmp_path),
        log_every_n_steps=1,
        callbacks=list(callbacks),
        enable_progress_bar=False,
        enable_model_summary=False,
        enable_checkpointing=any(isinstance(c, ModelCheckpoint) for c in callbacks),
    )


def rows_of(tmp_path: Path) -> list[dict[str, str]]:
    (path,) = tmp_path.glob("**/metrics.csv")
    with path.open() as file:
        return [row for row in csv.DictReader(file) if row["val/z0"]]


@LIGHTNINGS_OWN
def test_lightning_logs_after_epochs_of_training(tmp_path: Path) -> None:
    torch.manual_seed(0)
    module = Network()
    trainer = train(tmp_path, 4, LightningCallback(layer_of, every_n_epochs=2))
    trainer.fit(module, LOADER)
    rows = rows_of(tmp_path)
    assert [row["epoch"] for row in rows] == ["1", "3"]
    assert float(rows[1]["val/z0"]) > float(rows[0]["val/z0"])
    with torch.no_grad():
        last = model_metrics(layer_of(module).model, "val/")
    del last["val/time_ms"]
    for name, value in last.items():
        assert float(rows[1][name]) == pytest.approx(value, rel=1e-5, abs=1e-12)
    assert -module.loss(module.signal()).item() == pytest.approx(last["val/z0"], rel=1e-5)


@LIGHTNINGS_OWN
def test_lightning_can_stop_and_choose_by_the_significance(tmp_path: Path) -> None:
    torch.manual_seed(0)
    best = ModelCheckpoint(tmp_path / "checkpoints", monitor="val/z0", mode="max")
    stop = EarlyStopping("val/z0", mode="max", stopping_threshold=0.0)
    trainer = train(tmp_path, 4, LightningCallback(layer_of), best, stop)
    trainer.fit(Validated(), LOADER, LOADER)
    (row,) = rows_of(tmp_path)  # none of the sanity check, and one stops
    assert trainer.current_epoch == 1
    assert best.best_model_score is not None
    assert best.best_model_score.item() == pytest.approx(float(row["val/z0"]))


@LIGHTNINGS_OWN
def test_lightning_logs_models_and_their_failures(tmp_path: Path) -> None:
    def build(module: lightning.LightningModule) -> nextstat.HistFactoryModel:
        return counting(*(FREE if module.current_epoch else [RATE]))

    trainer = train(tmp_path, 2, LightningCallback(build, expected=False, top_n=1))
    with pytest.warns(FitWarning, match="singular"):
        trainer.fit(Network(), LOADER)
    good, failed = rows_of(tmp_path)
    expected = model_metrics(counting(RATE), "val/", expected=False, top_n=1)
    assert float(good["val/z0"]) == pytest.approx(expected["val/z0"], rel=1e-5)
    assert float(good["val/impact/rate"]) == pytest.approx(expected["val/impact/rate"], rel=1e-5)
    assert math.isnan(float(failed["val/z0"]))
    assert float(failed["val/converged"]) == 0.0


def test_lightning_callback_needs_a_function() -> None:
    with pytest.raises(TypeError, match=r"build is .*expected a function"):
        LightningCallback(counting())  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="every_n_epochs is 0"):
        LightningCallback(layer_of, every_n_epochs=0)
