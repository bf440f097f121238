"""Functions of one histogram: that of the signal, in a model that stays as it is."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from nextstat._base.warnings import warn
from nextstat._inference.asimov import AsimovNuisances
from nextstat._model.histfactory import HistFactoryModel
from nextstat.exceptions import GradientWarning
from nextstat.torch._histograms.tensors import usable_device
from nextstat.torch._statistics.dataset import Choice, DataKind
from nextstat.torch._statistics.layer import HistFactoryLayer
from nextstat.torch._statistics.signal import Sample

_FLAT = 1e-6  # dependence on the signal, relative to q0, that is none


@dataclass(frozen=True, eq=False)
class Session:
    """A model whose signal is a tensor; made by `create_session`.

    Attributes
    ----------
    layer : HistFactoryLayer
    sample : Sample
    device : torch.device
        Where results are.
    data : {"observed", "asimov"}
    nuisances : {"fitted", "nominal"}
    """

    layer: HistFactoryLayer
    sample: Sample
    device: torch.device
    data: DataKind
    nuisances: AsimovNuisances


def create_session(
    model: HistFactoryModel,
    signal_sample: str = "signal",
    device: str | torch.device = "cpu",
    *,
    data: DataKind = "observed",
    nuisances: AsimovNuisances = "fitted",
) -> Session:
    """A model, one sample of which is replaced by tensors.

    Parameters
    ----------
    model : HistFactoryModel
    signal_sample : str
        Name of the sample.
    device : str or torch.device
        Where results are; fits are made on the CPU.
    data : {"observed", "asimov"}
        Data of the test statistics: the model's, or the expectation with signal (see
        `HistFactoryLayer`).
    nuisances : {"fitted", "nominal"}
        Of Asimov data; the same as in `nextstat.hypotest` by default.

    Raises
    ------
    KeyError
        If the model has no such sample.
    ValueError
        If an option is none of its choices.
    DeviceError
        If the device cannot be used on this machine.
    """
    Choice(data, nuisances, 0.0).check()
    layer = HistFactoryLayer(model)
    sample = Sample(model, signal_sample)
    return Session(layer, sample, usable_device(device), data, nuisances)


def profiled_q0(hist: Tensor, session: Session) -> Tensor:
    """Discovery test statistic q0 (arXiv:1007.1727, 12) with a signal histogram.

    Parameters
    ----------
    hist : (..., n_bins) Tensor
        Expected signal, channel after channel; leading dimensions are a batch.
    session : Session

    Returns
    -------
    (...) Tensor
        float64, differentiable in `hist`.

    Raises
    ------
    FitError, ValueError
        As `HistFactoryLayer`.
    """
    found = session.layer.q0(
        session.sample.split(hist), data=session.data, nuisances=session.nuisances
    )
    return found.to(session.device)


def profiled_z0(hist: Tensor, session: Session) -> Tensor:
    """Significance sqrt(q0) with a signal histogram; otherwise as `profiled_q0`."""
    found = session.layer.z0(
        session.sample.split(hist), data=session.data, nuisances=session.nuisances
    )
    return found.to(session.device)


def profiled_qmu(hist: Tensor, session: Session, mu: float | Tensor = 1.0) -> Tensor:
    """Exclusion test statistic qtilde of `mu` with a signal histogram.

    Asimov data are those of the background alone. Otherwise as `profiled_q0`.
    """
    found = session.layer.qmu(
        session.sample.split(hist), mu=mu, data=session.data, nuisances=session.nuisances
    )
    return found.to(session.device)


def expected_cls(hist: Tensor, session: Session, mu: float | Tensor = 1.0) -> Tensor:
    """Median expected CLs of `mu` with a signal histogram, whatever the session's data.

    Otherwise as `profiled_q0`.
    """
    found = session.layer.cls(
        session.sample.split(hist), mu=mu, data="asimov", nuisances=session.nuisances
    )
    return found.to(session.device)


def signal_jacobian(signal_hist: Tensor, session: Session) -> Tensor:
    """Derivative of q0 in each bin of the signal: bins where it is about 0 do not matter.

    Parameters
    ----------
    signal_hist : (..., n_bins) Tensor
    session : Session

    Returns
    -------
    (..., n_bins) Tensor
        dq0 / dsignal, of the type and on the device of the histogram. With a `GradientWarning`
        where it vanishes in all bins at once.

    Raises
    ------
    TypeError
        If the histogram is no tensor.
    """
    if not isinstance(signal_hist, Tensor):
        raise TypeError(
            f"signal_hist is a {type(signal_hist).__name__}, expected a torch.Tensor; for arrays "
            "there is signal_jacobian_numpy"
        )
    with torch.inference_mode(False), torch.enable_grad():
        hist = signal_hist.detach().clone().requires_grad_()
        q0 = profiled_q0(hist, session)
        (jacobian,) = torch.autograd.grad(q0.sum(), hist)
    if bool(((jacobian * hist).abs().sum(-1) <= _FLAT * q0.detach()).any()):
        warn(
            "q0 does not depend on the signal: the data have no excess, or they are exactly those "
            "expected with this signal, which fit best then; for what a bin is worth, create the "
            'session with data="asimov"',
            GradientWarning,
        )
    return jacobian


def signal_jacobian_numpy(signal_hist: npt.ArrayLike, session: Session) -> npt.NDArray[np.float64]:
    """`signal_jacobian` of an array, as an array: for SciPy and the like."""
    hist = torch.as_tensor(np.array(signal_hist, dtype=np.float64))
    jacobian: npt.NDArray[np.float64] = signal_jacobian(hist, session).cpu().numpy()
    return jacobian
