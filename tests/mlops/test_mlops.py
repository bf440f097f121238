"""Results as plain numbers and tables, without any tracker."""

from __future__ import annotations

import json
import math
import re
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from fitted import AWKWARD, FREE, RATE, STATISTICS, counting
from hypothesis import example, given
from hypothesis import strategies as st

import nextstat
from nextstat import FitError, FitWarning
from nextstat.interpret import rank_impact
from nextstat.mlops import (
    StepTimer,
    metrics_dict,
    mlflow_names,
    model_metrics,
    ranking_table,
    run_summary,
    significance_metrics,
)


def test_no_tracker_is_imported(tmp_path: Path) -> None:
    code = (
        "import sys, nextstat.mlops, nextstat.callbacks\n"
        "nextstat.callbacks.OptunaCallback(print)\n"
        "frameworks = {'wandb', 'mlflow', 'optuna', 'lightning', 'torch'}\n"
        "print(sorted(frameworks & set(sys.modules)))"
    )
    found = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        check=True,
        text=True,
        cwd=tmp_path,  # a checkout has no compiled parts, and would be imported first
    )
    assert found.stdout.strip() == "[]"


def test_metrics_are_those_of_the_fit() -> None:
    result = nextstat.fit(counting(RATE, STATISTICS))
    metrics = metrics_dict(result, prefix="fit/")
    assert all(type(value) is float for value in metrics.values())
    assert list(metrics)[:5] == ["fit/mu", "fit/nll", "fit/edm", "fit/converged", "fit/time_ms"]
    assert metrics["fit/mu"] == result.mu
    assert metrics["fit/nll"] == result.nll
    assert metrics["fit/edm"] == result.edm
    assert metrics["fit/converged"] == 1.0
    assert metrics["fit/time_ms"] == result.time_ms
    names = "mu", "rate", "stat[0]", "stat[1]"
    assert sorted(result.parameter_names) == sorted(names)
    for name in names:
        assert metrics[f"fit/param/{name}"] == result[name]
        assert metrics[f"fit/error/{name}"] == result.error(name) > 0.0
    assert len(metrics) == 5 + 2 * len(names)


def test_time_can_be_left_out() -> None:
    result = nextstat.fit(counting())
    without = metrics_dict(result, include_time=False)
    assert {**without, "time_ms": result.time_ms} == metrics_dict(result)
    assert "time_ms" not in without
    assert metrics_dict(result, include_time=False, extra={"time_ms": 3})["time_ms"] == 3.0


def test_extra_metrics_are_numbers_of_any_kind() -> None:
    extra = {
        "epoch": 3,
        "ok": True,
        "numpy": np.float32(0.5),
        "tensor": torch.tensor([2.0], requires_grad=True),
        "nan": math.nan,
    }
    metrics = metrics_dict(nextstat.fit(counting()), "fit/", extra=extra)
    found = {name: metrics[f"fit/{name}"] for name in extra}
    assert all(type(value) is float for value in found.values())
    assert math.isnan(found.pop("nan"))
    assert found == {"epoch": 3.0, "ok": 1.0, "numpy": 0.5, "tensor": 2.0}


def test_a_fit_that_fails_is_logged_as_such() -> None:
    model = counting(*FREE)
    with pytest.warns(FitWarning, match="singular"):
        failed = nextstat.fit(model)
    metrics = metrics_dict(failed)
    assert metrics["converged"] == 0.0
    assert metrics["mu"] == failed.mu
    assert all(math.isnan(metrics[f"error/{name}"]) for name in model.parameter_names)
    good = metrics_dict(nextstat.fit(model, fixed=["too_free"]))
    assert good["converged"] == 1.0
    assert list(good) == list(metrics)


def test_what_does_not_exist_is_nan() -> None:
    without = metrics_dict(nextstat.fit(counting(RATE, poi="")))
    assert math.isnan(without["mu"])
    assert without["error/rate"] > 0.0
    fixed = metrics_dict(nextstat.fit(counting(RATE), fixed={"rate": 0.5}))
    assert fixed["param/rate"] == 0.5
    assert math.isnan(fixed["error/rate"])
    bound = metrics_dict(nextstat.fit(counting(RATE), [40.0, 30.0]))
    assert bound["mu"] == 0.0
    assert math.isnan(bound["error/mu"])


RESULT = nextstat.fit(counting(RATE))


LONG = "p" * 300
(CUT,) = mlflow_names({LONG: 1.0})


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: metrics_dict(counting()), TypeError, "found a HistFactoryModel; fit it first"),
        (lambda: metrics_dict(RESULT, True), TypeError, "prefix is True"),
        (lambda: metrics_dict(RESULT, include_time="no"), TypeError, "include_time is 'no'"),
        (lambda: metrics_dict(RESULT, extra=[1]), TypeError, "extra is a list"),
        (lambda: metrics_dict(RESULT, extra={1: 1.0}), TypeError, "extra has the name 1"),
        (lambda: metrics_dict(RESULT, extra={"": 1.0}), TypeError, "not empty"),
        (lambda: metrics_dict(RESULT, extra={"a": "1"}), TypeError, r"extra\['a'\] is '1'"),
        (lambda: metrics_dict(RESULT, extra={"a": None}), TypeError, "is a NoneType"),
        (lambda: metrics_dict(RESULT, extra={"a": 1j}), TypeError, "is a complex"),
        (
            lambda: metrics_dict(RESULT, "f/", extra={"param/mu": 1}),
            ValueError,
            r"extra\['param/mu'\] would replace the metric 'f/param/mu'",
        ),
        (lambda: significance_metrics(-2.0), ValueError, "z0 is -2, .*pass -loss"),
        (lambda: significance_metrics(1.0, -1e-9), ValueError, "q0 is -1e-09"),
        (lambda: significance_metrics(1.0, step_time_ms=-1), ValueError, "step_time_ms is -1"),
        (lambda: significance_metrics(None), TypeError, "z0 is a NoneType"),
        (lambda: significance_metrics(10**400), ValueError, "z0 is too large"),
        (lambda: significance_metrics(np.ma.masked), TypeError, "z0 is a MaskedConstant"),
        (lambda: significance_metrics(np.timedelta64(5, "ns")), TypeError, "a timedelta64"),
        (lambda: significance_metrics(np.array("3")), TypeError, "a ndarray"),
        (lambda: significance_metrics(bytearray(b"3")), TypeError, "a bytearray"),
        (lambda: significance_metrics("2.3"), TypeError, "z0 is '2.3'"),
        (lambda: significance_metrics(torch.ones(3)), TypeError, r"Tensor of shape \(3,\)"),
        (lambda: significance_metrics(np.ones((1, 2))), TypeError, r"ndarray of shape \(1, 2\)"),
        (lambda: significance_metrics(1.0, prefix=None), TypeError, "prefix is None"),
        (lambda: model_metrics(RESULT), TypeError, "its model is result.model"),
        (lambda: model_metrics(counting(poi="")), ValueError, "parameter of interest"),
        (lambda: model_metrics(counting(), top_n=-1), ValueError, "top_n is -1"),
        (lambda: model_metrics(counting(), expected=1), TypeError, "expected is 1"),
        (lambda: run_summary(counting()), TypeError, "fit it first"),
        (lambda: model_metrics(counting(), nuisances="best"), ValueError, "nuisances is 'best'"),
        (lambda: model_metrics(counting(), prefix=None), TypeError, "prefix is None"),
        (lambda: mlflow_names({"": 1.0}), ValueError, "empty name"),
        (lambda: mlflow_names({3: 1.0}), TypeError, "has the name 3, expected a string"),
        (lambda: mlflow_names("mu"), TypeError, "metrics is a str, expected a mapping"),
        (lambda: mlflow_names(RESULT), TypeError, "a FitResult, .*such as metrics_dict gives"),
        (
            lambda: mlflow_names(run_summary(RESULT)),
            TypeError,
            r"metrics\['status'\] is 'converged', expected a number",
        ),
        (lambda: mlflow_names({LONG: 1.0, CUT: 2.0}), ValueError, "would become one"),
        (StepTimer().stop, RuntimeError, "not running"),
    ],
)
def test_bad_input_is_named(call: Callable[[], Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        call()


def test_significance_metrics() -> None:
    assert significance_metrics(2.0, prefix="train/", step_time_ms=48.2) == {
        "train/z0": 2.0,
        "train/q0": 4.0,
        "train/step_time_ms": 48.2,
    }
    assert significance_metrics(2.0, q0=5.0) == {"z0": 2.0, "q0": 5.0}
    tensor = torch.tensor(1.5, requires_grad=True)
    assert significance_metrics(tensor, tensor**2) == {"z0": 1.5, "q0": 2.25}
    assert math.copysign(1.0, significance_metrics(-0.0)["z0"]) == 1.0
    assert math.isnan(significance_metrics(math.nan)["q0"])
    assert significance_metrics(math.inf) == {"z0": math.inf, "q0": math.inf}


def test_the_largest_significance() -> None:
    assert significance_metrics(1e155)["q0"] == math.inf


def test_timer_measures_steps() -> None:
    timer = StepTimer()
    assert math.isnan(timer.elapsed_ms)
    for _ in range(2):
        timer.start()
        with pytest.raises(RuntimeError, match="running: read elapsed_ms after"):
            _ = timer.elapsed_ms
        began = time.perf_counter()
        time.sleep(0.02)
        least = 1e3 * (time.perf_counter() - began)
        assert least <= timer.stop() == timer.elapsed_ms < 1e3 * least
    with pytest.raises(RuntimeError):
        timer.stop()
    with StepTimer() as block:
        time.sleep(0.02)
    assert block.elapsed_ms > 19.0
    with pytest.raises(KeyError), StepTimer() as failed:
        raise KeyError
    assert failed.elapsed_ms >= 0.0
    with StepTimer() as stopped:
        inside = stopped.stop()
    assert stopped.elapsed_ms == inside


def test_ranking_table_is_json() -> None:
    model = counting(RATE, STATISTICS, FREE[0])
    wide = {"mu": (-10.0, 10.0)}
    table = ranking_table(model, bounds=wide)
    again = json.loads(json.dumps(table, allow_nan=False))
    rows = rank_impact(model, bounds=wide)
    assert [row["name"] for row in again] == [row["name"] for row in rows]
    for found, row in zip(again, rows, strict=True):
        for key, value in row.items():
            missing = isinstance(value, float) and math.isnan(value)
            assert found[key] == (None if missing else value)
    assert {row["name"]: row["pull"] for row in table}["free"] is None
    (first,) = ranking_table(model, 1, method="covariance")
    (row,) = rank_impact(model, top_n=1, method="covariance")
    assert first["total_impact"] == row["total_impact"] != rows[0]["total_impact"]
    with pytest.raises(FitError):
        ranking_table(counting(*FREE))


def test_run_summary_says_how_the_fit_went() -> None:
    result = nextstat.fit(counting(RATE, STATISTICS), [40.0, 30.0], fixed=["rate"])
    summary = run_summary(result)
    assert {type(value) for value in summary.values()} == {str, int, float, bool}
    assert summary["active_bounds"] == "mu" == ", ".join(result.active_bounds)
    assert summary["n_fixed"] == summary["n_active_bounds"] == 1
    assert summary["n_parameters"] == 4
    assert summary["n_bins"] == 2
    assert (summary["status"], summary["converged"], summary["poi"]) == ("converged", True, "mu")
    assert summary["nextstat_version"] == nextstat.__version__
    assert run_summary(nextstat.fit(counting(RATE, poi="")))["poi"] == ""
    with pytest.warns(FitWarning, match="singular"):
        failed = run_summary(nextstat.fit(counting(*FREE)))
    assert (failed["status"], failed["converged"]) == ("singular", False)
    assert "free" in str(failed["message"])


NAMES = st.text(st.sampled_from("/.-_ x25bin[]+#:µé0"), min_size=1, max_size=12)


def spelt_back(name: str) -> str:
    name = re.sub(r"\.bin([0-9]+)\Z", r"[\1]", name)
    return re.sub(r"-x([0-9a-f]+)-", lambda match: chr(int(match[1], 16)), name)


@given(NAMES)
@example("-x5b[0]")
@example("a/.[0]")
@example("a.bin3")
@example(".[0]")
@example("..bin0")
@example("-x5b-x5b-")
@example(AWKWARD)
def test_names_lead_back(name: str) -> None:
    (renamed,) = mlflow_names({name: 1.0})
    assert spelt_back(renamed) == name


@pytest.mark.parametrize(
    ("name", "renamed"),
    [
        ("param/mu", "param/mu"),
        ("pdf.1 up-to_date", "pdf.1 up-to_date"),
        ("ttbar-xsec", "ttbar-xsec"),
        ("param/staterror_SR[12]", "param/staterror_SR.bin12"),
        ("b+c", "b-x2b-c"),
        ("a/../b", "a/-x2e--x2e-/b"),
    ],
)
def test_names_are_readable(name: str, renamed: str) -> None:
    assert mlflow_names({name: np.float32(2.0)}) == {renamed: 2.0}


def test_long_names_stay_apart() -> None:
    names = ["x" * 250, "x" * 250 + "\udcff", "x" * 251, "x" * 252, "x" * 250 + "[0]", "+" * 100]
    renamed = list(mlflow_names(dict.fromkeys(names, 0.0)))
    assert renamed[0] == names[0]
    assert len(set(renamed)) == len(names)
    assert max(map(len, renamed)) == 250
