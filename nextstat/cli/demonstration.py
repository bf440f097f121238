"""Everything at once, on a workspace that needs no file."""

from __future__ import annotations

import click

import nextstat
from nextstat.cli import options
from nextstat.cli.fits import fit_table, require_converged
from nextstat.cli.hypotheses import limit_table, significance_table
from nextstat.cli.impacts import ranking_table
from nextstat.cli.output import save, title
from nextstat.cli.workspaces import model_summary


@click.command()
@options.plot("the ranking", default="ranking.png")
def demo(plot: str) -> None:
    """Fit, significance, limit and ranking of an embedded example."""
    from nextstat.datasets import make_workspace
    from nextstat.interpret import rank_impact

    model = nextstat.from_pyhf(make_workspace(random_state=1))
    title("Model")
    model_summary(model)
    result = nextstat.fit(model)
    title("Fit")
    fit_table(model, result, top=12)
    title("Discovery")
    significance_table(nextstat.significance(model), nextstat.significance(model, expected=True))
    title("Upper limit")
    limit_table(model, nextstat.upper_limit(model))
    title("Ranking")
    rows = rank_impact(model, top_n=20)
    ranking_table(model, rows[:10])
    save(plot, lambda draw: draw.ranking(rows, poi=str(model.poi)))
    require_converged(result)
