"""The figure of expected and observed events, what is drawn where."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from drawn import assert_legend_above, assert_readable
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import StepPatch
from scipy.stats import poisson

import nextstat
from nextstat import plot
from nextstat.datasets import make_workspace
from nextstat.plot._yields import poisson_interval


def make_model(n_bins: int = 6, n_samples: int = 4, **options: Any) -> nextstat.HistFactoryModel:
    return nextstat.from_pyhf(make_workspace(1, n_bins, n_samples, 3, random_state=0, **options))


def with_samples(found: nextstat.Yields, scale: np.ndarray) -> nextstat.Yields:
    """Yields with every bin scaled."""
    return replace(
        found,
        samples=found.samples * scale,
        total=found.total * scale,
        total_error=found.total_error * scale,
    )


def layers(axes: Axes) -> list[StepPatch]:
    """The stacked samples, from the bottom to the top."""
    return [patch for patch in axes.patches if patch.get_fill() and not patch.get_hatch()]


def hatched(axes: Axes) -> StepPatch:
    (found,) = (patch for patch in axes.patches if patch.get_hatch())
    return found


def points(axes: Axes) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Bins, data, and ends of the error bars of the data, (n, 2)."""
    ((drawn, _, (errors,)),) = axes.containers
    ends = np.array([np.sort(segment[:, 1]) for segment in errors.get_segments() if len(segment)])
    return drawn.get_xdata(), drawn.get_ydata(), ends


def legend_labels(figure: Figure) -> list[str]:
    (legend,) = figure.legends
    return [text.get_text() for text in legend.get_texts()]


@pytest.mark.parametrize("fitted", [False, True])
def test_yields(fitted: bool) -> None:
    """Samples stacked to the total, its band, data with their intervals, and the ratio of both."""
    model = make_model()
    found = nextstat.yields(model, nextstat.fit(model) if fitted else None)
    figure = plot.yields(found)
    main, ratio = figure.axes
    bottom = np.zeros(6)
    heights = {}
    for layer in layers(main):
        values, edges, baseline = layer.get_data()
        np.testing.assert_array_equal(edges, np.arange(7) - 0.5)
        np.testing.assert_array_equal(baseline, bottom)
        heights[layer.get_label()] = values - baseline
        bottom = values
    assert sorted(heights) == sorted(model.samples)
    for sample, height in heights.items():
        np.testing.assert_allclose(height, found.samples[model.samples.index(sample)])
    np.testing.assert_allclose(bottom, found.total)
    high, _, low = hatched(main).get_data()
    np.testing.assert_allclose([low, high], found.total + [[-1], [1]] * found.total_error)
    bins, data, ends = points(main)
    np.testing.assert_array_equal(bins, np.arange(6))
    np.testing.assert_array_equal(data, model.data)
    np.testing.assert_allclose(ends.T, poisson_interval(model.data))
    high, _, low = hatched(ratio).get_data()
    np.testing.assert_allclose([low, high], 1 + [[-1], [1]] * found.total_error / found.total)
    bins, data, ends = points(ratio)
    np.testing.assert_allclose(data, model.data / found.total)
    np.testing.assert_allclose(ends.T, poisson_interval(model.data) / found.total)
    assert main.get_title(loc="left") == f"region_1, {'post-fit' if fitted else 'pre-fit'}"
    assert (main.get_ylabel(), ratio.get_ylabel()) == ("events", "data / model")
    assert ratio.get_xlabel() == "bin"
    assert main.get_xlim() == ratio.get_xlim() == (-0.5, 5.5)
    assert main.get_ylim()[1] > max(poisson_interval(model.data)[1])
    assert_readable(figure)


def test_poisson_interval() -> None:
    """Ends of the central interval: 15.87 % of the Poisson probability beyond each."""
    tail = 0.5 * math.erfc(math.sqrt(0.5))
    n = np.array([0.0, 1.0, 3.0, 20.0, 1e5])
    low, high = poisson_interval(n)
    assert low[0] == 0.0
    np.testing.assert_allclose(poisson.sf(n[1:] - 1, low[1:]), tail)
    np.testing.assert_allclose(poisson.cdf(n, high), tail)
    np.testing.assert_allclose(high[0], -math.log(tail))
    assert poisson_interval(np.array([0.5]))[0, 0] > 0.0  # Asimov data


def test_order_and_colours() -> None:
    """The signal, red, is on top, the largest background at the bottom; the legend agrees."""
    model = make_model(n_samples=7)
    found = nextstat.yields(model)
    figure = plot.yields(found)
    drawn = layers(figure.axes[0])
    names = [layer.get_label() for layer in drawn]
    sizes = dict(zip(model.samples, found.samples.sum(axis=1), strict=True))
    assert names[-1] == "signal"
    assert names[:-1] == sorted(names[:-1], key=lambda name: -sizes[name])
    assert legend_labels(figure) == ["data", "uncertainty", *names[::-1]]
    colours = [layer.get_facecolor() for layer in drawn]
    assert len(set(colours)) == 7
    red, green, blue, _ = colours[-1]
    assert red > 2 * max(green, blue)


def test_same_colours_in_all_channels() -> None:
    model = nextstat.from_pyhf(make_workspace(3, 4, 6, 3, random_state=1))
    found = nextstat.yields(model)
    colours = [
        {x.get_label(): x.get_facecolor() for x in layers(plot.yields(found, name).axes[0])}
        for name in model.channels
    ]
    assert colours[0] == colours[1] == colours[2]


def test_many_samples() -> None:
    """Of more than ten samples, the smallest are one layer, named as such; the signal is kept."""
    model = make_model(n_samples=16, signal_fraction=0.001)
    found = nextstat.yields(model)
    figure = plot.yields(found)
    drawn = layers(figure.axes[0])
    assert len(drawn) == 10
    assert len({layer.get_facecolor() for layer in drawn}) == 10
    names = [layer.get_label() for layer in drawn]
    assert names[-2:] == ["7 other samples", "signal"]
    np.testing.assert_allclose(drawn[-1].get_data().values, found.total)
    others = [k for k, name in enumerate(model.samples) if name not in names]
    values, _, baseline = drawn[-2].get_data()
    np.testing.assert_allclose(values - baseline, found.samples[others].sum(axis=0))
    assert_readable(figure)


def test_without_signal() -> None:
    """A parameter of interest that scales everything, or none, singles no sample out."""
    workspace = make_workspace(1, 4, 3, 2, random_state=0)
    for poi in ("lumi", ""):
        workspace["measurements"][0]["config"]["poi"] = poi
        found = nextstat.yields(nextstat.from_pyhf(workspace))
        drawn = layers(plot.yields(found).axes[0])
        sizes = [float((x.get_data().values - x.get_data().baseline).sum()) for x in drawn]
        assert sizes == sorted(sizes, reverse=True)


def test_channels() -> None:
    """With several channels, the one asked for; without the samples that it does not have."""
    workspace = make_workspace(2, 4, 3, 2, random_state=0)
    gone = workspace["channels"][1]["samples"].pop()["name"]
    model = nextstat.from_pyhf(workspace)
    found = nextstat.yields(model)
    main, _ = plot.yields(found, "region_2").axes
    np.testing.assert_array_equal(points(main)[1], model.data[4:])
    assert gone not in {layer.get_label() for layer in layers(main)}
    assert main.get_title(loc="left").startswith("region_2")
    with pytest.raises(ValueError, match=r"channel is missing.*'region_1', 'region_2'"):
        plot.yields(found)
    with pytest.raises(ValueError, match=r"channel is 'region_3'.*'region_1', 'region_2'"):
        plot.yields(found, "region_3")


def test_steep_channel() -> None:
    """Bins that differ by more than 100 have a logarithmic scale, thin layers at the top."""
    found = with_samples(nextstat.yields(make_model()), 10.0 ** -np.arange(6))
    figure = plot.yields(found)
    main, _ = figure.axes
    assert main.get_yscale() == "log"
    low, high = main.get_ylim()
    assert 0.0 < low < found.total.min()
    assert high > found.total.max()
    sizes = [(x.get_data().values - x.get_data().baseline).sum() for x in layers(main)[:-1]]
    assert sizes == sorted(sizes)
    assert layers(main)[-1].get_label() == "signal"
    assert_readable(figure)


@pytest.mark.parametrize("empty", [[5], [0, 3], range(6)])
def test_empty_bins(empty: list[int]) -> None:
    """Bins without expected events have no ratio, and nothing becomes infinite."""
    scale = np.ones(6)
    scale[empty] = 0.0
    found = with_samples(nextstat.yields(make_model()), scale)
    figure = plot.yields(found)
    main, ratio = figure.axes
    assert len(points(main)[1]) == 6
    _, data, ends = points(ratio)
    np.testing.assert_array_equal(np.isfinite(data), scale > 0.0)
    assert np.isfinite(ends).all()
    assert np.isfinite([main.get_ylim(), ratio.get_ylim()]).all()
    assert_readable(figure)


def test_data_outside_the_ratio() -> None:
    """Triangles at the edge of the scale point to them."""
    found = nextstat.yields(make_model())
    data = found.total.copy()
    data[2], data[4] = 5.0 * data[2], 0.0
    figure = plot.yields(replace(found, data=data))
    _, ratio = figure.axes
    low, high = ratio.get_ylim()
    assert (low, high) == (0.0, 2.0)
    (up,) = (line for line in ratio.lines if line.get_marker() == "^")
    assert list(up.get_xdata()) == [2]
    assert 1.5 < up.get_ydata()[0] < 2.0


def test_no_data() -> None:
    """Zero events in every bin: points at 0 with the interval up to 1.84."""
    found = nextstat.yields(make_model())
    main, _ = plot.yields(replace(found, data=np.zeros(6))).axes
    _, data, ends = points(main)
    assert not data.any()
    np.testing.assert_allclose(ends, [[0.0, 1.841]] * 6, atol=1e-3)


@pytest.mark.parametrize("n_bins", [1, 30, 100, 400])
def test_many_bins(n_bins: int) -> None:
    """Readable, and no wider than a page can be, with any number of bins."""
    figure = plot.yields(nextstat.yields(make_model(n_bins)))
    main, _ = figure.axes
    assert len(points(main)[1]) == n_bins
    assert figure.get_size_inches()[0] <= 14.0
    assert main.bbox.width > 0.5 * figure.bbox.width
    ticks = [tick for tick in main.get_xticks() if -0.5 <= tick <= n_bins - 0.5]
    assert ticks
    assert all(tick == round(tick) for tick in ticks)
    assert_readable(figure)


def test_long_names() -> None:
    """Names of any length and with any letters are wrapped, whole, beside the bins."""
    workspace = make_workspace(1, 5, 4, 2, random_state=0)
    names = ["with_$", "_hidden", "a_very_long_name_of_a_sample_in_many_parts" * 2, "x" * 90]
    for sample, name in zip(workspace["channels"][0]["samples"], names, strict=True):
        sample["name"] = name
    channel = "a_control_region_with_two_leptons_" * 4
    workspace["channels"][0]["name"] = workspace["observations"][0]["name"] = channel
    figure = plot.yields(nextstat.yields(nextstat.from_pyhf(workspace)))
    shown = (label.replace("\n", "").replace(r"\$", "$") for label in legend_labels(figure))
    labels = {label.strip() for label in shown}
    assert labels == {"data", "uncertainty", *names}
    title = figure.axes[0].get_title(loc="left")
    assert title.replace("\n", "") == f"{channel}, pre-fit"
    assert figure.axes[0].bbox.width > 0.4 * figure.bbox.width
    assert_readable(figure)


def test_given_axes() -> None:
    """A pair takes events and ratio, a single one the events alone; their figure is returned."""
    found = nextstat.yields(make_model())
    figure = Figure(figsize=(9.0, 5.0), layout="constrained")
    grid = figure.subplots(2, 2)
    assert plot.yields(found, ax=grid[:, 0]) is figure
    assert plot.yields(found, "region_1", ax=grid[0, 1]) is figure
    assert figure.axes == list(grid.flat)
    assert not figure.legends
    assert not grid[1, 1].has_data()
    assert grid[1, 0].get_ylabel() == "data / model"
    assert grid[0, 1].get_xlabel() == "bin"
    for main in grid[0]:
        assert len(layers(main)) == 4
        assert_legend_above(main, max(poisson_interval(found.data)[1]))
    assert_readable(figure)


def test_impossible_yields() -> None:
    found = nextstat.yields(make_model())
    with pytest.raises(ValueError, match="events of channel 'region_1' are not finite"):
        plot.yields(replace(found, total=np.full(6, np.nan)))
