"""What a network is worth to an analysis, during training with Lightning."""

from __future__ import annotations

from collections.abc import Callable

import torch
from lightning.pytorch import Callback, LightningModule, Trainer

from nextstat._options import check_integer
from nextstat.mlops import model_metrics
from nextstat.model import HistFactoryModel
from nextstat.torch import HistFactoryLayer


class LightningCallback(Callback):
    """Log significance, impacts and the health of the fit every few epochs.

    They go through ``log_dict`` of the module to all loggers of the trainer, and can be monitored
    by ``EarlyStopping`` and ``ModelCheckpoint``: after validation where there is one, else after
    the epoch of training.

    Parameters
    ----------
    build : callable
        Takes the LightningModule, and gives the model, or the layer, to evaluate. It is called
        without gradients.
    every_n_epochs : int
        Epochs from one evaluation to the next.
    prefix : str
        In front of every name.
    expected, top_n
        As for `nextstat.mlops.model_metrics`.
    """

    def __init__(
        self,
        build: Callable[[LightningModule], HistFactoryModel | HistFactoryLayer],
        *,
        every_n_epochs: int = 1,
        prefix: str = "val/",
        expected: bool = True,
        top_n: int = 10,
    ) -> None:
        if not callable(build):
            raise TypeError(f"build is {build!r}, expected a function of the LightningModule")
        self.build = build
        self.every_n_epochs = check_integer(every_n_epochs, "every_n_epochs")
        self.prefix = prefix
        self.expected = expected
        self.top_n = top_n

    def on_validation_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Evaluate and log, unless Lightning only tries whether validation works."""
        if not trainer.sanity_checking:
            self._log(trainer, pl_module)

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Evaluate and log, if there is no validation."""
        if not trainer.enable_validation:
            self._log(trainer, pl_module)

    def _log(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if (trainer.current_epoch + 1) % self.every_n_epochs:
            return
        with torch.no_grad():
            built = self.build(pl_module)
        model = built.model if isinstance(built, HistFactoryLayer) else built
        pl_module.log_dict(
            model_metrics(model, self.prefix, expected=self.expected, top_n=self.top_n)
        )
