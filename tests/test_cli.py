"""The command line: exit codes, JSON, tables, plots, and what goes where when something fails."""

from __future__ import annotations

import json
import math
import re
import shutil
import subprocess
import sysconfig
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner, Result

import nextstat
from nextstat import interpret
from nextstat.cli import main
from nextstat.datasets import make_workspace

WIDTH = 80
COMMANDS = ("inspect", "validate", "fit", "significance", "hypotest", "limit", "rank")
HEADINGS = {
    "inspect": ("channel", "observed", "sample", "bounds", "centre", "width"),
    "validate": ("valid",),
    "fit": ("parameter", "value", "error", "pull", "constraint"),
    "significance": ("discovery", "Z0 (sigma)", "p0"),
    "hypotest": ("CLs",),
    "limit": ("upper limit", "mu"),
    "rank": ("#", "parameter", "up", "down", "pre up", "pre dn", "pull", "constr"),
}
FITTING = ("fit", "significance", "hypotest", "limit", "rank")


def call(*arguments: object) -> Result:
    """Run the command line on a terminal of 80 columns."""
    runner = CliRunner(env={"COLUMNS": str(WIDTH), "TERM": "dumb"})
    return runner.invoke(main, [str(argument) for argument in arguments])


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
    return result.stderr


def read_json(result: Result) -> Any:
    """What stands on stdout, which must be strict JSON."""

    def refuse(literal: str) -> None:
        raise AssertionError(f"{literal} is no JSON")

    return json.loads(result.stdout, parse_constant=refuse)


def plain(value: Any) -> Any:
    """What JSON can hold of a value: NaN and infinities become null."""
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def write(folder: Path, workspace: dict[str, Any], name: str = "workspace.json") -> Path:
    """A workspace in a file."""
    path = folder / name
    path.write_text(json.dumps(workspace))
    return path


@pytest.fixture(scope="module")
def workspace() -> dict[str, Any]:
    """Two channels, a dozen parameters, a free normalisation among them."""
    return make_workspace(2, 4, 3, 5, random_state=3)


@pytest.fixture(scope="module")
def file(workspace: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The workspace in a file."""
    return write(tmp_path_factory.mktemp("cli"), workspace)


@pytest.fixture(scope="module")
def model(workspace: dict[str, Any]) -> nextstat.HistFactoryModel:
    """The model of the workspace."""
    return nextstat.from_pyhf(workspace)


@pytest.fixture(scope="module")
def long_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Names longer than a line, yields from tiny to huge."""
    workspace = make_workspace(2, 3, 3, 4, random_state=0)
    for channel, observation in zip(workspace["channels"], workspace["observations"], strict=True):
        scale = 1e5 if channel["name"].endswith("1") else 1e-2
        channel["name"] = observation["name"] = "channel_" * 12 + channel["name"]
        observation["data"] = [round(scale * x) for x in observation["data"]]
        for sample in channel["samples"]:
            sample["name"] = "sample_" * 12 + sample["name"]
            sample["data"] = [scale * x for x in sample["data"]]
            for modifier in sample["modifiers"]:
                if modifier["type"] in ("normsys", "histosys"):
                    modifier["name"] = "systematic_" * 10 + modifier["name"]
                if modifier["type"] == "histosys":
                    modifier["data"] = {
                        key: [scale * x for x in values] for key, values in modifier["data"].items()
                    }
                if modifier["type"] == "staterror":
                    modifier["data"] = [scale * x for x in modifier["data"]]
    return write(tmp_path_factory.mktemp("cli"), workspace)


def two_factors(data: list[float]) -> dict[str, Any]:
    """Two free factors on the only sample: whatever the data, they determine the product only."""
    factors = [{"name": name, "type": "normfactor", "data": None} for name in ("mu", "k")]
    sample = {"name": "sample", "data": [50.0, 60.0], "modifiers": factors}
    return {
        "channels": [{"name": "SR", "samples": [sample]}],
        "observations": [{"name": "SR", "data": data}],
        "measurements": [{"name": "m", "config": {"poi": "mu", "parameters": []}}],
        "version": "1.0.0",
    }


@pytest.fixture(scope="module")
def degenerate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace whose fit cannot converge."""
    return write(tmp_path_factory.mktemp("cli"), two_factors([50.0, 60.0]))


# JSON equals the library ------------------------------------------------------------------------


def test_inspect_json(file: Path, model: nextstat.HistFactoryModel) -> None:
    """Channels, samples and every parameter."""
    found = read_json(succeed("inspect", file, "--json"))
    assert found["channels"] == {"region_1": 4, "region_2": 4}
    assert found["samples"] == list(model.samples)
    assert found["poi"] == "mu"
    assert found["n_bins"] == 8
    assert found["observed"] == model.data.sum()
    assert found["parameters"] == [plain(p._asdict()) for p in model.parameters]


def test_validate_json(file: Path, model: nextstat.HistFactoryModel) -> None:
    """The verdict and the model."""
    found = read_json(succeed("validate", file, "--json"))
    assert found == {"valid": True, "warnings": [], "model": repr(model)}


def without_time(result: dict[str, Any]) -> dict[str, Any]:
    """All but the one number that differs between two equal fits."""
    return {key: value for key, value in result.items() if key != "time_ms"}


def test_fit_json(file: Path, model: nextstat.HistFactoryModel) -> None:
    """The whole result, nothing rounded."""
    found = read_json(succeed("fit", file, "--json"))
    assert found["time_ms"] > 0.0
    assert without_time(found) == without_time(plain(nextstat.fit(model).to_dict()))


def test_fit_asimov_json(file: Path, model: nextstat.HistFactoryModel) -> None:
    """Asimov data are fitted with what they were made from."""
    found = read_json(succeed("fit", file, "--asimov", "--json"))
    data = nextstat.asimov_data(model, 1.0, nuisances="nominal")
    expected = nextstat.fit(model, data)
    assert without_time(found) == without_time(plain(expected.to_dict()))
    assert found["mu"] == pytest.approx(1.0, abs=1e-6)


def test_fit_n_starts_json(file: Path, model: nextstat.HistFactoryModel) -> None:
    """Several starting points."""
    found = read_json(succeed("fit", file, "--n-starts", 3, "--json"))
    expected = nextstat.fit(model, n_starts=3)
    assert without_time(found) == without_time(plain(expected.to_dict()))


def test_significance_json(file: Path, model: nextstat.HistFactoryModel) -> None:
    """Observed and expected Z0."""
    found = read_json(succeed("significance", file, "--json"))
    assert found == {
        "observed": nextstat.significance(model),
        "expected": nextstat.significance(model, expected=True),
    }


@pytest.mark.parametrize(
    ("options", "arguments"),
    [
        ([], {}),
        (["--mu", 0], {"mu": 0.0}),
        (["--mu", 2.5], {"mu": 2.5}),
        (["--mu", 0.5, "--test-stat", "q"], {"mu": 0.5, "test_stat": "q"}),
    ],
)
def test_hypotest_json(
    file: Path, model: nextstat.HistFactoryModel, options: list[Any], arguments: dict[str, Any]
) -> None:
    """Every number of the test, its band as a list."""
    found = read_json(succeed("hypotest", file, *options, "--json"))
    assert found == plain(nextstat.hypotest(model, **arguments).to_dict())
    assert len(found["expected"]) == 5


@pytest.mark.parametrize("level", [0.95, 0.9])
def test_limit_json(file: Path, model: nextstat.HistFactoryModel, level: float) -> None:
    """Observed limit and band."""
    found = read_json(succeed("limit", file, "--level", level, "--json"))
    assert found == plain(nextstat.upper_limit(model, level).to_dict())
    assert found["expected"] == sorted(found["expected"])


@pytest.mark.parametrize(("top", "n"), [(3, 3), (0, None), (1000, None)])
def test_rank_json(file: Path, model: nextstat.HistFactoryModel, top: int, n: int | None) -> None:
    """Rows of the ranking; NaN, of unconstrained parameters, as null."""
    found = read_json(succeed("rank", file, "--top", top, "--n-jobs", 2, "--json"))
    rows = interpret.rank_impact(model)[:n]
    assert found == plain(rows)
    assert None in [row["pull"] for row in found]
    assert len(found) == (n or len(model.parameters) - 1)


def test_poi_option(file: Path, model: nextstat.HistFactoryModel) -> None:
    """Another parameter of interest."""
    found = read_json(succeed("significance", file, "--poi", "norm_ttbar", "--json"))
    assert found["observed"] == nextstat.significance(model, poi="norm_ttbar")
    rows = read_json(succeed("rank", file, "--poi", "norm_ttbar", "--json"))
    names = {row["name"] for row in rows}
    assert "mu" in names
    assert "norm_ttbar" not in names


def test_measurement_option(tmp_path: Path, workspace: dict[str, Any]) -> None:
    """Another measurement."""
    config = {**workspace["measurements"][0]["config"], "poi": "norm_ttbar"}
    other = {"name": "other", "config": config}
    measurements = [*workspace["measurements"], other]
    file = write(tmp_path, {**workspace, "measurements": measurements})
    assert read_json(succeed("inspect", file, "--json"))["poi"] == "mu"
    found = read_json(succeed("inspect", file, "--measurement", "other", "--json"))
    assert found["poi"] == "norm_ttbar"


def test_patch_options(tmp_path: Path, file: Path) -> None:
    """A JSON patch, and one of a PatchSet by name."""
    operations = [{"op": "replace", "path": "/observations/0/data/0", "value": 1000}]
    patch = tmp_path / "patch.json"
    patch.write_text(json.dumps(operations))
    before = read_json(succeed("inspect", file, "--json"))["observed"]
    after = read_json(succeed("inspect", file, "--patch", patch, "--json"))["observed"]
    assert after > before
    patches = [{"metadata": {"name": "point", "values": [1]}, "patch": operations}]
    patch_set = tmp_path / "patchset.json"
    patch_set.write_text(json.dumps({"patches": patches}))
    options = ("--patch", patch_set, "--patch-name", "point")
    assert read_json(succeed("inspect", file, *options, "--json"))["observed"] == after


# Tables -----------------------------------------------------------------------------------------


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


@pytest.mark.parametrize("command", COMMANDS)
def test_tables(file: Path, command: str) -> None:
    """A readable table on stdout, nothing on stderr, no control characters."""
    result = succeed(command, file)
    check_layout(result.stdout)
    assert result.stdout.strip()
    assert result.stderr == ""
    assert "\x1b" not in result.stdout
    assert "nan" not in result.stdout


@pytest.mark.filterwarnings("ignore::nextstat.FitWarning")
@pytest.mark.parametrize("command", COMMANDS)
def test_tables_of_long_names(long_file: Path, command: str) -> None:
    """Names give way, numbers do not."""
    text = succeed(command, long_file).stdout
    check_layout(text)
    for heading in HEADINGS[command]:
        assert heading in text


def test_fit_table(file: Path, model: nextstat.HistFactoryModel) -> None:
    """Value, error, pull and constraint of every parameter, as the library gives them."""
    text, result = succeed("fit", file).stdout, nextstat.fit(model)
    for k, p in enumerate(model.parameters):
        words = [p.name, f"{result.values[k]:.4f}", f"{result.errors[k]:.4f}"]
        if not math.isnan(p.width):
            words.append(f"{(result.values[k] - p.centre) / p.width:+.2f}")
            words.append(f"{result.errors[k] / p.width:.2f}")
        assert lines_with(text, *words), words
    assert "converged" in text
    assert f"{result.twice_nll:.6f}" in text


def test_fit_table_top(file: Path, model: nextstat.HistFactoryModel) -> None:
    """The parameter of interest and the largest pulls, and how many were left out."""
    text = succeed("fit", file, "--top", 3).stdout
    table = text.split("─\n")[1].split("...")[0]
    assert len(table.splitlines()) == 3
    assert table.startswith("mu ")
    assert re.search(rf"\b{len(model.parameters) - 3} .*pulled", text)


def test_fixed_and_bounded_parameters(tmp_path: Path, workspace: dict[str, Any]) -> None:
    """Words stand where there is no error."""
    config = workspace["measurements"][0]["config"]
    settings = [
        {"name": "norm_ttbar", "fixed": True},
        {"name": "mu", "bounds": [[3.0, 10.0]], "inits": [3.0]},
    ]
    config = {**config, "parameters": [*config["parameters"], *settings]}
    measurement = {"name": "m", "config": config}
    file = write(tmp_path, {**workspace, "measurements": [measurement]})
    text = succeed("fit", file).stdout
    assert lines_with(text, "norm_ttbar", "1.0000", "fixed")
    assert lines_with(text, "mu", "3.0000", "at bound")
    parameters = succeed("inspect", file).stdout
    assert lines_with(parameters, "norm_ttbar", "normfactor (fixed)")


def test_significance_table(file: Path, model: nextstat.HistFactoryModel) -> None:
    """Both values of Z0."""
    text = succeed("significance", file).stdout
    assert lines_with(text, "observed", f"{nextstat.significance(model):.3f}")
    assert lines_with(text, "expected", f"{nextstat.significance(model, expected=True):.3f}")


@pytest.mark.parametrize("mu", [0.0, 1.0])
def test_hypotest_table(file: Path, model: nextstat.HistFactoryModel, mu: float) -> None:
    """CLs, or p0 for a discovery, with its band."""
    text, test = succeed("hypotest", file, "--mu", mu).stdout, nextstat.hypotest(model, mu)
    assert ("CLs" in text) == (mu > 0.0)
    assert ("p0" in text) == (mu == 0.0)
    value = test.cls if mu else test.pvalue
    assert lines_with(text, "observed", f"{value:.5g}")
    bands = ("-2 sigma", "-1 sigma", "median", "+1 sigma", "+2 sigma")
    for band, expected in zip(bands, test.expected, strict=True):
        assert lines_with(text, "expected", band, f"{expected:.5g}")


def test_limit_table(file: Path, model: nextstat.HistFactoryModel) -> None:
    """Observed limit, band and level."""
    text, limit = succeed("limit", file, "--level", 0.9).stdout, nextstat.upper_limit(model, 0.9)
    assert "90 % CL upper limit" in text
    assert lines_with(text, "observed", f"{limit.observed:.4f}")
    for expected in limit.expected:
        assert lines_with(text, "expected", f"{expected:.4f}")


def test_rank_table(file: Path, model: nextstat.HistFactoryModel) -> None:
    """All four impacts, pull and constraint of every row."""
    text = succeed("rank", file, "--top", 0).stdout
    keys = ("delta_mu_up", "delta_mu_down", "delta_mu_up_prefit", "delta_mu_down_prefit")
    for row in interpret.rank_impact(model):
        free = math.isnan(row["pull"])  # unconstrained: no pre-fit width, pull or constraint
        words = [str(row["rank"]), row["name"], *(f"{row[key]:+.4f}" for key in keys)]
        if free:
            words[4:] = ["-", "-"]
        words += ["-", "-"] if free else [f"{row['pull']:+.2f}", f"{row['constraint']:.2f}"]
        assert lines_with(text, *words), words


def test_rank_table_of_long_names(long_file: Path) -> None:
    """Every number of a row is there, although its name is not."""
    text = succeed("rank", long_file, "--top", 0).stdout
    keys = ("delta_mu_up", "delta_mu_down", "delta_mu_up_prefit", "delta_mu_down_prefit")
    for row in interpret.rank_impact(nextstat.from_pyhf(long_file)):
        words = [str(row["rank"]), *(f"{row[key]:+.4f}" for key in keys[:2])]
        assert lines_with(text, *words), words


def test_inspect_table(file: Path, model: nextstat.HistFactoryModel) -> None:
    """Channels, samples and parameters."""
    text = succeed("inspect", file).stdout
    expected = model.expected_by_sample(model.init)
    assert lines_with(text, "region_1", "4", f"{model.data[:4].sum():g}", "3")
    for sample, yields in zip(model.samples, expected, strict=True):
        assert lines_with(text, sample, f"{yields.sum():.2f}")
    for p in model.parameters:
        assert lines_with(text, p.name, p.kind, f"{p.init:g}")


@pytest.mark.parametrize("name", ["tttt", "1lbb", "stau"])
@pytest.mark.parametrize("command", ["inspect", "fit"])
def test_published_tables(published: Path, command: str, name: str) -> None:
    """Real names and real numbers."""
    text = succeed(command, published / f"{name}.json").stdout
    check_layout(text)
    for heading in HEADINGS[command]:
        assert heading in text


# Plots and the demonstration ---------------------------------------------------------------------


def is_png(path: Path) -> bool:
    """Whether a file holds a PNG image."""
    return path.read_bytes().startswith(b"\x89PNG\r\n\x1a\n")


def test_rank_plot(file: Path, tmp_path: Path) -> None:
    """The figure goes to the file, the note about it to stderr."""
    plot = tmp_path / "ranking.png"
    result = succeed("rank", file, "--json", "--plot", plot)
    assert is_png(plot)
    assert read_json(result)
    assert str(plot) in result.stderr


def test_rank_plot_pdf(file: Path, tmp_path: Path) -> None:
    """The suffix says the format."""
    succeed("rank", file, "--plot", tmp_path / "ranking.pdf")
    assert (tmp_path / "ranking.pdf").read_bytes().startswith(b"%PDF")


@pytest.mark.parametrize("plot", ["missing/ranking.png", "ranking.nonsense", "."])
def test_rank_plot_errors(file: Path, tmp_path: Path, plot: str) -> None:
    """A plot that cannot be written is an error, not a traceback."""
    result = call("rank", file, "--plot", tmp_path / plot)
    assert result.exit_code in (1, 2)
    assert isinstance(result.exception, SystemExit)
    assert "Error: " in result.stderr


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


def test_demo_plot_option(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another name for the figure."""
    monkeypatch.chdir(tmp_path)
    succeed("demo", "--plot", "other.png")
    assert [path.name for path in tmp_path.iterdir()] == ["other.png"]
    assert is_png(tmp_path / "other.png")


# Errors -----------------------------------------------------------------------------------------

AS = pytest.mark.parametrize("form", [[], ["--json"]], ids=["table", "json"])
EACH = pytest.mark.parametrize("command", COMMANDS)


@AS
@EACH
def test_missing_file(tmp_path: Path, command: str, form: list[str]) -> None:
    """The path is named."""
    message = fail(command, tmp_path / "nowhere.json", *form)
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

    message = fail(command, write(tmp_path, broken(workspace, change)), *form)
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


@AS
@EACH
def test_misspelt_poi(
    tmp_path: Path, workspace: dict[str, Any], command: str, form: list[str]
) -> None:
    """A measurement whose parameter of interest no sample carries."""

    def change(copy: dict[str, Any]) -> None:
        copy["measurements"][0]["config"]["poi"] = "mu_"

    message = fail(command, write(tmp_path, broken(workspace, change)), *form)
    assert "$.measurements[0].config.poi" in message
    assert "did you mean 'mu'?" in message


@AS
@EACH
def test_unknown_parameter(file: Path, command: str, form: list[str]) -> None:
    """A parameter of interest that does not exist, with the nearest that does."""
    message = fail(command, file, "--poi", "norm_tbar", *form)
    assert "unknown parameter 'norm_tbar'" in message
    assert "did you mean 'norm_ttbar'?" in message


@pytest.mark.parametrize("command", FITTING)
def test_no_poi(tmp_path: Path, workspace: dict[str, Any], command: str) -> None:
    """A background-only workspace: it can be fitted, but not tested."""

    def change(copy: dict[str, Any]) -> None:
        for channel in copy["channels"]:
            del channel["samples"][0]

    file = write(tmp_path, broken(workspace, change))
    if command == "fit":
        assert read_json(succeed("fit", file, "--json"))["poi"] is None
        check_layout(succeed("fit", file).stdout)
    else:
        assert "no parameter of interest" in fail(command, file)


@pytest.mark.parametrize(
    ("options", "word"),
    [
        (["--measurement", "measurment"], "did you mean 'measurement'?"),
        (["--patch", "nowhere.json"], "no such file"),
    ],
)
@pytest.mark.parametrize("command", COMMANDS)
def test_wrong_source_options(file: Path, command: str, options: list[str], word: str) -> None:
    """Measurements and patches that do not exist."""
    assert word in fail(command, file, *options)


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (["hypotest", "--mu", "nan"], "mu is nan"),
        (["hypotest", "--mu", "1", "--test-stat", "q0"], "does not apply"),
        (["limit", "--level", "1.5"], "level is 1.5"),
        (["rank", "--n-jobs", "0"], "n_jobs is 0"),
        (["fit", "--n-starts", "0"], "n_starts is 0"),
    ],
)
def test_impossible_values(file: Path, arguments: list[str], word: str) -> None:
    """Values the library refuses."""
    command, *options = arguments
    assert word in fail(command, file, *options)


@pytest.mark.parametrize(
    "arguments",
    [
        ["fitt"],
        ["fit"],
        ["fit", "FILE", "--nonsense"],
        ["fit", "FILE", "--n-starts", "many"],
        ["fit", "FILE", "--patch-name", "point"],
        ["hypotest", "FILE", "--test-stat", "chi2"],
    ],
)
def test_usage(file: Path, arguments: list[str]) -> None:
    """Wrong usage has click's exit code."""
    result = call(*[file if argument == "FILE" else argument for argument in arguments])
    assert result.exit_code == 2
    assert result.stdout == ""
    assert "Usage:" in result.stderr


# Fits that do not converge ----------------------------------------------------------------------


@pytest.mark.parametrize("command", ["significance", "hypotest", "limit", "rank"])
@AS
def test_unconverged(degenerate: Path, command: str, form: list[str]) -> None:
    """Nothing is printed as if it were a result."""
    message = fail(command, degenerate, *form)
    assert "did not converge" in message
    assert "degenerate" in message


@pytest.mark.parametrize("data", [[50.0, 60.0], [55.0, 71.0], [45.0, 60.0]])
def test_unconverged_fit(tmp_path: Path, data: list[float]) -> None:
    """The table says so, and the exit code."""
    result = call("fit", write(tmp_path, two_factors(data)))
    assert result.exit_code == 1
    assert "Error: fit not converged" in result.stderr
    assert "degenerate" in result.stderr
    check_layout(result.stdout)
    assert "singular" in result.stdout
    assert "status: converged" not in result.stdout


@pytest.mark.parametrize("data", [[50.0, 60.0], [55.0, 71.0], [45.0, 60.0]])
def test_unconverged_fit_json(tmp_path: Path, data: list[float]) -> None:
    """The result says that it is none: no errors, and `converged` is false."""
    result = call("fit", write(tmp_path, two_factors(data)), "--json")
    assert result.exit_code == 1
    assert "Error: fit not converged" in result.stderr
    found = read_json(result)
    assert found["converged"] is False
    assert found["status"] == "singular"
    assert set(found["errors"].values()) == {None}


@pytest.mark.parametrize("command", ["inspect", "validate"])
def test_degenerate_is_valid(degenerate: Path, command: str) -> None:
    """Looking at the workspace is no problem."""
    succeed(command, degenerate)


# Warnings ---------------------------------------------------------------------------------------


@pytest.fixture
def suspicious(tmp_path: Path, workspace: dict[str, Any]) -> Path:
    """A workspace with an observation that belongs to no channel."""
    observations = [*workspace["observations"], {"name": "region_9", "data": [1.0]}]
    return write(tmp_path, {**workspace, "observations": observations})


@pytest.mark.filterwarnings("always")
@pytest.mark.parametrize("command", [c for c in COMMANDS if c != "validate"])
def test_warnings_go_to_stderr(suspicious: Path, command: str) -> None:
    """They do not disturb JSON."""
    result = succeed(command, suspicious, "--json")
    assert read_json(result)
    assert result.stderr.startswith("Warning: $.observations[2].name")


def test_validate_warnings(suspicious: Path) -> None:
    """`validate` lists them."""
    (message,) = read_json(succeed("validate", suspicious, "--json"))["warnings"]
    assert "$.observations[2].name" in message
    text = succeed("validate", suspicious).stdout
    assert "warning: $.observations[2].name" in text
    check_layout(text)


# The program ------------------------------------------------------------------------------------


@pytest.mark.parametrize("command", ["demo", *COMMANDS])
def test_help(command: str) -> None:
    """Every command explains itself."""
    result = succeed(command, "--help")
    assert result.stdout.startswith("Usage:")
    assert isinstance(main, click.Group)
    assert (main.commands[command].help or "").strip().endswith(".")
    assert command in succeed("-h").stdout


def test_version() -> None:
    """The version of the package."""
    assert nextstat.__version__ in succeed("--version").stdout


def test_installed_program(file: Path, degenerate: Path, tmp_path: Path) -> None:
    """The `nextstat` on the path of this environment, as a process of its own."""
    program = shutil.which("nextstat", path=sysconfig.get_path("scripts"))
    assert program is not None

    def run(*arguments: object) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [str(program), *map(str, arguments)],
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
            cwd=tmp_path,
        )

    done = run("fit", file, "--json")
    assert done.returncode == 0
    assert done.stderr == ""
    assert json.loads(done.stdout)["converged"] is True
    done = run("fit", tmp_path / "nowhere.json")
    assert done.returncode == 1
    assert done.stdout == ""
    assert "no such file" in done.stderr
    assert "Traceback" not in done.stderr
    done = run("limit", degenerate)
    assert done.returncode == 1
    assert done.stdout == ""
    assert "Traceback" not in done.stderr
    done = run("rank", file, "--plot", "ranking.png")
    assert done.returncode == 0
    assert is_png(tmp_path / "ranking.png")
