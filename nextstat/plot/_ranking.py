"""Figures for papers and notebooks (matplotlib)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

__all__ = ["ranking"]

_UP, _DOWN = "#d1495b", "#2e6f95"


def ranking(
    rows: Sequence[Mapping[str, Any]], *, poi: str = "mu", ax: Axes | None = None
) -> Figure:
    """Draw a ranking of nuisance parameters, the largest impact on top.

    Parameters
    ----------
    rows : sequence of mapping
        As returned by `nextstat.interpret.rank_impact`.
    poi : str
        Name of the parameter of interest, for the axis label.
    ax : matplotlib Axes, optional
        Axes of the pulls (lower scale); a new figure by default.

    Returns
    -------
    matplotlib.figure.Figure
        Impacts as bars against the upper scale: post-fit filled, pre-fit hollow, one colour for
        parameters shifted up and one for down. Pulls as points with their post-fit errors, in
        units of the constraint width, against the lower scale; unconstrained parameters have
        none.

    Raises
    ------
    ValueError
        If there are no rows.
    """
    if not rows:
        raise ValueError("there are no rows to draw: the model has no free nuisance parameters")
    names = [str(row["name"]) for row in rows]
    size = 9 if len(rows) <= 30 else 7
    own_figure = ax is None
    if ax is None:
        width = max(6.4, 4.4 + 0.0095 * size * max(map(len, names)))
        height = 1.6 + 0.24 * max(len(rows), 4)
        ax = Figure(figsize=(width, height), layout="constrained").add_subplot()
    figure = ax.figure.figure if isinstance(ax.figure, Figure) else ax.figure.get_figure(root=True)
    assert isinstance(figure, Figure)
    position = np.arange(len(rows))[::-1]
    impacts = ax.twiny()
    _impact_bars(impacts, rows, position, poi)
    _pulls(ax, rows, position)
    # Pulls are drawn over the bars.
    ax.set_zorder(impacts.get_zorder() + 1)
    ax.patch.set_visible(False)
    ax.set_yticks(position, names, fontsize=size, parse_math=False)
    ax.tick_params(axis="y", length=0)
    ax.set_ylim(-0.8, len(rows) - 0.2)
    handles, labels = impacts.get_legend_handles_labels()
    if own_figure:
        figure.legend(
            handles, labels, loc="outside lower center", ncols=2, frameon=False, fontsize=8
        )
    else:  # the smallest impacts leave room
        ax.legend(handles, labels, loc="lower right", fontsize=7)
    return figure


def _impact_bars(
    axes: Axes, rows: Sequence[Mapping[str, Any]], position: np.ndarray, poi: str
) -> None:
    largest = 0.0
    for key, colour, direction in (("up", _UP, "+"), ("down", _DOWN, "\N{MINUS SIGN}")):
        postfit = _column(rows, f"delta_mu_{key}")
        prefit = _column(rows, f"delta_mu_{key}_prefit")
        axes.barh(
            position,
            postfit,
            height=0.7,
            color=colour,
            alpha=0.75,
            label=rf"post-fit, $\hat\theta {direction} \hat\sigma$",
        )
        axes.barh(
            position,
            prefit,
            height=0.7,
            fill=False,
            edgecolor=colour,
            linewidth=0.9,
            label=rf"pre-fit, $\hat\theta {direction} \sigma_0$",
        )
        largest = max(largest, *np.abs(postfit), *np.abs(prefit))
    reach = 1.15 * largest or 1.0
    axes.set_xlim(-reach, reach)
    name = poi.replace("$", r"\$")
    axes.set_xlabel(rf"impact on {name}, $\Delta\hat\mu$")


def _pulls(axes: Axes, rows: Sequence[Mapping[str, Any]], position: np.ndarray) -> None:
    pulls, constraints = _column(rows, "pull"), _column(rows, "constraint")
    shown = np.array([np.isfinite(float(row["pull"])) for row in rows])
    for x in (-1.0, 0.0, 1.0):
        axes.axvline(x, color="0.4", linestyle="--", linewidth=0.8, zorder=0)
    axes.errorbar(
        pulls[shown],
        position[shown],
        xerr=constraints[shown],
        fmt="o",
        color="black",
        markersize=3.5,
        linewidth=1.1,
    )
    reach = max(2.0, 1.1 * float(np.max(np.abs(pulls) + constraints, initial=0.0)))
    axes.set_xlim(-reach, reach)
    axes.set_xlabel(r"pull, $(\hat\theta - \theta_0) / \sigma_0$")


def _column(rows: Sequence[Mapping[str, Any]], key: str) -> np.ndarray:
    """Values of a column; what is undefined is not drawn."""
    column: np.ndarray = np.nan_to_num(np.array([float(row[key]) for row in rows]), nan=0.0)
    return column
