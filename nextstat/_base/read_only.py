"""Results whose arrays nobody can change."""

from __future__ import annotations

from typing import Any

import numpy as np


class ReadOnly:
    """Base of results: their arrays are read-only, also those of their pickles and copies.

    For dataclasses, which call ``__post_init__``. An array stays writeable for whoever handed it
    in.
    """

    def __post_init__(self) -> None:
        own = self.__dict__
        for name, value in own.items():
            if isinstance(value, np.ndarray | dict | tuple):
                own[name] = read_only(value)

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        ReadOnly.__post_init__(self)  # pickles and deep copies of arrays are writeable


def read_only(value: Any) -> Any:
    """A read-only view of an array, or of those in a dict or tuple; any other value as it is."""
    if isinstance(value, np.ndarray):
        if not value.flags.writeable:
            return value
        view = value.view()
        view.flags.writeable = False
        return view
    if type(value) is dict:
        return {key: read_only(item) for key, item in value.items()}
    if isinstance(value, tuple):
        items = [read_only(item) for item in value]
        return type(value)._make(items) if hasattr(value, "_make") else tuple(items)
    return value
