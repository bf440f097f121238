"""Profiles of the likelihood: scan, contour."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import click

import nextstat
from nextstat.cli import options
from nextstat.cli.output import emit, line, number, percent, save, shift, table

if TYPE_CHECKING:
    from nextstat import Contour, FitResult, HistFactoryModel, Interval, Scan
    from nextstat._base.arrays import Vector

_REACH = 3.0  # of a scan, in errors
_POINTS = 51


@click.command()
@click.option(
    "--from", "start", type=float, help="First value; by default three errors below the fitted one."
)
@click.option(
    "--to", "stop", type=float, help="Last value; by default three errors above the fitted one."
)
@click.option(
    "--points",
    default=_POINTS,
    show_default=True,
    type=click.IntRange(min=2),
    metavar="N",
    help="Number of values.",
)
@options.n_jobs
@options.plot("the scan")
@options.model
@click.argument("parameter", required=False)
@options.settings
def scan(
    model: HistFactoryModel,
    parameter: str | None,
    settings: options.Settings,
    start: float | None,
    stop: float | None,
    points: int,
    n_jobs: int | None,
    plot: str | None,
    as_json: bool,
) -> None:
    """Profile likelihood along a parameter; MINOS intervals.

    PARAMETER is the one of interest by default.
    """
    name = options.require_poi(model) if parameter is None else parameter
    result = options.converged_fit(model, settings)
    found = nextstat.scan(
        model,
        name,
        _values(result, name, start, stop, points),
        n_jobs=n_jobs,
        progress=options.progress(),
        **settings,
    )
    if found.best != result[name]:  # the scan came upon a lower minimum
        result = options.converged_fit(model, settings, init=_lowest(found))
    one_sigma = math.erf(math.sqrt(0.5))
    intervals = [nextstat.interval(result, name, level) for level in (one_sigma, 0.95)]
    data = {**found.to_dict(), "intervals": [interval.to_dict() for interval in intervals]}
    emit(data, as_json, lambda: _interval_table(name, found.best, intervals))
    save(plot, lambda draw: draw.scan(found))


@click.command()
@click.option(
    "--points",
    default=40,
    show_default=True,
    type=click.IntRange(min=3),
    metavar="N",
    help="Points on each border.",
)
@options.n_jobs
@options.plot("the regions")
@options.model
@click.argument("x")
@click.argument("y")
@options.settings
def contour(
    model: HistFactoryModel,
    x: str,
    y: str,
    settings: options.Settings,
    points: int,
    n_jobs: int | None,
    plot: str | None,
    as_json: bool,
) -> None:
    """Confidence regions of two parameters, 68.3 and 95.4 %."""
    result = options.converged_fit(model, settings)
    found = nextstat.contour(
        result, x, y, n_points=points, n_jobs=n_jobs, progress=options.progress()
    )
    emit(found.to_dict(), as_json, lambda: _contour_table(found))
    save(plot, lambda draw: draw.contour(found))


def _lowest(scan: Scan) -> Vector:
    """Parameters of the lowest point of a scan."""
    import numpy as np

    lowest: Vector = scan.params[np.nanargmin(scan.twice_delta_nll)]
    return lowest


def _values(
    result: FitResult, name: str, start: float | None, stop: float | None, points: int
) -> list[float]:
    """Values of a scan, by default within three errors of the fitted one and the bounds."""
    import numpy as np

    index = result.model.parameters.index(name)
    best, reach = result[name], _REACH * result.error(name)
    if name in result.active_bounds:  # without an error
        level = math.erf(_REACH * math.sqrt(0.5))
        within = nextstat.interval(result, name, level)
        low, high = within.lower, within.upper
    else:
        low = max(float(result.problem.lower[index]), best - reach)
        high = min(float(result.problem.upper[index]), best + reach)
    first, last = low if start is None else start, high if stop is None else stop
    values: list[float] = np.linspace(first, last, points).tolist()
    return values


def _interval_table(name: str, best: float, intervals: list[Interval]) -> None:
    """Ends of the intervals, and their distances from the fitted value."""
    line(f"{name}: best fit {number(best)}")
    cells = [
        (
            percent(interval.level),
            number(interval.lower),
            number(interval.upper),
            shift(interval.error_down),
            shift(interval.error_up),
        )
        for interval in intervals
    ]
    table(("interval", "lower", "upper", "down", "up"), cells)
    for interval in intervals:
        for end, at_bound in zip(("lower", "upper"), interval.at_bound, strict=True):
            if at_bound:
                line(f"the {end} end at {percent(interval.level)} is the bound of the parameter")


def _contour_table(contour: Contour) -> None:
    """How far each region reaches in either parameter."""
    cells = [
        (
            name,
            percent(level),
            number(float(contour.best[k])),
            number(float(contour.points[level][:, k].min())),
            number(float(contour.points[level][:, k].max())),
        )
        for level in contour.levels
        for k, name in enumerate(contour.parameters)
    ]
    table(("parameter", "region", "best fit", "lowest", "highest"), cells)
