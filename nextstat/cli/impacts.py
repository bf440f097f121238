"""Where the error of the parameter of interest comes from: rank, breakdown."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import click

import nextstat
from nextstat.cli import options
from nextstat.cli.output import decimals, emit, line, number, save, short, signed, table

if TYPE_CHECKING:
    from nextstat import HistFactoryModel

_MOVES = {
    "refit": "a parameter moves by its error (pre: before the fit)",
    "covariance": "a parameter moves by its error (pre: before the fit), linear",
    "auxdata": "a parameter's auxiliary measurement moves by its error",
}


@click.command()
@options.top
@click.option(
    "--method",
    default="refit",
    show_default=True,
    type=click.Choice(list(_MOVES)),
    help="Fits with a parameter held at shifted values, their Gaussian limit, or fits with its "
    "auxiliary measurement shifted.",
)
@options.n_jobs
@options.plot("the ranking")
@options.model
@options.settings
def rank(
    model: HistFactoryModel,
    settings: options.Settings,
    top: int,
    method: Any,
    n_jobs: int | None,
    plot: str | None,
    as_json: bool,
) -> None:
    """Rank the nuisance parameters by their impact."""
    options.require_poi(model)
    rows = nextstat.interpret.rank_impact(
        model,
        top_n=top or None,
        method=method,
        **settings,
        n_jobs=n_jobs,
        progress=options.progress(),
    )
    emit(rows, as_json, lambda: ranking_table(model, rows, method=method))
    save(plot, lambda draw: draw.ranking(rows, poi=str(model.poi)))


@click.command()
@options.groups
@click.option(
    "--method",
    default="auxdata",
    show_default=True,
    type=click.Choice(["auxdata", "fix"]),
    help="By shifts of the measurements, or by what the error loses with a group fixed.",
)
@options.model
@options.settings
def breakdown(
    model: HistFactoryModel,
    settings: options.Settings,
    groups: Any,
    method: Any,
    as_json: bool,
) -> None:
    """Where the error of the parameter of interest comes from."""
    options.require_poi(model)
    budget = nextstat.interpret.uncertainty_breakdown(model, groups, method=method, **settings)
    emit(budget, as_json, lambda: _budget_table(model, budget))


def ranking_table(
    model: HistFactoryModel, rows: list[dict[str, Any]], *, method: str = "refit"
) -> None:
    """Impacts on the parameter of interest, with pulls."""
    up_and_down = [abs(row[key]) for row in rows for key in ("delta_mu_up", "delta_mu_down")]
    largest = max((x for x in up_and_down if not math.isnan(x)), default=1.0)
    impact = "{:+.4f}" if 1e-2 < largest < 1e3 else "{:+.2e}"
    shifts = ("delta_mu_up", "delta_mu_down", "delta_mu_up_prefit", "delta_mu_down_prefit")
    cells = [
        (
            f"{row['rank']:>{len(str(len(rows)))}}",
            str(row["name"]),
            *("-" if _undefined(row, key) else impact.format(row[key]) for key in shifts),
            signed(row["pull"]),
            decimals(row["constraint"]),
        )
        for row in rows
    ]
    columns = ("#", "parameter", "up", "down", "pre up", "pre dn", "pull", "constr")
    table(columns, cells, left=2, flexible=1)
    line(f"shift of {model.poi} when {_MOVES[method]}")


def _undefined(row: dict[str, Any], key: str) -> bool:
    """Whether an impact failed, or is a pre-fit one of an unconstrained parameter."""
    return math.isnan(row[key]) or (key.endswith("_prefit") and math.isnan(row["constraint"]))


def _budget_table(model: HistFactoryModel, budget: dict[str, float]) -> None:
    """Each source's part of the error, and its share of the variance."""
    cells = [
        (source, number(part), f"{100.0 * (part / budget['total']) ** 2:.1f} %")
        for source, part in budget.items()
    ]
    table((f"error of {short(str(model.poi))}", "size", "of the variance"), cells)
    parts = [part for source, part in budget.items() if source != "total"]
    share = sum((part / budget["total"]) ** 2 for part in parts)
    line(f"the parts add up to {100.0 * share:.1f} % of the variance")
