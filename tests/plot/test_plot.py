"""The figures of parameters, what is drawn where: rankings, pulls, correlations."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from drawn import assert_legend_above, assert_readable
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.text import Text

import nextstat
from nextstat import interpret
from nextstat.datasets import make_workspace
from nextstat.plot import correlation, pulls, ranking

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
    assert_legend_above(left, 4.5)


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
    nothing = dict.fromkeys([*BARS, "pull"], np.nan)
    with pytest.raises(ValueError, match="none of the impacts and pulls is a finite number"):
        ranking([{**row, **nothing} for row in make_rows(2)])


def test_auxdata_ranking() -> None:
    """The method "auxdata" has no pre-fit impacts: no hollow bars, nor a legend for them."""
    model = nextstat.from_pyhf(make_workspace(1, 4, 3, 5, mu=3.0, random_state=0))
    rows = interpret.rank_impact(model, top_n=5, method="auxdata")
    figure = ranking(rows)
    _, impacts = parts(figure)
    drawn = [patch.get_width() for patch in impacts.patches]
    assert drawn == [row[f"delta_mu_{key}"] for key in ("up", "down") for row in rows]
    assert all(patch.get_fill() for patch in impacts.patches)
    (legend,) = figure.legends
    assert len(legend.get_texts()) == 2
    assert all("auxiliary data" in text.get_text() for text in legend.get_texts())
    assert_readable(figure)


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


def pull_columns(figure: Figure) -> list[tuple[list[str], list[float], list[float], list[float]]]:
    """Names, pulls and ends of the error bars in each column of a figure, from the top."""
    found = []
    for axes in figure.axes:
        (container,) = axes.containers
        points, _, (errors,) = container
        names = {label.get_position()[1]: label.get_text() for label in axes.get_yticklabels()}
        assert axes.get_ylim()[0] > axes.get_ylim()[1]  # the first is on top
        ends = [segment[:, 0].tolist() for segment in errors.get_segments()]
        ticks = [names[y] for y in points.get_ydata()]
        found.append((ticks, points.get_xdata().tolist(), *np.transpose(ends).tolist()))
    return found


@pytest.mark.parametrize("n", [1, 5, 25, 60, 250])
def test_pulls_of_many(n: int) -> None:
    """Every pull with its error and name, in order, readable, however many there are."""
    rows = [row for row in make_rows(n + 1) if np.isfinite(row["pull"])][:n]
    figure = pulls(rows)
    columns = pull_columns(figure)
    assert len(columns) == (4 if n == 250 else 1)
    names, drawn, low, high = (np.concatenate(part) for part in zip(*columns, strict=True))
    assert names.tolist() == [row["name"] for row in rows]
    np.testing.assert_allclose(drawn, [row["pull"] for row in rows])
    np.testing.assert_allclose(low, [row["pull"] - row["constraint"] for row in rows])
    np.testing.assert_allclose(high, [row["pull"] + row["constraint"] for row in rows])
    for axes in figure.axes:
        left, right = axes.get_xlim()
        assert left == -right
        assert left < low.min() < high.max() < right
    assert_readable(figure)
    assert max(figure.get_size_inches()) < 24


def test_pull_bands() -> None:
    """1 sigma on top of 2 sigma, over all rows, and a line at 0."""
    (axes,) = pulls(make_rows(3)[:2]).axes
    two, one = axes.patches
    for patch, reach in ((one, 1.0), (two, 2.0)):
        box = patch.get_window_extent().transformed(axes.transData.inverted())
        np.testing.assert_allclose([box.x0, box.x1], [-reach, reach])
        np.testing.assert_allclose(sorted([box.y0, box.y1]), sorted(axes.get_ylim()))
    assert one.get_facecolor() != two.get_facecolor()
    (line,) = (line for line in axes.lines if line.get_linestyle() == "--")
    assert list(line.get_xdata()) == [0.0, 0.0]


def test_pulls_without_error() -> None:
    """A parameter at its bound has a point without an error bar."""
    rows = make_rows(2)
    rows[1]["constraint"] = np.nan
    (axes,) = pulls(rows).axes
    ((points, _, (errors,)),) = axes.containers
    np.testing.assert_array_equal(points.get_xdata(), [row["pull"] for row in rows])
    assert [len(segment) for segment in errors.get_segments()] == [2, 0]


def test_pulls_of_fit() -> None:
    """Of a fit, with names that look like formulas, far pulls, in axes of somebody's own."""
    result = nextstat.fit(nextstat.from_pyhf(make_workspace(1, 4, 3, 5, random_state=0)))
    rows = interpret.pulls(result)
    rows[0].update(name="cost_$a$", pull=6.0)
    figure = Figure(layout="constrained")
    left, right = figure.subplots(1, 2)
    assert pulls(rows, ax=left) is figure
    assert len(figure.axes) == 2
    assert not right.has_data()
    assert left.get_xlim()[1] > 6.0
    assert left.get_yticklabels()[0].get_text() == "cost_$a$"
    assert_readable(figure)


def test_more_names_than_fit() -> None:
    """In small axes every second, third, ... name is shown, at its row."""
    figure = Figure(figsize=(4.0, 2.0), layout="constrained")
    rows = [row for row in make_rows(101) if np.isfinite(row["pull"])]
    pulls(rows, ax=figure.add_subplot())
    (axes,) = figure.axes
    labels = axes.get_yticklabels()
    assert 5 < len(labels) < 50
    for label in labels:
        assert label.get_text() == rows[round(label.get_position()[1])]["name"]
    assert_readable(figure)


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([], "there are no pulls to draw"),
        ([{"name": "a", "pull": np.nan, "constraint": np.nan}], "none of the pulls is a finite"),
    ],
)
def test_no_pulls(rows: list[dict[str, Any]], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        pulls(rows)


def make_correlation(n: int) -> pd.DataFrame:
    matrix = np.corrcoef(np.random.default_rng(n).normal(size=(n, n + 2)))
    names = [f"parameter_{k}" for k in range(n)]
    return pd.DataFrame(matrix, index=names, columns=names)


@pytest.mark.parametrize("n", [1, 5, 25, 60])
def test_correlation(n: int) -> None:
    """One cell per pair in a colour from -1 to 1, numbers where they fit, all names."""
    frame = make_correlation(n)
    figure = correlation(frame)
    (axes,) = figure.axes
    (bar,) = axes.child_axes
    (image,) = axes.images
    np.testing.assert_array_equal(image.get_array(), frame)
    assert image.get_clim() == (-1.0, 1.0)
    assert [label.get_text() for label in axes.get_xticklabels()] == list(frame)
    assert [label.get_text() for label in axes.get_yticklabels()] == list(frame)
    assert bar.get_ylabel() == "correlation"
    numbers = {text.get_position(): text.get_text() for text in axes.texts}
    assert len(numbers) == (n**2 if n <= 25 else 0)
    for (x, y), number in numbers.items():
        value = float(number.replace("\N{MINUS SIGN}", "-"))
        assert abs(value - frame.iloc[y, x]) <= 0.005 + 1e-12
    assert_readable(figure)
    cell = axes.bbox.width / n
    assert all(text.get_window_extent().width < cell for text in axes.texts)


def test_correlation_colours() -> None:
    """Blue, white, red; grey where undefined."""
    frame = make_correlation(3)
    frame.iloc[0, 1] = np.nan
    (axes,) = correlation(frame).axes
    (image,) = axes.images
    low, zero, high = image.cmap([0.0, 0.5, 1.0])[:, :3]
    assert low[2] > low[0]
    assert high[0] > high[2]
    assert zero.min() > 0.95
    assert np.ma.getmaskarray(image.get_array())[0, 1]
    assert axes.get_facecolor()[:3] == (0.75, 0.75, 0.75)
    assert len(axes.texts) == 8
    assert not any("nan" in text.get_text() for text in axes.texts)


def test_small_correlations_have_no_sign() -> None:
    frame = pd.DataFrame([[1.0, -0.001], [-0.001, 1.0]], columns=["a", "b"], index=["a", "b"])
    (axes,) = correlation(frame).axes
    assert [text.get_text() for text in axes.texts] == ["1.00", "0.00", "0.00", "1.00"]


def test_correlation_of_fit() -> None:
    """Of a fit, in axes of somebody's own."""
    result = nextstat.fit(nextstat.from_pyhf(make_workspace(1, 4, 3, 5, random_state=0)))
    frame = interpret.correlation_df(result)
    figure = Figure(figsize=(11, 5), layout="constrained")
    left, right = figure.subplots(1, 2)
    assert correlation(frame, ax=left) is figure
    np.testing.assert_array_equal(left.images[0].get_array(), frame)
    assert not right.has_data()
    assert_readable(figure)


@pytest.mark.parametrize(
    ("matrix", "message"),
    [
        (np.empty((0, 0)), "there are no correlations to draw"),
        (np.full((2, 2), np.nan), "none of the correlations is a finite number"),
        (np.ones((2, 3)), r"shape \(2, 3\), expected \(n, n\)"),
    ],
)
def test_no_correlation(matrix: np.ndarray, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        correlation(pd.DataFrame(matrix))
