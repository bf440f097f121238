"""Ctrl-C: within a second, in the midst of everything that takes long, and nothing done is lost."""

from __future__ import annotations

import os
import signal
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest

import nextstat
from nextstat import FitWarning, HistFactoryModel, _core, histogram
from nextstat.histogram import _smoothing as _smooth

A_SECOND = float(os.environ.get("NEXTSTAT_TEST_SECOND", "1"))  # longer under sanitizers


@pytest.fixture(scope="module")
def large() -> HistFactoryModel:
    """One fit takes seconds, one factorisation of its Hessian a good part of one."""
    workspace = nextstat.datasets.make_workspace(
        n_channels=6, n_bins=10, n_systematics=2000, random_state=1
    )
    return nextstat.from_pyhf(workspace)


@pytest.fixture(scope="module")
def small() -> HistFactoryModel:
    workspace = nextstat.datasets.make_workspace(
        n_channels=2, n_bins=3, n_systematics=4, random_state=5
    )
    return nextstat.from_pyhf(workspace)


class Signal:
    """A signal that arrives some time from now, and when it did."""

    def __init__(self, after: float, number: int) -> None:
        self.sent = float("inf")
        self.number = number
        self.timer = threading.Timer(after, self.send)

    def send(self) -> None:
        self.sent = time.perf_counter()
        os.kill(os.getpid(), self.number)


@contextmanager
def interrupted(after: float, handler: Any = signal.default_int_handler) -> Iterator[Signal]:
    before = signal.signal(signal.SIGINT, handler)  # may be ignored
    coming = Signal(after, signal.SIGINT)
    coming.timer.start()
    try:
        yield coming
    finally:
        coming.timer.cancel()
        coming.timer.join()
        signal.signal(signal.SIGINT, before)


def forever(function: Callable[..., object], *arguments: object) -> None:
    while True:
        function(*arguments)


LONG: dict[str, Callable[[HistFactoryModel], object]] = {
    "fit": nextstat.fit,
    "n_starts": lambda model: nextstat.fit(model, n_starts=50),
    "hypotest": nextstat.hypotest,
    "significance": nextstat.significance,
    "upper_limit": nextstat.upper_limit,
    "scan": nextstat.scan,
    "scan on threads": lambda model: nextstat.scan(model, n_jobs=2),
    "goodness of fit": nextstat.goodness_of_fit,
    "ranking": nextstat.interpret.rank_impact,
    "budget": nextstat.interpret.uncertainty_breakdown,
    "toys": lambda model: nextstat.fit_toys(model, params=model.init, seed=1, n_jobs=1),
    "toys on threads": lambda model: nextstat.fit_toys(model, params=model.init, seed=1, n_jobs=2),
    "test by toys": lambda model: nextstat.hypotest(model, calculator="toys", n_toys=5),
    "data of toys": lambda model: forever(nextstat.toy_data, model, 5000),
    "Hessian": lambda model: forever(model.nll_hessian, model.init),
}


@pytest.mark.parametrize("name", LONG)
def test_within_a_second(large: HistFactoryModel, name: str) -> None:
    n_threads = threading.active_count()
    with interrupted(0.7) as coming, pytest.raises(KeyboardInterrupt):
        LONG[name](large)
    assert time.perf_counter() - coming.sent < A_SECOND
    while (
        threading.active_count() > n_threads and time.perf_counter() - coming.sent < 5.0 * A_SECOND
    ):
        time.sleep(0.01)
    assert threading.active_count() <= n_threads  # nor do others go on
    assert time.perf_counter() - coming.sent < 2.0 * A_SECOND


EVENTS = np.broadcast_to(np.float32(0.4), 2 * 10**9)  # which take no memory
EDGES = np.linspace(0.0, 1.0, 6)
OF_EVENTS: dict[str, Callable[[], object]] = {
    "histogram": lambda: histogram.fill_histogram(EVENTS, EDGES),
    "smooth": lambda: _smooth.smooth_histogram(EVENTS[: 3 * 10**7], EDGES, bandwidth=0.1),
    "softmax": lambda: _smooth.softmax_histogram(
        np.broadcast_to(EDGES, (10**9, 6)), temperature=1.0
    ),
}


@pytest.mark.parametrize("name", OF_EVENTS)
def test_within_a_second_of_many_events(name: str) -> None:
    with interrupted(0.4) as coming, pytest.raises(KeyboardInterrupt):
        OF_EVENTS[name]()
    assert time.perf_counter() - coming.sent < A_SECOND


def test_inverses(large: HistFactoryModel) -> None:
    """What follows a fit: errors and covariance, which stay what they are."""
    minimum = nextstat.fit(large).minimum
    for what in (minimum.errors, minimum.covariance):
        expected = what()
        with interrupted(0.3) as coming, pytest.raises(KeyboardInterrupt):
            forever(what)
        assert time.perf_counter() - coming.sent < A_SECOND
        assert np.array_equal(what(), expected)


@pytest.mark.parametrize("n_jobs", [1, 2])
def test_fits_done_within_a_chunk_are_kept(n_jobs: int) -> None:
    workspace = nextstat.datasets.make_workspace(
        n_channels=4, n_bins=10, n_systematics=150, random_state=5
    )
    model = nextstat.from_pyhf(workspace)
    with interrupted(1.0), pytest.warns(FitWarning, match="interrupted after") as caught:
        batch = nextstat.fit_toys(model, 100_000, params=model.init, seed=1, n_jobs=n_jobs)
    assert f"interrupted after {len(batch)} of 100000 fits" in str(caught[0].message)
    assert len(batch) % 256 != 0  # but for a coincidence
    assert not np.isnan(batch.nll).any()
    again = nextstat.fit_toys(model, len(batch), params=model.init, seed=1, n_jobs=n_jobs)
    assert np.array_equal(batch.values, again.values)
    assert np.array_equal(batch.status, again.status)


def test_chunks_done_are_kept(small: HistFactoryModel) -> None:
    """Also where the signal comes as a chunk ends, as it mostly does where that takes no time."""
    for after in np.linspace(0.1, 0.2, 11):
        with interrupted(after) as coming, pytest.warns(FitWarning, match="interrupted after"):
            batch = nextstat.fit_toys(small, 10**7, params=small.init, seed=1, n_jobs=1)
        assert time.perf_counter() - coming.sent < A_SECOND
        assert len(batch) > 0


def test_tests_done_within_a_chunk_are_kept() -> None:
    workspace = nextstat.datasets.make_workspace(
        n_channels=4, n_bins=10, n_systematics=40, random_state=5
    )
    model = nextstat.from_pyhf(workspace)
    with warnings.catch_warnings(record=True):
        warnings.simplefilter("always")
        begin = time.perf_counter()
        whole = nextstat.hypotest(model, 1.0, calculator="toys", n_toys=256, seed=1)
        chunk = time.perf_counter() - begin
        with interrupted(1.6 * chunk):
            test = nextstat.hypotest(model, 1.0, calculator="toys", n_toys=10**6, seed=1)
    assert whole.toys is not None
    assert test.toys is not None
    for name in ("tested", "alternative"):
        one, all_of_it = getattr(test.toys, name), getattr(whole.toys, name)
        n = min(len(one), len(all_of_it))
        assert n > 0
        assert np.array_equal(one[:n], all_of_it[:n])


def test_the_handler_decides(large: HistFactoryModel) -> None:
    """What it raises comes out, as it is; where it does not, the work goes on."""

    class Enough(Exception):
        pass

    def enough(*_: object) -> None:
        raise Enough("that will do")

    with interrupted(0.5, enough), pytest.raises(Enough, match="that will do"):
        nextstat.fit(large)
    seen: list[object] = []
    with interrupted(0.3, lambda *_: seen.append(1)):
        assert nextstat.fit(large).converged
    assert seen == [1]


def test_another_thread_is_not_concerned(large: HistFactoryModel) -> None:
    """A fit in a thread of its own goes on when the main thread is interrupted."""
    results: list[nextstat.FitResult] = []
    thread = threading.Thread(target=lambda: results.append(nextstat.fit(large)))
    thread.start()
    with interrupted(0.5), pytest.raises(KeyboardInterrupt):
        nextstat.fit(large)
    thread.join()
    assert results[0].converged


def test_stop_flag(large: HistFactoryModel, small: HistFactoryModel) -> None:
    """Ends the calls of threads that work for it, no others; a thread may work again after."""
    flag = _core.StopFlag()
    ended: list[str] = []

    def work() -> None:
        try:
            with flag:
                nextstat.fit_toys(large, params=large.init, n_jobs=2)
        except KeyboardInterrupt:
            ended.append("stopped")
        ended.append(nextstat.fit(small).status)

    thread = threading.Thread(target=work)
    thread.start()
    time.sleep(0.5)
    flag.set()
    begin = time.perf_counter()
    thread.join()
    assert time.perf_counter() - begin < A_SECOND
    assert ended == ["stopped", "converged"]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_in_a_process_forked_from_a_thread(large: HistFactoryModel) -> None:
    """There, that thread is the main one."""
    found: list[int] = []

    def fork() -> None:
        pid = os.fork()
        if pid == 0:
            try:
                with interrupted(0.5) as coming:
                    nextstat.fit(large)
            except KeyboardInterrupt:
                os._exit(7 if time.perf_counter() - coming.sent < A_SECOND else 8)
            os._exit(9)
        found.append(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))

    thread = threading.Thread(target=fork)
    thread.start()
    thread.join()
    assert found == [7]
