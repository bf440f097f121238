"""Searches with Ray Tune: trials stopped early or failing, models on their way to workers."""

from __future__ import annotations

import os
import pickle
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import nextstat

ray = pytest.importorskip("ray", reason="Ray is not installed for this Python")
tune = pytest.importorskip("ray.tune", reason="Ray Tune is not installed")

MODEL = nextstat.from_pyhf(nextstat.datasets.make_workspace(2, 4, n_systematics=6, random_state=5))
SYSTEMATICS = [p.name for p in MODEL.parameters if p.kind in ("normsys", "histosys")]


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Two cores of this machine, and a folder for the searches."""
    folder = tmp_path_factory.mktemp("ray")
    with pytest.MonkeyPatch.context() as patch:
        # Ray's workers import from the working directory first, where a checkout has no compiled
        # parts.
        patch.chdir(folder)
        ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False, logging_level="ERROR")
        # Workers cannot import this module: they get its functions whole.
        ray.cloudpickle.register_pickle_by_value(sys.modules[__name__])
        yield folder
        ray.cloudpickle.unregister_pickle_by_value(sys.modules[__name__])
        ray.shutdown()


def search(
    folder: Path,
    name: str,
    trainable: Callable[..., Any],
    space: dict[str, Any],
    max_failures: int = 0,
    **options: Any,
) -> Any:
    """Results of all trials of a search that gives them the model."""
    return tune.Tuner(
        tune.with_parameters(trainable, model=MODEL),
        param_space=space,
        tune_config=tune.TuneConfig(
            metric="significance", mode="max", reuse_actors=True, **options
        ),
        run_config=tune.RunConfig(
            name=name,
            storage_path=str(folder),
            verbose=0,
            failure_config=tune.FailureConfig(max_failures=max_failures),
        ),
    ).fit()


def without(config: dict[str, Any], model: nextstat.HistFactoryModel) -> dict[str, float]:
    """Expected significance without some of the systematics."""
    chosen = sorted({config["first"], config["second"]})
    return {"significance": nextstat.significance(model, expected=True, fixed=chosen)}


def test_results_are_those_of_this_process(cluster: Path) -> None:
    from ray.tune.search.optuna import OptunaSearch

    space = {name: tune.choice(SYSTEMATICS) for name in ("first", "second")}
    results = search(
        cluster,
        "optuna",
        without,
        space,
        num_samples=8,
        search_alg=OptunaSearch(seed=0),
        max_concurrent_trials=2,
    )
    assert len(results) == 8
    assert results.num_errors == 0
    for result in results:
        assert result.metrics["significance"] == without(result.config, MODEL)["significance"]
        assert result.metrics["pid"] != os.getpid()
    assert len({str(result.config) for result in results}) > 3
    best = max(without(result.config, MODEL)["significance"] for result in results)
    assert results.get_best_result().metrics["significance"] == best


def test_models_arrive_in_one_piece(cluster: Path) -> None:
    """Not a bit of them changes, and they take no more room than they have to."""

    @ray.remote(num_cpus=1)
    def describe(model: nextstat.HistFactoryModel) -> tuple[Any, ...]:
        point = model.init + 0.1
        return model.nll(point), model.nll_gradient(point).tolist(), nextstat.fit(model).to_dict()

    nll, gradient, fitted = ray.get(describe.remote(ray.put(MODEL)))
    point = MODEL.init + 0.1
    assert nll == MODEL.nll(point)
    assert gradient == MODEL.nll_gradient(point).tolist()
    here = nextstat.fit(MODEL).to_dict()
    del here["time_ms"]
    assert {k: v for k, v in fitted.items() if k != "time_ms"} == here


def test_pickle_is_no_larger_than_the_json(published: Path) -> None:
    path = published / "tttt.json"
    pickled = pickle.dumps(nextstat.from_pyhf(path))
    assert len(pickled) < path.stat().st_size
    assert np.array_equal(pickle.loads(pickled).data, nextstat.from_pyhf(path).data)


def toys(config: dict[str, Any], model: nextstat.HistFactoryModel) -> None:
    """Median significance, from more and more pseudo-experiments of a signal."""
    q0: list[float] = []
    params = model.init.copy()
    params[model.parameter_names.index(model.poi)] = config["mu"]
    for batch in range(8):
        free = nextstat.fit_toys(model, 20, params=params, seed=batch)
        q0.extend(free.values[:, model.parameter_names.index(model.poi)])
        tune.report({"significance": sorted(q0)[len(q0) // 2]})


def test_asha_stops_the_worse_trials(cluster: Path) -> None:
    from ray.tune.schedulers import ASHAScheduler

    strengths = [4.0, 3.0, 2.0, 1.0, 0.5, 0.2]
    results = search(
        cluster,
        "asha",
        toys,
        {"mu": tune.grid_search(strengths)},
        scheduler=ASHAScheduler(max_t=8, grace_period=1, reduction_factor=2),
        max_concurrent_trials=1,  # the order of trials decides who is compared with whom
    )
    assert results.num_errors == 0
    done = {result.config["mu"]: result.metrics["training_iteration"] for result in results}
    assert done == {4.0: 8, 3.0: 1, 2.0: 1, 1.0: 1, 0.5: 1, 0.2: 1}
    assert results.get_best_result().config == {"mu": 4.0}


def fragile(config: dict[str, Any], model: nextstat.HistFactoryModel) -> dict[str, float]:
    """One kills its worker, one kills it once, one raises an error once."""
    number = SYSTEMATICS.index(config["first"])
    tried = Path(config["folder"]) / str(number)
    if number == 0 or (number == 1 and not tried.exists()):
        tried.touch()
        os._exit(1)
    if number == 2 and not tried.exists():
        tried.touch()
        raise nextstat.FitError("not this one")
    return without(config, model)


def test_workers_that_die_do_not_end_the_search(cluster: Path, tmp_path: Path) -> None:
    space = {
        "first": tune.grid_search(SYSTEMATICS[:5]),
        "second": SYSTEMATICS[-1],
        "folder": str(tmp_path),
    }
    results = search(cluster, "fragile", fragile, space, max_failures=1)
    assert {result.config["first"] for result in results} == set(SYSTEMATICS[:5])
    assert [result.config["first"] for result in results if result.error] == SYSTEMATICS[:1]
    for result in results:
        if not result.error:
            assert result.metrics["significance"] == without(result.config, MODEL)["significance"]
    assert {path.name for path in tmp_path.iterdir()} == {"0", "1", "2"}
