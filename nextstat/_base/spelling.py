"""Names that look like others: slips of the pen, and spellings that no reader can tell apart.

Physics names differ by single letters on purpose (mu_W and mu_Z, mu_SIG and mu_BG), so that what
`difflib` calls close is no sign of a mistake. What counts as a slip here is rarer.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator

_LONGEST = 64  # nobody types longer names; their variants would take too long
_SHORTEST = 5  # letters of a word in which a slip can be told from another word


class Spellings:
    """Finds the name that a slip of the pen made of another one.

    Parameters
    ----------
    names : iterable of str

    Notes
    -----
    Two spellings with a letter more, less or exchanged with its neighbour have a variant with one
    letter left out in common, so that one look-up per variant finds the candidates: the work is
    linear in the number of names.
    """

    def __init__(self, names: Iterable[str]) -> None:
        self._by_variant: dict[str, list[str]] = {}
        for name in names:
            for variant in _variants(name):
                self._by_variant.setdefault(variant, []).append(name)

    def slip(self, word: str) -> str | None:
        """The name that `word` is probably meant to be, unless it is that name itself."""
        for variant in _variants(word):
            for name in self._by_variant.get(variant, ()):
                if name != word and looks_misspelt(word, name):
                    return name
        return None


def looks_misspelt(word: str, name: str) -> bool:
    """Whether a word is a name but for case, separators, or one slip in a longer word.

    A slip is a letter too many, one too few, or two neighbours exchanged, not before the third
    letter: what comes first (W or Z, t or tt) distinguishes processes.
    """
    if _folded(word) == _folded(name):
        return True
    differing = [(a, b) for a, b in zip(_words(word), _words(name), strict=False) if a != b]
    if len(differing) != 1 or len(_words(word)) != len(_words(name)):
        return False
    a, b = differing[0]
    if min(len(a), len(b)) < _SHORTEST or a[:2] != b[:2] or not (a + b).isalpha():
        return False
    return a in _without_one(b) or b in _without_one(a) or a in _exchanged(b)


def canonical(name: str) -> str:
    """The one form (NFC) of all spellings of a name that no reader can tell apart."""
    return name if name.isascii() else unicodedata.normalize("NFC", name)


def set_apart(names: Iterable[str], own: Iterable[str], prefix: str) -> list[str]:
    """Names of the user for a table that has `own` names too: those that are the same get a prefix.

    Ours stay, so that code that reads them finds in them what it always does.
    """
    names, ours = list(names), set(own)
    taken = ours | set(names)
    found = []
    for name in names:
        if name in ours:
            while name in taken:
                name = prefix + name
            taken.add(name)
        found.append(name)
    return found


def _folded(name: str) -> str:
    """A name without case and separators."""
    return "".join(filter(str.isalnum, canonical(name).casefold()))


def _words(name: str) -> list[str]:
    return re.findall(r"[^\W_]+", canonical(name).casefold())


def _variants(name: str) -> Iterator[str]:
    """The folded name, and what remains of it without one of its letters."""
    folded = _folded(name[:_LONGEST])
    yield folded
    yield from sorted(_without_one(folded))


def _without_one(word: str) -> set[str]:
    return {word[:i] + word[i + 1 :] for i in range(len(word))}


def _exchanged(word: str) -> set[str]:
    return {word[:i] + word[i + 1] + word[i] + word[i + 2 :] for i in range(len(word) - 1)}
