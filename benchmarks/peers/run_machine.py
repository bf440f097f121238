"""Worker that measures this machine: memory bandwidth by working set, and the flop rate.

Arguments: working sets in bytes. Prints one JSON object, ``bandwidth`` (bytes/s, one entry per
argument) and ``flops`` (1/s).
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np


def best_seconds(call: Callable[[], Any], repeats: int = 9, duration: float = 0.01) -> float:
    """Best time of one call over several loops of `duration` seconds each."""
    call()
    start = time.perf_counter()
    call()
    loops = max(1, int(duration / max(time.perf_counter() - start, 1e-9)))
    best = float("inf")
    for _ in range(repeats):
        start = time.perf_counter()
        for _ in range(loops):
            call()
        best = min(best, (time.perf_counter() - start) / loops)
    return best


def bandwidth(n_bytes: int) -> float:
    """Bytes/s of repeated dot products over `n_bytes`, the cost of an empty call taken out."""
    one = np.ones(1)
    half = np.ones(max(1, n_bytes // 16))
    other = np.ones_like(half)
    seconds = best_seconds(lambda: np.dot(half, other)) - best_seconds(lambda: np.dot(one, one))
    return n_bytes / max(seconds, 1e-9)


def flop_rate(size: int = 256) -> float:
    """Flops/s of a small matrix product."""
    matrix = np.ones((size, size))
    out = np.empty_like(matrix)
    return 2.0 * size**3 / best_seconds(lambda: np.dot(matrix, matrix, out=out))


if __name__ == "__main__":
    rates = {
        "bandwidth": [bandwidth(int(argument)) for argument in sys.argv[1:]],
        "flops": flop_rate(),
    }
    print(json.dumps(rates))
