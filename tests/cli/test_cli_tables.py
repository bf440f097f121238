"""Tables are readable at 80 columns; what machines read is apart from what people read."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
from command_line import (
    ARGUMENTS,
    COMMANDS,
    HEADINGS,
    check_layout,
    lines_with,
    read_json,
    succeed,
    write,
)

import nextstat
from nextstat.cli import output
from nextstat.datasets import make_workspace

PUBLISHED = {
    "tttt": ("mu_signal", "ttW_Gen"),
    "1lbb": ("mu_SIG", "singletopHardScattering"),
    "stau": ("mu_SIG", "lumi"),
}
# The parameter of interest of the last is on its lower bound: errors need it inside.
INSIDE = {"stau": ("--bounds", "mu_SIG=-10:10")}


@pytest.mark.parametrize("command", COMMANDS)
def test_tables(file: Path, command: str) -> None:
    """A readable table on stdout, nothing on stderr, no control characters."""
    result = succeed(command, file, *ARGUMENTS[command])
    check_layout(result.stdout)
    for heading in HEADINGS[command]:
        assert heading in result.stdout
    assert result.stderr == ""
    assert "\x1b" not in result.stdout
    assert "nan" not in result.stdout


@pytest.mark.filterwarnings("ignore::nextstat.FitWarning")
@pytest.mark.parametrize("command", COMMANDS)
def test_tables_of_long_names(long_file: Path, command: str) -> None:
    """Names give way, numbers do not."""
    text = succeed(command, long_file, *ARGUMENTS[command]).stdout
    check_layout(text)
    for heading in HEADINGS[command]:
        assert heading in text


@pytest.mark.parametrize("command", ["yields", "fit"])
def test_wide_tables_of_long_names(long_file: Path, command: str) -> None:
    """The same with every column there is."""
    options = {"yields": ["--bins"], "fit": ["--correlations", "0"]}[command]
    text = succeed(command, long_file, *options).stdout
    check_layout("\n".join(line for line in text.splitlines() if "channel_" not in line))


def test_long_parameter_of_interest(tmp_path: Path) -> None:
    """A name in a heading is cut, the numbers below it are not."""
    workspace = make_workspace(1, 2, 2, 1, random_state=0)
    name = "signal_strength_of_" * 3
    workspace["measurements"][0]["config"]["poi"] = name
    for sample in workspace["channels"][0]["samples"]:
        for modifier in sample["modifiers"]:
            if modifier["name"] == "mu":
                modifier["name"] = name
    file = write(tmp_path, workspace)
    limit = nextstat.upper_limit(nextstat.from_pyhf(file))
    for command in ("limit", "hypotest", "breakdown"):
        text = succeed(command, file).stdout
        assert name[:20] in text
        assert all(len(line) <= 80 for line in text.splitlines())
    assert lines_with(succeed("limit", file).stdout, "observed", f"{limit.observed:.4f}")


@pytest.mark.filterwarnings("ignore::nextstat.FitWarning")
@pytest.mark.parametrize("name", PUBLISHED)
@pytest.mark.parametrize("command", ["inspect", "fit", "pulls", "gof", "yields", "breakdown"])
def test_published_tables(published: Path, command: str, name: str) -> None:
    """Real names and real numbers."""
    file = published / f"{name}.json"
    inside = INSIDE.get(name, ()) if command == "breakdown" else ()
    text = succeed(command, file, *inside).stdout
    check_layout(text)
    for heading in HEADINGS[command]:
        assert heading.replace("of mu", f"of {PUBLISHED[name][0]}") in text


@pytest.mark.parametrize("name", PUBLISHED)
def test_published_contours(published: Path, name: str) -> None:
    """The same for a command that needs names."""
    arguments = (*PUBLISHED[name], "--points", 4, *INSIDE.get(name, ()))
    text = succeed("contour", published / f"{name}.json", *arguments).stdout
    check_layout(text)
    for parameter in PUBLISHED[name]:
        assert len(lines_with(text, parameter)) == 2


@pytest.mark.parametrize("command", COMMANDS)
def test_json_is_all_there_is(file: Path, command: str) -> None:
    """Strict JSON on stdout, nothing on stderr."""
    result = succeed(command, file, *ARGUMENTS[command], "--json")
    assert read_json(result)
    assert result.stderr == ""


def test_json_of_special_numbers(capsys: pytest.CaptureFixture[str]) -> None:
    """NaN is null; infinities can be told apart."""

    def table() -> None:
        raise AssertionError("no table was asked for")

    numbers = [math.nan, math.inf, -math.inf, 1e300, 0.1]
    output.emit({"numbers": numbers, "pair": (math.inf, None)}, True, table)
    assert capsys.readouterr().out == (
        '{\n  "numbers": [\n    null,\n    "inf",\n    "-inf",\n    1e+300,\n    0.1\n  ],\n'
        '  "pair": [\n    "inf",\n    null\n  ]\n}\n'
    )


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0, "0.0000"),
        (1.23456, "1.2346"),
        (-0.00012345, "-0.0001234"),
        (123456.7, "1.235e+05"),
        (math.nan, "-"),
        (math.inf, "inf"),
        (-math.inf, "-inf"),
    ],
)
def test_numbers(value: float, text: str) -> None:
    """Four decimals, or four digits where those say nothing."""
    assert output.number(value) == text


def test_undefined_numbers() -> None:
    """A dash, however the number would have been written."""
    formats = (output.number, output.significant, output.signed, output.decimals)
    assert {write(math.nan) for write in formats} == {"-"}
