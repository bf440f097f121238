"""toys."""

from __future__ import annotations

import csv
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from command_line import call, fail, lines_with, misuse, one_channel, read_json, succeed, write

import nextstat


def test_summary(file: Path, model: nextstat.HistFactoryModel) -> None:
    """Bias and pull of the fits of the library's toys."""
    found = read_json(succeed("toys", file, "--n-toys", 400, "--seed", 3, "--json"))
    batch, truth = nextstat.fit_toys(model, 400, seed=3), nextstat.fit(model)
    mu = batch.mu[batch.converged]
    errors = batch.errors[batch.converged, model.parameters.index("mu")]
    free = np.isfinite(errors)
    pulls = (mu[free] - truth.mu) / errors[free]
    assert found["parameter"] == "mu"
    assert found["thrown_at"] == truth.mu
    assert found["n_toys"] == 400
    assert found["n_converged"] == sum(found["status"].values()) == len(mu)
    assert found["fraction_converged"] == len(mu) / 400
    assert found["n_without_error"] == np.count_nonzero(~free) == len(batch.mu[batch.mu == 0.0])
    assert found["seed"] == 3
    assert found["mean"] == pytest.approx(mu.mean(), rel=1e-12)
    assert found["bias"] == pytest.approx(mu.mean() - truth.mu, rel=1e-9)
    assert found["bias_error"] == pytest.approx(np.std(mu, ddof=1) / math.sqrt(len(mu)))
    assert found["spread"] == pytest.approx(np.std(mu, ddof=1))
    assert found["pull_mean"] == pytest.approx(pulls.mean(), rel=1e-9)
    assert found["pull_mean_error"] == pytest.approx(pulls.std(ddof=1) / math.sqrt(len(pulls)))
    assert found["pull_width"] == pytest.approx(pulls.std(ddof=1))
    assert found["pull_width"] == pytest.approx(1.0, abs=0.15)
    assert found["pull_width_error"] == pytest.approx(
        pulls.std(ddof=1) / math.sqrt(2 * len(pulls) - 2)
    )


def test_table(file: Path) -> None:
    """The same numbers, rounded."""
    options = ("--n-toys", 400, "--seed", 3)
    text = succeed("toys", file, *options).stdout
    found = read_json(succeed("toys", file, *options, "--json"))
    assert f"mu: toys thrown at {found['thrown_at']:.4f}" in text
    assert lines_with(text, "mean", f"{found['mean']:.4f}", f"{found['bias_error']:.4f}")
    assert lines_with(text, "bias", f"{found['bias']:+.4f}", f"{found['bias_error']:.4f}")
    assert lines_with(text, "spread", f"{found['spread']:.4f}", f"{found['spread_error']:.4f}")
    pull = (f"{found['pull_mean']:+.3f}", f"{found['pull_mean_error']:.3f}")
    assert lines_with(text, "mean of the pull", *pull)
    width = (f"{found['pull_width']:.3f}", f"{found['pull_width_error']:.3f}")
    assert lines_with(text, "width of the pull", *width)
    assert f"{found['n_converged']} of 400 fits converged (100.0 %); seed 3" in text
    assert "others:" not in text


def test_seed_is_drawn(file: Path) -> None:
    """Without --seed, two runs differ, and each says how to repeat it."""
    one, two = (read_json(succeed("toys", file, "--n-toys", 9, "--json")) for _ in range(2))
    assert one["seed"] != two["seed"]
    repeat = ("--n-toys", 9, "--seed", one["seed"], "--n-jobs", 1)
    assert read_json(succeed("toys", file, *repeat, "--json")) == one


def test_toys_at_the_bound(tmp_path: Path) -> None:
    """They have no error, so no pull: the table says how many."""
    factor = {"name": "mu", "type": "normfactor", "data": None}
    samples = [
        {"name": "signal", "data": [3.0, 4.0], "modifiers": [factor]},
        {"name": "background", "data": [50.0, 60.0], "modifiers": []},
    ]
    file = write(tmp_path, one_channel(samples, [50.0, 60.0]))
    options = ("--n-toys", 60, "--seed", 1)
    found = read_json(succeed("toys", file, *options, "--json"))
    batch = nextstat.fit_toys(nextstat.from_pyhf(file), 60, seed=1)
    at_bound = np.count_nonzero(np.isnan(batch.errors[:, 0]))
    assert set(batch.mu[np.isnan(batch.errors[:, 0])]) == {0.0}
    assert found["n_without_error"] == at_bound > 10
    text = succeed("toys", file, *options).stdout
    assert f"at a bound, without error, left out of the pull: {at_bound}" in text


def test_fixed_parameter_of_interest(file: Path) -> None:
    """Nothing to summarise: null, and dashes."""
    options = ("--n-toys", 5, "--seed", 1, "--fix", "mu=2")
    found = read_json(succeed("toys", file, *options, "--json"))
    assert (found["mean"], found["bias"]) == (2.0, 0.0)
    assert found["n_without_error"] == 5
    assert found["pull_mean"] is None
    assert lines_with(succeed("toys", file, *options).stdout, "width of the pull", "-", "-")


def test_output(file: Path, tmp_path: Path, model: nextstat.HistFactoryModel) -> None:
    """One row per toy, with all its parameters."""
    path = tmp_path / "toys.csv"
    result = succeed("toys", file, "--n-toys", 30, "--seed", 3, "--output", path, "--json")
    assert f"wrote {path}" in result.stderr
    assert read_json(result)["n_toys"] == 30
    with path.open(newline="") as lines:
        rows = list(csv.DictReader(lines))
    batch = nextstat.fit_toys(model, 30, seed=3)
    assert len(rows) == 30
    assert {"nll", "deviance", "edm", "status", "n_iter", *model.parameter_names} == set(rows[0])
    for k, row in enumerate(rows):
        assert row["status"] == batch.status[k]
        assert float(row["nll"]) == batch.nll[k]
        assert [float(row[name]) for name in model.parameter_names] == list(batch.values[k])


@pytest.mark.filterwarnings("always")
def test_failed_toys(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """They are counted by status; a run of which nothing converged is no success."""
    fit_toys = nextstat.fit_toys

    def broken(n_broken: int) -> Any:
        def fit(*arguments: Any, **options: Any) -> nextstat.FitBatch:
            batch = fit_toys(*arguments, **options)
            status = batch.status.astype("U16")
            status[:n_broken] = "stalled"
            return nextstat.FitBatch(**{**batch.__dict__, "status": status})

        return fit

    options = ("--n-toys", 8, "--seed", 1)
    monkeypatch.setattr(nextstat, "fit_toys", broken(3))
    found = read_json(succeed("toys", file, *options, "--json"))
    assert found["status"] == {"converged": 5, "stalled": 3}
    assert found["fraction_converged"] == 5 / 8
    text = succeed("toys", file, *options).stdout
    assert "5 of 8 fits converged (62.5 %)" in text
    assert "others: 3 stalled" in text
    monkeypatch.setattr(nextstat, "fit_toys", broken(8))
    result = call("toys", file, *options, "--json")
    assert result.exit_code == 1
    assert "none of the toys could be fitted" in result.stderr
    assert read_json(result)["mean"] is None


def test_impossible_values(file: Path, tmp_path: Path) -> None:
    """Values the library refuses, and files that cannot be written."""
    assert "n_toys is 0" in fail("toys", file, "--n-toys", 0)
    assert "seed is -1" in fail("toys", file, "--n-toys", 2, "--seed", -1)
    assert "there is no folder" in misuse("toys", file, "--output", tmp_path / "a" / "toys.csv")
    assert "is a directory" in misuse("toys", file, "--output", tmp_path)
