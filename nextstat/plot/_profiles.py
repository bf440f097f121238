"""Figures of the likelihood along parameters: scans, contours, Feldman-Cousins intervals."""

from __future__ import annotations

from itertools import cycle
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from nextstat._base.arrays import Vector
from nextstat.plot._axes import (
    BLUE,
    MARKED,
    RED,
    figure_of,
    finite,
    legend_above,
    new_axes,
    percent,
    plain,
    printable,
)

if TYPE_CHECKING:
    from nextstat._inference.contour import Contour
    from nextstat._inference.feldman_cousins import FeldmanCousins
    from nextstat._inference.scan import Scan

_TOP = 1.05  # of p-values
_HIGHEST = 100.0  # of a scan, 10 sigma; the curve leaves the figure there


def scan(scan: Scan, *, ax: Axes | None = None) -> Figure:
    """Draw the profile likelihood along a parameter.

    Parameters
    ----------
    scan : Scan
    ax : matplotlib Axes, optional
        Draw there; a new figure by default.

    Returns
    -------
    matplotlib.figure.Figure
        Twice the rise of the negative log-likelihood, with lines at 1 and 4 (1 and 2 sigma) and
        the fitted value. Gaps where fits failed (NaN); shaded where the data exclude the value
        (infinite).

    Raises
    ------
    ValueError
        If no number of the scan is finite.
    """
    rise = finite(scan.twice_delta_nll, "values of the scan")
    shown = np.where(np.isfinite(rise), rise, np.nan)
    axes = new_axes() if ax is None else ax
    axes.plot(
        scan.values,
        shown,
        "o-" if len(rise) <= MARKED else "-",
        color=BLUE,
        markersize=3.5,
        zorder=3,
    )
    axes.plot(
        scan.best,
        0.0,
        "o",
        color=RED,
        markersize=6,
        label=f"best fit, {plain(scan.parameter)} = {scan.best:.4g}",
        zorder=4,
        clip_on=False,
    )
    low, high = (float(f([scan.best, *scan.values])) for f in (min, max))
    top = max(5.0, 1.05 * min(float(np.nanmax(shown)), _HIGHEST))
    for n in (1, 2):
        axes.axhline(n**2, color="0.3", linestyle=":", linewidth=1.1)
        axes.annotate(
            rf"${n}\sigma$",
            (1.0, n**2),
            xycoords=("axes fraction", "data"),
            xytext=(3, 0),
            textcoords="offset points",
            va="center",
            fontsize=9,
        )
    _shade_excluded(axes, scan.values, np.isinf(rise), top)
    if high > low:
        axes.set_xlim(low, high)
    axes.set_ylim(0.0, top)
    axes.set_xlabel(printable(scan.parameter), parse_math=False)
    axes.set_ylabel(r"$-2\,\Delta\ln L$")
    legend_above(axes)
    return figure_of(axes)


def _shade_excluded(
    axes: Axes, values: Vector, excluded: npt.NDArray[np.bool_], top: float
) -> None:
    """Shade around each excluded value, halfway to its neighbours."""
    edges = np.concatenate([values[:1], 0.5 * (values[1:] + values[:-1]), values[-1:]])
    for k, value in enumerate(np.flatnonzero(excluded)):
        label = "excluded by the data" if k == 0 else None
        axes.fill_between(
            edges[value : value + 2], 0.0, top, color="0.85", linewidth=0.0, label=label
        )


def contour(contour: Contour, *, ax: Axes | None = None) -> Figure:
    """Draw confidence regions of two parameters.

    Parameters
    ----------
    contour : Contour
    ax : matplotlib Axes, optional
        Draw there; a new figure by default.

    Returns
    -------
    matplotlib.figure.Figure
        A border for each level and the fitted values.

    Raises
    ------
    ValueError
        If there is no region, or no point of its border is finite.
    """
    if not contour.levels:
        raise ValueError("there are no regions to draw")
    axes = new_axes(5.2, 4.6) if ax is None else ax
    styles = cycle(("-", "--", ":", "-."))
    for level in sorted(contour.levels):
        border = finite(contour.points[level], f"points at the level {level:g}")
        closed = np.concatenate([border, border[:1]])
        axes.plot(*closed.T, next(styles), color=BLUE, linewidth=1.6, label=f"{percent(level)} CL")
    axes.plot(*contour.best, "+", color=RED, markersize=10, markeredgewidth=2, label="best fit")
    axes.set_xlabel(printable(contour.parameters[0]), parse_math=False)
    axes.set_ylabel(printable(contour.parameters[1]), parse_math=False)
    axes.margins(0.06)
    legend_above(axes, columns=3)
    return figure_of(axes)


def feldman_cousins(fc: FeldmanCousins, *, ax: Axes | None = None) -> Figure:
    """Draw the p-values of a Feldman-Cousins interval.

    Parameters
    ----------
    fc : FeldmanCousins
    ax : matplotlib Axes, optional
        Draw there; a new figure by default.

    Returns
    -------
    matplotlib.figure.Figure
        p-values with the errors of the toys, a line at 1 - level, the interval shaded, and the
        fitted value.

    Raises
    ------
    ValueError
        If no p-value is a finite number.
    """
    pvalues = finite(fc.pvalues, "p-values")
    axes = new_axes() if ax is None else ax
    axes.fill_between(
        [fc.lower, fc.upper],
        0.0,
        _TOP,
        color=BLUE,
        alpha=0.2,
        linewidth=0.0,
        label=f"{percent(fc.level)} CL: [{fc.lower:.3g}, {fc.upper:.3g}]",
    )
    axes.plot([fc.best] * 2, [0.0, _TOP], color=RED, label=f"best fit: {fc.best:.3g}")
    axes.axhline(1.0 - fc.level, color="0.3", linestyle=":", linewidth=1.1)
    axes.errorbar(
        fc.values,
        pvalues,
        yerr=fc.errors,
        fmt="o-",
        color="black",
        markersize=3.5,
        linewidth=1.0,
        label="p-value from toys",
    )
    axes.set_ylim(0.0, _TOP)
    axes.set_xlabel(printable(fc.parameter), parse_math=False)
    axes.set_ylabel("p-value")
    legend_above(axes, columns=3)
    return figure_of(axes)
