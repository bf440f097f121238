"""Threads inside one process."""

from __future__ import annotations

from nextstat import _core


def set_num_threads(n: int) -> None:
    """Let parallel work use `n` threads; 0 restores the default, one per available processor.

    The only global state of the library. Results do not depend on it. A process forked after
    threads were started works on one thread.

    Raises
    ------
    ValueError
        If `n` is negative.
    """
    _core.set_num_threads(n)


def get_num_threads() -> int:
    """Number of threads parallel work may use."""
    return _core.num_threads()


def resolve_n_jobs(n_jobs: int | None) -> int:
    """Threads for an `n_jobs` in scikit-learn's sense; None means the library's thread count."""
    if n_jobs is None:
        return _core.num_threads()
    if n_jobs == 0:
        raise ValueError("n_jobs is 0, expected a positive number, or -1 for all processors")
    if n_jobs < 0:
        return max(1, _core.num_threads() + 1 + n_jobs)
    return n_jobs
