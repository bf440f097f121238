"""The callback of Lightning in real trainings."""

from __future__ import annotations

import csv
import math
from pathlib import Path
from typing import Any

import lightning
import pytest
import torch
from fitted import FREE, RATE, STATISTICS, counting
from lightning.pytorch.callbacks import EarlyStopping, ModelCheckpoint
from lightning.pytorch.loggers import CSVLogger, MLFlowLogger
from mlflow import MlflowClient
from torch.utils.data import DataLoader, TensorDataset

import nextstat
from nextstat import FitWarning
from nextstat.callbacks import LightningCallback
from nextstat.mlops import mlflow_names, model_metrics
from nextstat.torch import HistFactoryLayer, SignificanceLoss, SoftHistogram


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
    with (
        pytest.warns(FitWarning, match="singular"),
        pytest.warns(FitWarning, match="do not determine 'free'"),
    ):
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
    with pytest.raises(TypeError, match="prefix is None"):
        LightningCallback(layer_of, prefix=None)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="top_n is -1"):
        LightningCallback(layer_of, top_n=-1)
    with pytest.raises(TypeError, match="'mu' is no option of model_metrics"):
        LightningCallback(layer_of, mu=2.0)


def fails(match: str, module: lightning.LightningModule, trainer: lightning.Trainer) -> None:
    loaders = (LOADER, LOADER) if isinstance(module, Validated) else (LOADER,)
    with pytest.raises(ValueError, match=match):
        trainer.fit(module, *loaders)


@LIGHTNINGS_OWN
@pytest.mark.filterwarnings("ignore::DeprecationWarning:(mlflow|sqlalchemy).*")
def test_names_are_the_same_in_all_loggers(tmp_path: Path, sqlite_uri: str) -> None:
    """Lightning's logger for MLflow would delete brackets, and warn."""
    model = counting(STATISTICS)
    logger = MLFlowLogger("lightning", tracking_uri=sqlite_uri)
    trainer = train(tmp_path, 1, LightningCallback(lambda module: model))
    trainer.loggers = [*trainer.loggers, logger]
    trainer.fit(Network(), LOADER)
    metrics = model_metrics(model, "val/")
    expected = mlflow_names(metrics).keys()
    assert metrics.keys() - expected == {"val/impact/stat[0]", "val/impact/stat[1]"}
    assert expected <= MlflowClient(sqlite_uri).get_run(logger.run_id).data.metrics.keys()
    (row,) = rows_of(tmp_path)
    assert expected <= row.keys()


@LIGHTNINGS_OWN
def test_options_of_the_layer_and_of_the_callback(tmp_path: Path) -> None:
    def fixed(module: lightning.LightningModule) -> HistFactoryLayer:
        return HistFactoryLayer.from_histograms(
            torch.tensor([5.0, 10.0]),
            BACKGROUND,
            norm_systematics={"rate": {"background": (0.9, 1.1)}},
            fixed={"rate": 0.0},
        )

    callback = LightningCallback(fixed, nuisances="nominal")
    trainer = train(tmp_path, 1, callback)
    trainer.fit(Network(), LOADER)
    (row,) = rows_of(tmp_path)
    assert float(row["val/z0"]) == pytest.approx(fixed(Network()).z0().item(), rel=1e-5)
    assert "val/impact/rate" not in row
    released = LightningCallback(fixed, fixed=[], prefix="free/")
    train(tmp_path, 1, released).fit(Network(), LOADER)
    (_, second) = sorted(tmp_path.glob("**/metrics.csv"))
    assert "free/impact/rate" in second.read_text()


@LIGHTNINGS_OWN
@pytest.mark.parametrize("made", [HistFactoryLayer, SignificanceLoss])
def test_what_does_not_follow_the_network_is_refused(tmp_path: Path, made: Any) -> None:
    trainer = train(tmp_path, 1, LightningCallback(lambda module: made(counting())))
    with pytest.raises(TypeError, match=r"what build gave is a .*from_histograms"):
        trainer.fit(Network(), LOADER)


@LIGHTNINGS_OWN
def test_a_network_that_diverged_is_named(tmp_path: Path) -> None:
    def diverged(module: lightning.LightningModule) -> HistFactoryLayer:
        return HistFactoryLayer.from_histograms(BACKGROUND * math.nan, BACKGROUND)

    trainer = train(tmp_path, 1, LightningCallback(diverged))
    fails(r"'channel/signal' of the layer is \[nan, nan\]", Network(), trainer)


class Talkative(Network):
    def training_step(self, batch: Any, index: int) -> torch.Tensor:
        loss = super().training_step(batch, index)
        self.log("train/z0", -loss)
        return loss


class TalkativeValidated(Talkative, Validated):
    def validation_step(self, batch: Any, index: int) -> None:
        self.log("val/z0", torch.tensor(1.0))


@LIGHTNINGS_OWN
@pytest.mark.parametrize(
    ("module", "prefix"),
    [(Talkative, "train/"), (TalkativeValidated, "train/"), (TalkativeValidated, "val/")],
)
def test_metrics_of_the_module_are_not_replaced(
    tmp_path: Path, module: type[Network], prefix: str
) -> None:
    callback = LightningCallback(layer_of, prefix=prefix)
    fails(f"'{prefix}z0' is logged elsewhere too", module(), train(tmp_path, 2, callback))


@LIGHTNINGS_OWN
def test_two_callbacks_need_two_prefixes(tmp_path: Path) -> None:
    pair = LightningCallback(layer_of), LightningCallback(layer_of, top_n=1)
    fails("two callbacks have the prefix 'val/'", Network(), train(tmp_path, 1, *pair))
    other = LightningCallback(layer_of, top_n=1, prefix="short/")
    trainer = train(tmp_path, 1, LightningCallback(layer_of), other)
    trainer.fit(Network(), LOADER)
    assert {"val/z0", "short/z0"} <= trainer.callback_metrics.keys()


@LIGHTNINGS_OWN
def test_trainings_of_which_nothing_would_be_logged(tmp_path: Path) -> None:
    rare = train(tmp_path, 3, LightningCallback(layer_of, every_n_epochs=10))
    fails("first epoch to evaluate is 10 .*max_epochs is 3", Network(), rare)
    for epochs in (5, 6):
        folder = tmp_path / str(epochs)
        trainer = train(folder, epochs, LightningCallback(layer_of, every_n_epochs=3))
        trainer.check_val_every_n_epoch = 2
        if epochs == 5:
            fails("first epoch to evaluate is 6 .*validation every 2", Validated(), trainer)
        else:
            trainer.fit(Validated(), LOADER, LOADER)
            assert [row["epoch"] for row in rows_of(folder)] == ["5"]


@LIGHTNINGS_OWN
def test_validation_that_is_asked_for_is_logged(tmp_path: Path) -> None:
    trainer = train(tmp_path, 9, LightningCallback(layer_of, every_n_epochs=5))
    (metrics,) = trainer.validate(Validated(), LOADER, verbose=False)
    assert metrics["val/z0"] > 0.0


@LIGHTNINGS_OWN
def test_epochs_that_fail_end_a_training_or_not(tmp_path: Path) -> None:
    """What the page on tracking says of early stopping."""

    def build(module: lightning.LightningModule) -> nextstat.HistFactoryModel:
        return counting(*(FREE if module.current_epoch == 1 else [RATE]))

    for check, epochs in ((True, 2), (False, 4)):
        stop = EarlyStopping("val/z0", mode="max", patience=9, check_finite=check)
        best = ModelCheckpoint(tmp_path / f"{check}", monitor="val/z0", mode="max")
        trainer = train(tmp_path, 4, LightningCallback(build), stop, best)
        with (
            pytest.warns(FitWarning, match="singular"),
            pytest.warns(FitWarning, match="do not determine 'free'"),
        ):
            trainer.fit(Validated(), LOADER, LOADER)
        assert trainer.current_epoch == epochs
        assert "epoch=0" in best.best_model_path


@LIGHTNINGS_OWN
def test_epochs_between_evaluations_count_for_early_stopping(tmp_path: Path) -> None:
    def stop(**options: Any) -> lightning.Trainer:
        watch = EarlyStopping("val/z0", mode="max", patience=2, **options)
        return train(
            tmp_path, 9, LightningCallback(lambda _: counting(RATE), every_n_epochs=2), watch
        )

    with pytest.raises(RuntimeError, match=r"val/z0. which is not available"):
        stop().fit(Validated(), LOADER, LOADER)
    trainer = stop(strict=False)
    trainer.fit(Validated(), LOADER, LOADER)
    assert trainer.current_epoch == 4  # epoch 2 counts with the value of epoch 1
