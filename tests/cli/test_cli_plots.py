"""--plot, and the demonstration."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Any

import pytest
from command_line import (
    ARGUMENTS,
    call,
    check_layout,
    is_png,
    lines_with,
    misuse,
    one_channel,
    read_json,
    succeed,
    write,
)

import nextstat
from nextstat import interpret
from nextstat.datasets import make_workspace

README = Path(__file__).parents[2] / "README.md"

# Commands that draw, with what they need for it.
DRAWING: dict[str, tuple[object, ...]] = {
    "fit": (),
    "hypotest": ("--toys", 100, "--seed", 1),
    "limit": (),
    "scan": ("--points", 9),
    "contour": (*ARGUMENTS["contour"], "--points", 8),
    "rank": (),
    "pulls": (),
    "gof": (),
    "yields": ("--channel", "region_1"),
}


@pytest.mark.parametrize("command", DRAWING)
def test_plot(file: Path, tmp_path: Path, command: str) -> None:
    """The figure goes to the file, the note about it to stderr, the result to stdout."""
    plot = tmp_path / "figure.png"
    result = succeed(command, file, *DRAWING[command], "--json", "--plot", plot)
    assert is_png(plot)
    assert read_json(result)
    assert result.stderr == f"wrote {plot}\n"


@pytest.mark.parametrize(
    ("command", "options"),
    [
        ("gof", ["--toys", 60, "--seed", 1]),
        ("rank", ["--method", "auxdata"]),
        ("fit", ["--correlations", 0.05]),
        ("hypotest", ["--mu", 0, "--toys", 60, "--seed", 1]),
    ],
)
def test_plot_variants(file: Path, tmp_path: Path, command: str, options: list[Any]) -> None:
    """What is drawn differently."""
    succeed(command, file, *options, "--plot", tmp_path / "figure.png")
    assert is_png(tmp_path / "figure.png")


def test_pdf(file: Path, tmp_path: Path) -> None:
    """The suffix says the format."""
    succeed("rank", file, "--plot", tmp_path / "ranking.pdf")
    assert (tmp_path / "ranking.pdf").read_bytes().startswith(b"%PDF")


def test_limit_plot(file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The scan that is drawn reaches beyond all limits, at the level asked for."""
    drawn: list[Any] = []
    cls_scan = nextstat.plot.cls_scan

    def remember(scan: nextstat.ClsScan, **options: Any) -> Any:
        drawn.append((scan, options))
        return cls_scan(scan, **options)

    monkeypatch.setattr(nextstat.plot, "cls_scan", remember)
    succeed("limit", file, "--level", 0.9, "--plot", tmp_path / "limit.png")
    ((scan, options),) = drawn
    assert options == {"level": 0.9}
    limit = nextstat.upper_limit(nextstat.from_pyhf(file), 0.9)
    assert scan.values[0] < limit.expected[0]
    assert scan.values[-1] > max(limit.observed, limit.expected[-1])
    assert scan.observed[-1] < 0.1 < scan.observed[0]


def test_yields_plot_needs_a_channel(file: Path, tmp_path: Path) -> None:
    """Of several channels one must be chosen."""
    message = misuse("yields", file, "--plot", tmp_path / "yields.png")
    assert "--plot needs --channel, one of: region_1, region_2" in message


@pytest.mark.parametrize("command", [*DRAWING, "demo"])
@pytest.mark.parametrize(
    ("plot", "word"),
    [
        ("missing/figure.png", "there is no folder"),
        ("figure.nonsense", ".pdf, "),
        ("figure", ".pdf, "),
        (".", "directory"),
    ],
)
def test_plot_that_cannot_be_written(
    file: Path, tmp_path: Path, command: str, plot: str, word: str
) -> None:
    """It is refused before anything is computed."""
    arguments = [] if command == "demo" else [file, *DRAWING[command]]
    assert word in misuse(command, *arguments, "--plot", tmp_path / plot)


# The demonstration ------------------------------------------------------------------------------


def test_demo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Everything on one page, and `ranking.png` in the working directory."""
    monkeypatch.chdir(tmp_path)
    result = succeed("demo")
    check_layout(result.stdout)
    titles = ("Model", "Fit", "Discovery", "Upper limit", "Ranking")
    positions = [result.stdout.index(f"\n{title}\n") for title in titles]
    assert positions == sorted(positions)
    assert is_png(tmp_path / "ranking.png")
    assert "nan" not in result.stdout
    model = nextstat.from_pyhf(make_workspace(random_state=1))
    fit = nextstat.fit(model)
    assert lines_with(result.stdout, "mu", f"{fit.mu:.4f}")
    assert lines_with(result.stdout, "observed", f"{nextstat.significance(model):.3f}")
    assert lines_with(result.stdout, "observed", f"{nextstat.upper_limit(model).observed:.4f}")
    ranking = result.stdout.split("\nRanking\n")[1]
    for row in interpret.rank_impact(model, top_n=10):
        assert lines_with(ranking, str(row["rank"]), row["name"])
    assert not lines_with(ranking, "11")


def test_demo_plot(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another name for the figure."""
    monkeypatch.chdir(tmp_path)
    succeed("demo", "--plot", "other.png")
    assert [path.name for path in tmp_path.iterdir()] == ["other.png"]
    assert is_png(tmp_path / "other.png")


def test_readme_shows_the_demo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its lines, in their order, but for the widths of columns and the time taken."""
    monkeypatch.chdir(tmp_path)
    result = call("demo")
    printed = [line.split() for line in result.stdout.splitlines() + result.stderr.splitlines()]
    (shown,) = re.findall(r"```text\n(Model\n.*?)```", README.read_text("utf-8"), re.DOTALL)
    lines = [line.split() for line in shown.splitlines()]
    lines = [line for line in lines if line and line != ["..."] and line[:2] != ["2", "nll"]]
    lines = [line for line in lines if not line[0].startswith("──")]
    assert len(lines) > 20
    for line in lines:
        assert line in printed, line
        del printed[: printed.index(line) + 1]


def test_readme_commands_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The commands that the README shows."""
    monkeypatch.chdir(tmp_path)
    write(tmp_path, make_workspace(random_state=1))
    lines = re.findall(r"^nextstat (.*workspace\.json.*)$", README.read_text("utf-8"), re.MULTILINE)
    assert len(lines) == 3
    for line in lines:
        assert succeed(*shlex.split(line)).stdout
    assert (tmp_path / "scan.pdf").exists()


def test_all_figures_at_once(file: Path, model: nextstat.HistFactoryModel, tmp_path: Path) -> None:
    folder = tmp_path / "figures"
    result = succeed("plot", file, "--output", folder, "--json")
    found = read_json(result)
    assert found["failed"] == {}
    names = {Path(path).name for path in found["written"]}
    yields = {f"yields_{c}_{s}.png" for c in model.channels for s in ("prefit", "postfit")}
    others = {"pulls", "correlation", "goodness_of_fit", "scan", "cls", "ranking"}
    assert names == yields | {f"{name}.png" for name in others}
    assert all(is_png(folder / name) for name in names)


def test_figures_that_cannot_be_drawn_are_named(tmp_path: Path) -> None:
    """As many free parameters as bins: there is no goodness of fit, and nothing is pulled."""
    modifiers = [{"name": "mu", "type": "normfactor", "data": None}]
    samples = [
        {"name": "signal", "data": [5.0], "modifiers": modifiers},
        {"name": "background", "data": [6.0], "modifiers": []},
    ]
    result = call("plot", write(tmp_path, one_channel(samples, [9.0])), "--output", tmp_path / "f")
    assert result.exit_code == 1
    assert "no goodness_of_fit: there are no more bins that can hold events" in " ".join(
        result.stdout.split()
    )
    assert "could not be drawn" in result.stderr
    assert is_png(tmp_path / "f" / "scan.png")
