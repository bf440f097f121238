"""rank, breakdown."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
from command_line import call, fail, lines_with, misuse, plain, read_json, succeed

import nextstat
from nextstat import interpret
from nextstat.cli.impacts import ranking_table

SHIFTS = ("delta_mu_up", "delta_mu_down", "delta_mu_up_prefit", "delta_mu_down_prefit")
METHODS: tuple[Any, ...] = ("refit", "covariance", "auxdata")


@pytest.mark.parametrize(("top", "n"), [(3, 3), (0, None), (1000, None)])
def test_rank_json(file: Path, model: nextstat.HistFactoryModel, top: int, n: int | None) -> None:
    """Rows of the ranking; NaN, of unconstrained parameters, as null."""
    found = read_json(succeed("rank", file, "--top", top, "--n-jobs", 2, "--json"))
    rows = interpret.rank_impact(model)[:n]
    assert found == plain(rows)
    assert None in [row["pull"] for row in found]
    assert len(found) == (n or len(model.parameters) - 1)


@pytest.mark.parametrize("method", METHODS)
def test_rank_methods(file: Path, model: nextstat.HistFactoryModel, method: Any) -> None:
    """All four impacts, pull and constraint of every row; dashes for what is undefined."""
    rows = interpret.rank_impact(model, method=method)
    assert read_json(succeed("rank", file, "--method", method, "--json")) == plain(rows)
    text = succeed("rank", file, "--top", 0, "--method", method).stdout
    for row in rows:
        free = math.isnan(row["pull"])  # unconstrained: no pre-fit width, pull or constraint
        words = [str(row["rank"]), row["name"], *(f"{row[key]:+.4f}" for key in SHIFTS)]
        if free or method == "auxdata":
            words[4:] = ["-", "-"]
        words += ["-", "-"] if free else [f"{row['pull']:+.2f}", f"{row['constraint']:.2f}"]
        assert lines_with(text, *words), words
    assert ("auxiliary measurement" in text) == (method == "auxdata")
    assert ("linear" in text) == (method == "covariance")


def test_rank_table_of_long_names(long_file: Path) -> None:
    """Every number of a row is there, although its name is not."""
    text = succeed("rank", long_file, "--top", 0).stdout
    for row in interpret.rank_impact(nextstat.from_pyhf(long_file)):
        words = [str(row["rank"]), *(f"{row[key]:+.4f}" for key in SHIFTS[:2])]
        assert lines_with(text, *words), words


def test_impacts_to_one_side(
    model: nextstat.HistFactoryModel, capsys: pytest.CaptureFixture[str]
) -> None:
    """Impacts that are 0 upwards keep the decimals of those downwards."""
    row = dict.fromkeys(SHIFTS, 0.0) | {"rank": 1, "name": "a", "pull": 0.5, "constraint": 0.9}
    ranking_table(model, [row | {"delta_mu_down": 0.25}])
    assert lines_with(capsys.readouterr().out, "1", "a", "+0.0000", "+0.2500")


def test_rank_stopped_by_the_bound(file: Path, model: nextstat.HistFactoryModel) -> None:
    """The warning names an option of the command line, and following it helps."""
    best = nextstat.fit(model).mu
    stopped = ["--bounds", f"mu={best - 1e-3}:10"]
    with pytest.warns(nextstat.FitWarning, match="stopped by its bounds") as record:
        interpret.rank_impact(model, bounds={"mu": (best - 1e-3, 10.0)})
    assert "bounds={'mu': (-10, 10)}" in str(record[0].message)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONWARNINGS", "default")
        result = call("rank", file, *stopped)
    assert result.exit_code == 1  # warnings are errors here
    assert "--bounds mu=-10:10" in result.stderr
    assert succeed("rank", file, "--bounds", "mu=-10:10").stderr == ""


@pytest.mark.parametrize("method", ["auxdata", "fix"])
@pytest.mark.parametrize(
    ("options", "groups"),
    [
        ([], None),
        (
            ["--group", "jets=jet_.*", "--group", "mc=lumi", "--group", "mc=stat.*"],
            {"jets": ["jet_.*"], "mc": ["lumi", "stat.*"]},
        ),
    ],
)
def test_breakdown(
    file: Path, model: nextstat.HistFactoryModel, options: list[str], groups: Any, method: Any
) -> None:
    """Each part and its share of the variance; several patterns in one group."""
    budget = interpret.uncertainty_breakdown(model, groups, method=method)
    arguments = ("breakdown", file, "--method", method, *options)
    found = read_json(succeed(*arguments, "--json"))
    assert found == budget
    assert next(iter(found)) == "statistical"
    text = succeed(*arguments).stdout
    for source, part in budget.items():
        share = 100.0 * (part / budget["total"]) ** 2
        assert lines_with(text, source, f"{part:.4f}", f"{share:.1f}", "%")
    parts = sum(part**2 for source, part in budget.items() if source != "total")
    assert f"the parts add up to {100.0 * parts / budget['total'] ** 2:.1f} %" in text
    assert budget["total"] == pytest.approx(nextstat.fit(model).error("mu"), rel=1e-6)


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (["rank", "--n-jobs", "0"], "n_jobs is 0"),
        (["breakdown", "--group", "jets=nothing_.*"], "matches no constrained parameter"),
        (["breakdown", "--group", "jets=jet_.*", "--group", "all=.*"], "is in two groups"),
        (["breakdown", "--group", "jets=("], "is no regular expression"),
        (["breakdown", "--group", "total=.*"], "name of the budget itself"),
        (["breakdown", "--bounds", "mu=2.9:3", "--poi", "lumi"], "outside its bounds"),
    ],
)
def test_impossible(file: Path, arguments: list[str], word: str) -> None:
    """Values the library refuses."""
    command, *options = arguments
    assert word in fail(command, file, *options)


def test_breakdown_at_the_bound(file: Path, model: nextstat.HistFactoryModel) -> None:
    """No error, nothing to break down; the message names the option that helps."""
    assert nextstat.fit(model).mu < 1.0
    message = fail("breakdown", file, "--bounds", "mu=1:10")
    assert "'mu' is stopped by its bound" in message
    assert "widen it with --bounds mu=-10:10" in message


@pytest.mark.parametrize("group", ["jets", "=jet_.*", "jets="])
def test_unreadable_groups(file: Path, group: str) -> None:
    """What was found, and what was expected."""
    message = misuse("breakdown", file, "--group", group)
    assert repr(group) in message
    assert "NAME=REGEX" in message
