"""Threads inside one process."""

from __future__ import annotations

import numpy as np

from nextstat import _core
from nextstat._options import check_integer


def set_num_threads(n: int) -> None:
    """Let parallel work use `n` threads; 0 restores the default, one per available processor.

    The only global state of the library. Results do not depend on it. A process forked after
    threads were started works on one thread.

    Raises
    ------
    TypeError, ValueError
        If `n` is no integer, or negative.
    """
    _core.set_num_threads(check_integer(n, "n", 0))


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
    return int(n_jobs)
