"""fit and pulls; --fix and --bounds wherever a fit is made; fits that do not converge."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from command_line import (
    ARGUMENTS,
    FITTING,
    call,
    check_layout,
    fail,
    lines_with,
    misuse,
    plain,
    read_json,
    succeed,
    two_factors,
    write,
)

import nextstat
from nextstat import interpret

AS = pytest.mark.parametrize("form", [[], ["--json"]], ids=["table", "json"])


def without_time(result: dict[str, Any]) -> dict[str, Any]:
    """All but the one number that differs between two equal fits."""
    return {key: value for key, value in result.items() if key != "time_ms"}


def test_fit_json(file: Path, model: nextstat.HistFactoryModel) -> None:
    """The whole result, nothing rounded."""
    found = read_json(succeed("fit", file, "--json"))
    assert found["time_ms"] > 0.0
    assert without_time(found) == without_time(plain(nextstat.fit(model).to_dict()))


def test_fit_asimov(file: Path, model: nextstat.HistFactoryModel) -> None:
    """Asimov data are fitted with what they were made from."""
    found = read_json(succeed("fit", file, "--asimov", "--json"))
    data = nextstat.asimov_data(model, 1.0, nuisances="nominal")
    assert without_time(found) == without_time(plain(nextstat.fit(model, data).to_dict()))
    assert found["mu"] == pytest.approx(1.0, abs=1e-6)


def test_fit_n_starts(file: Path, model: nextstat.HistFactoryModel) -> None:
    """Several starting points."""
    found = read_json(succeed("fit", file, "--n-starts", 3, "--json"))
    expected = nextstat.fit(model, n_starts=3)
    assert without_time(found) == without_time(plain(expected.to_dict()))


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


def test_correlations(file: Path, model: nextstat.HistFactoryModel) -> None:
    """Pairs, the strongest first, each once."""
    frame = interpret.correlation_df(nextstat.fit(model), threshold=0.1)
    found = read_json(succeed("fit", file, "--correlations", 0.1, "--json"))["correlations"]
    sizes = [abs(pair["correlation"]) for pair in found]
    assert sizes == sorted(sizes, reverse=True)
    assert len(found) == ((frame.abs() >= 0.1).to_numpy().sum() - len(frame)) // 2 > 2
    for pair in found:
        assert pair["correlation"] == frame.loc[pair["x"], pair["y"]]
    text = succeed("fit", file, "--correlations", 0.1).stdout
    for pair in found:
        assert lines_with(text, f"{pair['correlation']:+.3f}", f"{pair['x']}, {pair['y']}")
    assert "correlations" not in read_json(succeed("fit", file, "--json"))


# Pulls ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("top", "n"), [(3, 3), (0, None)])
def test_pulls(file: Path, model: nextstat.HistFactoryModel, top: int, n: int | None) -> None:
    """The rows of the library, the largest first."""
    rows = interpret.pulls(nextstat.fit(model))
    rows.sort(key=lambda row: -abs(row["pull"]))
    assert read_json(succeed("pulls", file, "--top", top, "--json")) == rows[:n]
    text = succeed("pulls", file, "--top", top).stdout
    lines = text.split("─\n")[1].splitlines()
    for row, line in zip(rows[:n], lines, strict=False):
        numbers = (f"{row['value']:.4f}", f"{row['error']:.4f}")
        shape = (f"{row['pull']:+.2f}", f"{row['constraint']:.2f}")
        assert lines_with(line, row["name"], *numbers, *shape)
    assert ("others, pulled less" in text) == (n is not None)
    assert len(lines) == (len(rows) if n is None else n + 1)


# Settings of fits -------------------------------------------------------------------------------

FIXED = ["--fix", "lumi", "--fix", "norm_ttbar=1.1"]
BOUNDS = ["--bounds", "mu=-2:1.5", "--bounds", "lumi=0.9:1.1"]
SETTINGS: dict[str, Any] = {
    "fixed": {"lumi": 1.0, "norm_ttbar": 1.1},
    "bounds": {"mu": (-2.0, 1.5), "lumi": (0.9, 1.1)},
}


def toys(model: nextstat.HistFactoryModel, **settings: Any) -> dict[str, Any]:
    batch = nextstat.fit_toys(model, 20, seed=1, **settings)
    return {"mean": float(batch.mu[batch.converged].mean())}


FUNCTIONS: dict[str, Callable[..., Any]] = {
    "fit": lambda model, **kw: without_time(nextstat.fit(model, **kw).to_dict()),
    "hypotest": lambda model, **kw: nextstat.hypotest(model, **kw).to_dict(),
    "pulls": lambda model, **kw: sorted(
        interpret.pulls(nextstat.fit(model, **kw)), key=lambda row: -abs(row["pull"])
    ),
    "scan": lambda model, **kw: {
        "values": nextstat.scan(model, values=[0.5, 1.0], **kw).to_dict()["values"],
        "twice_delta_nll": nextstat.scan(model, values=[0.5, 1.0], **kw).to_dict()[
            "twice_delta_nll"
        ],
    },
    "toys": toys,
    "gof": lambda model, **kw: nextstat.goodness_of_fit(model, **kw).to_dict(),
    "yields": lambda model, **kw: [
        float(n) for n in nextstat.yields(model, nextstat.fit(model, **kw)).channel_total
    ],
}


@pytest.mark.parametrize("command", FUNCTIONS)
def test_settings(file: Path, model: nextstat.HistFactoryModel, command: str) -> None:
    """--fix and --bounds mean fixed= and bounds=."""
    arguments = ("--from", 0.5, "--to", 1, "--points", 2) if command == "scan" else ()
    result = call(command, file, *ARGUMENTS[command], *arguments, *FIXED, *BOUNDS, "--json")
    found = read_json(result)
    expected = plain(FUNCTIONS[command](model, **SETTINGS))
    if command == "yields":
        found = [row["postfit"] for row in found if row["sample"] == "total"]
    if isinstance(found, dict):
        found = {key: value for key, value in found.items() if key in expected}
    assert result.exit_code == 0
    assert found == expected
    assert plain(FUNCTIONS[command](model)) != expected


def test_contour_settings(file: Path, model: nextstat.HistFactoryModel) -> None:
    """The same for the fit that a contour is around."""
    options = ["--points", 8, "--fix", "lumi", "--bounds", "mu=-3:10", "--json"]
    found = read_json(succeed("contour", file, "mu", "norm_ttbar", *options))
    result = nextstat.fit(model, fixed={"lumi": 1.0}, bounds={"mu": (-3.0, 10.0)})
    assert found == nextstat.contour(result, "mu", "norm_ttbar", n_points=8).to_dict()


@pytest.mark.parametrize("command", ["rank", "breakdown"])
def test_settings_of_impacts(file: Path, model: nextstat.HistFactoryModel, command: str) -> None:
    """Bounds and fixed parameters."""
    function = {"rank": interpret.rank_impact, "breakdown": interpret.uncertainty_breakdown}
    bounds = {"norm_ttbar": (1.0, 1.01), "mu": (-5.0, 10.0)}
    options = [x for k, (a, b) in bounds.items() for x in ("--bounds", f"{k}={a}:{b}")]
    found = read_json(succeed(command, file, *options, "--json"))
    assert found == plain(function[command](model, bounds=bounds))  # type: ignore[operator]
    assert found != plain(function[command](model))  # type: ignore[operator]
    found = read_json(succeed(command, file, "--fix", "lumi", "--json"))
    assert found == plain(function[command](model, fixed=["lumi"]))  # type: ignore[operator]


@pytest.mark.parametrize("command", FUNCTIONS)
def test_unknown_names_in_settings(file: Path, command: str) -> None:
    """The nearest is named."""
    for options in (
        ["--fix", "norm_tbar"],
        ["--fix", "norm_tbar=1"],
        ["--bounds", "norm_tbar=0:1"],
    ):
        assert "did you mean 'norm_ttbar'?" in fail(command, file, *ARGUMENTS[command], *options)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--fix", "mu=one"], ("--fix", "'one'", "a number")),
        (["--fix", "mu", "--fix", "mu=1"], ("--fix", "'mu' more than once")),
        (["--bounds", "mu"], ("--bounds", "'mu'", "NAME=LO:HI")),
        (["--bounds", "mu=3"], ("--bounds", "'mu=3'", "NAME=LO:HI")),
        (["--bounds", "mu=0:much"], ("--bounds", "'much'", "a number")),
        (["--bounds", "mu=0:1", "--bounds", "mu=0:2"], ("--bounds", "'mu' more than once")),
    ],
)
def test_unreadable_settings(file: Path, options: list[str], words: tuple[str, ...]) -> None:
    """What was found, and what was expected."""
    message = misuse("fit", file, *options)
    assert all(word in message for word in words), message


def test_impossible_settings(file: Path) -> None:
    """Values the library refuses."""
    assert "expected lower <= upper" in fail("fit", file, "--bounds", "mu=2:1")
    assert "outside its bounds" in fail("fit", file, "--bounds", "mu=2:3")
    assert "is nan" in fail("fit", file, "--fix", "mu=nan")


# Fits that do not converge ----------------------------------------------------------------------


NEED_NO_HESSIAN = ("significance", "hypotest", "limit", "gof")


@pytest.mark.parametrize(
    "command", [command for command in FITTING if command not in ("fit", *NEED_NO_HESSIAN)]
)
@AS
def test_unconverged(degenerate: Path, command: str, form: list[str]) -> None:
    """Nothing is printed as if it were a result."""
    message = fail(command, degenerate, *ARGUMENTS[command], *form)
    assert "did not converge" in message
    assert "degenerate" in message


@pytest.mark.filterwarnings("always::nextstat.FitWarning")
@pytest.mark.parametrize("command", NEED_NO_HESSIAN)
def test_undetermined(degenerate: Path, command: str) -> None:
    """What needs the lowest nll alone goes on, and names what the data do not determine."""
    result = succeed(command, degenerate, *ARGUMENTS[command])
    assert "do not determine" in result.stderr
    assert "degenerate" in result.stderr


@pytest.mark.parametrize("data", [[50.0, 60.0], [55.0, 71.0], [45.0, 60.0]])
def test_unconverged_fit(tmp_path: Path, data: list[float]) -> None:
    """The table says so, and the exit code."""
    result = call("fit", write(tmp_path, two_factors(data)), "--plot", tmp_path / "plot.png")
    assert result.exit_code == 1
    assert "Error: fit not converged" in result.stderr
    assert "degenerate" in result.stderr
    check_layout(result.stdout)
    assert "singular" in result.stdout
    assert "status: converged" not in result.stdout
    assert not (tmp_path / "plot.png").exists()


@pytest.mark.parametrize("data", [[50.0, 60.0], [55.0, 71.0], [45.0, 60.0]])
def test_unconverged_fit_json(tmp_path: Path, data: list[float]) -> None:
    """The result says that it is none: no errors, and `converged` is false."""
    file = write(tmp_path, two_factors(data))
    result = call("fit", file, "--correlations", 0.1, "--json")
    assert result.exit_code == 1
    assert "Error: fit not converged" in result.stderr
    found = read_json(result)
    assert found["converged"] is False
    assert found["status"] == "singular"
    assert set(found["errors"].values()) == {None}
    assert found["correlations"] == []
