"""Work spread over joblib's workers: loky, Dask and Ray, and workers that die."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import joblib
import numpy as np
import psutil
import pytest

import nextstat

MODEL = nextstat.from_pyhf(
    nextstat.datasets.make_workspace(n_channels=2, n_bins=4, n_systematics=6, random_state=5)
)
N_TOYS = 1100  # not a multiple of the chunks


@pytest.fixture(scope="module")
def single() -> nextstat.FitBatch:
    """What one process finds."""
    return nextstat.fit_toys(MODEL, N_TOYS, seed=9, n_jobs=1)


@pytest.fixture(scope="module")
def dask_client() -> Iterator[Any]:
    distributed = pytest.importorskip("distributed", reason="Dask is not installed")
    with (
        distributed.LocalCluster(
            n_workers=2, threads_per_worker=1, dashboard_address=None, silence_logs=50
        ) as cluster,
        distributed.Client(cluster) as client,
    ):
        yield client


@pytest.fixture(scope="module")
def ray_cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    ray = pytest.importorskip("ray", reason="Ray is not installed for this Python")
    from ray.util.joblib import register_ray

    # Ray's workers import from the working directory first, and a checkout has no compiled parts.
    before = os.getcwd()
    os.chdir(tmp_path_factory.mktemp("ray"))
    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False, logging_level="ERROR")
    register_ray()
    yield
    ray.shutdown()
    os.chdir(before)


def assert_same(batch: nextstat.FitBatch, single: nextstat.FitBatch) -> None:
    assert np.array_equal(batch.values, single.values)
    assert np.array_equal(batch.nll, single.nll)
    assert np.array_equal(batch.status, single.status)


def killer(find: Callable[[], list[int]], dead: list[int]) -> threading.Thread:
    """Kills one of the processes that `find` gives as soon as there are any."""

    def run() -> None:
        for _ in range(400):
            if pids := find():
                time.sleep(0.3)
                os.kill(pids[0], signal.SIGKILL)
                dead.append(pids[0])
                return
            time.sleep(0.05)

    thread = threading.Thread(target=run)
    thread.start()
    return thread


def children(name: str) -> list[int]:
    """Processes below this one whose command line holds a word."""
    found = []
    for process in psutil.Process().children(recursive=True):
        try:
            if name in " ".join(process.cmdline()):
                found.append(process.pid)
        except psutil.Error:
            continue
    return found


def everything() -> list[Any]:
    """One of each kind of work that can be spread."""
    values = np.linspace(0.2, 2.0, 30)
    result = nextstat.fit(MODEL)
    return [
        nextstat.hypotest(MODEL, 2.0, calculator="toys", n_toys=600, seed=4).cls,
        nextstat.goodness_of_fit(MODEL, calculator="toys", n_toys=300, seed=4).pvalue,
        nextstat.scan(MODEL, values=values).twice_delta_nll.tolist(),
        nextstat.contour(result, "mu", MODEL.parameter_names[1], n_points=6).to_dict(),
        nextstat.feldman_cousins(MODEL, np.linspace(0.0, 3.0, 13), n_toys=300, seed=4).to_dict(),
        [row["delta_mu_up"] for row in nextstat.interpret.rank_impact(MODEL)],
        [row["delta_mu_up"] for row in nextstat.interpret.rank_impact(MODEL, method="auxdata")],
    ]


def test_loky(single: nextstat.FitBatch) -> None:
    alone = everything()
    with joblib.parallel_config(backend="loky", n_jobs=2):
        assert_same(nextstat.fit_toys(MODEL, N_TOYS, seed=9), single)
        assert everything() == alone


def test_threading(single: nextstat.FitBatch) -> None:
    with joblib.parallel_config(backend="threading", n_jobs=2):
        assert_same(nextstat.fit_toys(MODEL, N_TOYS, seed=9), single)


def test_dask(single: nextstat.FitBatch, dask_client: Any) -> None:
    with joblib.parallel_config(backend="dask"):
        assert_same(nextstat.fit_toys(MODEL, N_TOYS, seed=9), single)
        alone = nextstat.scan(MODEL, n_jobs=1).twice_delta_nll
        assert np.array_equal(nextstat.scan(MODEL).twice_delta_nll, alone)


@pytest.mark.usefixtures("ray_cluster")
def test_ray(single: nextstat.FitBatch) -> None:
    with joblib.parallel_config(backend="ray"):
        assert_same(nextstat.fit_toys(MODEL, N_TOYS, seed=9), single)


BIG = nextstat.from_pyhf(
    nextstat.datasets.make_workspace(n_channels=4, n_bins=10, n_systematics=60, random_state=5)
)


@pytest.fixture(scope="module")
def long() -> nextstat.FitBatch:
    return nextstat.fit_toys(BIG, 3000, seed=9)


def test_loky_worker_dies(long: nextstat.FitBatch) -> None:
    dead: list[int] = []
    with joblib.parallel_config(backend="loky", n_jobs=2):
        thread = killer(lambda: children("loky.backend.popen"), dead)
        batch = nextstat.fit_toys(BIG, 3000, seed=9)
        thread.join()
    assert dead
    assert_same(batch, long)


def test_dask_worker_dies(long: nextstat.FitBatch, dask_client: Any) -> None:
    dead: list[int] = []
    pids = list(dask_client.run(os.getpid).values())
    with joblib.parallel_config(backend="dask"):
        thread = killer(lambda: pids, dead)
        batch = nextstat.fit_toys(BIG, 3000, seed=9)
        thread.join()
    assert dead
    assert_same(batch, long)


@pytest.mark.usefixtures("ray_cluster")
def test_ray_worker_dies(long: nextstat.FitBatch) -> None:
    dead: list[int] = []
    with joblib.parallel_config(backend="ray"):
        thread = killer(lambda: children("ray::PoolActor"), dead)
        batch = nextstat.fit_toys(BIG, 3000, seed=9)
        thread.join()
    assert dead
    assert_same(batch, long)


def test_errors_of_the_work_are_not_retried() -> None:
    with (
        joblib.parallel_config(backend="loky", n_jobs=2),
        pytest.raises(ValueError, match="params has shape"),
    ):
        nextstat.fit_toys(MODEL, 10, params=[1.0])
