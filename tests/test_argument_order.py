"""pyhf's order of arguments, or none: what takes a model says what comes first."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import nextstat
from nextstat import interpret
from nextstat.datasets import make_workspace

MODEL = nextstat.from_pyhf(make_workspace(1, 3, 2, 1, random_state=0))
DATA = np.concatenate([MODEL.data, MODEL.auxdata])

Call = Callable[..., Any]
WRONG: dict[str, tuple[Call, tuple[Any, ...]]] = {
    "hypotest": (nextstat.hypotest, (1.0, MODEL)),
    "hypotest of data": (nextstat.hypotest, (DATA, MODEL)),
    "fit": (nextstat.fit, (DATA, MODEL)),
    "fit of a list": (nextstat.fit, (DATA.tolist(), MODEL)),
    "hypotest as pyhf's": (nextstat.hypotest, (1.0, DATA, MODEL)),
    "upper_limit as pyhf's": (nextstat.upper_limit, (DATA, MODEL, [0.5, 1.0])),
    "upper_limit": (nextstat.upper_limit, (DATA, MODEL)),
    "significance": (nextstat.significance, (DATA, MODEL)),
    "asimov_data": (nextstat.asimov_data, (1.0, MODEL)),
    "scan": (nextstat.scan, ("mu", MODEL)),
    "cls_scan": (nextstat.cls_scan, ([0.5, 1.0], MODEL)),
    "fit_batch": (nextstat.fit_batch, (DATA[None], MODEL)),
    "fit_toys": (nextstat.fit_toys, (10, MODEL)),
    "toy_data": (nextstat.toy_data, (10, MODEL)),
    "feldman_cousins": (nextstat.feldman_cousins, ([0.5, 1.0], MODEL)),
    "goodness_of_fit": (nextstat.goodness_of_fit, (DATA,)),
    "rank_impact": (interpret.rank_impact, (DATA,)),
    "uncertainty_breakdown": (interpret.uncertainty_breakdown, ({}, MODEL)),
    "nothing": (nextstat.fit, (None,)),
}


@pytest.mark.parametrize(("function", "arguments"), WRONG.values(), ids=WRONG.keys())
def test_the_model_comes_first(function: Call, arguments: tuple[Any, ...]) -> None:
    with pytest.raises(TypeError, match="expected a HistFactoryModel, found a ") as error:
        function(*arguments)
    message = str(error.value)
    assert type(arguments[0]).__name__ in message
    assert "the model is the first argument: fit(model, data), hypotest(model, mu" in message


def test_the_advice_works() -> None:
    """The calls that the message names."""
    assert nextstat.fit(MODEL, DATA).converged
    assert 0.0 <= nextstat.hypotest(MODEL, 1.0, data=DATA).cls <= 1.0
    assert nextstat.upper_limit(MODEL, 0.9, data=DATA).observed > 0.0


@pytest.mark.parametrize("function", [nextstat.hypotest, nextstat.upper_limit])
def test_more_than_the_model_and_a_number(function: Call) -> None:
    """Data by position, after a model that is in its place."""
    with pytest.raises(TypeError, match=r"found 1 more by position .* ndarray: .* are keywords"):
        function(MODEL, 0.9, DATA)


def test_data_as_the_tested_value() -> None:
    with pytest.raises(TypeError, match=r"mu has shape .*, expected a number; data is a keyword"):
        nextstat.hypotest(MODEL, DATA)


def test_what_has_a_model() -> None:
    """Results do, and the order is not what is wrong."""
    with pytest.raises(TypeError, match=r"its model is result.model$"):
        nextstat.scan(nextstat.fit(MODEL))  # type: ignore[arg-type]
