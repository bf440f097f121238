"""Bounds that nobody chose, where they stop other parameters than that of interest."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import nextstat
from nextstat import FitWarning, HistFactoryModel
from nextstat.datasets import make_workspace
from nextstat.interpret import rank_impact
from nextstat.torch import HistFactoryLayer

INF = float("inf")


def workspace(
    excess: float, modifier: dict[str, Any], parameters: list[dict[str, Any]] | None = None
) -> dict[str, Any]:
    """Control bins with some times the nominal events, whose background has the modifier."""
    strength = {"name": "mu", "type": "normfactor", "data": None}
    samples = [
        {"name": "signal", "data": [8.0, 0.0, 0.0], "modifiers": [strength]},
        {"name": "background", "data": [10.0, 40.0, 30.0], "modifiers": [modifier]},
    ]
    observed = [round(10.0 * excess) + 5.0, round(40.0 * excess), round(30.0 * excess)]
    return {
        "channels": [{"name": "c", "samples": samples}],
        "observations": [{"name": "c", "data": observed}],
        "measurements": [{"name": "m", "config": {"poi": "mu", "parameters": parameters or []}}],
        "version": "1.0.0",
    }


FACTOR = {"name": "scale", "type": "normfactor", "data": None}
SHAPE = {"name": "scale", "type": "normsys", "data": {"lo": 0.95, "hi": 1.05}}

CALLS: dict[str, Callable[..., object]] = {
    "fit": nextstat.fit,
    "significance": nextstat.significance,
    "hypotest": nextstat.hypotest,
    "upper_limit": nextstat.upper_limit,
    "goodness_of_fit": nextstat.goodness_of_fit,
    "gof_toys": lambda m, **o: nextstat.goodness_of_fit(
        m, calculator="toys", n_toys=20, seed=1, **o
    ),
    "fit_toys": lambda m, **o: nextstat.fit_toys(m, 20, seed=1, **o),
    "fit_batch": lambda m, **o: nextstat.fit_batch(m, np.tile(m.data, (2, 1)), **o),
    "scan": nextstat.scan,
    "cls_scan": lambda m, **o: nextstat.cls_scan(m, [0.5, 1.0], **o),
    "rank_impact": rank_impact,
    "layer": lambda m, **o: HistFactoryLayer(m, **o).q0(data="observed"),
}


def messages(call: Callable[[], object]) -> list[str]:
    with warnings.catch_warnings(record=True) as found:
        warnings.simplefilter("always")
        call()
    return [str(w.message) for w in found if "nobody chose stop" in str(w.message)]


@pytest.mark.parametrize("name", [*CALLS])
def test_said_once_and_advice_helps(name: str) -> None:
    """Fourteen times the nominal background: [0, 10] is not enough."""
    model = nextstat.from_pyhf(workspace(14.0, FACTOR))
    (message,) = messages(lambda: CALLS[name](model))
    assert "stop 'scale' at 10; the result depends on them" in message
    advice = "bounds={'scale': (0, float('inf'))}"
    assert advice in message
    assert messages(lambda: CALLS[name](model, bounds={"scale": (0, INF)})) == []


def test_advice_changes_the_result() -> None:
    model = nextstat.from_pyhf(workspace(14.0, FACTOR))
    with pytest.warns(FitWarning, match="nobody chose"):
        assert nextstat.significance(model) > 4.0
    with pytest.warns(FitWarning, match="nobody chose"):
        assert nextstat.goodness_of_fit(model, fixed={"mu": 0.0}).pvalue < 1e-6
    free = {"scale": (0.0, INF)}
    exact = nextstat.from_pyhf(
        workspace(14.0, FACTOR, [{"name": "scale", "inits": [14.0], "bounds": [[1.0, 100.0]]}])
    )
    assert nextstat.significance(model, bounds=free) == pytest.approx(nextstat.significance(exact))
    assert nextstat.significance(exact) < 1.0
    assert nextstat.fit(model, bounds=free)["scale"] == pytest.approx(14.0)
    assert nextstat.goodness_of_fit(model, bounds=free, fixed={"mu": 0.0}).pvalue > 0.1


@settings(max_examples=30, deadline=None)
@given(
    kind=st.sampled_from(["normfactor", "normsys", "shapefactor"]),
    excess=st.sampled_from([0.02, 0.8, 1.0, 1.2, 9.0, 11.0, 30.0]),
)
def test_exactly_where_a_bound_stops(kind: str, excess: float) -> None:
    """And follow what the message says: nothing stops the fit then, and it is lower."""
    data = {"normfactor": None, "normsys": {"lo": 0.95, "hi": 1.05}, "shapefactor": None}[kind]
    model = nextstat.from_pyhf(workspace(excess, {"name": "scale", "type": kind, "data": data}))
    fit = partial(nextstat.fit, model, fixed={"mu": 1.0})
    wide = {
        name: (low if low == 0.0 else -INF, INF)
        for name, low in zip(model.parameter_names, model.bounds[:, 0].tolist(), strict=True)
        if name != "mu"
    }
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        given, free = fit(), fit(bounds=wide)
    stopped = given.nll > free.nll + 1e-6
    found = messages(fit)
    assert len(found) == stopped
    if not stopped:
        return
    text = found[0].split("bounds=")[1].rsplit(" frees", 1)[0]
    advised = eval(text)
    assert fit(bounds=advised).nll == pytest.approx(free.nll)
    assert messages(lambda: fit(bounds=advised)) == []


def test_chosen_bounds_are_silent() -> None:
    """Those of the measurement, and those of the caller, by name or as an array."""
    chosen = [{"name": "scale", "bounds": [[0.0, 10.0]]}]
    model = nextstat.from_pyhf(workspace(14.0, FACTOR, chosen))
    assert not model.parameters.default_bounds[model.parameters.index("scale")]
    for call in CALLS.values():
        assert messages(lambda call=call: call(model)) == []  # type: ignore[misc]
    default = nextstat.from_pyhf(workspace(14.0, FACTOR))
    assert messages(lambda: nextstat.fit(default, bounds={"scale": (0, 10)})) == []
    assert messages(lambda: nextstat.fit(default, bounds=default.bounds)) == []
    assert messages(lambda: nextstat.fit(default, fixed={"scale": 10.0})) == []


def test_physical_ends_are_silent() -> None:
    """A factor at 0, and gammas just above: yields are not negative."""
    spec = workspace(1.0, FACTOR)
    spec["channels"][0]["samples"].append(
        {"name": "other", "data": [5.0, 30.0, 9.0], "modifiers": [{**FACTOR, "name": "other"}]}
    )
    spec["observations"][0]["data"] = [1.0, 40.0, 30.0]
    model = nextstat.from_pyhf(spec)
    result = nextstat.fit(model)
    assert result.active_bounds
    assert messages(lambda: nextstat.fit(model)) == []


def test_far_conditional_fits_are_silent() -> None:
    """A parameter five widths away says that a tested value is excluded, no more."""
    model = nextstat.from_pyhf(workspace(1.0, SHAPE))
    data = [10.0 + 8.0 * 90, 40.0, 30.0]
    stopped = nextstat.fit(model, data, fixed={"mu": 0.0}, bounds={"scale": (-5, 5)})
    assert stopped.active_bounds == ("scale",)
    with pytest.warns(FitWarning, match="which were widened for it"):
        assert nextstat.significance(model, data=data) > 20.0
    (message,) = messages(lambda: nextstat.fit(nextstat.from_pyhf(workspace(14.0, SHAPE))))
    assert "'scale' at 5" in message


@pytest.mark.parametrize("seed", range(5))
def test_ordinary_fits_are_silent(seed: int) -> None:
    model: HistFactoryModel = nextstat.from_pyhf(make_workspace(random_state=seed))
    for call in CALLS.values():
        assert messages(lambda call=call: call(model)) == []  # type: ignore[misc]


def test_batch_of_a_layer_says_it_once() -> None:
    model = nextstat.from_pyhf(workspace(14.0, FACTOR))
    layer = HistFactoryLayer(model)
    signal = torch.tensor([[8.0, 0.0, 0.0], [9.0, 0.0, 0.0]])
    name = next(x for x in layer.template_names if "signal" in x)
    for method in ("q0", "upper_limit", "mu_uncertainty", "nll"):
        templates = {name: signal.clone().requires_grad_()}
        call = getattr(layer, method)
        assert len(messages(lambda: call(templates, data="observed"))) == 1, method  # noqa: B023
