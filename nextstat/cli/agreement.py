"""Does the model describe the data? gof, yields."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import click

import nextstat
from nextstat._base.messages import unknown
from nextstat._base.text import printable_list
from nextstat.cli import options
from nextstat.cli.output import decimals, emit, line, save, significant, table

if TYPE_CHECKING:
    from nextstat import GoodnessOfFit, HistFactoryModel, Yields

Row = dict[str, Any]
Samples = list[tuple[int, str]]  # positions and names
Counts = list[tuple[str, float, float]]  # name, events, error


@click.command()
@options.toys
@options.n_jobs
@options.plot("the statistic and its distribution")
@options.model
@options.settings
def gof(
    model: HistFactoryModel,
    settings: options.Settings,
    n_toys: int | None,
    seed: int | None,
    n_jobs: int | None,
    plot: str | None,
    as_json: bool,
) -> None:
    """Goodness of fit, and each channel's share in it."""
    options.require_toys(n_toys, {"--seed": seed})
    throw: dict[str, Any] = {}
    if n_toys is not None:
        seed = options.drawn(seed)
        throw = {"calculator": "toys", "n_toys": n_toys, "seed": seed}
        throw |= {"n_jobs": n_jobs, "progress": options.progress()}
    found = nextstat.goodness_of_fit(model, **settings, **throw)
    emit({**found.to_dict(), "seed": seed}, as_json, lambda: _gof_table(found, seed))
    save(plot, lambda draw: draw.goodness_of_fit(found))


@click.command()
@click.option("--bins", is_flag=True, help="Every bin, in place of sums over channels.")
@click.option("--channel", help="This channel only.")
@options.plot("data and fitted yields of one channel")
@options.model
@options.settings
def yields(
    model: HistFactoryModel,
    settings: options.Settings,
    bins: bool,
    channel: str | None,
    plot: str | None,
    as_json: bool,
) -> None:
    """Expected events before and after the fit; the data."""
    if channel is not None and channel not in model.channels:
        raise click.ClickException(unknown("channel", channel, model.channels))
    channels = model.channels if channel is None else (channel,)
    if plot is not None and len(channels) > 1:
        raise click.UsageError(f"--plot needs --channel, one of: {printable_list(channels)}")
    result = options.converged_fit(model, settings)
    prefit, postfit = nextstat.yields(model), nextstat.yields(model, result)
    rows = [row for row in _rows(prefit, postfit, per_bin=bins) if row["channel"] in channels]
    emit(rows, as_json, lambda: _yield_tables(channels, rows))
    save(plot, lambda draw: draw.yields(postfit, channels[0]))


def _gof_table(gof: GoodnessOfFit, seed: int | None) -> None:
    """Shares of channels and constraints in the statistic, and the p-value."""
    cells = [
        (channel, decimals(share), str(n_bins)) for channel, (share, n_bins) in gof.channels.items()
    ]
    n_bins = sum(n for _, n in gof.channels.values())
    cells.append(("constraints", decimals(gof.constraints), ""))
    cells.append(("total", decimals(gof.statistic), str(n_bins)))
    table(("channel", "statistic", "bins"), cells)
    pvalue = f"p = {significant(gof.pvalue, 4)}"
    if gof.toys is None:
        line(f"{pvalue} (chi2, degrees of freedom: {gof.n_dof})")
    else:
        error = f"+- {significant(gof.pvalue_error, 2)}"
        line(f"{pvalue} {error} ({len(gof.toys)} toys, seed {seed})")


def _rows(prefit: Yields, postfit: Yields, *, per_bin: bool) -> list[Row]:
    """One row per channel (and bin) and sample, then "total" and "data", as in the library."""
    from nextstat._base.spelling import set_apart
    from nextstat.interpret._yields import OWN_ROWS

    rows: list[Row] = []
    names = set_apart(prefit.model.samples, OWN_ROWS, "sample/")
    for c, (channel, bins) in enumerate(prefit.model.channel_slices.items()):
        part_of = (prefit.samples[:, bins] != 0.0) | (postfit.samples[:, bins] != 0.0)
        samples = [(s, names[s]) for s in part_of.any(axis=1).nonzero()[0]]
        if per_bin:
            for k, b in enumerate(range(bins.start, bins.stop)):
                both = [_in_bin(y, b, samples) for y in (prefit, postfit)]
                rows += _side_by_side({"channel": channel, "bin": k}, *both)
        else:
            both = [_in_channel(y, c, bins, samples) for y in (prefit, postfit)]
            rows += _side_by_side({"channel": channel}, *both)
    return rows


def _in_channel(y: Yields, c: int, bins: slice, samples: Samples) -> Counts:
    found = [(s, y.channel_samples[i, c], y.channel_sample_errors[i, c]) for i, s in samples]
    total = ("total", y.channel_total[c], y.channel_total_error[c])
    observed = y.data[bins].sum()
    return [*found, total, ("data", observed, math.sqrt(observed))]


def _in_bin(y: Yields, b: int, samples: Samples) -> Counts:
    found = [(s, y.samples[i, b], y.sample_errors[i, b]) for i, s in samples]
    observed = y.data[b]
    return [
        *found,
        ("total", y.total[b], y.total_error[b]),
        ("data", observed, math.sqrt(observed)),
    ]


def _side_by_side(place: Row, prefit: Counts, postfit: Counts) -> list[Row]:
    return [
        {
            **place,
            "sample": sample,
            "prefit": float(before),
            "prefit_error": float(before_error),
            "postfit": float(after),
            "postfit_error": float(after_error),
        }
        for (sample, before, before_error), (_, after, after_error) in zip(
            prefit, postfit, strict=True
        )
    ]


def _yield_tables(channels: tuple[str, ...], rows: list[Row]) -> None:
    """A table for each channel."""
    for channel in channels:
        if channel != channels[0]:
            line("")
        line(channel, style="bold")
        inside = [row for row in rows if row["channel"] == channel]
        cells = [(row["sample"], *_events(row)) for row in inside]
        columns = ("sample", "pre-fit", "error", "post-fit", "error")
        if "bin" in inside[0]:
            width = len(str(inside[-1]["bin"]))
            numbers = [f"{row['bin']:>{width}}" for row in inside]
            cells = [(number, *cell) for number, cell in zip(numbers, cells, strict=True)]
            table(("bin", *columns), cells, left=2, flexible=1)
        else:
            table(columns, cells)


def _events(row: Row) -> list[str]:
    if row["sample"] == "data":
        return ["", "", f"{row['postfit']:.10g}", decimals(row["postfit_error"])]
    keys = ("prefit", "prefit_error", "postfit", "postfit_error")
    return [_count(row[key]) for key in keys]


def _count(events: float) -> str:
    return f"{events:.2f}" if events == 0.0 or abs(events) >= 0.1 else f"{events:.3g}"
