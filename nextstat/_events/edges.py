"""Bin edges learned from nominal events."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from nextstat._base.arrays import Vector

_N_CANDIDATES = 200  # candidate edges of the binning for sensitivity
_ROUNDING = 1e-9  # of sums of weights, in shares of a bin


def explicit_edges(binning: npt.ArrayLike) -> Vector:
    """Edges that a user gave.

    Raises
    ------
    ValueError
        If they are not at least two finite, increasing numbers.
    """
    edges = np.array(binning, dtype=np.float64)
    if edges.ndim != 1 or len(edges) < 2:
        raise ValueError(f"binning has shape {edges.shape}, expected at least two edges")
    if not (np.isfinite(edges).all() and (np.diff(edges) > 0.0).all()):
        raise ValueError(f"binning is {edges.tolist()}, expected finite, increasing edges")
    return edges


def find_range(x: npt.NDArray[np.floating], lo: float | None, hi: float | None) -> Vector:
    """Both ends of the binning, (2,): those given, or else the extremes of the observable."""
    first, last = float(x.min()), float(x.max())
    if lo is None and hi is None and first == last:
        margin = max(0.5, float(np.spacing(abs(first))))
        return np.array([first - margin, last + margin])
    ends = np.array([first if lo is None else lo, last if hi is None else hi], dtype=np.float64)
    if not (ends[0] < ends[1] and np.isfinite(ends).all()):
        raise ValueError(
            f"the binning would start at {ends[0]:g} and end at {ends[1]:g}, expected lo < hi, "
            f"both finite; the observable is between {first:g} and {last:g}"
        )
    return ends


def uniform_edges(ends: Vector, n_bins: int) -> Vector:
    """Equally wide bins.

    Raises
    ------
    ValueError
        If the range is too narrow or too wide for that many.
    """
    with np.errstate(over="ignore", invalid="ignore"):
        edges: Vector = np.linspace(ends[0], ends[1], n_bins + 1)
        increasing = (np.diff(edges) > 0.0).all()
    if not increasing:
        raise ValueError(
            f"numbers between {float(ends[0])!r} and {float(ends[1])!r} cannot be divided into "
            f"{n_bins} equally wide bins; shift or scale the observable"
        )
    return edges


def quantile_edges(x: npt.NDArray[np.floating], weight: Vector, ends: Vector, n: int) -> Vector:
    """Bins with equal sums of weights, as far as ties and negative weights permit.

    A value that holds more than its share, a bin's worth, counts as one share only, and the others
    share what is left: it takes one bin from the others, not all that it could fill. Where no value
    does, these are the quantiles k / n. Edges are between values, so that none is on an edge.

    Parameters
    ----------
    x : (n_events,) ndarray
    weight : (n_events,) ndarray
        The expected events that each event stands for.
    ends : (2,) ndarray
    n : int
        Number of bins; fewer come out only of fewer different values.

    Raises
    ------
    ValueError
        If the weights between the ends do not add up to a positive number.
    """
    inside = np.flatnonzero((x >= ends[0]) & (x <= ends[1]))
    order = inside[np.argsort(x[inside], kind="stable")]
    values = x[order].astype(np.float64)
    total = np.maximum.accumulate(np.cumsum(weight[order], dtype=np.float64))
    if not len(total) or total[-1] <= 0.0:
        raise ValueError(f"no events are expected between {ends[0]:g} and {ends[1]:g}")
    last = np.append(np.flatnonzero(values[1:] > values[:-1]), len(values) - 1)  # of each value
    values, total = values[last], total[last]
    content = np.diff(total, prepend=0.0)
    share = _fair_share(content[content > 0.0], n)
    some_are_full = (content > share).any()
    if some_are_full:
        total = np.cumsum(np.minimum(content, share))
    # Rounding must not move a value to the other side of an edge that is just beside it.
    wanted = share * (np.arange(1, n) + _ROUNDING)
    above = np.minimum(np.searchsorted(total, wanted, side="right"), len(values) - 1)
    if some_are_full:  # the nearer side of a value: never twice the same, as it holds one share
        above += total[above] - wanted < wanted - total[above - 1]
        above = np.minimum(above, len(values) - 1)
    above = above[above > 0]
    below, upper = values[above - 1], values[above]
    inner = 0.5 * below + 0.5 * upper
    inner = np.where(inner > below, inner, upper)  # there is no number between neighbours
    inner = np.unique(inner[(inner > ends[0]) & (inner < ends[1])])
    return np.concatenate([ends[:1], inner, ends[1:]])


def _fair_share(content: Vector, n: int) -> float:
    """Share q for which the sum of min(content, q) is n q: what each of n bins gets.

    Parameters
    ----------
    content : (n_values,) ndarray
        Positive. Where there are no more values than bins, each value is a bin.
    """
    if len(content) <= n:
        return float(content.min())
    largest = -np.partition(-content, n - 1)[:n]
    largest[::-1].sort()
    rest = content.sum()
    for k, most in enumerate(largest.tolist()):
        share = rest / (n - k)
        if most <= share:
            break
        rest -= most
    return float(share)


def candidate_edges(
    x: npt.NDArray[np.floating], weight: Vector, of_signal: npt.NDArray[np.bool_], ends: Vector
) -> Vector:
    """Quantiles of the signal and of the background, so that fine bins resolve either.

    Parameters
    ----------
    x, weight : (n_events,) ndarray
        Observable, and the expected events that each event stands for.
    of_signal : (n_events,) ndarray of bool
    ends : (2,) ndarray

    Returns
    -------
    (n_edges,) ndarray
    """
    quantiles = [
        quantile_edges(x[rows], np.abs(weight[rows]), ends, _N_CANDIDATES // 2)
        for rows in (of_signal, ~of_signal)
    ]
    edges: Vector = np.unique(np.concatenate(quantiles))
    return edges


def sensitive_mergers(
    signal: Vector,
    background: Vector,
    variance: Vector,
    n_bins: int,
    *,
    min_background: float,
    max_mc_error: float,
) -> Iterator[npt.NDArray[np.intp]]:
    """For each number of bins up to `n_bins`, the ones with the largest Asimov significance.

    The squared significances of bins add, so dynamic programming over the last bin finds the best
    of all ways to merge neighbours.

    Parameters
    ----------
    signal, background, variance : (n_fine,) ndarray
        Of fine bins; `variance`: of the background, from the number of simulated events.
    n_bins : int
    min_background : float
        Least expected background of a bin; more than 0 events in any case.
    max_mc_error : float
        Largest relative error of a bin's background from the number of simulated events.

    Yields
    ------
    (m,) ndarray
        Indices of the fine bins where the m bins start, for m = 1, 2, ..., `n_bins`, as far as
        there are that many that satisfy the conditions.

    Raises
    ------
    ValueError
        If not even a single bin does.
    """
    sums = (np.concatenate([[0.0], np.cumsum(x)]) for x in (signal, background, variance))
    s, b, v = (x[None, :] - x[:, None] for x in sums)  # [i, j]: between the edges i and j
    possible = (b > 0.0) & (b >= min_background)
    possible[possible] = np.sqrt(np.maximum(v[possible], 0.0)) <= max_mc_error * b[possible]
    possible &= np.triu(np.ones_like(possible), 1)
    if not possible[0, -1]:
        error = np.sqrt(v[0, -1]) / b[0, -1] if b[0, -1] > 0.0 else np.inf
        raise ValueError(
            f"even a single bin, with {b[0, -1]:g} background events and a relative MC error of "
            f"{error:.3g}, does not reach min_background={min_background:g} and "
            f"max_mc_error={max_mc_error:g}"
        )
    value = np.full(possible.shape, -np.inf)
    value[possible] = asimov_q0(s[possible], b[possible], v[possible])
    best = value[0]  # of the bins up to each edge
    starts = [np.zeros(len(best), dtype=np.intp)]  # of the last of them, for 1, 2, ... bins
    while best[-1] > -np.inf and len(starts) <= n_bins:
        path = [len(best) - 1]
        for start in starts[::-1]:
            path.append(int(start[path[-1]]))
        yield np.array(path[:0:-1])
        candidates = best[:, None] + value
        starts.append(candidates.argmax(axis=0))
        best = candidates.max(axis=0)


def asimov_q0(signal: Vector, background: Vector, variance: Vector) -> Vector:
    """Test statistic q0 of Asimov data in single bins, whose square root is the significance.

    Signal s on a background b > 0 known up to a variance v from an auxiliary count: 2 [(s + b)
    ln((s + b) (b + v) / (b^2 + (s + b) v)) - b^2 / v ln(1 + v s / (b (b + v)))], with the limit
    2 [(s + b) ln(1 + s / b) - s] for v = 0 (arXiv:1007.1727 (97); G. Cowan, "Discovery
    sensitivity for a counting experiment with background uncertainty", 2012).

    Parameters
    ----------
    signal, background, variance : ndarrays of one shape

    Returns
    -------
    ndarray
        0 for signals that are not positive.
    """
    s, b, v = np.maximum(signal, 0.0), background, variance
    # (s + b) (b + v) / (b^2 + (s + b) v) = 1 + s b / (b^2 + (s + b) v), and v = 0 as the limit
    known = (s + b) * np.log1p(s * b / (b * b + (s + b) * v))
    ratio = v * s / (b * (b + v))
    with np.errstate(invalid="ignore", divide="ignore"):
        shape = np.where(ratio > 1e-8, np.log1p(ratio) / ratio, 1.0 - 0.5 * ratio)
    q: Vector = 2.0 * (known - s * b / (b + v) * shape)
    return np.maximum(q, 0.0)
