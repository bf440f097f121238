"""All figures of an analysis at once: plot."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING
from unicodedata import normalize

import click

import nextstat
from nextstat.cli import options
from nextstat.cli.hypotheses import cls_around
from nextstat.cli.output import emit, line
from nextstat.exceptions import NextstatError

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from nextstat import FitResult, HistFactoryModel

_SHOWN = 30  # rows of the ranking and the pulls
_STRONG = 0.2  # correlations to draw, where there are more parameters than rows
_LEVEL = 0.95
_LONGEST = 150  # bytes of a name within that of a file, of which file systems take 255

_Draw = Callable[[], "Figure"]


@click.command()
@click.option(
    "--output",
    default="figures",
    show_default=True,
    type=click.Path(file_okay=False, path_type=Path),
    metavar="FOLDER",
    help="Where the figures go; made if it does not exist.",
)
@click.option(
    "--format",
    "suffix",
    default="png",
    show_default=True,
    type=click.Choice(["png", "pdf", "svg"]),
    help="Format of the files.",
)
@options.model
def plot(model: HistFactoryModel, output: Path, suffix: str, as_json: bool) -> None:
    """Draw all figures of an analysis into a folder.

    Yields of every channel before and after the fit, pulls, correlations and goodness of fit; and,
    with a parameter of interest, its scan, CLs and ranking. One that cannot be drawn is named, and
    the exit code is 1.
    """
    output.mkdir(parents=True, exist_ok=True)
    written: list[str] = []
    failed: dict[str, str] = {}
    for name, draw in _figures(model):
        try:
            figure = draw()
        except (NextstatError, ValueError) as error:
            failed[name] = str(error)
            continue
        written.append(str(output / f"{name}.{suffix}"))
        figure.savefig(written[-1], dpi=150)

    def show() -> None:
        for path in written:
            line(path)
        for name, reason in failed.items():
            line(f"no {name}: {reason}")

    emit({"written": written, "failed": failed}, as_json, show)
    if failed:
        raise click.ClickException(f"{len(failed)} figures could not be drawn")


def _figures(model: HistFactoryModel) -> Iterator[tuple[str, _Draw]]:
    """Names of the figures, and what makes each."""
    from nextstat import interpret
    from nextstat import plot as draw

    result = options.converged_fit(model, {})
    file_names = distinct_file_names(model.channels)
    strong = _STRONG if len(model.parameters) > _SHOWN else 0.0
    for channel in model.channels:
        for stage, fitted in (("prefit", None), ("postfit", result)):
            name = f"yields_{file_names[channel]}_{stage}"
            yield name, partial(_yields, model, fitted, channel)
    yield (
        "pulls",
        lambda: draw.pulls(
            sorted(interpret.pulls(result), key=lambda row: -abs(row["pull"]))[:_SHOWN]
        ),
    )
    yield (
        "correlation",
        lambda: draw.correlation(interpret.correlation_df(result, threshold=strong)),
    )
    yield "goodness_of_fit", lambda: draw.goodness_of_fit(nextstat.goodness_of_fit(model))
    if model.poi is None:
        return
    poi = model.poi
    yield "scan", lambda: draw.scan(nextstat.scan(model))
    yield (
        "cls",
        lambda: draw.cls_scan(cls_around(model, nextstat.upper_limit(model, _LEVEL)), level=_LEVEL),
    )
    yield (
        "ranking",
        lambda: draw.ranking(
            interpret.rank_impact(model, top_n=_SHOWN, progress=options.progress()), poi=poi
        ),
    )


def _yields(model: HistFactoryModel, fitted: FitResult | None, channel: str) -> Figure:
    from nextstat import plot as draw

    return draw.yields(nextstat.yields(model, fitted), channel)


def distinct_file_names(names: Sequence[str]) -> dict[str, str]:
    """Names without what file systems refuse, all different even where these ignore case.

    Names that are possible as they are stay; of others that become the same, the second ends in _2,
    and so on, in their order.
    """
    stems = {name: _allowed(name) for name in names}
    kept: dict[str, str] = {}
    for name, stem in stems.items():
        if name == stem:
            kept.setdefault(stem.casefold(), name)
    found: dict[str, str] = {}
    taken = set(kept)
    for name, stem in stems.items():
        candidates = (stem, *(f"{stem}_{k}" for k in range(2, 2 * len(names) + 2)))
        free = (text for text in candidates if text.casefold() not in taken)
        found[name] = name if kept.get(stem.casefold()) == name else next(free)
        taken.add(found[name].casefold())
    return found


def _allowed(name: str) -> str:
    """Letters of any script in their composed form, digits, - _ and dots; not too many."""
    text = "".join(c if c.isalnum() or c in "-_." else "_" for c in normalize("NFC", name))
    return text.encode()[:_LONGEST].decode(errors="ignore")
