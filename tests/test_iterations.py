"""The iteration limit: where it ends a fit, the message says to raise it, and that helps."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import nextstat
from nextstat import FitError, FitWarning
from nextstat.datasets import make_workspace
from nextstat.interpret import rank_impact, uncertainty_breakdown
from nextstat.mlops import model_metrics
from nextstat.torch import HistFactoryLayer

MODEL = nextstat.from_pyhf(make_workspace(random_state=3))
DATA = MODEL.data * np.linspace(0.7, 1.4, MODEL.n_bins)
RAISE = r"\(max_iterations\): .*raise max_iterations"

CALLS: dict[str, Callable[..., object]] = {
    "significance": lambda **o: nextstat.significance(MODEL, data=DATA, **o),
    "hypotest": lambda **o: nextstat.hypotest(MODEL, data=DATA, **o),
    "upper_limit": lambda **o: nextstat.upper_limit(MODEL, data=DATA, **o),
    "goodness_of_fit": lambda **o: nextstat.goodness_of_fit(MODEL, data=DATA, **o),
    "asimov_data": lambda **o: nextstat.asimov_data(MODEL, data=DATA, **o),
    "scan": lambda **o: nextstat.scan(MODEL, "mu", [0.5, 1.0], data=DATA, **o),
    "cls_scan": lambda **o: nextstat.cls_scan(MODEL, [0.5, 1.0], data=DATA, **o),
    "rank_impact": lambda **o: rank_impact(MODEL, data=DATA, **o),
    "uncertainty_breakdown": lambda **o: uncertainty_breakdown(MODEL, data=DATA, **o),
    "layer": lambda **o: HistFactoryLayer(MODEL, **o).nll({"data": _tensor()}),
}


def _tensor() -> Any:
    import torch

    return torch.from_numpy(DATA.copy())


@pytest.mark.parametrize("name", [*CALLS])
def test_message_says_to_raise_it_and_that_helps(name: str) -> None:
    with pytest.raises(FitError, match=RAISE):
        CALLS[name](max_iterations=1)
    CALLS[name](max_iterations=300)


def test_fits_that_do_not_raise() -> None:
    """One fit, many fits, metrics."""
    with pytest.warns(FitWarning, match=RAISE):
        short = nextstat.fit(MODEL, DATA, max_iterations=1)
    assert short.status == "max_iterations"
    long = nextstat.fit(MODEL, DATA, max_iterations=100)
    assert long.converged
    np.testing.assert_array_equal(long.values, nextstat.fit(MODEL, DATA).values)
    assert short.nll > long.nll
    rows = np.tile(DATA, (3, 1))
    init = {MODEL.parameter_names[0]: 1.0}
    with pytest.warns(FitWarning, match="3 of 3 fits did not converge"):
        batch = nextstat.fit_batch(MODEL, rows, init=init, max_iterations=1)
    assert set(batch.status) == {"max_iterations"}
    assert nextstat.fit_batch(MODEL, rows, init=init, max_iterations=100).converged.all()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FitWarning)
        far = nextstat.fit_toys(MODEL, 5, params=long.values, seed=1, init=init, max_iterations=1)
    assert set(far.status) == {"max_iterations"}
    with pytest.warns(FitWarning, match=RAISE):
        assert model_metrics(MODEL, expected=False, max_iterations=1)["converged"] == 0.0
    assert model_metrics(MODEL, expected=False, max_iterations=100)["converged"] == 1.0


def test_a_narrow_curved_valley() -> None:
    """Two normalisations whose product alone is known well: more steps than are allowed."""

    def factor(name: str) -> dict[str, Any]:
        return {"name": name, "type": "normfactor", "data": None}

    samples = [
        {"name": "a", "data": [1e6, 1.0], "modifiers": [factor("mu"), factor("k")]},
        {"name": "b", "data": [0.0, 3.0], "modifiers": [factor("k")]},
    ]
    starts = [{"name": "k", "inits": [0.05], "bounds": [[1e-3, 1e3]]}]
    spec = {
        "channels": [{"name": "c", "samples": samples}],
        "observations": [{"name": "c", "data": [3e6, 30.0]}],
        "measurements": [{"name": "m", "config": {"poi": "mu", "parameters": starts}}],
        "version": "1.0.0",
    }
    model = nextstat.from_pyhf(spec)
    with pytest.warns(FitWarning, match=RAISE):
        short = nextstat.fit(model, max_iterations=5)
    assert short.status == "max_iterations"
    found = nextstat.fit(model, max_iterations=500)
    assert found.converged
    assert found["mu"] * found["k"] == pytest.approx(3.0, rel=1e-6)
    assert found["mu"] * found["k"] + 3.0 * found["k"] == pytest.approx(30.0, rel=1e-6)


@pytest.mark.parametrize(("value", "error"), [(0, ValueError), (-1, ValueError), (2.0, TypeError)])
@pytest.mark.parametrize("name", [*CALLS])
def test_impossible_limits(name: str, value: Any, error: type[Exception]) -> None:
    with pytest.raises(error, match="max_iterations is"):
        CALLS[name](max_iterations=value)


def test_everything_that_takes_starts_takes_the_limit() -> None:
    """In Python, by signature: nothing was forgotten."""
    import inspect

    from nextstat import interpret, mlops

    for module in (nextstat, interpret, mlops):
        for name in module.__all__:
            function = getattr(module, name)
            if inspect.isfunction(function):
                names = inspect.signature(function).parameters.keys()
                assert ("n_starts" in names) == ("max_iterations" in names), name
