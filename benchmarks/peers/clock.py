"""Time spent inside functions of this package, by part."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

Parts = dict[str, float]
"""Part -> seconds."""


class Clock:
    """Collects seconds by part; a part inside another counts in the outer one."""

    def __init__(self) -> None:
        self.parts: Parts = {}
        self._running = False

    def timed(self, part: str, function: Callable[..., Any]) -> Callable[..., Any]:
        """The function, its time added to a part."""

        def wrapper(*args: Any, **kwargs: Any) -> Any:
            if self._running:
                return function(*args, **kwargs)
            self._running = True
            start = time.perf_counter()
            try:
                return function(*args, **kwargs)
            finally:
                self.parts[part] = self.parts.get(part, 0.0) + time.perf_counter() - start
                self._running = False

        return wrapper

    @contextmanager
    def watching(self, places: Mapping[str, list[tuple[Any, str]]]) -> Iterator[None]:
        """Time the attributes of modules, classes or dictionaries that belong to each part."""
        originals = []
        for part, attributes in places.items():
            for owner, name in attributes:
                own = owner if isinstance(owner, dict) else vars(owner)
                original = own[name]
                originals.append((owner, name, original))
                if isinstance(original, property):
                    _put(owner, name, property(self.timed(part, original.fget)))
                else:
                    _put(owner, name, self.timed(part, original))
        try:
            yield
        finally:
            for owner, name, original in originals:
                _put(owner, name, original)


def _put(owner: Any, name: str, value: Any) -> None:
    if isinstance(owner, dict):
        owner[name] = value
    else:
        setattr(owner, name, value)
