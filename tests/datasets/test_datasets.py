"""Generated workspaces: valid, of the size asked for, reproducible, and worth fitting."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pyhf
import pytest

import nextstat
from nextstat.datasets import make_workspace

SIZES = [
    (1, 1, 2, 0),
    (1, 5, 2, 3),
    (3, 8, 4, 12),
    (2, 3, 10, 40),
]


@pytest.mark.parametrize(("n_channels", "n_bins", "n_samples", "n_systematics"), SIZES)
@pytest.mark.parametrize("staterror", [True, False])
@pytest.mark.parametrize("shapesys", [True, False])
def test_sizes(
    n_channels: int,
    n_bins: int,
    n_samples: int,
    n_systematics: int,
    staterror: bool,
    shapesys: bool,
) -> None:
    """Channels, bins, samples and systematics as asked for."""
    workspace = make_workspace(
        n_channels,
        n_bins,
        n_samples,
        n_systematics,
        staterror=staterror,
        shapesys=shapesys,
        random_state=0,
    )
    model = nextstat.from_pyhf(workspace)
    assert len(model.channels) == n_channels
    assert model.channel_bins == (n_bins,) * n_channels
    assert len(model.samples) == n_samples
    assert model.poi == "mu"
    kinds = list(model.parameters.kinds)
    assert kinds.count("staterror") == staterror * n_channels * n_bins
    assert kinds.count("shapesys") == shapesys * n_channels * n_bins
    assert kinds.count("normfactor") == 2
    assert kinds.count("lumi") == 1
    systematics = [kind for kind in kinds if "normsys" in kind or "histosys" in kind]
    assert len(systematics) == n_systematics


@pytest.mark.parametrize("size", SIZES)
def test_pyhf_agrees(size: tuple[int, int, int, int]) -> None:
    """pyhf accepts the workspace, names the same parameters and finds the same likelihood."""
    workspace = make_workspace(*size, shapesys=True, random_state=5)
    spec = pyhf.Workspace(workspace)
    theirs = spec.model(
        modifier_settings={
            "normsys": {"interpcode": "code4"},
            "histosys": {"interpcode": "code4p"},
        }
    )
    ours = nextstat.from_pyhf(workspace)
    assert list(ours.parameter_names) == theirs.config.par_names
    expected = pyhf.infer.mle.twice_nll(ours.init, spec.data(theirs), theirs)
    assert 2.0 * ours.nll(ours.init) == pytest.approx(float(np.squeeze(expected)), rel=1e-10)


def test_kinds_of_systematics() -> None:
    """Yields, shapes, and both under one name, each on some of the samples only."""
    model = nextstat.from_pyhf(make_workspace(n_systematics=60, random_state=0))
    kinds = set(model.parameters.kinds)
    assert {"normsys", "histosys"} < kinds
    assert any("+" in kind for kind in kinds)


def test_plain_json() -> None:
    """Nothing but what JSON holds, and the same after a round trip."""
    workspace = make_workspace(random_state=0)
    assert json.loads(json.dumps(workspace, allow_nan=False)) == workspace


def test_reproducible() -> None:
    """The same seed makes the same workspace, whatever was made before; other seeds others."""
    first = make_workspace(random_state=3)
    others = [make_workspace(random_state=seed) for seed in range(3)]
    assert make_workspace(random_state=3) == first
    texts = {json.dumps(workspace) for workspace in [first, *others]}
    assert len(texts) == 4


def test_random_state() -> None:
    """A RandomState is used as it stands and moves on; None draws a new one every time."""
    state = np.random.RandomState(3)
    first, second = make_workspace(random_state=state), make_workspace(random_state=state)
    assert first == make_workspace(random_state=3)
    assert first != second
    assert make_workspace() != make_workspace()


def test_global_state_untouched() -> None:
    """The global generator of numpy is neither read nor advanced."""
    _, before, place, *_ = np.random.get_state()  # noqa: NPY002
    make_workspace(random_state=1)
    make_workspace()
    _, after, place_after, *_ = np.random.get_state()  # noqa: NPY002
    np.testing.assert_array_equal(before, after)
    assert place == place_after


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"n_channels": 0}, "n_channels is 0, expected at least 1"),
        ({"n_bins": 0}, "n_bins is 0, expected at least 1"),
        ({"n_samples": 1}, "n_samples is 1, expected at least 2"),
        ({"n_systematics": -1}, "n_systematics is -1, expected at least 0"),
    ],
)
def test_errors(options: dict[str, Any], message: str) -> None:
    """Impossible sizes are refused by name."""
    with pytest.raises(ValueError, match=message):
        make_workspace(**options)


def test_yields() -> None:
    """Signal, background and their ratio are what was asked for, on average."""
    model = nextstat.from_pyhf(
        make_workspace(20, 10, 4, 0, signal_fraction=0.1, events_per_bin=50.0, random_state=0)
    )
    by_sample = model.expected_by_sample(model.init).sum(axis=1)
    signal = by_sample[model.samples.index("signal")]
    background = by_sample.sum() - signal
    assert signal / background == pytest.approx(0.1, rel=0.05)
    assert background / model.n_bins == pytest.approx(50.0, rel=0.15)


@pytest.mark.parametrize("mu", [0.0, 1.0, 4.0])
def test_observed(mu: float) -> None:
    """Observed counts are Poisson numbers around signal times `mu` plus background."""
    model = nextstat.from_pyhf(make_workspace(10, 20, mu=mu, random_state=7))
    params = model.init.copy()
    params[model.parameters.index("mu")] = mu
    expected = model.expected_data(params, include_auxdata=False)
    assert np.array_equal(model.data, np.round(model.data))
    pearson = np.sum((model.data - expected) ** 2 / expected)
    assert pearson == pytest.approx(model.n_bins, abs=5 * np.sqrt(2 * model.n_bins))


@pytest.mark.parametrize("shapesys", [True, False])
def test_fits_converge(shapesys: bool) -> None:
    """Whatever the seed."""
    for seed in range(20):
        model = nextstat.from_pyhf(make_workspace(shapesys=shapesys, random_state=seed))
        result = nextstat.fit(model)
        assert result.converged
        assert result.edm < 1e-6
        assert np.isfinite(result["mu"])


def test_large_fit_converges() -> None:
    """200 systematics on 24 bins: most of them are determined by their constraints only."""
    model = nextstat.from_pyhf(make_workspace(n_systematics=200, random_state=0))
    result = nextstat.fit(model)
    assert result.converged
    gradient = model.nll_gradient(result.values)
    assert np.abs(gradient[~result.held]).max() < 1e-4
    assert np.linalg.eigvalsh(model.nll_hessian(result.values)).min() > 0.0


@pytest.mark.parametrize("mu", [1.0, 3.0])
def test_signal_strength_recovered(mu: float) -> None:
    """Pulls of the fitted `mu` have mean 0 and width 1, as far as 100 fits can tell."""
    pulls = []
    for seed in range(100):
        workspace = make_workspace(
            2, 8, 3, 4, mu=mu, signal_fraction=0.1, staterror=False, random_state=seed
        )
        result = nextstat.fit(nextstat.from_pyhf(workspace))
        error = result.errors[result.parameter_names.index("mu")]
        if np.isfinite(error):
            pulls.append((result.mu - mu) / error)
    assert len(pulls) >= 95
    assert abs(np.mean(pulls)) < 0.3
    # The systematics of the data are at their nominal values, so the width stays below 1.
    assert 0.5 < np.std(pulls) < 1.2
