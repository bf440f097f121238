"""Tables in pages of the documentation that benchmarks write."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table in Markdown; a column of names, and numbers to the right of it."""
    lines = [head, ["---", *["--:"] * (len(head) - 1)], *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def rewrite(page: str, section: str, paragraphs: Iterable[str]) -> str:
    """The page with other contents between the two markers of a section."""
    begin, end = f"<!-- {section}: begin -->", f"<!-- {section}: end -->"
    body = "\n\n".join([begin, *paragraphs, end])
    found = re.subn(f"{re.escape(begin)}.*{re.escape(end)}", lambda _: body, page, flags=re.DOTALL)
    if found[1] != 1:
        raise ValueError(f"the page has {found[1]} sections between {begin} and {end}, expected 1")
    return found[0]
