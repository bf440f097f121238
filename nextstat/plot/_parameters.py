"""Figures of the parameters of a fit: pulls, correlations."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from nextstat._base.arrays import Vector
from nextstat.plot._axes import GREEN, YELLOW, figure_of, finite, name_ticks

if TYPE_CHECKING:
    import pandas as pd

_ROWS = 80  # of a column of pulls
_NUMBER = 6.5  # size of the numbers in the cells, in points


def pulls(rows: Sequence[Mapping[str, Any]], *, ax: Axes | None = None) -> Figure:
    """Draw the pulls of nuisance parameters with their post-fit errors, the first row on top.

    Parameters
    ----------
    rows : sequence of mapping
        As returned by `nextstat.interpret.pulls`; of their keys, "name", "pull" and "constraint".
    ax : matplotlib Axes, optional
        Draw there; by default a new figure, with several columns of many parameters.

    Returns
    -------
    matplotlib.figure.Figure
        Points in units of the constraint widths, on bands of 1 (green) and 2 (yellow) of them. A
        parameter without an error, stopped by its bound, has none.

    Raises
    ------
    ValueError
        If there are no rows, or no pull is a finite number.
    """
    pull = finite([row["pull"] for row in rows], "pulls")
    error = np.array([float(row["constraint"]) for row in rows])
    names = [str(row["name"]) for row in rows]
    n_columns = 1 if ax is not None else math.ceil(len(rows) / _ROWS)
    n_rows = math.ceil(len(rows) / n_columns)
    if ax is None:
        longest = [max(map(len, names[k : k + n_rows])) for k in range(0, len(rows), n_rows)]
        width = (3.2 if n_columns == 1 else 2.4) * n_columns + 0.08 * sum(longest)
        height = 0.9 + (0.22 if n_rows <= 30 else 0.14) * max(n_rows, 4)
        figure = Figure(figsize=(width, height), layout="constrained")
        columns = figure.subplots(1, n_columns, squeeze=False)[0].tolist()
    else:
        figure, columns = figure_of(ax), [ax]
    reach = max(3.0, 1.1 * float(np.nanmax(np.abs(pull) + np.nan_to_num(error))))
    for k, axes in enumerate(columns):
        part = slice(k * n_rows, (k + 1) * n_rows)
        _pull_column(axes, pull[part], error[part], n_rows)
        axes.set_xlim(-reach, reach)
        axes.xaxis.set_major_locator(MaxNLocator(8, integer=True))
    figure.draw_without_rendering()  # lays out
    for k, axes in enumerate(columns):
        name_ticks(axes.yaxis, names[k * n_rows : (k + 1) * n_rows])
    return figure


def _pull_column(axes: Axes, pull: Vector, error: Vector, n_rows: int) -> None:
    for reach, colour in ((2.0, YELLOW), (1.0, GREEN)):
        axes.axvspan(-reach, reach, color=colour, linewidth=0.0, zorder=0)
    axes.axvline(0.0, color="black", linestyle="--", linewidth=0.8, zorder=1)
    axes.errorbar(
        pull,
        np.arange(len(pull)),
        xerr=error,
        fmt="o",
        color="black",
        markersize=3.5,
        linewidth=1.1,
    )
    axes.set_ylim(n_rows - 0.4, -0.6)
    axes.set_xlabel(r"pull, $(\hat\theta - \theta_0) / \sigma_0$")


def correlation(frame: pd.DataFrame, *, ax: Axes | None = None) -> Figure:
    """Draw a matrix of correlations.

    Parameters
    ----------
    frame : (n, n) DataFrame
        As returned by `nextstat.interpret.correlation_df`.
    ax : matplotlib Axes, optional
        Draw there; a new figure by default.

    Returns
    -------
    matplotlib.figure.Figure
        Cells from blue (-1) over white to red (+1), grey where undefined; with numbers if they fit.

    Raises
    ------
    ValueError
        If the frame is empty or not square, or no correlation is a finite number.
    """
    matrix = finite(frame.to_numpy(dtype=np.float64), "correlations")
    n = len(matrix)
    if matrix.shape != (n, n):
        raise ValueError(f"the frame has shape {matrix.shape}, expected (n, n)")
    names = [str(name) for name in frame.columns]
    own_figure = ax is None
    if ax is None:
        cell = 0.34 if n <= 30 else 0.17 if n <= 60 else 0.095
        side = max(2.0, cell * n) + 0.08 * max(map(len, names)) * (1.0 if n <= 60 else 0.7)
        # "compressed" is for axes of a fixed shape
        ax = Figure(figsize=(side + 1.2, side), layout="compressed").add_subplot()
    figure = figure_of(ax)
    # matplotlib's own maps are read-only; one without a colour for what is undefined would show it
    # as 0.
    ax.set_facecolor("0.75")
    image = ax.imshow(
        np.ma.masked_invalid(matrix), cmap="RdBu_r", vmin=-1.0, vmax=1.0, interpolation="nearest"
    )
    # In axes of the matrix itself: side by side, layouts do not settle where the shape is fixed.
    figure.colorbar(image, cax=ax.inset_axes((1.04, 0.1, 0.035, 0.8)), label="correlation")
    ax.tick_params(axis="x", rotation=90)
    for _ in range(2):  # the names take room themselves
        figure.draw_without_rendering()  # lays out
        name_ticks(ax.yaxis, names)
        name_ticks(ax.xaxis, names)
    if own_figure:  # cut off what the shape of the names leaves empty
        box = figure.get_tightbbox()
        figure.set_size_inches(box.width + 0.1, box.height + 0.1)
    figure.draw_without_rendering()
    points = 72.0 / figure.dpi * ax.get_window_extent().width / n
    if points >= 3.1 * _NUMBER:  # as wide as "-0.12"
        _cell_numbers(ax, matrix)
    return figure


def _cell_numbers(axes: Axes, matrix: Vector) -> None:
    for (i, j), value in np.ndenumerate(matrix):
        if np.isfinite(value):
            colour = "white" if abs(value) > 0.6 else "black"
            text = f"{round(value, 2) + 0.0:.2f}".replace("-", "\N{MINUS SIGN}")
            cell = axes.text(j, i, text, color=colour, fontsize=_NUMBER, ha="center", va="center")
            cell.set_in_layout(False)  # they fit; to measure them all takes seconds
