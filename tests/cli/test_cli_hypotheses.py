"""significance, hypotest, limit."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
from command_line import fail, is_png, lines_with, misuse, plain, read_json, succeed, write

import nextstat

BANDS = ("-2 sigma", "-1 sigma", "median", "+1 sigma", "+2 sigma")


def test_significance(file: Path, model: nextstat.HistFactoryModel) -> None:
    """Observed and expected Z0."""
    observed = nextstat.significance(model)
    expected = nextstat.significance(model, expected=True)
    found = read_json(succeed("significance", file, "--json"))
    assert found == {"observed": observed, "expected": expected}
    text = succeed("significance", file).stdout
    p0 = math.erfc(observed / math.sqrt(2.0)) / 2.0
    assert lines_with(text, "observed", f"{observed:.3f}", f"{p0:.3g}")
    assert lines_with(text, "expected", f"{expected:.3f}")


@pytest.mark.parametrize(
    ("options", "arguments"),
    [
        ([], {}),
        (["--mu", 0], {"mu": 0.0}),
        (["--mu", 2.5], {"mu": 2.5}),
        (["--mu", 0.5, "--test-stat", "q"], {"mu": 0.5, "test_stat": "q"}),
        (["--test-stat", "t"], {"test_stat": "t"}),
        (["--mu", 0.5, "--test-stat", "ttilde"], {"mu": 0.5, "test_stat": "ttilde"}),
    ],
)
def test_hypotest_json(
    file: Path, model: nextstat.HistFactoryModel, options: list[Any], arguments: dict[str, Any]
) -> None:
    """Every number of the test, its band as a list."""
    found = read_json(succeed("hypotest", file, *options, "--json"))
    assert found == plain(nextstat.hypotest(model, **arguments).to_dict())
    assert len(found["expected"]) == 5


@pytest.mark.parametrize(
    ("mu", "test_stat", "quantity"),
    [(0.0, "q0", "p0"), (1.0, "qtilde", "CLs"), (1.0, "q", "CLs"), (2.0, "t", "p")],
)
def test_hypotest_table(
    file: Path, model: nextstat.HistFactoryModel, mu: float, test_stat: Any, quantity: str
) -> None:
    """CLs, or a p-value where there is none, with its band."""
    text = succeed("hypotest", file, "--mu", mu, "--test-stat", test_stat).stdout
    test = nextstat.hypotest(model, mu, test_stat=test_stat)
    assert lines_with(text, f"mu = {mu:g}", quantity)
    value = test.cls if quantity == "CLs" else test.pvalue
    assert lines_with(text, "observed", f"{value:.5g}")
    for band, expected in zip(BANDS, test.expected, strict=True):
        assert lines_with(text, "expected", band, f"{expected:.5g}")
    if quantity != "CLs":
        assert f"= {test.significance:.3f} sigma" in text
    assert "toys" not in text


@pytest.mark.parametrize(("mu", "test_stat"), [(1.0, "qtilde"), (0.0, "q0"), (0.5, "t")])
def test_toys(file: Path, model: nextstat.HistFactoryModel, mu: float, test_stat: Any) -> None:
    """The value with its error, and which toys they were."""
    options = ["--mu", mu, "--test-stat", test_stat, "--toys", 300, "--seed", 5]
    toys: Any = {"calculator": "toys", "n_toys": 300, "seed": 5}
    test = nextstat.hypotest(model, mu, test_stat=test_stat, **toys)
    assert read_json(succeed("hypotest", file, *options, "--json")) == plain(test.to_dict())
    text = succeed("hypotest", file, *options).stdout
    value, error = test.pvalue, test.pvalue_error
    if test_stat == "qtilde":
        value, error = test.cls, test.cls_error
    assert lines_with(text, "observed", f"{value:.5g}", f"{error:.2g}")
    for band, expected in zip(BANDS, test.expected, strict=True):
        assert lines_with(text, "expected", band, f"{expected:.5g}")
    assert test.toys is not None
    sizes = (len(test.toys.tested), len(test.toys.alternative))
    assert "toys of the tested hypothesis: {}, of the alternative: {}".format(*sizes) in text
    assert f"failed toys: {test.toys.n_failed}; seed: 5" in text


def test_no_toy_as_extreme(file: Path, model: nextstat.HistFactoryModel) -> None:
    """No p-value can be read off no toys: the table says so."""
    text = succeed("hypotest", file, "--mu", 9, "--toys", 50, "--seed", 1).stdout
    test = nextstat.hypotest(model, 9.0, calculator="toys", n_toys=50, seed=1)
    assert test.cls == 0.0
    assert lines_with(text, "observed", "0", f"{test.cls_error:.3f}")
    assert "of order 1/50" in text


def test_precision(file: Path, model: nextstat.HistFactoryModel) -> None:
    """No more toys than needed."""
    options = ("--toys", 100000, "--seed", 5, "--precision", 0.05)
    found = read_json(succeed("hypotest", file, *options, "--json"))
    test = nextstat.hypotest(model, calculator="toys", n_toys=100000, seed=5, precision=0.05)
    assert found == plain(test.to_dict())
    assert found["n_toys"] < 100000
    assert found["cls_error"] < 0.05


def test_seed_is_drawn(file: Path) -> None:
    """Without --seed, two runs differ, and each says how to repeat it."""
    one, two = (read_json(succeed("hypotest", file, "--toys", 200, "--json")) for _ in range(2))
    assert one["seed"] != two["seed"]
    again = read_json(succeed("hypotest", file, "--toys", 200, "--seed", one["seed"], "--json"))
    assert again == one


@pytest.mark.parametrize("option", ["--seed", "--precision", "--plot"])
def test_options_that_need_toys(file: Path, tmp_path: Path, option: str) -> None:
    """They would have no effect."""
    value = tmp_path / "plot.png" if option == "--plot" else 1
    assert f"{option} needs --toys" in misuse("hypotest", file, option, value)


@pytest.mark.parametrize("level", [0.95, 0.9])
def test_limit(file: Path, model: nextstat.HistFactoryModel, level: float) -> None:
    """Observed limit and band."""
    limit = nextstat.upper_limit(model, level)
    found = read_json(succeed("limit", file, "--level", level, "--json"))
    assert found == plain(limit.to_dict())
    assert found["expected"] == sorted(found["expected"])
    text = succeed("limit", file, "--level", level).stdout
    assert f"{100 * level:g} % CL upper limit" in text
    assert lines_with(text, "observed", f"{limit.observed:.4f}")
    for band, expected in zip(BANDS, limit.expected, strict=True):
        assert lines_with(text, "expected", band, f"{expected:.4f}")


def test_observed_only(file: Path, model: nextstat.HistFactoryModel, tmp_path: Path) -> None:
    """The expected limits are null, and not in the table."""
    options = ("--observed-only", "--plot", tmp_path / "limit.png")
    limit = nextstat.upper_limit(model, expected=False)
    found = read_json(succeed("limit", file, *options, "--json"))
    assert found == plain(limit.to_dict())
    assert found["expected"] == [None] * 5
    text = succeed("limit", file, *options).stdout
    assert lines_with(text, "observed", f"{limit.observed:.4f}")
    assert "expected" not in text


def test_limit_from_toys(file: Path, model: nextstat.HistFactoryModel) -> None:
    """The limit of the library from the same toys."""
    options = ("--toys", 300, "--seed", 5, "--observed-only")
    limit = nextstat.upper_limit(model, expected=False, calculator="toys", n_toys=300, seed=5)
    assert read_json(succeed("limit", file, *options, "--json")) == plain(limit.to_dict())
    text = succeed("limit", file, *options).stdout
    assert lines_with(text, "observed", f"{limit.observed:.4f}")
    assert "from toys; seed: 5" in text
    assert "--seed needs --toys" in misuse("limit", file, "--seed", 5)


@pytest.mark.filterwarnings("always")
def test_limit_plot_at_the_bound(tmp_path: Path, workspace: dict[str, Any]) -> None:
    """It is drawn as far as the bound."""
    config = workspace["measurements"][0]["config"]
    settings = [*config["parameters"], {"name": "mu", "bounds": [[0.0, 1.2]]}]
    measurement = {"name": "m", "config": {**config, "parameters": settings}}
    file = write(tmp_path, {**workspace, "measurements": [measurement]})
    result = succeed("limit", file, "--plot", tmp_path / "limit.png")
    assert "Warning: the limits reach" in result.stderr
    assert is_png(tmp_path / "limit.png")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["hypotest", "--mu", "nan"], ["mu is nan"]),
        (["hypotest", "--mu", "1", "--test-stat", "q0"], ["does not apply", "expected 0"]),
        (
            ["hypotest", "--mu", "12", "--bounds", "mu=0:10"],
            ["mu is 12", "for example --bounds mu=0:24"],
        ),
        (["hypotest", "--toys", "0"], ["n_toys is 0", "at least 1"]),
        (["hypotest", "--toys", "9", "--seed", "-1"], ["seed is -1", "0 <= seed"]),
        (["hypotest", "--toys", "9", "--precision", "0"], ["precision is 0", "positive"]),
        (["limit", "--level", "1.5"], ["level is 1.5", "between 0 and 1"]),
    ],
)
def test_impossible_values(file: Path, arguments: list[str], words: list[str]) -> None:
    """Values the library refuses, in the words of the command line."""
    command, *options = arguments
    message = fail(command, file, *options)
    assert all(word in message for word in words), message


def test_advice_can_be_followed(file: Path, model: nextstat.HistFactoryModel) -> None:
    """The option that the error recommends makes the command work."""
    found = read_json(succeed("hypotest", file, "--mu", 12, "--bounds", "mu=0:24", "--json"))
    test = nextstat.hypotest(model, 12.0, bounds={"mu": (0.0, 24.0)})
    assert found == plain(test.to_dict())
