"""The command line: `python -m benchmarks.campaign`."""

from __future__ import annotations

import contextlib
import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import joblib
from rich import box
from rich.console import Console
from rich.progress import MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from benchmarks.campaign.checks import check_case
from benchmarks.campaign.page import PAGE, write_page
from benchmarks.campaign.record import Notes, Record
from benchmarks.campaign.totals import Totals
from benchmarks.campaign.workspaces import make_case

WIDTH = 80
LINES = 100  # models between two lines, where there is no terminal for a bar


@click.command(context_settings={"show_default": True})
@click.option("--models", default=300, type=click.IntRange(1), help="Number of models.")
@click.option("--first", default=0, type=click.IntRange(0), help="Number of the first one.")
@click.option("--only", type=click.IntRange(0), help="Print the workspace of this model, and stop.")
@click.option("--seed", default=0, type=click.IntRange(0), help="Of models and starts.")
@click.option("--starts", default=200, type=click.IntRange(1), help="Random starts of each search.")
@click.option("--jobs", default=1, help="Processes; -1 for all processors.")
@click.option("--json", "file", type=click.Path(dir_okay=False, path_type=Path), help="Results.")
@click.option("--write-docs", is_flag=True, help="Write the tables into the page.")
@click.option("--page", default=PAGE, type=click.Path(exists=True, path_type=Path), help="It.")
def main(
    models: int,
    first: int,
    only: int | None,
    seed: int,
    starts: int,
    jobs: int,
    file: Path | None,
    write_docs: bool,
    page: Path,
) -> None:
    """Is any number silently wrong? Random models in tension against many starts.

    Every fit of every test is compared with the lowest minimum from many starts, by a likelihood of
    its own. Ends with 1 if anything must not be: a false convergence, a foreign exception, more
    misses than 1 in 1,000 models. Ctrl-C ends early, with the table of what was done.
    """
    if only is not None:
        case = make_case(seed, only)
        click.echo(f"family {case.family}, interpolation {case.interpolation}", err=True)
        click.echo(json.dumps(case.workspace))
        return
    os.environ.setdefault("OMP_NUM_THREADS", "1")  # of workers; models are small
    totals = Totals()
    numbers = range(first, first + models)
    records = _records(numbers, seed, starts, jobs)
    with contextlib.suppress(KeyboardInterrupt), _progress() as progress:
        for record in progress.track(records, total=models, description="models"):
            totals.add(record)
            if not progress.console.is_terminal and totals.n_models % LINES == 0:
                click.echo(totals.summary(), err=True)
    _show(totals)
    if file is not None:
        settings = {"seed": seed, "first": first, "models": models, "starts": starts}
        found = {"settings": settings, **totals.to_dict()}
        file.write_text(json.dumps(found, default=float), encoding="utf-8")
    if write_docs:
        write_page(totals, seed, starts, page)
    sys.exit(0 if totals.reached() else 1)


def _records(numbers: range, seed: int, starts: int, jobs: int) -> Iterator[Record]:
    """Models as they are done, in whatever order."""
    work = joblib.Parallel(n_jobs=jobs, return_as="generator_unordered", batch_size=1)
    return iter(work(joblib.delayed(_record)(number, seed, starts) for number in numbers))


def _record(number: int, seed: int, starts: int) -> Record:
    """One model; what fails in the campaign itself is a fault, and does not end the others."""
    case = make_case(seed, number)
    try:
        return check_case(case, starts, seed)
    except Exception as error:
        notes = Notes(case)
        notes.fault("the campaign failed", "campaign", message=repr(error)[:300])
        return notes.record


def _progress() -> Progress:
    columns = TextColumn("{task.description}"), MofNCompleteColumn(), TimeRemainingColumn()
    return Progress(*columns, console=Console(stderr=True), transient=True)


def _show(totals: Totals) -> None:
    console = Console(width=WIDTH, highlight=False)
    for title, head, rows in totals.tables():
        drawn = Table(title=title, box=box.SIMPLE_HEAD, title_justify="left", pad_edge=False)
        for k, column in enumerate(head):
            text = k == 0 or column == "others"
            drawn.add_column(column, justify="left" if text else "right")
        for row in rows:
            drawn.add_row(*row)
        console.print(drawn)
    console.print(totals.summary())


if __name__ == "__main__":
    main()
