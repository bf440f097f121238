"""Messages for rejected documents: the place, what was found, what was expected."""

from __future__ import annotations

import functools
import math
import re
import sys
from collections.abc import Iterable, Mapping
from typing import Any, TypeAlias

from msgspec import Struct, inspect

from nextstat._base.messages import listing, show, unknown
from nextstat.exceptions import WorkspaceError

Path: TypeAlias = tuple[str | int, ...]

_NOUNS = {
    "patches": "patch",
    "channels": "channel",
    "samples": "sample",
    "modifiers": "modifier",
    "observations": "observation",
    "measurements": "measurement",
    "parameters": "parameter",
}
_LONGEST_STEP = 80
_MOST_STEPS = 8  # at either end of a path
_TAG_NOUNS = {"type": "modifier type", "op": "operation"}


def render(path: Path, root: str = "$") -> str:
    """JSON path as text: `$.channels[0].name`."""
    steps = []
    for step in path:
        if isinstance(step, str) and len(step) > _LONGEST_STEP:
            steps.append(f"[{step[:_LONGEST_STEP]!r}...]")
        elif isinstance(step, str) and step.isidentifier():
            steps.append(f".{step}")
        else:
            steps.append(f"[{show(step)}]")
    if len(steps) > 2 * _MOST_STEPS:
        steps[_MOST_STEPS:-_MOST_STEPS] = [" ... "]
    return root + "".join(steps)


def names_on(path: Path, document: object) -> str:
    """Names of the things a path passes through: "channel 'SR', sample 'bkg'"."""
    found = []
    noun = None
    node: Any = document
    for step in path:
        if isinstance(step, str) and isinstance(node, Struct):
            node = getattr(node, step, None)
        elif isinstance(node, Mapping):
            node = node.get(step)
        elif isinstance(step, int) and isinstance(node, list | tuple) and step < len(node):
            node = node[step]
            name = node.get("name") if isinstance(node, Mapping) else getattr(node, "name", None)
            if noun and isinstance(name, str):
                found.append(f"{noun} {show(name)}")
        else:
            break
        noun = _NOUNS.get(step) if isinstance(step, str) else None
    return ", ".join(found)


def rejection(document: object, path: Path, message: str, *, root: str = "$") -> WorkspaceError:
    """The error for `message` at `path` of `document`."""
    names = names_on(path, document)
    return WorkspaceError(f"{render(path, root)}: {message}" + (f" [{names}]" if names else ""))


type_info = functools.cache(inspect.type_info)  # which takes a millisecond


def mismatch(value: object, expected: inspect.Type, path: Path = ()) -> tuple[Path, str] | None:
    """First place where plain JSON data departs from a type, and what is wrong there.

    Parameters
    ----------
    value : object
        dicts, lists, strings, numbers, booleans and None.
    expected : msgspec.inspect.Type
        What `type_info` says of the type.
    path : tuple
        Where `value` lies in the document.

    Returns
    -------
    tuple of (path, message), or None if the value has the type
    """
    match expected:
        case inspect.UnionType():
            return _union_mismatch(value, expected, path)
        case inspect.StructType() if isinstance(value, dict):
            return _struct_mismatch(value, expected, path)
        case inspect.VarTupleType(item_type=item, min_length=least) if isinstance(value, list):
            if len(value) >= (least or 0):
                return _first(mismatch(v, item, (*path, i)) for i, v in enumerate(value))
        case inspect.TupleType(item_types=items) if isinstance(value, list):
            if len(value) == len(items):
                pairs = enumerate(zip(value, items, strict=True))
                return _first(mismatch(v, t, (*path, i)) for i, (v, t) in pairs)
        case inspect.FloatType(gt=gt, ge=ge):
            number: Any = value if type(value) in (int, float) else math.nan
            too_low = (gt is not None and number <= gt) or (ge is not None and number < ge)
            if abs(number) <= sys.float_info.max and not too_low:
                return None
        case inspect.LiteralType(values=values):
            if value in values:
                return None
        case inspect.StrType(pattern=pattern):
            if isinstance(value, str) and (pattern is None or re.search(pattern, value)):
                return None
        case inspect.IntType():
            if type(value) is int:
                return None
        case inspect.BoolType():
            if isinstance(value, bool):
                return None
        case inspect.NoneType():
            if value is None:
                return None
        case inspect.AnyType() | inspect.RawType():
            return None
    return path, f"found {show(value)}, expected {_describe(expected)}"


def _first(problems: Iterable[tuple[Path, str] | None]) -> tuple[Path, str] | None:
    return next((problem for problem in problems if problem), None)


def _struct_mismatch(
    value: dict[str, object], expected: inspect.StructType, path: Path
) -> tuple[Path, str] | None:
    keys = [field.encode_name for field in expected.fields]
    known = keys if expected.tag_field is None else [*keys, expected.tag_field]
    for key in value:
        if key not in known and expected.forbid_unknown_fields:
            return (*path, key), unknown("key", key, known)
    for field in expected.fields:
        if field.required and field.encode_name not in value:
            expectation = f"expected {_describe(field.type)} there"
            return path, f"missing key {field.encode_name!r}, {expectation}"
    return _first(
        mismatch(value[field.encode_name], field.type, (*path, field.encode_name))
        for field in expected.fields
        if field.encode_name in value
    )


def _union_mismatch(value: object, union: inspect.UnionType, path: Path) -> tuple[Path, str] | None:
    types = union.types
    structs = {t.tag: t for t in types if isinstance(t, inspect.StructType)}
    if not structs:
        problems = [mismatch(value, each, path) for each in types]
        if None in problems:
            return None
        # A problem inside the value says more than that the value fits no alternative.
        deeper = _first(problem for problem in problems if problem and problem[0] != path)
        return deeper or (path, f"found {show(value)}, expected {_describe(union)}")
    if not isinstance(value, dict):
        return path, f"found {show(value)}, expected an object"
    tags = [str(tag) for tag in structs]
    key = str(next(iter(structs.values())).tag_field)
    if key not in value:
        return path, f"missing key {key!r}, expected one of {listing(tags)} there"
    tag = value[key]
    if not isinstance(tag, str):
        return (*path, key), f"found {show(tag)}, expected one of {listing(tags)}"
    if tag not in structs:
        return (*path, key), unknown(_TAG_NOUNS[key], tag, tags)
    return _struct_mismatch(value, structs[tag], path)


def _describe(expected: inspect.Type) -> str:
    match expected:
        case inspect.VarTupleType(item_type=inspect.FloatType() as item):
            return _describe(item).replace("a number", "a non-empty array of numbers")
        case inspect.VarTupleType(min_length=least):
            return "a non-empty array" if least else "an array"
        case inspect.TupleType(item_types=items):
            return f"an array of {len(items)} numbers"
        case inspect.FloatType(gt=gt, ge=ge):
            limit = f" > {gt:g}" if gt is not None else f" >= {ge:g}" if ge is not None else ""
            return f"a number{limit}"
        case inspect.LiteralType(values=values):
            return listing(map(str, values))
        case inspect.UnionType(types=types):
            return " or ".join(dict.fromkeys(_describe(each) for each in types))
        case inspect.StrType(pattern=pattern):
            return "a string" + (f" like {pattern}" if pattern else "")
        case inspect.IntType():
            return "a number"
        case inspect.AnyType() | inspect.RawType():
            return "a value"
        case inspect.BoolType():
            return "true or false"
        case inspect.NoneType():
            return "null"
    return "an object"
