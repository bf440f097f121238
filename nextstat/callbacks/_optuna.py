"""Trials of Optuna to a tracker."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

import numpy as np

from nextstat.mlops._numbers import check_prefix, number

if TYPE_CHECKING:
    from optuna import Study
    from optuna.trial import FrozenTrial

_ATTRIBUTE = "nextstat"


class OptunaCallback:
    """Log what became of each trial: ``study.optimize(objective, callbacks=[callback])``.

    What the objective found out about its model, it leaves with the trial, where other processes
    and Optuna's dashboard see it too::

        trial.set_user_attr("nextstat", model_metrics(model))

    That stays there if the trial is pruned or fails afterwards. Attributes of other names are not
    logged.

    Parameters
    ----------
    log : callable
        Is called with a dict of str to float after each trial, in the process and the thread that
        ran it: ``wandb.log``, or a function that calls ``mlflow.log_metrics``.
    prefix : str
        In front of every name.

    Raises
    ------
    TypeError, ValueError
        After a trial, if what it left is no dict of names to numbers, or would replace what the
        callback logs itself. This ends the study.

    Notes
    -----
    Logged are `number`, `complete`, `pruned` and `failed` (1.0 or 0.0 each), `duration_s`, the
    metrics that the objective left, ``params/<name>`` where that is a number (not strings, nor
    None), and for complete trials `value`, or `value_0`, `value_1`, ... of several objectives.
    Trials that are not complete have no value; `last_report` is what they reported last, if they
    did.

    An exception of `log` ends the study, as that of any callback of Optuna; ``catch`` is for those
    of the objective.
    """

    def __init__(self, log: Callable[[dict[str, float]], object], *, prefix: str = "trial/"):
        if not callable(log):
            raise TypeError(f"log is {log!r}, expected a function, such as wandb.log")
        check_prefix(prefix)
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
            if isinstance(value, int | float | np.number | np.bool_):
                found[f"params/{name}"] = float(value)
        if len(study.directions) == 1:
            names = ["value"]
        else:
            names = [f"value_{k}" for k in range(len(study.directions))]
        left = _metrics_of(trial)
        for name in left.keys() & {*found, *names, "last_report"}:
            raise ValueError(
                f"trial {trial.number} left the metric {name!r}, which the callback logs itself: "
                "call it something else"
            )
        found |= left
        if state == "COMPLETE":
            found |= dict(zip(names, trial.values, strict=True))
        elif trial.last_step is not None:
            # Optuna calls this the value of a pruned trial, which part of a trial does not have.
            found["last_report"] = trial.intermediate_values[trial.last_step]
        self.log({self.prefix + name: value for name, value in found.items()})


def _metrics_of(trial: FrozenTrial) -> dict[str, float]:
    """What the objective left with the trial."""
    left = trial.user_attrs.get(_ATTRIBUTE, {})
    what = f"the attribute {_ATTRIBUTE!r} of trial {trial.number}"
    if not isinstance(left, Mapping) or not all(isinstance(name, str) for name in left):
        raise TypeError(
            f"{what} is {left!r}, expected a dict of names to numbers, such as model_metrics gives"
        )
    return {name: number(value, f"{what} at {name!r}") for name, value in left.items()}
