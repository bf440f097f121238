"""Patch sets: pyhf's schema, the digests of the workspace they are for, limits of patches."""

import copy
import gzip
import hashlib
import io
import json
import os
import pickle
import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import nextstat
from nextstat.exceptions import WorkspaceError
from nextstat.workspace import PatchSet, load
from nextstat.workspace._patch_set import _sorted

MU = {"name": "mu", "type": "normfactor", "data": None}


def background() -> dict[str, Any]:
    """A background-only workspace with integers, which digests tell from floats."""
    return {
        "channels": [
            {"name": "SRé", "samples": [{"name": "bkg", "data": [50, 40.0], "modifiers": []}]}
        ],
        "observations": [{"name": "SRé", "data": [52, 41]}],
        "measurements": [{"name": "m", "config": {"poi": "mu", "parameters": []}}],
        "version": "1.0.0",
    }


def digest(document: Any, algorithm: str = "sha256") -> str:
    """As pyhf.utils.digest computes it."""
    text = json.dumps(document, sort_keys=True, ensure_ascii=False).encode("utf8")
    return hashlib.new(algorithm, text).hexdigest()


def signal(*data: float) -> list[dict[str, Any]]:
    value = {"name": "signal", "data": list(data), "modifiers": [MU]}
    return [{"op": "add", "path": "/channels/0/samples/0", "value": value}]


def patch_set(**digests: str) -> dict[str, Any]:
    return {
        "metadata": {
            "references": {"hepdata": "ins1234567"},
            "description": "two points",
            "digests": digests or {"sha256": digest(background())},
            "labels": ["m_stop", "decay"],
            "analysis_id": "further keys are allowed here",
        },
        "patches": [
            {"metadata": {"name": "p_1", "values": [100, "bb"]}, "patch": signal(3.0, 2.0)},
            {"metadata": {"name": "p_2", "values": [200.5, "bb"]}, "patch": signal(1.0, 1.0)},
        ],
        "version": "1.0.0",
    }


def test_a_patch_set_is_held_and_listed(tmp_path: Path) -> None:
    text = json.dumps(patch_set())
    path = tmp_path / "set.json.gz"
    path.write_bytes(gzip.compress(text.encode()))
    for source in (patch_set(), text, text.encode(), path, io.BytesIO(text.encode())):
        held = PatchSet(source)
        assert held.names == ("p_1", "p_2")
        assert held.labels == ("m_stop", "decay")
        assert held.values == ((100, "bb"), (200.5, "bb"))
        assert held.references == {"hepdata": "ins1234567"}
        assert held.description == "two points"
        assert held.digests == {"sha256": digest(background())}
        assert [point.name for point in held] == ["p_1", "p_2"]
        assert [point.values for point in held] == list(held.values)
        assert len(held) == 2
        assert "p_1" in held
        assert "p_3" not in held
        assert held["p_2"] == held[200.5, "bb"] == signal(1.0, 1.0)
        assert repr(held) == "<PatchSet: 2 patches, labels 'm_stop', 'decay'>"
        assert pickle.loads(pickle.dumps(held))["p_1"] == held["p_1"]
        model = nextstat.from_pyhf(background(), patch=(held, "p_1"))
        assert model.expected_data([2.0]).tolist() == [56.0, 44.0]
        by_values = load(background(), patch=(held, (100, "bb")))
        assert by_values == load(background(), patch=(held, "p_1"))


def test_operations_are_given_out_as_copies() -> None:
    held = PatchSet(patch_set())
    held["p_1"][0]["value"]["data"][0] = 99.0
    assert held["p_1"] == signal(3.0, 2.0)
    source = patch_set()
    held = PatchSet(source)
    source["patches"][0]["patch"].clear()
    assert held["p_1"] == signal(3.0, 2.0)
    with pytest.raises(AttributeError, match="immutable"):
        held.names = ()
    with pytest.raises(AttributeError, match="immutable"):
        del held.names


# Digests ------------------------------------------------------------------------------------------


def with_floats() -> dict[str, Any]:
    document: dict[str, Any] = json.loads(json.dumps(background()), parse_int=float)
    return document


def with_other_yield() -> dict[str, Any]:
    document = background()
    document["channels"][0]["samples"][0]["data"][0] = 5000
    return document


def in_other_order() -> dict[str, Any]:
    return dict(reversed(background().items()))


@pytest.mark.parametrize("algorithm", ["sha256", "md5"])
@pytest.mark.parametrize("form", [dict, json.dumps, lambda d: json.dumps(d).encode()])
def test_digest_of_the_workspace(algorithm: str, form: Callable[[Any], Any]) -> None:
    choice = (patch_set(**{algorithm: digest(background(), algorithm)}), "p_1")
    assert len(load(form(background()), patch=choice).channels[0].samples) == 2
    assert load(form(in_other_order()), patch=choice) == load(form(background()), patch=choice)
    for other in (with_floats(), with_other_yield()):
        with pytest.raises(WorkspaceError) as caught:
            load(form(other), patch=choice)
        message = str(caught.value)
        assert message.startswith(f"patch.metadata.digests.{algorithm}: ")
        assert digest(other, algorithm) in message
        assert digest(background(), algorithm) in message


def test_every_digest_counts() -> None:
    both = {"sha256": digest(background()), "md5": digest(background(), "md5")}
    load(background(), patch=(patch_set(**both), "p_1"))
    for wrong in ({"sha256": "0" * 64}, {"md5": "0" * 32}):
        with pytest.raises(WorkspaceError, match="is for another workspace"):
            load(background(), patch=(patch_set(**both | wrong), "p_1"))
    upper = {"sha256": digest(background()).upper()}  # which the schema allows
    load(background(), patch=(patch_set(**upper), "p_1"))


def test_advice_on_a_wrong_digest() -> None:
    choice = (PatchSet(patch_set()), "p_1")
    decoded = load(background())  # has forgotten which numbers were integers
    with pytest.raises(WorkspaceError, match=r"as a file or as the dict that json\.load gives"):
        load(decoded, patch=choice)
    expected = load(json.loads(json.dumps(background())), patch=choice)
    with pytest.raises(WorkspaceError, match=r"pass the operations alone, patch=patch_set\[name\]"):
        load(with_floats(), patch=choice)
    assert load(with_floats(), patch=choice[0]["p_1"]) == expected
    assert load(decoded, patch=choice[0]["p_1"]) == expected


# Schema -------------------------------------------------------------------------------------------

DELETE = object()
META = "metadata"
FIRST = "patches/0/metadata"


def changed(place: str, value: Any) -> dict[str, Any]:
    document = patch_set()
    *path, last = [int(step) if step.isdigit() else step for step in place.split("/")]
    node: Any = document
    for step in path:
        node = node[step]
    if value is DELETE:
        del node[last]
    else:
        node[last] = value
    return document


BAD: list[tuple[str, Any, str]] = [
    ("patches", DELETE, "patch: missing key 'patches', expected a non-empty array there"),
    ("metadata", DELETE, "patch: missing key 'metadata'"),
    ("version", DELETE, "patch: missing key 'version', expected '1.0.0' there"),
    ("version", "1.0.1", "patch.version: found '1.0.1', expected '1.0.0'"),
    ("name", "x", "patch.name: unknown key 'name'"),
    ("patches", [], "patch.patches: found an empty array, expected a non-empty array"),
    (f"{META}/references", {}, "patch.metadata.references: missing key 'hepdata'"),
    (f"{META}/references", {"doi": "x"}, "patch.metadata.references.doi: unknown key 'doi'"),
    (
        f"{META}/references/hepdata",
        "ins123456",
        "patch.metadata.references.hepdata: found 'ins123456', expected a string like ^ins[0-9]",
    ),
    (
        f"{META}/digests",
        {},
        "patch.metadata.digests: found an empty object, expected 'sha256' or 'md5'",
    ),
    (f"{META}/digests", {"sha1": "0" * 40}, "patch.metadata.digests.sha1: unknown key 'sha1'"),
    (f"{META}/digests/sha256", "0" * 63, "patch.metadata.digests.sha256: found '000"),
    (f"{META}/digests/md5", "A" * 32, "patch.metadata.digests.md5: found 'AAA"),
    (f"{META}/labels", DELETE, "patch.metadata: missing key 'labels'"),
    (f"{META}/labels", [], "patch.metadata.labels: found an empty array"),
    (f"{META}/labels/1", "m stop", "patch.metadata.labels[1]: found 'm stop', expected a string l"),
    (f"{META}/description", DELETE, "patch.metadata: missing key 'description', expected a string"),
    (f"{META}/description", 3, "patch.metadata.description: found 3, expected a string"),
    (f"{FIRST}/name", DELETE, "patch.patches[0].metadata: missing key 'name'"),
    (f"{FIRST}/name", "p.1", "patch.patches[0].metadata.name: found 'p.1', expected a string like"),
    (
        f"{FIRST}/name",
        "p_2",
        "patch.patches[1].metadata.name: duplicate name 'p_2', already used at patch.patches[0]",
    ),
    (f"{FIRST}/values", DELETE, "patch.patches[0].metadata: missing key 'values'"),
    (
        f"{FIRST}/values",
        [200.5, "bb"],
        "patch.patches[1].metadata.values: duplicate values [200.5, 'bb'], already used at",
    ),
    (
        f"{FIRST}/values",
        [1],
        "patch.patches[0].metadata.values: found 1 values, expected one for each of the 2 labels "
        "[patch 'p_1']",
    ),
    (
        f"{FIRST}/values/0",
        None,
        "patch.patches[0].metadata.values[0]: found null, expected a number or a string",
    ),
    (f"{FIRST}/values/0", True, "patch.patches[0].metadata.values[0]: found true, expected a num"),
    ("patches/1/patch", DELETE, "patch.patches[1]: missing key 'patch', expected an array there"),
    ("patches/1/comment", "", "patch.patches[1].comment: unknown key 'comment'"),
    ("patches/1/patch", {}, "patch.patches[1].patch: found an object, expected an array"),
    ("patches/1/patch/0/op", "ad", "patch.patches[1].patch[0].op: unknown operation 'ad' (did you"),
    ("patches/1/patch/0/op", DELETE, "patch.patches[1].patch[0]: missing key 'op', expected one"),
    ("patches/1/patch/0/path", DELETE, "patch.patches[1].patch[0]: missing key 'path'"),
    ("patches/1/patch/0/path", 1, "patch.patches[1].patch[0].path: found 1, expected a string"),
    ("patches/1/patch/0/value", DELETE, "patch.patches[1].patch[0]: missing key 'value', expected"),
    (
        "patches/1/patch/0",
        {"op": "copy", "path": "/a"},
        "patch.patches[1].patch[0]: missing key",
    ),
]


@pytest.mark.parametrize("form", [dict, json.dumps])
@pytest.mark.parametrize(("place", "value", "message"), BAD)
def test_bad_patch_sets(place: str, value: Any, message: str, form: Callable[[Any], Any]) -> None:
    """Also where the patch that is asked for is another one."""
    document = changed(place, value)
    before = copy.deepcopy(document)
    with pytest.raises(WorkspaceError, match="^" + re.escape(message)):
        load(background(), patch=(form(document), "p_2"))
    assert document == before


def test_documents_that_are_no_patch_set() -> None:
    for document, message in (
        (background(), "patch: unknown key|patch.channels: unknown key 'channels'"),
        ({}, "patch: missing key 'metadata'"),
        ([], r"patch: found a list, expected JSON that starts with '\{'"),
        ("nowhere.json", "patch: no such file 'nowhere.json'"),
        ("[1]", "patch: no such file '.1.'; it is a JSON array; if it is a JSON patch, pass it"),
    ):
        with pytest.raises(WorkspaceError, match="^" + message):
            PatchSet(document)  # type: ignore[arg-type]


def test_unknown_patches() -> None:
    with pytest.raises(WorkspaceError, match=r"unknown patch 'p_3' \(did you mean 'p_[12]'\?\)"):
        load(background(), patch=(patch_set(), "p_3"))
    many = patch_set()
    many["patches"] = [
        {"metadata": {"name": f"p{i}", "values": [i, ""]}, "patch": []} for i in range(500)
    ]
    with pytest.raises(WorkspaceError, match=re.escape("'p9' and 490 more")):
        load(background(), patch=(many, "zzz"))
    with pytest.raises(WorkspaceError, match=re.escape("unknown patch '[100]'")):
        PatchSet(patch_set())[(100,)]


KEYS = {
    '"version": "1.0.0"': '"version": "1.0.0", "version": "1.0.0"',
    '"labels": [': '"labels": ["a"], "labels": [',
    '"name": "p_1"': '"name": "p_0", "name": "p_1"',
    '"patch": [': '"patch": [], "patch": [',
    '"patches": [': '"patches": [{"x": {"y": ": : :"}}], "patches": [',
    '"op": "add"': '"op": "add", "op": "add"',
    '"data": [3.0': '"data": [1.0, 1.0], "data": [3.0',
    '"name": "mu"': '"name": "mu", "name": "mu"',
}


@pytest.mark.parametrize(("once", "twice"), KEYS.items())
def test_keys_that_stand_twice(once: str, twice: str) -> None:
    text = json.dumps(patch_set())
    assert once in text
    key = once.split('"')[1]
    with pytest.raises(WorkspaceError, match=f"^patch.*: the key '{key}' stands 2 times in one"):
        load(background(), patch=(text.replace(once, twice, 1), "p_1"))


def test_colons_in_strings_are_no_keys() -> None:
    document = patch_set()
    document["metadata"]["description"] = 'a: b, "c": {"c": "c"}'
    document["patches"][0]["patch"].append(
        {"op": "replace", "path": "/measurements/0/name", "value": "a:b"}
    )
    assert load(background(), patch=(json.dumps(document), "p_1")).measurements[0].name == "a:b"


# Published ones -----------------------------------------------------------------------------------

FORMATS = Path(os.environ.get("NEXTSTAT_FORMATS", Path(__file__).parents[3] / "shared" / "formats"))
needs_formats = pytest.mark.skipif(not FORMATS.is_dir(), reason=f"no folder {FORMATS}")


@needs_formats
def test_good_and_bad_ones_of_pyhf() -> None:
    paths = sorted((FORMATS / "patchsets" / "pyhf-tests").glob("*.json"))
    assert len(paths) > 10
    for path in paths:
        if "bad" in path.name:
            with pytest.raises(WorkspaceError, match=r"^patch"):
                PatchSet(path)
        else:
            assert len(PatchSet(path)) >= 1


@needs_formats
@pytest.mark.parametrize(
    ("name", "n"), [("susy-2018-04-stau-highMass", 57), ("susy-2019-08-1lbb", 125)]
)
def test_published_patch_sets(name: str, n: int) -> None:
    """All points are listed and applied without decoding the set time and again."""
    folder = FORMATS / "patchsets" / name
    held = PatchSet(folder / "patchset.json.gz")
    assert len(held) == len(held.names) == n
    start = time.process_time()
    for point in list(held)[:5]:
        model = nextstat.from_pyhf(folder / "BkgOnly.json.gz", patch=(held, point.name))
        assert model.poi == "mu_SIG"
    assert time.process_time() - start < 5.0
    document = json.loads(gzip.decompress((folder / "BkgOnly.json.gz").read_bytes()))
    document["observations"][0]["data"][0] += 1
    with pytest.raises(WorkspaceError, match="is for another workspace"):
        load(document, patch=(held, held.names[0]))


# Limits -------------------------------------------------------------------------------------------


def doubling(n: int) -> list[dict[str, Any]]:
    """Operations that double what they make n times."""
    add = {"op": "add", "path": "/a", "value": [0]}
    return [add] + [{"op": "copy", "from": "/a", "path": "/a/-"}] * n


def test_copies_of_copies_end() -> None:
    start = time.process_time()
    message = r"^patch\[\d+\]: what the patch copies grows to more than 15625 bytes of text; if"
    with pytest.raises(WorkspaceError, match=message):
        load(background(), patch=doubling(100), max_bytes=1_000_000)
    assert time.process_time() - start < 2.0
    with pytest.raises(WorkspaceError, match="grows to more than 4194304 bytes"):
        load(background(), patch=doubling(100))


def test_the_limit_of_copies_can_be_raised() -> None:
    copied = [
        {"op": "copy", "from": "/channels/0/samples/0", "path": "/channels/0/samples/-"},
        {"op": "replace", "path": "/channels/0/samples/1/name", "value": "twin"},
    ]
    with pytest.raises(WorkspaceError, match="raise the limit, max_bytes=640, a 6") as caught:
        load(background(), patch=copied, max_bytes=640)
    assert str(caught.value).startswith("patch[0]: ")
    twin = load(background(), patch=copied, max_bytes=6400).channels[0].samples[1]
    assert twin.data == (50.0, 40.0)
    with pytest.raises(WorkspaceError, match=r"^patch\[0\]: cannot copy /a"):
        load(background(), patch=[{"op": "copy", "from": "/nowhere", "path": "/a"}])
    with pytest.raises(WorkspaceError, match=r"^patch\[0\]: cannot copy /a"):
        load(background(), patch=[{"op": "copy", "path": "/a"}])


def test_a_copy_is_of_its_own() -> None:
    copied = [
        {"op": "copy", "from": "/channels/0/samples/0", "path": "/channels/0/samples/-"},
        {"op": "replace", "path": "/channels/0/samples/1/name", "value": "twin"},
        {"op": "replace", "path": "/channels/0/samples/1/data/0", "value": 1.5},
    ]
    first, second = load(background(), patch=copied).channels[0].samples
    assert (first.data, second.data) == ((50.0, 40.0), (1.5, 40.0))


DOCUMENTS = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@given(document=DOCUMENTS, depth=st.integers(0, 4))
def test_what_digests_are_of(document: Any, depth: int) -> None:
    """The text of pyhf, which is made in pieces."""
    expected = json.dumps(document, sort_keys=True, ensure_ascii=False)
    assert "".join(_sorted(document, depth)) == expected
