"""What a network is worth to an analysis, during training with Lightning."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.trainer.states import TrainerFn

from nextstat._base.arguments import check_integer, own_options
from nextstat._model.histfactory import HistFactoryModel
from nextstat.mlops import mlflow_names, model_metrics
from nextstat.mlops._models import check_metrics_options, model_of
from nextstat.torch import HistFactoryLayer


class LightningCallback(Callback):
    """Log significance, impacts and the health of the fit every few epochs.

    They go through ``log_dict`` of the module to all loggers of the trainer, and can be monitored
    by ``EarlyStopping`` and ``ModelCheckpoint``: after validation where there is one, else after
    the epoch of training. ``trainer.validate`` logs them in any case, ``trainer.test`` never.

    Parameters
    ----------
    build : callable
        Takes the LightningModule, and gives the model to evaluate, or a layer made by
        `HistFactoryLayer.from_histograms`. It is called without gradients.
    every_n_epochs : int
        Epochs from one evaluation to the next. Where validation is not made in every epoch, those
        that are multiples of both numbers are evaluated.
    prefix : str
        In front of every name; no other metric may begin with it and have one of these names.
    **options
        As for `nextstat.mlops.model_metrics`.

    Raises
    ------
    TypeError, ValueError
        If an option is impossible, or `build` gives something else; when a training starts, if
        another callback has the same prefix, or no epoch would be evaluated.

    Notes
    -----
    All loggers get the names that `nextstat.mlops.mlflow_names` gives: Lightning's own for MLflow
    would delete brackets from them, and two parameters could become one.
    """

    def __init__(
        self,
        build: Callable[[LightningModule], HistFactoryModel | HistFactoryLayer],
        *,
        every_n_epochs: int = 1,
        prefix: str = "val/",
        **options: Any,
    ) -> None:
        if not callable(build):
            raise TypeError(
                f"build is a {type(build).__name__}, expected a function of the LightningModule"
            )
        check_metrics_options(prefix, **options)
        self.build = build
        self.every_n_epochs = check_integer(every_n_epochs, "every_n_epochs")
        self.prefix = prefix
        self.options = own_options(options)
        self._logged: set[str] = set()

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Refuse trainings of which nothing would be logged, or one over the other."""
        callbacks = trainer.callbacks  # type: ignore[attr-defined]
        others = [c for c in callbacks if isinstance(c, LightningCallback) and c is not self]
        if any(other.prefix == self.prefix for other in others):
            raise ValueError(f"two callbacks have the prefix {self.prefix!r}: give one another")
        validated = (trainer.enable_validation and trainer.check_val_every_n_epoch) or 1
        period = math.lcm(self.every_n_epochs, validated)
        limit = trainer.max_epochs
        tried = trainer.fast_dev_run  # type: ignore[attr-defined]
        if limit is not None and 0 <= limit < period and not tried:
            raise ValueError(
                f"nothing would be logged: the first epoch to evaluate is {period} (every_n_epochs "
                f"is {self.every_n_epochs}, validation every {validated}), max_epochs is {limit}"
            )

    def on_validation_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Evaluate and log, unless Lightning only tries whether validation works."""
        if not trainer.sanity_checking:
            self._log(trainer, pl_module)

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Evaluate and log, if there is no validation."""
        if not trainer.enable_validation:
            self._log(trainer, pl_module)

    def _log(self, trainer: Trainer, pl_module: LightningModule) -> None:
        asked = trainer.state.fn == TrainerFn.VALIDATING
        if (trainer.current_epoch + 1) % self.every_n_epochs and not asked:
            return
        with torch.no_grad():
            built = self.build(pl_module)
        model, own = model_of(built, "what build gave", expected=self.options.get("expected", True))
        metrics = mlflow_names(model_metrics(model, self.prefix, **{**own, **self.options}))
        taken = sorted(metrics.keys() & trainer.callback_metrics.keys() - self._logged)
        if taken:
            raise ValueError(
                f"the metric {taken[0]!r} is logged elsewhere too: give the callback another prefix"
            )
        self._logged |= metrics.keys()
        pl_module.log_dict(metrics)
