"""Tables for the terminal, readable at 80 columns."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from nextstat._hypotest import HypoTestResult
from nextstat._limit import UpperLimit
from nextstat.model import HistFactoryModel
from nextstat.result import FitResult

_GAP = 2  # spaces between columns
_BANDS = ("-2 sigma", "-1 sigma", "median", "+1 sigma", "+2 sigma")


def _print(*things: Any) -> None:
    Console(highlight=False, soft_wrap=False).print(*things)


def title(text: str) -> None:
    """A heading between two tables."""
    _print(Text(f"\n{text}", style="bold"))


def _table(
    columns: Sequence[str], rows: Sequence[Sequence[str]], *, left: int = 1, flexible: int = 0
) -> None:
    """Print a table: `left` columns of text, then numbers; only one column gives way to the width.

    Names are cut with an ellipsis where the terminal is too narrow, numbers never.
    """
    console = Console(highlight=False)
    widths = [max(map(len, cells)) for cells in zip(columns, *rows, strict=True)]
    others = sum(widths) - widths[flexible] + _GAP * (len(columns) - 1)
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False, padding=(0, 0, 0, 1))
    for k, (column, width) in enumerate(zip(columns, widths, strict=True)):
        if k == flexible:
            width = min(width, max(console.width - others, 8))
        table.add_column(
            column,
            width=width,
            no_wrap=True,
            overflow="ellipsis",
            justify="left" if k < left else "right",
        )
    for row in rows:
        table.add_row(*map(Text, row))
    console.print(table, crop=False)


def number(value: float, digits: int = 4) -> str:
    """A number for a table; a dash for NaN."""
    if math.isnan(value):
        return "-"
    if math.isinf(value):
        return "inf" if value > 0 else "-inf"
    return f"{value:.{digits}g}" if 0 < abs(value) < 1e-3 or abs(value) >= 1e5 else f"{value:.4f}"


def model_dict(model: HistFactoryModel) -> dict[str, Any]:
    """What `inspect` shows, as plain data."""
    return {
        "channels": dict(zip(model.channels, model.channel_bins, strict=True)),
        "samples": list(model.samples),
        "poi": model.poi,
        "n_bins": model.n_bins,
        "observed": float(model.data.sum()),
        "parameters": [parameter._asdict() for parameter in model.parameters],
    }


def model_summary(model: HistFactoryModel) -> None:
    """Channels with their bins and events, and the parameters by kind."""
    by_sample = model.expected_by_sample(model.init)
    rows = []
    for channel, bins in model.channel_slices.items():
        inside = by_sample[:, bins].sum(axis=1)
        counts = (str(bins.stop - bins.start), f"{model.data[bins].sum():g}")
        yields = (f"{inside.sum():.2f}", str(np.count_nonzero(inside)))
        rows.append((channel, *counts, *yields))
    _table(("channel", "bins", "observed", "expected", "samples"), rows)
    kinds: dict[str, int] = {}
    for kind in model.parameters.kinds:
        kinds[kind] = kinds.get(kind, 0) + 1
    listed = ", ".join(f"{n} {kind}" for kind, n in sorted(kinds.items()))
    _print(Text(f"{len(model.parameters)} parameters: {listed}"))
    _print(Text(f"{int(model.fixed.sum())} fixed; parameter of interest: {model.poi}"))


def model_details(model: HistFactoryModel) -> None:
    """The summary, yields of every sample, and every parameter."""
    model_summary(model)
    title("Samples")
    expected = model.expected_by_sample(model.init).sum(axis=1)
    rows = [(sample, f"{n:.2f}") for sample, n in zip(model.samples, expected, strict=True)]
    _table(("sample", "expected"), rows)
    title("Parameters")
    details = [
        (
            p.name,
            p.kind + (" (fixed)" if p.fixed else ""),
            f"{p.init:g}",
            f"[{p.lower:g}, {p.upper:g}]",
            "-" if math.isnan(p.centre) else f"{p.centre:g}",
            "-" if math.isnan(p.width) else f"{p.width:.3g}",
        )
        for p in model.parameters
    ]
    _table(("parameter", "kind", "init", "bounds", "centre", "width"), details, left=2)


def validation(model: HistFactoryModel, messages: list[str]) -> None:
    """The verdict on a valid workspace."""
    for message in messages:
        _print(Text(f"warning: {message}", style="yellow"))
    _print(Text(f"valid: {model!r}", style="green"))


def fit_table(model: HistFactoryModel, result: FitResult, *, top: int | None = None) -> None:
    """Parameters with errors and pulls, the parameter of interest first."""
    centre, width = model.parameters.centre, model.parameters.width
    pull = (result.values - centre) / width
    order = list(range(len(pull)))
    if top is not None:
        order.sort(key=lambda i: -abs(pull[i]) if math.isfinite(pull[i]) else 0.0)
    if model.poi is not None:
        index = model.parameters.index(model.poi)
        order.remove(index)
        order.insert(0, index)
    rows = []
    for i in order[:top]:
        at_bound = result.parameter_names[i] in result.active_bounds
        error = "fixed" if result.fixed[i] else "at bound" if at_bound else number(result.errors[i])
        constraint = result.errors[i] / width[i]
        rows.append(
            (
                result.parameter_names[i],
                number(float(result.values[i])),
                error,
                f"{pull[i]:+.2f}" if math.isfinite(pull[i]) else "-",
                f"{constraint:.2f}" if math.isfinite(constraint) else "-",
            )
        )
    _table(("parameter", "value", "error", "pull", "constraint"), rows)
    if top is not None and top < len(order):
        _print(Text(f"... and {len(order) - top} others, pulled less", style="dim"))
    style = "green" if result.converged else "bold red"
    _print(Text(f"{result.message} (status: {result.status})", style=style))
    _print(
        Text(
            f"2 nll = {result.twice_nll:.6f}, EDM = {result.edm:.1e}, "
            f"{result.n_iter} Newton steps, {result.time_ms:.2f} ms"
        )
    )


def significance_table(observed: float, expected: float) -> None:
    """Z0 and p0, observed and expected."""
    from scipy.special import ndtr

    rows = [
        (name, f"{z:.3f}", f"{ndtr(-z):.3g}")
        for name, z in (("observed", observed), ("expected", expected))
    ]
    _table(("discovery", "Z0 (sigma)", "p0"), rows)


def hypotest_table(test: HypoTestResult) -> None:
    """A tested value with its expected band."""
    discovery = test.test_stat == "q0"
    quantity = "p0" if discovery else "CLs"
    value = test.pvalue if discovery else test.cls
    rows = [("observed", f"{value:.5g}")]
    rows += [
        (f"expected {band}", f"{x:.5g}") for band, x in zip(_BANDS, test.expected, strict=True)
    ]
    _table((f"mu = {test.mu:g}", quantity), rows)
    statistic = f"{test.test_stat} = {test.test_statistic:.5g}, muhat = {test.muhat:.4g}"
    if discovery:
        _print(Text(f"{statistic}, Z0 = {test.significance:.3f} sigma"))
    else:
        _print(Text(f"{statistic}, CLs+b = {test.clsb:.5g}, CLb = {test.clb:.5g}"))


def limit_table(model: HistFactoryModel, limit: UpperLimit) -> None:
    """Observed limit and expected band."""
    rows = [("observed", number(limit.observed))]
    for band, expected in zip(_BANDS, limit.expected, strict=True):
        rows.append((f"expected {band}", number(float(expected))))
    _table((f"{100 * limit.level:g} % CL upper limit", str(model.poi)), rows)


def ranking_table(model: HistFactoryModel, rows: list[dict[str, Any]]) -> None:
    """Impacts on the parameter of interest, with pulls."""
    largest = max((abs(row["delta_mu_up"]) for row in rows), default=1.0)
    impact = "{:+.4f}" if 1e-2 < largest < 1e3 else "{:+.2e}"
    shifts = ("delta_mu_up", "delta_mu_down", "delta_mu_up_prefit", "delta_mu_down_prefit")
    cells = [
        (
            f"{row['rank']:>{len(str(len(rows)))}}",
            str(row["name"]),
            *("-" if _undefined(row, key) else impact.format(row[key]) for key in shifts),
            "-" if math.isnan(row["pull"]) else f"{row['pull']:+.2f}",
            "-" if math.isnan(row["constraint"]) else f"{row['constraint']:.2f}",
        )
        for row in rows
    ]
    columns = ("#", "parameter", "up", "down", "pre up", "pre dn", "pull", "constr")
    _table(columns, cells, left=2, flexible=1)
    _print(Text(f"shift of {model.poi} when a parameter moves by its error (pre: before the fit)"))


def _undefined(row: dict[str, Any], key: str) -> bool:
    """Whether an impact failed, or is a pre-fit one of an unconstrained parameter."""
    return math.isnan(row[key]) or (key.endswith("_prefit") and math.isnan(row["constraint"]))
