"""Yields that variations bring to zero are zero, and not what rounding leaves of them."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

import nextstat
from nextstat import _core

CODES = ("code0", "code2", "code4p")


@pytest.fixture(params=_core.simd_levels(), autouse=True)
def _level(request: pytest.FixtureRequest) -> Iterator[None]:
    """Levels round in different ways; each has its own residues."""
    _core.choose_simd_level(request.param)
    yield
    _core.choose_simd_level(_core.simd_levels()[0])


def workspace(
    nominal: float, ends: list[tuple[float, float]], scale: float = 1.0, observed: float = 0.0
) -> dict[str, Any]:
    """A bin that variations change, and one that they do not."""
    variations = [
        {
            "name": f"shape{k}",
            "type": "histosys",
            "data": {"lo_data": [low, 5.0], "hi_data": [high, 5.0]},
        }
        for k, (low, high) in enumerate(ends)
    ]
    strength = {"name": "mu", "type": "normfactor", "data": None}
    sample = {"name": "s", "data": [nominal, 5.0], "modifiers": [strength, *variations]}
    settings = [{"name": "mu", "inits": [scale], "bounds": [[0.0, 10.0 * scale]], "fixed": True}]
    return {
        "channels": [{"name": "c", "samples": [sample]}],
        "observations": [{"name": "c", "data": [observed, 5.0]}],
        "measurements": [{"name": "m", "config": {"poi": "", "parameters": settings}}],
        "version": "1.0.0",
    }


def exact_yield(code: str, nominal: float, ends: list[tuple[float, float]], at: list[float]) -> Any:
    """The yield of the first bin in exact arithmetic (HistFactory note, 4.1)."""
    total = Fraction(nominal)
    for (low, high), value in zip(ends, at, strict=True):
        a, lo, hi, n = map(Fraction, (value, low, high, nominal))
        odd, even = (hi - lo) / 2, (hi + lo - 2 * n) / 2
        if code == "code0":
            q = abs(a)
        elif code == "code2":
            q = a**2 if abs(a) < 1 else 2 * abs(a) - 1
        else:
            q = (15 * a**2 - 10 * a**4 + 3 * a**6) / 8 if abs(a) < 1 else abs(a)
        total += a * odd + q * even
    return total


def expected(code: str, spec: dict[str, Any], at: list[float]) -> tuple[float, Any]:
    """The yield of the first bin, and its model."""
    model = nextstat.from_pyhf(spec, interpolation=("code4", code))
    params = model.init.copy()
    for k, value in enumerate(at):
        params[model.parameters.index(f"shape{k}")] = value
    return float(model.expected_data(params, include_auxdata=False)[0]), (model, params)


@pytest.mark.parametrize("code", ["code0", "code4p"])
@pytest.mark.parametrize("scale", [1e-12, 1.0, 1e12])
@pytest.mark.parametrize("up", [True, False])
def test_bin_that_one_side_fills(code: str, scale: float, up: bool) -> None:
    """Nominally empty and empty on one side: all along that side, whatever scales it."""
    rng = np.random.default_rng(1)
    for _ in range(50):
        filled = float(rng.uniform(0.01, 9.0))
        ends = [(0.0, filled) if up else (filled, 0.0)]
        at = float(rng.uniform(1.0, 5.0)) * (-1.0 if up else 1.0)
        nu, (model, params) = expected(code, workspace(0.0, ends, scale), [at])
        assert nu == 0.0
        assert model.nll(params, data=[3.0, 5.0 * scale]) == np.inf


yields = st.one_of(st.just(0.0), st.floats(1e-3, 1e3).map(lambda x: float(np.float32(x))))
pulls = st.one_of(st.sampled_from([-3.0, -1.0, 1.0, 2.0]), st.floats(-4.0, 4.0))


@settings(max_examples=300, deadline=None)
@given(
    code=st.sampled_from(CODES),
    nominal=yields,
    ends=st.lists(st.tuples(yields, yields), min_size=1, max_size=3),
    at=st.lists(pulls, min_size=3, max_size=3),
)
@example(code="code4p", nominal=0.7, ends=[(0.0, 1.1)], at=[-1.0] * 3)
@example(code="code2", nominal=0.7, ends=[(0.0, 1.3)], at=[-1.0] * 3)
@example(code="code0", nominal=0.3, ends=[(0.0, 1.7), (0.3, 4.0)], at=[-1.0, -2.3, 0.0])
@example(code="code4p", nominal=0.0, ends=[(0.0, 0.1), (0.0, 0.7)], at=[-1.7, -2.1, 0.0])
def test_zero_exactly_where_it_is(
    code: str, nominal: float, ends: list[tuple[float, float]], at: list[float]
) -> None:
    """Against exact arithmetic: zero where that is, its sign and its value elsewhere."""
    at = at[: len(ends)]
    exact = exact_yield(code, nominal, ends, at)
    size = nominal + sum(abs(a) * (nominal + lo + hi) for (lo, hi), a in zip(ends, at, strict=True))
    assume(exact == 0 or abs(exact) > 1e-12 * size)
    nu, (model, params) = expected(code, workspace(nominal, ends), at)
    assert (nu == 0.0) == (exact == 0)
    assert nu == pytest.approx(float(exact), rel=1e-2, abs=1e-13 * size)
    finite = np.isfinite(model.nll(params, data=[3.0, 5.0]))
    assert finite == (exact > 0)


@pytest.mark.parametrize("filler", [1e-9, 1e-20, 1e-100])
def test_small_yields_stay(filler: float) -> None:
    """What is small beside its variations, but no rounding, counts."""
    spec = workspace(filler, [(filler, 10.0)])
    assert expected("code4p", spec, [0.0])[0] == filler
    assert expected("code4p", spec, [1e-16])[0] > 0.0
    alone = workspace(1e-20, [(0.0, 2e-20)])
    assert expected("code4p", alone, [-0.5])[0] == pytest.approx(5e-21)


def test_derivatives_beside_an_empty_cell() -> None:
    """A bin stays where its other samples put it, and its derivatives are those of differences."""
    spec = workspace(0.0, [(0.0, 0.7), (0.3, 0.9)])
    other = {"name": "other", "data": [4.0, 6.0], "modifiers": []}
    spec["channels"][0]["samples"].append(other)
    model = nextstat.from_pyhf(spec, interpolation=("code4", "code4p"))
    params = model.init.copy()
    params[[model.parameters.index(f"shape{k}") for k in range(2)]] = -1.7, 0.2
    data = np.concatenate([[3.0, 9.0], model.auxdata])
    gradient = model.nll_gradient(params, data=data)
    for k in range(len(params)):
        step = np.zeros(len(params))
        step[k] = 1e-6
        slope = (model.nll(params + step, data=data) - model.nll(params - step, data=data)) / 2e-6
        assert gradient[k] == pytest.approx(slope, abs=1e-7)
