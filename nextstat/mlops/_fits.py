"""Results of fits as plain numbers and tables."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from importlib.metadata import version
from typing import Any

import numpy as np

from nextstat._base.arguments import check_flag
from nextstat._fits.result import FitResult, check_result
from nextstat._model.histfactory import HistFactoryModel
from nextstat.interpret import rank_impact
from nextstat.mlops._numbers import check_prefix, health, number


def metrics_dict(
    result: FitResult,
    prefix: str = "",
    include_time: bool = True,
    extra: Mapping[str, object] | None = None,
) -> dict[str, float]:
    """The numbers of a fit, for ``wandb.log`` and the like.

    The names are the same for every fit of a model, converged or not. What does not exist is
    NaN: `mu` of a model without parameter of interest, errors of parameters that are fixed or
    at a bound, all errors of a fit that did not converge.

    Parameters
    ----------
    result : FitResult
    prefix : str
        In front of every name, such as "fit/".
    include_time : bool
        Whether to give `time_ms`, the only number that two runs of a fit do not share.
    extra : mapping of str to number, optional
        Further metrics, under the same prefix.

    Returns
    -------
    dict of str to float
        `mu`, `nll`, `edm`, `converged` (1.0 or 0.0), `time_ms`, and for each parameter, that of
        interest included, ``param/<name>`` and ``error/<name>``.

    Raises
    ------
    TypeError
        If it is not the result of a fit, or an extra value is no number.
    ValueError
        If an extra metric has the name of another.
    """
    result = check_result(result)
    check_prefix(prefix)
    metrics = health(result, prefix, include_time=check_flag(include_time, "include_time"))
    for kind, values in (("param", result.values), ("error", result.errors)):
        names = map(f"{prefix}{kind}/".__add__, result.parameter_names)
        metrics.update(zip(names, values.tolist(), strict=True))
    if extra is not None and not isinstance(extra, Mapping):
        raise TypeError(
            f"extra is a {type(extra).__name__}, expected a mapping of names to numbers"
        )
    for name, value in (extra or {}).items():
        if not isinstance(name, str) or not name:
            raise TypeError(f"extra has the name {name!r}, expected a string that is not empty")
        if prefix + name in metrics:
            raise ValueError(f"extra[{name!r}] would replace the metric {prefix + name!r}")
        metrics[prefix + name] = number(value, f"extra[{name!r}]")
    return metrics


def significance_metrics(
    z0: object,
    q0: object = None,
    prefix: str = "",
    step_time_ms: object = None,
) -> dict[str, float]:
    """The significance of a training step, for ``wandb.log`` and the like.

    Parameters
    ----------
    z0 : float
        Significance of a discovery; or anything with a single number in it, such as a tensor,
        whose gradient does not matter.
    q0 : float, optional
        Test statistic, the square of `z0` by default.
    prefix : str
        In front of every name, such as "train/".
    step_time_ms : float, optional
        Duration of the step.

    Returns
    -------
    dict of str to float
        `z0`, `q0`, and `step_time_ms` if it was given.

    Raises
    ------
    TypeError
        If one of them is no number.
    ValueError
        If one of them is negative. NaN and infinity are what they are.
    """
    check_prefix(prefix)
    z = _not_negative(z0, "z0", "; of the loss -Z0, pass -loss")
    metrics = {
        f"{prefix}z0": z,
        f"{prefix}q0": z * z if q0 is None else _not_negative(q0, "q0"),
    }
    if step_time_ms is not None:
        metrics[f"{prefix}step_time_ms"] = _not_negative(step_time_ms, "step_time_ms")
    return metrics


class StepTimer:
    """Wall-clock time of a training step.

    Either `start` and `stop`, any number of times, or ``with StepTimer() as timer: ...``. One
    inside another needs a timer of its own.

    Attributes
    ----------
    elapsed_ms : float
        Duration of the last step that was stopped; NaN before the first. RuntimeError while one is
        running: it would be that of the step before.
    """

    def __init__(self) -> None:
        self._elapsed_ms = math.nan
        self._started: float | None = None

    @property
    def elapsed_ms(self) -> float:
        if self._started is not None:
            raise RuntimeError(
                "the timer is running: read elapsed_ms after stop(), or after the with block"
            )
        return self._elapsed_ms

    def start(self) -> None:
        """Start, or start again."""
        self._started = time.perf_counter()

    def stop(self) -> float:
        """Stop.

        Returns
        -------
        float
            Milliseconds since `start`.

        Raises
        ------
        RuntimeError
            If it was not started since the last stop.
        """
        now = time.perf_counter()
        if self._started is None:
            raise RuntimeError("the timer is not running: call start() before stop()")
        self._elapsed_ms = 1e3 * (now - self._started)
        self._started = None
        return self._elapsed_ms

    def __enter__(self) -> StepTimer:
        self.start()
        return self

    def __exit__(self, *exception: object) -> None:
        if self._started is not None:
            self.stop()


def ranking_table(
    model: HistFactoryModel, top_n: int | None = None, **options: Any
) -> list[dict[str, str | int | float | None]]:
    """`nextstat.interpret.rank_impact` in the values that JSON has: None instead of NaN.

    Parameters
    ----------
    model : HistFactoryModel
    top_n : int, optional
        Keep the first rows only.
    **options
        As for `rank_impact`.

    Returns
    -------
    list of dict
        For ``json.dumps``, ``pandas.DataFrame``, and by way of that ``wandb.Table`` and
        ``mlflow.log_table``.

    Raises
    ------
    FitError, ValueError, KeyError
        As for `rank_impact`.
    """
    return [
        {
            key: None if isinstance(value, float) and math.isnan(value) else value
            for key, value in row.items()
        }
        for row in rank_impact(model, top_n=top_n, **options)
    ]


def run_summary(result: FitResult) -> dict[str, str | int | float | bool]:
    """How a fit went, for the parameters or the configuration of a run.

    Parameters
    ----------
    result : FitResult

    Returns
    -------
    dict
        Flat: `converged`, `status`, `message`, `n_iter`, `n_evaluations`, `gradient_norm`, `poi`
        ("" if there is none), `n_bins`, `n_parameters`, `n_fixed`, `n_active_bounds`,
        `active_bounds` (names with ", " between them), `nextstat_version`.

    Raises
    ------
    TypeError
        If it is not the result of a fit.
    """
    result = check_result(result)
    return {
        "converged": result.converged,
        "status": result.status,
        "message": result.message,
        "n_iter": result.n_iter,
        "n_evaluations": result.n_evaluations,
        "gradient_norm": result.gradient_norm,
        "poi": result.poi or "",
        "n_bins": result.model.n_bins,
        "n_parameters": len(result.values),
        "n_fixed": int(np.count_nonzero(result.fixed)),
        "n_active_bounds": len(result.active_bounds),
        "active_bounds": ", ".join(result.active_bounds),
        "nextstat_version": version("nextstat"),
    }


def _not_negative(value: object, name: str, hint: str = "") -> float:
    found = number(value, name)
    if found < 0.0:
        raise ValueError(f"{name} is {found:g}, expected a number that is not negative{hint}")
    return abs(found)  # no -0.0, which is what -loss is where there is no significance
