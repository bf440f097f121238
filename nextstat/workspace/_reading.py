"""From whatever holds a JSON document to plain Python data."""

from __future__ import annotations

import codecs
import gzip
import json
import math
import os
import re
import sys
import zlib
from collections import Counter
from collections.abc import Mapping
from numbers import Integral, Real
from typing import IO, Any, TypeAlias

import msgspec
from msgspec import Struct
from msgspec.structs import asdict

from nextstat._base.messages import listing, show
from nextstat.exceptions import WorkspaceError
from nextstat.workspace._recognition import recognise, recognise_text
from nextstat.workspace._rejection import rejection

Readable: TypeAlias = "str | bytes | os.PathLike[str] | IO[bytes] | IO[str]"

MAX_BYTES = 2**28  # four times the largest published file, 57 MB

AT_ONCE = 2**24  # bytes that are decoded in one go, of 0.2 s, in which Ctrl-C is not heard

_MARK = codecs.BOM_UTF8
_CHUNK = 2**20


def read(source: Readable, opening: str, root: str = "$", *, max_bytes: int = MAX_BYTES) -> bytes:
    """JSON text given as such, as a path or as an open file, without its byte order mark.

    Parameters
    ----------
    source : str, bytes, path or open file
    opening : str
        Characters one of which must come first.
    root : str
        What messages call the document.
    max_bytes : int
        Most that a file may hold, after decompression.

    Raises
    ------
    WorkspaceError
        If there is nothing to read, too much, or something else than JSON.
    """
    expected = f"expected JSON that starts with {' or '.join(map(repr, opening))}, or a path to it"
    if isinstance(source, str | bytes):
        given = source.encode(errors="surrogatepass") if isinstance(source, str) else source
        given = given.removeprefix(_MARK)
        if re.match(rb"\s*[" + re.escape(opening).encode() + rb"]", given):
            return given
    try:
        if hasattr(source, "read"):
            name = getattr(source, "name", type(source).__name__)
            head, text = _head_and_text(source, opening, max_bytes)
        else:
            name = os.fsdecode(source)
            with gzip.open(name) if name.endswith(".gz") else open(name, "rb") as file:
                head, text = _head_and_text(file, opening, max_bytes)
    except TypeError:
        what = recognise(source) or f"a {type(source).__name__}"
        raise WorkspaceError(f"{root}: found {what}, {expected}") from None
    except FileNotFoundError:
        note = _note(given) if isinstance(source, str | bytes) else ""
        raise WorkspaceError(f"{root}: no such file {show(name)}{note}, {expected}") from None
    except (OSError, ValueError, EOFError, zlib.error) as error:
        note = _note(given) if isinstance(source, str | bytes) else ""
        reason = str(getattr(error, "strerror", None) or error)[:200]
        message = f"{root}: cannot read {show(name)} ({reason}){note}, {expected}"
        raise WorkspaceError(message) from None
    except MemoryError:
        raise WorkspaceError(f"{root}: file {show(name)} does not fit into memory") from None
    _check_text(head, text, opening, f"{root}: file {show(name)}", expected)
    if len(text) > max_bytes:
        raise WorkspaceError(
            f"{root}: file {show(name)} holds more than {max_bytes} bytes of text; if that is "
            f"meant, raise the limit, max_bytes={max_bytes}"
        )
    return text


def _head_and_text(file: Any, opening: str, max_bytes: int) -> tuple[bytes, bytes]:
    """First bytes, and all up to one more than the limit if they may be JSON."""

    def more(n: int) -> bytes:
        part = file.read(n)
        return part.encode(errors="surrogatepass") if isinstance(part, str) else part

    head = more(_CHUNK).removeprefix(_MARK)
    first = head[:4096].lstrip()[:1]
    if first and first not in opening.encode():
        return head, b""  # Do not read what cannot be JSON.
    parts = [head]
    left = max_bytes + 1 - len(head)
    while left > 0 and (part := more(min(left, _CHUNK))):
        parts.append(part)
        left -= len(part)
    return head, b"".join(parts)


def _check_text(head: bytes, text: bytes, opening: str, which: str, expected: str) -> None:
    """Reject what does not start like the JSON that is expected."""
    if not head:
        raise WorkspaceError(f"{which} is empty, {expected}")
    if not text:
        start = head[:4096].lstrip()[:16]
        raise WorkspaceError(f"{which} starts with {start!r}{_note(head)}, {expected}")


def _note(head: bytes) -> str:
    """What a text is that is no JSON of the kind wanted, and what to do, if that is known."""
    what = recognise_text(head)
    return f"; it is {what}" if what else ""


def _distinct(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    document = dict(pairs)
    if len(document) < len(pairs):
        (key, n), *_ = Counter(key for key, _ in pairs).most_common(1)
        raise WorkspaceError(
            f"$: the key {show(key)} stands {n} times in one object, whose keys are "
            f"{listing(document)}; expected it once"
        )
    return document


def parse(text: bytes, root: str = "$") -> Any:
    """Plain data from JSON text; every number in it is finite, every key distinct.

    Integers stay integers: digests are of documents as they are written.
    """
    try:
        _check_strictly(text)
        return json.loads(text, object_pairs_hook=_distinct)
    except WorkspaceError as error:
        raise WorkspaceError(str(error).replace("$", root, 1)) from None
    except (msgspec.DecodeError, ValueError, RecursionError):
        pass  # The slower parser says where it stops, and `plain` finds NaN, Infinity and 1e999.
    try:
        document = json.loads(text.decode(), parse_int=float, object_pairs_hook=_distinct)
    except WorkspaceError as error:
        raise WorkspaceError(str(error).replace("$", root, 1)) from None
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


def _check_strictly(text: bytes | msgspec.Raw) -> None:
    """Let msgspec decode a text, part by part if it is long: no NaN, 1e999 or lone surrogates."""
    view = memoryview(text)
    opening = bytes(view[:4096]).lstrip()[:1] if len(view) > AT_ONCE else b""
    if opening == b"[":
        for part in msgspec.json.decode(view, type=list[msgspec.Raw]):
            _check_strictly(part)
    elif opening == b"{":
        for part in msgspec.json.decode(view, type=dict[str, msgspec.Raw]).values():
            _check_strictly(part)
    else:
        msgspec.json.decode(view)


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
        return _plain_number(value)
    if isinstance(value, Struct):  # a Workspace put together by hand
        config = value.__struct_config__
        tag = {} if config.tag is None else {config.tag_field: config.tag}
        given = asdict(value)
        if config.omit_defaults:
            given = {key: item for key, item in given.items() if item is not None}
        return _plain_at({**tag, **given}, trail)
    if hasattr(value, "tolist"):  # NumPy arrays and their like
        return _plain_at(value.tolist(), trail)
    raise _UnfitError(f"found a {type_.__name__}, expected a JSON value")


def _plain_number(value: Real) -> float | int:
    """An integer as such, as digests need it; any other number as a float."""
    if isinstance(value, Integral) and abs(int(value)) <= sys.float_info.max:
        return int(value)
    try:
        number = float(value)
    except OverflowError:
        number = math.inf
    if not math.isfinite(number):
        raise _UnfitError(f"found {number}, expected a finite number")
    return number


def _plain_text(text: str) -> str:
    if not text.isascii() and re.search("[\ud800-\udfff]", text):
        raise _UnfitError(f"found {text[:200]!a}, expected a string without lone surrogates")
    return str.__str__(text)
