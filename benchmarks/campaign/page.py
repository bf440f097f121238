"""Writes the tables of a campaign into docs/trust.md."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import nextstat
from benchmarks.campaign.totals import Totals
from benchmarks.harness.pages import rewrite, table

PAGE = Path(__file__).resolve().parents[2] / "docs" / "trust.md"


def paragraphs(totals: Totals, seed: int, n_starts: int) -> Iterator[str]:
    """What stands between the markers of the page."""
    day = time.strftime("%Y-%m-%d", time.gmtime())
    run = f"nextstat {nextstat.__version__}, {day}, seed {seed}, {n_starts} starts"
    yield f"{run}: {totals.summary()}"
    for title, head, rows in totals.tables():
        yield f"**{title}**"
        yield table(head, rows)


def write_page(totals: Totals, seed: int, n_starts: int, page: Path = PAGE) -> None:
    """Replace the tables of the page."""
    text = page.read_text(encoding="utf-8")
    text = rewrite(text, "campaign", paragraphs(totals, seed, n_starts))
    page.write_text(text, encoding="utf-8")
