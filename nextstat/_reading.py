"""From whatever holds a JSON document to plain Python data."""

from __future__ import annotations

import gzip
import json
import math
import os
import re
import zlib
from collections.abc import Mapping
from numbers import Real
from typing import Any

import msgspec
from msgspec import Struct
from msgspec.structs import asdict

from nextstat._rejection import listing, rejection, show
from nextstat.exceptions import WorkspaceError


def read(source: str | bytes | os.PathLike[str], opening: str, root: str = "$") -> bytes:
    """JSON text given as such or as a path; its first character must be one of `opening`."""
    expected = f"expected JSON that starts with {' or '.join(map(repr, opening))}, or a path to it"
    start = rf"\s*[{re.escape(opening)}]"
    if isinstance(source, str) and re.match(start, source):
        return source.encode(errors="surrogatepass")
    if isinstance(source, bytes) and re.match(start.encode(), source):
        return source
    try:
        path = os.fsdecode(source)
    except TypeError:
        raise WorkspaceError(f"{root}: found a {type(source).__name__}, {expected}") from None
    try:
        with gzip.open(path) if path.endswith(".gz") else open(path, "rb") as file:
            head = file.peek(256).lstrip()[:16]
            fits = not head or chr(head[0]) in opening
            text = file.read() if fits else b""  # Do not read what cannot be JSON.
    except FileNotFoundError:
        raise WorkspaceError(f"{root}: no such file {show(path)}, {expected}") from None
    except (OSError, ValueError, EOFError, zlib.error) as error:
        reason = getattr(error, "strerror", None) or error
        raise WorkspaceError(f"{root}: cannot read {show(path)} ({reason}), {expected}") from None
    if not fits:
        raise WorkspaceError(f"{root}: file {show(path)} starts with {head!r}, {expected}")
    if not text:
        raise WorkspaceError(f"{root}: file {show(path)} is empty, {expected}")
    return text


def _distinct(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    keys = [key for key, _ in pairs]
    for key in keys:
        if keys.count(key) > 1:
            raise WorkspaceError(
                f"$: the key {show(key)} stands {keys.count(key)} times in one object, whose keys "
                f"are {listing(keys)}; expected it once"
            )
    return dict(pairs)


def parse(text: bytes, root: str = "$") -> Any:
    """Plain data from JSON text; every number in it is finite, every key distinct."""
    try:
        document = msgspec.json.decode(text)
        json.loads(text, object_pairs_hook=_distinct)
        return document
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        pass  # The slower parser says where it stops, and `plain` finds NaN, Infinity and 1e999.
    try:
        document = json.loads(text.decode(), parse_int=float)
    except json.JSONDecodeError as error:
        end = " (the text ends there: truncated?)" * (error.pos >= len(error.doc.rstrip()))
        raise WorkspaceError(
            f"{root}: not valid JSON: {error.msg} at line {error.lineno} column {error.colno}{end}"
        ) from None
    except UnicodeDecodeError as error:
        byte = text[error.start]
        raise WorkspaceError(
            f"{root}: not valid JSON: byte 0x{byte:02x} at position {error.start} is not UTF-8"
        ) from None
    except RecursionError:
        raise WorkspaceError(f"{root}: not a workspace: nested too deeply") from None
    return plain(document, root)


class _UnfitError(Exception):
    """A value that JSON cannot hold."""


def plain(value: object, root: str = "$") -> Any:
    """Copy of JSON-like data in plain Python types; every number in it is finite."""
    trail: list[str | int] = []
    try:
        return _plain_at(value, trail)
    except RecursionError:
        raise WorkspaceError(f"{root}: not a workspace: nested too deeply") from None
    except _UnfitError as unfit:
        raise rejection(value, tuple(trail), str(unfit), root=root) from None


def _plain_at(value: Any, trail: list[str | int]) -> Any:
    """`plain` of a part of the data; when it raises, `trail` is left leading to the culprit."""
    type_ = type(value)
    if value is None or type_ is bool or (type_ is float and math.isfinite(value)):
        return value
    if isinstance(value, str):
        return _plain_text(value)
    if isinstance(value, Mapping):
        document = {}
        for key, item in value.items():
            if not isinstance(key, str):
                raise _UnfitError(f"found the key {show(key)}, expected a string")
            trail.append(key)
            document[_plain_text(key)] = _plain_at(item, trail)
            trail.pop()
        return document
    if isinstance(value, list | tuple):
        items = []
        for i, item in enumerate(value):
            trail.append(i)
            items.append(_plain_at(item, trail))
            trail.pop()
        return items
    if isinstance(value, Real):
        try:
            number = float(value)
        except OverflowError:
            number = math.inf
        if not math.isfinite(number):
            raise _UnfitError(f"found {number}, expected a finite number")
        return number
    if isinstance(value, Struct):  # a Workspace put together by hand
        config = value.__struct_config__
        tag = {} if config.tag is None else {config.tag_field: config.tag}
        return _plain_at({**tag, **asdict(value)}, trail)
    if hasattr(value, "tolist"):  # NumPy arrays and their like
        return _plain_at(value.tolist(), trail)
    raise _UnfitError(f"found a {type_.__name__}, expected a JSON value")


def _plain_text(text: str) -> str:
    if not text.isascii() and re.search("[\ud800-\udfff]", text):
        raise _UnfitError(f"found {text!a}, expected a string without lone surrogates")
    return str.__str__(text)
