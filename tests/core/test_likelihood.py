"""The likelihood against pyhf, its derivatives against finite differences, on random models."""

from __future__ import annotations

import mpmath
import numpy as np
import pyhf
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from random_workspaces import random_parameters, random_workspace, seeds

import nextstat
from nextstat import HistFactoryModel

CODES = [("code4", "code4p"), ("code1", "code4p"), ("code4", "code0"), ("code1", "code2")]
codes_ = st.sampled_from(CODES)


def build(seed: int, codes: tuple[str, str] = CODES[0]) -> HistFactoryModel:
    return nextstat.from_pyhf(random_workspace(seed), interpolation=codes)


def pyhf_model(seed: int, codes: tuple[str, str]) -> tuple[pyhf.Model, list[float]]:
    workspace = pyhf.Workspace(random_workspace(seed))
    settings_ = {"normsys": {"interpcode": codes[0]}, "histosys": {"interpcode": codes[1]}}
    model = workspace.model(modifier_settings=settings_)
    return model, workspace.data(model)


def inside_kinks(model: HistFactoryModel, params: np.ndarray) -> np.ndarray:
    """The point moved to |alpha| < 1, where pyhf's code2 is right (it jumps at 1)."""
    alphas = [k in ("normsys", "histosys", "histosys+normsys") for k in model.parameters.kinds]
    return np.where(alphas, np.clip(params, -0.95, 0.95), params)


@given(seed=seeds, codes=codes_)
@settings(max_examples=150, deadline=None)
def test_matches_pyhf(seed: int, codes: tuple[str, str]) -> None:
    model = build(seed, codes)
    reference, data = pyhf_model(seed, codes)
    assert list(model.parameter_names) == reference.config.par_names
    np.testing.assert_array_equal(model.init, reference.config.suggested_init())
    np.testing.assert_array_equal(model.bounds, reference.config.suggested_bounds())
    np.testing.assert_array_equal(model.fixed, reference.config.suggested_fixed())
    np.testing.assert_allclose(model.auxdata, reference.config.auxdata, rtol=1e-14)
    np.testing.assert_allclose(np.concatenate([model.data, model.auxdata]), data, rtol=1e-14)
    params = random_parameters(model, seed, 2.0)
    if codes[1] == "code2":
        params = inside_kinks(model, params)
    expected = reference.expected_data(params)
    np.testing.assert_allclose(model.expected_data(params), expected, rtol=1e-12, atol=1e-12)
    if (expected > 0).all():
        twice = pyhf.infer.mle.twice_nll(params, data, reference).item()
        assert 2 * model.nll(params) == pytest.approx(twice, rel=1e-10)
        assert model.logpdf(params) == -model.nll(params)


@given(seed=seeds)
@settings(max_examples=50, deadline=None)
def test_yields_by_sample_match_pyhf(seed: int) -> None:
    model = build(seed)
    reference, _ = pyhf_model(seed, CODES[0])
    params = random_parameters(model, seed)
    by_sample = model.expected_by_sample(params)
    expected = reference.main_model.expected_data(pyhf.tensorlib.astensor(params), True)
    np.testing.assert_allclose(by_sample, expected, rtol=1e-12, atol=1e-12)
    events = model.expected_data(params, include_auxdata=False)
    np.testing.assert_allclose(by_sample.sum(axis=0), events, rtol=1e-12)


def numerical_gradient(model: HistFactoryModel, params: np.ndarray) -> np.ndarray:
    """Central differences of the nll, fourth order."""
    gradient = np.empty(len(params))
    for i in range(len(params)):
        h = 1e-3 * max(abs(params[i]), 0.1)
        f = [model.nll(params + k * h * np.eye(len(params))[i]) for k in (-2, -1, 1, 2)]
        gradient[i] = (f[0] - 8 * f[1] + 8 * f[2] - f[3]) / (12 * h)
    return gradient


def numerical_hessian(model: HistFactoryModel, params: np.ndarray) -> np.ndarray:
    """Central differences of the gradient, fourth order."""
    hessian = np.empty((len(params), len(params)))
    for i in range(len(params)):
        h = 1e-3 * max(abs(params[i]), 0.1)
        g = [model.nll_gradient(params + k * h * np.eye(len(params))[i]) for k in (-2, -1, 1, 2)]
        hessian[i] = (g[0] - 8 * g[1] + 8 * g[2] - g[3]) / (12 * h)
    return hessian


def smooth_point(model: HistFactoryModel, seed: int) -> np.ndarray:
    """A point with alphas away from the joints 0 and 1, and factors away from 0."""
    params = random_parameters(model, seed, 1.0)
    alphas = np.array(["normsys" in k or "histosys" in k for k in model.parameters.kinds])
    for joint in (-1.0, 0.0, 1.0):
        near = alphas & (np.abs(params - joint) < 0.02)
        params = np.where(near, joint + 0.05, params)
    return np.where(alphas, params, np.maximum(params, 0.3))


@given(seed=seeds, codes=codes_)
@settings(max_examples=120, deadline=None)
def test_derivatives_match_finite_differences(seed: int, codes: tuple[str, str]) -> None:
    model = build(seed, codes)
    params = smooth_point(model, seed)
    if (model.expected_data(params, include_auxdata=False) < 1.0).any():
        return  # next to the pole of the likelihood, where differences say nothing
    gradient, hessian = model.nll_gradient(params), model.nll_hessian(params)
    scale = np.sqrt(1.0 + np.abs(np.diag(hessian)))
    numerical = numerical_gradient(model, params)
    np.testing.assert_allclose(gradient / scale, numerical / scale, atol=2e-6, rtol=1e-6)
    error = (hessian - numerical_hessian(model, params)) / np.outer(scale, scale)
    np.testing.assert_allclose(error, 0.0, atol=2e-6)
    np.testing.assert_array_equal(hessian, hessian.T)


@given(seed=seeds)
@settings(max_examples=80, deadline=None)
def test_derivatives_where_factors_are_zero(seed: int) -> None:
    """mu = 0, shapefactors = 0: derivatives are products of the other factors, not quotients."""
    workspace = random_workspace(seed)
    for channel in workspace["channels"]:
        rest = {"name": "rest", "data": [30.0] * len(channel["samples"][0]["data"])}
        channel["samples"].append({**rest, "modifiers": []})
    model = nextstat.from_pyhf(workspace)
    params = smooth_point(model, seed)
    kinds = model.parameters.kinds
    zero = [i for i, kind in enumerate(kinds) if kind in ("normfactor", "shapefactor")]
    params[zero] = 0.0
    hessian, numerical = model.nll_hessian(params), numerical_hessian(model, params)
    scale = np.sqrt(1.0 + np.abs(np.diag(hessian)))
    np.testing.assert_allclose((hessian - numerical) / np.outer(scale, scale), 0.0, atol=2e-6)
    gradient, numerical = model.nll_gradient(params), numerical_gradient(model, params)
    np.testing.assert_allclose(gradient / scale, numerical / scale, atol=2e-6, rtol=1e-6)


@given(seed=seeds)
@settings(max_examples=40, deadline=None)
def test_one_sided_derivatives_at_a_kink(seed: int) -> None:
    model = build(seed, ("code1", "code0"))
    params = model.init
    h = 1e-6
    for side in (1.0, -1.0):
        at = np.array([np.copysign(x, side) if x == 0.0 else x for x in params])
        gradient = model.nll_gradient(at)
        for i in np.flatnonzero(params == 0.0):
            step = np.where(np.arange(len(params)) == i, side * h, 0.0)
            slope = side * (model.nll(params + step) - model.nll(params)) / h
            assert gradient[i] == pytest.approx(slope, rel=1e-3, abs=1e-3)


def test_code2_is_continuous() -> None:
    """As ROOT's; pyhf 0.7.6 jumps at |alpha| = 1."""
    workspace = one_bin(100.0, 100.0, [histosys("shape", 120.0, 70.0)])
    model = nextstat.from_pyhf(workspace, interpolation=("code4", "code2"))
    names = list(model.parameter_names)

    def expected(alpha: float) -> float:
        params = model.init.copy()
        params[names.index("shape")] = alpha
        return float(model.expected_data(params)[0])

    assert [expected(a) for a in (-1.0, 0.0, 1.0)] == pytest.approx([70.0, 100.0, 120.0])
    for joint in (-1.0, 1.0):
        below, above = expected(joint - 1e-7), expected(joint + 1e-7)
        assert below == pytest.approx(above, abs=1e-4)
    # beyond, it goes on with its slope: 25 + 2 (-5) up, 25 - 2 (-5) down
    assert expected(3.0) == pytest.approx(120.0 + 2.0 * (25.0 - 10.0))
    assert expected(-3.0) == pytest.approx(70.0 - 2.0 * (25.0 + 10.0))


def test_difference_is_exact_at_large_yields() -> None:
    """Differences are formed bin by bin: no loss where the nll's terms are 1e9."""
    workspace = one_bin(1e8, 1e8 + 12345.0, [normsys("scale", 1.001, 0.999)])
    model = nextstat.from_pyhf(workspace)
    first, second = model.init + 0.0, model.init + 0.0
    second[list(model.parameter_names).index("scale")] = 1e-4
    difference = nextstat._core.nll_difference(model._core, model._observed, second, first)
    with mpmath.workdps(50):
        exact = exact_nll(model, second) - exact_nll(model, first)
        assert difference == pytest.approx(float(exact), rel=1e-9)
        assert model.nll(first) == pytest.approx(float(exact_nll(model, first)), rel=1e-13)


def exact_nll(model: HistFactoryModel, params: np.ndarray) -> mpmath.mpf:
    total = mpmath.mpf(0)
    for nu, n in zip(model.expected_data(params, include_auxdata=False), model.data, strict=True):
        nu_, n_ = mpmath.mpf(float(nu)), mpmath.mpf(float(n))
        total += nu_ - n_ * mpmath.log(nu_) + mpmath.loggamma(n_ + 1)
    for p, x in zip(model.parameters, params, strict=True):
        if p.constraint == "gaussian":
            pull = (mpmath.mpf(float(x)) - p.centre) / p.width
            total += pull**2 / 2 + mpmath.log(p.width * mpmath.sqrt(2 * mpmath.pi))
    return total


@pytest.mark.parametrize("n", [0.0, 0.5, 3.0, 19.0, 20.0, 21.0, 1e3, 1e8])
@pytest.mark.parametrize("ratio", [0.3, 0.999999, 1.0, 2.0])
def test_poisson_term_is_exact(n: float, ratio: float) -> None:
    nu = max(n, 1.0) * ratio
    model = nextstat.from_pyhf(one_bin(nu, n, []))
    with mpmath.workdps(50):
        assert model.nll(model.init) == pytest.approx(
            float(exact_nll(model, model.init)), rel=1e-13
        )


def test_impossible_events_and_clipped_expectation() -> None:
    """nll is infinite where n > 0 and nu <= 0, and negative nu counts as 0 where n = 0."""
    modifiers = [histosys("shape", 30.0, -10.0)]
    names = ["shape", "mu"]
    for observed, expected in ((0.0, 0.0), (4.0, np.inf)):
        model = nextstat.from_pyhf(one_bin(10.0, observed, modifiers))
        params = np.array([{"shape": -2.0, "mu": 1.0}[n] for n in model.parameter_names])
        assert sorted(model.parameter_names) == sorted(names)
        assert model.expected_data(params)[0] < 0
        constraint = 0.5 * 2.0**2 + 0.5 * np.log(2 * np.pi)
        assert model.nll(params) == pytest.approx(expected + constraint)


def test_data_may_be_given() -> None:
    model = build(1)
    params = random_parameters(model, 1)
    reference, _ = pyhf_model(1, CODES[0])
    events, aux = model.data + 3.0, model.auxdata * 1.1
    data = np.concatenate([events, aux])
    twice = pyhf.infer.mle.twice_nll(params, data, reference).item()
    assert 2 * model.nll(params, data) == pytest.approx(twice, rel=1e-10)
    with_events = np.concatenate([events, model.auxdata])
    assert model.nll(params, events) == model.nll(params, with_events)
    gradient = model.nll_gradient(params, data)
    assert not np.array_equal(gradient, model.nll_gradient(params))
    assert model.nll_hessian(params, data).shape == (len(params), len(params))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda m: m.nll([1.0]), r"params has shape \(1\), expected"),
        (lambda m: m.nll_gradient(np.zeros((2, 2))), r"params has shape \(2, 2\), expected"),
        (lambda m: m.nll(m.init, [1.0]), r"data has shape \(1,\), expected"),
        (lambda m: m.nll(m.init, -m.data - 1), "data must be finite and not negative"),
        (lambda m: m.nll(m.init, m.data * np.nan), "data must be finite and not negative"),
    ],
)
def test_bad_arguments(call: object, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call(build(1))  # type: ignore[operator]


def histosys(name: str, hi: float, lo: float) -> dict[str, object]:
    return {"name": name, "type": "histosys", "data": {"hi_data": [hi], "lo_data": [lo]}}


def normsys(name: str, hi: float, lo: float) -> dict[str, object]:
    return {"name": name, "type": "normsys", "data": {"hi": hi, "lo": lo}}


def one_bin(
    nominal: float, observed: float, modifiers: list[dict[str, object]]
) -> dict[str, object]:
    """One sample in one bin, scaled by mu, with these modifiers."""
    mu = {"name": "mu", "type": "normfactor", "data": None}
    sample = {"name": "all", "data": [nominal], "modifiers": [mu, *modifiers]}
    return {
        "channels": [{"name": "bin", "samples": [sample]}],
        "observations": [{"name": "bin", "data": [observed]}],
        "measurements": [{"name": "m", "config": {"poi": "mu", "parameters": []}}],
        "version": "1.0.0",
    }
