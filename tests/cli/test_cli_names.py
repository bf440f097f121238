"""Names that a terminal, an encoding, a file system or the syntax of options could trip over."""

from __future__ import annotations

import json
import os
import pty
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from command_line import ARGUMENTS, COMMANDS, fail, misuse, one_channel, read_json, succeed, write

import nextstat
from nextstat.cli.commands import program
from nextstat.cli.figures import distinct_file_names
from nextstat.datasets import make_workspace

NEXTSTAT = [sys.executable, "-c", "from nextstat.cli import main; main()"]
EVIL = {
    "jet_energy_scale": "evil\x1b[31m\x1b]0;owned\x07",
    "jet_energy_resolution": "two\nlines\r\t\u202e\u2028",
    "b_tagging": "\x9b2J\x7f\ufeff\u2066",
    "norm_ttbar": "漢字の名前" * 8,
    "region_1": "SR/a\x1b[2J",
    "region_2": "SR_a\x1b[2J",
    "ttbar": "t\x00\ntbar",
    "mu": "\u03bc\x1b[5m",
}
UNSEEN = re.compile(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u2028\u202e\ud800-\udfff]")


def renamed(names: dict[str, str]) -> dict[str, Any]:
    """A workspace of two channels with other names."""
    text = json.dumps(make_workspace(2, 3, 3, 4, random_state=0))
    for old, new in names.items():
        assert json.dumps(old) in text
        text = text.replace(json.dumps(old), json.dumps(new))
    workspace: dict[str, Any] = json.loads(text)
    return workspace


@pytest.fixture(scope="module")
def evil(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file with names that no honest person gives."""
    return write(tmp_path_factory.mktemp("evil"), renamed(EVIL))


def run(*arguments: object, **environment: str | None) -> tuple[str, str]:
    """Output and errors of a run of its own that has to succeed, in a pipe."""
    variables = {**os.environ, "COLUMNS": None, "PYTHONIOENCODING": None, **environment}
    done = subprocess.run(
        [*NEXTSTAT, *map(str, arguments)],
        cwd=tempfile.gettempdir(),  # not the checkout, whose nextstat/ holds no extension module
        capture_output=True,
        env={name: value for name, value in variables.items() if value is not None},
        timeout=100,
    )
    assert done.returncode == 0, done.stderr
    encoding = environment.get("PYTHONIOENCODING") or "utf-8"
    return done.stdout.decode(encoding), done.stderr.decode(encoding)


# What is shown ----------------------------------------------------------------------------------


@pytest.mark.parametrize("command", [*COMMANDS, "yields --bins", "fit --correlations 0.1"])
def test_control_characters(evil: Path, command: str) -> None:
    """None on the terminal, no name in two rows, and no row longer than others."""
    name, *options = command.split()
    arguments = (EVIL["mu"], EVIL["norm_ttbar"]) if name == "contour" else ARGUMENTS[name]
    result = succeed(name, evil, *arguments, *options)
    assert not UNSEEN.search(result.stdout + result.stderr)
    assert not re.search(r"^\s*(lines|tbar)", result.stdout, re.MULTILINE)


def test_names_in_tables_are_those_of_repr(evil: Path) -> None:
    text = succeed("fit", evil).stdout
    assert r"evil\x1b[31m\x1b]0;owned\x07 " in text
    assert r"two\nlines\r\t\u202e\u2028 " in text
    assert "\u03bc" + r"\x1b[5m " in text
    named = {row["name"] for row in read_json(succeed("pulls", evil, "--top", 0, "--json"))}
    assert set(nextstat.from_pyhf(evil).parameter_names) - {EVIL["mu"]} >= named
    assert EVIL["jet_energy_scale"] in named


def test_names_in_messages(evil: Path, tmp_path: Path) -> None:
    """Of errors, warnings and wrong usage."""
    messages = [
        fail("fit", evil, "--bounds", "evil=0:1"),
        fail("contour", evil, EVIL["mu"], "evil"),
        fail("inspect", evil, "--poi", "\x1b[31mevil"),
        misuse("yields", evil, "--plot", tmp_path / "x.png"),
        fail("fit", tmp_path / "\x1b[31m.json"),
    ]
    doubled = renamed(EVIL)
    doubled["channels"][1]["name"] = EVIL["region_1"]
    messages.append(fail("fit", write(tmp_path, doubled)))
    misspelt = renamed(EVIL)
    misspelt["observations"].append({"name": "other\x1b[31m", "data": [1.0]})
    messages.append(succeed("validate", write(tmp_path, misspelt)).stdout)
    for message in messages:
        assert not UNSEEN.search(message), message
        assert r"\x1b" in message or "'SR" in message, message


def test_warnings_are_given_once(tmp_path: Path) -> None:
    """A figure is laid out several times, and warns of a missing glyph each time."""
    file = write(tmp_path, renamed({"jet_energy_scale": "漢", "b_tagging": "字"}))
    _, errors = run("pulls", file, "--plot", tmp_path / "x.png")
    lines = errors.splitlines()
    assert len(lines) == len(set(lines))


# Widths and encodings ---------------------------------------------------------------------------


def in_pipe(columns: str | None, *arguments: object) -> str:
    runner = CliRunner(env={"COLUMNS": columns, "TERM": "dumb"})
    result = runner.invoke(program, [str(argument) for argument in arguments])
    assert result.exit_code == 0, result.output
    return result.stdout


@pytest.mark.parametrize("columns", [None, "", "0", "-5", "wide"])
@pytest.mark.parametrize("command", COMMANDS)
def test_full_names_in_a_pipe(long_file: Path, command: str, columns: str | None) -> None:
    """Where no width is asked for, nothing is cut, and no line is broken."""
    text = in_pipe(columns, command, long_file, *ARGUMENTS[command])
    assert text.strip()
    assert "…" not in text.replace("…  ", "") or command in ("hypotest", "limit", "breakdown")
    if command in ("fit", "inspect", "rank", "pulls"):
        assert "systematic_" * 10 + "jet_energy_scale" in text


@pytest.mark.parametrize("columns", ["1", "19", "40"])
def test_narrow(file: Path, columns: str) -> None:
    """Numbers are never cut, however little room there is."""
    text = in_pipe(columns, "fit", file)
    assert re.search(r"^mu +\d\.\d{4} +\d\.\d{4}", text, re.MULTILINE)


@pytest.mark.parametrize(("size", "longest"), [((24, 60), 60), ((0, 0), 80)])
def test_terminal(long_file: Path, size: tuple[int, int], longest: int) -> None:
    """As wide as the terminal; 80 columns if it does not say."""
    import fcntl
    import struct
    import termios

    own, others = pty.openpty()
    fcntl.ioctl(others, termios.TIOCSWINSZ, struct.pack("HHHH", *size, 0, 0))
    variables = {name: value for name, value in os.environ.items() if name != "COLUMNS"}
    process = subprocess.Popen(
        [*NEXTSTAT, "pulls", str(long_file)],
        stdin=others,
        stdout=others,
        stderr=subprocess.DEVNULL,
        cwd=tempfile.gettempdir(),
        env={**variables, "TERM": "dumb"},
    )
    os.close(others)
    text = b""
    try:
        while part := os.read(own, 4096):
            text += part
    except OSError:  # how Linux says that the other end is closed
        pass
    assert process.wait(100) == 0
    os.close(own)
    assert max(map(len, text.decode().splitlines())) == longest


@pytest.mark.parametrize("encoding", ["ascii", "cp1252", "latin-1", "utf-8", "utf-16"])
def test_encodings(tmp_path: Path, encoding: str) -> None:
    """What standard output cannot hold is shown as an escape, in columns of the right width."""
    names = {"mu": "\u03bc", "jet_energy_scale": "漢字", "b_tagging": "\xe9t\xe9"}
    file = write(tmp_path, renamed(names))
    for columns in (None, "42"):  # names are cut in the second
        text, _ = run("fit", file, PYTHONIOENCODING=encoding, COLUMNS=columns)
        whole = encoding.startswith("utf")
        assert ("\u03bc" if whole else r"\u03bc") in text
        if columns is None:
            assert ("漢字" if whole else r"\u6f22\u5b57") in text
        assert (r"\xe9t" if encoding == "ascii" else "\xe9t\xe9") in text
        if not whole:
            rows = [len(row) for row in text.splitlines()[:10]]
            assert len(set(rows)) == 1
    assert json.loads(run("fit", file, "--json", PYTHONIOENCODING=encoding)[0])["poi"] == "\u03bc"
    assert "Usage" in run("--help", PYTHONIOENCODING=encoding)[0]


# Numbers ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("scale", [1e-7, 1e-3, 1.0, 1e5, 1e9])
def test_signed_columns_have_the_digits_of_others(tmp_path: Path, scale: float) -> None:
    """Shifts of the parameter, in whatever unit it is."""
    signal = {"name": "s", "data": [10.0 / scale], "modifiers": []}
    signal["modifiers"] = [{"name": "mu", "type": "normfactor", "data": None}]
    background = {"name": "b", "data": [50.0], "modifiers": []}
    workspace = one_channel([signal, background], [63.0])
    bounds = [-100.0 * scale, 100.0 * scale]
    config = {"name": "mu", "bounds": [bounds], "inits": [scale]}
    workspace["measurements"][0]["config"]["parameters"] = [config]
    file = write(tmp_path, workspace)
    found = read_json(succeed("scan", file, "--json"))["intervals"][0]
    text = succeed("scan", file).stdout
    row = next(line.split() for line in text.splitlines() if line.startswith("68.3 %"))
    down, up = (float(word) for word in row[-2:])
    assert down == pytest.approx(found["lower"] - found["best"], rel=1e-3)
    assert up == pytest.approx(found["upper"] - found["best"], rel=1e-3)
    assert row[-1].startswith("+")
    assert max(map(len, row)) <= 12
    toys = succeed("toys", file, "--n-toys", 20, "--seed", 1).stdout
    bias = read_json(succeed("toys", file, "--n-toys", 20, "--seed", 1, "--json"))["bias"]
    shown = next(line.split()[1] for line in toys.splitlines() if line.startswith("bias"))
    assert shown[0] in "+-"
    assert float(shown) == pytest.approx(bias, rel=2e-3)


@pytest.mark.parametrize("level", ["0.95", "0.9995", "0.999999999999", "0.9"])
def test_levels_in_headings(file: Path, level: str) -> None:
    heading = succeed("limit", file, "--level", level, "--observed-only").stdout.splitlines()[0]
    assert heading.startswith(f"{100.0 * float(level):.12g} % CL upper limit")


# Options ----------------------------------------------------------------------------------------


@pytest.fixture
def equals(tmp_path: Path) -> Path:
    """Parameters whose names look like options."""
    names = ("JET=up:1", "JET", "a=", "=b", "-c", "x=1=2")
    systematics = [
        {"name": name, "type": "normsys", "data": {"hi": 1.1, "lo": 0.9}} for name in names
    ]
    mu = {"name": "mu", "type": "normfactor", "data": None}
    signal = {"name": "s", "data": [5.0], "modifiers": [mu]}
    background = {"name": "b", "data": [100.0], "modifiers": systematics}
    return write(tmp_path, one_channel([signal, background], [105.0]))


@pytest.mark.parametrize(
    ("text", "name", "value"),
    [
        ("JET=up:1", "JET=up:1", 0.0),
        ("JET=up:1=0.5", "JET=up:1", 0.5),
        ("JET", "JET", 0.0),
        ("JET=1", "JET", 1.0),
        ("a=", "a=", 0.0),
        ("a==2", "a=", 2.0),
        ("=b", "=b", 0.0),
        ("=b=-1", "=b", -1.0),
        ("-c", "-c", 0.0),
        ("-c=0.25", "-c", 0.25),
        ("x=1=2", "x=1=2", 0.0),
        ("x=1=2=1e-1", "x=1=2", 0.1),
    ],
)
def test_fix(equals: Path, text: str, name: str, value: float) -> None:
    """The parameter held is the one named."""
    found = read_json(succeed("fit", equals, "--fix", text, "--json"))
    assert found["parameters"][name] == value
    held = [other for other, error in found["errors"].items() if error is None]
    assert [other for other in held if other != "mu"] == [name]


@pytest.mark.parametrize("name", ["JET=up:1", "a=", "=b", "-c", "x=1=2"])
def test_bounds(equals: Path, name: str) -> None:
    found = read_json(succeed("fit", equals, "--bounds", f"{name}=-1e-9:1e-9", "--json"))
    assert abs(found["parameters"][name]) <= 1e-9


def test_fix_of_no_parameter(equals: Path) -> None:
    """The nearest name is that of the whole, or of what stands before the value."""
    assert "did you mean 'JET=up:1'?" in fail("fit", equals, "--fix", "JEP=up:1")
    assert "did you mean 'JET=up:1'?" in fail("fit", equals, "--fix", "JEP=up:1=0.5")
    assert "found 'up' in 'JET=up', expected a number" in misuse("fit", equals, "--fix", "JET=up")


# Files ------------------------------------------------------------------------------------------


def test_file_names() -> None:
    """All different, also where case does not count; what can stay does."""
    names = ["a/b", "a_b", "a:b", "A_B", "a_b_2", "..", "", "\x1b[2J", "é", "e\u0301", "漢" * 99]
    found = distinct_file_names(names)
    assert set(found) == set(names)
    assert len({name.casefold() for name in found.values()}) == len(names)
    assert found["a_b"] == "a_b"
    assert found["a_b_2"] == "a_b_2"
    assert [found["a/b"], found["a:b"], found["A_B"]] == ["a_b_3", "a_b_4", "A_B_5"]
    assert all(re.fullmatch(r"[\w.-]*", name) for name in found.values())
    assert max(len(name.encode()) for name in found.values()) < 160
    assert found == distinct_file_names(names)


def test_figures_of_similar_channels(tmp_path: Path) -> None:
    """Each has its own."""
    file = write(tmp_path, renamed({"region_1": "a/b\x1b", "region_2": "a_b_"}))
    folder = tmp_path / "figures"
    written = read_json(succeed("plot", file, "--output", folder, "--json"))["written"]
    drawn = sorted(path.name for path in folder.iterdir())
    assert len(written) == len(set(written)) == len(drawn)
    assert [name for name in drawn if name.startswith("yields")] == [
        "yields_a_b__2_postfit.png",
        "yields_a_b__2_prefit.png",
        "yields_a_b__postfit.png",
        "yields_a_b__prefit.png",
    ]
