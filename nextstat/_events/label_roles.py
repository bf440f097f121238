"""Which labels of events are no background, whatever else there is."""

from __future__ import annotations

import re
from typing import Any

_WORDS = re.compile(r"[^\W\d_]+")
_HUMPS = re.compile(r"(?<=[a-z])(?=[A-Z])")  # as in dataObs
_DATA = {"data", "pseudodata", "obs", "observed", "observation", "observations", "asimov"}
_ESTIMATE = {"driven", "derived", "based", "estimate", "estimated"}  # of data-driven backgrounds
_NO_SIGNAL = re.compile(r"\b(no|non|not|anti)[\W_]*sig", re.IGNORECASE)
_BACKGROUND = {"background", "backgrounds", "bkg", "bkgs", "bg", "bgs"}


def check_backgrounds(labels: list[Any], signal: Any) -> None:
    """Refuse labels that would be backgrounds by accident: of data, or of a second signal.

    Every label but that of the signal is a background, unless it says otherwise: data, observed
    or the like as a word of its own ("data", "data_obs", "Data 2018"; not "data-driven"), or, as
    the chosen one does too, signal ("signal_500", "ggH_signal", "sig2"; not "non-signal"). A label
    that says background too, or bkg, is one ("bkg_signal_500"). Where the signal is called
    otherwise ("top"), to say signal means nothing.

    Parameters
    ----------
    labels : list
    signal : label

    Raises
    ------
    ValueError
        If there is such a label.
    """
    signals = _says_signal(signal)
    for label in labels:
        if label == signal or _words(label) & _BACKGROUND:
            continue
        if _words(label) & _DATA and not _words(label) & _ESTIMATE:
            raise ValueError(
                f"the rows of label {label!r} would be a background, but seem to be data, which "
                f"has no place here: leave them out (y != {label!r}), or, if they are a "
                f"background, call them {_renamed(label)!r}"
            )
        if signals and _says_signal(label):
            raise ValueError(
                f"the rows of label {label!r} would be a background, but seem to be a signal "
                f"beside {signal!r}: give them the same label to make both one signal, leave them "
                f"out (y != {label!r}), or, if they are a background, call them "
                f"{_renamed(label)!r}"
            )


def _text(label: Any) -> str:
    """A label in words; empty for numbers."""
    text = label.decode("utf-8", "replace") if isinstance(label, bytes) else label
    return text if isinstance(text, str) else ""


def _words(label: Any) -> set[str]:
    return {word.casefold() for word in _WORDS.findall(_HUMPS.sub(" ", _text(label)))}


def _says_signal(label: Any) -> bool:
    says = "signal" in _text(label).casefold() or "sig" in _words(label)
    return says and not _NO_SIGNAL.search(_text(label))


def _renamed(label: str | bytes) -> str | bytes:
    return b"bkg_" + label if isinstance(label, bytes) else f"bkg_{label}"
