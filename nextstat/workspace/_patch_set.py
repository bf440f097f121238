"""Patch sets of pyhf: many patches, each a signal point, of one background-only workspace."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple, NoReturn, TypeAlias

import msgspec
from msgspec import UNSET

from nextstat._base.messages import show, unknown
from nextstat.exceptions import WorkspaceError
from nextstat.workspace._reading import MAX_BYTES, Readable, parse, plain, read
from nextstat.workspace._recognition import recognise
from nextstat.workspace._rejection import Path, mismatch, rejection, render, type_info
from nextstat.workspace._schema import Operation, PatchMetadata, PatchSetDocument, PatchSetMetadata

Value: TypeAlias = int | float | str

_DEPTH = 4  # of a sample in a workspace
_ROOT = "patch"  # what messages call a patch set, as they do a patch


class _Entry(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    """One patch as text: what is not asked for is not decoded."""

    metadata: msgspec.Raw
    patch: msgspec.Raw


class _Texts(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    """A patch set as pieces of its text."""

    metadata: msgspec.Raw
    patches: list[_Entry]
    version: str


_TEXTS = msgspec.json.Decoder(_Texts)
_OPERATIONS = msgspec.json.Decoder(tuple[Operation, ...])


class Point(NamedTuple):
    """One patch of a patch set.

    Attributes
    ----------
    name : str
    values : tuple of int, float or str
        One for each label of the set, such as the masses of a signal.
    """

    name: str
    values: tuple[Value, ...]


class PatchSet:
    """A pyhf patch set: patches of one background-only workspace, one for each signal point.

    It is read and checked once and then handed to any number of calls, such as
    ``from_pyhf(background, patch=(patch_set, name))``. Only the patch that is asked for is
    decoded. Iterating gives each patch as a `Point`, `patch_set[name]` its operations.

    Parameters
    ----------
    source : mapping, str, bytes, path or open file
        As for `load`.
    max_bytes : int
        Most that a file may hold, after decompression.

    Attributes
    ----------
    names : tuple of str
    labels : tuple of str
        What the values of the points stand for.
    values : tuple of tuple
        Values of each point, in the order of `names`.
    digests : dict of str to str
        "sha256" and "md5", or one of them, of the workspace that the patches are for.
    references : dict of str to str
    description : str

    Raises
    ------
    WorkspaceError
        If the document departs from pyhf's schema 1.0.0, a name or the values stand twice, or
        there are more or fewer values than labels.
    """

    def __init__(self, source: Mapping[str, Any] | Readable, *, max_bytes: int = MAX_BYTES) -> None:
        document = None
        if isinstance(source, Mapping):
            document = plain(source, _ROOT)
            texts = None
        else:
            text = read(source, "{", _ROOT, max_bytes=max_bytes)
            texts = _pieces(text)
            document = parse(text, _ROOT) if texts is None else None
        if texts is None:
            texts = _pieces_of_document(document)
        self._fill(*texts)

    def _fill(
        self, metadata: PatchSetMetadata, points: list[Point], patches: list[msgspec.Raw]
    ) -> None:
        digests = metadata.digests
        given = {"md5": digests.md5, "sha256": digests.sha256}
        self.digests = {name: text for name, text in given.items() if text is not UNSET}
        self.labels = metadata.labels
        self.description = metadata.description
        self.references = {"hepdata": metadata.references.hepdata}
        self.names = tuple(point.name for point in points)
        self.values = tuple(point.values for point in points)
        self._patches = tuple(patches)
        self._check()
        by_name = {name: i for i, name in enumerate(self.names)}
        self._index: dict[Any, int] = by_name | {v: i for i, v in enumerate(self.values)}

    def __setattr__(self, name: str, value: object) -> None:
        if "_index" in self.__dict__:
            raise AttributeError(f"PatchSet is immutable; cannot set {name!r}")
        super().__setattr__(name, value)

    def __delattr__(self, name: str) -> None:
        raise AttributeError(f"PatchSet is immutable; cannot delete {name!r}")

    def _check(self) -> None:
        """Raise for what the classes of the schema cannot say."""
        if not self.digests:
            _reject(("metadata", "digests"), "found an empty object, expected 'sha256' or 'md5'")
        seen: dict[object, int] = {}
        for i, point in enumerate(self):
            path: Path = ("patches", i, "metadata")
            if len(point.values) != len(self.labels):
                message = f"found {len(point.values)} values, expected one for each of the "
                _reject((*path, "values"), f"{message}{len(self.labels)} labels", point)
            for key, what in zip(("name", "values"), point, strict=True):
                first = seen.setdefault(what, i)
                if first != i:
                    there = render(("patches", first), _ROOT)
                    message = f"duplicate {key} {_shown(what)}, already used at {there}"
                    _reject((*path, key), message, point)

    def __len__(self) -> int:
        return len(self.names)

    def __iter__(self) -> Iterator[Point]:
        return map(Point, self.names, self.values)

    def __contains__(self, key: object) -> bool:
        return key in self._index

    def __getitem__(self, key: str | tuple[Value, ...]) -> list[dict[str, Any]]:
        """Operations of the patch with a name, or with values, as RFC 6902 has them.

        Raises
        ------
        WorkspaceError
            If there is no such patch.
        """
        try:
            i = self._index[key]
        except (KeyError, TypeError):
            what = key if isinstance(key, str) else _shown(key)
            raise WorkspaceError(f"{_ROOT}.patches: {unknown('patch', what, self.names)}") from None
        operations: list[dict[str, Any]] = parse(
            bytes(self._patches[i]), render(("patches", i, "patch"), _ROOT)
        )
        return operations

    def __repr__(self) -> str:
        return f"<PatchSet: {len(self)} patches, labels {', '.join(map(repr, self.labels))}>"

    def verify(self, document: object) -> None:
        """Check that the patches are made for a workspace.

        Parameters
        ----------
        document : mapping
            The workspace as plain data, its numbers as the file has them: the digests, like
            pyhf's, tell 1 from 1.0.

        Raises
        ------
        WorkspaceError
            If a digest is that of another workspace.
        """
        hashes = {name: hashlib.new(name, usedforsecurity=False) for name in self.digests}
        try:
            for text in _sorted(document, _DEPTH):
                for each in hashes.values():
                    each.update(text.encode())
        except RecursionError:
            raise WorkspaceError("$: not a workspace: nested too deeply") from None
        for algorithm, expected in self.digests.items():
            found = hashes[algorithm].hexdigest()
            if found != expected.lower():
                raise WorkspaceError(
                    f"{_ROOT}.metadata.digests.{algorithm}: the patch set is for another "
                    f"workspace: found one whose {algorithm} is {found}, expected {expected}; "
                    "pass the workspace that was published with it, as a file or as the dict "
                    "that json.load gives. To patch this one all the same, pass the operations "
                    "alone, patch=patch_set[name] with patch_set = "
                    "nextstat.workspace.PatchSet(...)"
                )


def _sorted(value: Any, depth: int) -> Iterator[str]:
    """JSON text with sorted keys, in pieces: objects and arrays down to a depth are taken apart.

    Between pieces, Ctrl-C is heard.
    """
    if depth == 0 or not value or not isinstance(value, dict | list):
        yield json.dumps(value, sort_keys=True, ensure_ascii=False)
        return
    opening, closing = "{}" if isinstance(value, dict) else "[]"
    for i, item in enumerate(sorted(value) if isinstance(value, dict) else value):
        yield ", " if i else opening
        if isinstance(value, dict):
            yield json.dumps(item, ensure_ascii=False) + ": "
            item = value[item]
        yield from _sorted(item, depth - 1)
    yield closing


def _pieces(
    text: bytes,
) -> tuple[PatchSetMetadata, list[Point], list[msgspec.Raw]] | None:
    """A patch set by the fast way; None where the slow way must say what is wrong.

    Keys that stand twice are found by counting colons: each key of the outer objects has one, and
    so has every key of what a second value would hide.
    """
    try:
        texts = _TEXTS.decode(text)
        inner = [piece for entry in texts.patches for piece in (entry.metadata, entry.patch)]
        n_inner = sum(bytes(piece).count(b":") for piece in (texts.metadata, *inner))
        if text.count(b":") - n_inner != 3 + len(inner) or texts.version != "1.0.0":
            return None
        metadata = msgspec.convert(parse(bytes(texts.metadata)), PatchSetMetadata)
        points = []
        for entry in texts.patches:
            own = msgspec.convert(parse(bytes(entry.metadata)), PatchMetadata)
            points.append(Point(own.name, own.values))
            _OPERATIONS.decode(entry.patch)
    except (msgspec.MsgspecError, WorkspaceError, ValueError, RecursionError):
        return None
    return (metadata, points, [entry.patch for entry in texts.patches]) if points else None


def _pieces_of_document(
    document: Any,
) -> tuple[PatchSetMetadata, list[Point], list[msgspec.Raw]]:
    """The same from plain data, which are checked on the way."""
    problem = mismatch(document, type_info(PatchSetDocument))
    if problem:
        what = None if _is_patch_set(document) else recognise(document)
        if what:
            raise WorkspaceError(f"{_ROOT}: found {what}, expected a patch set")
        raise rejection(document, *problem, root=_ROOT)
    patches = document["patches"]
    own = [msgspec.convert(patch["metadata"], PatchMetadata) for patch in patches]
    return (
        msgspec.convert(document["metadata"], PatchSetMetadata),
        [Point(metadata.name, metadata.values) for metadata in own],
        [msgspec.Raw(msgspec.json.encode(patch["patch"])) for patch in patches],
    )


def _is_patch_set(document: Any) -> bool:
    return isinstance(document, dict) and "patches" in document


def _shown(values: object) -> str:
    if isinstance(values, tuple | list):
        return f"[{', '.join(map(show, values[:10]))}]"
    return show(values)


def _reject(path: Path, message: str, point: Point | None = None) -> NoReturn:
    """Raise the error for `message` at `path` of a patch set."""
    which = f" [patch {show(point.name)}]" if point else ""
    raise WorkspaceError(f"{render(path, _ROOT)}: {message}{which}")
