"""scan, contour."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from command_line import fail, lines_with, misuse, one_channel, plain, read_json, succeed, write
from random_workspaces import random_workspace

import nextstat
from nextstat._fits.fit import minimise
from nextstat._fits.settings import make_problem

ONE_SIGMA = math.erf(math.sqrt(0.5))


def interval_words(interval: nextstat.Interval) -> list[str]:
    """What a line of the table of intervals holds."""
    ends = [f"{interval.lower:.4f}", f"{interval.upper:.4f}"]
    return [*ends, f"{interval.error_down:+.4f}", f"{interval.error_up:+.4f}"]


@pytest.mark.parametrize("parameter", [None, "norm_ttbar", "lumi"])
def test_scan(file: Path, model: nextstat.HistFactoryModel, parameter: str | None) -> None:
    """The default scan of the library, and both intervals."""
    arguments = [] if parameter is None else [parameter]
    result = nextstat.fit(model)
    intervals = [nextstat.interval(result, parameter, level) for level in (ONE_SIGMA, 0.95)]
    expected = {
        **nextstat.scan(model, parameter).to_dict(),
        "intervals": [interval.to_dict() for interval in intervals],
    }
    assert read_json(succeed("scan", file, *arguments, "--json")) == plain(expected)
    text = succeed("scan", file, *arguments).stdout
    name = parameter or "mu"
    assert f"{name}: best fit {result[name]:.4f}" in text
    for level, interval in zip(("68.3", "95"), intervals, strict=True):
        assert lines_with(text, level, "%", *interval_words(interval))
        assert (f"the lower end at {level} % is the bound" in text) == interval.at_bound[0]


@pytest.mark.parametrize(
    ("options", "first", "last", "n"),
    [
        (["--from", 0.5, "--to", 2, "--points", 4], 0.5, 2.0, 4),
        (["--from", 2, "--to", 0.5, "--points", 4], 0.5, 2.0, 4),
        (["--points", 3], None, None, 3),
        (["--to", 1.5], None, 1.5, 51),
    ],
)
def test_scan_values(
    file: Path,
    model: nextstat.HistFactoryModel,
    options: list[Any],
    first: float | None,
    last: float | None,
    n: int,
) -> None:
    """Ends that are not given are three errors away, or at the bound."""
    result = nextstat.fit(model)
    reach = 3.0 * result.error("mu")
    first = max(0.0, result.mu - reach) if first is None else first
    last = result.mu + reach if last is None else last
    scan = nextstat.scan(model, values=np.linspace(first, last, n))
    found = read_json(succeed("scan", file, *options, "--json"))
    assert len(found["values"]) == n
    np.testing.assert_allclose(found["values"], scan.values, rtol=1e-14)
    np.testing.assert_allclose(found["twice_delta_nll"], scan.twice_delta_nll, atol=1e-9)


def test_scan_at_bound(tmp_path: Path, workspace: dict[str, Any]) -> None:
    """Without an error, values as far as three standard deviations of the profile."""
    config = workspace["measurements"][0]["config"]
    settings = [*config["parameters"], {"name": "mu", "bounds": [[3.0, 10.0]], "inits": [3.0]}]
    measurement = {"name": "m", "config": {**config, "parameters": settings}}
    file = write(tmp_path, {**workspace, "measurements": [measurement]})
    found = read_json(succeed("scan", file, "--points", 5, "--json"))
    result = nextstat.fit(nextstat.from_pyhf(file))
    interval = nextstat.interval(result, "mu", math.erf(3.0 / math.sqrt(2.0)))
    assert found["values"][0] == found["best"] == 3.0
    assert found["values"][-1] == pytest.approx(interval.upper, rel=1e-12)
    assert found["twice_delta_nll"][-1] == pytest.approx(9.0, rel=1e-5)
    text = succeed("scan", file, "--from", 3, "--to", 4, "--points", 3).stdout
    assert "mu: best fit 3.0000" in text
    assert "the lower end at 68.3 % is the bound of the parameter" in text


def test_infinities_are_strings(tmp_path: Path) -> None:
    """Where data exclude a value outright: "inf", which is not null."""
    factor = {"name": "mu", "type": "normfactor", "data": None}
    sample = {"name": "signal", "data": [5.0, 6.0], "modifiers": [factor]}
    file = write(tmp_path, one_channel([sample], [5.0, 6.0]))
    options = ("--from", 0, "--to", 2, "--points", 3, "--json")
    found = read_json(succeed("scan", file, *options))
    assert found["twice_delta_nll"][0] == "inf"
    assert found["twice_delta_nll"][1] == pytest.approx(0.0, abs=1e-6)
    help_text = " ".join(succeed("scan", "--help").stdout.split())
    assert 'NaN as null, infinities as the strings "inf" and "-inf"' in help_text


def test_scan_that_finds_a_lower_minimum(tmp_path: Path) -> None:
    """The intervals are around the lowest minimum, not around the first one found."""
    workspace = random_workspace(169, tension=6.0)
    model = nextstat.from_pyhf(workspace)
    problem = make_problem(model).searching(0)
    first = minimise(model, model._observed, problem).values[model.parameters.index("mu")]
    assert abs(nextstat.scan(model).best - first) > 1.0
    found = read_json(succeed("scan", write(tmp_path, workspace), "--json"))
    assert found["best"] == nextstat.scan(model).best
    for interval in found["intervals"]:
        assert interval["best"] == pytest.approx(found["best"], rel=1e-6)
        assert interval["lower"] < interval["best"] < interval["upper"]


def test_contour(file: Path, model: nextstat.HistFactoryModel) -> None:
    """The borders as JSON, how far they reach as a table."""
    arguments = ("contour", file, "mu", "norm_ttbar", "--points", 12)
    contour = nextstat.contour(nextstat.fit(model), "mu", "norm_ttbar", n_points=12)
    found = read_json(succeed(*arguments, "--json"))
    assert found == contour.to_dict()
    assert np.shape(found["points"]) == (2, 12, 2)
    text = succeed(*arguments).stdout
    for level, percent in zip(contour.levels, ("68.3", "95.4"), strict=True):
        for k, name in enumerate(("mu", "norm_ttbar")):
            reach = contour.points[level][:, k]
            words = [f"{x:.4f}" for x in (contour.best[k], reach.min(), reach.max())]
            assert lines_with(text, name, percent, "%", *words)


@pytest.mark.parametrize("command", ["scan", "contour"])
def test_n_jobs(file: Path, command: str) -> None:
    """The result does not depend on it."""
    arguments = (command, file, "mu", *(["norm_ttbar"] if command == "contour" else []))
    one, two = (read_json(succeed(*arguments, "--n-jobs", n, "--json")) for n in (1, 2))
    assert one == two


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["scan", "norm_tbar"], ["unknown parameter 'norm_tbar'", "did you mean 'norm_ttbar'?"]),
        (
            ["scan", "--to", "11", "--bounds", "mu=0:10"],
            ["outside the bounds [0, 10] of 'mu'", "widen them with --bounds"],
        ),
        (["scan", "--from", "nan"], ["nan", "outside the bounds"]),
        (["scan", "mu", "--fix", "mu"], ["'mu' is fixed"]),
        (["scan", "--n-jobs", "0"], ["n_jobs is 0"]),
        (["contour", "mu", "norm_tbar"], ["did you mean 'norm_ttbar'?"]),
        (["contour", "mu", "mu"], ["both 'mu'", "expected two parameters"]),
        (["contour", "mu", "lumi", "--fix", "lumi"], ["'lumi' is fixed"]),
    ],
)
def test_impossible(file: Path, arguments: list[str], words: list[str]) -> None:
    """What the library refuses, in the words of the command line."""
    command, *others = arguments
    message = fail(command, file, *others)
    assert all(word in message for word in words), message


@pytest.mark.parametrize(
    "arguments",
    [["scan", "--points", "1"], ["contour", "mu"], ["contour", "mu", "lumi", "--points", "2"]],
)
def test_misuse(file: Path, arguments: list[str]) -> None:
    command, *others = arguments
    misuse(command, file, *others)
