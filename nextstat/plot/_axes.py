"""What the figures share: axes, colours, legends, numbers as text."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.axis import XAxis, YAxis
from matplotlib.figure import Figure

from nextstat._base.arrays import Vector
from nextstat._base.text import percent as percent
from nextstat._base.text import printable as printable

GREEN, YELLOW = "#5fc46b", "#ffdf5e"  # 1 and 2 sigma; apart in lightness too
RED, BLUE = "#d1495b", "#2e6f95"
MARKED = 40  # points of a curve, at most, that are marked

_SMALLEST, _LARGEST = 4.5, 9.0  # sizes of names, in points
_SPACING = 1.2  # of lines of names, in units of their size


def new_axes(width: float = 6.0, height: float = 4.5) -> Axes:
    """Axes in a figure of their own; its size in inches."""
    return Figure(figsize=(width, height), layout="constrained").add_subplot()


def figure_of(axes: Axes) -> Figure:
    """The figure around axes, their subfigures included."""
    figure = axes.figure.figure
    assert isinstance(figure, Figure)
    return figure


def plain(name: str) -> str:
    """A name as text for labels: its dollars are no formula, and it is a single line."""
    return printable(name).replace("$", r"\$")


def finite(values: npt.ArrayLike, what: str) -> Vector:
    """Numbers to draw, (n,).

    Raises
    ------
    ValueError
        If there are none, or none is finite.
    """
    array = np.asarray(values, dtype=np.float64)
    if not array.size:
        raise ValueError(f"there are no {what} to draw")
    if not np.isfinite(array).any():
        raise ValueError(f"none of the {what} is a finite number")
    return array


def name_ticks(axis: XAxis | YAxis, names: Sequence[str]) -> None:
    """Names at 0, 1, 2, ..., as large as fits; where none fits, every second, third, ...

    The figure has to be laid out.
    """
    axes = axis.axes
    box, limits = axes.get_window_extent(), np.abs(np.diff(axis.get_view_interval()))
    length = box.height if isinstance(axis, YAxis) else box.width
    space = 72.0 / figure_of(axes).dpi * length / float(limits[0])  # points for each name
    step = max(1, math.ceil(_SPACING * _SMALLEST / space))
    size = min(_LARGEST, step * space / _SPACING)
    shown = [printable(name) for name in names[::step]]
    axis.set_ticks(range(0, len(names), step), shown, fontsize=size, parse_math=False)
    axis.set_tick_params(length=0)


def legend_above(
    axes: Axes,
    columns: int = 2,
    size: float = 8.0,
    *,
    handles: Sequence[Artist] | None = None,
    reverse: bool = False,
) -> None:
    """A legend at the top, and room above the data for it."""
    figure_of(axes).draw_without_rendering()  # lays out
    room = axes.get_window_extent()
    for ncols in range(columns, 0, -1):
        legend = axes.legend(
            handles=handles,
            loc="upper center",
            ncols=ncols,
            frameon=False,
            fontsize=size,
            reverse=reverse,
        )
        box = legend.get_window_extent()
        if box.width <= 0.98 * room.width:
            break
    share = min(0.6, (box.height + 0.03 * room.height) / room.height)
    low, high = axes.yaxis.get_transform().transform(np.array(axes.get_ylim()))
    top = low + (high - low) / (1.0 - share)
    axes.set_ylim(top=float(axes.yaxis.get_transform().inverted().transform(np.array([top]))[0]))


def probability(p: float, error: float = 0.0, n: int = 0) -> str:
    """A p-value, to follow its symbol within a formula; 0 of n toys is a bound."""
    if p == 0.0 and n:
        return f"< {scientific(1.0 / n)}"
    if error > 0.0:
        digits = max(0, 1 - math.floor(math.log10(error)))
        return rf"= {p:.{digits}f} \pm {error:.{digits}f}"
    return f"= {scientific(p)}"


def scientific(x: float, digits: int = 2) -> str:
    """A number in a few digits, within a formula."""
    text = f"{x:.{digits}g}"
    mantissa, _, exponent = text.partition("e")
    return rf"{mantissa} \times 10^{{{int(exponent)}}}" if exponent else text
