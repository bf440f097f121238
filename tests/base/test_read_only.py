"""Arrays of results and models cannot be written to, nor those of pickles and copies."""

from __future__ import annotations

import copy
import dataclasses
import pickle
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

import nextstat
from nextstat._base.read_only import ReadOnly

MODEL = nextstat.from_pyhf(
    nextstat.datasets.make_workspace(n_channels=2, n_bins=3, n_systematics=4, random_state=5)
)

RESULTS: dict[str, Callable[[], Any]] = {
    "fit": lambda: nextstat.fit(MODEL),
    "fit of a problem": lambda: nextstat.fit(MODEL, init=MODEL.init + 0.0, fixed={"mu": 1.0}),
    "failed fit": lambda: dataclasses.replace(nextstat.fit(MODEL), converged=False),
    "toys": lambda: nextstat.fit_toys(MODEL, 5, seed=1),
    "batch": lambda: nextstat.fit_batch(MODEL, [MODEL.data, MODEL.data]),
    "test": lambda: nextstat.hypotest(MODEL, 1.0),
    "test by toys": lambda: nextstat.hypotest(MODEL, 1.0, calculator="toys", n_toys=20, seed=1),
    "limit": lambda: nextstat.upper_limit(MODEL),
    "scan": lambda: nextstat.scan(MODEL, values=[0.5, 1.0]),
    "CLs": lambda: nextstat.cls_scan(MODEL, [0.5, 1.0]),
    "interval": lambda: nextstat.interval(nextstat.fit(MODEL), "mu"),
    "contour": lambda: nextstat.contour(nextstat.fit(MODEL), "mu", MODEL.parameter_names[1]),
    "agreement": lambda: nextstat.goodness_of_fit(MODEL, calculator="toys", n_toys=20, seed=1),
    "yields": lambda: nextstat.yields(MODEL),
    "Feldman-Cousins": lambda: nextstat.feldman_cousins(
        MODEL, np.linspace(0.0, 6.0, 13), n_toys=50, seed=1
    ),
    "model": lambda: MODEL,
}


def arrays(value: Any, name: str, seen: set[int]) -> Iterator[tuple[str, np.ndarray]]:
    """All arrays that a caller can reach by names and items, with the way to each."""
    if isinstance(value, np.ndarray):
        yield name, value
        return
    if id(value) in seen:
        return
    seen.add(id(value))
    if isinstance(value, dict):
        for key, item in value.items():
            yield from arrays(item, f"{name}[{key!r}]", seen)
    elif isinstance(value, tuple):
        for k, item in enumerate(value):
            yield from arrays(item, f"{name}[{k}]", seen)
    elif type(value).__module__.startswith("nextstat") and hasattr(value, "__dict__"):
        # what properties compute anew is the caller's
        stored = {n for n, x in vars(type(value)).items() if type(x).__name__ == "cached_property"}
        for attribute in {*vars(value), *stored}:
            if not attribute.startswith("_"):
                yield from arrays(getattr(value, attribute), f"{name}.{attribute}", seen)


@pytest.mark.parametrize("name", RESULTS)
def test_arrays_are_read_only(name: str) -> None:
    result = RESULTS[name]()
    copies = {
        "itself": result,
        "copied": copy.copy(result),
        "copied deeply": copy.deepcopy(result),
        "pickled": pickle.loads(pickle.dumps(result)),
        "pickled twice": pickle.loads(pickle.dumps(pickle.loads(pickle.dumps(result)))),
    }
    for how, one in copies.items():
        found = list(arrays(one, how, set()))
        assert found or name == "interval"
        for where, array in found:
            assert not array.flags.writeable, where
            if array.size:
                with pytest.raises(ValueError, match="read-only"):
                    array.flat[0] = array.flat[0]


def test_results_say_so() -> None:
    result = nextstat.fit(MODEL)
    for array in (result.values, result.errors, result.covariance, result.correlation):
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 7.0
    with pytest.raises(ValueError, match="read-only"):
        result.fixed[0] = True
    with pytest.raises(ValueError, match="read-only"):
        result.dataset[0] = 1.0
    batch = nextstat.fit_toys(MODEL, 3, seed=1)
    with pytest.raises(ValueError, match="read-only"):
        batch["mu"][0] = 1.0
    changed = result.values.copy()
    changed[0] = 7.0  # a copy is the caller's own


def test_the_arrays_of_callers_stay_theirs() -> None:
    """What is handed in is neither frozen nor does it change a result."""
    data = np.concatenate([MODEL.data, MODEL.auxdata])
    init = np.array(MODEL.init)
    result = nextstat.fit(MODEL, data, init=init)
    rows = np.array([data, data])
    nextstat.fit_batch(MODEL, rows)
    values = np.array([0.5, 1.0])
    scan = nextstat.scan(MODEL, values=values)
    for array in (data, init, rows, values):
        array[0] = 99.0
    assert result.dataset[0] == MODEL.data[0]
    assert result.problem.init[0] == MODEL.init[0]
    assert scan.values[0] == 0.5


def test_values_survive() -> None:
    batch = nextstat.fit_toys(MODEL, 5, seed=1)
    again = pickle.loads(pickle.dumps(batch))
    assert np.array_equal(again.values, batch.values)
    assert again.converged.all()
    assert isinstance(batch, ReadOnly)
    result = nextstat.fit(MODEL)
    assert np.array_equal(copy.deepcopy(result).covariance, result.covariance)
