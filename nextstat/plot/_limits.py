"""Figures of exclusion: upper limits and CLs with their expected bands."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from nextstat._base.arrays import Vector
from nextstat.plot._axes import (
    GREEN,
    MARKED,
    RED,
    YELLOW,
    figure_of,
    finite,
    legend_above,
    new_axes,
    percent,
    plain,
    printable,
)

if TYPE_CHECKING:
    from nextstat._inference.limits import UpperLimit
    from nextstat._inference.scan import ClsScan


def limits(
    x: npt.ArrayLike,
    limits: Sequence[UpperLimit],
    *,
    xlabel: str = "",
    poi: str = "mu",
    ax: Axes | None = None,
) -> Figure:
    """Draw upper limits against a property of the signal, such as a mass.

    Parameters
    ----------
    x : (n,) array_like
        Where each limit belongs.
    limits : sequence of UpperLimit
        n limits at the same confidence level.
    xlabel : str
        Label of the horizontal scale.
    poi : str
        Name of the parameter of interest, for the other.
    ax : matplotlib Axes, optional
        Draw there; a new figure by default.

    Returns
    -------
    matplotlib.figure.Figure
        Observed limits, expected ones with bands of 1 (green) and 2 sigma (yellow), as far as
        they are known, and a line at 1: where limits are below, the signal is excluded.
        Logarithmic where the limits span more than a factor of 30.

    Raises
    ------
    ValueError
        If there are no limits, none is finite, their levels differ, or `x` does not fit them.
    """
    both = finite([[limit.observed, *limit.expected] for limit in limits], "limits")
    observed, expected = both[:, 0], both[:, 1:]
    levels = sorted({limit.level for limit in limits})
    if len(levels) > 1:
        raise ValueError(f"the limits have levels {levels}, expected the same for all")
    position = np.asarray(x, dtype=np.float64)
    if position.shape != observed.shape or not np.isfinite(position).all():
        raise ValueError(
            f"x has shape {position.shape}, expected ({len(observed)},) finite numbers, one for "
            "each limit"
        )
    order = np.argsort(position, kind="stable")
    axes = new_axes() if ax is None else ax
    _bands(axes, position[order], observed[order], expected[order])
    axes.axhline(1.0, color="0.35", linestyle="-.", linewidth=1.0, zorder=1.5)
    drawn = both[np.isfinite(both)]
    low, high = min(1.0, float(drawn.min())), max(1.0, float(drawn.max()))
    if low > 0.0 and high > 30.0 * low:
        axes.set_yscale("log")
        axes.set_ylim(low / 1.5, 1.5 * high)
    else:
        axes.set_ylim(min(0.0, 1.1 * low), 1.1 * high)
    axes.set_xlabel(xlabel)
    axes.set_ylabel(f"{percent(levels[0])} CL upper limit on {plain(poi)}")
    legend_above(axes)
    return figure_of(axes)


def cls_scan(scan: ClsScan, *, level: float = 0.95, ax: Axes | None = None) -> Figure:
    """Draw CLs along the parameter of interest.

    Parameters
    ----------
    scan : ClsScan
    level : float
        Confidence level, 0 < level < 1; values below the line at 1 - level are excluded.
    ax : matplotlib Axes, optional
        Draw there; a new figure by default.

    Returns
    -------
    matplotlib.figure.Figure
        Observed and expected CLs with bands of 1 (green) and 2 sigma (yellow).

    Raises
    ------
    ValueError
        If no CLs is a finite number, or the level is not between 0 and 1.
    """
    if not 0.0 < level < 1.0:
        raise ValueError(f"level is {level}, expected a number between 0 and 1")
    finite(scan.observed, "values of CLs")
    axes = new_axes() if ax is None else ax
    _bands(axes, scan.values, scan.observed, scan.expected)
    axes.axhline(
        1.0 - level, color=RED, linewidth=1.2, label=rf"$\mathrm{{CL_s}} = {1.0 - level:.3g}$"
    )
    axes.set_ylim(0.0, 1.0)
    axes.set_xlabel(printable(scan.parameter), parse_math=False)
    axes.set_ylabel(r"$\mathrm{CL_s}$")
    legend_above(axes, columns=3)
    return figure_of(axes)


def _bands(axes: Axes, x: Vector, observed: Vector, expected: Vector) -> None:
    """Observed (n,) and expected (n, 5) numbers, those that are known; a single one as a bar."""
    if len(x) == 1:
        reach = 0.5 * abs(x[0]) or 0.5
        x_band, band = x[0] + np.array([-reach, reach]), np.repeat(expected, 2, axis=0)
    else:
        x_band, band = x, expected
    if np.isfinite(observed).any():
        style = "o-" if len(x) <= MARKED else "-"
        axes.plot(
            x,
            observed,
            style,
            color="black",
            markersize=3.5,
            linewidth=1.3,
            label="observed",
            zorder=3,
        )
    if np.isfinite(expected).any():
        axes.plot(
            x_band,
            band[:, 2],
            "--",
            color="black",
            linewidth=1.3,
            label="expected (median)",
            zorder=2,
        )
        for inner, outer, colour, n in ((1, 3, GREEN, 1), (0, 4, YELLOW, 2)):
            axes.fill_between(
                x_band,
                band[:, inner],
                band[:, outer],
                color=colour,
                linewidth=0.0,
                label=rf"expected $\pm {n}\sigma$",
                zorder=1.0 / n,
            )
    axes.margins(x=0.02)  # keeps the outermost points whole
