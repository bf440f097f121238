"""HistFactoryLayer: values against the rest of the package, derivatives against refits."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import pyhf
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.autograd import gradcheck
from torch.autograd.gradcheck import GradcheckError

import nextstat
from nextstat._gradients.derivatives import Asimov, Derivatives
from nextstat._gradients.templates import BindableTemplates
from nextstat._model.histfactory import HistFactoryModel
from nextstat.datasets import make_workspace
from nextstat.exceptions import FitError, FitWarning, WorkspaceWarning
from nextstat.torch import HistFactoryLayer

Vector = npt.NDArray[np.float64]
pytestmark = pytest.mark.filterwarnings("ignore:nominal yields are replaced")

# Statistic, and where the Asimov data of the check are.
STATISTICS: dict[str, dict[str, Any]] = {
    "nll": {"asimov_mu": 1.0},
    "q0": {"asimov_mu": 1.0},
    "z0": {"asimov_mu": 1.0},
    "qmu": {"mu": 2.2},
    "cls": {"mu": 2.2},
    "log_cls": {"mu": 2.2},
    "upper_limit": {},
    "mu_uncertainty": {},
    "covariance": {},
}
WEIGHTS = torch.from_numpy(np.random.default_rng(7).normal(size=(100, 100)))
KINDS = [("observed", "fitted"), ("asimov", "nominal"), ("asimov", "fitted")]
CODES = [("code4", "code4p"), ("code1", "code0")]


def make_model(seed: int = 2, codes: tuple[str, str] = CODES[0]) -> HistFactoryModel:
    """Every kind of modifier, in small numbers."""
    workspace = make_workspace(
        n_channels=1,
        n_bins=3,
        n_samples=3,
        n_systematics=4,
        shapesys=True,
        signal_fraction=0.3,
        mu=1.3,
        random_state=seed,
    )
    return nextstat.from_pyhf(workspace, interpolation=codes)


def tensor(values: npt.ArrayLike) -> Tensor:
    """A leaf to differentiate in."""
    return torch.tensor(np.array(values, dtype=np.float64), requires_grad=True)


def number(value: Tensor) -> float:
    """A number from a result."""
    return float(value.detach())


def templates_of(
    model: HistFactoryModel, data: str = "asimov", nuisances: str = "nominal"
) -> dict[str, Tensor]:
    """All templates as leaves, and the data where a statistic of these depends on them."""
    found = model.templates()
    if data == "observed" or nuisances == "fitted":
        found["data"] = np.concatenate([model.data, model.auxdata])
    return {name: tensor(x) for name, x in found.items()}


def check(
    layer: HistFactoryLayer,
    inputs: dict[str, Tensor],
    name: str,
    *,
    fast: bool = True,
    **options: Any,
) -> bool:
    """Derivatives in all inputs against differences with refits."""
    method = getattr(layer, name)

    def function(*tensors: Tensor) -> Tensor:
        value: Tensor = method(dict(zip(inputs, tensors, strict=True)), **options)
        if name == "covariance":  # one number instead of all elements
            value = (value * WEIGHTS[: value.shape[-1], : value.shape[-1]]).sum()
        return value

    return gradcheck(
        function, tuple(inputs.values()), eps=1e-4, rtol=1e-4, atol=2e-6, fast_mode=fast
    )


# Values -------------------------------------------------------------------------------------------


@pytest.mark.filterwarnings("ignore:bounds that nobody chose")
@settings(max_examples=15)
@given(seed=st.integers(0, 2**16))
def test_values(seed: int) -> None:
    """Those of the functions for numbers, with fitted nuisances."""
    model = make_model(seed)
    layer = HistFactoryLayer(model)
    fitted: dict[str, Any] = {"data": "asimov", "nuisances": "fitted"}
    observed: dict[str, Any] = {"data": "observed", "nuisances": "fitted"}
    test = nextstat.hypotest(model, 2.2)
    found = {
        "z0": (layer.z0(**observed), nextstat.significance(model)),
        "expected z0": (layer.z0(**fitted), nextstat.significance(model, expected=True)),
        "qmu": (layer.qmu(mu=2.2, **observed), test.test_statistic),
        "cls": (layer.cls(mu=2.2, **observed), test.cls),
        "log_cls": (layer.log_cls(mu=2.2, **observed), np.log(test.cls)),
        "expected cls": (layer.cls(mu=2.2, **fitted), test.expected[2]),
        "nll": (layer.nll(), nextstat.fit(model).nll),
        "nll at": (layer.nll(params=torch.from_numpy(model.init.copy())), model.nll(model.init)),
    }
    for name, (value, expected) in found.items():
        assert number(value) == pytest.approx(expected, rel=1e-6, abs=1e-7), name
    limit = nextstat.upper_limit(model)
    assert number(layer.upper_limit(**observed)) == pytest.approx(limit.observed, rel=1e-6)
    assert number(layer.upper_limit(**fitted)) == pytest.approx(limit.expected[2], rel=1e-6)
    fit = nextstat.fit(model)
    if fit["mu"] > 0.01:
        assert number(layer.mu_uncertainty(data="observed")) == pytest.approx(
            fit.error("mu"), rel=1e-5
        )
        covariance = layer.covariance(data="observed").numpy()
        np.testing.assert_allclose(covariance, fit.covariance, rtol=1e-3, atol=1e-6)


def test_observed_cls_on_both_sides() -> None:
    """CLs and its derivative where data lie below, at and above what background gives."""
    model = make_model()
    layer = HistFactoryLayer(model)
    expected = model.expected_data(model.init)
    for scale in (0.7, 0.85, 1.0, 1.2):
        data = expected.copy()
        data[: model.n_bins] *= scale
        inputs = {
            "data": tensor(data),
            "region_1/signal": tensor(model.templates()["region_1/signal"]),
        }
        options: dict[str, Any] = {"mu": 1.5, "data": "observed", "nuisances": "fitted"}
        value = layer.log_cls(inputs, **options)
        test = nextstat.hypotest(model, 1.5, data=data)
        assert number(value) == pytest.approx(np.log(test.cls), rel=1e-6)
        assert check(layer, inputs, "log_cls", **options)


@pytest.mark.filterwarnings("ignore:bounds that nobody chose")
@settings(max_examples=15)
@given(seed=st.integers(0, 2**16))
def test_replaced_templates(seed: int) -> None:
    """What is passed counts as if it stood in the workspace."""
    model = make_model(seed)
    rng = np.random.default_rng(seed)
    other = make_model(seed + 1)
    names = [n for n in model.templates() if n in other.templates()]
    values = {n: tensor(model.templates()[n] * rng.uniform(0.9, 1.1)) for n in names}
    changed = (
        BindableTemplates(model).bind({n: t.detach().numpy() for n, t in values.items()}).model
    )
    found = HistFactoryLayer(model).qmu(values, mu=2.2, data="observed")
    expected = nextstat.hypotest(changed, 2.2).test_statistic
    assert number(found) == pytest.approx(expected, rel=1e-6, abs=1e-8)


# Derivatives --------------------------------------------------------------------------------------


@pytest.mark.parametrize("codes", CODES, ids=str)
@pytest.mark.parametrize(("data", "nuisances"), KINDS)
@pytest.mark.parametrize("statistic", STATISTICS)
def test_derivatives(statistic: str, data: Any, nuisances: Any, codes: tuple[str, str]) -> None:
    """Every statistic, in every template, in the data and the auxiliary data."""
    model = make_model(codes=codes)
    layer = HistFactoryLayer(model)
    options = {**STATISTICS[statistic], "data": data, "nuisances": nuisances}
    if codes == CODES[1] and (data, nuisances) == ("asimov", "nominal"):
        options.pop("asimov_mu", None)  # made at the kinks of the codes, see below
    assert check(layer, templates_of(model, data, nuisances), statistic, **options)


@pytest.mark.parametrize(("data", "nuisances"), KINDS)
@pytest.mark.parametrize("statistic", STATISTICS)
def test_derivatives_at_an_active_bound(statistic: str, data: Any, nuisances: Any) -> None:
    """A nuisance parameter is stopped half a standard deviation before its minimum."""
    model = make_model()
    best = nextstat.fit(model)
    name = next(n for n in model.parameter_names if n.startswith("jet"))
    stop = best[name] + 0.5 * best.error(name)
    layer = HistFactoryLayer(model, bounds={name: (stop, 5.0)}, init={name: stop})
    options = {**STATISTICS[statistic], "data": data, "nuisances": nuisances}
    assert check(layer, templates_of(model, data, nuisances), statistic, **options)


def test_derivatives_in_parameters_and_in_the_tested_value() -> None:
    model = make_model()
    layer = HistFactoryLayer(model)
    params = tensor(model.init + 0.1)
    assert gradcheck(lambda x: layer.nll(params=x), (params,), eps=1e-5)
    mu = tensor([1.8, 2.2])
    for data in ("asimov", "observed"):
        assert gradcheck(lambda x, d=data: layer.log_cls(mu=x, data=d), (mu,), eps=1e-5)


def neos_tensors() -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Signal, background, up and down: both variations move the background to one side."""
    histograms = [2.0, 8.0, 10.0], [60.0, 30.0, 10.0], [50.0, 33.0, 15.0], [62.0, 28.0, 8.0]
    return tuple(tensor(values) for values in histograms)  # type: ignore[return-value]


@pytest.mark.parametrize("codes", [("code4", "code4p"), ("code4", "code0"), ("code4", "code2")])
def test_from_histograms(codes: tuple[str, str]) -> None:
    """Values of the same workspace, and derivatives, also where code0 pins a parameter at 0."""

    def cls(signal: Tensor, background: Tensor, up: Tensor, down: Tensor) -> Tensor:
        layer = HistFactoryLayer.from_histograms(
            signal, background, variations={"jes": (up, down)}, interpolation=codes
        )
        return layer.cls(mu=1.0, data="asimov")

    tensors = neos_tensors()
    assert gradcheck(cls, tensors, eps=1e-5, rtol=1e-4)
    s, b, up, down = (t.detach().tolist() for t in tensors)
    systematic = {"name": "jes", "type": "histosys", "data": {"hi_data": up, "lo_data": down}}
    poi = {"name": "mu", "type": "normfactor", "data": None}
    workspace = {
        "channels": [
            {
                "name": "c",
                "samples": [
                    {"name": "s", "data": s, "modifiers": [poi]},
                    {"name": "b", "data": b, "modifiers": [systematic]},
                ],
            }
        ],
        "observations": [{"name": "c", "data": b}],
        "measurements": [{"name": "m", "config": {"poi": "mu", "parameters": []}}],
        "version": "1.0.0",
    }
    model = nextstat.from_pyhf(workspace, interpolation=codes)
    expected = nextstat.hypotest(model, 1.0, data=np.array([*b, 0.0])).expected[2]
    assert number(cls(*tensors)) == pytest.approx(expected, rel=1e-6)


def test_pinned_at_a_kink() -> None:
    """Both variations of code0 go up: the parameter stays at 0, the rest has derivatives."""
    signal, background = tensor([5.0, 3.0]), tensor([50.0, 20.0])
    variations = {"jes": (tensor([50.0, 26.0]), tensor([50.0, 25.0]))}
    layer = HistFactoryLayer.from_histograms(
        signal, background, variations=variations, interpolation=("code4", "code0")
    )
    layer.cls().backward()
    assert layer.last_fits[0].conditional[1.0][0] == 0.0
    for end in variations["jes"]:
        assert end.grad is not None
        assert (end.grad == 0.0).all()

    def cls(s: Tensor, b: Tensor) -> Tensor:
        pinned = HistFactoryLayer.from_histograms(
            s, b, variations=variations, interpolation=("code4", "code0")
        )
        return pinned.cls()

    assert gradcheck(cls, (signal, background), eps=1e-5, rtol=1e-4)


def test_everything_from_histograms() -> None:
    """Two backgrounds, normalisations, simulated events of signal and backgrounds."""
    signal, first, second = tensor([2.0, 8.0]), tensor([60.0, 10.0]), tensor([20.0, 5.0])
    up, down = tensor([63.0, 12.0]), tensor([58.0, 9.0])
    variances = tensor([0.1, 0.4]), tensor([3.0, 0.8]), tensor([2.0, 0.0])

    def z0(*tensors: Tensor) -> Tensor:
        s, b1, b2, u, d, v0, v1, v2 = tensors
        layer = HistFactoryLayer.from_histograms(
            s,
            {"ttbar": b1, "wjets": b2},
            variations={"jes": {"ttbar": (u, d)}},
            norm_systematics={"luminosity": 0.02, "xsec": {"wjets": (0.9, 1.2)}},
            staterror={"signal": v0, "ttbar": v1, "wjets": v2},
        )
        return torch.stack([layer.z0(), layer.upper_limit(), layer.mu_uncertainty()])

    tensors = (signal, first, second, up, down, *variances)
    assert gradcheck(z0, tensors, eps=1e-5, rtol=1e-4)


def layer_of_everything(staterror: Any) -> HistFactoryLayer:
    """Two backgrounds, a variation, normalisations, and simulated events."""
    return HistFactoryLayer.from_histograms(
        tensor([2.0, 8.0]),
        {"ttbar": tensor([60.0, 10.0]), "wjets": tensor([20.0, 5.0])},
        variations={"jes": {"ttbar": (tensor([63.0, 12.0]), tensor([58.0, 9.0]))}},
        norm_systematics={"luminosity": 0.02, "xsec": {"wjets": (0.9, 1.2)}},
        staterror=staterror,
        interpolation=("code1", "code0"),
    )


@pytest.mark.parametrize(
    "staterror",
    [
        None,
        tensor([5.0, 0.8]),
        {"signal": tensor([0.1, 0.4]), "ttbar": tensor([3.0, 0.8]), "wjets": tensor([2.0, 0.0])},
    ],
)
def test_model_and_workspace_of_a_layer(staterror: Any) -> None:
    """What was trained is evaluated by the same functions as any model, and by pyhf."""
    layer = layer_of_everything(staterror)
    expected = number(layer.log_cls())
    model = layer.model
    np.testing.assert_array_equal(model.data, [82.0, 23.0])
    background = nextstat.asimov_data(model, 0.0, nuisances="nominal")
    test = nextstat.hypotest(model, 1.0, data=background)
    assert np.log(test.expected[2]) == pytest.approx(expected, rel=1e-6)
    workspace = layer.to_workspace()
    codes = {"normsys": {"interpcode": "code1"}, "histosys": {"interpcode": "code0"}}
    theirs = pyhf.Workspace(workspace).model(modifier_settings=codes)
    data = theirs.expected_data(_at_zero(theirs))
    cls = pyhf.infer.hypotest(1.0, data, theirs, return_expected=True)[1]
    assert np.log(float(cls)) == pytest.approx(expected, rel=2e-4)


def _at_zero(model: pyhf.Model) -> list[float]:
    """Suggested parameters without signal."""
    values = list(model.config.suggested_init())
    values[model.config.poi_index] = 0.0
    return values


def test_no_workspace_of_a_batch_or_a_model() -> None:
    batch = HistFactoryLayer.from_histograms(tensor([[1.0, 2.0]] * 3), tensor([9.0, 5.0]))
    for ask in (batch.to_workspace, lambda: batch.model):
        with pytest.raises(ValueError, match=r"a batch of shape \(3,\), expected those of one"):
            ask()
    with pytest.raises(ValueError, match="made from a model"):
        HistFactoryLayer(make_model()).to_workspace()


def test_layers_say_what_they_are() -> None:
    assert repr(layer_of_everything(None)) == (
        "HistFactoryLayer(4 parameters, 2 bins in 1 channels, "
        "samples=['signal', 'ttbar', 'wjets'], poi='mu')"
    )


def test_start_and_nominal_values_differ() -> None:
    """Where fits start does not move the Asimov data."""
    model = make_model()
    name = next(n for n in model.parameter_names if n.startswith("jet"))
    expected = number(HistFactoryLayer(model).q0())
    assert number(HistFactoryLayer(model, init={name: 0.4}).q0()) == pytest.approx(expected)
    fixed = number(HistFactoryLayer(model, fixed={name: 0.4}).q0())
    assert fixed != pytest.approx(expected, rel=1e-3)
    signal, background = tensor([3.0, 8.0]), tensor([40.0, 20.0])
    pair = {"jes": (background * 1.1, background * 0.95)}
    plain = HistFactoryLayer.from_histograms(signal, background, variations=pair)
    held = HistFactoryLayer.from_histograms(
        signal, background, variations=pair, fixed=["jes"], init={"mu": 0.5}, warm_start=False
    )
    alone = HistFactoryLayer.from_histograms(signal, background)
    assert number(held.z0()) == pytest.approx(number(alone.z0()), rel=1e-9)
    assert number(plain.z0()) < number(alone.z0())


def test_data_that_are_not_used_are_refused() -> None:
    model = make_model()
    layer = HistFactoryLayer(model)
    with pytest.raises(ValueError, match="pass data='observed' or nuisances='fitted' too"):
        layer.upper_limit({"data": tensor(model.data)})


@pytest.mark.parametrize("objective", ["fixed data", "fixed minimum"])
def test_shortcuts_fail(objective: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same test of derivatives does not let pass what forgets a way they come in."""
    model = make_model()
    layer = HistFactoryLayer(model)
    if objective == "fixed data":
        monkeypatch.setattr(Asimov, "settle", lambda *arguments: None)
        cases: list[tuple[str, dict[str, Any]]] = [
            ("q0", {"nuisances": "nominal"}),
            ("log_cls", {"nuisances": "fitted", "mu": 2.2}),
            ("upper_limit", {"nuisances": "nominal"}),
            ("mu_uncertainty", {"nuisances": "nominal"}),
        ]
    else:
        monkeypatch.setattr(Derivatives, "add_through_minimum", lambda *arguments: None)
        cases = [
            ("q0", {"nuisances": "fitted"}),
            ("log_cls", {"nuisances": "fitted", "mu": 2.2}),
            ("upper_limit", {"nuisances": "fitted"}),
            ("mu_uncertainty", {"data": "observed"}),
        ]
    for statistic, options in cases:
        which = {key: options[key] for key in ("data", "nuisances") if key in options}
        inputs = templates_of(model, **which)
        with pytest.raises(GradcheckError):
            check(layer, inputs, statistic, **options)


# Batches, memory, types ---------------------------------------------------------------------------


def test_batches_broadcast() -> None:
    """Elements are as if alone; derivatives of what is shared add up."""
    model = make_model()
    values = model.templates()
    rng = np.random.default_rng(0)
    signal = tensor(values["region_1/signal"] * rng.uniform(0.8, 1.2, (4, 1, 3)))
    ttbar = tensor(values["region_1/ttbar"] * rng.uniform(0.9, 1.1, (2, 3)))
    inputs = {"region_1/signal": signal, "region_1/ttbar": ttbar}
    layer = HistFactoryLayer(model)
    with pytest.warns(WorkspaceWarning, match="stay as in the model"):
        found = layer.q0(inputs, data="observed")
    assert found.shape == (4, 2)
    assert len(layer.last_fits) == 8
    for i in range(4):
        for j in range(2):
            alone = layer.q0(
                {"region_1/signal": signal[i, 0], "region_1/ttbar": ttbar[j]}, data="observed"
            )
            assert number(found[i, j]) == pytest.approx(number(alone), rel=1e-9)
    assert layer.covariance(inputs).shape == (4, 2, len(model.parameters), len(model.parameters))
    assert check(layer, inputs, "q0", data="observed")
    assert check(layer, inputs, "upper_limit")


def test_fits_start_from_the_last() -> None:
    """A memory changes nothing but the number of evaluations, nor does a jump of the templates."""
    model = make_model()
    warm, cold = HistFactoryLayer(model), HistFactoryLayer(model, warm_start=False)
    rng = np.random.default_rng(0)
    for k in range(12):
        size = 0.02 if k % 4 else 0.3
        inputs = {
            name: torch.as_tensor(value * rng.uniform(1.0 - size, 1.0 + size))
            for name, value in model.templates().items()
        }
        for statistic in ("q0", "log_cls", "upper_limit", "mu_uncertainty"):
            options = {"data": "observed"} if k % 2 else {}
            found, expected = (getattr(x, statistic)(inputs, **options) for x in (warm, cold))
            assert number(found) == pytest.approx(number(expected), rel=1e-6, abs=1e-8)


def test_single_precision() -> None:
    """Results are float64, derivatives of the type of the tensor."""
    signal = torch.tensor([2.0, 8.0, 10.0], requires_grad=True)
    background = tensor([60.0, 30.0, 10.0])
    loss = HistFactoryLayer.from_histograms(signal, background).log_cls()
    loss.backward()
    assert loss.dtype == torch.float64
    assert signal.grad is not None
    assert background.grad is not None
    assert signal.grad.dtype == torch.float32
    assert background.grad.dtype == torch.float64


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU that torch can use")
def test_gpu_tensors() -> None:
    """Results and derivatives are where the tensors are, and the same."""
    on_cpu = neos_tensors()
    on_gpu = tuple(t.detach().cuda().requires_grad_() for t in on_cpu)

    def log_cls(s: Tensor, b: Tensor, up: Tensor, down: Tensor) -> Tensor:
        return HistFactoryLayer.from_histograms(s, b, variations={"jes": (up, down)}).log_cls()

    losses = [log_cls(*tensors) for tensors in (on_cpu, on_gpu)]
    assert losses[1].is_cuda
    for loss in losses:
        loss.backward()
    assert number(losses[0]) == number(losses[1])
    for cpu, gpu in zip(on_cpu, on_gpu, strict=True):
        assert cpu.grad is not None
        assert gpu.grad is not None
        assert gpu.grad.is_cuda
        torch.testing.assert_close(cpu.grad, gpu.grad.cpu(), rtol=0.0, atol=0.0)


def test_second_derivatives_are_refused() -> None:
    """Whichever way they are asked for."""
    signal = tensor([2.0, 8.0])

    def z0(s: Tensor) -> Tensor:
        return HistFactoryLayer.from_histograms(s, torch.tensor([50.0, 20.0])).z0()

    (gradient,) = torch.autograd.grad(z0(signal), signal, create_graph=True)
    with pytest.raises(RuntimeError, match="cannot be differentiated again"):
        gradient.sum().backward()
    with pytest.raises(RuntimeError, match="cannot be differentiated again"):
        torch.autograd.functional.hessian(z0, signal)


def test_without_gradients() -> None:
    model = make_model()
    with torch.no_grad():
        assert not HistFactoryLayer(model).upper_limit(templates_of(model)).requires_grad


def test_fits_can_be_read() -> None:
    model = make_model()
    layer = HistFactoryLayer(model)
    layer.cls(mu=2.2, data="asimov")
    (fit,) = layer.last_fits
    assert fit.muhat == 0.0
    expected = model.init.copy()
    expected[model.parameters.index("mu")] = 0.0
    np.testing.assert_array_equal(fit.values, expected)
    assert set(fit.conditional) == {2.2}
    layer.mu_uncertainty(data="observed")
    assert layer.last_fits[0].muhat == pytest.approx(nextstat.fit(model)["mu"], abs=1e-5)


# What cannot be -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"region_1/sginal": [1.0, 2.0, 3.0]}, KeyError, r"region_1/signal"),
        ({"region_1/signal": [1.0, 2.0]}, ValueError, r"shape \(2,\), expected \(3,\)"),
        ({"region_1/signal": [1.0, np.nan, 2.0]}, ValueError, "not finite: nan"),
        (
            {"region_1/signal": [1.0, -1e4, 2.0]},
            ValueError,
            "bin 1 of channel 'region_1' add up to",
        ),
        ({"data": [1.0, 2.0]}, ValueError, r"'data' has shape \(2,\)"),
        ({"data": [1.0, -2.0, 3.0]}, ValueError, "data must be finite and not negative"),
    ],
)
def test_rejected_templates(
    change: dict[str, list[float]], error: type[Exception], message: str
) -> None:
    layer = HistFactoryLayer(make_model())
    inputs = {name: tensor(values) for name, values in change.items()}
    with pytest.raises(error, match=message):
        layer.q0(inputs, data="observed")


def test_rejected_arguments() -> None:
    layer = HistFactoryLayer(make_model())
    with pytest.raises(TypeError, match=r"is a list, expected a torch\.Tensor"):
        layer.q0({"region_1/signal": [1.0, 2.0, 3.0]})  # type: ignore[dict-item]
    with pytest.raises(TypeError, match="floating-point"):
        layer.q0({"region_1/signal": torch.tensor([1, 2, 3])})
    with pytest.raises(TypeError, match="expected a mapping"):
        layer.q0(torch.ones(3))  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="data is 'asymov'"):
        layer.q0(data="asymov")  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="asimov_mu is a tensor"):
        layer.q0(asimov_mu=torch.tensor(1.0))  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="asimov_mu is nan"):
        layer.q0(asimov_mu=float("nan"))
    with pytest.raises(ValueError, match="do not broadcast"):
        layer.cls({"region_1/staterror/staterror_region_1": torch.ones(2, 3)}, mu=torch.ones(3))
    with pytest.raises(ValueError, match="nuisances is 'best'"):
        layer.q0(nuisances="best")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="mu is 0, expected a positive number"):
        layer.cls(mu=0.0)
    with pytest.raises(ValueError, match="batch has shape"):
        layer.q0({"region_1/staterror/staterror_region_1": torch.ones(0, 3)})
    with pytest.raises(TypeError, match="from_pyhf"):
        HistFactoryLayer("model.json")  # type: ignore[arg-type]


def test_failed_fits_name_the_element() -> None:
    signal, background = tensor([2.0, 0.0]), tensor([[10.0, 5.0], [10.0, 0.0]])
    layer = HistFactoryLayer.from_histograms(signal, background)
    with pytest.raises(FitError, match=r"element \(1,\) of the batch: the global fit did not"):
        layer.q0({"data": tensor([12.0, 3.0])}, data="observed")


def test_no_background() -> None:
    """A discovery that no background could fake is infinite: say so, and what to do."""
    signal, background = tensor([2.0, 8.0]), tensor([10.0, 0.0])
    layer = HistFactoryLayer.from_histograms(signal, background)
    with pytest.warns(FitWarning, match="give every bin some background"):
        z0 = layer.z0()
    assert z0.item() == math.inf
    with pytest.raises(FitError, match=r"no derivatives: .*give every bin some background"):
        z0.backward()
    with pytest.warns(
        FitWarning,
        match="no events are expected at mu=0 in bin . of channel",
    ):
        loss = layer.log_cls()
    loss.backward()
    assert signal.grad is not None
    assert background.grad is not None
    assert torch.isfinite(signal.grad).all()
    assert background.grad[1] == 0.0  # infinite, but not of a wrong sign


def test_empty_bins() -> None:
    """Bins without any events count nothing; no derivative is better than one of a wrong sign."""
    signal, background = tensor([2.0, 0.0, 3.0]), tensor([10.0, 0.0, 5.0])
    layer = HistFactoryLayer.from_histograms(signal, background)
    two = HistFactoryLayer.from_histograms(tensor([2.0, 3.0]), tensor([10.0, 5.0]))
    for statistic in ("z0", "log_cls", "upper_limit"):
        with pytest.warns(FitWarning, match="all samples are empty in bin"):
            value = getattr(layer, statistic)()
        assert number(value) == pytest.approx(number(getattr(two, statistic)()), rel=1e-8)
        for gradient in torch.autograd.grad(value, (signal, background)):
            assert gradient[1] == 0.0
            assert (gradient[[0, 2]] != 0.0).all()
    value = layer.mu_uncertainty()
    assert number(value) == pytest.approx(number(two.mu_uncertainty()), rel=1e-8)
    for gradient in torch.autograd.grad(value, (signal, background)):
        assert torch.isfinite(gradient).all()


def test_no_signal() -> None:
    """The significance has a kink at 0: no derivative but a warning; its square has one."""
    signal, background = tensor([0.0, 0.0]), tensor([10.0, 5.0])
    layer = HistFactoryLayer.from_histograms(signal, background)
    layer.q0().backward()
    with pytest.warns(FitWarning, match="q0 is 0, where its root has a kink"):
        layer.z0().backward()
    assert signal.grad is not None
    assert (signal.grad == 0.0).all()


@pytest.mark.parametrize("signal", [1e-4, 1.7, 7.0])
def test_no_sensitivity(signal: float) -> None:
    """A background that floats freely: what rounding leaves of z0 has no derivative."""
    free = [{"name": "k", "type": "normfactor", "data": None}]
    poi = [{"name": "mu", "type": "normfactor", "data": None}]
    samples = [
        {"name": "signal", "data": [signal], "modifiers": poi},
        {"name": "background", "data": [50.0], "modifiers": free},
    ]
    workspace = {
        "channels": [{"name": "c", "samples": samples}],
        "observations": [{"name": "c", "data": [50.0]}],
        "measurements": [{"name": "m", "config": {"poi": "mu", "parameters": []}}],
        "version": "1.0.0",
    }
    layer = HistFactoryLayer(nextstat.from_pyhf(workspace))
    yields = tensor([signal])
    with pytest.warns(FitWarning, match="where its root has a kink"):
        layer.z0({"c/signal": yields}).backward()
    assert yields.grad is not None
    assert yields.grad.item() == 0.0


@pytest.mark.parametrize("name", ["init", "fixed", "bounds"])
def test_options_are_those_of_the_call(name: str) -> None:
    """Whatever becomes of what was passed: an iterator ends, a mapping may change."""
    model = make_model()
    parameter = next(n for n in model.parameter_names if n != "mu")
    value: Any = {"init": 0.1, "fixed": 0.2, "bounds": (-0.1, 0.1)}[name]
    options: dict[str, Any] = {name: {parameter: value}}
    layer = HistFactoryLayer(model, **options)
    expected = number(layer.z0())
    options[name].clear()
    assert number(layer.z0()) == pytest.approx(expected, rel=1e-9)
    named, iterated = (
        HistFactoryLayer(model, fixed=names) for names in ([parameter], iter([parameter]))
    )
    assert number(named.z0()) == number(iterated.z0()) != number(HistFactoryLayer(model).z0())


def test_negative_variances_are_refused() -> None:
    layer = HistFactoryLayer.from_histograms(
        tensor([1.0, 2.0]), tensor([9.0, 8.0]), staterror=tensor([1.0, -1.0])
    )
    for call in (layer.z0, layer.to_workspace):
        with pytest.raises(ValueError, match="is negative: -1, expected variances"):
            call()


def test_downward_fluctuation() -> None:
    """Data below the background: q0 is 0 on both sides, and its derivative truly 0."""
    model = make_model()
    layer = HistFactoryLayer(model)
    params = model.init.copy()
    params[model.parameters.index("mu")] = -0.3
    data = {"data": tensor(model.expected_data(params))}
    with pytest.warns(FitWarning, match="excess on the tested side"):
        layer.z0(data, data="observed").backward()
    with pytest.raises(FitError, match="fitted at its bound 0, where it has no variance"):
        layer.mu_uncertainty(data, data="observed")


@pytest.mark.filterwarnings("ignore:the fit reaches")
def test_beyond_the_bounds() -> None:
    """Limits widen the bounds, tests refuse what is outside, as the functions for numbers do."""
    sizes: dict[str, Any] = {"n_channels": 1, "n_bins": 3, "n_samples": 2, "n_systematics": 0}
    model = nextstat.from_pyhf(make_workspace(**sizes, random_state=2))
    weak = tensor(0.1 * model.templates()["region_1/signal"])
    changed = BindableTemplates(model).bind({"region_1/signal": weak.detach().numpy()}).model
    with pytest.warns(FitWarning, match="the fit reaches mu=28.7"):
        expected = nextstat.upper_limit(changed)
    layer = HistFactoryLayer(model)
    inputs = {"region_1/signal": weak}
    observed: dict[str, Any] = {"data": "observed", "nuisances": "fitted"}
    assert expected.observed > 10.0
    found = layer.upper_limit(inputs, **observed)
    assert number(found) == pytest.approx(expected.observed, rel=1e-6)
    assert check(layer, inputs, "upper_limit", **observed)
    found = layer.upper_limit(inputs, nuisances="fitted")
    assert number(found) == pytest.approx(expected.expected[2], rel=1e-6)
    beyond = nextstat.hypotest(changed, 60.0).cls  # of a bound that nobody chose
    assert number(layer.cls(inputs, mu=60.0, **observed)) == pytest.approx(beyond, rel=1e-6)
    chosen = HistFactoryLayer(model, bounds={"mu": (0.0, 10.0)})
    with pytest.raises(ValueError, match=r"mu is 60, outside the bounds \[0, 10\]"):
        chosen.cls(inputs, mu=60.0, **observed)
    with pytest.raises(ValueError, match="outside the bounds"):
        HistFactoryLayer(model, bounds={"mu": (0.5, 10.0)}).z0(data="observed")


def test_limits_after_a_jump() -> None:
    """A limit that is remembered is not believed when everything has changed."""
    signal = torch.tensor([5.0, 3.0], dtype=torch.float64)
    model = HistFactoryLayer.from_histograms(signal, torch.tensor([50.0, 20.0])).model
    layer = HistFactoryLayer(model)
    background = {"channel/background": torch.tensor([50.0, 20.0])}
    for scale in (1.0, 1e-10, 1.0, 1e6, 1e-6):
        inputs = {"channel/signal": scale * signal, **background}
        expected = HistFactoryLayer(model).upper_limit(inputs)
        assert number(layer.upper_limit(inputs)) == pytest.approx(number(expected), rel=1e-6)


@pytest.mark.filterwarnings("ignore:no events are expected")
def test_data_that_exclude_the_background() -> None:
    """Events where only signal can be: tests have values and derivatives, as `hypotest` has."""
    histograms = {
        "channel/signal": tensor([5.0, 3.0, 2.0]),
        "channel/background": tensor([50.0, 20.0, 0.0]),
    }
    systematics = {"xsec": {"background": 0.1}}
    layer = HistFactoryLayer.from_histograms(*histograms.values(), norm_systematics=systematics)
    data = torch.tensor([51.0, 20.0, 1.0])
    bound = BindableTemplates(layer.model).bind(
        {name: histogram.detach().numpy() for name, histogram in histograms.items()}
    )
    with pytest.warns(FitWarning, match="excluded outright"):
        expected = nextstat.hypotest(bound.model, 1.7, data=data.numpy())
    with pytest.warns(FitWarning, match="excluded outright"):
        found = layer.log_cls({"data": data}, mu=1.7, data="observed", nuisances="fitted")
    assert number(found) == pytest.approx(np.log(expected.cls), rel=1e-6)
    for gradient in torch.autograd.grad(found, tuple(histograms.values())):
        assert torch.isfinite(gradient).all()


def test_auxiliary_data_that_cannot_follow() -> None:
    """Factors of a shapesys that a measurement sets: its nominal yields are not replaced."""
    workspace = make_workspace(
        n_channels=1, n_bins=3, n_samples=3, n_systematics=0, shapesys=True, random_state=2
    )
    config = workspace["measurements"][0]["config"]
    config["parameters"].append({"name": "shape_region_1", "factors": [100.0, 200.0, 300.0]})
    layer = HistFactoryLayer(nextstat.from_pyhf(workspace))
    assert "region_1/ttbar/shapesys/shape_region_1" not in layer.template_names
    with pytest.raises(ValueError, match="auxiliary data of its shapesys 'shape_region_1'"):
        layer.q0({"region_1/ttbar": tensor([10.0, 20.0, 30.0])})


def test_rejected_histograms() -> None:
    s, b = tensor([2.0, 3.0]), tensor([10.0, 5.0])
    build: Callable[..., HistFactoryLayer] = HistFactoryLayer.from_histograms
    with pytest.raises(ValueError, match="'channel/background' has 3 bins, expected 2"):
        build(s, tensor([1.0, 2.0, 3.0]))
    with pytest.raises(TypeError, match="'signal' is a list, expected a histogram"):
        build([2.0, 3.0], b)
    with pytest.raises(TypeError, match="'channel/background/histosys/jes/hi' is a NoneType"):
        build(s, b, variations={"jes": (None, b)})
    with pytest.raises(TypeError, match="'staterror of background' is a NoneType"):
        build(s, b, staterror={"background": None})
    with pytest.raises(ValueError, match="none called 'signal'"):
        build(s, {"signal": b})
    with pytest.raises(ValueError, match="of which sample"):
        build(s, {"one": b, "two": b}, variations={"jes": (b, b)})
    with pytest.raises(ValueError, match="did you mean 'background'"):
        build(s, b, variations={"jes": {"backgrond": (b, b)}})
    with pytest.raises(ValueError, match=r"expected \(up, down\)"):
        build(s, b, variations={"jes": b})
    with pytest.raises(ValueError, match="name of another parameter"):
        build(s, b, variations={"mu": (b, b)})
    with pytest.raises(ValueError, match="no observed data"):
        build(s, b).q0(data="observed")
    with pytest.raises(ValueError, match="no observed data"):
        build(s, b).q0(nuisances="fitted")
    with pytest.raises(TypeError, match="holds a tensor"):
        build(s, b, norm_systematics={"xsec": tensor(0.1)})
    with pytest.raises(ValueError, match="interpolation"):
        build(s, b, interpolation=("code4", "code5"))
    with pytest.warns(WorkspaceWarning, match="one-sided"):
        one_sided = build(s, b, variations={"jes": (1.1 * b, None)})
    both = build(s, b, variations={"jes": (1.1 * b, 0.9 * b)})
    assert number(one_sided.cls()) == pytest.approx(number(both.cls()), rel=1e-12)
    observed = build(s, b).q0({"data": b + s}, data="observed")
    assert number(observed) == pytest.approx(number(build(s, b).q0()), rel=1e-9)


def test_large_yields() -> None:
    """Derivatives where one event in a million counts."""
    s, b = tensor([200.0, 3000.0]), tensor([1e6, 5e6])

    def z0(signal: Tensor, background: Tensor) -> Tensor:
        return HistFactoryLayer.from_histograms(
            signal, background, norm_systematics={"xsec": {"background": 0.001}}
        ).z0()

    assert gradcheck(z0, (s, b), eps=1e-1, rtol=1e-3, atol=1e-10)


def test_copies_are_models() -> None:
    """Layers can be copied, and copies do not share what they remember."""
    layer = HistFactoryLayer(make_model())
    layer.q0()
    other = copy.deepcopy(layer)
    assert number(other.q0()) == pytest.approx(number(layer.q0()), rel=1e-9)
    assert other._fits._memories is not layer._fits._memories
