"""The ranking of nuisance parameters."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from nextstat._base.arrays import Vector
from nextstat.plot._axes import (
    BLUE,
    RED,
    figure_of,
    finite,
    legend_above,
    name_ticks,
    new_axes,
    plain,
)

if TYPE_CHECKING:
    from nextstat._model.histfactory import HistFactoryModel


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
        none. Rows of the method "auxdata" have no pre-fit impacts, and their bars are shifts of
        the auxiliary data by the constraint width.

    Raises
    ------
    ValueError
        If there are no rows, or neither an impact nor a pull is a finite number.
    """
    if not rows:
        raise ValueError("there are no rows to draw: the model has no free nuisance parameters")
    keys = ("delta_mu_up", "delta_mu_down", "pull")
    finite([_column(rows, key) for key in keys], "impacts and pulls")
    names = [str(row["name"]) for row in rows]
    own_figure = ax is None
    if ax is None:
        width = max(6.4, 4.4 + 0.085 * max(map(len, names)))
        height = 1.6 + (0.24 if len(rows) <= 30 else 0.15) * max(len(rows), 4)
        ax = new_axes(width, height)
    figure = figure_of(ax)
    position = np.arange(len(rows), dtype=np.float64)[::-1]
    ax.set_ylim(-0.8, len(rows) - 0.2)
    impacts = ax.twiny()
    _impact_bars(impacts, rows, position, poi)
    _pulls(ax, rows, position)
    # Pulls are drawn over the bars.
    ax.set_zorder(impacts.get_zorder() + 1)
    ax.patch.set_visible(False)
    handles, labels = impacts.get_legend_handles_labels()
    if own_figure:
        figure.legend(
            handles, labels, loc="outside lower center", ncols=2, frameon=False, fontsize=8
        )
    else:
        legend_above(ax, size=7.0, handles=handles)
    figure.draw_without_rendering()  # lays out
    name_ticks(ax.yaxis, names[::-1])
    return figure


def plot_rank_impact(model: HistFactoryModel, *, top_n: int | None = 20, **options: Any) -> Figure:
    """Draw the ranking: impacts as bars on the upper axis, pulls on the lower.

    Parameters
    ----------
    top_n : int, optional
        Number of parameters to draw; None for all.
    **options
        As for `nextstat.interpret.rank_impact`.

    Returns
    -------
    matplotlib.figure.Figure
    """
    from nextstat.interpret import rank_impact

    rows = rank_impact(model, top_n=top_n, **options)
    poi = options.get("poi") or model.poi
    return ranking(rows, poi=str(poi))


def _impact_bars(axes: Axes, rows: Sequence[Mapping[str, Any]], position: Vector, poi: str) -> None:
    largest = 0.0
    has_prefit = any(
        np.isfinite(_column(rows, f"delta_mu_{x}_prefit")).any() for x in ("up", "down")
    )
    for key, colour, direction in (("up", RED, "+"), ("down", BLUE, "\N{MINUS SIGN}")):
        postfit = np.nan_to_num(_column(rows, f"delta_mu_{key}"))
        largest = max(largest, *np.abs(postfit))
        shift = rf"post-fit, $\hat\theta {direction} \hat\sigma$"
        axes.barh(
            position,
            postfit,
            height=0.7,
            color=colour,
            alpha=0.75,
            label=shift if has_prefit else rf"auxiliary data ${direction} \sigma_0$",
        )
        if not has_prefit:
            continue
        prefit = np.nan_to_num(_column(rows, f"delta_mu_{key}_prefit"))
        largest = max(largest, *np.abs(prefit))
        axes.barh(
            position,
            prefit,
            height=0.7,
            fill=False,
            edgecolor=colour,
            linewidth=0.9,
            label=rf"pre-fit, $\hat\theta {direction} \sigma_0$",
        )
    reach = 1.15 * largest or 1.0
    axes.set_xlim(-reach, reach)
    axes.set_xlabel(rf"impact on {plain(poi)}, $\Delta\hat\mu$")


def _pulls(axes: Axes, rows: Sequence[Mapping[str, Any]], position: Vector) -> None:
    pulls, constraints = (np.nan_to_num(_column(rows, key)) for key in ("pull", "constraint"))
    shown = np.isfinite(_column(rows, "pull"))
    for x in (-1.0, 0.0, 1.0):
        axes.plot([x, x], axes.get_ylim(), "--", color="0.4", linewidth=0.8, zorder=0)
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


def _column(rows: Sequence[Mapping[str, Any]], key: str) -> Vector:
    return np.array([float(row[key]) for row in rows])
