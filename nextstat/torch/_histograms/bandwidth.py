"""Rules for the bandwidth of a `SoftHistogram`, and a schedule."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from nextstat._base.arguments import check_integer, check_positive
from nextstat._base.arrays import Vector
from nextstat.histogram._columns import as_column
from nextstat.histogram._smoothing import smooth_histogram_gradients
from nextstat.torch._histograms.soft_histogram import SoftHistogram
from nextstat.torch._statistics.evaluate import to_array

SILVERMAN = (4.0 / 3.0) ** 0.2
_FARTHEST = 2.0**50  # positions that are still told apart
STEPS = 4  # points per bandwidth at which a density is computed, between them interpolated


def scott_bandwidth(
    x: Tensor | npt.ArrayLike, weights: Tensor | npt.ArrayLike | None = None
) -> float:
    """Scott's rule: sigma n^(-1/5).

    The same as of `scipy.stats.gaussian_kde`: sigma is the standard deviation of the weighted
    events, n = (sum w)^2 / sum w^2 their effective number (D. W. Scott, "Multivariate Density
    Estimation", 1992).

    Parameters
    ----------
    x : (n_events,) or (n_events, 1) Tensor or array_like
    weights : the same, optional
        They count by their absolute values: events of either sign mark where events are. Events of
        weight 0 are as absent, even where x is NaN.

    Returns
    -------
    float
        In the units of x. No derivative flows through it.

    Raises
    ------
    ValueError
        If shapes do not match, values are not finite, or there are not at least two different x.
    """
    events = _events(x, weights)
    sigma, n = _spread(events)
    return events.scale * sigma * math.pow(n, -0.2)


def silverman_bandwidth(
    x: Tensor | npt.ArrayLike, weights: Tensor | npt.ArrayLike | None = None
) -> float:
    """Silverman's rule: (4/3)^(1/5) sigma n^(-1/5), the best for events of a normal distribution.

    The same as of `scipy.stats.gaussian_kde` (B. W. Silverman, "Density Estimation for Statistics
    and Data Analysis", 1986), and h* of hep-ex/0011057.

    Parameters
    ----------
    x, weights
        As of `scott_bandwidth`.

    Returns
    -------
    float

    Raises
    ------
    ValueError
        As `scott_bandwidth`.
    """
    return SILVERMAN * scott_bandwidth(x, weights)


def adaptive_bandwidth(
    x: Tensor | npt.ArrayLike, weights: Tensor | npt.ArrayLike | None = None
) -> Tensor:
    """One bandwidth for each event, wide where events are rare.

    h_i = (4/3)^(1/5) n^(-1/5) sqrt(sigma / f(x_i)), with the kernel density estimate f of the same
    events that has the bandwidth of `silverman_bandwidth` (hep-ex/0011057). In the middle of a
    normal distribution h_i is 1.6 times that. RooFit's classes divide by sqrt(12); for peaks much
    narrower than sigma, less than the whole is right too, by sqrt(sigma of a peak / sigma).

    Parameters
    ----------
    x, weights
        As of `scott_bandwidth`.

    Returns
    -------
    (n_events,) Tensor of float64
        On the device of x, to 0.1 %, or to 1 % where weights differ by orders of magnitude. Events
        of weight 0 take the largest of all. No derivative flows through it.

    Raises
    ------
    ValueError
        As `scott_bandwidth`; or if events lie so far from all others that no grid holds both.
    """
    events = _events(x, weights)
    sigma, n = _spread(events)
    factor = SILVERMAN * math.pow(n, -0.2)
    wide = events.scale * factor * np.sqrt(sigma / _density(events, factor * sigma))
    bandwidth = np.full(len(events.used), wide.max())
    bandwidth[events.used] = wide
    return torch.as_tensor(bandwidth, device=x.device if isinstance(x, Tensor) else None)


class BandwidthAnnealing:
    """Schedule that lowers the bandwidth or temperature of a histogram from step to step.

    From the present value h_0 geometrically to the last one: h_t = h_0 (end / h_0)^(t / n_steps).

    Parameters
    ----------
    histogram : SoftHistogram
        Its bandwidth must not be learned.
    end : float
        Value after `n_steps` steps, positive; it stays afterwards.
    n_steps : int

    Raises
    ------
    TypeError, ValueError
        If an option is out of range, or the bandwidth is learned.

    Examples
    --------
    >>> histogram = SoftHistogram([0.0, 0.5, 1.0], bandwidth=0.4)
    >>> schedule = BandwidthAnnealing(histogram, end=0.1, n_steps=2)
    >>> for _ in range(3):
    ...     schedule.step()
    ...     print(f"{histogram.bandwidth.item():.3g}")
    0.2
    0.1
    0.1
    """

    def __init__(self, histogram: SoftHistogram, end: float, n_steps: int) -> None:
        if histogram.learn_bandwidth:
            raise ValueError("the bandwidth is learned, expected learn_bandwidth=False")
        self.histogram = histogram
        self.start, self.end = histogram.bandwidth.item(), check_positive(end, "end")
        self.n_steps = check_integer(n_steps, "n_steps", 1)
        self.last_step = 0

    def step(self) -> None:
        """Set the next bandwidth; call it after each step of the optimiser, or each epoch."""
        self.last_step += 1
        done = min(self.last_step / self.n_steps, 1.0)
        self.histogram.bandwidth = self.start ** (1.0 - done) * self.end**done

    def state_dict(self) -> dict[str, Any]:
        """Everything but the histogram, whose own `state_dict` holds the bandwidth."""
        return {key: value for key, value in vars(self).items() if key != "histogram"}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Continue from what `state_dict` returned.

        Raises
        ------
        ValueError
            If it is of something else.
        """
        own = self.state_dict()
        if state_dict.keys() != own.keys():
            raise ValueError(f"the state has {sorted(state_dict)}, expected {sorted(own)}")
        vars(self).update(state_dict)


class _Events(NamedTuple):
    """Events with weights.

    Attributes
    ----------
    x : ndarray
        Distances from the event of the largest weight, (n_used,), at most 1.
    scale : float
        Their unit.
    weight : ndarray
        Absolute values, (n_used,), at most 1.
    used : ndarray
        Which of the events given have weights, (n_events,) of bool.
    """

    x: Vector
    scale: float
    weight: Vector
    used: npt.NDArray[np.bool_]


def _events(x: Tensor | npt.ArrayLike, weights: Tensor | npt.ArrayLike | None) -> _Events:
    values = _column(x, "x")
    weight = np.ones(len(values)) if weights is None else np.abs(_column(weights, "weights"))
    weight = as_column(weight, "weights", len(values)).astype(np.float64)
    for name, numbers in {"x": values[weight != 0.0], "weights": weight}.items():
        if not np.isfinite(numbers).all():
            raise ValueError(f"{name} is not finite")
    if weight.any():
        weight /= weight.max()
    used = weight > 0.0
    values, weight = values[used], weight[used]
    if not len(values) or values.min() == values.max():
        raise ValueError("x holds no two different values with weights, so nothing has a width")
    distance = values - values[weight.argmax()]
    scale = float(np.abs(distance).max())
    return _Events(distance / scale, scale, weight, used)


def _column(values: Tensor | npt.ArrayLike, name: str) -> Vector:
    if isinstance(values, Tensor):
        values = to_array(values)
    if np.iscomplexobj(values):
        raise TypeError(f"{name} is complex, expected real numbers")
    array = np.asarray(values, np.float64)
    column = array[:, 0] if array.ndim == 2 and array.shape[1] == 1 else array
    return as_column(column, name).astype(np.float64, copy=False)


def _spread(events: _Events) -> tuple[float, float]:
    """Standard deviation, unbiased for equal weights, and effective number of events."""
    share, largest = events.weight / events.weight.sum(), events.weight.argmax()
    others = np.where(np.arange(len(share)) == largest, 0.0, share)
    # 1 - 1 / n, without a difference of large numbers where one event has all weight
    room = float(share[largest] * others.sum() + others @ (1.0 - others))
    variance = float(share @ np.square(events.x - share @ events.x)) / room
    n = 1.0 / float(share @ share)
    return math.sqrt(variance), n


def _density(events: _Events, bandwidth: float) -> Vector:
    """Gaussian kernel density estimate at each of its own events.

    The density is the derivative of a smoothed histogram by its edges. These lie on a grid around
    all events; cubic polynomials connect the logarithms.
    """
    position = (events.x - events.x.min()) * (STEPS / bandwidth)
    if position.max() > _FARTHEST:
        raise ValueError(
            f"x spans {position.max() / STEPS:.2g} bandwidths, which no grid holds: leave out the "
            "events that are so far away from all others"
        )
    cell = np.floor(position)
    used = np.unique(cell)
    grid = np.unique(np.concatenate([used + shift for shift in (-1.0, 0.0, 1.0, 2.0)]))
    edges = np.concatenate([[-np.inf], grid, [np.inf]])
    by_edges = smooth_histogram_gradients(
        position, edges, events.weight, -np.arange(len(grid) + 1.0), bandwidth=STEPS
    ).edges[1:-1]
    log = np.log(by_edges * (STEPS / (bandwidth * events.weight.sum())))
    k, t = np.searchsorted(grid, cell), position - cell
    polynomials = (
        -t * (t - 1.0) * (t - 2.0) / 6.0,
        (t * t - 1.0) * (t - 2.0) / 2.0,
        -t * (t + 1.0) * (t - 2.0) / 2.0,
        t * (t * t - 1.0) / 6.0,
    )
    density: Vector = np.exp(sum(p * log[k + shift] for shift, p in enumerate(polynomials, -1)))
    return density
