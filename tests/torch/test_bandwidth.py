"""Rules for bandwidths against SciPy and the formula; the schedule."""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from hypothesis import example, given
from hypothesis import strategies as st
from scipy.stats import gaussian_kde

from nextstat.torch import (
    BandwidthAnnealing,
    SoftHistogram,
    adaptive_bandwidth,
    scott_bandwidth,
    silverman_bandwidth,
)

RULES = pytest.mark.parametrize("rule", [scott_bandwidth, silverman_bandwidth, adaptive_bandwidth])


def sample(seed: int, n: int) -> tuple[Any, Any]:
    """Two peaks, one of them narrow, tails, and weights."""
    rng = np.random.default_rng(seed)
    x = np.concatenate([rng.normal(size=n), rng.normal(3.0, 0.05, n), rng.standard_cauchy(n)])
    return x, rng.exponential(size=len(x)) ** 3


@given(seed=st.integers(0, 2**32 - 1), n=st.integers(1, 30), weighted=st.booleans())
def test_against_scipy(seed: int, n: int, weighted: bool) -> None:
    """The rules of `gaussian_kde`, factor times standard deviation, and its densities."""
    x, w = sample(seed, n)
    weights = w if weighted else None
    silverman = gaussian_kde(x, "silverman", weights)
    for found, kde in (
        (scott_bandwidth(x, weights), gaussian_kde(x, "scott", weights)),
        (silverman_bandwidth(x, weights), silverman),
    ):
        rounded = 4.0 * np.finfo(float).eps / (1.0 - 1.0 / float(kde.neff))  # by SciPy
        theirs = math.sqrt(float(kde.covariance[0, 0]))
        assert found == pytest.approx(theirs, rel=1e-12 + rounded)
    h = silverman_bandwidth(x, weights)
    sigma = h / float(silverman.factor)
    expected = float(silverman.factor) * np.sqrt(sigma / silverman(x))
    tolerance = 1e-2 if weighted else 1e-3
    np.testing.assert_allclose(adaptive_bandwidth(x, weights), expected, rtol=tolerance)


@given(seed=st.integers(0, 2**32 - 1), n=st.integers(1, 3), largest=st.integers(0, 12))
@example(seed=98858855, n=1, largest=0)
def test_exactly(seed: int, n: int, largest: int) -> None:
    """Scott's rule in fractions, also where one event has nearly all the weight."""
    x, w = sample(seed, n)
    w[0] *= 10.0**largest
    share = [Fraction(weight) / sum(map(Fraction, w)) for weight in w]
    mean = sum(part * Fraction(event) for part, event in zip(share, x, strict=True))
    squares = sum(
        part * (Fraction(event) - mean) ** 2 for part, event in zip(share, x, strict=True)
    )
    inverse = sum(part**2 for part in share)
    expected = math.sqrt(squares / (1 - inverse)) * float(inverse) ** 0.2
    assert scott_bandwidth(x, w) == pytest.approx(expected, rel=1e-14)


def test_normal_events() -> None:
    """In the middle of a normal distribution, (2 pi)^(1/4) times the fixed bandwidth."""
    x = np.random.default_rng(0).normal(size=100_000)
    h = adaptive_bandwidth(x) / silverman_bandwidth(x)
    middle = h[np.abs(x) < 0.1].mean()
    assert float(middle) == pytest.approx((2.0 * math.pi) ** 0.25, rel=0.02)
    assert h.max() > 5.0


@RULES
def test_inputs(rule: Any) -> None:
    """Arrays, tensors of any type and columns give the same; signs of weights do not matter."""
    x, w = (part.astype(np.float32) for part in sample(1, 10))
    expected = torch.as_tensor(rule(x.tolist(), w.tolist()))
    leaf = torch.tensor(x, requires_grad=True)
    for found in (rule(x, -w), rule(leaf[:, None], torch.tensor(w)[:, None])):
        torch.testing.assert_close(torch.as_tensor(found), expected, rtol=1e-12, atol=0.0)
    assert not torch.as_tensor(rule(leaf)).requires_grad


@RULES
@pytest.mark.parametrize(
    ("scale", "weight"), [(1e200, 1.0), (1e-290, 1e300), (1.0, 1e303), (1.0, 1e-300)]
)
def test_any_unit(rule: Any, scale: float, weight: float) -> None:
    """Bandwidths are in the units of x, and those of weights do not matter."""
    x, w = sample(4, 10)
    found = np.asarray(rule(x * scale, w * weight)) / scale
    np.testing.assert_allclose(found, np.asarray(rule(x, w)), rtol=1e-10)


def test_types_of_tensors() -> None:
    x = torch.tensor([0.0, 1.0, 3.0], dtype=torch.bfloat16)
    assert scott_bandwidth(x) == scott_bandwidth([0.0, 1.0, 3.0])
    for rule in (scott_bandwidth, adaptive_bandwidth):
        with pytest.raises(TypeError, match="x is complex"):
            rule(np.array([1.0, 2.0j]))


def test_an_outlier_out_of_reach() -> None:
    x = np.append(sample(5, 10)[0], 1e30)
    with pytest.raises(ValueError, match="bandwidths, which no grid holds"):
        adaptive_bandwidth(x, np.append(np.ones(30), 1e-60))


def test_without_weight() -> None:
    """Events of weight 0 change nothing for the others, and get a bandwidth all the same."""
    x, w = sample(2, 10)
    alone = adaptive_bandwidth(x, w)
    found = adaptive_bandwidth(np.append(x, 1e6), np.append(w, 0.0))
    torch.testing.assert_close(found[:-1], alone, rtol=1e-3, atol=0.0)
    assert found[-1] == alone.max()


@RULES
@pytest.mark.parametrize(
    ("x", "weights", "message"),
    [
        ([], None, "no two different values"),
        ([0.1, 0.1, 0.1], None, "no two different values"),
        ([1.0, 2.0], [1.0, 0.0], "no two different values"),
        ([1.0, math.nan], None, "x is not finite"),
        ([1.0, 2.0], [1.0, math.inf], "weights is not finite"),
        ([1.0, 2.0], [1.0], r"weights has shape \(1,\), expected \(2,\)"),
        ([[1.0, 2.0]], None, r"x has shape \(1, 2\)"),
    ],
)
def test_errors(rule: Any, x: npt.ArrayLike, weights: Any, message: str) -> None:
    """No bandwidth without a width, and none that is NaN."""
    with pytest.raises(ValueError, match=message):
        rule(x, weights)


@RULES
def test_events_without_weight_are_as_absent(rule: Any) -> None:
    """Wherever they are."""
    x, weights = sample(3, 50)
    places = np.arange(0, 50, 7)
    full = np.insert(x, places, np.resize([np.nan, 1e300, np.inf, -4.0], len(places)))
    zeros = np.insert(weights, places, 0.0)
    expected, found = rule(x, weights), rule(full, zeros)
    if rule is adaptive_bandwidth:
        found = found[zeros != 0.0]
    np.testing.assert_array_equal(found, expected)
    with pytest.raises(ValueError, match="x is not finite"):
        rule(full, np.where(zeros == 0.0, 1e-9, zeros))


def test_annealing() -> None:
    """Geometric down to the end, where it stays; a schedule can be continued."""
    histogram = SoftHistogram([0.0, 0.5, 1.0], 0.8)
    schedule = BandwidthAnnealing(histogram, 0.1, 3)
    found = []
    for _ in range(4):
        schedule.step()
        found.append(histogram.bandwidth.item())
    assert found == pytest.approx([0.4, 0.2, 0.1, 0.1])
    assert found[-1] == 0.1

    other = SoftHistogram([0.0, 0.5, 1.0], 0.8)
    first = BandwidthAnnealing(other, 0.1, 3)
    first.step()
    resumed = SoftHistogram([0.0, 0.5, 1.0], 0.8)
    resumed.load_state_dict(other.state_dict())
    again = BandwidthAnnealing(resumed, 0.1, 3)
    again.load_state_dict(first.state_dict())
    again.step()
    assert resumed.bandwidth.item() == pytest.approx(0.2)
    with pytest.raises(ValueError, match=r"the state has .*'stop'.*, expected"):
        again.load_state_dict({"stop": 1.0})


def test_annealing_between_passes() -> None:
    """A step between forward and backward does not disturb the derivatives."""
    histogram = SoftHistogram([0.0, 0.5, 1.0], 0.3)
    x = torch.tensor([0.4], requires_grad=True)
    (expected,) = torch.autograd.grad(histogram(x)[0], x)
    counts = histogram(x)
    BandwidthAnnealing(histogram, 0.1, 1).step()
    (found,) = torch.autograd.grad(counts[0], x)
    assert found.item() == expected.item()


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"end": 0.0}, ValueError, "end is 0.0, expected a number > 0"),
        ({"n_steps": 0}, ValueError, "n_steps"),
        ({"n_steps": 1.5}, TypeError, "n_steps"),
        ({"learned": True}, ValueError, "the bandwidth is learned"),
    ],
)
def test_annealing_errors(options: dict[str, Any], error: type[Exception], message: str) -> None:
    """Schedules that cannot be."""
    histogram = SoftHistogram([0.0, 1.0], 0.3, learn_bandwidth=options.pop("learned", False))
    with pytest.raises(error, match=message):
        BandwidthAnnealing(histogram, **{"end": 0.1, "n_steps": 2, **options})
