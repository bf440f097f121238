"""Tests of the parameter of interest: significance, hypotest, limit."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import click

import nextstat
from nextstat.cli import options
from nextstat.cli.output import BANDS, emit, line, number, percent, save, short, significant, table

if TYPE_CHECKING:
    from nextstat import ClsScan, HistFactoryModel, HypoTestResult, ToyEnsembles, UpperLimit

_SCAN_POINTS = 40
_REACH = 1.2  # of a scan, in units of the highest limit


@click.command()
@options.model
@options.settings
def significance(model: HistFactoryModel, settings: options.Settings, as_json: bool) -> None:
    """Observed and expected significance of a discovery."""
    observed = nextstat.significance(model, **settings)
    expected = nextstat.significance(model, expected=True, **settings)
    data = {"observed": observed, "expected": expected}
    emit(data, as_json, lambda: significance_table(observed, expected))


@click.command()
@click.option("--mu", default=1.0, show_default=True, help="Tested value; 0 tests for discovery.")
@click.option(
    "--test-stat",
    type=click.Choice(["q0", "q", "qtilde", "t", "ttilde"]),
    help="Test statistic; q0 for mu = 0 and qtilde otherwise by default.",
)
@options.toys
@click.option(
    "--precision",
    type=float,
    metavar="ERROR",
    help="Throw no more toys once the error of CLs, or of p, is below this.",
)
@options.n_jobs
@options.plot("the distributions of the test statistic, with --toys")
@options.model
@options.settings
def hypotest(
    model: HistFactoryModel,
    settings: options.Settings,
    mu: float,
    test_stat: Any,
    n_toys: int | None,
    seed: int | None,
    precision: float | None,
    n_jobs: int | None,
    plot: str | None,
    as_json: bool,
) -> None:
    """Test a value of the parameter of interest: CLs, or p0."""
    throw: dict[str, Any] = {}
    if n_toys is not None:
        throw = {"calculator": "toys", "n_toys": n_toys, "precision": precision}
        throw |= {"seed": options.drawn(seed), "n_jobs": n_jobs, "progress": options.progress()}
    options.require_toys(n_toys, {"--seed": seed, "--precision": precision, "--plot": plot})
    test = nextstat.hypotest(model, mu, test_stat=test_stat, **settings, **throw)
    emit(test.to_dict(), as_json, lambda: _test_table(model, test))
    save(plot, lambda draw: draw.test_statistic(test))


@click.command()
@click.option("--level", default=0.95, show_default=True, help="Confidence level.")
@click.option("--observed-only", is_flag=True, help="Leave out the expected limits.")
@options.toys
@options.n_jobs
@options.plot("the asymptotic CLs around the limits")
@options.model
@options.settings
def limit(
    model: HistFactoryModel,
    settings: options.Settings,
    level: float,
    observed_only: bool,
    n_toys: int | None,
    seed: int | None,
    n_jobs: int | None,
    plot: str | None,
    as_json: bool,
) -> None:
    """Upper limit on the parameter of interest, by CLs."""
    options.require_toys(n_toys, {"--seed": seed})
    throw: dict[str, Any] = {}
    if n_toys is not None:
        throw = {"calculator": "toys", "n_toys": n_toys, "seed": options.drawn(seed)}
        throw |= {"n_jobs": n_jobs, "progress": options.progress()}
    found = nextstat.upper_limit(model, level, expected=not observed_only, **settings, **throw)
    emit(found.to_dict(), as_json, lambda: limit_table(model, found))
    save(plot, lambda draw: draw.cls_scan(cls_around(model, found, settings), level=level))


def cls_around(
    model: HistFactoryModel, limit: UpperLimit, settings: options.Settings | None = None
) -> ClsScan:
    """CLs from zero to beyond the limits, or to the bound."""
    bound = float(model.bounds[model.parameters.index(str(model.poi)), 1])
    limits = [x for x in (limit.observed, *limit.expected.tolist()) if math.isfinite(x)]
    reach = min(_REACH * max(limits, default=math.inf), bound)
    values = [reach * (k + 1) / _SCAN_POINTS for k in range(_SCAN_POINTS)]
    return nextstat.cls_scan(model, values, **(settings or {}))


def significance_table(observed: float, expected: float) -> None:
    """Z0 and p0, observed and expected."""
    from scipy.special import ndtr

    rows = [
        (name, f"{z:.3f}", f"{ndtr(-z):.3g}")
        for name, z in (("observed", observed), ("expected", expected))
    ]
    table(("discovery", "Z0 (sigma)", "p0"), rows)


def _test_table(model: HistFactoryModel, test: HypoTestResult) -> None:
    """A tested value with its expected band."""
    has_cls = test.test_stat in ("q", "qtilde")
    quantity = "CLs" if has_cls else "p0" if test.test_stat == "q0" else "p"
    value, error = (test.cls, test.cls_error) if has_cls else (test.pvalue, test.pvalue_error)
    rows = [("observed", significant(value), significant(error, 2))]
    rows += [
        (f"expected {band}", significant(float(x)), "")
        for band, x in zip(BANDS, test.expected, strict=True)
    ]
    columns = (f"{short(str(model.poi))} = {test.mu:.10g}", quantity, "error")
    if test.toys is None:
        table(columns[:2], [row[:2] for row in rows])
    else:
        table(columns, rows)
    statistic = f"{test.test_stat} = {test.test_statistic:.5g}, muhat = {test.muhat:.4g}"
    if has_cls:
        line(f"{statistic}, CLs+b = {test.clsb:.5g}, CLb = {test.clb:.5g}")
    else:
        line(f"{statistic}, {'Z0' if test.mu == 0.0 else 'Z'} = {test.significance:.3f} sigma")
    if test.toys is not None:
        _toy_lines(test.toys, test.pvalue)


def _toy_lines(toys: ToyEnsembles, pvalue: float) -> None:
    """How many toys there were, and whether they were enough."""
    n_tested, n_alternative = len(toys.tested), len(toys.alternative)
    line(f"toys of the tested hypothesis: {n_tested}, of the alternative: {n_alternative}")
    line(f"failed toys: {toys.n_failed}; seed: {toys.seed}")
    if pvalue == 0.0:
        line(
            f"no toy of the tested hypothesis disagrees as much: p is of order 1/{n_tested} or less"
        )


def limit_table(model: HistFactoryModel, limit: UpperLimit) -> None:
    """Observed limit and expected band."""
    rows = [("observed", number(limit.observed))]
    rows += [
        (f"expected {band}", number(expected))
        for band, expected in zip(BANDS, limit.expected.tolist(), strict=True)
        if not math.isnan(expected)
    ]
    table((f"{percent(limit.level)} CL upper limit", short(str(model.poi))), rows)
    if limit.seed is not None:
        line(f"from toys; seed: {limit.seed}")
