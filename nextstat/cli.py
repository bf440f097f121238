"""The command line: `nextstat demo | inspect | validate | fit | ...` on a workspace file."""

from __future__ import annotations

import json
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from nextstat import _report as report
from nextstat._asimov import asimov_data
from nextstat._fit import fit as run_fit
from nextstat._hypotest import hypotest as run_hypotest
from nextstat._hypotest import significance as run_significance
from nextstat._limit import upper_limit
from nextstat.datasets import make_workspace
from nextstat.exceptions import FitWarning, NextstatError
from nextstat.interpret import rank_impact
from nextstat.model import HistFactoryModel, from_pyhf

_Command = TypeVar("_Command", bound=Callable[..., Any])


class _Group(click.Group):
    """Turns the library's errors into one line on stderr and exit code 1."""

    def invoke(self, context: click.Context) -> Any:
        try:
            with warnings.catch_warnings():
                warnings.showwarning = _show_warning
                return super().invoke(context)
        except (NextstatError, ValueError, KeyError, OSError) as error:
            message = error.args[0] if isinstance(error, KeyError) else error
            raise click.ClickException(str(message)) from error


def _show_warning(message: Warning | str, *args: Any, **kwargs: Any) -> None:
    click.echo(f"Warning: {message}", err=True)


@click.group(cls=_Group, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="nextstat")
def main() -> None:
    """Fit HistFactory models (pyhf JSON workspaces)."""


def _workspace_options(command: _Command) -> _Command:
    """The workspace and how to make a model of it."""
    for decorate in (
        click.option("--json", "as_json", is_flag=True, help="Print JSON instead of tables."),
        click.option("--patch-name", help="Name of the patch, if --patch is a pyhf PatchSet."),
        click.option("--patch", type=click.Path(), help="JSON patch, or pyhf PatchSet, to apply."),
        click.option("--poi", help="Parameter of interest; the measurement's by default."),
        click.option("--measurement", help="Measurement; the first one by default."),
        click.argument("workspace", type=click.Path()),
    ):
        command = decorate(command)
    return command


def _check_folder(context: click.Context, option: click.Parameter, path: str | None) -> str | None:
    """Complain about a plot that cannot be written before anything is computed."""
    if path is not None and not Path(path).absolute().parent.is_dir():
        raise click.BadParameter(f"there is no folder {str(Path(path).parent)!r}")
    return path


def _model(
    workspace: str,
    measurement: str | None,
    poi: str | None,
    patch: str | None,
    patch_name: str | None,
) -> HistFactoryModel:
    if patch_name is not None and patch is None:
        raise click.UsageError("--patch-name needs --patch")
    chosen = (patch, patch_name) if patch is not None and patch_name is not None else patch
    path = Path(workspace)
    return from_pyhf(
        path,
        measurement=measurement,
        poi=poi,
        patch=(Path(chosen) if isinstance(chosen, str) else chosen),
    )


def _emit(data: object, as_json: bool, show: Callable[[], None]) -> None:
    """Print as JSON, NaN and infinities as null, or as a table."""
    if as_json:
        click.echo(json.dumps(_plain(data), indent=2, allow_nan=False))
    else:
        show()


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, float) and (value != value or abs(value) == float("inf")):
        return None
    return value


@main.command()
@click.option("--plot", default="ranking.png", show_default=True, type=click.Path(dir_okay=False))
def demo(plot: str) -> None:
    """Run everything on an embedded example: fit, significance, limit, ranking."""
    model = from_pyhf(make_workspace(random_state=1))
    report.title("Model")
    report.model_summary(model)
    result = run_fit(model)
    report.title("Fit")
    report.fit_table(model, result, top=12)
    report.title("Discovery")
    report.significance_table(run_significance(model), run_significance(model, expected=True))
    report.title("Upper limit")
    report.limit_table(model, upper_limit(model))
    report.title("Ranking")
    rows = rank_impact(model, top_n=10)
    report.ranking_table(model, rows)
    _save_ranking(rank_impact(model, top_n=20), model, plot)
    _require_converged(result.converged, result.message)


@main.command()
@_workspace_options
def inspect(as_json: bool, **source: Any) -> None:
    """Show channels, samples and parameters of a workspace."""
    model = _model(**source)
    _emit(report.model_dict(model), as_json, lambda: report.model_details(model))


@main.command()
@_workspace_options
def validate(as_json: bool, **source: Any) -> None:
    """Check a workspace; exit code 0 only if a model can be made of it."""
    with warnings.catch_warnings(record=True) as notes:
        warnings.simplefilter("always")
        model = _model(**source)
    messages = [str(note.message) for note in notes]
    data = {"valid": True, "warnings": messages, "model": repr(model)}
    _emit(data, as_json, lambda: report.validation(model, messages))


@main.command()
@_workspace_options
@click.option(
    "--asimov", is_flag=True, help="Fit the nominal expectation at mu = 1, blind to the data."
)
@click.option("--n-starts", default=1, show_default=True, help="Number of starting points.")
@click.option("--top", type=click.IntRange(min=1), help="Show the most pulled parameters only.")
def fit(as_json: bool, asimov: bool, n_starts: int, top: int | None, **source: Any) -> None:
    """Fit a workspace: parameters, errors, pulls."""
    model = _model(**source)
    data = asimov_data(model, 1.0, nuisances="nominal") if asimov else None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FitWarning)  # the exit code says it
        result = run_fit(model, data, n_starts=n_starts)
    _emit(result.to_dict(), as_json, lambda: report.fit_table(model, result, top=top))
    _require_converged(result.converged, result.message)


@main.command()
@_workspace_options
def significance(as_json: bool, **source: Any) -> None:
    """Observed and expected significance of a discovery."""
    model = _model(**source)
    observed, expected = run_significance(model), run_significance(model, expected=True)
    data = {"observed": observed, "expected": expected}
    _emit(data, as_json, lambda: report.significance_table(observed, expected))


@main.command()
@_workspace_options
@click.option("--mu", default=1.0, show_default=True, help="Tested value; 0 tests for discovery.")
@click.option(
    "--test-stat",
    type=click.Choice(["q0", "q", "qtilde"]),
    help="Test statistic; q0 for mu = 0 and qtilde otherwise by default.",
)
def hypotest(as_json: bool, mu: float, test_stat: Any, **source: Any) -> None:
    """Test a value of the parameter of interest: CLs and its expected band."""
    test = run_hypotest(_model(**source), mu, test_stat=test_stat)
    _emit(test.to_dict(), as_json, lambda: report.hypotest_table(test))


@main.command()
@_workspace_options
@click.option("--level", default=0.95, show_default=True, help="Confidence level.")
def limit(as_json: bool, level: float, **source: Any) -> None:
    """Upper limit on the parameter of interest, observed and expected."""
    model = _model(**source)
    found = upper_limit(model, level)
    _emit(found.to_dict(), as_json, lambda: report.limit_table(model, found))


@main.command()
@_workspace_options
@click.option(
    "--top",
    default=20,
    show_default=True,
    type=click.IntRange(min=0),
    help="Number of parameters; 0 for all.",
)
@click.option("--n-jobs", default=None, type=int, help="Threads; one per processor by default.")
@click.option(
    "--plot",
    type=click.Path(dir_okay=False),
    callback=_check_folder,
    help="Draw the ranking to this file (.png, .pdf, ...).",
)
def rank(as_json: bool, top: int, n_jobs: int | None, plot: str | None, **source: Any) -> None:
    """Rank the nuisance parameters by their impact."""
    model = _model(**source)
    rows = rank_impact(
        model, top_n=top or None, n_jobs=n_jobs, progress=sys.stderr.isatty() and not as_json
    )
    _emit(rows, as_json, lambda: report.ranking_table(model, rows))
    if plot is not None:
        _save_ranking(rows, model, plot)


def _save_ranking(rows: list[dict[str, Any]], model: HistFactoryModel, path: str) -> None:
    from nextstat.plot import ranking

    ranking(rows, poi=str(model.poi)).savefig(path, dpi=150)
    click.echo(f"wrote {path}", err=True)


def _require_converged(converged: bool, message: str) -> None:
    if not converged:
        raise click.ClickException(f"fit not converged: {message}")
