"""Negative yields: uncertainties keep their relative widths; models start where bins are filled."""

import json
from typing import Any

import numpy as np
import pytest

import nextstat
from nextstat._gradients.templates import BindableTemplates
from nextstat.exceptions import WorkspaceError
from nextstat.workspace import load

MU = {"name": "mu", "type": "normfactor", "data": None}


def sample(name: str, data: list[float], *modifiers: dict[str, Any]) -> dict[str, Any]:
    return {"name": name, "data": data, "modifiers": list(modifiers)}


def widths(kind: str, data: list[float], name: str = "g") -> dict[str, Any]:
    return {"name": name, "type": kind, "data": data}


def workspace(
    *samples: dict[str, Any],
    observed: tuple[float, ...] = (450.0,),
    settings: tuple[dict[str, Any], ...] = (),
) -> dict[str, Any]:
    config = {"poi": "mu", "parameters": list(settings)}
    return {
        "channels": [{"name": "SR", "samples": list(samples)}],
        "observations": [{"name": "SR", "data": list(observed)}],
        "measurements": [{"name": "m", "config": config}],
        "version": "1.0.0",
    }


BKG = sample("b", [500.0])


@pytest.mark.parametrize("sign", [1.0, -1.0])
@pytest.mark.parametrize("kind", ["staterror", "shapesys"])
def test_relative_width_of_one_sample(kind: str, sign: float) -> None:
    signal = sample("s", [sign * 40.0], MU, widths(kind, [10.0]))
    parameter = nextstat.from_pyhf(workspace(signal, BKG)).parameters["g[0]"]
    assert not parameter.fixed
    assert parameter.width == pytest.approx(0.25, rel=1e-15)
    assert parameter.centre == 1.0


@pytest.mark.parametrize(
    ("yields", "errors"),
    [
        ([-30.0, -20.0], [3.0, 4.0]),
        ([30.0, -80.0], [3.0, 4.0]),
        ([-30.0, 80.0], [3.0, 4.0]),
        ([0.0, -50.0], [3.0, 4.0]),
        ([-25.0, -25.0, 0.0], [5.0, 0.0, 0.0]),
    ],
)
def test_quadrature_sum_over_samples(yields: list[float], errors: list[float]) -> None:
    """5 on a sum of -50 or 50."""
    pairs = zip("abc", yields, errors, strict=False)
    samples = [sample(name, [y], widths("staterror", [u])) for name, y, u in pairs]
    model = nextstat.from_pyhf(workspace(*samples, sample("s", [500.0], MU)))
    assert model.parameters["g[0]"].width == pytest.approx(0.1, rel=1e-15)
    assert not model.parameters["g[0]"].fixed


def test_several_bins_and_channels() -> None:
    """Each bin has its own sign."""
    document = workspace(
        sample("s", [-10.0, 20.0, 0.0], MU, widths("staterror", [1.0, 1.0, 1.0])),
        sample("b", [500.0, 500.0, 500.0]),
        observed=(450.0, 450.0, 450.0),
    )
    document["channels"].append(
        {"name": "CR", "samples": [sample("s", [-4.0], widths("staterror", [1.0])), BKG]}
    )
    document["observations"].append({"name": "CR", "data": [450.0]})
    model = nextstat.from_pyhf(document)
    table = model.parameters
    own = table.slices["g"]
    assert table.width[own].tolist() == [0.25, 0.1, 0.05, 1.0]
    assert table.fixed[own].tolist() == [False, False, False, True]


@pytest.mark.parametrize("yields", [(50.0, -50.0), (0.1, 0.2, -0.3), (1e9, -1e9, 1e-3)])
def test_yields_that_cancel_have_no_relative_width(yields: tuple[float, ...]) -> None:
    pairs = list(zip("abc", yields, strict=False))
    samples = [sample(name, [y], widths("staterror", [5.0])) for name, y in pairs]
    document = workspace(*samples, sample("s", [500.0], MU))
    load(document)
    with pytest.raises(WorkspaceError, match=r"share the staterror 'g' cancel in bin 0 of channel"):
        nextstat.from_pyhf(document)
    # The advice: a staterror of another name for samples with negative yields.
    for given, (name, y) in zip(document["channels"][0]["samples"], pairs, strict=False):
        given["modifiers"][0]["name"] = "g" if y > 0.0 else f"g_{name}"
    model = nextstat.from_pyhf(document)
    assert not model.fixed.any()
    # Nothing is lost where there is no uncertainty, or no yield that it could scale.
    for y, u in ((yields, 0.0), ((0.0,) * len(yields), 5.0)):
        samples = [sample(n, [x], widths("staterror", [u])) for n, x in zip("abc", y, strict=False)]
        model = nextstat.from_pyhf(workspace(*samples, sample("s", [500.0], MU)))
        assert model.fixed.tolist() == [False, True]


def test_widths_follow_templates() -> None:
    """And so do the derivatives, across the signs."""
    for kind, key in (("staterror", "SR/staterror/g"), ("shapesys", "SR/s/shapesys/g")):
        signal = sample("s", [-40.0], MU, widths(kind, [10.0]))
        model = nextstat.from_pyhf(workspace(signal, BKG))
        templates = BindableTemplates(model)
        assert set(model.templates()) == {"SR/s", "SR/b", key}
        bound = templates.bind({"SR/s": np.array([-20.0])})
        assert bound.model.parameters["g[0]"].width == pytest.approx(0.5, rel=1e-15)
        width = templates.widths[key]
        nominal, uncertainty = np.array([500.0, -20.0]), np.array([10.0])
        if width.cells[0].start == 0:
            nominal = nominal[::-1].copy()
        at = width.cells[0].start
        in_yield, in_uncertainty = width.pull_back(nominal, uncertainty, np.ones(1))
        step = 1e-4
        for sign in (1.0,):
            up, down = nominal.copy(), nominal.copy()
            up[at] += sign * step
            down[at] -= sign * step
            slope = (width.scale(up, uncertainty)[0] - width.scale(down, uncertainty)[0]) / 2e-4
            assert in_yield == pytest.approx(slope, rel=1e-6)
        slope = (
            width.scale(nominal, uncertainty + step)[0]
            - width.scale(nominal, uncertainty - step)[0]
        ) / 2e-4
        assert in_uncertainty == pytest.approx(slope, rel=1e-6)


# Where the fit starts -----------------------------------------------------------------------------


def interference(**setting: Any) -> dict[str, Any]:
    return workspace(
        sample("i", [-90.0, 5.0], MU),
        sample("b", [60.0, 60.0]),
        observed=(42.0, 61.0),
        settings=({"name": "mu", **setting},) if setting else (),
    )


def test_a_sum_below_zero_is_refused_only_where_the_fit_starts() -> None:
    message = (
        r"^\$\.channels\[0\]\.samples: nominal yields of bin 0 add up to -30, expected a sum >= 0 "
        r"at the starting values of the parameters, which 'inits' in a measurement's parameters"
    )
    for document in (interference(), interference(inits=[0.9]), interference(bounds=[[0, 2]])):
        with pytest.raises(WorkspaceError, match=message):
            load(json.dumps(document))
    for setting in ({"inits": [0.3]}, {"inits": [0.0]}, {"inits": [0.5], "bounds": [[0, 0.6]]}):
        result = nextstat.fit(nextstat.from_pyhf(interference(**setting)))
        assert result.converged
        assert result.mu == pytest.approx(0.2, abs=1e-6)
    empty = interference()
    empty["observations"][0]["data"] = [0.0, 61.0]  # a sum below zero counts as zero there
    assert nextstat.from_pyhf(empty).data.tolist() == [0.0, 61.0]
    other = interference()
    config = {"poi": "mu", "parameters": [{"name": "mu", "inits": [0.1]}]}
    other["measurements"].append({"name": "low", "config": config})
    assert nextstat.fit(nextstat.from_pyhf(other, measurement="low")).converged


def test_a_start_that_has_to_be_worked_out() -> None:
    """A measurement that starts a variation elsewhere may lift the bin."""
    lift = {"name": "k", "type": "histosys", "data": {"lo_data": [-60.0], "hi_data": [90.0]}}
    document = workspace(sample("i", [-10.0], lift, MU), observed=(40.0,))
    with pytest.raises(WorkspaceError, match="add up to -10"):
        load(document)
    document["measurements"][0]["config"]["parameters"] = [{"name": "k", "inits": [0.8]}]
    model = nextstat.from_pyhf(document)
    assert nextstat.fit(model, bounds={"mu": (0.0, 10.0)}).converged


# Luminosity ---------------------------------------------------------------------------------------


LUMI = {"name": "lumi", "auxdata": [1.0], "sigmas": [0.0], "inits": [1.0], "bounds": [[0.0, 2.0]]}


def test_unused_luminosity_without_uncertainty() -> None:
    """As pyhf's own converter writes it."""
    document = workspace(sample("s", [5.0], MU), BKG, settings=({**LUMI, "fixed": True},))
    assert nextstat.from_pyhf(json.dumps(document)).parameter_names == ("mu",)
    assert load(load(document)) == load(document)


@pytest.mark.parametrize("width", [0.0, -0.1])
def test_a_width_in_use_is_positive(width: float) -> None:
    lumi = {"name": "lumi", "type": "lumi", "data": None}
    document = workspace(sample("s", [5.0], MU, lumi), BKG, settings=({**LUMI, "sigmas": [width]},))
    with pytest.raises(WorkspaceError, match=r"parameters\[0\]\.sigmas\[0\]: found .*, expected a"):
        load(document)
    # The advice: to hold it, write 'fixed': true beside any positive width.
    setting = {**LUMI, "sigmas": [0.1], "fixed": True}
    document["measurements"][0]["config"]["parameters"] = [setting]
    model = nextstat.from_pyhf(document)
    assert nextstat.fit(model)["lumi"] == 1.0
    stat = widths("staterror", [5.0])
    settings = ({"name": "g", "sigmas": [0.0]},)
    with pytest.raises(WorkspaceError, match=r"found 0, expected a number > 0 since samples use"):
        load(workspace(sample("s", [5.0], MU, stat), BKG, settings=settings))
