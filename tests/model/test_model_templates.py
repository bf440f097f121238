"""Templates by name: what is replaced is what a workspace with these values would give."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import nextstat
from nextstat._gradients.templates import BindableTemplates
from nextstat.datasets import make_workspace

Vector = npt.NDArray[np.float64]


def draw_workspace(seed: int) -> dict[str, Any]:
    """All kinds of modifiers, some bins of which do nothing."""
    workspace: dict[str, Any] = make_workspace(
        n_channels=2, n_bins=3, n_samples=3, n_systematics=4, shapesys=True, random_state=seed
    )
    rng = np.random.default_rng(seed)
    for channel in workspace["channels"]:
        for sample in channel["samples"]:
            for modifier in sample["modifiers"]:
                if modifier["type"] in ("staterror", "shapesys") and rng.random() < 0.4:
                    modifier["data"][int(rng.integers(3))] = 0.0
    return workspace


def rewrite(workspace: dict[str, Any], name: str, value: Vector) -> dict[str, Any]:
    """The workspace with one template replaced."""
    changed = copy.deepcopy(workspace)
    channel_name, *rest = name.split("/")
    channel = next(c for c in changed["channels"] if c["name"] == channel_name)
    if rest[0] == "staterror":  # shared among the samples that have it
        users = [
            modifier
            for sample in channel["samples"]
            for modifier in sample["modifiers"]
            if modifier["name"] == rest[1]
        ]
        for modifier in users:
            modifier["data"] = np.sqrt(value / len(users)).tolist()
        return changed
    sample = next(s for s in channel["samples"] if s["name"] == rest[0])
    if len(rest) == 1:
        sample["data"] = value.tolist()
        return changed
    kind, modifier_name = rest[1:3]
    modifier = next(
        m for m in sample["modifiers"] if (m["type"], m["name"]) == (kind, modifier_name)
    )
    if kind == "histosys":
        modifier["data"][f"{rest[3]}_data"] = value.tolist()
    elif kind == "normsys":
        modifier["data"][rest[3]] = float(value)
    else:
        modifier["data"] = value.tolist()
    return changed


@settings(max_examples=40)
@given(seed=st.integers(0, 2**16), data=st.data())
def test_replaced(seed: int, data: st.DataObject) -> None:
    """Yields, constraints, auxiliary measurements and fixed flags of the changed workspace."""
    workspace = draw_workspace(seed)
    model = nextstat.from_pyhf(workspace)
    templates = BindableTemplates(model)
    name = data.draw(st.sampled_from(sorted(templates.places)))
    rng = np.random.default_rng(seed)
    old = model.templates()[name]
    new = np.asarray(old * rng.uniform(0.5, 1.5, old.shape))
    if new.ndim and "histosys" not in name:
        new[rng.random(new.shape) < 0.3] = 0.0
        new += 1e-3 * (old == 0.0) * (rng.random(new.shape) < 0.5)
    if "/" not in name.split("/", 1)[1]:
        total = sum(
            np.array(s["data"])
            for c in workspace["channels"]
            for s in c["samples"]
            if c["name"] == name.split("/")[0]
        )
        new = np.where(total - old + new > 0.0, new, old)  # some events must be expected
    expected = nextstat.from_pyhf(rewrite(workspace, name, new))
    bound = templates.bind({name: new}).model
    for found, right in zip(
        (bound.fixed, bound.auxdata, bound.parameters.width, bound.init),
        (expected.fixed, expected.auxdata, expected.parameters.width, expected.init),
        strict=True,
    ):
        np.testing.assert_allclose(found, right, rtol=1e-12)
    params = rng.normal(bound.init, 0.1)
    np.testing.assert_allclose(bound.nll(params), expected.nll(params), rtol=1e-12)
    np.testing.assert_allclose(
        bound.expected_data(params), expected.expected_data(params), rtol=1e-12
    )


def test_values() -> None:
    """Every template of a workspace, by its name, with its values."""
    workspace = draw_workspace(0)
    model = nextstat.from_pyhf(workspace)
    found = model.templates()
    n_expected = 0
    for channel in workspace["channels"]:
        variance = np.zeros(3)
        for sample in channel["samples"]:
            path = f"{channel['name']}/{sample['name']}"
            np.testing.assert_array_equal(found[path], sample["data"])
            n_expected += 1
            for modifier in sample["modifiers"]:
                kind, name = modifier["type"], modifier["name"]
                if kind == "histosys":
                    for end in ("lo", "hi"):
                        value = found[f"{path}/histosys/{name}/{end}"]
                        np.testing.assert_array_equal(value, modifier["data"][f"{end}_data"])
                    n_expected += 2
                if kind == "normsys":
                    for end in ("lo", "hi"):
                        assert found[f"{path}/normsys/{name}/{end}"] == modifier["data"][end]
                    n_expected += 2
                if kind == "shapesys":
                    value = found[f"{path}/shapesys/{name}"]
                    np.testing.assert_array_equal(value, modifier["data"])
                    n_expected += 1
                if kind == "staterror":
                    variance = variance + np.square(modifier["data"])
                    stat = f"{channel['name']}/staterror/{name}"
        np.testing.assert_allclose(found[stat], variance, rtol=1e-12)
        n_expected += 1
    assert len(found) == n_expected
    same = BindableTemplates(model).bind(found).model
    np.testing.assert_allclose(same.nll(model.init), model.nll(model.init), rtol=1e-14)


def test_copies() -> None:
    """What a caller does to the values does not reach the model."""
    model = nextstat.from_pyhf(draw_workspace(0))
    before, nll = model.templates(), model.nll(model.init)
    for value in model.templates().values():
        value += 1.0
    assert model.nll(model.init) == nll
    for name, value in model.templates().items():
        np.testing.assert_array_equal(value, before[name])


def test_rejected() -> None:
    model = nextstat.from_pyhf(draw_workspace(3))
    templates = BindableTemplates(model)
    channel, sample = model.channels[0], model.samples[0]
    path = f"{channel}/{sample}"
    with pytest.raises(KeyError, match="did you mean"):
        templates.place(f"{channel}/{sample}x")
    with pytest.raises(ValueError, match=r"bin 1 of channel .* add up to -"):
        templates.bind({path: np.array([1.0, -1e9, 1.0])})
    norm = next(name for name in templates.places if "/normsys/" in name)
    with pytest.raises(ValueError, match="normsys factor is 0, expected > 0"):
        templates.bind({norm: np.array(0.0)})
    stat = next(name for name in templates.places if "/staterror/" in name)
    with pytest.raises(ValueError, match=r"negative: -1, expected variances"):
        templates.bind({stat: np.array([1.0, -1.0, 0.0])})
