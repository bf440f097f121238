"""Attack the reader of workspaces, patches and patch sets with libFuzzer.

    pip install atheris .
    python tests/fuzz/fuzz_reader.py -runs=1000000 -timeout=10 -rss_limit_mb=4096

Options are libFuzzer's; a folder given keeps the corpus. Each input is a letter that says what is
attacked, and what is read: text and files as they are, compressed, with a byte order mark or in
another encoding, from stdin, and documents made of a right one by a few changes. Anything but a
model or a `WorkspaceError` whose text is short is a finding; so is an accepted text in which a key
stands twice, a workspace that does not survive a round trip, and whatever takes longer than the
time limit. libFuzzer writes the input to a file ``crash-...``, which as an argument repeats it.
"""

from __future__ import annotations

import codecs
import copy
import gzip
import hashlib
import io
import json
import random
import sys
import tempfile
import warnings
from pathlib import Path
from typing import Any

import atheris

with atheris.instrument_imports(include=["nextstat", "jsonpatch", "jsonpointer"]):
    import jsonpatch  # noqa: F401

    import nextstat
    import nextstat._model.histfactory
    from nextstat.cli import options
    from nextstat.workspace import PatchSet, load

MODIFIERS = [
    {"name": "mu", "type": "normfactor", "data": None},
    {"name": "xs", "type": "normsys", "data": {"lo": 0.9, "hi": 1.1}},
    {"name": "jes", "type": "histosys", "data": {"lo_data": [4, 9], "hi_data": [6, 11]}},
    {"name": "stat", "type": "staterror", "data": [1.0, 2.0]},
    {"name": "shape", "type": "shapesys", "data": [1.0, 0.0]},
    {"name": "free", "type": "shapefactor", "data": None},
    {"name": "lumi", "type": "lumi", "data": None},
]
LUMI = {"name": "lumi", "auxdata": [1.0], "sigmas": [0.02], "inits": [1.0], "bounds": [[0.5, 1.5]]}
WORKSPACE: dict[str, Any] = {
    "channels": [
        {
            "name": "SR",
            "samples": [
                {"name": "s", "data": [5, 10.0], "modifiers": MODIFIERS[:4]},
                {"name": "b", "data": [50.0, 6e1], "modifiers": MODIFIERS[1:]},
            ],
        },
        {"name": "CR", "samples": [{"name": "b", "data": [9.0], "modifiers": [MODIFIERS[1]]}]},
    ],
    "observations": [{"name": "SR", "data": [53, 65]}, {"name": "CR", "data": [8.0]}],
    "measurements": [{"name": "m", "config": {"poi": "mu", "parameters": [LUMI]}}],
    "version": "1.0.0",
}
TEXT = json.dumps(WORKSPACE).encode()
PATCH = [
    {"op": "add", "path": "/channels/1/samples/-", "value": WORKSPACE["channels"][0]["samples"][0]},
    {"op": "replace", "path": "/channels/1/samples/1/data", "value": [1.0]},
    {"op": "replace", "path": "/channels/1/samples/1/modifiers", "value": [MODIFIERS[0]]},
    {"op": "copy", "from": "/observations/1/data/0", "path": "/observations/1/data/-"},
    {"op": "move", "from": "/observations/1/data/1", "path": "/observations/1/data/0"},
    {"op": "remove", "path": "/observations/1/data/0"},
    {"op": "test", "path": "/version", "value": "1.0.0"},
]
DIGEST = hashlib.sha256(json.dumps(WORKSPACE, sort_keys=True).encode()).hexdigest()
PATCH_SET = {
    "metadata": {
        "references": {"hepdata": "ins1234567"},
        "digests": {"sha256": DIGEST},
        "labels": ["m"],
        "description": "d",
    },
    "patches": [{"metadata": {"name": "p", "values": [1]}, "patch": PATCH}],
    "version": "1.0.0",
}
VALUES: list[Any] = [
    *(None, True, False, 0, -1, 1e308, -1e308, 5e-324, 1e-300, 10**400, float("nan"), float("inf")),
    *("", "mu", "lumi", "SR", "stat", "none", "1.0.0", "\ud800", "\u00e9", "e\u0301", "x" * 5000),
    *([], {}, [0.0], [1.0, 2.0], [-5.0, 5.0], [[2.0, 1.0]], {"lo": 1e-300, "hi": 1e300}),
    *MODIFIERS,
]


def places(node: Any) -> list[tuple[Any, Any]]:
    """Everything inside a document, as its container and key."""
    children: Any = node.items() if isinstance(node, dict) else ()
    if isinstance(node, list):
        children = enumerate(node)
    return [place for key, item in list(children) for place in [(node, key), *places(item)]]


def of_the_same_kind(value: Any, provider: atheris.FuzzedDataProvider) -> Any:
    """Another number for a number, another name for a name."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        numbers = [*(x for x in VALUES if type(x) in (int, float)), provider.ConsumeFloat()]
        return numbers[provider.ConsumeIntInRange(0, len(numbers) - 1)]
    if isinstance(value, str):
        names = [x for x in VALUES if isinstance(x, str)]
        names += [str(modifier[key]) for modifier in MODIFIERS for key in ("name", "type")]
        return names[provider.ConsumeIntInRange(0, len(names) - 1)]
    return value


def mutated(document: Any, provider: atheris.FuzzedDataProvider) -> Any:
    """A document with some of its parts replaced, removed, repeated or exchanged."""
    document = copy.deepcopy(document)
    for _ in range(provider.ConsumeIntInRange(1, 4)):
        choices = places(document)
        if not choices:
            break
        container, key = choices[provider.ConsumeIntInRange(0, len(choices) - 1)]
        match provider.ConsumeIntInRange(0, 8):
            case 0:
                del container[key]
            case 1 if isinstance(container, list):
                container.insert(key, copy.deepcopy(container[key]))
            case 2 | 6 | 7 | 8:
                container[key] = of_the_same_kind(container[key], provider)
            case 3:
                container[key] = provider.ConsumeUnicode(8)
            case 4:
                other, at = choices[provider.ConsumeIntInRange(0, len(choices) - 1)]
                if (isinstance(other, dict) and at in other) or (
                    isinstance(other, list) and at < len(other)
                ):
                    container[key] = copy.deepcopy(other[at])
            case _:
                value = VALUES[provider.ConsumeIntInRange(0, len(VALUES) - 1)]
                container[key] = copy.deepcopy(value)
    return document


def digested(patch_set: Any, workspace: Any) -> Any:
    """A patch set with the digest of a workspace, where it has a place for one."""
    text = json.dumps(workspace, sort_keys=True, ensure_ascii=False)
    try:
        digest = hashlib.sha256(text.encode()).hexdigest()
        patch_set["metadata"]["digests"]["sha256"] = digest
    except (UnicodeEncodeError, TypeError, KeyError, IndexError):
        pass  # it stays as it was
    return patch_set


def dressed(text: str, provider: atheris.FuzzedDataProvider) -> bytes:
    """A text as bytes in one of the ways in which files come."""
    match provider.ConsumeIntInRange(0, 5):
        case 0:
            return codecs.BOM_UTF8 + text.encode()
        case 1:
            return codecs.BOM_UTF8 * 2 + text.encode()
        case 2:
            return text.encode("utf-16")
        case 3:
            return b" \r\n\t" + text.encode()
        case 4:
            at = provider.ConsumeIntInRange(0, len(text))
            return text[:at].encode() + provider.ConsumeBytes(2) + text[at:].encode()
        case _:
            return text.encode()


def compressed(data: bytes, provider: atheris.FuzzedDataProvider) -> bytes:
    """A gzip file of one or two members, whole, cut, damaged or followed by something else."""
    at = provider.ConsumeIntInRange(0, len(data))
    match provider.ConsumeIntInRange(0, 5):
        case 0:
            return gzip.compress(data[:at]) + gzip.compress(data[at:])
        case 1:
            whole = gzip.compress(data)
            return whole[: provider.ConsumeIntInRange(0, len(whole))]
        case 2:
            return gzip.compress(data) + provider.ConsumeBytes(20)
        case 3:
            damaged = bytearray(gzip.compress(data))
            damaged[provider.ConsumeIntInRange(0, len(damaged) - 1)] ^= 1 << (at % 8)
            return bytes(damaged)
        case _:
            return gzip.compress(data)


def from_file(data: bytes, suffix: str) -> nextstat.HistFactoryModel:
    """A model read from a path."""
    with tempfile.NamedTemporaryFile(suffix=suffix) as file:
        Path(file.name).write_bytes(data)
        return nextstat.from_pyhf(file.name, max_bytes=5000)


def from_stdin(data: bytes) -> nextstat.HistFactoryModel:
    """A model read as the command line reads ``-``."""
    before = sys.stdin
    sys.stdin = io.TextIOWrapper(io.BytesIO(data))  # whose bytes are read
    try:
        return options.load("-", None, None, None, None, "code4,code4p", max_bytes=5000)
    finally:
        sys.stdin = before


def refuse_twins(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    keys = [key for key, _ in pairs]
    assert len(set(keys)) == len(keys), f"accepted though a key stands twice: {keys}"
    return dict(pairs)


def attack(kind: bytes, rest: bytes) -> nextstat.HistFactoryModel:
    """Read what an input is made to be."""
    provider = atheris.FuzzedDataProvider(rest)
    match kind:
        case b"w":
            model = nextstat.from_pyhf(b"{" + rest)
            json.loads((b"{" + rest).decode("utf-8-sig"), object_pairs_hook=refuse_twins)
            return model
        case b"f":
            return nextstat.from_pyhf(io.BytesIO(rest), max_bytes=5000)
        case b"z":
            return from_file(rest, ".json.gz")
        case b"p":
            return nextstat.from_pyhf(TEXT, patch=b"[" + rest, max_bytes=64_000)
        case b"s":
            patch_set = PatchSet(b"{" + rest)
            return nextstat.from_pyhf(TEXT, patch=(patch_set, patch_set.names[0]))
        case b"P":
            return nextstat.from_pyhf(TEXT, patch=mutated(PATCH, provider), max_bytes=640_000)
        case b"S":
            return nextstat.from_pyhf(TEXT, patch=(mutated(PATCH_SET, provider), "p"))
        case b"M":
            workspace = mutated(WORKSPACE, provider)
            patch_set = PatchSet(digested(mutated(PATCH_SET, provider), workspace))
            name, values = next(iter(patch_set))
            assert patch_set[name] == patch_set[values]
            return nextstat.from_pyhf(workspace, patch=(patch_set, values), max_bytes=640_000)
        case b"J":
            return nextstat.from_pyhf(json.dumps(mutated(WORKSPACE, provider)))
        case b"B":
            text = json.dumps(mutated(WORKSPACE, provider), ensure_ascii=True)
            return nextstat.from_pyhf(dressed(text, provider))
        case b"F":
            text = json.dumps(mutated(WORKSPACE, provider), ensure_ascii=True)
            return from_file(dressed(text, provider), ".json")
        case b"T":
            text = json.dumps(mutated(WORKSPACE, provider))
            return nextstat.from_pyhf(io.StringIO("\ufeff" * provider.ConsumeBool() + text))
        case b"Z":
            text = json.dumps(mutated(WORKSPACE, provider))
            return from_file(compressed(dressed(text, provider), provider), ".json.gz")
        case b"G":
            text = json.dumps(mutated(PATCH_SET, provider))
            with tempfile.NamedTemporaryFile(suffix=".gz") as file:
                Path(file.name).write_bytes(compressed(dressed(text, provider), provider))
                patch_set = PatchSet(file.name, max_bytes=5000)
            return nextstat.from_pyhf(TEXT, patch=(patch_set, patch_set.names[-1]))
        case b"-":
            return from_stdin(rest)
        case b"_":
            text = json.dumps(mutated(WORKSPACE, provider))
            return from_stdin(dressed(text, provider))
    return nextstat.from_pyhf(mutated(WORKSPACE, provider))


def check(data: bytes) -> None:
    """One input: a model, or the one error that is right."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.simplefilter("ignore", nextstat.WorkspaceWarning)
        message = None
        try:
            model = attack(data[:1], data[1:])
        except nextstat.WorkspaceError as error:
            message = str(error)
        if message is None:
            model.nll(model.init)
            repr(model)
        else:
            assert 0 < len(message) <= 2000
            assert message.startswith(("$", "patch"))


def check_round_trip() -> None:
    """The document that everything is made of is itself accepted."""
    workspace = load(TEXT)
    assert load(workspace.to_json()) == workspace
    for patch in (PATCH, (PATCH_SET, "p")):
        assert nextstat.from_pyhf(TEXT, patch=patch).poi == "mu"


def write_seeds(folder: Path) -> None:
    """Inputs to start from."""
    seeds = {
        "w": TEXT[1:],
        "f": TEXT,
        "p": json.dumps(PATCH).encode()[1:],
        "s": json.dumps(PATCH_SET).encode()[1:],
        "z": gzip.compress(TEXT),
        "-": TEXT,
    }
    for kind, rest in seeds.items():
        (folder / f"seed-{ord(kind)}").write_bytes(kind.encode() + rest)
    draw = random.Random(1)
    for kind in "PSMJDBFTZG_":
        for i in range(20):
            (folder / f"seed-{ord(kind)}-{i}").write_bytes(kind.encode() + draw.randbytes(40))


def main() -> None:
    if Path(nextstat.__file__).is_relative_to(Path(__file__).parents[2]):
        sys.exit("libFuzzer sees nothing of an editable install; use one without -e")
    check_round_trip()
    with tempfile.TemporaryDirectory() as seeds:
        write_seeds(Path(seeds))
        repeats = any(Path(argument).is_file() for argument in sys.argv[1:])
        atheris.Setup([*sys.argv, "-max_len=4096", *([] if repeats else [seeds])], check)
        atheris.Fuzz()


if __name__ == "__main__":
    main()
