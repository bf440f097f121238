"""Words for messages: what was found, what is expected, which name was meant."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping

from nextstat._base.spelling import canonical


def show(value: object) -> str:
    """Short text for a value found in a document."""
    if isinstance(value, Mapping):
        return "an object"
    if isinstance(value, list | tuple):
        return f"an array of length {len(value)}" if value else "an empty array"
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, str | bytes):
        return repr(value[:200]) + "..." * (len(value) > 200)
    text = f"{value:.10g}" if isinstance(value, float) else repr(value)
    return text[:60] + "..." * (len(text) > 60)


def listing(names: Iterable[str]) -> str:
    """The first ten names, quoted, and how many more there are."""
    quoted = [show(name) for name in names]
    rest = len(quoted) - 10
    return ", ".join(quoted[:10]) + (f" and {rest} more" if rest > 0 else "")


def suggestion(word: str, names: Iterable[str]) -> str:
    """Ask whether the name nearest to `word` was meant; empty if none is near."""
    by_lower = {name.lower(): name for name in names}
    near = difflib.get_close_matches(word[:200].lower(), by_lower, n=1)
    if not near:
        return ""
    name = by_lower[near[0]]
    if canonical(name) == canonical(word):  # which look the same
        return f" (did you mean {name[:200]!a}? This is {word[:200]!a})"
    return f" (did you mean {show(name)}?)"


def unknown(noun: str, word: str, names: Iterable[str]) -> str:
    """Message for a `word` that is none of `names`, with the nearest and the first of them."""
    names = list(names)
    hint = suggestion(word, names)
    return f"unknown {noun} {show(word)}{hint}; expected one of {listing(names)}"
