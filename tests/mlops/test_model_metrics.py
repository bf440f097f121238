"""What a model is worth, in numbers: of models, and of layers from histograms."""

from __future__ import annotations

import math
import time
from typing import Any

import pytest
import torch
from fitted import FREE, RATE, STATISTICS, counting

import nextstat
from nextstat import FitWarning
from nextstat.datasets import make_workspace
from nextstat.interpret import rank_impact
from nextstat.mlops import metrics_dict, model_metrics
from nextstat.torch import HistFactoryLayer, SignificanceLoss


def test_model_metrics_of_a_model() -> None:
    model = counting(RATE, STATISTICS)
    asimov = nextstat.asimov_data(model, mu=1.0)
    for expected, data in ((True, asimov), (False, None)):
        metrics = model_metrics(model, "val/", expected=expected, top_n=2)
        assert all(type(value) is float for value in metrics.values())
        z0 = nextstat.significance(model, expected=expected)
        assert metrics["val/z0"] == pytest.approx(z0, rel=1e-8)
        assert metrics["val/q0"] == metrics["val/z0"] ** 2
        fit = metrics_dict(nextstat.fit(model, data), "val/", include_time=False)
        for name in ("mu", "nll", "edm", "converged", "error/mu"):
            assert metrics[f"val/{name}"] == fit[f"val/{name}"]
        rows = rank_impact(model, top_n=2, data=data)
        impacts = {key: value for key, value in metrics.items() if key.startswith("val/impact/")}
        assert impacts == {f"val/impact/{row['name']}": row["total_impact"] for row in rows}
        assert metrics["val/time_ms"] > 0.0
        assert metrics["val/n_active_bounds"] == 0.0
        assert len(metrics) == 11
    assert len(model_metrics(model, top_n=0)) == 9


def test_model_metrics_of_a_failing_model() -> None:
    with (
        pytest.warns(FitWarning, match="singular"),
        pytest.warns(FitWarning, match="do not determine 'free'"),
    ):
        metrics = model_metrics(counting(*FREE))
    assert metrics["converged"] == 0.0
    assert math.isnan(metrics["z0"])
    assert math.isnan(metrics["error/mu"])
    assert not any(key.startswith("impact/") for key in metrics)


def layer(signal: tuple[float, ...] = (5.0, 10.0), **options: Any) -> HistFactoryLayer:
    """The model of `counting(RATE)`, from tensors."""
    return HistFactoryLayer.from_histograms(
        torch.tensor(signal),
        torch.tensor([50.0, 40.0]),
        norm_systematics={"rate": {"background": (0.9, 1.1)}},
        **options,
    )


@pytest.mark.parametrize(
    "options", [{}, {"fixed": {"rate": 0.0}}, {"bounds": {"rate": (-0.1, 0.1)}, "init": {"mu": 2}}]
)
def test_a_layer_is_evaluated_with_its_options(options: dict[str, Any]) -> None:
    built = layer(**options)
    metrics = model_metrics(built, nuisances="nominal")
    assert metrics["z0"] == pytest.approx(built.z0().item(), rel=1e-9)
    assert metrics.keys() == model_metrics(built.model, **options).keys()
    assert ("impact/rate" in metrics) == ("fixed" not in options)
    released = model_metrics(built, fixed=[], nuisances="nominal")
    if "fixed" in options:
        assert released["z0"] < metrics["z0"] - 0.1


def test_options_are_those_of_the_functions() -> None:
    model = counting(RATE, STATISTICS)
    options: dict[str, Any] = {"fixed": {"rate": 0.5}, "bounds": {"stat[1]": (0.9999, 1.0001)}}
    metrics = model_metrics(model, expected=False, **options, init={"mu": 0.3})
    result = nextstat.fit(model, **options)
    assert metrics["z0"] == pytest.approx(nextstat.significance(model, **options), rel=1e-8)
    assert metrics["mu"] == pytest.approx(result.mu)
    assert metrics["mu"] != pytest.approx(nextstat.fit(model).mu)
    assert metrics["n_active_bounds"] == 1.0
    rows = rank_impact(model, **options)
    assert {row["name"] for row in rows} == {"stat[0]", "stat[1]"}
    for row in rows:
        impact = metrics[f"impact/{row['name']}"]
        assert impact == pytest.approx(row["total_impact"], nan_ok=True)
    assert "impact/rate" not in metrics
    expected = model_metrics(model, **options)
    assert expected["z0"] == pytest.approx(nextstat.significance(model, True, **options), rel=1e-8)
    with pytest.raises(ValueError, match="starting value of 'mu' is 9, outside"):
        model_metrics(model, init={"mu": 9}, bounds={"mu": (0.0, 5.0)})


def test_nominal_is_what_losses_are_of() -> None:
    model = counting(RATE)
    loss = SignificanceLoss(model)(torch.tensor([5.0, 10.0])).item()
    assert model_metrics(model, nuisances="nominal")["z0"] == pytest.approx(-loss, rel=1e-9)
    assert model_metrics(model)["z0"] != pytest.approx(-loss, rel=1e-3)


def test_layers_have_no_observed_data() -> None:
    with pytest.raises(ValueError, match="no observed data: pass a HistFactoryModel"):
        model_metrics(layer(), expected=False)


def test_options_hold_for_everything() -> None:
    """Also an iterator, and starting values without which bounds would be refused."""
    model = nextstat.from_pyhf(make_workspace(n_channels=1, n_systematics=2, random_state=0))
    names = ["jet_energy_scale", "norm_ttbar"]
    listed, iterated = (model_metrics(model, fixed=f) for f in (names, iter(names)))
    assert {k: v for k, v in listed.items() if k != "time_ms"} == {
        k: v for k, v in iterated.items() if k != "time_ms"
    }
    assert not {f"impact/{name}" for name in names} & listed.keys()
    bounds = {"jet_energy_scale": (0.5, 3.0)}
    found = model_metrics(model, init={"jet_energy_scale": 1.0}, bounds=bounds)
    assert found["converged"] == 1.0
    assert found["impact/norm_ttbar"] > 0.0


def test_the_time_is_that_of_the_call() -> None:
    model = nextstat.from_pyhf(make_workspace(n_systematics=20, random_state=0))
    started = time.perf_counter()
    found = model_metrics(model)["time_ms"]
    whole = 1e3 * (time.perf_counter() - started)
    assert 0.1 * whole < found < whole


def test_another_parameter_of_interest() -> None:
    without = counting(RATE, FREE[0], poi="")
    with pytest.raises(ValueError, match="pass poi=, one of its parameter_names"):
        model_metrics(without)
    metrics = model_metrics(without, poi="free")
    result = nextstat.fit(without, nextstat.asimov_data(without, 1.0, poi="free"))
    assert metrics["mu"] == result["free"]
    assert metrics["error/free"] == result.error("free") > 0.0
    assert metrics["z0"] == pytest.approx(nextstat.significance(without, True, poi="free"))
    assert metrics["impact/rate"] > 0.0


def test_infinite_significance() -> None:
    """Events in a bin without background: as `significance` has it, and all else is there."""
    model = nextstat.from_pyhf(counting_workspace([50.0, 0.0]))
    for expected in (True, False):
        with pytest.warns(FitWarning, match=r"infinite: .*SR"):
            metrics = model_metrics(model, expected=expected)
        assert metrics["z0"] == metrics["q0"] == math.inf
        assert metrics["converged"] == 1.0
        assert metrics["mu"] > 0.0


def counting_workspace(background: list[float]) -> dict[str, Any]:
    strength = [{"name": "mu", "type": "normfactor", "data": None}]
    samples = [
        {"name": "signal", "data": [5.0, 10.0], "modifiers": strength},
        {"name": "background", "data": background, "modifiers": []},
    ]
    return {
        "channels": [{"name": "SR", "samples": samples}],
        "observations": [{"name": "SR", "data": [57.0, 12.0]}],
        "measurements": [{"name": "m", "config": {"poi": "mu", "parameters": []}}],
        "version": "1.0.0",
    }


@pytest.mark.parametrize(
    ("source", "message"),
    [
        (
            HistFactoryLayer(counting()),
            "of a model, .*built from these",
        ),
        (
            SignificanceLoss(counting()),
            "is a SignificanceLoss, .*or a HistFactoryLayer",
        ),
        (nextstat.fit(counting()), "model is a FitResult, .*its model is result.model"),
        (counting_workspace([50.0, 40.0]), "model is a dict, .*make one with from_pyhf"),
    ],
)
def test_what_has_no_model_of_its_own_is_refused(source: Any, message: str) -> None:
    with pytest.raises(TypeError, match=message):
        model_metrics(source)


def test_histograms_that_are_not_finite_are_named() -> None:
    with pytest.raises(ValueError, match=r"'channel/signal' of the layer is \[nan, 10.0\]"):
        model_metrics(layer((math.nan, 10.0)))
