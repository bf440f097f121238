"""Trials of Optuna to a tracker."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from optuna import Study
    from optuna.trial import FrozenTrial

_ATTRIBUTE = "nextstat"


class OptunaCallback:
    """Log what became of each trial: ``study.optimize(objective, callbacks=[callback])``.

    What the objective found out about its model, it leaves with the trial, where other processes
    and Optuna's dashboard see it too::

        trial.set_user_attr("nextstat", model_metrics(model))

    That stays there if the trial is pruned or fails afterwards.

    Parameters
    ----------
    log : callable
        Is called with a dict of str to float after each trial, in the process and the thread that
        ran it: ``wandb.log``, or a function that calls ``mlflow.log_metrics``.
    prefix : str
        In front of every name.

    Notes
    -----
    Logged are `number`, `complete`, `pruned` and `failed` (1.0 or 0.0 each), `duration_s`, the
    metrics that the objective left, ``params/<name>`` where that is a number, and `value`, or
    `value_0`, `value_1`, ... of several objectives. Trials that have no value have none logged.

    An exception of `log` ends the study, as that of any callback of Optuna.
    """

    def __init__(self, log: Callable[[dict[str, float]], object], *, prefix: str = "trial/"):
        if not callable(log):
            raise TypeError(f"log is {log!r}, expected a function, such as wandb.log")
        self.log = log
        self.prefix = prefix

    def __call__(self, study: Study, trial: FrozenTrial) -> None:
        """Log a finished trial."""
        state = trial.state.name
        found = {
            "number": float(trial.number),
            "complete": float(state == "COMPLETE"),
            "pruned": float(state == "PRUNED"),
            "failed": float(state == "FAIL"),
            "duration_s": trial.duration.total_seconds() if trial.duration else math.nan,
        }
        for name, value in trial.params.items():
            if isinstance(value, int | float):
                found[f"params/{name}"] = float(value)
        found |= trial.user_attrs.get(_ATTRIBUTE, {})
        if len(study.directions) == 1:
            names = ["value"]
        else:
            names = [f"value_{k}" for k in range(len(study.directions))]
        found |= dict(zip(names, trial.values or (), strict=False))
        self.log({self.prefix + name: value for name, value in found.items()})
