"""Workspaces: what is accepted, what is rejected and in which words."""

import copy
import gzip
import hashlib
import json
import os
import re
import time
import types
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from nextstat.exceptions import NextstatError, WorkspaceError, WorkspaceWarning
from nextstat.workspace import HistoSys, NormFactor, NormSys, Workspace, load

REAL = Path(
    os.environ.get("NEXTSTAT_WORKSPACES", Path(__file__).parents[3] / "shared" / "workspaces")
)


def small() -> dict[str, Any]:
    """A valid workspace with two channels and every modifier type."""
    return {
        "channels": [
            {
                "name": "SR",
                "samples": [
                    {
                        "name": "signal",
                        "data": [5.0, 10.0],
                        "modifiers": [
                            {"name": "mu", "type": "normfactor", "data": None},
                            {"name": "lumi", "type": "lumi", "data": None},
                        ],
                    },
                    {
                        "name": "bkg",
                        "data": [50.0, 60.0],
                        "modifiers": [
                            {"name": "xs", "type": "normsys", "data": {"lo": 0.9, "hi": 1.1}},
                            {
                                "name": "jes",
                                "type": "histosys",
                                "data": {"lo_data": [48.0, 57.0], "hi_data": [52.0, 63.0]},
                            },
                            {"name": "jes", "type": "normsys", "data": {"lo": 0.8, "hi": 1.2}},
                            {"name": "stat_SR", "type": "staterror", "data": [5.0, 6.0]},
                        ],
                    },
                ],
            },
            {
                "name": "CR",
                "samples": [
                    {
                        "name": "bkg",
                        "data": [100.0],
                        "modifiers": [
                            {"name": "xs", "type": "normsys", "data": {"lo": 0.9, "hi": 1.1}},
                            {"name": "shape", "type": "shapesys", "data": [10.0]},
                        ],
                    },
                    {
                        "name": "fakes",
                        "data": [3.0],
                        "modifiers": [{"name": "free", "type": "shapefactor", "data": None}],
                    },
                ],
            },
        ],
        "observations": [
            {"name": "SR", "data": [53.0, 65.0]},
            {"name": "CR", "data": [105.0]},
        ],
        "measurements": [
            {
                "name": "nominal",
                "config": {
                    "poi": "mu",
                    "parameters": [
                        {
                            "name": "lumi",
                            "inits": [1.0],
                            "bounds": [[0.9, 1.1]],
                            "auxdata": [1.0],
                            "sigmas": [0.02],
                        },
                        {"name": "mu", "bounds": [[0.0, 10.0]], "fixed": False},
                    ],
                },
            },
            {"name": "background only", "config": {"poi": "", "parameters": []}},
        ],
        "version": "1.0.0",
    }


SIGNAL = "$.channels[0].samples[0]"
BKG = "$.channels[0].samples[1]"
CR_BKG = "$.channels[1].samples[0]"
FAKES = "$.channels[1].samples[1]"
CONFIG = "$.measurements[0].config"
DELETE = object()


def changed(place: str, value: Any) -> dict[str, Any]:
    """The small workspace with one value replaced, deleted or, at [-], appended."""
    workspace = small()
    node: Any = workspace
    found = re.findall(r"\.([^.\[]+)|\[(\d+)\]|\[(-)\]", place)
    *path, last = [int(index) if index else key or end for key, index, end in found]
    for step in path:
        node = node[step]
    if value is DELETE:
        del node[last]
    elif last == "-":
        node.append(value)
    else:
        node[last] = value
    return workspace


def modifier(name: str, type_: str, data: Any = None) -> dict[str, Any]:
    return {"name": name, "type": type_, "data": data}


def sample(name: str, *data: float) -> dict[str, Any]:
    return {"name": name, "data": list(data), "modifiers": []}


NORMSYS = {"lo": 0.5, "hi": 1.5}
NO_POI = {"poi": "", "parameters": []}

# What is changed, to what, and the error: its place (where it is not what is changed) and words.
REJECTED: list[tuple[str, Any, str]] = [
    # keys
    ("$.chanels", [], "unknown key 'chanels' (did you mean 'channels'?)"),
    ("$.a b", 1, "$['a b']: unknown key 'a b'; expected one of 'channels', 'observations'"),
    ("$.channels[0].sample", [], "unknown key 'sample' (did you mean 'samples'?)"),
    (f"{BKG}.dat", [], "unknown key 'dat' (did you mean 'data'?); expected one of 'name', 'data'"),
    (f"{BKG}.modifiers[0].typ", "", "unknown key 'typ' (did you mean 'type'?)"),
    (f"{BKG}.modifiers[0].data.high", 1.0, "unknown key 'high' (did you mean 'hi'?)"),
    (f"{BKG}.modifiers[1].data.hi", [1.0], "unknown key 'hi'"),
    ("$.observations[0].dta", 1, "unknown key 'dta' (did you mean 'data'?)"),
    ("$.measurements[0].Config", 1, "unknown key 'Config' (did you mean 'config'?)"),
    (f"{CONFIG}.POI", "mu", "unknown key 'POI' (did you mean 'poi'?)"),
    (f"{CONFIG}.parameters[0].init", [1], "unknown key 'init' (did you mean 'inits'?)"),
    ("$.channels", DELETE, "$: missing key 'channels', expected a non-empty array there"),
    ("$.observations", DELETE, "$: missing key 'observations'"),
    ("$.measurements", DELETE, "$: missing key 'measurements'"),
    ("$.version", DELETE, "$: missing key 'version', expected '1.0.0' there"),
    (f"{BKG}.modifiers", DELETE, f"{BKG}: missing key 'modifiers', expected an array there"),
    (f"{BKG}.modifiers[0].type", DELETE, f"{BKG}.modifiers[0]: missing key 'type', expected one"),
    (f"{BKG}.modifiers[0].name", DELETE, f"{BKG}.modifiers[0]: missing key 'name'"),
    (f"{BKG}.modifiers[0].data", DELETE, f"{BKG}.modifiers[0]: missing key 'data'"),
    (f"{BKG}.modifiers[0].data.hi", DELETE, f"{BKG}.modifiers[0].data: missing key 'hi'"),
    (f"{CONFIG}.poi", DELETE, f"{CONFIG}: missing key 'poi', expected a string or null there"),
    (f"{CONFIG}.parameters", DELETE, f"{CONFIG}: missing key 'parameters'"),
    # types
    ("$.version", "2.0.0", "found '2.0.0', expected '1.0.0'"),
    ("$.version", 1, "found 1, expected '1.0.0'"),
    ("$.channels", {}, "found an object, expected a non-empty array"),
    ("$.channels[0]", 3, "found 3, expected an object"),
    ("$.channels[0].name", 3, "found 3, expected a string"),
    (f"{BKG}.data[1]", "60", "found '60', expected a number [channel 'SR', sample 'bkg']"),
    (f"{BKG}.data[1]", None, "found null, expected a number"),
    (f"{BKG}.data[1]", True, "found true, expected a number"),
    (f"{BKG}.data", 5, "found 5, expected a non-empty array of numbers"),
    (f"{BKG}.modifiers", None, "found null, expected an array"),
    (f"{BKG}.modifiers[0]", "xs", "found 'xs', expected an object"),
    (f"{BKG}.modifiers[2].type", "normSys", "unknown modifier type 'normSys' (did you mean 'norm"),
    (f"{BKG}.modifiers[2].type", "xyz", "unknown modifier type 'xyz'; expected one of 'normfactor"),
    (f"{BKG}.modifiers[2].type", 5, "found 5, expected one of 'normfactor', 'normsys'"),
    (f"{SIGNAL}.modifiers[0].data", 1.0, "found 1, expected null"),
    (f"{BKG}.modifiers[0].data", [1, 1], "found an array of length 2, expected an object"),
    (f"{BKG}.modifiers[3].data", None, "found null, expected a non-empty array of numbers >= 0"),
    (f"{SIGNAL}.modifiers[1].name", "Lumi", "found 'Lumi', expected 'lumi'"),
    (f"{CONFIG}.poi", 1, "found 1, expected a string or null"),
    (f"{CONFIG}.parameters[0].fixed", 1, "found 1, expected true or false or an array"),
    (f"{CONFIG}.parameters[0].bounds[0]", 0.9, "found 0.9, expected an array of 2 numbers"),
    (f"{CONFIG}.parameters[0].bounds[0]", [1], "found an array of length 1, expected an array of"),
    # empty arrays
    ("$.channels", [], "found an empty array, expected a non-empty array"),
    ("$.observations", [], "found an empty array, expected a non-empty array"),
    ("$.measurements", [], "found an empty array, expected a non-empty array"),
    ("$.channels[0].samples", [], "found an empty array, expected a non-empty array"),
    (f"{BKG}.data", [], "found an empty array, expected a non-empty array of numbers"),
    ("$.observations[0].data", [], "found an empty array"),
    (f"{BKG}.modifiers[1].data.lo_data", [], "found an empty array"),
    (f"{BKG}.modifiers[3].data", [], "found an empty array"),
    (f"{CONFIG}.parameters[0].inits", [], "found an empty array"),
    # numbers
    ("$.observations[0].data[1]", -1.0, "found -1, expected a number >= 0 [observation 'SR']"),
    (f"{BKG}.modifiers[0].data.lo", 0.0, "found 0, expected a number > 0"),
    (f"{BKG}.modifiers[0].data.hi", -0.5, "found -0.5, expected a number > 0"),
    (f"{BKG}.modifiers[3].data[0]", -5.0, "found -5, expected a number >= 0"),
    (f"{CR_BKG}.modifiers[1].data[0]", -5.0, "found -5, expected a number >= 0"),
    (f"{CONFIG}.parameters[0].sigmas[0]", 0.0, "found 0, expected a number > 0"),
    (f"{CONFIG}.parameters[0].bounds[0]", [2, 1], "found lower bound 2 above upper bound 1"),
    (
        f"{SIGNAL}.data[0]",
        -51.0,
        "$.channels[0].samples: nominal yields of bin 0 add up to -1, expected a sum >= 0",
    ),
    # duplicates
    (
        "$.channels[-]",
        {"name": "SR", "samples": [sample("b", 1.0)]},
        "$.channels[2].name: duplicate name 'SR', already used at $.channels[0]",
    ),
    (
        "$.observations[-]",
        {"name": "CR", "data": [1.0]},
        "$.observations[2].name: duplicate name 'CR', already used at $.observations[1]",
    ),
    (
        "$.channels[0].samples[-]",
        sample("bkg", 1.0, 1.0),
        f"$.channels[0].samples[2].name: duplicate name 'bkg', already used at {BKG}",
    ),
    (
        "$.measurements[-]",
        {"name": "nominal", "config": NO_POI},
        "$.measurements[2].name: duplicate name 'nominal', already used at $.measurements[0]",
    ),
    (
        f"{BKG}.modifiers[-]",
        modifier("xs", "normsys", NORMSYS),
        f"{BKG}.modifiers[4]: duplicate normsys 'xs' in one sample [channel 'SR', sample 'bkg'",
    ),
    (
        f"{CONFIG}.parameters[-]",
        {"name": "mu"},
        f"{CONFIG}.parameters[2].name: duplicate name 'mu', already used at {CONFIG}.parameters[1]",
    ),
    # lengths
    (f"{BKG}.data", [1, 2, 3], "found 3 bins, expected 2 as in the channel's first sample"),
    ("$.observations[1].data", [1, 2], "found 2 bins, expected 1 as in the channel's first sample"),
    (f"{BKG}.modifiers[1].data.lo_data", [1], "found 1 bins, expected 2"),
    (f"{BKG}.modifiers[1].data.hi_data", [1], "found 1 bins, expected 2"),
    (f"{BKG}.modifiers[3].data", [1], "found 1 bins, expected 2"),
    (f"{CR_BKG}.modifiers[1].data", [1, 2], "found 2 bins, expected 1"),
    # names
    ("$.observations[0]", DELETE, "$.channels[0].name: channel 'SR' has no observation"),
    (
        "$.observations[0].name",
        "sr",
        "$.channels[0].name: channel 'SR' has no observation (did you mean 'sr'?)",
    ),
    (
        f"{FAKES}.modifiers[-]",
        modifier("shape", "shapesys", [1.0]),
        f"{FAKES}.modifiers[1]: shapesys 'shape' must belong to one sample, but is also at "
        f"{CR_BKG}.modifiers[1] [channel 'CR', sample 'bkg', modifier 'shape']",
    ),
    (
        f"{BKG}.modifiers[-]",
        modifier("shape", "shapesys", [1.0, 1.0]),
        f"{CR_BKG}.modifiers[1]: shapesys 'shape' must belong to one sample, but is also at "
        f"{BKG}.modifiers[4]",
    ),
    (
        f"{BKG}.modifiers[-]",
        modifier("free", "shapefactor"),
        f"{FAKES}.modifiers[0]: shapefactor 'free' has 1 bins here, but 2 at {BKG}.modifiers[4]",
    ),
    (
        f"{FAKES}.modifiers[-]",
        modifier("xs", "normfactor"),
        f"{FAKES}.modifiers[1]: normfactor 'xs' cannot share its name with the normsys at "
        f"{BKG}.modifiers[0] [channel 'SR', sample 'bkg', modifier 'xs'] "
        "[channel 'CR', sample 'fakes', modifier 'xs']",
    ),
    (
        f"{FAKES}.modifiers[-]",
        modifier("jes", "normfactor"),
        f"{FAKES}.modifiers[1]: normfactor 'jes' cannot share its name with the histosys at",
    ),
    (
        f"{BKG}.modifiers[3].name",
        "shape",
        f"{CR_BKG}.modifiers[1]: shapesys 'shape' cannot share its name with the staterror at",
    ),
    (
        f"{FAKES}.modifiers[-]",
        modifier("lumi", "normfactor"),
        f"{FAKES}.modifiers[1]: normfactor 'lumi' cannot share its name with the lumi at",
    ),
]


@pytest.mark.parametrize("form", [dict, json.dumps])
@pytest.mark.parametrize(("place", "value", "error"), REJECTED)
def test_rejection(place: str, value: Any, error: str, form: Callable[[Any], Any]) -> None:
    message = error if error.startswith("$") else f"{place}: {error}"
    with pytest.raises(WorkspaceError, match=f"^{re.escape(message)}"):
        load(form(changed(place, value)))


NUMBERS = [
    f"{BKG}.data[1]",
    "$.observations[1].data[0]",
    f"{BKG}.modifiers[0].data.hi",
    f"{BKG}.modifiers[1].data.lo_data[0]",
    f"{BKG}.modifiers[3].data[1]",
    f"{CR_BKG}.modifiers[1].data[0]",
    f"{SIGNAL}.modifiers[0].data",
    f"{CONFIG}.parameters[0].inits[0]",
    f"{CONFIG}.parameters[1].bounds[0][1]",
    f"{CONFIG}.poi",
]


@pytest.mark.parametrize("number", [float("nan"), float("inf"), -float("inf")])
@pytest.mark.parametrize("place", NUMBERS)
def test_not_finite(place: str, number: float) -> None:
    message = f"^{re.escape(place)}: found {number}, expected a finite number"
    workspace = changed(place, number)
    for source in (workspace, json.dumps(workspace), changed(place, np.float32(number))):
        with pytest.raises(WorkspaceError, match=message):
            load(source)


@pytest.mark.parametrize("literal", ["1e999", "-1e999", "NaN", "Infinity", "1" * 400])
def test_literals_beyond_floats(literal: str) -> None:
    text = json.dumps(changed(f"{BKG}.data[1]", 12345.0)).replace("12345.0", literal)
    with pytest.raises(
        WorkspaceError, match=rf"^{re.escape(BKG)}\.data\[1\]: found .*, expected a"
    ):
        load(text)


def empty_bin(lo: float, hi: float, count: float = 3.0) -> dict[str, Any]:
    histosys = modifier("jes", "histosys", {"lo_data": [lo], "hi_data": [hi]})
    signal = sample("signal", 0.0) | {"modifiers": [modifier("mu", "normfactor")]}
    return {
        "channels": [
            {"name": "SR", "samples": [sample("bkg", 0.0) | {"modifiers": [histosys]}, signal]}
        ],
        "observations": [{"name": "SR", "data": [count]}],
        "measurements": [{"name": "m", "config": {"poi": "mu", "parameters": []}}],
        "version": "1.0.0",
    }


def test_no_expected_events_where_some_were_observed() -> None:
    message = "zero expected events in bin 0 of channel 'SR' where 3 were observed"
    with pytest.raises(WorkspaceError, match=r"^\$\.channels\[0\]\.samples: " + message):
        load(empty_bin(0.0, 0.0))
    load(empty_bin(0.0, 0.0, count=0.0))
    load(empty_bin(0.0, 1.0))
    load(empty_bin(-1.0, 0.0))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[]", "no such file"),
        ("{", r"^\$: not valid JSON: .*truncated"),
        (json.dumps(small())[:-1], r"^\$: not valid JSON: .*line 1 column \d+.*truncated"),
        (json.dumps(small())[:300], r"^\$: not valid JSON"),
        ("{\n 'channels': []}", r"not valid JSON: .* at line 2 column 2$"),
        (json.dumps(small()) + "}", "not valid JSON: Extra data"),
        (b'{"a": "\xff"}', "not valid JSON: byte 0xff at position 7 is not UTF-8"),
        ('{"channels": ' + "[" * 100_000, r"^\$: "),
        ('{"a": ' * 100_000, r"^\$: "),
        ('{"version": "\\ud800"}', r"^\$\.version: .*lone surrogates"),
        ('{"version": "\ud800"}', r"^\$: not valid JSON"),
        ("", "no such file"),
        (b"\x00" * 1000, r"^\$: cannot read .*null"),
        ("x" * 100_000, r"^\$: cannot read 'x+'\.\.\. \(.*\), expected JSON that starts with '{'"),
        (None, r"^\$: found a NoneType, expected JSON that starts with '{', or a path"),
        (3, r"^\$: found a int"),
        ([small()], r"^\$: found a list"),
    ],
)
def test_source_that_is_no_workspace(text: Any, message: str) -> None:
    with pytest.raises(WorkspaceError, match=message) as caught:
        load(text)
    assert len(str(caught.value)) < 1000


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("empty.json", b"", r"^\$: file '.*empty\.json' is empty"),
        ("empty.json.gz", gzip.compress(b"", mtime=0), "is empty"),
        ("blank.json", b"  \n", "not valid JSON"),
        ("garbage.json", bytes(range(256)), r"starts with b.*, expected JSON that starts with '{'"),
        ("list.json", b"[1]", r"starts with b'\[1\]'"),
        ("short.json", json.dumps(small()).encode()[:-5], "not valid JSON"),
        ("plain.json.gz", json.dumps(small()).encode(), r"cannot read .*[Nn]ot a gzipped file"),
        (
            "short.json.gz",
            gzip.compress(json.dumps(small()).encode(), mtime=0)[:-20],
            "cannot read",
        ),
        ("broken.json.gz", gzip.compress(b"{}" * 999, mtime=0)[:15] + b"\xff" * 50, "cannot read"),
        ("zipped.json", gzip.compress(b"{}", mtime=0), r"starts with b'\\x1f\\x8b"),
    ],
)
def test_file_that_is_no_workspace(tmp_path: Path, name: str, content: bytes, message: str) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(WorkspaceError, match=message):
        load(path)


def test_paths_that_are_no_files(tmp_path: Path) -> None:
    with pytest.raises(WorkspaceError, match=r"^\$: no such file '.*missing\.json'"):
        load(tmp_path / "missing.json")
    with pytest.raises(WorkspaceError, match=r"^\$: cannot read "):
        load(tmp_path)


@pytest.mark.parametrize("suffix", [".json", ".json.gz"])
def test_large_file_of_zeros_is_rejected_at_once(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"zeros{suffix}"
    if suffix == ".json":
        with path.open("wb") as file:
            file.truncate(100_000_000)
    else:
        with gzip.open(path, "wb", compresslevel=1) as file:
            for _ in range(100):
                file.write(bytes(1_000_000))
    start = time.perf_counter()
    with pytest.raises(WorkspaceError, match=r"starts with b'\\x00"):
        load(path)
    assert time.perf_counter() - start < 2.0


def test_errors_are_caught_as_what_they_are() -> None:
    for kind in (NextstatError, ValueError):
        with pytest.raises(kind):
            load("{}")


# Accepted ---------------------------------------------------------------------------------------


def test_content() -> None:
    workspace = load(small())
    bkg = workspace.channels[0].samples[1]
    assert [type(m) for m in bkg.modifiers[:3]] == [NormSys, HistoSys, NormSys]
    assert isinstance(workspace.channels[0].samples[0].modifiers[0], NormFactor)
    assert bkg.data == (50.0, 60.0)
    assert workspace.observation("CR").data == (105.0,)
    assert workspace.measurement() is workspace.measurements[0]
    assert workspace.measurement("background only").config.poi == ""
    assert workspace.measurement().config.parameters[1].bounds == ((0.0, 10.0),)
    assert workspace.measurement().config.parameters[1].inits is None


def test_unknown_measurement_or_channel() -> None:
    workspace = load(small())
    with pytest.raises(
        WorkspaceError,
        match=r"unknown measurement 'Nominal' \(did you mean 'nominal'\?\)",
    ):
        workspace.measurement("Nominal")
    with pytest.raises(WorkspaceError, match=r"^\$\.observations: unknown channel 'VR'"):
        workspace.observation("VR")


def test_every_form_of_source(tmp_path: Path) -> None:
    expected = load(small())
    text = json.dumps(small(), indent=1)
    plain, zipped = tmp_path / "w.json", tmp_path / "w.json.gz"
    plain.write_text(text)
    zipped.write_bytes(gzip.compress(text.encode()))
    sources = (
        types.MappingProxyType(small()),
        text,
        f"\n\t {text}",
        text.encode(),
        plain,
        str(plain),
        os.fsencode(plain),
        zipped,
        str(zipped),
        expected,
    )
    for source in sources:
        assert load(source) == expected


def test_numpy_and_tuples() -> None:
    def convert(value: Any) -> Any:
        match value:
            case dict():
                return {np.str_(key): convert(item) for key, item in value.items()}
            case [float(), *_]:
                return np.array(value)
            case list():
                return tuple(map(convert, value))
            case bool():
                return np.bool_(value)
            case float():
                return np.float64(value)
            case str():
                return np.str_(value)
        return value

    workspace = load(convert(small()))
    assert workspace == load(small())
    assert type(workspace.channels[0].name) is str
    assert all(type(x) is float for x in workspace.channels[0].samples[0].data)
    counts = np.array([53, 65])
    assert load(changed("$.observations[0].data", counts)) == load(small())
    long = np.array([53, 65], dtype=np.longdouble)
    assert load(changed("$.observations[0].data", long)) == load(small())


@pytest.mark.parametrize("value", [b"12", 1 + 2j, object(), np.array([1 + 2j, 0])])
def test_values_that_are_not_json(value: Any) -> None:
    with pytest.raises(WorkspaceError, match=r"^\$\.channels\[0\]\.samples\[1\]\.data.*: found a"):
        load(changed(f"{BKG}.data", value))


def test_keys_that_are_not_json() -> None:
    with pytest.raises(WorkspaceError, match=r"^\$\.channels\[0\]: found the key 5, expected a s"):
        load({"channels": [{5: 1}]})
    with pytest.raises(WorkspaceError, match=r"expected a string without lone surrogates"):
        load({"channels": [{"\ud800": 1}]})


def test_cyclic_document() -> None:
    workspace = small()
    workspace["channels"].append(workspace)
    with pytest.raises(WorkspaceError, match=r"^\$"):
        load(workspace)


ACCEPTED = [
    (f"{CONFIG}.poi", None),
    (f"{CONFIG}.poi", ""),
    (f"{CONFIG}.poi", "no such parameter"),
    (f"{CONFIG}.parameters[0].fixed", [True]),
    (f"{SIGNAL}.modifiers[0].data", DELETE),
    (f"{SIGNAL}.modifiers[1].data", DELETE),
    (f"{FAKES}.modifiers[0].data", DELETE),
    (f"{SIGNAL}.modifiers", []),
    (f"{SIGNAL}.data[0]", -1.0),
    (f"{CR_BKG}.modifiers[1].data[0]", 0.0),
    (f"{CR_BKG}.modifiers[-]", modifier("free", "shapefactor")),
    (f"{CR_BKG}.modifiers[-]", modifier("mu", "normfactor")),
    (f"{CR_BKG}.modifiers[-]", modifier("lumi", "lumi")),
    (f"{CR_BKG}.modifiers[-]", modifier("stat_SR", "staterror", [1.0])),
    (f"{CR_BKG}.modifiers[-]", modifier("jes", "normsys", NORMSYS)),
]


@pytest.mark.parametrize(("place", "value"), ACCEPTED)
def test_accepted(place: str, value: Any) -> None:
    workspace = changed(place, value)
    assert load(workspace) == load(json.dumps(workspace))


def test_observation_without_channel_is_kept() -> None:
    """Pruned workspaces have them; as every channel has its own, nothing can be wrong."""
    workspace = changed("$.observations[-]", {"name": "VR", "data": [1.0]})
    assert len(load(workspace).observations) == 3


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ('{"name": "mu", "type": "normfactor", "data": null, "data": null}', "data"),
        ('{"name": "mu", "name": "mu", "type": "normfactor", "data": null}', "name"),
    ],
)
def test_key_that_stands_twice(text: str, key: str) -> None:
    whole = json.dumps(small())
    once = '{"name": "mu", "type": "normfactor", "data": null}'
    assert once in whole
    with pytest.raises(WorkspaceError, match=f"the key '{key}' stands 2 times in one object"):
        load(whole.replace(once, text, 1))


def test_round_trip() -> None:
    workspace = load(small())
    assert workspace.to_dict() == small()
    assert load(workspace.to_dict()) == workspace
    assert load(workspace.to_json()) == workspace
    assert type(workspace.to_dict()["channels"]) is list


def test_workspace_put_together_by_hand() -> None:
    workspace = load(small())
    fields = {name: getattr(workspace, name) for name in workspace.__struct_fields__}
    counts = small()["observations"]
    counts[0]["data"] = np.array([53.0, 65.0])
    assert load(Workspace(**fields | {"observations": counts})) == workspace
    counts[0]["data"] = [53.0, float("nan")]
    with pytest.raises(WorkspaceError, match=r"^\$\.observations\[0\]\.data\[1\]: found nan"):
        load(Workspace(**fields | {"observations": counts}))
    with pytest.raises(WorkspaceError, match=r"^\$\.channels\[1\]\.name: duplicate name 'SR'"):
        load(Workspace(**fields | {"channels": workspace.channels[:1] * 2}))


def test_repr_is_short() -> None:
    assert repr(load(small())) == (
        "<Workspace: channels (bins) 'SR' (2), 'CR' (1); measurements 'nominal', 'background only'>"
    )


def test_immutable() -> None:
    workspace = load(small())
    with pytest.raises(AttributeError):
        workspace.version = "2"  # type: ignore[misc]
    assert hash(workspace) == hash(load(small()))


@pytest.mark.skipif(not REAL.is_dir(), reason=f"no folder of published workspaces at {REAL}")
def test_published_workspaces() -> None:
    paths = [path for path in sorted(REAL.glob("*.json")) if path.name != "truth.json"]
    assert paths
    for path in paths:
        document = json.loads(path.read_bytes())
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", WorkspaceWarning)
            workspace = load(path)
            assert workspace == load(document)
            assert workspace.to_dict() == document


# Patches ----------------------------------------------------------------------------------------

OPERATIONS = [
    {"op": "replace", "path": "/observations/1/data/0", "value": 99.0},
    {"op": "add", "path": "/channels/0/samples/-", "value": sample("extra", 1.0, 2.0)},
    {
        "op": "add",
        "path": "/channels/0/samples/2/modifiers/-",
        "value": modifier("mu", "normfactor"),
    },
]
PATCH_SET: dict[str, Any] = {
    "metadata": {
        "labels": ["m"],
        "description": "",
        "references": {"hepdata": "ins1234567"},
        "digests": {
            "sha256": hashlib.sha256(json.dumps(small(), sort_keys=True).encode()).hexdigest()
        },
    },
    "patches": [
        {"metadata": {"name": "point_100", "values": [100]}, "patch": OPERATIONS},
        {"metadata": {"name": "point_200", "values": [200]}, "patch": []},
    ],
    "version": "1.0.0",
}


def test_every_form_of_patch(tmp_path: Path) -> None:
    expected = load(small(), patch=OPERATIONS)
    assert expected.observation("CR").data == (99.0,)
    assert [s.name for s in expected.channels[0].samples] == ["signal", "bkg", "extra"]
    assert expected.channels[0].samples[2].modifiers == (NormFactor("mu"),)
    path, set_path = tmp_path / "patch.json", tmp_path / "patches.json.gz"
    path.write_text(json.dumps(OPERATIONS))
    set_path.write_bytes(gzip.compress(json.dumps(PATCH_SET).encode()))
    patches: tuple[Any, ...] = (
        tuple(OPERATIONS),
        path,
        str(path),
        json.dumps(OPERATIONS),
        (PATCH_SET, "point_100"),
        (json.dumps(PATCH_SET), "point_100"),
        (set_path, "point_100"),
    )
    for patch in patches:
        assert load(json.dumps(small()), patch=patch) == expected
        assert load(load(small()), patch=patch) == expected
    assert load(small(), patch=(PATCH_SET, "point_200")) == load(small())
    assert load(small(), patch=[]) == load(small())


def test_patch_may_hold_arrays() -> None:
    operation = {"op": "replace", "path": "/observations/0/data", "value": np.array([1, 2])}
    assert load(small(), patch=[operation]).observation("SR").data == (1.0, 2.0)


def test_inputs_are_not_modified() -> None:
    workspace, operations, patch_set = small(), copy.deepcopy(OPERATIONS), copy.deepcopy(PATCH_SET)
    load(workspace)
    load(workspace, patch=operations)
    load(workspace, patch=(patch_set, "point_100"))
    assert workspace == small()
    assert operations == OPERATIONS
    assert patch_set == PATCH_SET


@pytest.mark.parametrize(
    ("patch", "message"),
    [
        (
            [OPERATIONS[0], {"op": "remove", "path": "/channels/7"}],
            r"^patch\[1\]: cannot remove /channels/7: ",
        ),
        (
            [{"op": "replace", "path": "/nowhere/at/all", "value": 1}],
            r"^patch\[0\]: cannot replace /nowhere/at/all",
        ),
        ([{"op": "test", "path": "/version", "value": "2"}], r"^patch\[0\]: cannot test /version"),
        (
            [{"op": "patch", "path": "/version", "value": "2"}],
            r"^patch\[0\]: cannot patch /version",
        ),
        ([{"op": "add", "path": "/version"}], r"^patch\[0\]: cannot add /version"),
        ([{"path": "/version"}], r"^patch\[0\]: "),
        ([{"op": "add", "path": 5, "value": 1}], r"^patch\[0\]: cannot add 5"),
        ([{"op": "add", "path": "version", "value": 1}], r"^patch\[0\]: cannot add version"),
        ([[]], r"^patch\[0\]: found an empty array, expected an object"),
        (
            [{"op": "add", "path": "/version", "value": float("nan")}],
            r"^patch\[0\]\.value: found nan",
        ),
        (
            [{"op": "replace", "path": "/version", "value": "2"}],
            r"^\$\.version: found '2', expected '1\.0\.0'",
        ),
        (
            [{"op": "replace", "path": "", "value": []}],
            r"^\$: found an empty array, expected an object",
        ),
        (
            PATCH_SET,
            r"^patch: found a patch set; pass it as .*, expected .* the pair \(patch set, name\)",
        ),
        (5, r"^patch: found 5, expected a list of operations"),
        (
            "nowhere.json",
            r"^patch: no such file 'nowhere\.json', expected JSON that starts with '\[' or '{'",
        ),
        ("[1,", r"^patch: not valid JSON"),
        (
            (PATCH_SET, "point_10"),
            r"unknown patch 'point_10' \(did you mean 'point_100'\?\); expected one of 'point_100'",
        ),
    ],
)
def test_rejected_patch(patch: Any, message: str) -> None:
    with pytest.raises(WorkspaceError, match=message):
        load(small(), patch=patch)


# Fuzzing ----------------------------------------------------------------------------------------


def nodes(value: Any, path: tuple[str | int, ...] = ()) -> list[tuple[str | int, ...]]:
    """Paths to everything inside a document."""
    children: Any = ()
    if isinstance(value, dict):
        children = value.items()
    elif isinstance(value, list):
        children = enumerate(value)
    return [p for key, item in children for p in [(*path, key), *nodes(item, (*path, key))]]


PATHS = nodes(small())
JUNK = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(st.characters(), max_size=5)
    | st.sampled_from(["normsys", "histosys", "lumi", "mu", "SR", 10**400, np.float32(1), b"a"])
    | st.sampled_from([np.nan, np.array([1.0, 2.0]), np.array(["a"]), {1.0}, "\ud800", object()]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["name", "data", "type", "modifiers", "x", "\ud800", 3]),
            inner,
            max_size=3,
        )
    ),
    max_leaves=5,
)
MUTATIONS = st.lists(
    st.tuples(st.sampled_from(PATHS), st.just(DELETE) | JUNK), min_size=1, max_size=3
)
SLOW = settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def accepted_or_rejected(action: Callable[[], Workspace]) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", WorkspaceWarning)
        try:
            workspace = action()
        except WorkspaceError as error:
            message = str(error)
        else:
            message = "$"
            assert load(workspace.to_json()) == workspace
    assert message.encode().startswith((b"$", b"patch"))


@SLOW
@given(MUTATIONS)
def test_mutated_document(mutations: list[tuple[tuple[str | int, ...], Any]]) -> None:
    workspace = small()
    for path, value in mutations:
        node: Any = workspace
        try:
            for step in path[:-1]:
                node = node[step]
            if value is DELETE:
                del node[path[-1]]
            else:
                node[path[-1]] = value
        except (LookupError, TypeError):
            continue  # An earlier mutation removed the place.
    accepted_or_rejected(lambda: load(workspace))


@SLOW
@given(st.binary(max_size=40), st.integers(0, 5000), st.integers(0, 20))
def test_mutated_text(junk: bytes, start: int, length: int) -> None:
    text = json.dumps(small()).encode()
    accepted_or_rejected(lambda: load(b"{" + text[1:start] + junk + text[start + length :]))


@SLOW
@given(st.binary(max_size=200), st.sampled_from([".json", ".json.gz"]))
def test_random_files(tmp_path_factory: pytest.TempPathFactory, junk: bytes, suffix: str) -> None:
    path = tmp_path_factory.getbasetemp() / f"junk{suffix}"
    for content in (junk, b"{" + junk, gzip.compress(junk, mtime=0), b"\x1f\x8b\x08" + junk):
        path.write_bytes(content)
        with pytest.raises(WorkspaceError):
            load(path)


@SLOW
@given(
    st.lists(
        st.fixed_dictionaries(
            {},
            optional={
                "op": st.sampled_from(["add", "remove", "replace", "move", "copy", "test"]) | JUNK,
                "path": st.sampled_from(["/" + "/".join(map(str, p)) for p in PATHS]) | JUNK,
                "from": st.sampled_from(["/" + "/".join(map(str, p)) for p in PATHS]) | JUNK,
                "value": JUNK,
            },
        )
        | JUNK,
        max_size=3,
    )
    | JUNK
)
def test_random_patches(patch: Any) -> None:
    accepted_or_rejected(lambda: load(small(), patch=patch))
