"""The ranking against refits one by one, and its conventions."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest
from channels import counting
from hypothesis import given, settings
from random_workspaces import seeds

import nextstat
from nextstat import FitWarning, HistFactoryModel
from nextstat.interpret import rank_impact, rank_impact_df


def refit(
    model: HistFactoryModel, best: Any, name: str, shift: float, reported: float
) -> list[float]:
    """Shift of mu when one parameter is held at its fitted value plus `shift`, by plain fits.

    There may be several basins. Fits start from the linear response, from the global fit, from
    the profile at the reported value, where one stays if that is a minimum, and from anywhere.
    """
    k = model.parameters.index(name)
    low, high = model.bounds.T
    value = float(np.clip(best[name] + shift, low[k], high[k]))
    response = best.covariance[:, k] / best.covariance[k, k]
    linear = np.clip(best.values + response * (value - best[name]), low, high)
    mu = float(np.clip(best.mu + reported, *model.bounds[model.parameters.index("mu")]))
    profile = nextstat.fit(model, init=linear, fixed={name: value, "mu": mu}).values
    fits = [
        nextstat.fit(model, init=start, fixed={name: value})
        for start in (linear, best.values, profile)
    ]
    fits.append(nextstat.fit(model, fixed={name: value}, n_starts=10))
    return [fit.mu - best.mu for fit in fits]


@given(seed=seeds)
@settings(max_examples=40, deadline=None)
def test_rows_are_refits(seed: int) -> None:
    workspace = nextstat.datasets.make_workspace(2, 3, 3, 5, shapesys=True, random_state=seed)
    model = nextstat.from_pyhf(workspace)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FitWarning)
        best = nextstat.fit(model)
        if not best.converged:
            return
        rows = rank_impact(model)
        sigma = best.errors[model.parameters.index("mu")]
        tolerance = 1e-4 * (1.0 if np.isnan(sigma) else sigma)
        for row in rows:
            index = model.parameters.index(row["name"])
            error, width = best.errors[index], model.parameters.width[index]
            if np.isnan(error):
                assert np.isnan(row["total_impact"])
                continue
            for key, shift in (
                ("delta_mu_up", error),
                ("delta_mu_down", -error),
                ("delta_mu_up_prefit", width),
                ("delta_mu_down_prefit", -width),
            ):
                if np.isnan(shift):
                    assert row[key] == 0.0
                elif not np.isnan(row[key]):
                    shifts = refit(model, best, row["name"], shift, row[key])
                    assert min(abs(row[key] - x) for x in shifts) < tolerance


def test_conventions() -> None:
    model = nextstat.from_pyhf(nextstat.datasets.make_workspace(random_state=2, shapesys=True))
    best = nextstat.fit(model)
    rows = rank_impact(model)
    table = model.parameters
    free = [p.name for p in table if not p.fixed and p.name != "mu"]
    assert sorted(row["name"] for row in rows) == sorted(free)
    assert [row["rank"] for row in rows] == list(range(1, len(rows) + 1))
    totals = [row["total_impact"] for row in rows]
    assert totals == sorted(totals, reverse=True)
    for row in rows:
        p = table[row["name"]]
        assert row["kind"] == p.kind
        up, down = row["delta_mu_up"], row["delta_mu_down"]
        assert row["total_impact"] == abs(up) + abs(down)
        error = best.errors[table.index(p.name)]
        if p.constraint == "none":
            assert np.isnan(row["pull"])
            assert np.isnan(row["constraint"])
            assert row["delta_mu_up_prefit"] == row["delta_mu_down_prefit"] == 0.0
        else:
            assert row["constraint"] == pytest.approx(error / p.width)
            assert row["pull"] == pytest.approx((best[p.name] - p.centre) / p.width)
        if p.kind in ("staterror", "shapesys"):
            assert p.centre == pytest.approx(1.0)


def test_linear_limit() -> None:
    """With large counts the impact is the covariance over the error."""
    workspace = nextstat.datasets.make_workspace(events_per_bin=1e6, random_state=4)
    model = nextstat.from_pyhf(workspace)
    best = nextstat.fit(model)
    mu = model.parameters.index("mu")
    for row in rank_impact(model, top_n=10):
        k = model.parameters.index(row["name"])
        linear = best.covariance[mu, k] / best.errors[k]
        odd = (row["delta_mu_up"] - row["delta_mu_down"]) / 2
        assert odd == pytest.approx(linear, rel=0.05)


def test_order_and_length() -> None:
    model = nextstat.from_pyhf(nextstat.datasets.make_workspace(random_state=2))
    rows = rank_impact(model)
    assert rank_impact(model, top_n=3) == rows[:3]
    assert rank_impact(model, ascending=True, top_n=1)[0]["rank"] == len(rows)
    by_pull = rank_impact(model, sort_by="pull")
    pulls = [abs(row["pull"]) for row in by_pull if not np.isnan(row["pull"])]
    assert pulls == sorted(pulls, reverse=True)
    frame = rank_impact_df(model, top_n=5)
    assert list(frame["name"]) == [row["name"] for row in rows[:5]]
    assert list(frame.columns[:4]) == ["rank", "name", "kind", "total_impact"]


def test_progress_does_not_change_the_result(capsys: pytest.CaptureFixture[str]) -> None:
    model = nextstat.from_pyhf(nextstat.datasets.make_workspace(random_state=2))
    assert str(rank_impact(model, progress=True)) == str(rank_impact(model))


def test_other_parameter_of_interest() -> None:
    model = nextstat.from_pyhf(nextstat.datasets.make_workspace(random_state=2))
    rows = rank_impact(model, poi="lumi")
    names = [row["name"] for row in rows]
    assert "mu" in names
    assert "lumi" not in names


def test_poi_at_its_bound_stays_or_leaves() -> None:
    """mu-hat = 0: a shift that wants more signal releases it, the other leaves it there."""
    model = nextstat.from_pyhf(counting(signal=10.0, background=50.0, observed=48.0))
    with pytest.warns(FitWarning, match=r"'mu' is stopped by its bounds \[0, 10\] in 2 of 4 fits"):
        (row,) = rank_impact(model)
    (free,) = rank_impact(model, bounds={"mu": (-10.0, 10.0)})
    assert free["delta_mu_up"] < -0.1
    assert nextstat.fit(model).mu == 0.0
    assert row["delta_mu_up"] == 0.0
    assert row["delta_mu_down"] > 0.1


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"method": "guess"}, ValueError, "method is 'guess'"),
        ({"sort_by": "size"}, ValueError, "sort_by is 'size'"),
        ({"top_n": 0}, ValueError, "top_n is 0"),
        ({"n_jobs": 0}, ValueError, "n_jobs is 0"),
        ({"poi": "nu"}, KeyError, "unknown parameter 'nu'"),
    ],
)
def test_bad_options(options: dict[str, Any], error: type[Exception], message: str) -> None:
    model = nextstat.from_pyhf(nextstat.datasets.make_workspace(random_state=2))
    with pytest.raises(error, match=message):
        rank_impact(model, **options)


def test_needs_a_converged_fit() -> None:
    model = nextstat.from_pyhf(counting(signal=0.0, background=50.0, observed=50.0))
    with pytest.raises(nextstat.FitError, match=r"the global fit did not converge .*'mu'"):
        rank_impact(model)
