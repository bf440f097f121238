"""Long work in chunks: on the threads of this process, or on the workers joblib was given.

Chunks have a fixed size, so that what they compute never depends on who computes it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

import joblib
from joblib.parallel import get_active_backend

import nextstat._core as _core
from nextstat._execution.threads import resolve_n_jobs
from nextstat.exceptions import NextstatError

T = TypeVar("T")
Chunk = tuple[int, int]  # first, number

_ATTEMPTS = 4  # at the chunks that workers took down with them


def in_chunks(
    function: Callable[[int, int, int], T],
    n: int,
    *,
    size: int,
    n_jobs: int | None,
    progress: bool,
    description: str,
    threaded: bool = True,
) -> Iterator[tuple[int, T]]:
    """Call ``function(first, number, n_threads)`` for the chunks of `n` items.

    Inside ``joblib.parallel_config`` the chunks go to joblib's workers (then `function` must be
    picklable). Otherwise they are computed here on `n_jobs` threads: by `function` itself if it
    is `threaded`, or several chunks at a time.

    Yields
    ------
    (int, T)
        First item of the chunk and the result, in order.
    """
    chunks = [(first, min(size, n - first)) for first in range(0, n, size)]
    workers = _configured_workers()
    if workers is not None:
        results = _distributed(function, chunks, workers if n_jobs is None else n_jobs)
    elif threaded:
        threads = resolve_n_jobs(n_jobs)
        results = (function(*chunk, threads) for chunk in chunks)
    else:
        results = _several_at_a_time(function, chunks, resolve_n_jobs(n_jobs))
    pairs = ((first, result) for (first, _), result in zip(chunks, results, strict=True))
    return _with_bar(pairs, chunks, description) if progress else pairs


def done_before(interruption: KeyboardInterrupt) -> Any:
    """What had been done of a chunk when it was interrupted: its result, of fewer items."""
    return getattr(interruption, "partial", None)


def keep_done(interruption: KeyboardInterrupt, partial: object) -> None:
    """Let the interruption carry what was done of a chunk, as that of the core does."""
    interruption.partial = partial  # type: ignore[attr-defined]


def _configured_workers() -> int | None:
    """The `n_jobs` of ``joblib.parallel_config``; None outside of it, or where that means one.

    A cluster (Ray, Dask) is used whole if no number was given.
    """
    backend, n_jobs = get_active_backend()
    if n_jobs is None and type(backend).__module__ != "joblib._parallel_backends":
        n_jobs = -1
    return n_jobs if n_jobs is not None and joblib.effective_n_jobs(n_jobs) > 1 else None


def _with_bar(
    pairs: Iterator[tuple[int, T]], chunks: list[Chunk], description: str
) -> Iterator[tuple[int, T]]:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeRemainingColumn

    columns = ("{task.description}", BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(description, total=sum(number for _, number in chunks))
        for (_, number), pair in zip(chunks, pairs, strict=True):
            bar.advance(task, number)
            yield pair


def _several_at_a_time(
    function: Callable[[int, int, int], T], chunks: list[Chunk], threads: int
) -> Iterator[T]:
    if threads == 1 or len(chunks) == 1:
        yield from (function(*chunk, 1) for chunk in chunks)
        return
    stop = _core.StopFlag()

    def stoppable(first: int, number: int) -> T:
        with stop:
            return function(first, number, 1)

    pool = ThreadPoolExecutor(threads)
    try:
        yield from pool.map(stoppable, *zip(*chunks, strict=True))
    finally:  # when interrupted, those left are not waited for, nor do they go on
        stop.set()
        pool.shutdown(wait=False, cancel_futures=True)


def _distributed(
    function: Callable[[int, int, int], T], chunks: list[Chunk], n_jobs: int
) -> Iterator[T]:
    """Results in order; what a dying worker had not handed in is computed again."""
    done = 0
    for attempt in range(1, _ATTEMPTS + 1):
        try:
            for result in _submit(function, chunks[done:], n_jobs):
                done += 1
                yield result
            return
        except (ValueError, TypeError, NextstatError):  # of the function itself
            raise
        except Exception:
            if attempt == _ATTEMPTS:
                raise


def _submit(
    function: Callable[[int, int, int], T], chunks: list[Chunk], n_jobs: int
) -> Iterator[T]:
    """Results of one attempt, as they come in."""
    jobs = [joblib.delayed(function)(*chunk, 1) for chunk in chunks]
    try:
        parallel = joblib.Parallel(n_jobs=n_jobs, return_as="generator")
    except ValueError:  # the backend hands in its results all at once only
        several = 4 * joblib.effective_n_jobs(n_jobs)
        parallel = joblib.Parallel(n_jobs=n_jobs)
        for first in range(0, len(jobs), several):
            yield from parallel(jobs[first : first + several])
    else:
        yield from parallel(jobs)
