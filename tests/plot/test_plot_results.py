"""The figures of results, what is drawn where: limits, scans, regions, distributions of toys."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from drawn import assert_legend_above, assert_readable, texts
from matplotlib.axes import Axes
from matplotlib.collections import PolyCollection
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import StepPatch
from scipy.stats import chi2

import nextstat
from nextstat import plot
from nextstat.datasets import make_workspace


@pytest.fixture(scope="module")
def model() -> nextstat.HistFactoryModel:
    return nextstat.from_pyhf(make_workspace(1, 6, 3, 3, signal_fraction=0.1, random_state=0))


@pytest.fixture(scope="module")
def scan(model: nextstat.HistFactoryModel) -> nextstat.Scan:
    return nextstat.scan(model)


@pytest.fixture(scope="module")
def cls_scan(model: nextstat.HistFactoryModel) -> nextstat.ClsScan:
    return nextstat.cls_scan(model, np.linspace(0.2, 2.0, 7))


@pytest.fixture(scope="module")
def contour(model: nextstat.HistFactoryModel) -> nextstat.Contour:
    return nextstat.contour(nextstat.fit(model), "mu", "lumi", n_points=12)


@pytest.fixture(scope="module")
def gof(model: nextstat.HistFactoryModel) -> nextstat.GoodnessOfFit:
    return nextstat.goodness_of_fit(model, calculator="toys", n_toys=200, seed=1)


@pytest.fixture(scope="module")
def toy_test(model: nextstat.HistFactoryModel) -> nextstat.HypoTestResult:
    return nextstat.hypotest(model, 1.5, calculator="toys", n_toys=300, seed=1)


@pytest.fixture(scope="module")
def interval(model: nextstat.HistFactoryModel) -> nextstat.FeldmanCousins:
    return nextstat.feldman_cousins(model, np.linspace(0.0, 3.0, 7), 0.9, n_toys=100, seed=1)


MASSES = [500.0, 300.0, 400.0]  # not in order


def make_limits(scale: float = 1.0, **changes: Any) -> list[nextstat.UpperLimit]:
    band = np.array([0.5, 0.7, 1.0, 1.4, 2.0])
    sizes = [0.4 * scale**2, 0.4, 0.4 * scale]
    return [nextstat.UpperLimit(1.3 * s, s * band, 0.95, **changes) for s in sizes]


def line(axes: Axes, label: str) -> Line2D:
    (found,) = (line for line in axes.lines if str(line.get_label()).startswith(label))
    return found


def band(axes: Axes, label: str) -> np.ndarray:
    """Lower and upper border of a band at each of its positions, (n, 3)."""
    (found,) = (c for c in axes.collections if label in str(c.get_label()))
    assert isinstance(found, PolyCollection)
    return borders(found.get_paths()[0].vertices)


def borders(vertices: np.ndarray) -> np.ndarray:
    x = np.unique(vertices[:, 0])
    ends = [vertices[vertices[:, 0] == value, 1] for value in x]
    return np.array([(value, y.min(), y.max()) for value, y in zip(x, ends, strict=True)])


def level(axes: Axes, style: str) -> list[float]:
    """Heights of the horizontal lines of a style that cross the axes."""
    lines = [x for x in axes.lines if x.get_linestyle() == style and list(x.get_xdata()) == [0, 1]]
    return [float(x.get_ydata()[0]) for x in lines]


def test_limits() -> None:
    """Limits at their positions, in order, with bands and a line at 1."""
    found = make_limits(2.0)
    figure = plot.limits(MASSES, found, xlabel="mass [GeV]", poi="mu_$")
    (axes,) = figure.axes
    order = [1, 2, 0]
    observed, median = line(axes, "observed"), line(axes, "expected (median)")
    for drawn in (observed, median):
        assert list(drawn.get_xdata()) == [300.0, 400.0, 500.0]
    assert list(observed.get_ydata()) == [found[k].observed for k in order]
    assert list(median.get_ydata()) == [found[k].expected[2] for k in order]
    assert observed.get_marker() == "o"
    assert median.get_linestyle() == "--"
    for label, low, high in ((r"\pm 1", 1, 3), (r"\pm 2", 0, 4)):
        expected = [(MASSES[k], found[k].expected[low], found[k].expected[high]) for k in order]
        np.testing.assert_array_equal(band(axes, label), expected)
    assert level(axes, "-.") == [1.0]
    assert axes.get_xlabel() == "mass [GeV]"
    assert axes.get_ylabel() == r"95 % CL upper limit on mu_\$"
    assert axes.get_yscale() == "linear"
    assert_readable(figure)
    assert_legend_above(axes, max(limit.expected[4] for limit in found))


def test_limits_over_decades() -> None:
    """Logarithmic, with room for all of them and for the line at 1."""
    found = make_limits(0.01)
    figure = plot.limits(MASSES, found)
    (axes,) = figure.axes
    assert axes.get_yscale() == "log"
    low, high = axes.get_ylim()
    assert low < min(limit.expected[0] for limit in found)
    assert high > 1.0
    assert_readable(figure)
    assert_legend_above(axes, 1.0)


@pytest.mark.parametrize("known", ["observed", "expected"])
def test_limits_partly_known(known: str) -> None:
    """Only what is known is drawn and in the legend."""
    unknown = {"expected": np.full(5, np.nan)} if known == "observed" else {"observed": np.nan}
    figure = plot.limits(MASSES, [replace(limit, **unknown) for limit in make_limits()])
    (axes,) = figure.axes
    labels = [text.get_text() for text in axes.get_legend().get_texts()]
    assert len(labels) == (1 if known == "observed" else 3)
    assert all(label.startswith(known) for label in labels)


def test_single_limit() -> None:
    """A single limit has bands wide enough to see."""
    found = make_limits()[:1]
    (axes,) = plot.limits([500.0], found).axes
    x, low, high = band(axes, r"\pm 2").T
    assert x[0] < 500.0 < x[-1]
    assert set(low) == {found[0].expected[0]}
    assert set(high) == {found[0].expected[4]}


@pytest.mark.parametrize(
    ("x", "found", "message"),
    [
        ([], [], "there are no limits"),
        ([1.0], make_limits(), r"x has shape \(1,\), expected \(3,\)"),
        ([1.0, np.nan, 2.0], make_limits(), "finite numbers"),
        (MASSES, [replace(make_limits()[0], level=0.9), *make_limits()[1:]], r"\[0.9, 0.95\]"),
        (
            [1.0],
            [nextstat.UpperLimit(np.nan, np.full(5, np.nan), 0.95)],
            "none of the limits is a finite number",
        ),
    ],
)
def test_impossible_limits(x: list[float], found: list[Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        plot.limits(x, found)


def test_cls_scan(cls_scan: nextstat.ClsScan) -> None:
    """CLs with its bands, and the line below which values are excluded."""
    figure = plot.cls_scan(cls_scan, level=0.9)
    (axes,) = figure.axes
    np.testing.assert_array_equal(line(axes, "observed").get_xdata(), cls_scan.values)
    np.testing.assert_array_equal(line(axes, "observed").get_ydata(), cls_scan.observed)
    np.testing.assert_array_equal(line(axes, "expected").get_ydata(), cls_scan.expected[:, 2])
    for label, low, high in ((r"\pm 1", 1, 3), (r"\pm 2", 0, 4)):
        both = cls_scan.expected[:, [low, high]]
        np.testing.assert_array_equal(band(axes, label), np.c_[cls_scan.values, both])
    assert line(axes, r"$\mathrm{CL_s} = 0.1$").get_ydata()[0] == pytest.approx(0.1)
    assert axes.get_xlabel() == "mu"
    assert_readable(figure)
    assert_legend_above(axes, 1.0)


def test_impossible_cls_scan(cls_scan: nextstat.ClsScan) -> None:
    with pytest.raises(ValueError, match="level is 95"):
        plot.cls_scan(cls_scan, level=95)
    with pytest.raises(ValueError, match="none of the values of CLs is a finite number"):
        plot.cls_scan(replace(cls_scan, observed=np.full(7, np.nan)))


def test_scan(scan: nextstat.Scan) -> None:
    """The curve, lines at 1 and 4, and the fitted value."""
    figure = plot.scan(scan)
    (axes,) = figure.axes
    curve, best = axes.lines[:2]
    np.testing.assert_array_equal(curve.get_xdata(), scan.values)
    np.testing.assert_array_equal(curve.get_ydata(), scan.twice_delta_nll)
    assert (best.get_xdata()[0], best.get_ydata()[0]) == (scan.best, 0.0)
    assert f"mu = {scan.best:.4g}" in best.get_label()
    assert level(axes, ":") == [1.0, 4.0]
    assert [text.get_text() for text in axes.texts] == [r"$1\sigma$", r"$2\sigma$"]
    assert axes.get_xlim() == (scan.values[0], scan.values[-1])
    assert_readable(figure)
    assert_legend_above(axes, scan.twice_delta_nll.max())


def test_scan_with_holes(scan: nextstat.Scan) -> None:
    """A gap where fits failed; shaded halfway to the neighbours where values are excluded."""
    rise = scan.twice_delta_nll.copy()
    rise[[0, 1, 10]] = np.inf
    rise[30] = np.nan
    figure = plot.scan(replace(scan, twice_delta_nll=rise))
    (axes,) = figure.axes
    holes = np.flatnonzero(np.isnan(axes.lines[0].get_ydata()))
    assert holes.tolist() == [0, 1, 10, 30]
    shaded = [borders(c.get_paths()[0].vertices)[:, 0] for c in axes.collections]
    middle = 0.5 * (scan.values[1:] + scan.values[:-1])
    expected = [(scan.values[0], middle[0]), (middle[0], middle[1]), (middle[9], middle[10])]
    np.testing.assert_allclose(shaded, expected)
    labels = [text.get_text() for text in axes.get_legend().get_texts()]
    assert labels[1:] == ["excluded by the data"]
    assert np.isfinite(axes.get_ylim()).all()
    assert_readable(figure)


def test_steep_scan(scan: nextstat.Scan) -> None:
    """A curve up to thousands leaves the figure, in which 1 and 2 sigma stay apart."""
    (axes,) = plot.scan(replace(scan, twice_delta_nll=1e3 * scan.twice_delta_nll)).axes
    assert axes.get_ylim()[1] < 150.0


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_empty_scan(scan: nextstat.Scan, value: float) -> None:
    with pytest.raises(ValueError, match="none of the values of the scan is a finite number"):
        plot.scan(replace(scan, twice_delta_nll=np.full(51, value)))


def test_contour(contour: nextstat.Contour) -> None:
    """Each border closed, in a style of its own; the fitted values."""
    figure = plot.contour(contour)
    (axes,) = figure.axes
    *drawn, best = axes.lines
    for found, level in zip(drawn, contour.levels, strict=True):
        border = contour.points[level]
        np.testing.assert_array_equal(found.get_xydata(), [*border, border[0]])
        low, high = axes.transData.inverted().transform(axes.bbox)
        assert (low < border).all()
        assert (border < high).all()
    assert drawn[0].get_linestyle() != drawn[1].get_linestyle()
    labels = [text.get_text() for text in axes.get_legend().get_texts()]
    assert labels == ["68.3 % CL", "95.4 % CL", "best fit"]
    np.testing.assert_array_equal(best.get_xydata()[0], contour.best)
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("mu", "lumi")
    assert_readable(figure)
    assert_legend_above(axes, contour.points[contour.levels[1]][:, 1].max())


def test_empty_contour(contour: nextstat.Contour) -> None:
    with pytest.raises(ValueError, match="there are no regions"):
        plot.contour(replace(contour, levels=()))
    nowhere = {level: np.full((3, 2), np.nan) for level in contour.levels}
    with pytest.raises(ValueError, match="none of the points at the level 0"):
        plot.contour(replace(contour, points=nowhere))


def shares(axes: Axes, colour: Any) -> tuple[float, float]:
    """Share of the toys in the histogram of a colour, and in its shaded part."""
    steps = [patch for patch in axes.patches if isinstance(patch, StepPatch)]
    edge = [
        patch for patch in steps if not patch.get_fill() and same(patch.get_edgecolor(), colour)
    ]
    tail = [patch for patch in steps if patch.get_fill() and same(patch.get_facecolor(), colour)]
    areas = [
        sum(float(x.get_data().values @ np.diff(x.get_data().edges)) for x in found)
        for found in (edge, tail)
    ]
    return areas[0], areas[1]


def same(one: Any, other: Any) -> bool:
    return tuple(one[:3]) == tuple(other[:3])


def test_goodness_of_fit_with_toys(gof: nextstat.GoodnessOfFit) -> None:
    """A normalised histogram, whose shaded part is the p-value, the chi2, the observed line."""
    assert 0.0 < gof.pvalue < 1.0
    figure = plot.goodness_of_fit(gof)
    (axes,) = figure.axes
    colour = axes.patches[0].get_edgecolor()
    np.testing.assert_allclose(shares(axes, colour), (1.0, gof.pvalue), atol=1e-12)
    curve, observed = line(axes, r"$\chi^2$"), line(axes, "observed")
    np.testing.assert_allclose(curve.get_ydata(), chi2.pdf(curve.get_xdata(), gof.n_dof))
    assert set(observed.get_xdata()) == {gof.statistic}
    assert rf"{gof.pvalue:.3f} \pm {gof.pvalue_error:.3f}" in observed.get_label()
    low, high = axes.get_xlim()
    assert low < min(gof.toys) <= max(gof.toys) < high
    assert_readable(figure)
    assert_legend_above(axes, max(axes.patches[0].get_data().values.max(), max(curve.get_ydata())))


def test_goodness_of_fit_without_toys(model: nextstat.HistFactoryModel) -> None:
    """Under the curve beyond the observed value lies the p-value."""
    gof = nextstat.goodness_of_fit(model)
    figure = plot.goodness_of_fit(gof)
    (axes,) = figure.axes
    assert not axes.patches
    x, low, high = borders(axes.collections[0].get_paths()[0].vertices).T
    assert x[0] == gof.statistic
    assert not low.any()
    area = 0.5 * (high[1:] + high[:-1]) @ np.diff(x)
    assert area == pytest.approx(gof.pvalue, abs=1e-3)
    assert_readable(figure)


@pytest.mark.parametrize(("statistic", "n_dof"), [(0.0, 1), (0.3, 1), (900.0, 3), (3000.0, 3000)])
def test_goodness_of_fit_anywhere(statistic: float, n_dof: int) -> None:
    """The observed line is inside, wherever it is; one degree of freedom diverges at 0."""
    pvalue = float(chi2.sf(statistic, n_dof))
    figure = plot.goodness_of_fit(nextstat.GoodnessOfFit(statistic, n_dof, pvalue, {}, 0.0))
    (axes,) = figure.axes
    assert axes.get_xlim()[0] < statistic < axes.get_xlim()[1]
    assert 0.0 < axes.get_ylim()[1] < 30.0
    assert_readable(figure)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"statistic": np.inf}, "none of the statistics is a finite number"),
        ({"n_dof": 0, "toys": None}, "neither degrees of freedom nor toys"),
        ({"toys": np.empty(0)}, "there are no toys to draw"),
    ],
)
def test_impossible_goodness(
    gof: nextstat.GoodnessOfFit, changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        plot.goodness_of_fit(replace(gof, **changes))


@pytest.mark.parametrize("test_stat", ["q0", "qtilde", "t"])
def test_test_statistic(model: nextstat.HistFactoryModel, test_stat: Any) -> None:
    """Normalised histograms of both hypotheses; the shaded parts are the p-values."""
    mu = 0.0 if test_stat == "q0" else 2.0
    test = nextstat.hypotest(model, mu, test_stat=test_stat, calculator="toys", n_toys=300, seed=1)
    assert test.test_statistic > 0.0
    figure = plot.test_statistic(test)
    (axes,) = figure.axes
    tested, alternative = (axes.patches[k].get_edgecolor() for k in (0, -2))
    assert not same(tested, alternative)
    np.testing.assert_allclose(shares(axes, tested), (1.0, test.clsb), atol=1e-12)
    np.testing.assert_allclose(shares(axes, alternative), (1.0, test.clb), atol=1e-12)
    assert set(line(axes, "observed").get_xdata()) == {test.test_statistic}
    assert axes.get_yscale() == "log"
    labels = [text.get_text() for text in axes.get_legend().get_texts()]
    assert rf"$\mu = {mu:g}$" in labels[0]
    assert rf"$\mu = {1 - mu if mu == 0 else 0:g}$" in labels[1]
    assert_readable(figure)
    assert_legend_above(axes, max(patch.get_data().values.max() for patch in axes.patches))


def test_toys_at_infinity(toy_test: nextstat.HypoTestResult) -> None:
    """They count, and the legend names them."""
    assert toy_test.toys is not None
    tested = np.append(toy_test.toys.tested, np.full(100, np.inf))
    test = replace(toy_test, toys=replace(toy_test.toys, tested=tested))
    (axes,) = plot.test_statistic(test).axes
    share, _ = shares(axes, axes.patches[0].get_edgecolor())
    assert share == pytest.approx(0.75)
    assert "(100 at infinity)" in axes.patches[0].get_label()


def test_no_toy_beyond(toy_test: nextstat.HypoTestResult) -> None:
    """Where no toy agrees less, the p-value is below one over their number."""
    test = replace(toy_test, test_statistic=1e3, clsb=0.0, clb=0.0, pvalue_error=0.0)
    figure = plot.test_statistic(test)
    (axes,) = figure.axes
    assert not any(patch.get_fill() for patch in axes.patches)
    assert axes.get_xlim()[1] > 1e3
    assert "< 0.0033" in axes.patches[0].get_label()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"toys": None}, "use hypotest(.*, calculator='toys')"),
        ({"test_statistic": np.inf}, "statistic is inf: the data exclude mu=1.5"),
    ],
)
def test_impossible_test(
    toy_test: nextstat.HypoTestResult, changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        plot.test_statistic(replace(toy_test, **changes))


def test_feldman_cousins(interval: nextstat.FeldmanCousins) -> None:
    """p-values with their errors, the level, the interval and the fitted value."""
    figure = plot.feldman_cousins(interval)
    (axes,) = figure.axes
    ((points, _, (errors,)),) = axes.containers
    np.testing.assert_array_equal(points.get_xdata(), interval.values)
    np.testing.assert_array_equal(points.get_ydata(), interval.pvalues)
    ends = np.array([segment[:, 1] for segment in errors.get_segments()])
    up_down = interval.errors[:, None] * [-1.0, 1.0]
    np.testing.assert_allclose(ends, interval.pvalues[:, None] + up_down)
    np.testing.assert_allclose(level(axes, ":"), [0.1])
    shaded = borders(axes.collections[0].get_paths()[0].vertices)
    assert shaded[:, 0].tolist() == [interval.lower, interval.upper]
    assert set(line(axes, "best fit").get_xdata()) == {interval.best}
    assert any("90 % CL" in text.get_text() for text in texts(figure))
    assert_readable(figure)
    assert_legend_above(axes, 1.05)


def test_empty_feldman_cousins(interval: nextstat.FeldmanCousins) -> None:
    with pytest.raises(ValueError, match="none of the p-values is a finite number"):
        plot.feldman_cousins(replace(interval, pvalues=np.full(7, np.nan)))


DRAW: dict[str, Callable[..., Figure]] = {
    "scan": plot.scan,
    "cls_scan": plot.cls_scan,
    "contour": plot.contour,
    "gof": plot.goodness_of_fit,
    "toy_test": plot.test_statistic,
    "interval": plot.feldman_cousins,
}


@pytest.mark.parametrize("name", [*DRAW, "limits"])
def test_given_axes(name: str, request: pytest.FixtureRequest) -> None:
    """Drawn into one of two small axes, still readable; nothing else changes."""
    figure = Figure(figsize=(9.0, 3.5), layout="constrained")
    left, right = figure.subplots(1, 2)
    if name == "limits":
        returned = plot.limits(MASSES, make_limits(), ax=left)
    else:
        returned = DRAW[name](request.getfixturevalue(name), ax=left)
    assert returned is figure
    assert figure.axes == [left, right]
    assert left.has_data()
    assert left.get_legend() is not None
    assert not right.has_data()
    assert_readable(figure)
