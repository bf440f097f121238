"""The house of `nextstat/`: imports go down, from floor to floor, and no two rooms need each other.

A room is a package or a module right below `nextstat/`. Imports within functions and for type
checkers count as well. `python tests/test_rooms.py` prints floors and imports.
"""

from __future__ import annotations

import ast
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import nextstat

PACKAGE = Path(nextstat.__file__).parent
FACE = "__init__"

# From the ground to the roof. What stands on a floor imports from floors below, and from its own
# as long as no circle comes of it.
FLOORS = [
    {"exceptions", "_core", "_base"},
    {"_execution", "workspace", "datasets"},
    {"histogram", "_model"},
    {"_events", "_fits"},
    {"_inference"},
    {"_gradients", "interpret"},
    {"torch", "_estimators", "plot", "mlops"},
    {"metrics", "inspection", "callbacks"},
    {FACE},
    {"cli"},
]
FLOOR_OF = {room: i for i, floor in enumerate(FLOORS, start=1) for room in floor}

# Modules that stand outside of the room that they belong to.
ROOM_OF: dict[str, str] = {}


class Import(NamedTuple):
    """One module imports another: their dotted names, and the line that does so."""

    by: str
    of: str
    line: str


def is_module(name: str) -> bool:
    path = PACKAGE.parent.joinpath(*name.split("."))
    return path.is_dir() or any(path.with_suffix(end).exists() for end in (".py", ".pyi", ".pyx"))


def targets(node: ast.AST) -> list[str]:
    """The modules that a statement imports, relative ones aside."""
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    if not isinstance(node, ast.ImportFrom):
        return []
    assert node.level == 0, "imports in nextstat/ are absolute"
    if node.module == "nextstat":  # the face itself, whatever comes through it
        return ["nextstat"]
    names = [f"{node.module}.{alias.name}" for alias in node.names]
    return [name if is_module(name) else str(node.module) for name in names]


def imports() -> Iterator[Import]:
    for path in sorted([*PACKAGE.rglob("*.py"), *PACKAGE.rglob("*.pyi")]):
        place = path.relative_to(PACKAGE.parent)
        parts = place.with_suffix("").parts
        name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            for target in dict.fromkeys(targets(node)):
                if target.partition(".")[0] == "nextstat":
                    yield Import(name, target, f"{place}:{node.lineno}")


def room(module: str) -> str:
    first = module.split(".")[1] if "." in module else FACE
    return ROOM_OF.get(first, first)


def between_rooms() -> list[Import]:
    return [step for step in imports() if room(step.by) != room(step.of)]


def circles(graph: dict[str, set[str]]) -> list[list[str]]:
    """Ways from a node back to itself, one for each node that has some (the shortest)."""
    found = {}
    for start in graph:
        ways = [[start, following] for following in sorted(graph[start])]
        seen = set(graph[start])
        for way in ways:
            if way[-1] == start:
                found[frozenset(way)] = way
                break
            new = sorted(graph.get(way[-1], set()) - seen)
            ways += [[*way, following] for following in new]
            seen.update(new)
    return list(found.values())


def joined(pairs: Iterator[tuple[str, str]]) -> dict[str, set[str]]:
    graph: dict[str, set[str]] = {}
    for by, of in pairs:
        graph.setdefault(by, set()).add(of)
    return graph


def test_every_module_stands_in_a_room_of_a_floor():
    modules = [path.stem for path in PACKAGE.iterdir() if path.suffix in (".py", ".pyi", ".pyx")]
    packages = [path.parent.name for path in PACKAGE.glob("*/__init__.py")]
    assert {ROOM_OF.get(name, name) for name in modules + packages} == set(FLOOR_OF)
    assert set(ROOM_OF) <= set(modules), "no such module any more"


def test_no_room_imports_from_a_floor_above():
    upward = [
        f"{step.line}: {room(step.by)} (floor {FLOOR_OF[room(step.by)]}) imports {step.of} of "
        f"{room(step.of)} (floor {FLOOR_OF[room(step.of)]})"
        for step in between_rooms()
        if FLOOR_OF[room(step.of)] > FLOOR_OF[room(step.by)]
    ]
    assert not upward, "\n".join([f"{len(upward)} imports go upwards:", *upward])


def test_no_rooms_need_each_other():
    found = circles(joined((room(step.by), room(step.of)) for step in between_rooms()))
    assert not found, [" -> ".join(way) for way in found]


def test_no_modules_need_each_other():
    found = circles(joined((step.by, step.of) for step in imports() if step.by != step.of))
    assert not found, [" -> ".join(way) for way in found]


def test_circles_are_found():
    assert circles({"a": {"b"}, "b": {"c"}, "c": {"d"}}) == []
    (found,) = circles({"x": {"a"}, "a": {"b"}, "b": {"c", "d"}, "c": {"a"}, "d": set()})
    assert set(found) == {"a", "b", "c"}
    assert found[0] == found[-1]


if __name__ == "__main__":
    counts = Counter((room(step.by), room(step.of)) for step in between_rooms())
    for floor in reversed(FLOORS):
        print(f"\nfloor {FLOOR_OF[next(iter(floor))]}: {', '.join(sorted(floor))}")
        for (by, of), n in sorted(counts.items()):
            if by in floor:
                way = "UP to" if FLOOR_OF[of] > FLOOR_OF[by] else "to"
                print(f"    {by} {way} {of}: {n}")
