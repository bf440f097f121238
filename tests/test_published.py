"""Published models against reference values found by an independent implementation."""

from __future__ import annotations

import json
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pyhf
import pytest

import nextstat
from nextstat import BoundWarning, FitWarning, HistFactoryModel, WorkspaceWarning

NAMES = ["2bin", "complex", "sbottom", "stau", "1lbb", "ttbar-xsec", "cms-ttg", "agc-ttbar", "tttt"]


@pytest.fixture(params=NAMES)
def case(
    request: pytest.FixtureRequest, published: Path
) -> tuple[HistFactoryModel, dict[str, Any]]:
    truth = json.loads((published / "truth.json").read_text())[request.param]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", WorkspaceWarning)  # observations of validation regions
        model = nextstat.from_pyhf(published / f"{request.param}.json")
    return model, truth


def test_reference_values(case: tuple[HistFactoryModel, dict[str, Any]]) -> None:
    model, truth = case
    assert len(model.parameters) == truth["npars"]
    assert model.n_bins == truth["bins"]
    assert model.poi == truth["poi"]
    assert model.nll(model.init) == pytest.approx(truth["nll_init"], rel=1e-10)
    result = nextstat.fit(model)
    assert result.converged
    assert result.nll == pytest.approx(truth["nll"], abs=1e-8)
    sigma = truth["sigma_mu"] or 1.0
    assert result.mu == pytest.approx(truth["mu"], abs=1e-4 * sigma)
    if model.poi not in result.active_bounds:
        error = result.errors[model.parameters.index(str(model.poi))]
        assert error == pytest.approx(sigma, rel=1e-4)


def test_reference_tests(case: tuple[HistFactoryModel, dict[str, Any]], published: Path) -> None:
    model, truth = case
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FitWarning)
        test, discovery = nextstat.hypotest(model, 1.0), nextstat.hypotest(model, 0.0)
    assert test.cls == pytest.approx(truth["cls"], abs=1e-6)
    if truth["q0"] is None:
        # cms-ttg at mu = 0: nothing is expected in a bin with events until variations fill it, far
        # from their centres, to bounds. There the nll is finite, and pyhf has the same.
        with pytest.warns(BoundWarning, match="bounds that nobody chose stop"):
            conditional = nextstat.fit(model, fixed={str(model.poi): 0.0})
        workspace = json.loads(published.joinpath("cms-ttg.json").read_text())
        reference = pyhf.Workspace(workspace)
        its = reference.model(
            poi_name=model.poi,
            modifier_settings={
                "normsys": {"interpcode": "code4"},
                "histosys": {"interpcode": "code4p"},
            },
        )
        nll = -float(its.logpdf(list(conditional.values), reference.data(its))[0])
        assert nll == pytest.approx(conditional.nll, rel=1e-10)
        assert discovery.test_statistic == pytest.approx(2.0 * (nll - truth["nll"]), rel=1e-6)
    else:
        # The conditional fit of ttbar-xsec at mu = 0 has several minima, some lower than the
        # reference's.
        assert discovery.test_statistic <= truth["q0"] + 1e-6
        assert discovery.test_statistic == pytest.approx(truth["q0"], abs=1e-6, rel=2e-3)


def test_gradient_and_hessian(case: tuple[HistFactoryModel, dict[str, Any]]) -> None:
    """Along random directions, against central differences."""
    model, _ = case
    rng = np.random.default_rng(0)
    width = np.where(np.isnan(model.parameters.width), 0.1, model.parameters.width)
    low, high = model.bounds.T
    point = np.clip(model.init + 0.3 * width * rng.normal(size=len(width)), low + 0.05, high - 0.05)
    hessian = model.nll_hessian(point)
    for _ in range(5):
        direction = 0.2 * width * rng.normal(size=len(width)) / np.sqrt(len(width))
        steps = (-2, -1, 1, 2)
        h = 1e-3
        f = [model.nll(point + k * h * direction) for k in steps]
        slope = (f[0] - 8 * f[1] + 8 * f[2] - f[3]) / (12 * h)
        scale = np.sqrt(direction @ hessian @ direction)
        assert model.nll_gradient(point) @ direction == pytest.approx(
            slope, rel=1e-6, abs=1e-6 * scale
        )
        g = [model.nll_gradient(point + k * h * direction) for k in steps]
        bend = (g[0] - 8 * g[1] + 8 * g[2] - g[3]) / (12 * h)
        np.testing.assert_allclose(
            (hessian @ direction) * width,
            bend * width,
            rtol=1e-5,
            atol=1e-6 * np.abs(bend * width).max(),
        )
