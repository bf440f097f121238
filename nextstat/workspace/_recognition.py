"""Names for what is given in place of a pyhf workspace, and what to do with it."""

from __future__ import annotations

import re
from collections.abc import Mapping

# What a text or a file starts with, or has at the start of a line among its first; what it is and
# what to do. The first that fits counts.
_TEXTS = [
    (rb"\Aroot", "a ROOT file", "convert the HistFactory XML behind it with `pyhf xml2json`"),
    (rb"\A\x1f\x8b", "gzip-compressed", "rename it so that it ends in .gz, or unpack it"),
    (rb"\APK\x03\x04", "a zip archive", "unpack it and pass a JSON file inside"),
    (rb"\A(\xfd7zXZ|BZh|\x28\xb5\x2f\xfd)", "compressed, but not by gzip", "unpack it"),
    (rb"\A[\s\S]{257}ustar", "a tar archive", "unpack it and pass a JSON file inside"),
    (rb"\A\x89HDF", "an HDF5 file", "pass the pyhf JSON"),
    (rb"\A(\xff\xfe|\xfe\xff)", "UTF-16 text", "save it as UTF-8"),
    (rb"\Aversion https://git-lfs", "a pointer of Git LFS", "fetch the file with `git lfs pull`"),
    (
        rb"\A\s*<[\s\S]*<(!DOCTYPE )?(Combination|Channel)\b|\A<(Combination|Channel)\b",
        "HistFactory XML",
        "convert the top-level XML with `pyhf xml2json`",
    ),
    (rb"(?i)\A\s*<(!doctype )?html", "a web page", "download the file behind it"),
    (rb"\A\s*<", "XML", "if it is of HistFactory, convert it with `pyhf xml2json`"),
    (
        rb"(?m)^[ \t]*[ijk]max[ \t]+[\d*]",
        "a Combine data card",
        "convert it to pyhf JSON first; Combine's own text format is not read",
    ),
    (
        rb"(?m)^Job:[ \t]",
        "a TRExFitter configuration",
        "run the step 'w' of trex-fitter, then `pyhf xml2json` on the XML in RooStats",
    ),
    (
        rb"(?m)^General:",
        "a cabinetry configuration",
        "pass what cabinetry.workspace.build makes of it",
    ),
    (rb"(?m)^channels:", "YAML", "convert it to JSON"),
    (rb"\A\s*\[", "a JSON array", "if it is a JSON patch, pass it as patch= beside a workspace"),
    (
        rb'\A\s*\{\s*"(patches|metadata)"\s*:',
        "a patch set",
        "pass it as patch=(patch set, name)",
    ),
    (
        rb'\A\s*\{\s*"(channels|observations|measurements|version)"\s*:',
        "a workspace",
        "pass it as the workspace, not as a patch",
    ),
]

_PYHF_MODEL = (
    "which holds neither observations nor a measurement; pass the pyhf.Workspace or the "
    "dict that it was made from"
)
# Types by the module they come from, without importing it, and their name.
_TYPES = {
    ("pyhf", "Model"): f"a pyhf.Model, {_PYHF_MODEL}",
    ("pyhf", "PatchSet"): (
        "a pyhf.PatchSet; pass patch=(file or dict that it was made from, name of a patch)"
    ),
    ("pyhf", "Patch"): "a pyhf patch; pass its operations, list(patch)",
    (
        "jsonpatch",
        "JsonPatch",
    ): "a jsonpatch.JsonPatch; pass its operations, list(patch)",
    (
        "nextstat",
        "HistFactoryModel",
    ): "a HistFactoryModel, which is a model already",
    ("nextstat", "PatchSet"): (
        "a PatchSet; pass it as patch=(patch set, name) beside the background-only workspace"
    ),
    ("nextstat", "FitResult"): "a FitResult; pass the workspace that was fitted",
}


def recognise_text(head: bytes) -> str | None:
    """What a text or a file is, by its first 4,096 bytes, and what to do; None if unknown."""
    for sign, what, advice in _TEXTS:
        if re.search(sign, head[:4096]):
            return f"{what}; {advice}"
    return None


def recognise(value: object) -> str | None:
    """What an object or a decoded document is, and what to do; None if unknown."""
    if isinstance(value, Mapping):
        return _recognise_keys(value)
    for type_ in type(value).__mro__:
        found = _TYPES.get((type_.__module__.partition(".")[0], type_.__name__))
        if found:
            return found
    if type(value).__module__.startswith("uproot"):
        return f"a {type(value).__name__} of uproot; pass the pyhf JSON, made with `pyhf xml2json`"
    return None


def _recognise_keys(document: Mapping[object, object]) -> str | None:
    """What a document is, by its keys."""
    metadata = document.get("metadata")
    if "distributions" in document or (isinstance(metadata, Mapping) and "hs3_version" in metadata):
        return "an HS3 document, another format; pass the pyhf JSON of the same model"
    if "patches" in document:
        return (
            "a patch set; pass it as patch=(patch set, name) beside the background-only workspace"
        )
    if "op" in document and "path" in document:
        return "an operation of a JSON patch; pass [operation] as patch= beside a workspace"
    if "General" in document and ("Regions" in document or "Samples" in document):
        return "a cabinetry configuration; pass what cabinetry.workspace.build makes of it"
    if "channels" in document and not document.keys() - {"channels", "parameters"}:
        return f"the specification of a pyhf.Model, {_PYHF_MODEL}"
    return None
