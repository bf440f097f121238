"""Runs of the command line, and what can be read from them."""

from __future__ import annotations

import json
import math
import re
from pathlib import Path
from typing import Any

from click.testing import CliRunner, Result

from nextstat.cli.commands import program

WIDTH = 80

# Every command on a workspace, with the least that it must be given besides the file.
ARGUMENTS: dict[str, tuple[object, ...]] = {
    "inspect": (),
    "validate": (),
    "fit": (),
    "significance": (),
    "hypotest": (),
    "limit": (),
    "scan": (),
    "contour": ("mu", "norm_ttbar"),
    "rank": (),
    "pulls": (),
    "toys": ("--n-toys", 20, "--seed", 1),
    "gof": (),
    "breakdown": (),
    "yields": (),
}
COMMANDS = tuple(ARGUMENTS)
FITTING = tuple(command for command in COMMANDS if command not in ("inspect", "validate"))
NEED_POI = ("significance", "hypotest", "limit", "scan", "rank", "toys", "breakdown")
HEADINGS = {
    "inspect": ("channel", "observed", "sample", "bounds", "centre", "width"),
    "validate": ("valid",),
    "fit": ("parameter", "value", "error", "pull", "constraint"),
    "significance": ("discovery", "Z0 (sigma)", "p0"),
    "hypotest": ("CLs",),
    "limit": ("upper limit", "mu"),
    "scan": ("interval", "lower", "upper", "down", "up"),
    "contour": ("parameter", "region", "best fit", "lowest", "highest"),
    "rank": ("#", "parameter", "up", "down", "pre up", "pre dn", "pull", "constr"),
    "pulls": ("parameter", "value", "error", "pull", "constraint"),
    "toys": ("toys", "value", "error"),
    "gof": ("channel", "statistic", "bins"),
    "breakdown": ("error of mu", "size", "of the variance"),
    "yields": ("sample", "pre-fit", "post-fit", "error"),
}


def call(*arguments: object, stdin: bytes | None = None) -> Result:
    """Run the command line on a terminal of 80 columns."""
    runner = CliRunner(env={"COLUMNS": str(WIDTH), "TERM": "dumb"})
    return runner.invoke(program, [str(argument) for argument in arguments], input=stdin)


def succeed(*arguments: object) -> Result:
    """Run, and insist on success."""
    result = call(*arguments)
    assert result.exit_code == 0, result.output
    return result


def fail(*arguments: object) -> str:
    """Run, insist on failure without a result or a traceback, and give what stderr says."""
    result = call(*arguments)
    assert result.exit_code == 1, result.output
    assert isinstance(result.exception, SystemExit)
    assert result.stdout == ""
    assert result.stderr.startswith("Error: ")
    assert len(result.stderr.splitlines()) == 1
    assert "internal error" not in result.stderr
    return result.stderr


def misuse(*arguments: object) -> str:
    """Run, insist on click's exit code for wrong usage, and give what stderr says."""
    result = call(*arguments)
    assert result.exit_code == 2, result.output
    assert result.stdout == ""
    assert "Usage:" in result.stderr
    return result.stderr


def read_json(result: Result) -> Any:
    """What stands on stdout, which must be strict JSON."""

    def refuse(literal: str) -> None:
        raise AssertionError(f"{literal} is no JSON")

    return json.loads(result.stdout, parse_constant=refuse)


def plain(value: Any) -> Any:
    """What JSON can hold of a value: NaN becomes null, infinities strings."""
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None if math.isnan(value) else {math.inf: "inf", -math.inf: "-inf"}[value]
    return value


def write(folder: Path, workspace: dict[str, Any], name: str = "workspace.json") -> Path:
    """A workspace in a file."""
    path = folder / name
    path.write_text(json.dumps(workspace))
    return path


def check_layout(text: str) -> None:
    """No line too long, and nothing cut but names: neither numbers nor headings."""
    lines = text.splitlines()
    for line, following in zip(lines, [*lines[1:], ""], strict=True):
        assert len(line) <= WIDTH, line
        assert not re.search(r"(?<!\S)[-+\d.\[][-+\d.e]*…", line), line
        if following.startswith("──"):
            assert "…" not in line, line


def lines_with(text: str, *words: str) -> list[str]:
    """Lines in which all of the words stand, in this order, each by itself."""
    pattern = r"(?<!\S)" + r"\s+(?:.*\s)?".join(map(re.escape, words)) + r"(?!\S)"
    return [line for line in text.splitlines() if re.search(pattern, line)]


def is_png(path: Path) -> bool:
    """Whether a file holds a PNG image."""
    return path.read_bytes().startswith(b"\x89PNG\r\n\x1a\n")


def two_factors(data: list[float]) -> dict[str, Any]:
    """Two free factors on the only sample: whatever the data, they determine the product only."""
    factors = [{"name": name, "type": "normfactor", "data": None} for name in ("mu", "norm_ttbar")]
    sample = {"name": "sample", "data": [50.0, 60.0], "modifiers": factors}
    return one_channel([sample], data)


def one_channel(samples: list[dict[str, Any]], data: list[float]) -> dict[str, Any]:
    """A workspace of a single channel, with the parameter of interest mu."""
    return {
        "channels": [{"name": "SR", "samples": samples}],
        "observations": [{"name": "SR", "data": data}],
        "measurements": [{"name": "m", "config": {"poi": "mu", "parameters": []}}],
        "version": "1.0.0",
    }
