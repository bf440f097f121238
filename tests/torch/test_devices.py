"""Devices that are not there are refused at once."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import pytest
import torch

import nextstat
from nextstat.datasets import make_workspace
from nextstat.torch import CLsLoss, SignificanceLoss, SoftHistogram, create_session, profiled_q0

MISSING = [
    *([] if torch.cuda.is_available() else ["cuda", "cuda:0", torch.device("cuda", 1)]),
    *([] if torch.accelerator.is_available() else ["xpu", "mps", 0]),
    *["gpu", "CUDA", "", None, 1.5, "cuda:99"],
]


@pytest.fixture(scope="module")
def model() -> nextstat.HistFactoryModel:
    return nextstat.from_pyhf(make_workspace(1, 4, 3, 2, random_state=0))


def modules(model: nextstat.HistFactoryModel) -> list[Any]:
    """With tensors and without."""
    histogram = SoftHistogram([0.0, 0.5, 1.0], bandwidth=0.1, learn_bandwidth=True)
    return [histogram, SignificanceLoss(model), CLsLoss(model)]


@pytest.mark.parametrize("device", MISSING, ids=repr)
def test_session(model: nextstat.HistFactoryModel, device: Any) -> None:
    """The message names what was asked for and what will do, and that does."""
    with pytest.raises(nextstat.DeviceError) as error:
        create_session(model, "signal", device=device)
    message = str(error.value)
    assert f"device is {str(device)!r}" in message
    assert 'such as "cpu"' in message
    assert ("torch.cuda.device_count() is" in message) == str(device).startswith("cuda")
    assert len(message) < 400
    assert isinstance(error.value, ValueError)
    signal = torch.from_numpy(model.templates()["region_1/signal"].copy())
    for here in ("cpu", torch.device("cpu")):
        session = create_session(model, "signal", device=here)
        assert profiled_q0(signal, session).device.type == "cpu"


def test_session_without_numbers(model: nextstat.HistFactoryModel) -> None:
    with pytest.raises(nextstat.DeviceError, match="device is 'meta'"):
        create_session(model, device="meta")


@pytest.mark.parametrize("device", [d for d in MISSING if isinstance(d, str | int)], ids=repr)
def test_modules(model: nextstat.HistFactoryModel, device: Any) -> None:
    for module in modules(model):
        with pytest.raises(nextstat.DeviceError, match="which cannot be used"):
            module.to(device)
        with pytest.raises(nextstat.DeviceError, match="which cannot be used"):
            module.to(device=device)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
@pytest.mark.parametrize("arguments", [(), (0,), ("cuda:0",)])
def test_modules_without_gpu(model: nextstat.HistFactoryModel, arguments: tuple[Any, ...]) -> None:
    for module in modules(model):
        with pytest.raises(nextstat.DeviceError, match="device is 'cuda"):
            module.cuda(*arguments)


def test_what_else_moves(model: nextstat.HistFactoryModel) -> None:
    """Types, other tensors, shapes without numbers; and copies."""
    for module in modules(model):
        assert module.to("cpu") is module
        assert module.to(torch.float64) is module
        assert module.to("cpu", torch.float64, True) is module
        assert module.to(torch.zeros(1)) is module
        copied = pickle.loads(pickle.dumps(copy.deepcopy(module)))
        assert copied.to(device="meta", dtype=torch.float64) is copied
