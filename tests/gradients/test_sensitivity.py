"""Derivatives of likelihoods and of fits in templates and data, against finite differences.

Those of fits are with refits: whatever the data and the minima do when a template changes.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import digamma

import nextstat
from nextstat import _core
from nextstat._fits.settings import make_problem
from nextstat._gradients.derivatives import FIELDS, Asimov, Dataset, Derivatives, sizes
from nextstat._gradients.statistics import (
    Statistic,
    covariance,
    expected_log_cls,
    lowest_nll,
    nll_at,
    observed_log_cls,
    test_statistic,
    uncertainty,
    variance,
)
from nextstat._gradients.warm_profile import WarmProfile
from nextstat._model.histfactory import NUMBERS, HistFactoryModel
from nextstat.datasets import make_workspace

Vector = npt.NDArray[np.float64]
test_statistic.__test__ = False  # type: ignore[attr-defined]

CODES = [("code4", "code4p"), ("code1", "code0"), ("code4", "code2")]


def make_model(seed: int, codes: tuple[str, str] = CODES[0], **options: object) -> HistFactoryModel:
    """Every kind of modifier, in small numbers."""
    sizes = {"n_channels": 1, "n_bins": 3, "n_samples": 3, "n_systematics": 4, "shapesys": True}
    workspace = make_workspace(**{**sizes, **options}, random_state=seed)  # type: ignore[arg-type]
    return nextstat.from_pyhf(workspace, interpolation=codes)


def field(model: HistFactoryModel, name: str) -> Vector:
    """What a derivative is in."""
    if name in NUMBERS:
        return np.array(model._compiled.arrays[name], dtype=np.float64)
    return np.array({"data": model.data, "aux": model.auxdata}[name])


def replace_arrays(model: HistFactoryModel, arrays: dict[str, Vector]) -> HistFactoryModel:
    """The model with some of its arrays replaced."""
    compiled, table = model._compiled, model.parameters
    if "constraint_scale" in arrays:
        table = table.rescaled(arrays["constraint_scale"], table.auxdata, table.fixed)
    changed = replace(compiled, arrays={**compiled.arrays, **arrays}, parameters=table)
    return HistFactoryModel(changed, model.data, model.poi, model._codes)


def by_name(model: HistFactoryModel, found: tuple[Vector, Vector]) -> dict[str, Vector]:
    """Derivatives of the core, also those along a line, (2, ...), by the names of the fields."""
    params, fields = found
    parts = np.split(fields, np.cumsum([*sizes(model).values()])[:-1], axis=-1)
    return {"params": params, **dict(zip(sizes(model), parts, strict=True))}


def slope(function: Callable[[float], float], size: float) -> float:
    """Derivative at 0 by four differences."""
    near, far = (function(k * size) - function(-k * size) for k in (1.0, 2.0))
    return (8.0 * near - far) / (12.0 * size)


def draw_params(model: HistFactoryModel, rng: np.random.Generator) -> Vector:
    """Within the bounds, on either side of the interpolations' joints."""
    width = np.nan_to_num(model.parameters.width, nan=0.3)
    params = model.init + rng.normal(size=len(width)) * width * 1.2
    low, high = model.bounds.T
    inside: Vector = np.clip(params, low + 0.01, high)
    return inside


@settings(max_examples=30)
@given(seed=st.integers(0, 2**16), codes=st.sampled_from(CODES), data=st.data())
def test_nll(seed: int, codes: tuple[str, str], data: st.DataObject) -> None:
    """Every derivative of the nll along a random direction of all that there is."""
    model = make_model(seed, codes)
    rng = np.random.default_rng(seed)
    params = draw_params(model, rng)
    name = data.draw(st.sampled_from([*FIELDS, "params"]))
    values = params if name == "params" else field(model, name)
    if not len(values):
        return
    direction = rng.normal(size=len(values)) * 0.02 * np.abs(values)

    def nll(t: float) -> float:
        moved = values + t * direction
        changed = replace_arrays(model, {name: moved}) if name in NUMBERS else model
        n, aux = model.data, model.auxdata
        n, aux = (moved if name == "data" else n), (moved if name == "aux" else aux)
        theta = moved if name == "params" else params
        return _core.nll(changed._core, _core.Data(changed._core, n, aux), theta)

    found = by_name(model, _core.nll_sensitivities(model._core, model._observed, params))[name]
    if name == "data":
        found += digamma(model.data + 1.0)
    if name == "aux":
        constraints = np.array([c for c in model.parameters.constraints if c != "none"])
        found += np.where(constraints == "poisson", digamma(model.auxdata + 1.0), 0.0)
    expected = slope(nll, 1e-2)
    scale = np.abs(found) @ np.abs(direction)
    assert found @ direction == pytest.approx(expected, rel=1e-6, abs=1e-7 * scale + 1e-9)


@settings(max_examples=20)
@given(seed=st.integers(0, 2**16), codes=st.sampled_from(CODES))
def test_along_a_line(seed: int, codes: tuple[str, str]) -> None:
    """First and second derivatives along a line in the parameters, of all fields at once."""
    model = make_model(seed, codes)
    rng = np.random.default_rng(seed)
    params = draw_params(model, rng)
    line = rng.normal(size=len(params))
    core, observed = model._core, model._observed
    step = 1e-5

    def around(function: Callable[[Vector], Vector]) -> Vector:
        up, down = (function(params + sign * step * line) for sign in (1.0, -1.0))
        difference: Vector = (up - down) / (2.0 * step)
        return difference

    found = by_name(model, _core.nll_sensitivities_along(core, observed, params, line))

    def at(x: Vector, name: str) -> Vector:
        return by_name(model, _core.nll_sensitivities(core, observed, x))[name]

    def along(x: Vector, name: str) -> Vector:
        return by_name(model, _core.nll_sensitivities_along(core, observed, x, line))[name][0]

    for name in (*FIELDS, "params"):
        first = around(lambda x, n=name: at(x, n))
        second = around(lambda x, n=name: along(x, n))
        for got, expected in zip(found[name], (first, second), strict=True):
            scale = 1.0 + np.abs(expected).max(initial=0.0)
            np.testing.assert_allclose(got, expected, rtol=1e-5, atol=1e-6 * scale)


def test_gradient_and_hessian_are_those_of_the_kernels() -> None:
    model = make_model(3, n_channels=2)
    params = draw_params(model, np.random.default_rng(3))
    gradient, _ = _core.nll_sensitivities(model._core, model._observed, params)
    np.testing.assert_allclose(gradient, model.nll_gradient(params), rtol=1e-9, atol=1e-9)
    line = np.random.default_rng(4).normal(size=len(params))
    along, _ = _core.nll_sensitivities_along(model._core, model._observed, params, line)
    np.testing.assert_allclose(along[0], model.nll_hessian(params) @ line, rtol=1e-8, atol=1e-8)


def test_yields() -> None:
    """Of a weighted sum of expected events, by parameters and by templates."""
    model = make_model(5)
    rng = np.random.default_rng(5)
    params, weight = draw_params(model, rng), rng.normal(size=model.n_bins)
    found = by_name(model, _core.yield_sensitivities(model._core, params, weight))
    for name in ("params", "nominal", "norm_lo", "norm_hi", "histo_lo", "histo_hi"):
        values = params if name == "params" else field(model, name)
        direction = rng.normal(size=len(values)) * 0.01

        def events(t: float, n: str = name, x: Vector = values, d: Vector = direction) -> float:
            changed = model if n == "params" else replace_arrays(model, {n: x + t * d})
            at = x + t * d if n == "params" else params
            return float(weight @ _core.expected(changed._core, at))

        assert found[name] @ direction == pytest.approx(slope(events, 1e-2), rel=1e-7, abs=1e-9)


# Fits --------------------------------------------------------------------------------------------


def dataset(
    model: HistFactoryModel, kind: str, mu: float, n: Vector, aux: Vector, options: dict[str, Any]
) -> Dataset:
    """Observed data, or Asimov data at mu."""
    problem = make_problem(model, **options)._replace(precision=1e-20)
    poi = model.parameters.index("mu")
    events = _core.Data(model._core, n, aux)
    observed = WarmProfile(model, events, problem, poi, memory={}, label="observed")
    return Dataset(observed) if kind == "observed" else Asimov(observed, mu, kind)  # type: ignore[arg-type]


def weights(n: int) -> Vector:
    """Of the elements of a matrix, to make one number of it."""
    return np.random.default_rng(7).normal(size=(n, n))


def entries(data: Dataset) -> Statistic:
    """A weighted sum of the elements of the covariance."""
    found = covariance(data)
    weight = weights(len(found.value))
    return Statistic(float((weight * found.value).sum()), lambda g: found.pull_back(g * weight))


STATISTICS: dict[str, Callable[[Dataset], Statistic]] = {
    "nll": lowest_nll,
    "q0": lambda data: test_statistic(data, "q0", 0.0),
    "qtilde": lambda data: test_statistic(data, "qtilde", 2.5),
    "variance": variance,
    "uncertainty": uncertainty,
    "covariance": entries,
    "expected CLs": lambda data: expected_log_cls(data, 2.5),
    "observed CLs": lambda data: observed_log_cls(data, 2.5, "fitted"),
}


def evaluate(
    model: HistFactoryModel,
    statistic: str,
    kind: str,
    name: str,
    values: Vector,
    options: dict[str, Any],
) -> tuple[float, dict[str, Vector]]:
    """A statistic with one field replaced."""
    changed = replace_arrays(model, {name: values}) if name in NUMBERS else model
    n = values if name == "data" else model.data
    aux = values if name == "aux" else model.auxdata
    mu = 0.0 if "CLs" in statistic or statistic == "qtilde" else 1.0
    value, pull_back = STATISTICS[statistic](dataset(changed, kind, mu, n, aux, options))
    return float(value), pull_back(np.ones(()))


@pytest.mark.parametrize("kind", ["observed", "nominal", "fitted"])
@pytest.mark.parametrize("statistic", STATISTICS)
@pytest.mark.parametrize("codes", CODES[::2], ids=str)
@pytest.mark.parametrize("active", [False, True], ids=["inside", "at a bound"])
def test_fits(statistic: str, kind: str, codes: tuple[str, str], active: bool) -> None:
    """Every field, along random directions, with refits."""
    model = make_model(1, codes, signal_fraction=0.3, mu=1.3)
    if statistic == "observed CLs" and kind != "observed":
        return
    options: dict[str, Any] = {}
    if active:  # a nuisance parameter is stopped half a standard deviation before its minimum
        best = nextstat.fit(model)
        name = next(n for n in model.parameter_names if n.startswith("jet"))
        stop = best[name] + 0.5 * best.error(name)
        options = {"bounds": {name: (stop, 5.0)}, "init": {name: stop}}
    rng = np.random.default_rng(0)
    for name in FIELDS:
        values = field(model, name)
        if not len(values) or (kind == "nominal" and name in ("data", "aux")):
            continue
        _, found = evaluate(model, statistic, kind, name, values, options)
        size = 0.003 if "norm" in name else 0.02
        direction = rng.normal(size=len(values)) * size * np.maximum(1.0, np.abs(values))
        if name == "constraint_scale":  # 0 where there is no constraint
            direction = rng.normal(size=len(values)) * 0.02 * values

        def at(t: float, n: str = name, x: Vector = values, d: Vector = direction) -> float:
            return evaluate(model, statistic, kind, n, x + t * d, options)[0]

        expected, got = slope(at, 0.1), found[name] @ direction
        scale = np.abs(found[name]) @ np.abs(direction)
        assert got == pytest.approx(expected, rel=1e-4, abs=1e-5 * scale + 1e-7), name


def test_nll_of_parameters() -> None:
    """At given parameters, with the constants of data and auxiliary data."""
    model = make_model(2)
    rng = np.random.default_rng(2)
    params = draw_params(model, rng)
    poi = model.parameters.index("mu")

    def nll(data: _core.Data, params: Vector) -> Statistic:
        problem = make_problem(model)
        profile = WarmProfile(model, data, problem, poi, memory={}, label="observed")
        return nll_at(Dataset(profile), params)

    found = nll(model._observed, params).pull_back(np.ones(()))
    moves = {"data": model.data, "aux": model.auxdata, "params": params}
    for name, values in moves.items():
        direction = rng.normal(size=len(values)) * 0.02 * np.abs(values)

        def at(t: float, n: str = name, x: Vector = values, d: Vector = direction) -> float:
            now = {**moves, n: x + t * d}
            data = _core.Data(model._core, now["data"], now["aux"])
            return float(nll(data, now["params"]).value)

        assert found[name] @ direction == pytest.approx(slope(at, 0.1), rel=1e-6, abs=1e-7), name


def test_memory() -> None:
    """A fit from a remembered minimum is the fit, also when the minimum has moved far away."""
    model = make_model(1, signal_fraction=0.3, mu=1.3)
    cold = nextstat.fit(model)
    problem, poi = make_problem(model), model.parameters.index("mu")
    far = {"observed best": cold.values + 3.0 * np.nan_to_num(cold.errors)}
    for memory in ({}, {"observed best": cold.values}, far):
        profile = WarmProfile(model, model._observed, problem, poi, memory=memory, label="observed")
        np.testing.assert_allclose(profile.best, cold.values, atol=1e-5)
        assert memory["observed best"] is profile.best


@pytest.mark.parametrize("naive", ["data", "minimum"])
def test_shortcuts_are_wrong(naive: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the way through the data, or through the minimum, the derivative is another."""
    model = make_model(1, signal_fraction=0.3, mu=1.3)
    kind, statistic = ("fitted", "q0") if naive == "data" else ("observed", "variance")
    values = field(model, "nominal")
    _, right = evaluate(model, statistic, kind, "nominal", values, {})
    if naive == "data":
        monkeypatch.setattr(Asimov, "settle", lambda *arguments: None)
    else:
        monkeypatch.setattr(Derivatives, "add_through_minimum", lambda *arguments: None)
    _, wrong = evaluate(model, statistic, kind, "nominal", values, {})
    assert np.abs(right["nominal"] - wrong["nominal"]).max() > 0.05 * np.abs(right["nominal"]).max()
