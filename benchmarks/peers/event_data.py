"""Events that every worker of the event stage makes for itself, the same ones. NumPy only."""

from __future__ import annotations

from functools import cache
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

N_VARIATIONS = 9  # nominal, and up and down of four systematics
N_BINS = 50
RANGE = (0.02, 0.98)  # 1.3 % of the events lie beyond

Array = npt.NDArray[np.floating]


class Table(NamedTuple):
    """Rows of all variations, one variation after the other.

    Attributes
    ----------
    x, weight : (n_variations * n_events,) ndarray
    group : (n_variations * n_events,) int32 ndarray
        Which variation.
    """

    x: Array
    weight: Array
    group: npt.NDArray[np.int32]


def make_table(n_events: int, dtype: str) -> Table:
    """Scores of a classifier between 0 and 1, changed by a percent or so in each variation."""
    rng = np.random.default_rng(1)
    score, weight = rng.beta(2.0, 3.0, n_events), rng.lognormal(sigma=0.3, size=n_events)
    weight[rng.random(n_events) < 0.1] *= -1.0
    powers = 1.0 + 0.01 * np.arange(N_VARIATIONS)[:, None]
    x = score**powers
    weights = weight * (1.0 + 0.02 * (powers - 1.0) * score)
    group = np.repeat(np.arange(N_VARIATIONS, dtype=np.int32), n_events)
    return Table(x.ravel().astype(dtype), weights.ravel().astype(dtype), group)


def make_edges(kind: str) -> npt.NDArray[np.float64]:
    """Bin edges, (N_BINS + 1,): "uniform", or "variable" with narrow bins at low scores."""
    position = np.linspace(0.0, 1.0, N_BINS + 1)
    if kind == "variable":
        position = position**1.5
    edges = RANGE[0] + (RANGE[1] - RANGE[0]) * position
    edges[-1] = RANGE[1]
    return edges


class Smeared(NamedTuple):
    """One histogram of events with a kernel, and a scalar of it to derive.

    Attributes
    ----------
    x, weight : (n_events,) ndarray
    edges : (n_bins + 1,) ndarray of the same type
    by_yields, by_variances : (n_bins,) ndarray of the same type
        Derivatives of the scalar.
    """

    x: Array
    weight: Array
    edges: Array
    by_yields: Array
    by_variances: Array


@cache
def make_smeared(n_events: int, dtype: str, n_bins: int = 20) -> Smeared:
    """Scores and weights of one sample."""
    rng = np.random.default_rng(2)
    columns = (
        rng.beta(2.0, 3.0, n_events),
        rng.lognormal(sigma=0.3, size=n_events),
        np.linspace(0.0, 1.0, n_bins + 1),
        rng.normal(size=n_bins),
        rng.normal(size=n_bins),
    )
    return Smeared(*(column.astype(dtype) for column in columns))
