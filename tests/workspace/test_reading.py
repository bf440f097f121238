"""Reading: byte order marks, open files, limits, time, and things that are no workspace."""

import codecs
import gzip
import io
import json
import os
import tarfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from random_workspaces import random_workspace, seeds

import nextstat
from nextstat.exceptions import WorkspaceError
from nextstat.workspace import PatchSet, load

MU = {"name": "mu", "type": "normfactor", "data": None}


def workspace(n_channels: int = 1) -> dict[str, Any]:
    samples = [
        {"name": "s", "data": [5.0], "modifiers": [MU]},
        {"name": "b", "data": [50.0], "modifiers": []},
    ]
    names = [f"c{i}" for i in range(n_channels)]
    return {
        "channels": [{"name": name, "samples": samples} for name in names],
        "observations": [{"name": name, "data": [52.0]} for name in names],
        "measurements": [{"name": "m", "config": {"poi": "mu", "parameters": []}}],
        "version": "1.0.0",
    }


TEXT = json.dumps(workspace())
OPERATIONS = [{"op": "replace", "path": "/observations/0/data/0", "value": 60.0}]


def sources(folder: Path, text: str, mark: bytes) -> list[Any]:
    """A text in every form, with a byte order mark in front."""
    data = mark + text.encode()
    plain, zipped = folder / "x.json", folder / "x.json.gz"
    plain.write_bytes(data)
    zipped.write_bytes(gzip.compress(data))
    string = data.decode()
    return [string, data, plain, str(zipped), io.BytesIO(data), io.StringIO(string)]


@pytest.mark.parametrize("mark", [b"", codecs.BOM_UTF8], ids=["none", "mark"])
def test_byte_order_mark(tmp_path: Path, mark: bytes) -> None:
    for source in sources(tmp_path, TEXT, mark):
        assert load(source) == load(workspace())
    expected = load(workspace(), patch=OPERATIONS)
    for patch in sources(tmp_path, json.dumps(OPERATIONS), mark):
        assert load(TEXT, patch=patch) == expected


def test_open_files(tmp_path: Path) -> None:
    path = tmp_path / "w.json"
    path.write_text(TEXT)
    for mode in ("r", "rb"):
        with path.open(mode) as file:
            assert load(file) == load(workspace())
    with pytest.raises(WorkspaceError, match=r"^\$: file 'BytesIO' is empty"):
        load(io.BytesIO())
    with pytest.raises(WorkspaceError, match=r"^\$: file 'BytesIO' starts with b'hello'"):
        load(io.BytesIO(b"hello"))


# Limits -------------------------------------------------------------------------------------------


def test_a_file_that_decompresses_without_end(tmp_path: Path) -> None:
    path = tmp_path / "bomb.json.gz"
    with gzip.open(path, "wb", compresslevel=1) as file:
        file.write(b"{")
        for _ in range(300):
            file.write(b" " * 1_000_000)
    assert path.stat().st_size < 3_000_000
    with pytest.raises(WorkspaceError, match="holds more than 1000000 bytes of text") as caught:
        load(path, max_bytes=1_000_000)
    assert str(caught.value).endswith("if that is meant, raise the limit, max_bytes=1000000")
    with pytest.raises(WorkspaceError, match=r"bomb\.json\.gz' holds more than 268435456 bytes"):
        nextstat.from_pyhf(path)
    with pytest.raises(WorkspaceError, match=r"^patch: file .* holds more than 1000 bytes"):
        load(workspace(), patch=path, max_bytes=1000)
    with pytest.raises(WorkspaceError, match=r"^patch: file .* holds more than 1000 bytes"):
        PatchSet(path, max_bytes=1000)


def test_the_limit_of_files_can_be_raised(tmp_path: Path) -> None:
    path = tmp_path / "w.json"
    path.write_text(TEXT)
    with pytest.raises(WorkspaceError, match="max_bytes=99"):
        nextstat.from_pyhf(path, max_bytes=99)
    assert nextstat.from_pyhf(path, max_bytes=len(TEXT)).n_bins == 1
    with pytest.raises(WorkspaceError, match="holds more than"):
        nextstat.from_pyhf(path, max_bytes=len(TEXT) - 1)


@pytest.mark.parametrize("opening", ["[", '{"a":', '{"channels": [{"samples": [', '[{"op":'])
def test_deep_nesting(opening: str) -> None:
    for text in (opening * 100_000, "{" + '"a": ' + opening * 100_000):
        if text.startswith("{"):
            with pytest.raises(WorkspaceError, match=r"^\$"):
                load(text)
        with pytest.raises(WorkspaceError, match=r"^patch"):
            load(TEXT, patch=text)


@given(seed=seeds)
def test_long_texts_are_decoded_in_parts(seed: int) -> None:
    """Between which Ctrl-C is heard; what they hold, or what is wrong with them, is the same."""
    rng = np.random.default_rng(seed)
    text = json.dumps(random_workspace(seed))
    at, length = rng.integers(len(text)), rng.integers(8)
    other = rng.choice(["", "NaN", "1e999", '"\\ud800"', "[", "}", "-1", ', "version": "1.0.0"'])
    changed = text[:at] + other + text[at + length :]
    for each in (text, changed):
        found = []
        for at_once in (2**24, 40):
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(nextstat.workspace._reading, "AT_ONCE", at_once)
                patch.setattr(nextstat.workspace._loading, "AT_ONCE", at_once)
                found += [
                    result(load, each),
                    result(nextstat.workspace._reading.parse, each.encode()),
                ]
        assert found[:2] == found[2:]


def result(function: Callable[[Any], object], argument: object) -> object:
    try:
        return function(argument)
    except WorkspaceError as error:
        return str(error)


def test_texts_of_errors_have_a_length() -> None:
    huge = "x" * 1_000_000
    deep: Any = float("nan")
    for _ in range(300):
        deep = {"k" * 300: deep}
    changes: list[Callable[[dict[str, Any]], Any]] = [
        lambda w: w.update({huge: 1}),
        lambda w: w.update(version=huge),
        lambda w: w.update(version=deep),
        lambda w: w["channels"][0].update(name=huge),
        lambda w: w["channels"][0]["samples"][1].update(name=huge, data=[huge]),
        lambda w: w["channels"][0]["samples"][1].update(name=huge, data=[0, 1]),
        lambda w: w["channels"][0]["samples"][0]["modifiers"].append({"type": huge, "name": huge}),
        lambda w: w["observations"][0].update(name="\u00e9" * 1_000_000),
    ]
    for change in changes:
        document: dict[str, Any] = json.loads(TEXT)
        change(document)
        with pytest.raises(WorkspaceError) as caught:
            load(document)
        assert len(str(caught.value)) <= 2000
    for patch in (
        [{"op": huge, "path": huge}],
        [{"op": "add", "path": huge, "value": huge}],
        [{"op": "test", "path": "", "value": huge}],
        (huge, huge),
        huge,
    ):
        with pytest.raises(WorkspaceError) as caught:
            load(TEXT, patch=patch)
        assert len(str(caught.value)) <= 2000
    for options in ({"poi": huge}, {"measurement": huge}):
        with pytest.raises(WorkspaceError) as caught:
            nextstat.from_pyhf(TEXT, **options)
        assert len(str(caught.value)) <= 2000


# Time ---------------------------------------------------------------------------------------------


def normsys(i: int) -> dict[str, Any]:
    return {"name": f"n{i}", "type": "normsys", "data": {"lo": 0.9, "hi": 1.1}}


def large(what: str, n: int) -> Any:
    document: dict[str, Any] = json.loads(TEXT)
    channel, config = document["channels"][0], document["measurements"][0]["config"]
    match what:
        case "keys":
            return "{" + ",".join(f'"k{i}": 1' for i in range(n)) + "}"
        case "channels":
            return workspace(n)
        case "samples":
            channel["samples"] = [{**channel["samples"][0], "name": f"s{i}"} for i in range(n)]
        case "modifiers":
            channel["samples"][0]["modifiers"] = [MU, *map(normsys, range(n))]
        case "settings":
            channel["samples"][0]["modifiers"] = [MU, *map(normsys, range(n))]
            config["parameters"] = [{"name": f"n{i}", "inits": [0.5]} for i in range(n)]
        case "other settings":
            channel["samples"][0]["modifiers"] = [MU, *map(normsys, range(n))]
            config["parameters"] = [{"name": f"other{i}", "inits": [0.5]} for i in range(n)]
        case "observations":
            document["observations"] += [{"name": f"o{i}", "data": [1.0]} for i in range(n)]
        case "measurements":
            document["measurements"] = [{"name": f"m{i}", "config": config} for i in range(n)]
        case "empty bins":
            lift = {"name": "k", "type": "histosys"}
            lift["data"] = {"lo_data": [0.0] * n, "hi_data": [1.0] * n}  # type: ignore[assignment]
            modifiers = [*map(normsys, range(n)), lift]
            channel["samples"] = [{"name": "s", "data": [0.0] * n, "modifiers": modifiers}]
            document["observations"][0]["data"] = [1.0] * n
    return json.dumps(document)


def seconds(source: Any) -> float:
    start = time.process_time()
    try:
        nextstat.from_pyhf(source)
    except WorkspaceError:
        assert '"k1"' in source
    return time.process_time() - start


@pytest.mark.parametrize(
    "what",
    [
        "keys",
        "channels",
        "samples",
        "modifiers",
        "settings",
        "other settings",
        "observations",
        "measurements",
        "empty bins",
    ],
)
def test_time_is_linear(what: str) -> None:
    """Eight times as much takes eight times as long, not sixty-four times."""
    small, big = large(what, 2_000), large(what, 16_000)
    seconds(small)
    times = [seconds(small) for _ in range(3)]
    assert seconds(big) < 0.5 + 32.0 * min(times)


# What is no workspace -----------------------------------------------------------------------------

FORMATS = Path(os.environ.get("NEXTSTAT_FORMATS", Path(__file__).parents[3] / "shared" / "formats"))
CARD = "imax 1\njmax 1\nkmax 0\n----\nbin 1\nobservation 5\n"
FILES: list[tuple[str, bytes, str]] = [
    ("x.root", b"root\x00\x00\xf3\xf4" + bytes(100), "a ROOT file; convert"),
    ("x.xml", b'<!DOCTYPE Combination SYSTEM "x.dtd">\n<Combination>', "HistFactory XML; convert"),
    ("x.xml", b"<?xml?>\n<!-- a -->\n<Channel Name='c'>", "HistFactory XML; convert the top-level"),
    ("x.json", b"\n<!DOCTYPE html>\n<html>", "a web page; download the file behind it"),
    ("x.txt", b"# a card\n" + CARD.encode(), "a Combine data card; convert it to pyhf JSON"),
    ("x.config", b"% a fit\nJob: minimal\n  CmeLabel: x\n", "a TRExFitter configuration; run"),
    ("x.yml", b"General:\n  Measurement: m\n", "a cabinetry configuration; pass what cabinetry.w"),
    ("x.yml", b"# my\nchannels:\n- name: SR\n", "YAML; convert it to JSON"),
    ("x.json", gzip.compress(TEXT.encode()), "gzip-compressed; rename it so that it ends in .gz"),
    ("x.zip", b"PK\x03\x04" + bytes(99), "a zip archive; unpack it"),
    ("x.xz", b"\xfd7zXZ\x00" + bytes(99), "compressed, but not by gzip; unpack it"),
    ("x.h5", b"\x89HDF\r\n", "an HDF5 file"),
    ("x.json", TEXT.encode("utf-16"), "UTF-16 text; save it as UTF-8"),
    ("x.json", b"version https://git-lfs.github.com/spec/v1\n", "a pointer of Git LFS; fetch the"),
    ("x.json", json.dumps(OPERATIONS).encode(), "a JSON array; if it is a JSON patch, pass it as"),
]


@pytest.mark.parametrize(("name", "content", "message"), FILES)
def test_files_of_other_kinds(tmp_path: Path, name: str, content: bytes, message: str) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(WorkspaceError, match=r"starts with b.*; it is ") as caught:
        nextstat.from_pyhf(path)
    assert f"it is {message}" in str(caught.value)


def test_archives(tmp_path: Path) -> None:
    """HEPData offers them."""
    (tmp_path / "BkgOnly.json").write_text(TEXT)
    path = tmp_path / "models.tar.gz"
    with tarfile.open(path, "w:gz") as archive:
        archive.add(tmp_path / "BkgOnly.json", "BkgOnly.json")
    with pytest.raises(WorkspaceError, match="it is a tar archive; unpack it"):
        load(path)


def test_texts_of_other_kinds() -> None:
    """Given as str, as they are taken for paths."""
    for text, message in (
        ("<Combination>", "no such file '<Combination>'; it is HistFactory XML"),
        (CARD, "it is a Combine data card"),
        (json.dumps(OPERATIONS), "it is a JSON array; if it is a JSON patch"),
    ):
        with pytest.raises(WorkspaceError, match=message):
            load(text)


HS3 = {"metadata": {"hs3_version": "0.2"}, "distributions": [], "domains": []}
DOCUMENTS: list[tuple[dict[str, Any], str]] = [
    (HS3, "an HS3 document, another format"),
    ({"distributions": [], "likelihoods": []}, "an HS3 document"),
    ({"patches": [], "metadata": {}, "version": "1.0.0"}, "a patch set; pass it as patch=(patch s"),
    (OPERATIONS[0], "an operation of a JSON patch; pass [operation] as patch="),
    ({"General": {}, "Regions": [], "Samples": []}, "a cabinetry configuration"),
    ({"channels": [], "parameters": []}, "the specification of a pyhf.Model, which holds neither"),
    ({"channels": workspace()["channels"]}, "the specification of a pyhf.Model"),
]


@pytest.mark.parametrize("form", [dict, json.dumps])
@pytest.mark.parametrize(("document", "message"), DOCUMENTS)
def test_documents_of_other_kinds(
    document: dict[str, Any], message: str, form: Callable[[Any], Any]
) -> None:
    with pytest.raises(WorkspaceError) as caught:
        nextstat.from_pyhf(form(document))
    assert str(caught.value).startswith(f"$: found {message}")
    assert str(caught.value).endswith("expected a workspace")


@pytest.mark.filterwarnings("ignore:jsonschema")
def test_objects_of_other_kinds() -> None:
    pyhf = pytest.importorskip("pyhf")
    jsonpatch = pytest.importorskip("jsonpatch")
    model = nextstat.from_pyhf(workspace())
    of_pyhf = pyhf.Workspace(workspace())
    assert load(of_pyhf) == load(workspace())
    for found, message in (
        (of_pyhf.model(), r"a pyhf\.Model, which holds neither observations nor a measurement"),
        (of_pyhf.model().spec, r"the specification of a pyhf\.Model"),
        (model, "a HistFactoryModel, which is a model already"),
        (nextstat.fit(model), "a FitResult; pass the workspace that was fitted"),
        (jsonpatch.JsonPatch(OPERATIONS), r"a jsonpatch\.JsonPatch; pass its operations"),
        (pd.DataFrame(), "a DataFrame"),
        (OPERATIONS, "a list"),
        (None, "a NoneType"),
    ):
        with pytest.raises(WorkspaceError, match=rf"^\$: found {message}"):
            nextstat.from_pyhf(found)
    patch = jsonpatch.JsonPatch(OPERATIONS)
    with pytest.raises(WorkspaceError, match=r"pass its operations, list\(patch\)"):
        load(TEXT, patch=patch)
    assert load(TEXT, patch=list(patch)).observations[0].data == (60.0,)
    for wrong in (workspace(), TEXT):
        with pytest.raises(WorkspaceError, match=r"^patch: found an object, expected a list of o"):
            load(TEXT, patch=wrong)


@pytest.mark.skipif(not FORMATS.is_dir(), reason=f"no folder {FORMATS}")
def test_real_files_of_other_formats() -> None:
    n_found = 0
    for folder, suffix, message in (
        ("hs3", ".json", "an HS3 document"),
        ("datacards", ".txt", "a Combine data card"),
        ("cabinetry", ".yml", "a cabinetry configuration"),
        ("xml", ".xml", "HistFactory XML"),
        ("xml", ".root", "a ROOT file"),
        ("xml", ".config", "a TRExFitter configuration"),
    ):
        for path in sorted((FORMATS / folder).rglob(f"*{suffix}")):
            with pytest.raises(WorkspaceError, match=message):
                nextstat.from_pyhf(path)
            n_found += 1
    assert n_found > 20
