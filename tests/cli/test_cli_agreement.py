"""gof, yields."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
from command_line import fail, lines_with, misuse, one_channel, read_json, succeed, write

import nextstat


def check_shares(text: str, gof: nextstat.GoodnessOfFit) -> None:
    """Shares of channels and constraints, and their sum."""
    for channel, (share, n_bins) in gof.channels.items():
        assert lines_with(text, channel, f"{share:.2f}", str(n_bins))
    assert lines_with(text, "constraints", f"{gof.constraints:.2f}")
    assert lines_with(text, "total", f"{gof.statistic:.2f}")


def test_gof(file: Path, model: nextstat.HistFactoryModel) -> None:
    """Statistic, p-value from chi2, shares."""
    gof = nextstat.goodness_of_fit(model)
    assert read_json(succeed("gof", file, "--json")) == {**gof.to_dict(), "seed": None}
    text = succeed("gof", file).stdout
    check_shares(text, gof)
    assert f"p = {gof.pvalue:.4g} (chi2, degrees of freedom: {gof.n_dof})" in text


def test_gof_toys(file: Path, model: nextstat.HistFactoryModel) -> None:
    """p-value with its error, from which toys."""
    gof = nextstat.goodness_of_fit(model, calculator="toys", n_toys=300, seed=4)
    options = ("--toys", 300, "--seed", 4)
    found = read_json(succeed("gof", file, *options, "--json"))
    assert found == {**gof.to_dict(), "seed": 4}
    assert 0.0 < found["pvalue"] < 1.0
    text = succeed("gof", file, *options).stdout
    check_shares(text, gof)
    assert f"p = {gof.pvalue:.4g} +- {gof.pvalue_error:.2g} (300 toys, seed 4)" in text


def test_gof_seed_is_drawn(file: Path) -> None:
    """Without --seed, two runs differ, and each says how to repeat it."""
    one, two = (read_json(succeed("gof", file, "--toys", 40, "--json")) for _ in range(2))
    assert one["seed"] != two["seed"]
    assert read_json(succeed("gof", file, "--toys", 40, "--seed", one["seed"], "--json")) == one


def test_gof_without_degrees_of_freedom(tmp_path: Path) -> None:
    """Nothing is left for the chi2 distribution."""
    factor = {"name": "mu", "type": "normfactor", "data": None}
    sample = {"name": "signal", "data": [5.0], "modifiers": [factor]}
    file = write(tmp_path, one_channel([sample], [6.0]))
    assert fail("gof", file).strip().endswith("nothing is left to test")
    assert read_json(succeed("gof", file, "--toys", 20, "--json"))["n_toys"] == 20
    assert "--seed needs --toys" in misuse("gof", file, "--seed", 1)


# Yields -----------------------------------------------------------------------------------------

COLUMNS = ("prefit", "prefit_error", "postfit", "postfit_error")


def check_rows(rows: list[dict[str, Any]], model: nextstat.HistFactoryModel, bins: bool) -> None:
    """Rows equal the tables of the library, side by side."""
    keys = ["channel", "bin", "sample"] if bins else ["channel", "sample"]
    prefit = nextstat.yields(model).to_dataframe(per_bin=bins)
    postfit = nextstat.yields(model, nextstat.fit(model)).to_dataframe(per_bin=bins)
    assert [[row[key] for key in keys] for row in rows] == prefit[keys].to_numpy().tolist()
    found = [[row[column] for column in COLUMNS] for row in rows]
    both = zip(
        prefit["expected"], prefit["error"], postfit["expected"], postfit["error"], strict=True
    )
    assert found == [list(numbers) for numbers in both]


@pytest.mark.parametrize("bins", [False, True])
def test_yields_json(file: Path, model: nextstat.HistFactoryModel, bins: bool) -> None:
    """Every channel, or every bin, before and after the fit."""
    rows = read_json(succeed("yields", file, *(["--bins"] if bins else []), "--json"))
    assert len(rows) == (3 + 2) * (8 if bins else 2)
    check_rows(rows, model, bins)


@pytest.mark.parametrize("bins", [False, True])
def test_yields_table(file: Path, bins: bool) -> None:
    """The same numbers; of the data, the count and its square root."""
    options = ["--bins"] if bins else []
    rows = read_json(succeed("yields", file, *options, "--json"))
    text = succeed("yields", file, *options).stdout
    parts = dict(zip(("region_1", "region_2"), text.split("region_2\n"), strict=True))
    assert text.startswith("region_1\n")
    for row in rows:
        place = [str(row["bin"])] if bins else []
        counts = [row[column] for column in COLUMNS]
        numbers = [f"{n:.2f}" if n >= 0.1 else f"{n:.3g}" for n in counts]
        if row["sample"] == "data":
            numbers = [f"{row['postfit']:g}", f"{math.sqrt(row['postfit']):.2f}"]
        assert lines_with(parts[row["channel"]], *place, row["sample"], *numbers), row


def test_yields_of_one_channel(file: Path) -> None:
    """The others are left out, from JSON as well."""
    rows = read_json(succeed("yields", file, "--json"))
    found = read_json(succeed("yields", file, "--channel", "region_2", "--json"))
    assert found == [row for row in rows if row["channel"] == "region_2"]
    assert "region_1" not in succeed("yields", file, "--channel", "region_2").stdout
    message = fail("yields", file, "--channel", "region_3")
    assert "unknown channel 'region_3'" in message
    assert "expected one of 'region_1', 'region_2'" in message


@pytest.mark.filterwarnings("ignore:parameters at a bound")
def test_yields_of_a_vanished_sample(tmp_path: Path) -> None:
    """A signal that is fitted to nothing stays in the table, with 0 events."""
    factor = {"name": "mu", "type": "normfactor", "data": None}
    spread = {"name": "scale", "type": "normsys", "data": {"lo": 0.9, "hi": 1.1}}
    samples = [
        {"name": "signal", "data": [30.0, 40.0], "modifiers": [factor]},
        {"name": "background", "data": [50.0, 60.0], "modifiers": [spread]},
    ]
    file = write(tmp_path, one_channel(samples, [40.0, 50.0]))
    assert nextstat.fit(nextstat.from_pyhf(file)).mu == 0.0
    rows = read_json(succeed("yields", file, "--json"))
    assert [row["sample"] for row in rows] == ["background", "signal", "total", "data"]
    assert (rows[1]["prefit"], rows[1]["postfit"]) == (70.0, 0.0)
    assert lines_with(succeed("yields", file).stdout, "signal", "70.00", "0.00", "0.00", "0.00")


def test_large_counts_keep_their_digits(tmp_path: Path) -> None:
    """1234567 events are not 1.23457e+06."""
    factor = {"name": "mu", "type": "normfactor", "data": None}
    spread = {"name": "scale", "type": "normsys", "data": {"lo": 0.9, "hi": 1.1}}
    samples = [{"name": "signal", "data": [1e6], "modifiers": [factor, spread]}]
    file = write(tmp_path, one_channel(samples, [1234567.0]))
    assert lines_with(succeed("yields", file).stdout, "data", "1234567", "1111.11")
    assert lines_with(succeed("inspect", file).stdout, "SR", "1234567")


def test_small_yields_keep_their_digits(tmp_path: Path) -> None:
    """0.00071 events are not 0."""
    factor = {"name": "mu", "type": "normfactor", "data": None}
    spread = {"name": "scale", "type": "normsys", "data": {"lo": 0.9, "hi": 1.1}}
    samples = [
        {"name": "rare", "data": [0.00071], "modifiers": [spread]},
        {"name": "signal", "data": [50.0], "modifiers": [factor]},
    ]
    text = succeed("yields", write(tmp_path, one_channel(samples, [55.0]))).stdout
    assert lines_with(text, "rare", "0.00071", "7.1e-05", "0.00071", "7.1e-05")
