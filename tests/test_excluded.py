"""Values that data exclude outright: events in bins where none can be expected."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import nextstat
from nextstat import FitError, FitWarning, HistFactoryEstimator, HistFactoryModel, WorkspaceError
from nextstat.mlops import model_metrics
from nextstat.torch import HistFactoryLayer

BINS = r"in bin 1 of channel 'SR', where none can be expected at mu=0"
INFINITE = f"the test statistic is infinite: there are events {BINS}; give every bin some backgr"


def workspace(
    signal: list[float],
    background: list[float],
    observed: list[float],
    modifiers: list[dict[str, Any]] | None = None,
) -> dict[str, Any]:
    """One channel with two samples; the modifiers are those of the background."""
    strength = [{"name": "mu", "type": "normfactor", "data": None}]
    samples = [
        {"name": "signal", "data": signal, "modifiers": strength},
        {"name": "background", "data": background, "modifiers": modifiers or []},
    ]
    return {
        "channels": [{"name": "SR", "samples": samples}],
        "observations": [{"name": "SR", "data": observed}],
        "measurements": [{"name": "m", "config": {"poi": "mu", "parameters": []}}],
        "version": "1.0.0",
    }


def histosys(low: list[float], high: list[float]) -> dict[str, Any]:
    return {"name": "shape", "type": "histosys", "data": {"lo_data": low, "hi_data": high}}


def observed_significances() -> dict[str, Callable[[HistFactoryModel], float]]:
    """Everything that gives Z0 of the observed data."""
    return {
        "significance": nextstat.significance,
        "hypotest": lambda m: nextstat.hypotest(m, 0.0).significance,
        "metrics": lambda m: model_metrics(m, expected=False)["z0"],
        "layer": lambda m: HistFactoryLayer(m).z0(data="observed").item(),
    }


def expected_significances() -> dict[str, Callable[[HistFactoryModel], float]]:
    """Everything that gives Z0 of the Asimov data."""
    return {
        "significance": lambda m: nextstat.significance(m, expected=True),
        "metrics": lambda m: model_metrics(m)["z0"],
        "layer": lambda m: HistFactoryLayer(m).z0().item(),
        "estimator": lambda m: HistFactoryEstimator().fit(m).score(m),
    }


def collected(function: Callable[[HistFactoryModel], float], model: HistFactoryModel) -> Any:
    """A number, and the warnings about infinite ones."""
    with warnings.catch_warnings(record=True) as found:
        warnings.simplefilter("always")
        value = function(model)
    return value, [str(w.message) for w in found if "is infinite" in str(w.message)]


@pytest.mark.parametrize("name", [*observed_significances()])
def test_observed_significance_is_infinite_everywhere(name: str) -> None:
    model = nextstat.from_pyhf(workspace([5.0, 4.0], [50.0, 0.0], [52.0, 3.0]))
    with pytest.warns(FitWarning, match=INFINITE):
        assert observed_significances()[name](model) == math.inf


@pytest.mark.parametrize("name", [*expected_significances()])
def test_expected_significance_is_infinite_everywhere(name: str) -> None:
    model = nextstat.from_pyhf(workspace([5.0, 4.0], [50.0, 0.0], [52.0, 0.0]))
    with pytest.warns(FitWarning, match=INFINITE):
        assert expected_significances()[name](model) == math.inf


@settings(max_examples=25, deadline=None)
@given(
    signal=st.lists(st.sampled_from([0.0, 2.0, 7.0]), min_size=3, max_size=3),
    background=st.lists(st.sampled_from([0.0, 10.0, 60.0]), min_size=3, max_size=3),
    fills=st.booleans(),
)
def test_all_agree(signal: list[float], background: list[float], fills: bool) -> None:
    """Infinite exactly where only the signal fills a bin, with one warning; else equal."""
    signal, background = [*signal, 5.0], [*background, 30.0]
    total = np.add(signal, background)
    high = [b + 1.0 for b in background]  # fills every bin
    modifiers = [histosys(background, high)] if fills else []
    observed = np.round(1.3 * total).tolist()
    model = nextstat.from_pyhf(workspace(signal, background, observed, modifiers))
    alone = any(s > 0.0 and b == 0.0 for s, b in zip(signal, background, strict=True))
    for functions in (observed_significances(), expected_significances()):
        found = {name: collected(function, model) for name, function in functions.items()}
        for name, (value, messages) in found.items():
            assert (value == math.inf) == (alone and not fills), name
            assert len(messages) == (1 if value == math.inf else 0), (name, messages)
    values = [collected(f, model)[0] for f in observed_significances().values()]
    np.testing.assert_allclose(values, values[0], rtol=1e-6)


@settings(max_examples=40, deadline=None)
@given(
    nominal=st.sampled_from([-4.0, -1.3, 0.0]),
    rises=st.lists(st.sampled_from([-3.0, 0.0, 1.5, 4.0]), min_size=1, max_size=3),
    strength=st.sampled_from([5.0, 9.0]),
)
def test_bin_that_variations_can_fill(nominal: float, rises: list[float], strength: float) -> None:
    """Nothing expected where the fit starts is not impossible, if variations fill the bin.

    Against the lowest of a grid of pulls, which the fit has to be below.
    """
    modifiers = []
    for k, rise in enumerate(rises):
        one = histosys([nominal - rise, 50.0], [nominal + rise, 50.5])  # a straight line
        modifiers.append({**one, "name": f"shape{k}"})
    spec = workspace([strength, 5.0], [nominal, 50.0], [3.0, 52.0], modifiers)
    model = nextstat.from_pyhf(spec)
    q0 = collected(lambda m: nextstat.significance(m) ** 2, model)[0]
    pulls = np.stack(np.meshgrid(*[np.linspace(-5, 5, 21)] * len(rises)), axis=-1)
    points = np.zeros((pulls.size // len(rises), len(model.init)))
    points[:, [model.parameters.index(f"shape{k}") for k in range(len(rises))]] = pulls.reshape(
        -1, len(rises)
    )
    lowest = min(model.nll(point) for point in points)
    assert (q0 == math.inf) == (lowest == math.inf)
    if q0 < math.inf:
        assert q0 <= 2.0 * (lowest - nextstat.fit(model).nll) + 1e-9
        conditional = nextstat.fit(model, fixed={"mu": 0.0})
        assert conditional.converged
        assert q0 == pytest.approx(2.0 * (conditional.nll - nextstat.fit(model).nll), abs=1e-6)


def test_other_values_excluded_outright() -> None:
    """A signal that takes events away: mu = 1 is impossible, its CLs is 0 everywhere."""
    spec = workspace([-10.0, 4.0], [5.0, 50.0], [5.0, 50.0])
    spec["measurements"][0]["config"]["parameters"] = [{"name": "mu", "inits": [0.1]}]
    model = nextstat.from_pyhf(spec)
    with pytest.warns(FitWarning, match="in bin 0 of channel 'SR', where none .* at mu=1"):
        test = nextstat.hypotest(model, 1.0)
    assert (test.test_statistic, test.pvalue, test.cls) == (math.inf, 0.0, 0.0)
    assert nextstat.scan(model, "mu", [0.0, 1.0]).twice_delta_nll[1] == math.inf
    layer = HistFactoryLayer(model)
    for data in ("asimov", "observed"):
        with pytest.warns(FitWarning, match="at mu=1; give every bin some background"):
            log_cls = layer.log_cls(data=data)  # type: ignore[arg-type]
        assert log_cls.item() == -math.inf
        assert torch.exp(log_cls).item() == 0.0


def test_infinite_expected_statistic_of_finite_data() -> None:
    """`hypotest` says that it is that of the Asimov data."""
    model = nextstat.from_pyhf(workspace([5.0, 4.0], [50.0, 0.0], [52.0, 0.0]))
    with pytest.warns(FitWarning, match="the test statistic of the Asimov data is infinite"):
        test = nextstat.hypotest(model, 0.0)
    assert (test.test_statistic, test.significance) == (0.0, 0.0)
    assert not test.expected.any()


def test_infinite_number_has_no_derivative() -> None:
    """What is infinite can be left out of a loss, but not be learned from."""
    layer = HistFactoryLayer.from_histograms(
        torch.tensor([5.0, 4.0], requires_grad=True),
        background := torch.tensor([[50.0, 1.0], [50.0, 0.0]], requires_grad=True),
    )
    with pytest.warns(FitWarning, match="is infinite"):
        z0 = layer.z0()
    finite = z0.isfinite()
    assert finite.tolist() == [True, False]
    z0[finite].sum().backward(retain_graph=True)
    assert background.grad is not None
    assert background.grad[0].abs().min() > 0.0
    assert not background.grad[1].any()
    with pytest.raises(FitError, match="there are no derivatives: the test statistic is infinite"):
        z0.sum().backward()


def test_infinite_nll_of_a_layer() -> None:
    """At given parameters, as `HistFactoryModel.nll` has it."""
    model = nextstat.from_pyhf(workspace([5.0, 4.0], [50.0, 0.0], [52.0, 3.0]))
    params = torch.zeros(1, dtype=torch.float64, requires_grad=True)
    with pytest.warns(FitWarning, match="the nll is infinite: there are events in bin 1"):
        nll = HistFactoryLayer(model).nll(params=params)
    assert nll.item() == model.nll([0.0]) == math.inf
    with pytest.raises(FitError, match="there are no derivatives: the nll is infinite"):
        nll.backward()


def test_impossible_at_any_value() -> None:
    """No fit at all: an error that names the bins, and a workspace that is refused."""
    impossible = workspace([5.0, 0.0], [50.0, 0.0], [52.0, 3.0])
    with pytest.raises(WorkspaceError, match="zero expected events in bin 1 of channel 'SR'"):
        nextstat.from_pyhf(impossible)
    with pytest.raises(WorkspaceError, match="zero expected events in bin 1 of channel 'SR'"):
        HistFactoryEstimator().fit(impossible)
    model = nextstat.from_pyhf(workspace([5.0, 0.0], [50.0, 0.0], [52.0, 0.0]))
    data = [52.0, 3.0]
    layer = HistFactoryLayer(model)
    calls: dict[str, Callable[[], object]] = {
        "significance": lambda: nextstat.significance(model, data=data),
        "hypotest": lambda: nextstat.hypotest(model, data=data),
        "limit": lambda: nextstat.upper_limit(model, data=data),
        "gof": lambda: nextstat.goodness_of_fit(model, data=data),
        "layer": lambda: layer.q0({"data": torch.tensor(data)}, data="observed"),
    }
    for call in calls.values():
        with pytest.raises(FitError, match=r"give every bin .* \(bin 1 of channel 'SR'\)"):
            call()
    with pytest.warns(FitWarning, match=r"\(bin 1 of channel 'SR'\)"):
        assert not nextstat.fit(model, data).converged
