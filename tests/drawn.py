"""What a figure shows: its texts, and whether one can read them."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.text import Text


def texts(figure: Figure) -> list[Text]:
    """Every text that is drawn."""
    found = list(figure.texts)
    for legend in figure.legends:
        found += legend.get_texts()
    children = [child for axes in figure.axes for child in axes.child_axes]
    for axes in [*figure.axes, *children]:
        found += [*axes.texts, axes.title, axes._left_title, axes.xaxis.label, axes.yaxis.label]
        if axes.get_legend() is not None:
            found += axes.get_legend().get_texts()
        for axis in (axes.xaxis, axes.yaxis):
            low, high = np.sort(axis.get_view_interval())
            for tick in axis.get_major_ticks():
                if low <= tick.get_loc() <= high:
                    found += [tick.label1, tick.label2]
    return [text for text in found if text.get_visible() and text.get_text().strip()]


def assert_readable(figure: Figure) -> None:
    """Every text is inside the figure, and none on top of another."""
    figure.draw_without_rendering()
    shown = texts(figure)
    boxes = np.array([text.get_window_extent().extents for text in shown])  # (n, 4)
    low, high = boxes[:, :2], boxes[:, 2:]
    outside = (low < -0.5).any(axis=1) | (high > figure.bbox.max + 0.5).any(axis=1)
    assert [shown[k].get_text() for k in np.flatnonzero(outside)] == []
    reach = np.minimum(high[:, None], high) - np.maximum(low[:, None], low)  # common part
    common = np.triu((reach > 1.0).all(axis=2), k=1)
    assert [(shown[i].get_text(), shown[j].get_text()) for i, j in np.argwhere(common)] == []


def assert_legend_above(axes: Axes, top: float) -> None:
    """The legend is above the data, whose highest point is given."""
    axes.figure.draw_without_rendering()
    box = axes.get_legend().get_window_extent()
    assert box.y0 >= axes.transData.transform((0.0, top))[1] - 0.5
    assert box.y1 <= axes.bbox.y1 + 0.5
