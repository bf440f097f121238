"""inspect, validate, and the options that say which model to make of which workspace."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from command_line import (
    ARGUMENTS,
    COMMANDS,
    NEED_POI,
    call,
    check_layout,
    fail,
    lines_with,
    misuse,
    plain,
    read_json,
    succeed,
    write,
)

import nextstat

AS = pytest.mark.parametrize("form", [[], ["--json"]], ids=["table", "json"])
EACH = pytest.mark.parametrize("command", COMMANDS)


def test_inspect_json(file: Path, model: nextstat.HistFactoryModel) -> None:
    """Channels, samples and every parameter."""
    found = read_json(succeed("inspect", file, "--json"))
    assert found["channels"] == {"region_1": 4, "region_2": 4}
    assert found["samples"] == list(model.samples)
    assert found["poi"] == "mu"
    assert found["n_bins"] == 8
    assert found["observed"] == model.data.sum()
    assert found["parameters"] == [plain(p._asdict()) for p in model.parameters]


def test_inspect_table(file: Path, model: nextstat.HistFactoryModel) -> None:
    """Channels, samples and parameters."""
    text = succeed("inspect", file).stdout
    expected = model.expected_by_sample(model.init)
    assert lines_with(text, "region_1", "4", f"{model.data[:4].sum():g}", "3")
    for sample, yields in zip(model.samples, expected, strict=True):
        assert lines_with(text, sample, f"{yields.sum():.2f}")
    for p in model.parameters:
        assert lines_with(text, p.name, p.kind, f"{p.init:g}")


def test_validate_json(file: Path, model: nextstat.HistFactoryModel) -> None:
    """The verdict and the model."""
    found = read_json(succeed("validate", file, "--json"))
    assert found == {"valid": True, "warnings": [], "model": repr(model)}


def test_validate_warnings(suspicious: Path) -> None:
    """`validate` lists them."""
    (message,) = read_json(succeed("validate", suspicious, "--json"))["warnings"]
    assert "$.measurements[0].config.parameters[1]" in message
    text = succeed("validate", suspicious).stdout
    assert "warning: $.measurements[0].config.parameters[1]" in text
    check_layout(text)


@pytest.mark.filterwarnings("always")
@pytest.mark.parametrize("command", [c for c in COMMANDS if c != "validate"])
def test_warnings_go_to_stderr(suspicious: Path, command: str) -> None:
    """They do not disturb JSON."""
    result = succeed(command, suspicious, *ARGUMENTS[command], "--json")
    assert read_json(result)
    assert result.stderr.startswith("Warning: $.measurements[0].config.parameters[1]")


# Options ----------------------------------------------------------------------------------------


def test_poi(file: Path, model: nextstat.HistFactoryModel) -> None:
    """Another parameter of interest."""
    found = read_json(succeed("significance", file, "--poi", "norm_ttbar", "--json"))
    assert found["observed"] == nextstat.significance(model, poi="norm_ttbar")
    rows = read_json(succeed("rank", file, "--poi", "norm_ttbar", "--json"))
    names = {row["name"] for row in rows}
    assert "mu" in names
    assert "norm_ttbar" not in names


def test_measurement(tmp_path: Path, workspace: dict[str, Any]) -> None:
    """Another measurement."""
    config = {**workspace["measurements"][0]["config"], "poi": "norm_ttbar"}
    other = {"name": "other", "config": config}
    measurements = [*workspace["measurements"], other]
    file = write(tmp_path, {**workspace, "measurements": measurements})
    assert read_json(succeed("inspect", file, "--json"))["poi"] == "mu"
    found = read_json(succeed("inspect", file, "--measurement", "other", "--json"))
    assert found["poi"] == "norm_ttbar"


def test_patch(tmp_path: Path, file: Path) -> None:
    """A JSON patch, and one of a PatchSet by name."""
    operations = [{"op": "replace", "path": "/observations/0/data/0", "value": 1000}]
    patch = tmp_path / "patch.json"
    patch.write_text(json.dumps(operations))
    before = read_json(succeed("inspect", file, "--json"))["observed"]
    after = read_json(succeed("inspect", file, "--patch", patch, "--json"))["observed"]
    assert after > before
    patches = [{"metadata": {"name": "point", "values": [1]}, "patch": operations}]
    patch_set = tmp_path / "patchset.json"
    text = json.dumps(json.loads(file.read_text()), sort_keys=True, ensure_ascii=False)
    metadata = {
        "references": {"hepdata": "ins1234567"},
        "digests": {"md5": hashlib.md5(text.encode()).hexdigest()},
        "labels": ["m"],
        "description": "one point",
    }
    document = {"metadata": metadata, "patches": patches, "version": "1.0.0"}
    patch_set.write_text(json.dumps(document))
    options = ("--patch", patch_set, "--patch-name", "point")
    assert read_json(succeed("inspect", file, *options, "--json"))["observed"] == after


def test_interpolation(file: Path, workspace: dict[str, Any]) -> None:
    """Other codes give other fits."""
    found = read_json(succeed("fit", file, "--interpolation", "code1,code0", "--json"))
    model = nextstat.from_pyhf(workspace, interpolation=("code1", "code0"))
    assert found["nll"] == nextstat.fit(model).nll
    assert found["nll"] != nextstat.fit(nextstat.from_pyhf(workspace)).nll


@pytest.mark.parametrize("codes", ["code4", "code4,code3", "code0,code1", ""])
@EACH
def test_unknown_interpolation(file: Path, command: str, codes: str) -> None:
    """What was found, and what was expected."""
    message = fail(command, file, *ARGUMENTS[command], "--interpolation", codes)
    assert all(word in message for word in ("interpolation is", "code1", "code4p"))


@pytest.mark.parametrize(
    ("options", "word"),
    [
        (["--measurement", "measurment"], "did you mean 'measurement'?"),
        (["--patch", "nowhere.json"], "no such file"),
    ],
)
@EACH
def test_wrong_source(file: Path, command: str, options: list[str], word: str) -> None:
    """Measurements and patches that do not exist."""
    assert word in fail(command, file, *ARGUMENTS[command], *options)


@EACH
def test_patch_name_without_patch(file: Path, command: str) -> None:
    assert "--patch-name needs --patch" in misuse(
        command, file, *ARGUMENTS[command], "--patch-name", "point"
    )


# Files that hold no model -----------------------------------------------------------------------


@AS
@EACH
def test_missing_file(tmp_path: Path, command: str, form: list[str]) -> None:
    """The path is named."""
    message = fail(command, tmp_path / "nowhere.json", *ARGUMENTS[command], *form)
    assert "no such file" in message
    assert "nowhere.json" in message


def broken(workspace: dict[str, Any], change: Callable[[dict[str, Any]], None]) -> dict[str, Any]:
    """A copy of a workspace with one thing wrong."""
    copy: dict[str, Any] = json.loads(json.dumps(workspace))
    change(copy)
    return copy


@AS
@EACH
def test_invalid_workspace(
    tmp_path: Path, workspace: dict[str, Any], command: str, form: list[str]
) -> None:
    """The JSON path, what was found and what was meant."""

    def change(copy: dict[str, Any]) -> None:
        copy["channels"][1]["samples"][0]["modifiers"][1]["type"] = "normfactr"

    file = write(tmp_path, broken(workspace, change))
    message = fail(command, file, *ARGUMENTS[command], *form)
    assert "$.channels[1].samples[0].modifiers[1].type" in message
    assert "did you mean 'normfactor'?" in message


@pytest.mark.parametrize(
    ("content", "word"),
    [
        (b"", "empty"),
        (b"\x89PNG\r\n\x1a\n\x00\x00", "starts with"),
        (b'{"channels": [', "not valid JSON"),
        (b"[1, 2]", "starts with"),
        (b"{}", "missing key"),
    ],
)
def test_no_workspace(tmp_path: Path, content: bytes, word: str) -> None:
    """Files that hold something else."""
    file = tmp_path / "file.json"
    file.write_bytes(content)
    assert word in fail("fit", file)


def test_folder(tmp_path: Path) -> None:
    """A folder is not a workspace."""
    assert "cannot read" in fail("validate", tmp_path)


@pytest.mark.filterwarnings("always")
@EACH
def test_misspelt_poi(tmp_path: Path, workspace: dict[str, Any], command: str) -> None:
    """A parameter of interest that no sample carries: a model without, and a warning."""

    def change(copy: dict[str, Any]) -> None:
        copy["measurements"][0]["config"]["poi"] = "mu_"

    file = write(tmp_path, broken(workspace, change))
    arguments = ("lumi", "norm_ttbar") if command == "contour" else ARGUMENTS[command]
    result = call(command, file, *arguments, "--json")
    said = result.stdout if command == "validate" else result.stderr
    assert "$.measurements[0].config.poi: no sample carries 'mu_' (did you mean 'mu'?)" in said
    if command in NEED_POI:
        assert result.exit_code == 1
        assert "no parameter of interest" in result.stderr
    else:
        assert result.exit_code == 0


def test_poi_none(tmp_path: Path, file: Path, workspace: dict[str, Any]) -> None:
    """A model without parameter of interest, on request."""
    for none in ("none", ""):
        assert read_json(succeed("inspect", file, "--poi", none, "--json"))["poi"] is None
        assert read_json(succeed("fit", file, "--poi", none, "--json"))["poi"] is None
        assert "no parameter of interest" in fail("significance", file, "--poi", none)

    def change(copy: dict[str, Any]) -> None:
        for channel in copy["channels"]:
            channel["samples"][1]["modifiers"].append(
                {"name": "none", "type": "normfactor", "data": None}
            )

    named = write(tmp_path, broken(workspace, change))
    result = call("inspect", named, "--poi", "none")
    assert result.exit_code == 2
    assert "write --poi '' for none, or rename it" in result.stderr
    assert read_json(succeed("inspect", named, "--poi", "", "--json"))["poi"] is None


@EACH
def test_stdin(file: Path, command: str) -> None:
    """`-` is what comes through a pipe."""
    expected = read_json(succeed(command, file, *ARGUMENTS[command], "--json"))
    result = call(command, "-", *ARGUMENTS[command], "--json", stdin=file.read_bytes())
    assert result.exit_code == 0
    found = read_json(result)
    assert found.keys() == expected.keys() if isinstance(found, dict) else len(found)
    for text, message in ((b"", "is empty"), (b"hello", "starts with b'hello'")):
        result = call(command, "-", *ARGUMENTS[command], stdin=text)
        assert result.exit_code == 1
        assert message in result.stderr


def test_patch_on_stdin(file: Path) -> None:
    operations = [{"op": "replace", "path": "/observations/0/data/0", "value": 1000}]
    text = json.dumps(operations).encode()
    before = read_json(succeed("inspect", file, "--json"))["observed"]
    result = call("inspect", file, "--patch", "-", "--json", stdin=text)
    assert read_json(result)["observed"] > before
    result = call("inspect", "-", "--patch", "-", stdin=text)
    assert result.exit_code == 2
    assert "stdin can be the workspace or the patch, not both" in result.stderr


@EACH
def test_limit_of_files(file: Path, command: str) -> None:
    """And the advice of its message."""
    message = fail(command, file, *ARGUMENTS[command], "--max-bytes", 100)
    assert message.endswith("if that is meant, raise the limit, --max-bytes 100\n")
    succeed(command, file, *ARGUMENTS[command], "--max-bytes", 1_000_000)


@AS
@EACH
def test_unknown_poi(file: Path, command: str, form: list[str]) -> None:
    """A parameter of interest that does not exist, with the nearest that does."""
    message = fail(command, file, *ARGUMENTS[command], "--poi", "norm_tbar", *form)
    assert "unknown parameter 'norm_tbar'" in message
    assert "did you mean 'norm_ttbar'?" in message


@EACH
def test_no_poi(tmp_path: Path, workspace: dict[str, Any], command: str) -> None:
    """A background-only workspace: it can be looked at and fitted, but not tested."""

    def change(copy: dict[str, Any]) -> None:
        for channel in copy["channels"]:
            del channel["samples"][0]

    file = write(tmp_path, broken(workspace, change))
    arguments = ("lumi", "norm_ttbar") if command == "contour" else ARGUMENTS[command]
    if command in NEED_POI:
        message = fail(command, file, *arguments)
        assert "no parameter of interest" in message
        assert "choose one with --poi" in message
    else:
        assert read_json(succeed(command, file, *arguments, "--json"))
        check_layout(succeed(command, file, *arguments).stdout)


@pytest.mark.parametrize("command", ["inspect", "validate"])
def test_degenerate_is_valid(degenerate: Path, command: str) -> None:
    """Looking at a workspace that cannot be fitted is no problem."""
    assert call(command, degenerate).exit_code == 0


def test_advice_on_patch_sets(tmp_path: Path, file: Path) -> None:
    """In the words of the command line."""
    document = {
        "metadata": {
            "references": {"hepdata": "ins1234567"},
            "digests": {"md5": "0" * 32},
            "labels": ["m"],
            "description": "of another workspace",
        },
        "patches": [{"metadata": {"name": "point", "values": [1]}, "patch": []}],
        "version": "1.0.0",
    }
    patch_set = tmp_path / "patchset.json"
    patch_set.write_text(json.dumps(document))
    for arguments in ([file, "--patch", patch_set], [patch_set]):
        message = fail("inspect", *arguments)
        assert "a patch set; pass it as --patch with --patch-name" in message
    message = fail("inspect", file, "--patch", patch_set, "--patch-name", "point")
    assert (
        "To patch this one all the same, pass the operations alone, in a file, as --pa" in message
    )
    operations = tmp_path / "operations.json"
    operations.write_text("[]")
    succeed("inspect", file, "--patch", operations)
    assert "unknown patch 'pint' (did you mean 'point'?)" in fail(
        "inspect", file, "--patch", patch_set, "--patch-name", "pint"
    )
