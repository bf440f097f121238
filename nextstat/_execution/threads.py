"""Threads inside one process."""

from __future__ import annotations

import os
import sys
import threading

import numpy as np

import nextstat._core as _core
from nextstat._base.arguments import check_integer


def set_num_threads(n: int) -> None:
    """Let parallel work use `n` threads; 0 restores the default, one per available processor.

    The only global state of the library. Results do not depend on it. More than four for each
    processor, or 64, are as many as that. A process forked after threads were started works on one
    thread.

    Raises
    ------
    TypeError, ValueError
        If `n` is no integer, or negative.
    """
    _core.set_num_threads(_at_most_useful(check_integer(n, "n", 0)))


def get_num_threads() -> int:
    """Number of threads parallel work may use."""
    return _core.num_threads()


def resolve_n_jobs(n_jobs: int | None) -> int:
    """Threads for an `n_jobs` in scikit-learn's sense; None means the library's thread count."""
    if n_jobs is None:
        return _core.num_threads()
    if isinstance(n_jobs, bool) or not isinstance(n_jobs, int | np.integer):
        raise TypeError(f"n_jobs is {n_jobs!r}, expected an integer or None")
    if n_jobs == 0:
        raise ValueError("n_jobs is 0, expected a positive number, or -1 for all processors")
    if n_jobs < 0:
        return max(1, _core.num_threads() + 1 + int(n_jobs))
    return _at_most_useful(int(n_jobs))


def _at_most_useful(n: int) -> int:
    """So many threads, or as many as a system starts with ease and none could gain from."""
    return min(n, max(64, 4 * (os.cpu_count() or 1)))


def threads_here() -> int:
    """Threads that parallel work started from here may use.

    One in a thread that joblib started, beside which others do the same work; else
    `nextstat.get_num_threads()`.
    """
    joblib = sys.modules.get("joblib.parallel")  # where not imported, it has started no thread
    if joblib is not None and threading.current_thread() is not threading.main_thread():
        backend, _ = joblib.get_active_backend()
        if backend.nesting_level:
            return 1
    return get_num_threads()


def threads_for(n_events: int, enough: int = 100_000) -> int:
    """Threads for a parallel region over events, which must follow; one for few events."""
    n_threads = threads_here() if n_events >= enough else 1
    if n_threads > 1:
        _core.note_threads_started()
    return n_threads
