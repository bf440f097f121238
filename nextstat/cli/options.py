"""Arguments and options that several commands share, and what they are turned into."""

from __future__ import annotations

import functools
import os
import secrets
import sys
import warnings
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, TypeVar

import click

import nextstat
from nextstat.cli.growing import ENDINGS, is_stream
from nextstat.exceptions import FitWarning
from nextstat.workspace._reading import MAX_BYTES

if TYPE_CHECKING:
    from nextstat import FitResult, HistFactoryModel

T = TypeVar("T")
Command = TypeVar("Command", bound=Callable[..., Any])
_STDIN = "-"
_NONE = "none"

Settings = dict[str, Any]  # fixed=, bounds= and so on, of the library's functions


# Values -----------------------------------------------------------------------------------------


def _fixed(model: HistFactoryModel, texts: Sequence[str]) -> dict[str, float] | None:
    """Parameters to hold, with their values; a text that is a name as it stands has none."""
    names = model.parameter_names

    def read(text: str) -> tuple[str, float]:
        name, equals, value = text.rpartition("=")
        if text in names or not equals or not (name in names or _is_number(value)):
            return text, model.parameters[text].init
        return name, _number(value, text)

    try:
        return _distinct(map(read, texts))
    except click.BadParameter as error:
        here = click.get_current_context()
        raise click.BadParameter(error.message, here, param_hint="--fix") from None


def _intervals(
    context: click.Context, option: click.Parameter, texts: Sequence[str]
) -> dict[str, tuple[float, float]] | None:
    """Bounds by parameter."""

    def read(text: str) -> tuple[str, tuple[float, float]]:
        name, equals, interval = text.rpartition("=")
        low, colon, high = interval.partition(":")
        if not (equals and colon):
            raise click.BadParameter(f"found {text!r}, expected NAME=LO:HI, such as mu=-10:10")
        return name, (_number(low, text), _number(high, text))

    return _distinct(map(read, texts))


def _patterns(
    context: click.Context, option: click.Parameter, texts: Sequence[str]
) -> dict[str, list[str]] | None:
    """Regular expressions by group."""
    patterns: dict[str, list[str]] = {}
    for text in texts:
        name, equals, pattern = text.partition("=")
        if not (name and equals and pattern):
            raise click.BadParameter(f"found {text!r}, expected NAME=REGEX, such as 'jets=jet_.*'")
        patterns.setdefault(name, []).append(pattern)
    return patterns or None


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _number(text: str, whole: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise click.BadParameter(f"found {text!r} in {whole!r}, expected a number") from None


def _distinct(pairs: Iterable[tuple[str, T]]) -> dict[str, T] | None:
    """Values by name; None if there are none."""
    values: dict[str, T] = {}
    for name, value in pairs:
        if name in values:
            raise click.BadParameter(f"found {name!r} more than once, expected it once")
        values[name] = value
    return values or None


def _writable(context: click.Context, option: click.Parameter, path: str | None) -> str | None:
    """Complain about a file that cannot be written before anything is computed."""
    if path is None or is_stream(path):
        return path
    folder = Path(path).absolute().parent
    if not folder.is_dir():
        raise click.BadParameter(f"there is no folder {str(Path(path).parent)!r}")
    if not os.access(folder, os.W_OK | os.X_OK):
        raise click.BadParameter(f"no permission to write into the folder {str(folder)!r}")
    return path


def _table(context: click.Context, option: click.Parameter, path: str | None) -> str | None:
    """The same for a table, whose format is the ending."""
    if path is not None and not is_stream(path) and not path.endswith(ENDINGS):
        raise click.BadParameter(f"{path!r} ends in none of {', '.join(ENDINGS)}")
    return _writable(context, option, path)


def _drawable(context: click.Context, option: click.Parameter, path: str | None) -> str | None:
    """The same for a figure, whose format is the suffix."""
    if path is not None:
        from matplotlib.figure import Figure

        formats = Figure().canvas.get_supported_filetypes()
        if Path(path).suffix[1:].lower() not in formats:
            raise click.BadParameter(f"{path!r} ends in none of .{', .'.join(sorted(formats))}")
    return _writable(context, option, path)


# Options ----------------------------------------------------------------------------------------


def _all(*decorators: Callable[[Command], Command]) -> Callable[[Command], Command]:
    """Several decorators as one, in the order of reading."""

    def decorate(command: Command) -> Command:
        for decorator in reversed(decorators):
            command = decorator(command)
        return command

    return decorate


as_json = click.option(
    "--json",
    "as_json",
    is_flag=True,
    help='Print JSON instead of tables: NaN as null, infinities as the strings "inf" and "-inf".',
)
source = _all(
    click.argument("workspace", type=click.Path(allow_dash=True)),
    as_json,
    click.option("--measurement", help="Measurement; the first one by default."),
    click.option(
        "--poi", help="Parameter of interest; the measurement's by default, 'none' for none."
    ),
    click.option(
        "--patch",
        type=click.Path(allow_dash=True),
        help="JSON patch, or pyhf PatchSet, to apply; - for stdin.",
    ),
    click.option("--patch-name", help="Name of the patch, if --patch is a pyhf PatchSet."),
    click.option(
        "--interpolation",
        default="code4,code4p",
        show_default=True,
        metavar="NORMSYS,HISTOSYS",
        help="Interpolation codes: code1 or code4, and code0, code2 or code4p.",
    ),
    click.option(
        "--max-bytes",
        default=MAX_BYTES,
        show_default=True,
        type=click.IntRange(min=1),
        metavar="N",
        help="Most text that a file may hold, after decompression.",
    ),
)
n_jobs = click.option("--n-jobs", type=int, help="Threads; one per processor by default.")
seed = click.option("--seed", type=int, help="Seed of the toys, to throw the same again.")
toys = _all(
    click.option(
        "--toys",
        "n_toys",
        type=int,
        metavar="N",
        help="Throw N toys, in place of the asymptotic formulas.",
    ),
    seed,
)
top = click.option(
    "--top",
    default=20,
    show_default=True,
    type=click.IntRange(min=0),
    metavar="N",
    help="Number of parameters; 0 for all.",
)
_fix = click.option(
    "--fix",
    multiple=True,
    metavar="NAME[=VALUE]",
    help="Hold a parameter, at a value or where it starts; can be repeated. The last = is meant, "
    "and none where the whole is a name.",
)
_bounds = click.option(
    "--bounds",
    multiple=True,
    callback=_intervals,
    metavar="NAME=LO:HI",
    help="Bounds of a parameter, in place of the workspace's; can be repeated.",
)
_n_starts = click.option(
    "--n-starts",
    default=1,
    show_default=True,
    help="Least number of starting points of each fit; more are tried where they may help.",
)
_max_iterations = click.option(
    "--max-iterations",
    type=int,
    help="Most steps of each fit from each of its starting points; 500 by default.",
)
groups = click.option(
    "--group",
    "groups",
    multiple=True,
    callback=_patterns,
    metavar="NAME=REGEX",
    help="Parameters whose whole names match, under a name; can be repeated. "
    "By default the types of modifiers are the groups.",
)


def plot(what: str, *, default: str | None = None) -> Callable[[Command], Command]:
    """The file for a figure of `what`."""
    return click.option(
        "--plot",
        default=default,
        show_default=default is not None,
        type=click.Path(dir_okay=False, readable=False, writable=True),
        callback=_drawable,
        metavar="FILE",
        help=f"Write a figure of {what} (.png, .pdf, ...).",
    )


def output(what: str) -> Callable[[Command], Command]:
    """The file for `what`."""
    return click.option(
        "--output",
        type=click.Path(dir_okay=False, readable=False, writable=True),
        callback=_table,
        metavar="FILE.csv",
        help=f"Write {what} (.csv, .csv.gz), as they are done: into FILE.csv.part, which becomes "
        "FILE.csv at the end.",
    )


# What commands get ------------------------------------------------------------------------------


def load(
    workspace: str,
    measurement: str | None,
    poi: str | None,
    patch: str | None,
    patch_name: str | None,
    interpolation: str,
    max_bytes: int,
) -> HistFactoryModel:
    """The model that the options of `source` describe."""
    if patch_name is not None and patch is None:
        raise click.UsageError("--patch-name needs --patch")
    if workspace == patch == _STDIN:
        raise click.UsageError("stdin can be the workspace or the patch, not both")
    codes: Any = tuple(interpolation.split(","))
    chosen: Any = None if patch is None else _opened(patch)
    model = nextstat.from_pyhf(
        _opened(workspace),
        measurement=measurement,
        poi="" if poi == _NONE else poi,
        patch=chosen if patch_name is None else (chosen, patch_name),
        interpolation=codes,
        max_bytes=max_bytes,
    )
    if poi == _NONE and _NONE in model.parameter_names:
        raise click.UsageError(
            f"--poi {_NONE} asks for no parameter of interest, but one is called so; write "
            "--poi '' for none, or rename it"
        )
    return model


def _opened(name: str) -> Path | BinaryIO:
    """A file of the command line: a path, or stdin."""
    return sys.stdin.buffer if name == _STDIN else Path(name)


def model(command: Command) -> Command:
    """Options of the workspace; the command gets the `model`.

    To stand below a command's own options, so that its help starts with those.
    """

    @functools.wraps(command)
    def with_model(
        *,
        workspace: str,
        measurement: str | None,
        poi: str | None,
        patch: str | None,
        patch_name: str | None,
        interpolation: str,
        max_bytes: int,
        **others: Any,
    ) -> Any:
        loaded = load(workspace, measurement, poi, patch, patch_name, interpolation, max_bytes)
        return command(model=loaded, **others)

    decorated: Command = source(with_model)  # type: ignore[assignment]
    return decorated


def settings(command: Command) -> Command:
    """`--fix`, `--bounds` and so on, as `settings` for the library's functions.

    To stand below `model`, which it needs.
    """

    @functools.wraps(command)
    def with_settings(
        *,
        model: HistFactoryModel,
        fix: Sequence[str],
        bounds: dict[str, tuple[float, float]] | None,
        n_starts: int,
        max_iterations: int | None,
        **others: Any,
    ) -> Any:
        settings = {"fixed": _fixed(model, fix), "bounds": bounds, "n_starts": n_starts}
        if max_iterations is not None:
            settings["max_iterations"] = max_iterations
        return command(model=model, settings=settings, **others)

    decorated: Command = _all(_fix, _bounds, _n_starts, _max_iterations)(with_settings)  # type: ignore[assignment]
    return decorated


# What commands do with them ---------------------------------------------------------------------


def progress() -> bool:
    """Whether somebody is watching."""
    return sys.stderr.isatty()


def drawn(seed: int | None) -> int:
    """The seed, or one from the system that is short enough to be typed and to survive JSON."""
    return secrets.randbits(32) if seed is None else seed


def require_poi(model: HistFactoryModel) -> str:
    """The parameter of interest, or a complaint."""
    if model.poi is None:
        raise click.ClickException(
            "the model has no parameter of interest; choose one with --poi, out of those that "
            "`nextstat inspect` lists"
        )
    return model.poi


def require_toys(n_toys: int | None, others: dict[str, object]) -> None:
    """Complain about options that mean nothing without toys."""
    if n_toys is None:
        for option, value in others.items():
            if value is not None:
                raise click.UsageError(f"{option} needs --toys")


def fit(model: HistFactoryModel, settings: Settings, **options: Any) -> FitResult:
    """The fit, converged or not: what comes of it says so."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FitWarning)
        return nextstat.fit(model, **settings, **options)


def converged_fit(model: HistFactoryModel, settings: Settings, **options: Any) -> FitResult:
    """The fit, or an error."""
    from nextstat._fits.result import check_converged

    return check_converged(fit(model, settings, **options))
