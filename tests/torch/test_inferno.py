"""INFERNO's benchmark (arXiv:1806.04743): the objective, its bound, and a short training."""

from __future__ import annotations

import runpy
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import numpy.typing as npt
import pytest
import torch

Array = npt.NDArray[np.float64]

SCRIPT = Path(__file__).parents[2] / "docs" / "training" / "inferno.py"
inferno = SimpleNamespace(**runpy.run_path(str(SCRIPT)))

PARAMETERS = "s", "r", "rate", "b"


def from_information(information: Array, benchmark: str) -> float:
    """Standard deviation of s, from the information on all four parameters and the priors.

    An infinite prior width leaves a parameter free; those that a benchmark does not know are fixed.
    """
    priors = {
        "B0": {},
        "B1": {"r": np.inf},
        "B2": {"r": np.inf, "rate": np.inf},
        "B3": {"r": 0.4, "rate": 1.0},
        "B4": {"r": 0.4, "rate": 1.0, "b": 100.0},
    }[benchmark]
    used = [0, *(PARAMETERS.index(name) for name in priors)]
    own = information[np.ix_(used, used)] + np.diag([0.0, *(w**-2.0 for w in priors.values())])
    return float(np.linalg.inv(own)[0, 0] ** 0.5)


@pytest.mark.parametrize("benchmark", inferno.BENCHMARKS)
def test_objective_is_from_the_fisher_information(benchmark: str) -> None:
    """That of Poisson counts, written in numpy, with priors where there are any."""
    torch.manual_seed(0)
    samples = inferno.Events(2000, torch.Generator().manual_seed(1)).samples()
    network = inferno.make_network(inferno.N_BINS)
    with torch.no_grad():
        shapes = [torch.softmax(30.0 * network(x).double(), dim=1).mean(dim=0) for x in samples]
    signal, background, *varied = (shape.numpy() for shape in shapes)
    slopes = [
        1000.0 * (varied[0] - varied[1]) / 0.4,
        1000.0 * (varied[2] - varied[3]) / 1.0,
    ]
    jacobian = np.stack([signal, *slopes, background])
    information = (jacobian / (50.0 * signal + 1000.0 * background)) @ jacobian.T
    found = inferno.uncertainty(shapes, benchmark).item()
    expected = from_information(information, benchmark)
    # "Free" is a prior a hundred times as wide as the shift of the templates.
    assert found == pytest.approx(expected, rel=1e-3 if benchmark in ("B1", "B2") else 1e-9)


def test_published_bound() -> None:
    """The same events, and no bins: the information of their densities."""
    events = inferno.Events(200_000, torch.Generator().manual_seed(0))
    x = torch.cat([events.signal, events.background()]).double().numpy()
    of_signal = 2.0 * np.exp(-(x[:, 0] ** 2 + x[:, 1] ** 2) / 2.0 - 2.0 * x[:, 2]) / (2.0 * np.pi)
    exponent = -((x[:, 0] - 2.0) ** 2) / 10.0 - x[:, 1] ** 2 / 18.0 - 3.0 * x[:, 2]
    of_background = 3.0 * np.exp(exponent) / (2.0 * np.pi * np.sqrt(45.0))
    in_r = 1000.0 * of_background * (x[:, 0] - 2.0) / 5.0
    in_rate = 1000.0 * of_background * (1.0 / 3.0 - x[:, 2])
    jacobian = np.stack([of_signal, in_r, in_rate, of_background])
    rate = 50.0 * of_signal + 1000.0 * of_background
    drawn = 0.5 * (of_signal + of_background)  # density of the events
    information = (jacobian / (rate * drawn)) @ jacobian.T / len(x)
    found = [from_information(information, benchmark) for benchmark in inferno.BENCHMARKS]
    assert found == pytest.approx(inferno.PUBLISHED["analytic likelihood"], rel=0.01)


def test_training() -> None:
    """A few steps beat the cross-entropy by far, and stay above the bound."""
    samples = inferno.Events(100_000, torch.Generator().manual_seed(99)).samples()
    found = {}
    for benchmark in ("B2", None):
        *_, network = inferno.train(benchmark, 60, 0)
        found[benchmark] = inferno.uncertainty(inferno.shapes(network, samples), "B2").item()
    assert 15.65 < found["B2"] < 18.5
    assert found[None] > 20.0
