"""What the core is handed belongs together, or it says what does not."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import nextstat
from nextstat import HistFactoryModel, _core
from nextstat._fits.settings import make_problem


def model(n_bins: int, n_systematics: int, seed: int = 5) -> HistFactoryModel:
    workspace = nextstat.datasets.make_workspace(
        n_channels=1, n_bins=n_bins, n_systematics=n_systematics, random_state=seed
    )
    return nextstat.from_pyhf(workspace)


OURS = model(4, 3)
OTHERS = {
    "smaller": model(2, 1),
    "larger": model(9, 8),
    "fewer bins": model(3, 3),
    "more parameters": model(4, 5),
    "of the same size": model(4, 3, seed=6),
}
core, params = OURS._core, OURS.init
problem = make_problem(OURS).core()

WITH_DATA: dict[str, Callable[[_core.Data], Any]] = {
    "nll": lambda data: _core.nll(core, data, params),
    "nll_gradient": lambda data: _core.nll_gradient(core, data, params),
    "nll_hessian": lambda data: _core.nll_hessian(core, data, params),
    "nll_difference": lambda data: _core.nll_difference(core, data, params, params),
    "fit": lambda data: _core.fit(core, data, problem),
    "refit_shifted": lambda data: _core.refit_shifted(
        core, nextstat.fit(OURS).minimum, data, problem, 0, [1], [0.5], 1
    ),
    "nll_sensitivities": lambda data: _core.nll_sensitivities(core, data, params),
    "nll_sensitivities_along": lambda data: _core.nll_sensitivities_along(
        core, data, params, params
    ),
}


@pytest.mark.parametrize("other", OTHERS)
@pytest.mark.parametrize("function", WITH_DATA)
def test_data_of_another_model(function: str, other: str) -> None:
    with pytest.raises(ValueError, match="data belong to another model"):
        WITH_DATA[function](OTHERS[other]._data(None))
    WITH_DATA[function](OURS._data(None))


def test_data_of_another_model_say_of_which() -> None:
    data = OTHERS["smaller"]._data(None)
    n_aux = len(OTHERS["smaller"].auxdata), len(OURS.auxdata)
    with pytest.raises(ValueError, match=f"hold 2 bins and {n_aux[0]} .* has 4 and {n_aux[1]};"):
        _core.nll(core, data, params)
    mended = _core.Data(core, OURS.data, OURS.auxdata)  # as the message has it
    assert _core.nll(core, mended, params) == OURS.nll(params)


@pytest.mark.parametrize("other", [name for name in OTHERS if name != "of the same size"])
def test_minimum_of_another_model(other: str) -> None:
    minimum = nextstat.fit(OTHERS[other]).minimum
    if other == "fewer bins" and minimum.values.shape == params.shape:
        pytest.skip("has the same parameters")
    with pytest.raises(ValueError, match="minimum is that of another model: it has"):
        _core.refit_shifted(core, minimum, OURS._data(None), problem, 0, [1], [0.5], 1)


def test_pickled_minimum_belongs_still() -> None:
    minimum = nextstat.fit(OURS).minimum
    again = pickle.loads(pickle.dumps(minimum))
    arguments = (OURS._data(None), problem, 0, [1], [0.5], 1)
    one = _core.refit_shifted(core, minimum, *arguments)
    two = _core.refit_shifted(core, again, *arguments)
    assert np.array_equal(one[0], two[0])


LENGTHS: dict[str, Callable[[np.ndarray], Any]] = {
    "nll": lambda x: _core.nll(core, OURS._data(None), x),
    "nll_gradient": lambda x: _core.nll_gradient(core, OURS._data(None), x),
    "nll_hessian": lambda x: _core.nll_hessian(core, OURS._data(None), x),
    "reference": lambda x: _core.nll_difference(core, OURS._data(None), params, x),
    "expected": lambda x: _core.expected(core, x),
    "expected_by_sample": lambda x: _core.expected_by_sample(core, x),
    "init": lambda x: _core.fit(core, OURS._data(None), changed(init=x)),
    "lower": lambda x: _core.fit(core, OURS._data(None), changed(lower=x)),
    "upper": lambda x: _core.fit(core, OURS._data(None), changed(upper=x)),
    "fixed": lambda x: _core.fit(core, OURS._data(None), changed(fixed=x)),
    "second_init": lambda x: _core.fit_rows(core, [np.r_[OURS.data, OURS.auxdata]], problem, x, 1),
    "params of toys": lambda x: _core.fit_toys(core, x, 1, 0, (0, 1), problem, params, 1),
    "params of tests": lambda x: _core.test_toys(
        core, x, 1, 0, (0, 1), problem, params, 0, 1.0, 0, 1
    ),
    "params of data": lambda x: _core.toy_data(core, x, 1, 0, (0, 1)),
    "covariance": lambda x: nextstat.fit(OURS).minimum.covariance_times(x),
    "sensitivities": lambda x: _core.nll_sensitivities(core, OURS._data(None), x),
    "direction": lambda x: _core.nll_sensitivities_along(core, OURS._data(None), params, x),
    "yields": lambda x: _core.yield_sensitivities(core, x, OURS.data),
}


def changed(**arrays: Any) -> _core.FitProblem:
    return make_problem(OURS)._replace(**arrays).core()


@pytest.mark.parametrize("length", [0, 1, len(params) - 1, len(params) + 1])
@pytest.mark.parametrize("function", LENGTHS)
def test_arrays_of_a_wrong_length(function: str, length: int) -> None:
    with pytest.raises(ValueError, match=rf"has shape \({length}\), expected \({len(params)},\)"):
        LENGTHS[function](np.ones(length))
    with pytest.raises(ValueError, match="has shape"):
        LENGTHS[function](np.ones((len(params), 1)))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: _core.Data(core, OURS.data[:-1], OURS.auxdata), "data has shape"),
        (lambda: _core.Data(core, OURS.data, OURS.auxdata[:-1]), "auxdata has shape"),
        (lambda: _core.Data(core, -OURS.data, OURS.auxdata), "not negative"),
        (lambda: _core.fit_rows(core, [OURS.data], problem, params, 1), "data has shape"),
        (lambda: _core.fit_rows(core, OURS.data, problem, params, 1), "data has shape"),
        (lambda: _core.yield_sensitivities(core, params, OURS.data[1:]), "weight has shape"),
        (lambda: refit([len(params)], [0.5]), f"a parameter is {len(params)}, expected"),
        (lambda: refit([-1], [0.5]), "a parameter is -1, expected"),
        (lambda: refit([1, 2], [0.5]), "values has shape"),
        (lambda: refit([1], [[0.5]]), "values has shape"),
        (lambda: refit([1], [0.5], poi=-1), "poi is -1"),
        (lambda: throw(poi=len(params)), f"poi is {len(params)}, expected"),
        (lambda: throw(side=3), "side is 3, expected 0, 1 or 2"),
        (lambda: nextstat.fit(OURS).minimum.covariance_with(-1), "param is -1"),
        (lambda: nextstat.fit(OURS).minimum.covariance_with(len(params)), "param is"),
    ],
)
def test_what_does_not_fit(call: Callable[[], Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call()


def refit(parameters: list[int], values: Any, poi: int = 0) -> Any:
    minimum = nextstat.fit(OURS).minimum
    return _core.refit_shifted(core, minimum, OURS._data(None), problem, poi, parameters, values, 1)


def throw(poi: int = 0, side: int = 0) -> None:
    found = _core.test_toys(core, params, 1, 0, (0, 1), problem, params, poi, 1.0, side, 1)
    assert [len(column) for column in found] == [1, 1, 1]


# States of minima, and specifications of models, that no program of ours has written --------------


def test_damaged_minima() -> None:
    minimum = nextstat.fit(OURS).minimum
    _, _, state = minimum.__reduce_ex__(4)[:3]
    damages: list[tuple[int, Any]] = [
        (0, list(state[0])[:-1]),
        (0, [0] * len(state[0])),
        (0, [n + 1 for n in state[0]]),
        (2, state[2][:-1]),
        (3, np.r_[state[3], 1.0]),
        (4, state[4][:-1]),
        (10, -1),
        (10, state[10] + 1),
        (11, state[11] + 1),
        (11, -1),
        (12, []),
        (12, [0, 5, 3]),
        (12, [1, 2]),
        (14, state[14][:-1]),
        (15, np.r_[state[15], 1.0]),
        (16, np.r_[state[16], 1.0]),
        (17, state[17] + b"1"),
    ]
    for place, value in damages:
        damaged = (*state[:place], value, *state[place + 1 :])
        with pytest.raises(ValueError, match="damaged"):
            _core.Minimum.__new__(_core.Minimum).__setstate__(damaged)
    with pytest.raises(ValueError, match="damaged"):
        _core.Minimum.__new__(_core.Minimum).__setstate__(state[:-1])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"channel_samples": []}, "channel arrays differ"),
        ({"channel_samples": [-1]}, "no negative number of samples"),
        ({"channel_bins": [0]}, "a bin at least"),
        ({"channel_bins": [-2], "channel_samples": [-1]}, "a bin at least"),
        ({"nominal": [1.0]}, "nominal has the wrong length"),
        ({"constraint": [3]}, "constraint index out of range"),
        ({"norm_code": 3}, "unknown code of normsys"),
        ({"histo_code": 1}, "unknown code of histosys"),
        ({"factor_param": [1]}, "factor parameter index"),
        ({"binwise_first": [2**31 - 1], "binwise_sample": [0]}, "bin-wise parameter index"),
    ],
)
def test_impossible_models(changes: dict[str, Any], message: str) -> None:
    none: list[int] = []
    arrays: dict[str, Any] = {
        name: none
        for name in (
            "norm_param", "norm_sample", "norm_lo", "norm_hi", "histo_param", "histo_sample",
            "histo_lo", "histo_hi", "binwise_first", "binwise_sample",
        )
    }  # fmt: skip
    arrays |= {
        "channel_bins": [2],
        "channel_samples": [1],
        "nominal": [1.0, 2.0],
        "factor_param": [0],
        "factor_sample": [0],
        "constraint": [0],
        "constraint_scale": [1.0],
        "norm_code": 4,
        "histo_code": 4,
    }
    assert _core.Model(**arrays).n_bins == 2
    with pytest.raises(ValueError, match=message):
        _core.Model(**(arrays | changes))
