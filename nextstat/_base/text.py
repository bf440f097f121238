"""Names and numbers as text that people see: on terminals, in messages, in figures."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable


def printable(text: str) -> str:
    r"""The same text with an escape for each character that does something instead of being seen.

    Names come from files, and a terminal obeys escape sequences. Control characters, ends of
    lines, those that change the direction of writing and halves of pairs become what `repr` makes
    of them: ``\x1b``, ``\n``, ``\u202e``. Spaces of any width stay.
    """
    if text.isprintable():
        return text
    return "".join(c if _is_seen(c) else c.encode("unicode_escape").decode() for c in text)


def printable_list(names: Iterable[str]) -> str:
    """Names, each `printable`, with commas between them."""
    return ", ".join(map(printable, names))


def _is_seen(character: str) -> bool:
    return character.isprintable() or unicodedata.category(character) == "Zs"


def percent(level: float) -> str:
    """A confidence level in three digits, or as many as tell it from 100 %: 68.3 %, 99.9997 %."""
    texts = (f"{100.0 * level:.{digits}g}" for digits in range(3, 18))
    return next((text for text in texts if level >= 1.0 or float(text) < 100.0), "100") + " %"
