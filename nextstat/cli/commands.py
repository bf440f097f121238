"""The table of contents: each group of commands has a file, with its tables."""

from __future__ import annotations

import click

from nextstat.cli import (
    agreement,
    demonstration,
    figures,
    fits,
    hypotheses,
    impacts,
    intervals,
    pseudo,
    workspaces,
)
from nextstat.cli.program import Program


@click.group("nextstat", cls=Program, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="nextstat")
def program() -> None:
    """Fit HistFactory models (pyhf JSON workspaces)."""


for _command in (
    demonstration.demo,
    workspaces.inspect,
    workspaces.validate,
    fits.fit,
    hypotheses.significance,
    hypotheses.hypotest,
    hypotheses.limit,
    intervals.scan,
    intervals.contour,
    impacts.rank,
    fits.pulls,
    pseudo.toys,
    agreement.gof,
    impacts.breakdown,
    agreement.yields,
    figures.plot,
):
    program.add_command(_command)
