"""Warnings of layers, losses and soft histograms point to the line of the user."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import pytest
import torch

import nextstat
from nextstat.datasets import make_workspace
from nextstat.exceptions import (
    EmptyBinWarning,
    GradientWarning,
    WorkspaceWarning,
)
from nextstat.torch import (
    HistFactoryLayer,
    SignificanceLoss,
    SoftHistogram,
    create_session,
    signal_jacobian,
)


def tensor(values: Any) -> torch.Tensor:
    return torch.tensor(values, dtype=torch.float64, requires_grad=True)


def layer(signal: list[float], background: list[float]) -> HistFactoryLayer:
    return HistFactoryLayer.from_histograms(tensor(signal), tensor(background))


MODEL = nextstat.from_pyhf(make_workspace(random_state=0))
VALUES = MODEL.templates()
FIRST = next(name for name in VALUES if name.count("/") == 1)
INPUTS = {FIRST: tensor(VALUES[FIRST])}
SIGNAL = MODEL.samples.index("signal")
S = torch.tensor(MODEL.expected_by_sample(MODEL.init)[SIGNAL], dtype=torch.float64)
JES: Any = {"jes": (tensor([11.0]), None)}
from_histograms: Any = HistFactoryLayer.from_histograms
AS_EXPECTED = HistFactoryLayer.from_histograms(tensor([5.0, 4.0]), tensor([20.0, 10.0])).model
SESSION = create_session(AS_EXPECTED)
OUTSIDE = torch.full((9,), 30.0)

CALLS: list[tuple[type[Warning], str, Callable[[], Any]]] = [
    (
        WorkspaceWarning,
        "one-sided",
        lambda: from_histograms(tensor([1.0]), tensor([9.0]), variations=JES),
    ),
    (WorkspaceWarning, "stay as in the", lambda: HistFactoryLayer(MODEL).q0(INPUTS)),
    (WorkspaceWarning, "stay as in the", lambda: SignificanceLoss(MODEL)(S)),
    (EmptyBinWarning, "no events are expected", lambda: layer([2.0, 8.0], [9.0, 0.0]).log_cls()),
    (EmptyBinWarning, "samples are empty", lambda: layer([2.0, 0.0], [9.0, 0.0]).log_cls()),
    (EmptyBinWarning, "samples are empty", lambda: layer([2.0, 0.0], [9.0, 0.0]).z0()),
    (EmptyBinWarning, "samples are empty", lambda: layer([2.0, 0.0], [9.0, 0.0]).upper_limit()),
    (GradientWarning, "has a kink", lambda: layer([0.0, 0.0], [9.0, 5.0]).z0().backward()),
    (GradientWarning, "best then", lambda: signal_jacobian(torch.tensor([5.0, 4.0]), SESSION)),
    (GradientWarning, "lack a sigmoid", lambda: SoftHistogram([0.0, 0.5, 1.0], 0.1)(OUTSIDE)),
]


@pytest.mark.parametrize(("category", "words", "call"), CALLS)
def test_warnings_point_to_the_call(
    category: type[Warning], words: str, call: Callable[[], Any]
) -> None:
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        call()
    assert [w for w in seen if w.category is category and words in str(w.message)], seen
    here = __file__, call.__code__.co_firstlineno
    assert {(w.filename, w.lineno) for w in seen} == {here}
