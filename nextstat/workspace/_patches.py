"""Patches of workspaces: RFC 6902 operations, given as such or by name from a patch set."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

import msgspec

from nextstat._base.messages import show
from nextstat.exceptions import WorkspaceError
from nextstat.workspace._patch_set import PatchSet, Value
from nextstat.workspace._reading import Readable, parse, plain, read
from nextstat.workspace._recognition import recognise

Patch: TypeAlias = (
    "Sequence[Mapping[str, Any]] | Readable"
    " | tuple[PatchSet | Mapping[str, Any] | Readable, str | tuple[Value, ...]]"
)

# Copies may add this part of the limit: they are decoded, which takes fifty times the memory.
_COPIES = 64


def apply(patch: Patch, document: Any, *, max_bytes: int) -> Any:
    """A workspace after a patch.

    Parameters
    ----------
    patch : Patch
        As for `load`. The digests of a patch set must be those of `document`.
    document : dict
        Plain data of our own, which are modified.
    max_bytes : int
        Most that a file may hold; copying within the document may add a 64th of it.

    Raises
    ------
    WorkspaceError
        If the patch cannot be read, is for another workspace, or does not fit it.
    """
    choice: Any = patch
    if _is_choice(choice):
        source, name = choice
        patch_set = (
            source if isinstance(source, PatchSet) else PatchSet(source, max_bytes=max_bytes)
        )
        operations: Any = patch_set[name]
        patch_set.verify(document)
    else:
        operations = _operations(choice, max_bytes)
    return _applied(operations, document, max_bytes)


def _is_choice(patch: Any) -> bool:
    """Whether a patch is the pair of a patch set and the name, or values, of one of its patches."""
    return (
        isinstance(patch, tuple)
        and len(patch) == 2
        and isinstance(patch[1], str | tuple)
        and not (isinstance(patch[0], Mapping) and "op" in patch[0])
    )


def _operations(patch: Any, max_bytes: int) -> list[Any]:
    """Operations of a patch as plain data of our own, which applying them may modify."""
    pair = "to take a patch from a patch set, the pair (patch set, name)"
    if isinstance(patch, str | bytes | os.PathLike) or hasattr(patch, "read"):
        document = parse(read(patch, "[{", "patch", max_bytes=max_bytes), "patch")
    else:
        what = None if isinstance(patch, list | tuple) else recognise(patch)
        if what:
            raise WorkspaceError(f"patch: found {what}, expected a list of operations or, {pair}")
        document = plain(patch, "patch")
    if not isinstance(document, list):
        what = recognise(document) or show(document)
        raise WorkspaceError(f"patch: found {what}, expected a list of operations or, {pair}")
    return document


def _applied(operations: list[Any], document: Any, max_bytes: int) -> Any:
    """`document` after the operations, which modify it."""
    import jsonpatch  # Few workspaces are patched.

    n_copied = 0
    for i, operation in enumerate(operations):
        if not isinstance(operation, dict):
            raise WorkspaceError(f"patch[{i}]: found {show(operation)}, expected an object")
        try:
            if operation.get("op") == "copy":
                operation, n_copied = _as_addition(operation, document, n_copied, max_bytes)
            document = jsonpatch.JsonPatch([operation]).apply(document, in_place=True)
        except WorkspaceError as error:
            raise WorkspaceError(f"patch[{i}]: {error}") from None
        except (
            jsonpatch.JsonPatchException,
            jsonpatch.JsonPointerException,
            AttributeError,
            LookupError,
            TypeError,
            ValueError,
            RecursionError,
        ) as error:
            what = " ".join(str(operation.get(key))[:200] for key in ("op", "path"))
            raise WorkspaceError(f"patch[{i}]: cannot {what}: {str(error)[:200]}") from None
    return document


def _as_addition(
    operation: dict[str, Any], document: Any, n_copied: int, max_bytes: int
) -> tuple[dict[str, Any], int]:
    """A copy as the addition of what it copies, and how much text was copied up to here.

    Copies of copies would double a workspace time and again.
    """
    import jsonpatch

    text = msgspec.json.encode(jsonpatch.JsonPointer(operation["from"]).resolve(document))
    n_copied += len(text)
    if n_copied > max_bytes // _COPIES:
        raise WorkspaceError(
            f"what the patch copies grows to more than {max_bytes // _COPIES} bytes of text; if "
            f"that is meant, raise the limit, max_bytes={max_bytes}, a {_COPIES}th of which copies "
            "may take"
        )
    return {**operation, "op": "add", "value": msgspec.json.decode(text)}, n_copied
