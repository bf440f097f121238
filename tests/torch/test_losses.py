"""Losses and sessions: the layer's results, with the signal as one histogram of all channels."""

from __future__ import annotations

import pickle
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.autograd import gradcheck

import nextstat
from nextstat._model.histfactory import HistFactoryModel
from nextstat.datasets import make_workspace
from nextstat.exceptions import FitWarning, WorkspaceWarning
from nextstat.torch import (
    CLsLoss,
    HistFactoryLayer,
    MuUncertaintyLoss,
    SignificanceLoss,
    UpperLimitLoss,
    create_session,
    expected_cls,
    profiled_q0,
    profiled_qmu,
    profiled_z0,
    signal_jacobian,
    signal_jacobian_numpy,
)

pytestmark = pytest.mark.filterwarnings("ignore:nominal yields are replaced")


@pytest.fixture(scope="module")
def model() -> HistFactoryModel:
    """Two channels."""
    workspace = make_workspace(
        n_channels=2, n_bins=3, n_samples=3, n_systematics=4, signal_fraction=0.2, random_state=3
    )
    return nextstat.from_pyhf(workspace)


def signal_of(model: HistFactoryModel) -> Tensor:
    """The signal of all channels, a leaf."""
    values = model.templates()
    parts = [values[f"{channel}/signal"] for channel in model.channels]
    return torch.from_numpy(np.concatenate(parts)).requires_grad_()


LOSSES: dict[str, tuple[type[torch.nn.Module], dict[str, Any], str, dict[str, Any], float]] = {
    "significance": (SignificanceLoss, {}, "z0", {}, -1.0),
    "not negated": (SignificanceLoss, {"negate": False, "mu": 0.7}, "z0", {"asimov_mu": 0.7}, 1.0),
    "cls": (CLsLoss, {"mu": 1.5}, "log_cls", {"mu": 1.5}, 1.0),
    "no logarithm": (CLsLoss, {"mu": 1.5, "log": False}, "cls", {"mu": 1.5}, 1.0),
    "limit": (UpperLimitLoss, {"level": 0.9}, "upper_limit", {"level": 0.9}, 1.0),
    "uncertainty": (MuUncertaintyLoss, {"mu": 0.5}, "mu_uncertainty", {"asimov_mu": 0.5}, 1.0),
}


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("data", ["asimov", "observed"])
def test_losses(model: HistFactoryModel, name: str, data: Any) -> None:
    """Each is a result of the layer, for a batch too, and has its derivative."""
    loss_type, arguments, statistic, options, sign = LOSSES[name]
    loss_fn = loss_type(model, "signal", data=data, nuisances="fitted", **arguments)
    signal = signal_of(model)
    own = dict(zip((f"{c}/signal" for c in model.channels), signal.split(3), strict=True))
    layer = HistFactoryLayer(model)
    expected = getattr(layer, statistic)(own, data=data, nuisances="fitted", **options)
    found = loss_fn(signal)
    assert found.item() == pytest.approx(sign * expected.item(), rel=1e-6)
    batch = loss_fn(torch.stack([signal, 1.2 * signal]))
    assert batch.shape == (2,)
    assert batch[0].item() == pytest.approx(found.item(), rel=1e-6)
    assert gradcheck(loss_fn, (signal,), eps=1e-4, rtol=1e-4, atol=2e-6)


def test_other_templates(model: HistFactoryModel) -> None:
    """A loss takes other templates beside the signal."""
    name = next(n for n in model.templates() if "/ttbar/" not in n and n.endswith("/ttbar"))
    background = torch.from_numpy(model.templates()[name]).requires_grad_()
    loss_fn = SignificanceLoss(HistFactoryLayer(model))
    changed = loss_fn(signal_of(model), {name: 1.1 * background})
    changed.backward()
    assert changed.item() > loss_fn(signal_of(model)).item()
    assert background.grad is not None
    assert (background.grad != 0.0).all()


def test_training_raises_the_significance(model: HistFactoryModel) -> None:
    """Events move to where the signal matters most, as the loop of any network would do it."""
    share = torch.zeros(6, dtype=torch.float64, requires_grad=True)
    total = signal_of(model).detach().sum()
    loss_fn = SignificanceLoss(model)
    optimiser = torch.optim.Adam([share], lr=0.2)
    losses = []
    for _ in range(15):
        optimiser.zero_grad()
        loss = loss_fn(total * torch.softmax(share, dim=0))
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    assert losses[-1] < 1.2 * losses[0] < 0.0


def test_sessions(model: HistFactoryModel) -> None:
    """The values of the functions for numbers, and derivatives."""
    signal = signal_of(model)
    session = create_session(model, signal_sample="signal", device="cpu")
    test = nextstat.hypotest(model, 1.5)
    values = {
        "z0": (profiled_z0(signal, session), nextstat.significance(model)),
        "q0": (profiled_q0(signal, session), nextstat.significance(model) ** 2),
        "qmu": (profiled_qmu(signal, session, 1.5), test.test_statistic),
        "cls": (expected_cls(signal, session, 1.5), test.expected[2]),
    }
    for name, (found, expected) in values.items():
        assert found.item() == pytest.approx(expected, rel=1e-6), name
    for function in (profiled_q0, profiled_z0, profiled_qmu, expected_cls):
        assert gradcheck(lambda x, f=function: f(x, session), (signal,), eps=1e-4, rtol=1e-4)


def test_jacobian(model: HistFactoryModel) -> None:
    """dq0 / ds, of tensors and arrays; the histogram's own gradient is left alone."""
    session = create_session(model)
    signal = signal_of(model)
    grad = signal_jacobian(signal, session)
    (expected,) = torch.autograd.grad(profiled_q0(signal, session), signal)
    torch.testing.assert_close(grad, expected)
    assert not grad.requires_grad
    assert signal.grad is None
    array = signal_jacobian_numpy(signal.detach().numpy(), session)
    np.testing.assert_allclose(array, grad.numpy(), rtol=1e-9)
    batch = signal_jacobian(torch.stack([signal, 1.5 * signal]), session)
    torch.testing.assert_close(batch[0], grad)
    with torch.no_grad():
        torch.testing.assert_close(signal_jacobian(signal.float(), session), grad.float())
    with torch.inference_mode():
        torch.testing.assert_close(signal_jacobian(signal, session), grad)
        torch.testing.assert_close(
            signal_jacobian(torch.tensor(array) * 0.0 + signal, session), grad
        )


def test_pruned_bins_do_not_matter() -> None:
    """A bin where signal can hide nothing has no derivative, and can go."""
    s, b = [5.0, 4.0, 0.001], [20.0, 10.0, 1e6]
    poi = {"name": "mu", "type": "normfactor", "data": None}

    def build(keep: list[bool]) -> HistFactoryModel:
        signal, background = ([x for x, k in zip(h, keep, strict=True) if k] for h in (s, b))
        observed = [x + y for x, y in zip(signal, background, strict=True)]
        samples = [
            {"name": "signal", "data": signal, "modifiers": [poi]},
            {"name": "background", "data": background, "modifiers": []},
        ]
        return nextstat.from_pyhf(
            {
                "channels": [{"name": "c", "samples": samples}],
                "observations": [{"name": "c", "data": observed}],
                "measurements": [{"name": "m", "config": {"poi": "mu", "parameters": []}}],
                "version": "1.0.0",
            }
        )

    signal_hist = torch.tensor(s, dtype=torch.float64)
    model = build([True] * 3)
    with pytest.warns(FitWarning, match="exactly those expected with this signal"):
        signal_jacobian(signal_hist, create_session(model))
    important = signal_jacobian(signal_hist, create_session(model, data="asimov")).abs() > 0.01
    assert important.tolist() == [True, True, False]
    pruned, full = (nextstat.significance(build(k)) for k in (important.tolist(), [True] * 3))
    assert pruned == pytest.approx(full, rel=1e-6)


def test_rejected(model: HistFactoryModel) -> None:
    with pytest.raises(KeyError, match="did you mean 'signal'"):
        SignificanceLoss(model, "sgnal")
    with pytest.raises(KeyError, match="did you mean 'signal'"):
        create_session(model, "sgnal")
    with pytest.raises(TypeError, match="from_pyhf"):
        create_session({"channels": []})  # type: ignore[arg-type]
    session = create_session(model)
    with pytest.raises(ValueError, match=r"shape \(5,\), expected \(\.\.\., 6\)"):
        profiled_q0(torch.ones(5), session)
    with pytest.raises(TypeError, match=r"is a list, expected a torch\.Tensor"):
        SignificanceLoss(model)([1.0] * 6)
    with pytest.raises(TypeError, match=r"signal_hist is a ndarray, .*signal_jacobian_numpy"):
        signal_jacobian(np.ones(6), session)  # type: ignore[arg-type]
    for make in (SignificanceLoss, create_session):
        with pytest.raises(ValueError, match="data is 'nonsense'"):
            make(model, data="nonsense")  # type: ignore[operator]


@pytest.mark.filterwarnings("default:nominal yields are replaced")
def test_forgotten_variations_are_named_once(model: HistFactoryModel) -> None:
    session = create_session(model)
    with pytest.warns(WorkspaceWarning, match=r"signal/histosys/.* stay as in the model"):
        profiled_q0(signal_of(model), session)
    profiled_q0(signal_of(model), session)


def test_no_excess(model: HistFactoryModel) -> None:
    """Nothing to learn from: said so, not a NaN."""
    data = model.expected_data(np.where(np.array(model.parameter_names) == "mu", 0.0, model.init))
    layer = HistFactoryLayer(model)
    signal = signal_of(model)
    loss = SignificanceLoss(layer, data="observed")(
        signal, {"data": torch.from_numpy(0.9 * data[:6])}
    )
    with pytest.warns(FitWarning, match="kink"):
        loss.backward()
    assert loss.item() == 0.0
    assert signal.grad is not None
    assert (signal.grad == 0.0).all()


def test_losses_are_modules(model: HistFactoryModel) -> None:
    """They go where modules go: containers, copies, files."""
    loss_fn = torch.nn.Sequential(torch.nn.Softplus(), SignificanceLoss(model))
    other = pickle.loads(pickle.dumps(loss_fn))
    assert other(signal_of(model)).item() == pytest.approx(loss_fn(signal_of(model)).item())
    assert list(loss_fn.parameters()) == []
