"""The published trajectory of neos: CLs of a network trained on it, epoch by epoch."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch

from nextstat.torch import HistFactoryLayer, SoftHistogram

State = Mapping[str, npt.NDArray[np.floating]]

# CLs at epochs 0, 9 and 19; by what becomes of the tails of kernels, and the interpolation code.
EPOCHS = (0, 9, 19)
TRAJECTORIES = {
    ("drop", "code0"): (0.06884669, 0.00168223, 0.00115112),  # README of neos
    ("keep", "code0"): (0.06000041, 5.5479e-5, 2.9691e-5),  # demonstration of May 2021
    ("drop", "code4p"): (0.06885379, 0.00191346, 0.00123257),
    ("keep", "code4p"): (0.06000058, 9.1529e-5, 4.7095e-5),
}


@pytest.fixture(scope="module")
def state() -> State:
    """Events and initial weights of the demonstration."""
    default = Path(__file__).parents[3] / "shared" / "workspaces"
    folder = Path(os.environ.get("NEXTSTAT_WORKSPACES", default)).parent / "neos"
    path = folder / "readme_demo_state.npz"
    if not path.is_file():
        pytest.skip(f"no published state of neos: {path}; set NEXTSTAT_WORKSPACES")
    with np.load(path) as arrays:
        return dict(arrays)


def make_network(state: State) -> torch.nn.Module:
    """2-1024-1024-1 in float32, with the published weights."""
    layers: list[torch.nn.Module] = []
    for k, activation in enumerate((torch.nn.ReLU(), torch.nn.ReLU(), torch.nn.Sigmoid()), 1):
        weight = torch.tensor(state[f"W{k}"].T)
        linear = torch.nn.Linear(weight.shape[1], weight.shape[0])
        linear.load_state_dict({"weight": weight, "bias": torch.tensor(state[f"b{k}"])})
        layers += [linear, activation]
    return torch.nn.Sequential(*layers)


@pytest.mark.parametrize(
    ("overflow", "code"), TRAJECTORIES, ids=["-".join(row) for row in TRAJECTORIES]
)
def test_trajectory(state: State, overflow: Any, code: str) -> None:
    """With code0, the nuisance parameter is fitted at the kink of the interpolation from epoch 1
    on, where the derivatives are those with the parameter held.
    """
    network = make_network(state)
    events = torch.tensor(
        np.concatenate([state[name] for name in ("sig", "bkg", "bup", "bdn")]), dtype=torch.float32
    )
    histogram = SoftHistogram(np.linspace(0.0, 1.0, 4), bandwidth=0.27, overflow=overflow)
    optimiser = torch.optim.Adam(network.parameters(), lr=1e-3)
    found = []
    for _ in range(max(EPOCHS) + 1):
        optimiser.zero_grad()
        signal, background, up, down = (
            histogram(outputs) * (expected / 500)
            for outputs, expected in zip(
                network(events).split(500), (20.0, 100.0, 100.0, 100.0), strict=True
            )
        )
        layer = HistFactoryLayer.from_histograms(
            signal,
            background,
            variations={"shape": (up, down)},
            interpolation=("code4", code),
        )
        cls = layer.cls(mu=1.0)  # of the weights before the step
        found.append(cls.item())
        cls.backward()
        optimiser.step()
    at_kink = layer.last_fits[0].conditional[1.0][layer.model.parameter_names.index("shape")] == 0.0
    assert at_kink == (code == "code0")
    np.testing.assert_allclose(
        [found[epoch] for epoch in EPOCHS], TRAJECTORIES[overflow, code], rtol=1e-3
    )
