"""The objective of the tests' studies, for processes that import nothing else."""

from __future__ import annotations

import optuna
from fitted import counting

import nextstat
from nextstat.mlops import model_metrics


def model_of(rate: float) -> nextstat.HistFactoryModel:
    return counting(("rate", "normsys", {"hi": 1.0 + rate, "lo": 1.0 - rate}))


def objective(trial: optuna.Trial) -> float:
    """The third trial is pruned, the fourth fails with and the fifth without a model."""
    rate = trial.suggest_float("rate", 0.02, 0.12)
    trial.suggest_categorical("kind", ["a", "b"])
    if trial.number == 4:
        raise ZeroDivisionError
    model = model_of(rate)
    trial.set_user_attr("nextstat", model_metrics(model, top_n=1))
    if trial.number == 2:
        raise optuna.TrialPruned
    if trial.number == 3:
        raise ZeroDivisionError
    return nextstat.significance(model, expected=True)
