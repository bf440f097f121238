"""The ranking figure: what is drawn where."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.text import Text

import nextstat
from nextstat import interpret
from nextstat.datasets import make_workspace
from nextstat.plot import ranking

# Columns in the order in which their bars are drawn.
BARS = ("delta_mu_up", "delta_mu_up_prefit", "delta_mu_down", "delta_mu_down_prefit")


def make_rows(n: int) -> list[dict[str, Any]]:
    """Rows as `rank_impact` makes them; the third parameter is unconstrained."""
    rng = np.random.default_rng(n)
    rows = []
    for k in range(n):
        up, down = rng.normal(0.1, 0.05) / (k + 1), rng.normal(-0.1, 0.05) / (k + 1)
        free = k == 2
        rows.append(
            {
                "rank": k + 1,
                "name": f"systematic_number_{k}",
                "kind": "normfactor" if free else "normsys",
                "total_impact": abs(up) + abs(down),
                "delta_mu_up": up,
                "delta_mu_down": down,
                "delta_mu_up_prefit": 0.0 if free else 1.1 * up,
                "delta_mu_down_prefit": 0.0 if free else 1.1 * down,
                "pull": np.nan if free else rng.normal(),
                "constraint": np.nan if free else rng.uniform(0.2, 1.0),
            }
        )
    return rows


def parts(figure: Figure) -> tuple[Axes, Axes]:
    """Axes of the pulls (lower scale) and of the impacts (upper scale)."""
    pulls, impacts = figure.axes
    return pulls, impacts


def bars(impacts: Axes) -> dict[str, list[Rectangle]]:
    """Bars of each column, in the order of the rows."""
    found = [patch for patch in impacts.patches if isinstance(patch, Rectangle)]
    n = len(found) // len(BARS)
    return {column: found[k * n : (k + 1) * n] for k, column in enumerate(BARS)}


@pytest.mark.parametrize("n", [1, 5, 60])
def test_bars(n: int) -> None:
    """One bar per row and impact, as long as the number, from 0, the first row on top."""
    rows = make_rows(n)
    _, impacts = parts(ranking(rows))
    for column, drawn in bars(impacts).items():
        assert len(drawn) == n
        np.testing.assert_allclose([bar.get_width() for bar in drawn], [r[column] for r in rows])
        assert {bar.get_x() for bar in drawn} == {0.0}
        assert {bar.get_fill() for bar in drawn} == {not column.endswith("prefit")}
        middle = [bar.get_y() + bar.get_height() / 2 for bar in drawn]
        np.testing.assert_allclose(middle, np.arange(n)[::-1])
    low, high = impacts.get_xlim()
    assert low == -high
    assert high > max(abs(row[column]) for row in rows for column in BARS)


def test_colours() -> None:
    """Up and down differ; post-fit and pre-fit of one direction share a colour."""
    _, impacts = parts(ranking(make_rows(5)))
    edges = {column: drawn[0].get_edgecolor()[:3] for column, drawn in bars(impacts).items()}
    faces = {column: drawn[0].get_facecolor()[:3] for column, drawn in bars(impacts).items()}
    assert faces["delta_mu_up"] == edges["delta_mu_up_prefit"]
    assert faces["delta_mu_down"] == edges["delta_mu_down_prefit"]
    assert faces["delta_mu_up"] != faces["delta_mu_down"]


@pytest.mark.parametrize("n", [1, 5, 60])
def test_pulls(n: int) -> None:
    """A point with its post-fit error per constrained parameter, inside the scale."""
    rows = make_rows(n)
    pulls, _ = parts(ranking(rows))
    shown = [(k, row) for k, row in enumerate(rows) if np.isfinite(row["pull"])]
    (container,) = pulls.containers
    points, _, (errors,) = container
    np.testing.assert_allclose(points.get_xdata(), [row["pull"] for _, row in shown])
    np.testing.assert_allclose(points.get_ydata(), [n - 1 - k for k, _ in shown])
    for segment, (_, row) in zip(errors.get_segments(), shown, strict=True):
        expected = row["pull"] + np.array([-1.0, 1.0]) * row["constraint"]
        np.testing.assert_allclose(segment[:, 0], expected)
        assert pulls.get_xlim()[0] < expected[0] < expected[1] < pulls.get_xlim()[1]


def test_dashed_lines() -> None:
    """At -1, 0 and 1 of the pulls."""
    pulls, _ = parts(ranking(make_rows(5)))
    dashed = [line for line in pulls.lines if line.get_linestyle() == "--"]
    assert [np.asarray(line.get_xdata()).tolist() for line in dashed] == [[-1, -1], [0, 0], [1, 1]]
    low, high = pulls.get_xlim()
    assert low < -1 < 1 < high


def test_labels() -> None:
    """Impacts above, pulls below, names on the left, all four kinds of bar in the legend."""
    rows = make_rows(5)
    figure = ranking(rows, poi="mu_signal")
    pulls, impacts = parts(figure)
    assert "impact on mu_signal" in impacts.get_xlabel()
    assert impacts.xaxis.get_label_position() == "top"
    assert "pull" in pulls.get_xlabel()
    assert pulls.xaxis.get_label_position() == "bottom"
    names = dict(zip(pulls.get_yticks(), pulls.get_yticklabels(), strict=True))
    assert [names[4 - k].get_text() for k in range(5)] == [row["name"] for row in rows]
    (legend,) = figure.legends
    assert [text.get_text().split(",")[0] for text in legend.get_texts()] == [
        "post-fit",
        "pre-fit",
        "post-fit",
        "pre-fit",
    ]


def test_given_axes() -> None:
    """The figure of the axes is returned; nothing else in it changes."""
    figure = Figure(layout="constrained")
    left, right = figure.subplots(1, 2)
    assert ranking(make_rows(5), ax=left) is figure
    assert len(figure.axes) == 3
    assert "pull" in left.get_xlabel()
    assert not right.has_data()
    assert not figure.legends
    assert left.get_legend() is not None


def test_subfigure_axes() -> None:
    """Axes of a subfigure belong to the figure around it."""
    figure = Figure()
    assert ranking(make_rows(2), ax=figure.subfigures(1, 2)[0].add_subplot()) is figure


def overlaps(texts: list[Text], figure: Figure) -> bool:
    """Whether neighbours among the texts, from the top down, overlap."""
    figure.draw_without_rendering()
    boxes = [text.get_window_extent() for text in texts]
    return any(lower.y1 > upper.y0 for upper, lower in pairwise(boxes))


@pytest.mark.parametrize("n", [1, 5, 60])
def test_rendering(tmp_path: Path, n: int) -> None:
    """A PNG of any number of rows: names apart from each other, everything inside."""
    figure = ranking(make_rows(n))
    file = tmp_path / "ranking.png"
    figure.savefig(file)
    assert file.read_bytes().startswith(b"\x89PNG")
    pulls, _ = parts(figure)
    names = sorted(pulls.get_yticklabels(), key=lambda text: -text.get_position()[1])
    assert len(names) == n
    assert not overlaps(names, figure)
    box = figure.get_tightbbox()
    width, height = figure.get_size_inches()
    assert box.x0 >= 0
    assert box.y0 >= 0
    assert box.x1 <= width
    assert box.y1 <= height


@pytest.mark.parametrize("name", ["x" * 120, "cost_in_$", "a$b_$", r"\alpha_{", "per_cent_%"])
def test_difficult_names(tmp_path: Path, name: str) -> None:
    """Long names leave room for the bars, and no name is taken for a formula."""
    rows = make_rows(3)
    rows[0]["name"] = name
    figure = ranking(rows, poi=name[:20])
    figure.savefig(tmp_path / "ranking.png")
    pulls, _ = parts(figure)
    assert pulls.get_window_extent().width > 0.25 * figure.bbox.width


def test_undefined_numbers(tmp_path: Path) -> None:
    """NaN impacts and pulls are left out; rows of zeros have a scale all the same."""
    rows = make_rows(4)
    rows[0].update(delta_mu_up=np.nan, total_impact=np.nan, pull=np.nan, constraint=np.nan)
    ranking(rows).savefig(tmp_path / "ranking.png")
    zeros = [{**row, **dict.fromkeys(BARS, 0.0)} for row in rows]
    _, impacts = parts(ranking(zeros))
    low, high = impacts.get_xlim()
    assert low < 0 < high


def test_no_rows() -> None:
    """Nothing to draw is an error."""
    with pytest.raises(ValueError, match="no rows to draw"):
        ranking([])


def test_from_model() -> None:
    """`plot_rank_impact` draws the rows of `rank_impact`."""
    model = nextstat.from_pyhf(make_workspace(2, 4, 3, 5, mu=3.0, random_state=0))
    rows = interpret.rank_impact(model, top_n=6)
    figure = interpret.plot_rank_impact(model, top_n=6)
    _, impacts = parts(figure)
    drawn = [bar.get_width() for bar in bars(impacts)["delta_mu_up"]]
    np.testing.assert_array_equal(drawn, [row["delta_mu_up"] for row in rows])
    assert "impact on mu" in impacts.get_xlabel()
    other = interpret.plot_rank_impact(model, poi="norm_ttbar")
    assert "impact on norm_ttbar" in parts(other)[1].get_xlabel()
