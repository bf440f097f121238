"""The fit itself: fit, pulls."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import click

import nextstat
from nextstat.cli import options
from nextstat.cli.output import decimals, emit, line, number, save, signed, table, title

if TYPE_CHECKING:
    from nextstat import FitResult, HistFactoryModel

_STRONG = 0.2  # correlations to draw


@click.command()
@click.option(
    "--asimov", is_flag=True, help="Fit the nominal expectation at mu = 1, blind to the data."
)
@click.option(
    "--top", type=click.IntRange(min=1), metavar="N", help="Show the most pulled parameters only."
)
@click.option(
    "--correlations",
    "threshold",
    type=click.FloatRange(0.0, 1.0),
    metavar="SIZE",
    help="List the correlations of at least this size, too; 0 to 1.",
)
@options.plot(f"the correlations, of at least {_STRONG} by default")
@options.model
@options.settings
def fit(
    model: HistFactoryModel,
    settings: options.Settings,
    asimov: bool,
    top: int | None,
    threshold: float | None,
    plot: str | None,
    as_json: bool,
) -> None:
    """Fit a workspace: parameters, errors, pulls."""
    data = nextstat.asimov_data(model, 1.0, nuisances="nominal") if asimov else None
    result = options.fit(model, settings, data=data)
    found = result.to_dict()
    strong = [] if threshold is None else _correlations(result, threshold)
    if threshold is not None:
        found["correlations"] = strong

    def show() -> None:
        fit_table(model, result, top=top)
        if threshold is not None:
            _correlation_table(strong, threshold)

    emit(found, as_json, show)
    require_converged(result)
    if plot is not None:
        frame = nextstat.interpret.correlation_df(
            result, threshold=_STRONG if threshold is None else threshold
        )
        save(plot, lambda draw: draw.correlation(frame))


@click.command()
@options.top
@options.plot("the pulls")
@options.model
@options.settings
def pulls(
    model: HistFactoryModel,
    settings: options.Settings,
    top: int,
    plot: str | None,
    as_json: bool,
) -> None:
    """Pulls of the nuisance parameters, the largest first."""
    rows = nextstat.interpret.pulls(options.converged_fit(model, settings))
    rows.sort(key=lambda row: -abs(row["pull"]))
    shown = rows[: top or None]
    emit(shown, as_json, lambda: _pull_table(shown, len(rows) - len(shown)))
    save(plot, lambda draw: draw.pulls(shown))


def require_converged(result: FitResult) -> None:
    """Fail, after what was found has been shown, if the fit did not converge."""
    if not result.converged:
        raise click.ClickException(f"fit not converged: {result.message}")


def fit_table(model: HistFactoryModel, result: FitResult, *, top: int | None = None) -> None:
    """Parameters with errors and pulls, the parameter of interest first."""
    centre, width = model.parameters.centre, model.parameters.width
    pull = (result.values - centre) / width
    constraint = result.errors / width
    order = list(range(len(pull)))
    if top is not None:
        order.sort(key=lambda i: -abs(pull[i]) if math.isfinite(pull[i]) else 0.0)
    if model.poi is not None:
        index = model.parameters.index(model.poi)
        order.remove(index)
        order.insert(0, index)
    rows = []
    for i in order[:top]:
        name = result.parameter_names[i]
        at_bound = name in result.active_bounds
        error = "fixed" if result.fixed[i] else "at bound" if at_bound else number(result.errors[i])
        shape = (signed(pull[i]), decimals(constraint[i]))
        rows.append((name, number(float(result.values[i])), error, *shape))
    table(("parameter", "value", "error", "pull", "constraint"), rows)
    if top is not None and top < len(order):
        line(f"... and {len(order) - top} others, pulled less", style="dim")
    style = "green" if result.converged else "bold red"
    line(f"{result.message} (status: {result.status})", style=style)
    line(
        f"2 nll = {result.twice_nll:.6f}, EDM = {result.edm:.1e}, "
        f"{result.n_iter} Newton steps, {result.time_ms:.2f} ms"
    )


def _pull_table(rows: list[dict[str, Any]], n_others: int) -> None:
    cells = [
        (
            row["name"],
            number(row["value"]),
            "at bound" if math.isnan(row["error"]) else number(row["error"]),
            signed(row["pull"]),
            decimals(row["constraint"]),
        )
        for row in rows
    ]
    table(("parameter", "value", "error", "pull", "constraint"), cells)
    if n_others:
        line(f"... and {n_others} others, pulled less", style="dim")


def _correlations(result: FitResult, threshold: float) -> list[dict[str, Any]]:
    """Pairs of parameters and their correlations, the strongest first."""
    names, matrix = result.parameter_names, result.correlation
    pairs = [
        {"x": names[i], "y": names[k], "correlation": float(matrix[i, k])}
        for i in range(len(names))
        for k in range(i + 1, len(names))
        if abs(matrix[i, k]) >= threshold
    ]
    return sorted(pairs, key=lambda pair: -abs(pair["correlation"]))


def _correlation_table(pairs: list[dict[str, Any]], threshold: float) -> None:
    title(f"Correlations of at least {threshold:.10g}")
    cells = [(signed(p["correlation"], 3), f"{p['x']}, {p['y']}") for p in pairs]
    table(("correlation", "parameters"), cells, left=2, flexible=1)
