"""The numbers in W&B and MLflow, read back from where they keep them."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import matplotlib.pyplot  # noqa: F401 -- W&B takes figures only when it is imported
import mlflow
import pytest
import wandb
from fitted import AWKWARD, RATE, STATISTICS, counting
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException
from wandb_files import config, history

import nextstat
from nextstat.interpret import plot_rank_impact, rank_impact_df
from nextstat.mlops import (
    StepTimer,
    metrics_dict,
    mlflow_names,
    ranking_table,
    run_summary,
    significance_metrics,
)

# Of the packages that MLflow and its store are made of.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning:(mlflow|sqlalchemy).*")

LARGEST = 1.7976931348623157e308  # what MLflow keeps of infinity
ODD = {"nan": math.nan, "up": math.inf, "down": -math.inf, "whole": 1.0}


@pytest.fixture(params=["sqlite", "server"])
def experiment(request: pytest.FixtureRequest, tmp_path: Path) -> Any:
    """A new experiment of MLflow, and its client; what is global is put back."""
    uri = request.getfixturevalue(f"{request.param}_uri")
    client = MlflowClient(uri)
    # Without a server, artifacts would go to ./mlruns.
    folder = (tmp_path / "artifacts").as_uri() if request.param == "sqlite" else None
    experiment_id = client.create_experiment(request.node.name, artifact_location=folder)
    before = mlflow.get_tracking_uri()
    mlflow.set_tracking_uri(uri)
    mlflow.set_experiment(experiment_id=experiment_id)
    yield client
    mlflow.end_run()
    mlflow.set_tracking_uri(before)


def same(found: dict[str, float], expected: dict[str, float]) -> bool:
    return found.keys() == expected.keys() and all(
        found[name] == value or (math.isnan(found[name]) and math.isnan(value))
        for name, value in expected.items()
    )


def test_wandb_keeps_every_number(tmp_path: Path) -> None:
    model = counting(RATE, STATISTICS, (AWKWARD, "normsys", {"hi": 1.2, "lo": 0.9}))
    result = nextstat.fit(model, fixed=["rate"])
    metrics = metrics_dict(result, prefix="fit/", extra=ODD)
    timer = StepTimer()
    with wandb.init(project="test", dir=tmp_path, config=run_summary(result)) as run:
        run.log(metrics)
        for z0 in (1.0, 2.0):
            with timer:
                pass
            step = significance_metrics(z0, prefix="train/", step_time_ms=timer.elapsed_ms)
            run.log(step)
        run.log({"ranking": wandb.Table(dataframe=rank_impact_df(model))})
        run.log({"figure": wandb.Image(plot_rank_impact(model))})
    wandb.teardown()  # its process
    logged = history(tmp_path)
    assert len(logged) == 5
    fit = {name: value for name, value in logged[0].items() if not name.startswith("_")}
    assert same(fit, metrics)
    assert math.isnan(metrics["fit/error/rate"])
    assert [row["train/q0"] for row in logged[1:3]] == [1.0, 4.0]
    assert logged[2]["train/step_time_ms"] == step["train/step_time_ms"]
    (table,) = tmp_path.glob("wandb/offline-run-*/files/media/table/*.json")
    rows = json.loads(table.read_text(encoding="utf-8"))
    assert rows["columns"] == list(ranking_table(model)[0])
    assert len(rows["data"]) == len(ranking_table(model)) == 4
    assert list(tmp_path.glob("wandb/offline-run-*/files/media/images/*.png"))
    kept = config(tmp_path)
    assert {name: kept[name] for name in run_summary(result)} == run_summary(result)


def test_mlflow_keeps_the_numbers(experiment: MlflowClient) -> None:
    model = counting(RATE, STATISTICS, (AWKWARD, "normsys", {"hi": 1.2, "lo": 0.9}))
    result = nextstat.fit(model, fixed=["rate"])
    metrics = metrics_dict(result)
    with mlflow.start_run() as run:
        with pytest.raises(MlflowException, match="Names may only contain"):
            mlflow.log_metrics(metrics)
        mlflow.log_metrics(mlflow_names(metrics))
        mlflow.log_params(run_summary(result))
        mlflow.log_metrics({f"infinite/{name}": value for name, value in ODD.items()})
        for epoch, z0 in enumerate([1.0, 2.0]):
            mlflow.log_metrics(significance_metrics(z0, prefix="train/"), step=epoch)
    data = experiment.get_run(run.info.run_id).data
    names = dict(zip(mlflow_names(metrics), metrics, strict=True))
    assert same({names[key]: x for key, x in data.metrics.items() if key in names}, metrics)
    assert math.isnan(metrics["error/rate"])
    odd = {name: data.metrics[f"infinite/{name}"] for name in ODD}
    assert same(odd, {**ODD, "up": LARGEST, "down": -LARGEST})
    assert data.params == {name: str(value) for name, value in run_summary(result).items()}
    steps = experiment.get_metric_history(run.info.run_id, "train/q0")
    assert [(point.step, point.value) for point in steps] == [(0, 1.0), (1, 4.0)]
    bins = experiment.get_metric_history(run.info.run_id, "param/stat.bin1")
    assert [point.value for point in bins] == [result["stat[1]"]]


def test_mlflow_keeps_artifacts(experiment: MlflowClient, tmp_path: Path) -> None:
    model = counting(STATISTICS)
    result = nextstat.fit(model, fixed=["stat[0]"])
    with mlflow.start_run() as run:
        parameters = result.to_dataframe().to_json(orient="index", double_precision=15)
        mlflow.log_text(parameters, "parameters.json")
        mlflow.log_table(rank_impact_df(model), "table.json")
        mlflow.log_dict({"rows": ranking_table(model)}, "ranking.json")
        mlflow.log_figure(plot_rank_impact(model), "ranking.png")
    artifacts = experiment.list_artifacts(run.info.run_id)
    assert {item.path for item in artifacts} == {
        "parameters.json",
        "ranking.json",
        "ranking.png",
        "table.json",
    }
    where = run.info.artifact_uri
    text = mlflow.artifacts.load_text(f"{where}/parameters.json")
    kept = json.loads(text, parse_constant=pytest.fail)  # NaN is not JSON
    assert kept["stat[0]"]["error"] is None
    assert kept["stat[1]"]["error"] == pytest.approx(result.error("stat[1]"), rel=1e-12)
    assert mlflow.artifacts.load_dict(f"{where}/ranking.json") == {"rows": ranking_table(model)}
    impacts = mlflow.load_table("table.json", run_ids=[run.info.run_id])["total_impact"]
    expected = rank_impact_df(model)["total_impact"]
    assert impacts.tolist() != expected.tolist()
    assert impacts.tolist() == pytest.approx(expected.tolist(), rel=0.0, abs=1e-10)


HOSTILE = [
    AWKWARD,
    "stat[0]",
    "..",
    "..a",
    "..bin0",
    ".[0]",
    ".",
    "../up",
    "a/./b",
    "a//b",
    "/root",
    "end/",
    "a..b",
    "JES (η < 2.5) 50%",
    "tab\tnew\nline",
    "a:b",
    "€'\"\\`$&;|?*<>",
    "x" * 251,
    "[" * 100,
    "日本[3]",
    "a-x5b-0",
    "a.bin3",
    "ends with space ",
]


def test_mlflow_takes_the_names(experiment: MlflowClient) -> None:
    metrics = {name: float(k) for k, name in enumerate(HOSTILE)}
    renamed = mlflow_names(metrics)
    assert len(renamed) == len(HOSTILE)
    with mlflow.start_run() as run:
        mlflow.log_metrics(renamed)
    assert experiment.get_run(run.info.run_id).data.metrics == renamed
    for name, value in renamed.items():
        (point,) = experiment.get_metric_history(run.info.run_id, name)
        assert point.value == value


def test_names_that_mlflow_takes_stay(experiment: MlflowClient) -> None:
    accepted = {"é/a b_c-d.e": 0.0, "a..b": 1.0, ".a/b..": 2.0, "-": 3.0, " ": 4.0, "ä" * 250: 5.0}
    assert mlflow_names(accepted) == accepted
    with mlflow.start_run() as run:
        mlflow.log_metrics(accepted)
    assert experiment.get_run(run.info.run_id).data.metrics == accepted


def test_more_metrics_than_mlflow_takes_at_once(experiment: MlflowClient) -> None:
    result = nextstat.fit(counting(RATE))
    metrics = metrics_dict(result, extra={f"bin/{k}": k for k in range(1500)})
    with mlflow.start_run() as run:
        mlflow.log_metrics(metrics)
    assert experiment.get_run(run.info.run_id).data.metrics == metrics
