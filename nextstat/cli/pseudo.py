"""Pseudo-experiments: toys."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import click

import nextstat
from nextstat.cli import options
from nextstat.cli.growing import GrowingTable, growing_table
from nextstat.cli.output import decimals, emit, line, number, shift, signed, table, wrote

if TYPE_CHECKING:
    from nextstat import FitBatch, HistFactoryModel
    from nextstat._base.arrays import Vector


@click.command()
@click.option("--n-toys", default=1000, show_default=True, help="Number of toys.")
@options.seed
@options.n_jobs
@options.output("the fit of each toy, one per row")
@options.model
@options.settings
def toys(
    model: HistFactoryModel,
    settings: options.Settings,
    n_toys: int,
    seed: int | None,
    n_jobs: int | None,
    output: str | None,
    as_json: bool,
) -> None:
    """Throw toys at the fit and fit them: bias, pull, convergence."""
    poi = options.require_poi(model)
    with growing_table(output) as rows:
        truth = options.converged_fit(model, settings)
        batch = nextstat.fit_toys(
            model,
            n_toys,
            params=truth.values,
            seed=options.drawn(seed),
            n_jobs=n_jobs,
            progress=options.progress(),
            on_chunk=None if rows is None else lambda chunk: rows.append(chunk.to_dataframe()),
            **settings,
        )
        try:
            _store(batch, rows, n_toys)
        finally:
            summary = _summary(batch, poi, truth.mu)
            emit(summary, as_json, lambda: _toy_table(summary))
    if not batch.converged.any():
        raise click.ClickException("none of the toys could be fitted")


def _store(batch: FitBatch, rows: GrowingTable | None, n_toys: int) -> None:
    """The rest of the rows, and the name of the file if these are all."""
    if rows is None:
        return
    if len(batch) == n_toys:
        rows.complete(batch.to_dataframe())
        wrote(rows.path)
    else:
        rows.keep(batch.to_dataframe(), n_toys)


def _summary(batch: FitBatch, poi: str, truth: float) -> dict[str, Any]:
    """What the toys say about the parameter of interest; those at a bound have no pull."""
    good = batch.converged
    values = batch.mu[good]
    errors = batch.errors[good, batch.parameter_names.index(poi)]
    free = errors > 0.0
    mean, mean_error, spread, spread_error = _moments(values)
    pull = _moments((values[free] - truth) / errors[free])
    statuses = sorted(batch.status.tolist())
    return {
        "parameter": poi,
        "thrown_at": truth,
        "n_toys": len(batch),
        "n_converged": len(values),
        "fraction_converged": len(values) / len(batch),
        "n_without_error": int((~free).sum()),
        "status": {status: statuses.count(status) for status in dict.fromkeys(statuses)},
        "mean": mean,
        "bias": mean - truth,
        "bias_error": mean_error,
        "spread": spread,
        "spread_error": spread_error,
        "pull_mean": pull[0],
        "pull_mean_error": pull[1],
        "pull_width": pull[2],
        "pull_width_error": pull[3],
        "seed": batch.seed,
    }


def _moments(sample: Vector) -> tuple[float, float, float, float]:
    """Mean and standard deviation, each with its standard error (of a normal distribution)."""
    n = len(sample)
    mean = float(sample.mean()) if n else math.nan
    spread = float(sample.std(ddof=1)) if n > 1 else math.nan
    return mean, spread / math.sqrt(max(n, 1)), spread, spread / math.sqrt(2.0 * max(n - 1, 1))


def _toy_table(summary: dict[str, Any]) -> None:
    line(f"{summary['parameter']}: toys thrown at {number(summary['thrown_at'])}")
    cells = [
        ("mean", number(summary["mean"]), number(summary["bias_error"])),
        ("bias", shift(summary["bias"]), number(summary["bias_error"])),
        ("spread", number(summary["spread"]), number(summary["spread_error"])),
        (
            "mean of the pull",
            signed(summary["pull_mean"], 3),
            decimals(summary["pull_mean_error"], 3),
        ),
        (
            "width of the pull",
            decimals(summary["pull_width"], 3),
            decimals(summary["pull_width_error"], 3),
        ),
    ]
    table(("toys", "value", "error"), cells)
    converged = f"{summary['n_converged']} of {summary['n_toys']} fits converged"
    line(f"{converged} ({100.0 * summary['fraction_converged']:.1f} %); seed {summary['seed']}")
    others = {k: n for k, n in summary["status"].items() if k != "converged"}
    if others:
        line("others: " + ", ".join(f"{n} {status}" for status, n in others.items()))
    if summary["n_without_error"]:
        line(f"at a bound, without error, left out of the pull: {summary['n_without_error']}")
