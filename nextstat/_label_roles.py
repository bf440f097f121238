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
    or the like as a word of its own ("data", "data_obs", "Data 2018"; not "data-driven"), or signal
    ("signal_500", "ggH_signal", "sig2"; not "non-signal"). A label that says background too, or
    bkg, is one ("bkg_signal_500").

    Parameters
    ----------
    labels : list
    signal : label

    Raises
    ------
    ValueError
        If there is such a label.
    """
    for label in labels:
        if label == signal or not isinstance(label, str | bytes):
            continue
        text = label.decode("utf-8", "replace") if isinstance(label, bytes) else label
        words = {word.casefold() for word in _WORDS.findall(_HUMPS.sub(" ", text))}
        if words & _BACKGROUND:
            continue
        if words & _DATA and not words & _ESTIMATE:
            raise ValueError(
                f"the rows of label {label!r} would be a background, but seem to be data, which "
                f"has no place here: leave them out (y != {label!r}), or, if they are a "
                f"background, call them {_renamed(label)!r}"
            )
        second = "signal" in text.casefold() or "sig" in words
        if second and not _NO_SIGNAL.search(text):
            raise ValueError(
                f"the rows of label {label!r} would be a background, but seem to be a signal "
                f"beside {signal!r}: give them the same label to make both one signal, leave them "
                f"out (y != {label!r}), or, if they are a background, call them "
                f"{_renamed(label)!r}"
            )


def _renamed(label: str | bytes) -> str | bytes:
    return b"bkg_" + label if isinstance(label, bytes) else f"bkg_{label}"
