"""Soft cuts, and the Asimov significance against the formula in many digits."""

from __future__ import annotations

import math
from typing import Any

import mpmath
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor
from torch.autograd import gradcheck, gradgradcheck

from nextstat._events.edges import asimov_q0
from nextstat.torch import asimov_significance, soft_cut


def double(*values: float) -> Tensor:
    """A leaf of float64."""
    return torch.tensor(values, dtype=torch.float64, requires_grad=True)


def exact(s: Any, b: Any, sigma: Any) -> Any:
    """The formula as it is written."""
    n, v = s + b, sigma * sigma
    if v == 0:
        return mpmath.sqrt(2 * (n * mpmath.log(n / b) - s))
    first = n * mpmath.log(n * (b + v) / (b * b + n * v))
    return mpmath.sqrt(2 * (first - b * b / v * mpmath.log(1 + v * s / (b * (b + v)))))


def test_published_value() -> None:
    """The value that is quoted for 14 on 5 +- 1.5."""
    z = asimov_significance(torch.tensor(14.0), torch.tensor(5.0), 1.5)
    assert z.dtype == torch.float64
    assert float(z) == pytest.approx(3.6149635359712184, rel=1e-15)


logarithm = st.floats(-8.0, 8.0)


@given(s=logarithm, b=logarithm, sigma=st.none() | logarithm)
def test_formula(s: float, b: float, sigma: float | None) -> None:
    """Value and derivatives to nearly all digits, over 16 orders of magnitude of everything."""
    values = [10.0**s, 10.0**b, 0.0 if sigma is None else 10.0**sigma]
    leaves = [double(value) for value in values]
    z = asimov_significance(*leaves)
    found = torch.autograd.grad(z.sum(), leaves)
    with mpmath.workdps(120):
        at = [mpmath.mpf(value) for value in values]
        expected = exact(*at)
        assert abs(z.item() / expected - 1) < 1e-14
        for k in range(2 if sigma is None else 3):
            step = at[k] * mpmath.mpf(10) ** -30
            up, down = ([*at[:k], at[k] + sign * step, *at[k + 1 :]] for sign in (1, -1))
            slope = (exact(*up) - exact(*down)) / (2 * step)
            scale = abs(expected / at[k])
            assert abs(found[k].item() - slope) < 1e-13 * max(abs(slope), 1e-3 * scale)
    if sigma is None:
        assert found[2].item() == 0.0


@pytest.mark.parametrize("sigma", [None, 0.0, 1.5])
def test_agrees_with_binning(sigma: float | None) -> None:
    """The same as the formula that binnings are chosen by."""
    s, b = torch.rand(2, 50, dtype=torch.float64) * 20.0 + 0.5
    v = torch.full_like(b, (sigma or 0.0) ** 2)
    q0 = asimov_q0(s.numpy(), b.numpy(), v.numpy())
    torch.testing.assert_close(asimov_significance(s, b, sigma).square(), torch.from_numpy(q0))


@pytest.mark.parametrize("sigma", [0.0, 1e-9, 0.7, 30.0])
def test_no_signal(sigma: float) -> None:
    """No signal: no significance, but the derivative from above; none below."""
    s, b, e = double(0.0, -1.0), double(5.0, 5.0), double(sigma, sigma)
    z = asimov_significance(s, b, e)
    by_s, by_b, by_e = torch.autograd.grad(z.sum(), (s, b, e))
    assert z.tolist() == [0.0, 0.0]
    assert by_s.tolist() == [pytest.approx(1.0 / math.sqrt(5.0 + sigma**2), rel=1e-15), 0.0]
    assert by_b.tolist() == by_e.tolist() == [0.0, 0.0]


def test_no_background() -> None:
    """Finite with no background, as with a billionth of an event; also with nothing at all."""
    s, b, e = double(0.0, 0.0, 10.0, 10.0), double(0.0, 0.0, 0.0, 0.0), double(0.0, 1.0, 0.0, 1.0)
    z = asimov_significance(s, b, e)
    slopes = torch.autograd.grad(z.sum(), (s, b, e))
    few = double(*([1e-9] * 4))
    floor = asimov_significance(s, few, e)
    assert z.tolist() == floor.tolist()
    assert z.tolist()[:2] == [0.0, 0.0]
    for found, expected in zip(slopes, torch.autograd.grad(floor.sum(), (s, few, e)), strict=True):
        assert found.isfinite().all()
        assert found.tolist() == expected.tolist()
    assert slopes[0][1] == pytest.approx(1.0)


def test_derivatives_of_both_orders() -> None:
    """First and second derivatives on both sides of where the formula changes."""
    s, b, e = double(0.1, 2.0, 14.0, 300.0), double(5.0, 0.3, 5.0, 20.0), double(0.5, 2.0, 1.5, 9.0)
    assert gradcheck(asimov_significance, (s, b, e))
    assert gradgradcheck(asimov_significance, (s, b, e))
    assert gradgradcheck(asimov_significance, (s, b))


def test_shapes_and_types() -> None:
    """Elements broadcast; numbers are as good as tensors; derivatives have the input's type."""
    s = torch.ones(3, 1, requires_grad=True)
    z = asimov_significance(s, torch.full((2,), 0.1, dtype=torch.float64), 0.1)
    assert z.shape == (3, 2)
    assert z[0, 0].item() == asimov_significance(1, 0.1, 0.1).item()
    z.sum().backward()
    assert s.grad is not None
    assert s.grad.dtype == torch.float32
    assert asimov_significance(torch.ones(0), 1.0).shape == (0,)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ((math.nan, 1.0), "s is not finite"),
        ((1.0, math.inf), "b is not finite"),
        ((1.0, -0.5), "b is -0.5, expected at least 0"),
        ((1.0, 1.0, -2.0), "sigma_b is -2, expected at least 0"),
    ],
)
def test_impossible_counts(values: tuple[float, ...], message: str) -> None:
    """What is no expectation is an error."""
    with pytest.raises(ValueError, match=message):
        asimov_significance(*map(torch.tensor, values))


def test_soft_cut() -> None:
    """The logistic function, in the type of the events, with derivatives by all."""
    x = torch.tensor([-1.0, 0.5, 2.0])
    torch.testing.assert_close(soft_cut(x, 0.5, 3.0), torch.sigmoid(3.0 * (x - 0.5)))
    assert soft_cut(x, 0.5, 3.0).dtype == torch.float32
    inputs = (double(-1.0, 0.3), double(0.1), double(2.0))
    assert gradcheck(soft_cut, inputs)
    assert gradgradcheck(soft_cut, inputs)
    assert soft_cut(torch.tensor([-math.inf, math.inf]), 0.0, 2.0).tolist() == [0.0, 1.0]


def test_soft_cut_errors() -> None:
    """NaN is an error, not a weight."""
    with pytest.raises(ValueError, match="soft_cut is NaN for 1 of 2"):
        soft_cut(torch.tensor([0.0, math.nan]), 0.0, 1.0)
    with pytest.raises(TypeError, match="x is float, expected a tensor"):
        soft_cut(0.0, 0.0, 1.0)  # type: ignore[arg-type]


def test_best_cut() -> None:
    """A gradient finds the cut that a scan finds: signal and background are two normals."""
    generator = torch.Generator().manual_seed(1)
    signal = torch.randn(4000, generator=generator, dtype=torch.float64) + 1.5
    background = torch.randn(4000, generator=generator, dtype=torch.float64)

    def z(cut: Tensor) -> Tensor:
        s, b = (soft_cut(x, cut, 20.0).mean() for x in (signal, background))
        return asimov_significance(20.0 * s, 1000.0 * b, 50.0 * b)

    grid = torch.linspace(0.5, 2.5, 101, dtype=torch.float64)
    best = grid[torch.stack([z(cut) for cut in grid]).argmax()]
    cut = double(0.0)
    optimizer = torch.optim.Adam([cut], lr=0.1)
    for _ in range(150):
        optimizer.zero_grad()
        (-z(cut)).sum().backward()
        optimizer.step()
    assert abs(cut.item() - best.item()) < 0.03
