"""Expected and observed events of a channel."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.ticker import MaxNLocator
from scipy.special import gammainccinv, gammaincinv, ndtr

from nextstat._base.arrays import Vector
from nextstat.plot._axes import RED, figure_of, legend_above, plain, printable

if TYPE_CHECKING:
    from nextstat._model.histfactory import HistFactoryModel
    from nextstat.interpret._yields import Yields

# Ten colours that everyone can tell apart (arXiv:2107.02270), the signal's first; one for the rest.
_COLOURS = (
    "#bd1f01", "#3f90da", "#ffa90e", "#94a4a2", "#832db6",
    "#a96b59", "#e76300", "#b9ac70", "#717581", "#92dadd",
)  # fmt: skip
_REST = "#dcdcdc"
_LOGARITHMIC = 100.0  # bins that differ by more


def yields(
    yields: Yields,
    channel: str | None = None,
    *,
    ax: Axes | Iterable[Axes] | None = None,
) -> Figure:
    """Draw the expected events of a channel over those observed, and their ratio.

    Parameters
    ----------
    yields : Yields
    channel : str, optional
        Not needed if there is only one.
    ax : matplotlib Axes or pair of them, optional
        Draw there, on the second the ratio, which a single one leaves out; a new figure by
        default.

    Returns
    -------
    matplotlib.figure.Figure
        Samples stacked, those that the parameter of interest scales on top; of more than ten
        samples, the smallest are drawn as one. The total with its uncertainty, hatched. Data with
        the central 68.3 % intervals of their Poisson means. Logarithmic where the expected events
        of the bins differ by more than a factor of 100. In the ratio, triangles point to data
        outside the scale; bins without expected events have none.

    Raises
    ------
    ValueError
        If there is no such channel, or several and none was named, or the expected events are not
        finite.

    Notes
    -----
    Intervals of Garwood, Biometrika 28 (1936) 437.
    """
    name = _choose(yields.model, channel)
    bins = yields.model.channel_slices[name]
    total, error, data = (x[bins] for x in (yields.total, yields.total_error, yields.data))
    if not np.isfinite(total).all():
        raise ValueError(f"the expected events of channel {name!r} are not finite numbers")
    main, ratio = _pair(ax, len(total))
    positive = total[total > 0.0]
    logarithmic = bool(len(positive)) and positive.max() > _LOGARITHMIC * positive.min()
    _stack(main, yields, bins, smallest_first=logarithmic)
    edges = np.arange(len(total) + 1) - 0.5
    main.stairs(total, edges, baseline=None, color="black", linewidth=0.8)
    _hatched(main, total - error, total + error)
    interval = poisson_interval(data)
    _points(main, data, interval, label="data")
    largest = max(float((total + error).max()), float(interval[1].max()))
    if logarithmic:
        main.set_yscale("log")
        smallest = min(positive.min(), data[data > 0.0].min(initial=np.inf))
        main.set_ylim(0.3 * float(smallest), 1.5 * largest)
    else:
        main.set_ylim(min(0.0, 1.1 * float(total.min())), 1.08 * largest or 1.0)
    main.set_ylabel("events")
    state = "post-fit" if yields.fitted else "pre-fit"
    main.set_title(f"{_wrapped(name, 60)}, {state}", loc="left", fontsize=10)
    if ratio is not None:
        _ratio(ratio, total, error, data, interval)
        main.tick_params(axis="x", labelbottom=False)
    for axes in (main, ratio or main):
        axes.set_xlim(-0.5, len(total) - 0.5)
        axes.xaxis.set_major_locator(MaxNLocator("auto", integer=True, min_n_ticks=1))
    (ratio or main).set_xlabel("bin")
    figure = figure_of(main)
    handles, labels = main.get_legend_handles_labels()
    if ax is None:
        figure.align_ylabels()
        figure.legend(
            handles[::-1], labels[::-1], loc="outside right upper", frameon=False, fontsize=8
        )
    else:
        legend_above(main, columns=3, size=7.0, reverse=True)
    return figure


def poisson_interval(n: Vector) -> Vector:
    """Central 68.3 % intervals of the mean of Poisson counts, (2, n_bins) (Garwood)."""
    tail = ndtr(-1.0)
    # Quantiles of chi2 with 2 n and 2 n + 2 degrees of freedom, halved.
    lower = np.where(n > 0.0, gammaincinv(np.where(n > 0.0, n, 1.0), tail), 0.0)
    return np.stack([lower, gammainccinv(n + 1.0, tail)])


def _choose(model: HistFactoryModel, channel: str | None) -> str:
    if channel is None and len(model.channels) == 1:
        return model.channels[0]
    if channel not in model.channels:
        found = "channel is missing" if channel is None else f"channel is {channel!r}"
        raise ValueError(f"{found}, expected one of {list(model.channels)}")
    return channel


def _pair(ax: Axes | Iterable[Axes] | None, n_bins: int) -> tuple[Axes, Axes | None]:
    """Axes of the events and of the ratio; a new figure is the wider the more bins."""
    if isinstance(ax, Axes):
        return ax, None
    if ax is not None:
        main, ratio = ax
        return main, ratio
    width = float(np.clip(7.6 + 0.06 * (n_bins - 30), 7.6, 14.0))
    layout = ConstrainedLayoutEngine(h_pad=0.03, hspace=0.02)
    figure = Figure(figsize=(width, 4.8), layout=layout)
    main, ratio = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1))
    return main, ratio


def _wrapped(name: str, width: int) -> str:
    """A name as text of several lines, broken at its underscores where possible."""
    lines = textwrap.wrap(printable(name).replace("_", "_ "), width)
    text = "\n".join(plain(line.replace("_ ", "_")) for line in lines)
    return f" {text}" if text.startswith("_") else text  # legends leave out labels like "_name"


def _stack(axes: Axes, yields: Yields, bins: slice, *, smallest_first: bool) -> None:
    layers = _layers(yields, bins)
    if smallest_first:  # on a logarithmic scale the highest layers are thin
        layers.sort(key=lambda layer: (layer.is_signal, layer.counts.sum()))
    edges = np.arange(bins.stop - bins.start + 1) - 0.5
    bottom = np.zeros(bins.stop - bins.start)
    for layer in layers:
        top = bottom + layer.counts
        axes.stairs(
            top,
            edges,
            baseline=bottom,
            fill=True,
            color=layer.colour,
            linewidth=0.0,
            label=_wrapped(layer.name, 34),
        )
        bottom = top


class _Layer(NamedTuple):
    name: str
    colour: str
    counts: Vector
    is_signal: bool


def _layers(yields: Yields, bins: slice) -> list[_Layer]:
    """The samples of a channel, largest first and signals last; the smallest of many as one."""
    names, samples = yields.model.samples, yields.samples[:, bins]
    signals = _signals(yields.model)
    present = np.flatnonzero(samples.any(axis=1)).tolist()
    present.sort(key=lambda s: (s not in signals, -abs(samples[s].sum())))
    # The tenth colour is too near to that of the rest.
    palette = _COLOURS[:-1] if len(present) > len(_COLOURS) else _COLOURS
    kept, rest = present[: len(palette)], present[len(palette) :]
    colours = _colours(yields, signals, kept, palette)
    layers = [_Layer(names[s], colours[s], samples[s], s in signals) for s in kept]
    if rest:
        layers.append(_Layer(f"{len(rest)} other samples", _REST, samples[rest].sum(axis=0), False))
    return sorted(layers, key=lambda layer: layer.is_signal)


def _colours(
    yields: Yields, signals: set[int], kept: list[int], palette: tuple[str, ...]
) -> dict[int, str]:
    """Colours by the sizes over all channels: a sample mostly has the same one in each of them."""
    size = np.abs(yields.samples).sum(axis=1)
    order = sorted(range(len(size)), key=lambda s: (s not in signals, -size[s]))
    colours: dict[int, str] = {}
    for rank, s in enumerate(order):
        if s in kept:
            free = [colour for colour in palette if colour not in colours.values()]
            wanted = palette[rank % len(palette)]
            colours[s] = wanted if wanted in free else free[0]
    return colours


def _signals(model: HistFactoryModel) -> set[int]:
    """Numbers of the samples that the parameter of interest changes; none if it changes all."""
    if model.poi is None:
        return set()
    shifted = model.init.copy()
    shifted[model.parameters.index(model.poi)] += 0.01
    change = model.expected_by_sample(shifted) - model.expected_by_sample(model.init)
    signals = np.flatnonzero(change.any(axis=1))
    return set() if len(signals) == len(model.samples) else set(signals.tolist())


def _hatched(axes: Axes, low: Vector, high: Vector) -> None:
    edges = np.arange(len(low) + 1) - 0.5
    axes.stairs(
        high,
        edges,
        baseline=low,
        fill=True,
        facecolor="none",
        edgecolor="0.25",
        hatch="/////",
        linewidth=0.0,
        label="uncertainty",
    )


def _points(axes: Axes, y: Vector, interval: Vector, label: str | None = None) -> None:
    n = len(y)
    axes.errorbar(
        np.arange(n),
        y,
        yerr=np.abs(interval - y),
        fmt="o",
        color="black",
        ecolor="black" if n <= 300 else "0.55",
        markersize=4.0 if n <= 40 else 2.5 if n <= 120 else 1.5,
        linewidth=1.1 if n <= 40 else 0.7 if n <= 300 else 0.4,
        label=label,
    )


def _ratio(axes: Axes, total: Vector, error: Vector, data: Vector, interval: Vector) -> None:
    expected = np.where(total > 0.0, total, np.nan)
    points, ends = data / expected, interval / expected
    axes.axhline(1.0, color="black", linewidth=0.8)
    _hatched(axes, 1.0 - error / expected, 1.0 + error / expected)
    _points(axes, points, ends)
    reach = _reach(np.max(np.abs(np.stack([*ends, 1.0 + error / expected]) - 1.0), axis=0))
    axes.set_ylim(1.0 - reach, 1.0 + reach)
    for side, marker in ((1.0, "^"), (-1.0, "v")):
        with np.errstate(invalid="ignore"):
            outside = np.flatnonzero(side * (points - 1.0) > reach)
        edge = np.full(len(outside), 1.0 + side * 0.93 * reach)
        axes.plot(outside, edge, marker, color=RED, markersize=5.0, linestyle="none")
    axes.set_ylabel("data / model")


def _reach(wanted: Vector) -> float:
    """Half of the scale of the ratio: nearly all bins, at most 0 to 2."""
    known = wanted[np.isfinite(wanted)]
    return float(np.clip(1.1 * np.quantile(known, 0.95), 0.05, 1.0)) if len(known) else 1.0
