"""Counting experiments: cuts with a slope, and the significance they reach."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from nextstat.torch._histograms.tensors import as_floats, check_no_nan

LEAST_BACKGROUND = 1e-9  # events; less than that, and derivatives are of no use to anybody

# Gauss-Legendre quadrature on [0, 1]
_NODES, _WEIGHTS = (0.5 * part for part in np.polynomial.legendre.leggauss(12))
_NODES += 0.5


def soft_cut(x: Tensor, cut: Tensor | float, slope: Tensor | float) -> Tensor:
    """Weight of each event behind a cut that can be derived: 1 / (1 + exp(-slope (x - cut))).

    Parameters
    ----------
    x : Tensor
        Observable, of any shape.
    cut : Tensor or float
        Where the weight is one half, in the units of x.
    slope : Tensor or float
        Steepness, in inverse units of x; positive keeps events above the cut, negative those below.
        Between 10 % and 90 % of the weight lie 4.4 / slope.

    Returns
    -------
    Tensor
        Between 0 and 1, of the shape to which all three broadcast and of the type to which torch
        promotes them. Differentiable in all of them, as often as wanted.

    Raises
    ------
    TypeError
        If x is no tensor of real numbers.
    ValueError
        If one of them is NaN, or an infinite one leaves the weight undefined.
    """
    weight = torch.sigmoid(slope * (as_floats(x, "x") - cut))
    check_no_nan(soft_cut=weight)
    return weight


def asimov_significance(
    s: Tensor | float, b: Tensor | float, sigma_b: Tensor | float | None = None
) -> Tensor:
    r"""Median expected significance of s signal events on b background events, in sigma.

    For a background known up to a standard deviation, v = sigma_b^2,

        Z = sqrt(2 [(s + b) ln((s + b) (b + v) / (b^2 + (s + b) v))
                    - b^2 / v ln(1 + v s / (b (b + v)))])

    and sqrt(2 [(s + b) ln(1 + s / b) - s]) for v = 0 (arXiv:1007.1727 (97); G. Cowan, "Discovery
    sensitivity for a counting experiment with background uncertainty", 2012; as the loss of a
    network: arXiv:1806.00322). Z^2 of independent bins add up.

    Parameters
    ----------
    s : Tensor or float
        Expected signal events.
    b : Tensor or float
        Expected background events, not negative.
    sigma_b : Tensor or float, optional
        Standard deviation of b in events, not negative; 0 by default.

    Returns
    -------
    Tensor of float64
        Element by element, of the shape to which all three broadcast; differentiable in all of
        them, twice too. Values and derivatives keep their accuracy where s, v or both are small.

    Raises
    ------
    TypeError
        If one of them is complex.
    ValueError
        If one of them is not finite, or b or sigma_b negative.

    Notes
    -----
    Z and its derivatives are finite everywhere, for numbers up to 1e75:

    - At s = 0 the derivative by s is that from above, 1 / sqrt(b + v), which points to more signal.
      For s < 0 there is no excess: Z and its derivatives are 0.
    - At b = 0 the formula has an infinite derivative, and without sigma_b an infinite value. Below
      1e-9 events, b counts as 1e-9, with the derivatives there.

    The test statistic is a sum of two deviances that do not cancel. With f(d) = ((1 + d) ln(1 + d)
    - d) / d^2 and e = b + v + v s / b it becomes

        Z = s sqrt(2 [b f(s / e) + v f(-v s / (b e))] / (e (b + v)))
    """
    devices = [part.device for part in (s, b, sigma_b) if isinstance(part, Tensor)]
    signal, background, error = (
        _as_double(value, name, devices[0] if devices else None)
        for name, value in {"s": s, "b": b, "sigma_b": 0.0 if sigma_b is None else sigma_b}.items()
    )
    for name, value in {"b": background, "sigma_b": error}.items():
        if (value < 0.0).any():
            raise ValueError(f"{name} is {value.min().item():g}, expected at least 0")
    signal = signal.clamp(min=0.0)
    background = background + (LEAST_BACKGROUND - background).clamp(min=0.0).detach()
    variance = error.square()
    total = background + variance
    pull = variance * signal / background
    spread = total + pull
    of_count = _deviance(signal / spread, 1.0 + signal / spread)
    of_control = _deviance(-pull / spread, total / spread)
    mean = (background * of_count + variance * of_control) / total
    return signal * torch.sqrt(2.0 * mean / spread)


def _deviance(d: Tensor, y: Tensor) -> Tensor:
    """f(d) = (y ln y - d) / d^2 with y = 1 + d >= 0, also for d near 0.

    There it is the integral of (1 - t) / (1 + t d) over t from 0 to 1.
    """
    near = (d > -0.5) & (d < 1.0)
    inner = torch.where(near, d, 0.0)
    nodes = torch.as_tensor(_NODES, device=d.device)
    weights = torch.as_tensor(_WEIGHTS * (1.0 - _NODES), device=d.device)
    integral = (weights / (1.0 + inner[..., None] * nodes)).sum(dim=-1)
    outer, above = torch.where(near, 1.0, d), torch.where(near, 2.0, y)
    return torch.where(near, integral, (torch.xlogy(above, above) / outer - 1.0) / outer)


def _as_double(value: Tensor | float, name: str, device: torch.device | None) -> Tensor:
    """Finite numbers as float64."""
    if not isinstance(value, Tensor):
        value = torch.as_tensor(value, dtype=torch.float64, device=device)
    tensor = as_floats(value, name).to(torch.float64)
    if not torch.isfinite(tensor).all():
        raise ValueError(f"{name} is not finite")
    return tensor
