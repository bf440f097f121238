"""`load`: the one way in for workspaces."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeAlias

import msgspec

import nextstat.workspace._patches as _patches
from nextstat.exceptions import WorkspaceError
from nextstat.workspace._checks import check
from nextstat.workspace._patches import Patch
from nextstat.workspace._reading import AT_ONCE, MAX_BYTES, Readable, parse, plain, read
from nextstat.workspace._recognition import recognise
from nextstat.workspace._rejection import mismatch, rejection, type_info
from nextstat.workspace._schema import Sample, Workspace

Source: TypeAlias = "Workspace | Mapping[str, Any] | Readable"

_DECODER = msgspec.json.Decoder(Workspace)


def load(source: Source, *, patch: Patch | None = None, max_bytes: int = MAX_BYTES) -> Workspace:
    """Read a workspace, patch it if asked, and check it.

    Parameters
    ----------
    source : mapping, str, bytes, path, open file or Workspace
        A str or bytes whose first character other than white space is ``{`` is JSON text, any
        other is a path. A path that ends in ``.gz`` is read through gzip. Mappings may hold NumPy
        scalars and arrays. Nothing passed in is modified.
    patch : sequence of mappings, str, bytes, path, open file, or pair (patch set, name), optional
        RFC 6902 operations, JSON text or a file with them, or a patch set (`PatchSet`, mapping,
        JSON text or file) with the name, or the values, of the patch to take from it. The digests
        of a patch set must be those of the workspace as it is written.
    max_bytes : int
        Most text that a file may hold, after decompression. Copies within a patch may add a 64th
        of it.

    Returns
    -------
    Workspace

    Raises
    ------
    WorkspaceError
        If anything cannot be read, departs from the schema or contradicts itself, or a patch set
        is for another workspace. The message starts with the JSON path.
    """
    text = None
    if not isinstance(source, Mapping | Workspace):
        text = read(source, "{", max_bytes=max_bytes)
    workspace = None
    if patch is None:
        workspace = _decoded(source if text is None else text)
        if workspace is not None and text is not None and not _has_distinct_keys(text, workspace):
            workspace = None  # A key may stand twice: the slow way looks.
    if workspace is None:
        document = plain(source) if text is None else parse(text)
        if patch is not None:
            document = _patches.apply(patch, document, max_bytes=max_bytes)
        workspace = _typed(document)
    check(workspace)
    return workspace


def _decoded(source: Any) -> Workspace | None:
    """Workspace by the fast way; None where the slow way must convert or say what is wrong."""
    try:
        if not isinstance(source, bytes):
            # JSON has neither NaN nor infinity: what comes back from it is finite.
            source = msgspec.json.encode(msgspec.convert(source, Workspace))
        return _DECODER.decode(source) if len(source) <= AT_ONCE else _decoded_in_parts(source)
    except (msgspec.MsgspecError, ValueError, TypeError, RecursionError):
        return None


class _ChannelTexts(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    """A channel with its samples as text."""

    name: Any
    samples: list[msgspec.Raw]


class _Texts(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    """A workspace with its samples, which are nearly all of it, as text."""

    channels: list[_ChannelTexts]
    observations: Any
    measurements: Any
    version: Any


_TEXTS = msgspec.json.Decoder(_Texts)
_SAMPLE = msgspec.json.Decoder(Sample)


def _decoded_in_parts(text: bytes) -> Workspace:
    """Workspace from a long text, sample by sample: between them, Ctrl-C is heard."""
    texts = _TEXTS.decode(text)
    channels = [
        {"name": channel.name, "samples": [_SAMPLE.decode(sample) for sample in channel.samples]}
        for channel in texts.channels
    ]
    return msgspec.convert({**msgspec.structs.asdict(texts), "channels": channels}, Workspace)


class _Modifier(msgspec.Struct, gc=False):
    """A modifier none of whose keys is left out."""

    data: msgspec.Raw


class _Sample(msgspec.Struct, gc=False):
    modifiers: tuple[_Modifier, ...]


class _Channel(msgspec.Struct, gc=False):
    samples: tuple[_Sample, ...]


class _Complete(msgspec.Struct, gc=False):
    channels: tuple[_Channel, ...]


_COMPLETE = msgspec.json.Decoder(_Complete)


def _has_distinct_keys(text: bytes, workspace: Workspace) -> bool:
    """Whether no key stands twice in one object, for certain; False may mean that it is unclear.

    Every key is followed by a colon, so that the text holds at least as many colons as keys. It
    holds no key besides those of `workspace` if there are no more colons than these, and none of
    these is left out.
    """
    if text.count(b":") != workspace.n_keys():
        return False
    try:
        _COMPLETE.decode(text)
    except msgspec.MsgspecError:
        return False
    return True


def _typed(document: Any) -> Workspace:
    """Plain data as a workspace."""
    try:
        return msgspec.convert(document, Workspace)
    except (msgspec.ValidationError, OverflowError) as error:
        what = recognise(document)
        if what:
            raise WorkspaceError(f"$: found {what}, expected a workspace") from None
        problem = mismatch(document, type_info(Workspace))
        raise rejection(document, *(problem or ((), str(error)))) from None
