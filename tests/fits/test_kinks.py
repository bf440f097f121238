"""Likelihoods that are not smooth: interpolation codes with a kink, bins that expect nothing."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest

import nextstat
from nextstat import FitWarning, HistFactoryModel
from nextstat.torch import HistFactoryLayer


def model_of(
    signal: list[float],
    others: list[tuple[list[float], dict[str, Any]]],
    data: list[float],
    *,
    of_signal: dict[str, Any] | None = None,
    codes: tuple[str, str] = ("code4", "code4p"),
) -> HistFactoryModel:
    """Signal and other samples, each with one systematic called "h"."""
    poi: dict[str, Any] = {"name": "mu", "type": "normfactor", "data": None}
    modifiers = [poi, *([{"name": "h", **of_signal}] if of_signal else [])]
    samples = [{"name": "s", "data": signal, "modifiers": modifiers}]
    for k, (yields, systematic) in enumerate(others):
        systematics = [{"name": "h", **systematic}]
        samples.append({"name": f"b{k}", "data": yields, "modifiers": systematics})
    workspace = {
        "channels": [{"name": "c", "samples": samples}],
        "observations": [{"name": "c", "data": data}],
        "measurements": [{"name": "m", "config": {"poi": "mu", "parameters": []}}],
        "version": "1.0.0",
    }
    return nextstat.from_pyhf(workspace, interpolation=codes)


def norm(hi: float, lo: float) -> dict[str, Any]:
    return {"type": "normsys", "data": {"hi": hi, "lo": lo}}


def shape(hi: list[float], lo: list[float]) -> dict[str, Any]:
    return {"type": "histosys", "data": {"hi_data": hi, "lo_data": lo}}


@pytest.mark.parametrize(
    ("systematic", "smooth", "codes"),
    [
        (norm(1.2, 0.85), norm(1.2, 1 / 1.2), ("code1", "code4p")),
        (
            shape([60.0, 75.0], [42.0, 50.0]),
            shape([60.0, 75.0], [40.0, 45.0]),
            ("code4", "code0"),
        ),
    ],
)
def test_a_flat_kink_does_not_hold_a_parameter(
    systematic: dict[str, Any], smooth: dict[str, Any], codes: tuple[str, str]
) -> None:
    """In Asimov data the slopes vanish on both sides of the kink: the parameter is free.

    Its errors are those of the upper side: of a systematic with that effect, and no kink.
    """
    model, other = (
        model_of([5.0, 10.0], [([50.0, 60.0], kind)], [55.0, 70.0], codes=codes)
        for kind in (systematic, smooth)
    )
    result = nextstat.fit(model)
    assert result.converged
    assert result.active_bounds == ()
    np.testing.assert_allclose(result.errors, nextstat.fit(other).errors, rtol=1e-6)
    layer = HistFactoryLayer(model)
    assert layer.mu_uncertainty().item() == pytest.approx(result.error("mu"), rel=1e-6)
    impacts = {
        row["name"]: row for row in nextstat.interpret.rank_impact(model, bounds={"mu": (-10, 10)})
    }
    assert impacts["h"]["total_impact"] > 0.5


@pytest.mark.parametrize("data", [[30.0, 50.0], [30.0, 60.0], [30.0, 30.0]])
def test_no_maximum_at_a_kink(data: list[float]) -> None:
    """Without signal, nothing is left of the kink, and the nll may have its maximum there."""
    model = model_of(
        [10.0, 20.0],
        [([50.0, 50.0], norm(0.5, 0.5))],
        data,
        of_signal=shape([12.0, 18.0], [9.0, 22.0]),
        codes=("code4", "code0"),
    )
    for fixed in ({}, {"mu": 0.0}):
        single, many = (nextstat.fit(model, fixed=fixed, n_starts=n) for n in (1, 20))
        assert single.converged
        assert single.nll == pytest.approx(many.nll, abs=1e-7)


EMPTY_BINS = [
    ([1.0, 1.0], [21.0, 6.0], [10.0, 4.0], [34.0, 0.0], [0.0, 8.0]),
    ([1.0] * 3, [18.0, 13.0, 48.0], [28.0, 0.0, 119.0], [1.0, 11.0, 90.0], [0.0, 19.0, 94.0]),
]


@pytest.mark.parametrize(("signal", "background", "up", "down", "data"), EMPTY_BINS)
def test_edges_of_no_expectation_are_sharp(
    signal: list[float],
    background: list[float],
    up: list[float],
    down: list[float],
    data: list[float],
) -> None:
    model = model_of(signal, [(background, shape(up, down))], data)
    assert_lowest_nearby(model)


def test_edges_of_random_models_are_sharp() -> None:
    """Before, 3 % of such fits stopped where the edge was still rounded off."""
    for seed in range(200):
        rng = np.random.default_rng(seed)
        n = int(rng.integers(2, 4))
        background = rng.integers(5, 60, n).astype(float)
        up, down = np.round(background * np.maximum(1.0 + 0.8 * rng.normal(size=(2, n)), 0.0))
        data = rng.poisson(2 * background).astype(float)
        data[0] = 0.0
        systematic = shape(up.tolist(), down.tolist())
        assert_lowest_nearby(
            model_of([1.0] * n, [(background.tolist(), systematic)], data.tolist())
        )


def assert_lowest_nearby(model: HistFactoryModel) -> None:
    """If a fit converged, its nll is that of the model, and not higher than next to it."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FitWarning)
        result = nextstat.fit(model)
    if not result.converged:
        return
    assert result.nll == pytest.approx(model.nll(result.values), abs=1e-9)
    low, high = model.bounds.T
    rng = np.random.default_rng(1)
    for size in (1e-5, 1e-4, 1e-3):
        for direction in rng.normal(size=(40, len(low))):
            beside = np.clip(result.values + size * direction, low, high)
            assert model.nll(beside) > result.nll - 1e-6


@pytest.mark.parametrize("rise", [0.02, 0.1, 0.3])
def test_a_valley_behind_a_ridge_is_found(rise: float) -> None:
    """The kink holds the parameter there, but a little away the nll falls."""
    up = [(1.0 + rise) * 100.0, (1.0 + rise) * 90.0]
    model = model_of(
        [5.0, 10.0],
        [([100.0, 120.0], norm(0.5, 0.5)), ([100.0, 90.0], shape(up, up))],
        [150.0, 160.0],
        codes=("code4", "code0"),
    )
    start = nextstat.fit(model, fixed={"h": 0.0})
    h = np.array(model.parameter_names) == "h"
    for step in (-1e-3, 1e-3):
        assert model.nll(start.values + step * h) > start.nll
    result = nextstat.fit(model)
    assert result.converged
    assert result.nll < start.nll - 1.0
    assert result.nll == pytest.approx(min(sides_of(model)), abs=1e-7)


def sides_of(model: HistFactoryModel) -> list[float]:
    """The nll of fits below and above the kink."""
    return [
        nextstat.fit(model, bounds={"h": side}, init={"h": sum(side) / 10}).nll
        for side in ((-5.0, 0.0), (0.0, 5.0))
    ]


def above_better_side(seed: int) -> float:
    """How much higher the nll of a fit is than that of the better side of its kink."""
    rng = np.random.default_rng(seed)
    n = int(rng.integers(2, 5))
    nominal = rng.uniform(5.0, 60.0, n)
    codes = ("code1", "code4p"), ("code4", "code0"), ("code4", "code2")
    which = int(rng.integers(3))
    if which == 0:
        systematic = norm(*rng.uniform(0.7, 1.5, 2))
    else:
        systematic = shape(*(nominal * rng.uniform(0.6, 1.5, n) for _ in range(2)))
    data = rng.poisson(nominal * rng.uniform(0.8, 1.2, n)).astype(float)
    signal = rng.uniform(0.0, 5.0, n).tolist()
    model = model_of(signal, [(nominal.tolist(), systematic)], data.tolist(), codes=codes[which])
    result = nextstat.fit(model)
    assert result.converged
    return result.nll - min(sides_of(model))


@pytest.mark.filterwarnings("ignore:bounds that nobody chose")
def test_the_better_side_of_a_kink_is_found() -> None:
    """All but 14 of 6,000 such fits find it; 36 did not, when only folds led beyond kinks."""
    above = np.array([above_better_side(seed) for seed in range(1500)])
    assert np.sum(above > 1e-7) <= 7
    assert above.max() < 0.06
