"""Reading, patching and checking workspaces: pyhf JSON, schema 1.0.0.

`load` is the one way in. What it returns has passed every check that does not depend on the
choice of a measurement; what it rejects, it rejects with the place, the find and the expectation.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias, TypeVar

import msgspec

from nextstat._checks import check
from nextstat._reading import parse, plain, read
from nextstat._rejection import mismatch, rejection, show, unknown
from nextstat._schema import (
    Channel,
    HistoSys,
    HistoSysData,
    Lumi,
    Measurement,
    MeasurementConfig,
    Modifier,
    NormFactor,
    NormSys,
    NormSysData,
    Observation,
    ParameterConfig,
    PatchSet,
    Sample,
    ShapeFactor,
    ShapeSys,
    StatError,
    Workspace,
)
from nextstat.exceptions import WorkspaceError

__all__ = [
    "Channel",
    "HistoSys",
    "HistoSysData",
    "Lumi",
    "Measurement",
    "MeasurementConfig",
    "Modifier",
    "NormFactor",
    "NormSys",
    "NormSysData",
    "Observation",
    "ParameterConfig",
    "Patch",
    "Sample",
    "ShapeFactor",
    "ShapeSys",
    "Source",
    "StatError",
    "Workspace",
    "load",
]

Source: TypeAlias = "Workspace | Mapping[str, Any] | str | bytes | os.PathLike[str]"
Patch: TypeAlias = (
    "Sequence[Mapping[str, Any]] | str | bytes | os.PathLike[str]"
    " | tuple[Mapping[str, Any] | str | bytes | os.PathLike[str], str]"
)

_DECODER = msgspec.json.Decoder(Workspace)
_T = TypeVar("_T")


def load(source: Source, *, patch: Patch | None = None) -> Workspace:
    """Read a workspace, patch it if asked, and check it.

    Parameters
    ----------
    source : mapping, str, bytes, path or Workspace
        A str or bytes whose first character other than white space is ``{`` is JSON text, any
        other is a path. A path that ends in ``.gz`` is read through gzip. Mappings may hold NumPy
        scalars and arrays. Nothing passed in is modified.
    patch : sequence of mappings, str, bytes, path, or pair (patch set, name), optional
        RFC 6902 operations, JSON text or a file with them, or a pyhf PatchSet (mapping, JSON text
        or path) with the name of the patch to take from it.

    Returns
    -------
    Workspace

    Raises
    ------
    WorkspaceError
        If anything cannot be read, departs from the schema or contradicts itself. The message
        starts with the JSON path.

    Warns
    -----
    WorkspaceWarning
        If an observation names no channel: it is kept, but no model will use it.
    """
    text = None if isinstance(source, Mapping | Workspace) else read(source, "{")
    workspace = None
    if patch is None:
        workspace = _decoded(source if text is None else text)
        if workspace is not None and text is not None and text.count(b'":') != workspace.n_keys():
            workspace = None  # A key may stand twice: the slow way looks.
    if workspace is None:
        document = plain(source) if text is None else parse(text)
        if patch is not None:
            document = _apply(_operations(patch), document)
        workspace = _typed(document, Workspace)
    check(workspace)
    return workspace


def _decoded(source: Any) -> Workspace | None:
    """Workspace by the fast way; None where the slow way must convert or say what is wrong."""
    try:
        if not isinstance(source, bytes):
            # JSON has neither NaN nor infinity: what comes back from it is finite.
            source = msgspec.json.encode(msgspec.convert(source, Workspace))
        return _DECODER.decode(source)
    except (msgspec.MsgspecError, ValueError, TypeError, RecursionError):
        return None


def _typed(document: Any, type_: type[_T], root: str = "$") -> _T:
    """Plain data as an object of the schema."""
    try:
        return msgspec.convert(document, type_)
    except msgspec.ValidationError as error:
        problem = mismatch(document, msgspec.inspect.type_info(type_))
        raise rejection(document, *(problem or ((), str(error))), root=root) from None


# Patching ---------------------------------------------------------------------------------------


def _document(source: Any, opening: str) -> Any:
    if isinstance(source, str | bytes | os.PathLike):
        return parse(read(source, opening, "patch"), "patch")
    return plain(source, "patch")


def _operations(patch: Patch) -> list[Any]:
    """Operations of a patch as plain data of our own, which applying them may modify."""
    if isinstance(patch, tuple) and len(patch) == 2 and isinstance(patch[1], str):
        source, name = patch
        return _from_patch_set(_document(source, "{"), name)
    document = _document(patch, "[{")
    if not isinstance(document, list):
        raise WorkspaceError(
            f"patch: found {show(document)}, expected a list of operations or, to take a patch "
            "from a patch set, the pair (patch set, name)"
        )
    return document


def _from_patch_set(document: Any, name: str) -> list[Any]:
    patches = _typed(document, PatchSet, root="patch").patches
    names = [patch.metadata.name for patch in patches]
    if names.count(name) != 1:
        problem = (
            f"ambiguous patch {show(name)}" if name in names else unknown("patch", name, names)
        )
        raise WorkspaceError(f"patch.patches: {problem}")
    return list(patches[names.index(name)].patch)


def _apply(operations: list[Any], document: Any) -> Any:
    """`document` after the operations, which modify it."""
    import jsonpatch  # Few workspaces are patched.

    for i, operation in enumerate(operations):
        if not isinstance(operation, dict):
            raise WorkspaceError(f"patch[{i}]: found {show(operation)}, expected an object")
        try:
            document = jsonpatch.JsonPatch([operation]).apply(document, in_place=True)
        except (
            jsonpatch.JsonPatchException,
            jsonpatch.JsonPointerException,
            AttributeError,
            LookupError,
            TypeError,
            ValueError,
        ) as error:
            what = f"{operation.get('op')} {operation.get('path')}"
            raise WorkspaceError(f"patch[{i}]: cannot {what}: {str(error)[:200]}") from None
    return document
