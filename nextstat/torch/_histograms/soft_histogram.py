"""Histograms as modules of a network."""

from __future__ import annotations

from typing import Literal

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from nextstat._base.arguments import check_integer
from nextstat._base.warnings import warn
from nextstat.exceptions import GradientWarning
from nextstat.histogram._columns import Overflow, check_edges, finite_edges
from nextstat.torch._histograms.smoothing import Sums, smooth, softmax
from nextstat.torch._histograms.tensors import OnDevice, as_column, as_floats, check_device

Mode = Literal["kde", "sigmoid", "softmax"]


class SoftHistogram(OnDevice):
    """Histogram of the outputs of a network, differentiable in everything it is made of.

    Event i gives bin k the share K_ik of its weight, n_k = sum_i w_i K_ik:

    - "kde": Phi((e_{k+1} - x_i) / h) - Phi((e_k - x_i) / h), the integral of a kernel density
      estimate over the bin, with the Gaussian distribution function Phi.
    - "sigmoid": the same with the logistic function 1 / (1 + exp(-t)).
    - "softmax": softmax(f_i / h)_k, of one output f_ik per bin; h is the temperature
      (arXiv:1806.04743).

    As h goes to 0 this becomes an ordinary histogram.

    Parameters
    ----------
    bin_edges : (n_bins + 1,) array_like, or int
        Increasing; the outer two may be infinite. In "softmax" mode only their number counts, and
        the number of bins may be given instead.
    bandwidth : float
        Width h of the kernel, positive, in the units of x; or the temperature.
    mode : {"kde", "sigmoid", "softmax"}
    overflow : {"keep", "drop"}
        Whether the first and the last bin take the tails beyond them, or these are not counted.
    density : bool
        Return n_k / (sum(n) width_k), as `numpy.histogram` does: the integral over the bins is 1.
    learn_edges : bool
        Make the inner edges parameters. They cannot change their order: the widths are fractions
        softmax(`log_widths`) of the range, whose ends stay where they are. Weight decay pulls
        towards equally wide bins.
    learn_bandwidth : bool
        Make the bandwidth a parameter. It stays positive: h = exp(`log_bandwidth`).

    Attributes
    ----------
    log_widths : (n_bins,) Parameter
        Only with `learn_edges`.
    log_bandwidth : () Parameter
        Only with `learn_bandwidth`.

    Raises
    ------
    TypeError
        If edges or the bandwidth are tensors that require a gradient.
    ValueError
        If edges do not increase or inner ones are not finite, the bandwidth is not positive, an
        option is none of those above, or options contradict each other: infinite edges with
        `density` or `learn_edges`, edges to learn of a single bin, and for "softmax", which knows
        no edges, any of `overflow="drop"`, `density` and `learn_edges`.

    Notes
    -----
    The histogram is float64 whatever the type of the events, and their derivatives have their
    type. On processors the derivatives cannot be derived again: torch says so if that is tried. On
    other devices, to which the module must be moved with ``.to(device)``, they can, but the memory
    grows with the number of events times that of bins; devices without float64 cannot be used.

    Where edges are learned with `overflow="keep"` and without other aims, bins of no use to the
    loss shrink; the widths never become 0, but may become too small to be told apart, which is a
    ValueError.
    """

    def __init__(
        self,
        bin_edges: npt.ArrayLike,
        bandwidth: float,
        mode: Mode = "kde",
        *,
        overflow: Overflow = "keep",
        density: bool = False,
        learn_edges: bool = False,
        learn_bandwidth: bool = False,
    ) -> None:
        super().__init__()
        if mode not in ("kde", "sigmoid", "softmax"):
            raise ValueError(f"mode is {mode!r}, expected 'kde', 'sigmoid' or 'softmax'")
        if mode == "softmax" and isinstance(bin_edges, int | np.integer):
            bin_edges = np.arange(check_integer(bin_edges, "bin_edges", 1) + 1)
        for name, given in {"bin_edges": bin_edges, "bandwidth": bandwidth}.items():
            if isinstance(given, Tensor) and given.requires_grad:
                raise TypeError(
                    f"{name} is a tensor that requires a gradient, which would be lost: expected "
                    "numbers, and learn_edges=True or learn_bandwidth=True to learn them"
                )
        edges = check_edges(bin_edges)
        finite_edges(edges, overflow)
        if mode == "softmax" and (overflow != "keep" or density or learn_edges):
            raise ValueError("softmax mode has no edges: no overflow='drop', density, learn_edges")
        if (density or learn_edges) and not np.isfinite(edges).all():
            raise ValueError("density and learn_edges need finite outer edges")
        if learn_edges and len(edges) == 2:
            raise ValueError("a single bin has no edges to learn")
        self.n_bins = len(edges) - 1
        self.mode, self.overflow, self.density = mode, overflow, density
        self.learn_edges, self.learn_bandwidth = learn_edges, learn_bandwidth
        if learn_edges:
            self.log_widths = torch.nn.Parameter(torch.from_numpy(np.log(np.diff(edges))))
            self.register_buffer("outer_edges", torch.tensor([edges[0], edges[-1]]))
        else:
            self.register_buffer("fixed_edges", torch.tensor(edges))
        h = torch.tensor(_positive(bandwidth), dtype=torch.float64)
        if learn_bandwidth:
            self.log_bandwidth = torch.nn.Parameter(h.log())
        else:
            self.register_buffer("fixed_bandwidth", h)

    @property
    def bin_edges(self) -> Tensor:
        """Bin edges, (n_bins + 1,) float64; where they are learned, connected to `log_widths`."""
        if not self.learn_edges:
            return self.get_buffer("fixed_edges").to(torch.float64)
        ends = self.get_buffer("outer_edges").to(torch.float64)
        fractions = torch.softmax(self.log_widths.to(torch.float64), dim=0)[:-1].cumsum(dim=0)
        inner = ends[0] + (ends[1] - ends[0]) * fractions
        return torch.cat([ends[:1], inner, ends[1:]])

    @property
    def bandwidth(self) -> Tensor:
        """Bandwidth or temperature, () float64; can be set to a positive number."""
        if self.learn_bandwidth:
            return self.log_bandwidth.to(torch.float64).exp()
        return self.get_buffer("fixed_bandwidth").to(torch.float64)

    @bandwidth.setter
    def bandwidth(self, value: float) -> None:
        h = _positive(value)
        if self.learn_bandwidth:
            with torch.no_grad():
                self.log_bandwidth.fill_(np.log(h))
        else:  # a new tensor: the old one may be needed by a backward pass
            self.fixed_bandwidth = torch.full_like(self.get_buffer("fixed_bandwidth"), h)

    def forward(
        self, x: Tensor, weights: Tensor | None = None, *, bandwidth: Tensor | None = None
    ) -> Tensor:
        """Fill a histogram.

        Parameters
        ----------
        x : (n_events,) or (n_events, 1) Tensor; (n_events, n_bins) in "softmax" mode
            Outputs of the network. There may be no events. Infinite ones count in the first or
            last bin, or nowhere with `overflow="drop"`; in "softmax" mode they are an error.
        weights : (n_events,) or (n_events, 1) Tensor, optional
            Event weights of either sign; 1 by default.
        bandwidth : () or (n_events,) Tensor, optional
            In place of that of the module: one for each event, as of `adaptive_bandwidth`. In
            "softmax" mode there is but one temperature.

        Returns
        -------
        (n_bins,) Tensor of float64
            Counts, or their density; differentiable in the events, the weights, the bandwidth, and
            what is learned. If all events are far outside of the bins, a `GradientWarning` says so.

        Raises
        ------
        TypeError
            If the input is no tensor of real numbers.
        ValueError
            If shapes do not match, tensors are on other devices than the module, values are NaN, a
            bandwidth is not positive, or the density is wanted of a histogram whose sum is 0.
        """
        yields, _ = self._fill(x, weights, bandwidth)
        if not self.density:
            return yields
        total = yields.sum()
        if total == 0.0:
            raise ValueError("the counts add up to 0, which leaves no density")
        density: Tensor = yields / (total * self.bin_edges.diff())
        return density

    def with_variances(
        self, x: Tensor, weights: Tensor | None = None, *, bandwidth: Tensor | None = None
    ) -> Sums:
        """Fill a histogram, and the squares of what statistical errors its bins have.

        Parameters
        ----------
        x, weights, bandwidth
            As of `forward`.

        Returns
        -------
        yields : (n_bins,) Tensor of float64
            What `forward` returns.
        variances : (n_bins,) Tensor of float64
            sum_i (w_i K_ik)^2; the root is the absolute error of a staterror. Differentiable too.

        Raises
        ------
        TypeError, ValueError
            As `forward`, and with `density`, whose errors are correlated.
        """
        if self.density:
            raise ValueError("variances are those of counts, expected density=False")
        return self._fill(x, weights, bandwidth)

    def extra_repr(self) -> str:
        """Options, for the `repr` of a network."""
        return (
            f"n_bins={self.n_bins}, bandwidth={self.bandwidth.item():.6g}, mode={self.mode!r}, "
            f"overflow={self.overflow!r}, density={self.density}, "
            f"learn_edges={self.learn_edges}, learn_bandwidth={self.learn_bandwidth}"
        )

    def _fill(self, x: Tensor, weights: Tensor | None, bandwidth: Tensor | None) -> Sums:
        edges = self.bin_edges
        events = as_floats(x, "x") if self.mode == "softmax" else as_column(x, "x")
        check_device(events, "x", edges.device)
        if weights is not None:
            weights = as_column(weights, "weights", len(events))
            check_device(weights, "weights", edges.device)
        h = self.bandwidth
        if bandwidth is not None:
            h = as_floats(bandwidth, "bandwidth").to(torch.float64)
            check_device(h, "bandwidth", edges.device)
            if h.ndim:
                h = as_column(h, "bandwidth", len(events))
        if self.mode != "softmax":
            sums = smooth(events, weights, edges, h, self.mode, self.overflow)
            _warn_if_outside(events, weights, edges, sums[0])
            return sums
        if events.ndim != 2 or events.shape[1] != self.n_bins:
            found = tuple(events.shape)
            raise ValueError(f"x has shape {found}, expected (n_events, {self.n_bins}), a bin each")
        if h.ndim:
            raise ValueError(f"the temperature has shape {tuple(h.shape)}, expected one number")
        return softmax(events, weights, h)


def _warn_if_outside(events: Tensor, weights: Tensor | None, edges: Tensor, yields: Tensor) -> None:
    """Warn if all events are far outside of the same end, where no derivative is left."""
    if yields[1:-1].any():
        return
    if weights is not None:
        events = events[weights != 0.0]
    if len(events) == 0:
        return
    low, high = events.detach().aminmax()
    if low > edges[-1] or high < edges[0]:
        warn(
            f"all events are between {low.item():.3g} and {high.item():.3g}, outside of the bins "
            f"from {edges[0].item():.3g} to {edges[-1].item():.3g}, where nothing is learned: do "
            "the outputs lack a sigmoid?",
            GradientWarning,
        )


def _positive(bandwidth: float) -> float:
    """One positive, finite number."""
    h = float(bandwidth)
    if not 0.0 < h < np.inf:
        raise ValueError(f"bandwidth is {h}, expected a positive number")
    return h
