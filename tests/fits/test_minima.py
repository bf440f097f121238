"""The lowest of several minima, in every fit of a question."""

from __future__ import annotations

import math
import warnings
from typing import Any

import numpy as np
import pytest
from channels import normfactor, one_channel
from random_workspaces import random_workspace

import nextstat
from nextstat import FitWarning, HistFactoryModel
from nextstat._fits.fit import LOWEST, minimise
from nextstat._fits.settings import Problem, make_problem


def normsys(name: str, lo: float, hi: float) -> dict[str, Any]:
    return {"name": name, "type": "normsys", "data": {"lo": lo, "hi": hi}}


def histosys(name: str, lo: list[float], hi: list[float]) -> dict[str, Any]:
    return {"name": name, "type": "histosys", "data": {"lo_data": lo, "hi_data": hi}}


def sample(name: str, data: list[float], *modifiers: dict[str, Any]) -> dict[str, Any]:
    return {"name": name, "data": data, "modifiers": list(modifiers)}


def lowest(model: HistFactoryModel, data: Any, problem: Problem, n: int) -> float:
    """Lowest nll of single descents from many starts, drawn here."""
    rng = np.random.default_rng(1)
    width = model.parameters.width
    free = np.isnan(width)
    found = math.inf
    for k in range(n):
        draws = model.parameters.nominal + (1 + k % 3) * np.nan_to_num(width) * rng.normal(
            size=len(width)
        )
        start = np.where(free, 10.0 ** rng.uniform(-2.0, 1.0, len(width)), draws)
        start = np.clip(start, problem.lower, problem.upper)
        fit = minimise(model, data, problem.start(start).searching(0))
        if fit.status in LOWEST:
            found = min(found, fit.nll)
    return found


@pytest.mark.parametrize("first", range(0, 60, 20))
def test_no_fit_is_above_the_lowest_of_many_starts(first: int) -> None:
    """Free fits, and those at values of mu that the data do not like."""
    for seed in range(first, first + 20):
        model = nextstat.from_pyhf(random_workspace(seed, tension=4.0))
        problem, poi = make_problem(model), model.parameters.index("mu")
        for at in (problem, *(problem.fix(poi, mu) for mu in (0.0, 1.0, 4.0))):
            fit = minimise(model, model._observed, at)
            if fit.status in LOWEST:
                assert fit.nll <= lowest(model, model._observed, at, 40) + 1e-3, seed


def test_other_starts_count_where_they_lead_lower() -> None:
    """One fit from several starts ends at the lowest of their minima, whichever comes first."""
    model = nextstat.from_pyhf(random_workspace(4, tension=4.0))
    data, problem = model._observed, make_problem(model)
    low = minimise(model, data, problem)
    alone = minimise(model, data, problem.searching(0))
    assert alone.nll > low.nll + 1.0
    for start in (problem.start(problem.init, low.values), problem.start(low.values, problem.init)):
        both = minimise(model, data, start.searching(0))
        assert both.nll == pytest.approx(low.nll, abs=1e-7)


@pytest.mark.parametrize("scale", [1.0, 100.0])
def test_significance_of_two_backgrounds_that_trade(scale: float) -> None:
    """At mu = 0 a free background with a shape makes up for the signal in two ways."""
    samples = [
        sample("s", [520.0 * scale, 460.0 * scale, 110.0 * scale], normfactor("mu")),
        sample("b0", [2070.0 * scale, 2410.0 * scale, 540.0 * scale], normsys("a", 0.79, 1.01)),
        sample(
            "b1",
            [2390.0 * scale, 2810.0 * scale, 380.0 * scale],
            histosys(
                "h",
                [1890.0 * scale, 1970.0 * scale, 315.0 * scale],
                [2760.0 * scale, 2870.0 * scale, 407.0 * scale],
            ),
            normfactor("k"),
        ),
    ]
    total = np.sum([s["data"] for s in samples], axis=0)
    model = nextstat.from_pyhf(one_channel(samples, (total * [0.996, 0.998, 0.999]).tolist()))
    problem, poi = make_problem(model), model.parameters.index("mu")
    at_zero = lowest(model, model._observed, problem.fix(poi, 0.0), 300)
    anywhere = lowest(model, model._observed, problem, 300)
    right = math.sqrt(max(2.0 * (at_zero - anywhere), 0.0))
    assert nextstat.significance(model) == pytest.approx(right, abs=1e-3)
    scan = nextstat.scan(model, "mu", [0.0, 1.0])
    test = nextstat.hypotest(model, 1.0, test_stat="t", bounds={"mu": (0.0, 10.0)})
    assert test.test_statistic == pytest.approx(scan.twice_delta_nll[1], abs=1e-6)


@pytest.mark.parametrize(
    "equal",
    [
        [normsys("a", 1.2, 1.2)],
        [normsys("a", 0.8, 0.8)],
        [histosys("a", [60.0, 45.0], [60.0, 45.0])],
        [normsys("a", 1.1, 1.1), histosys("a", [40.0, 52.0], [40.0, 52.0])],
    ],
)
@pytest.mark.parametrize("data", [[75.0, 60.0], [30.0, 40.0]])
def test_variations_that_are_equal(equal: list[dict[str, Any]], data: list[float]) -> None:
    """The gradient vanishes at the start, where the nll may be a maximum along the parameter."""
    samples = [sample("s", [5.0, 2.0], normfactor("mu")), sample("b", [50.0, 50.0], *equal)]
    model = nextstat.from_pyhf(one_channel(samples, data))
    problem = make_problem(model)
    fit = nextstat.fit(model)
    assert fit.converged
    assert fit.n_iter < 200
    assert fit.nll <= lowest(model, model._observed, problem, 40) + 1e-8


@pytest.mark.parametrize("n_equal", [1, 3, 8])
def test_many_equal_variations_take_few_steps(n_equal: int) -> None:
    modifiers = [normsys(f"a{k}", 1.05, 1.05) for k in range(n_equal)]
    samples = [sample("s", [5.0, 2.0], normfactor("mu")), sample("b", [5e4, 5e4], *modifiers)]
    model = nextstat.from_pyhf(one_channel(samples, [5.6e4, 5.5e4]))
    fit = nextstat.fit(model, n_starts=1, bounds={"mu": (0.0, 10.0)})
    assert fit.converged
    assert fit.nll <= lowest(model, model._observed, make_problem(model), 40) + 1e-6


@pytest.mark.parametrize(("lo", "hi"), [(0.0, 1.0), (1.0, 0.0), (0.5, 0.5), (0.0, 0.01)])
@pytest.mark.parametrize("seen", [0.0, 1.0, 2.0])
def test_a_bin_that_only_a_variation_fills(lo: float, hi: float, seen: float) -> None:
    """Nothing is expected there at the start of the fit; tests and limits have values."""
    samples = [
        sample("s", [3.0, 0.0], normfactor("mu")),
        sample("b", [50.0, 0.0], histosys("h", [45.0, lo], [55.0, hi])),
    ]
    model = nextstat.from_pyhf(one_channel(samples, [55.0, seen]))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FitWarning)
        fit = nextstat.fit(model)
        assert fit.converged
        assert math.isfinite(nextstat.significance(model))
        assert math.isfinite(nextstat.significance(model, expected=True))
        assert math.isfinite(nextstat.upper_limit(model).observed)
        asimov = nextstat.asimov_data(model, 1.0)
        again = nextstat.fit(model, asimov)
    assert again.converged
    assert again.mu == pytest.approx(1.0, abs=1e-4)


def test_asimov_data_are_exact() -> None:
    """The derivative of q in mu is the same from steps of very different sizes."""
    model = nextstat.from_pyhf(random_workspace(3))

    def q(mu: float) -> float:
        return nextstat.hypotest(model, mu).asimov_test_statistic

    slopes = [(q(1.5 + h) - q(1.5 - h)) / (2.0 * h) for h in (1e-2, 1e-3, 1e-4)]
    assert slopes[1] == pytest.approx(slopes[0], rel=1e-3)
    assert slopes[2] == pytest.approx(slopes[1], rel=1e-5)


def test_nominal_is_the_centre_of_the_constraint() -> None:
    """Starting values that come from a fit do not move Asimov data or pre-fit yields."""
    workspace = one_channel(
        [sample("s", [5.0], normfactor("mu")), sample("b", [50.0], normsys("a", 0.9, 1.2))], [55.0]
    )
    plain = nextstat.from_pyhf(workspace)
    settings = workspace["measurements"][0]["config"]["parameters"]
    settings.append({"name": "a", "inits": [1.7]})
    moved = nextstat.from_pyhf(workspace)
    assert moved.init[moved.parameters.index("a")] == 1.7
    for mu in (0.0, 1.0):
        data = [nextstat.asimov_data(m, mu, nuisances="nominal") for m in (plain, moved)]
        np.testing.assert_array_equal(*data)
    expected = [nextstat.yields(m).to_dataframe() for m in (plain, moved)]
    assert expected[0].equals(expected[1])


# Bounds that nobody chose -----------------------------------------------------------------------


def far() -> HistFactoryModel:
    """A weak signal and a strong excess: the data ask for mu = 100."""
    samples = [
        sample("s", [1.0, 1.0], normfactor("mu")),
        sample("b", [100.0, 100.0], normsys("a", 0.98, 1.02)),
    ]
    return nextstat.from_pyhf(one_channel(samples, [200.0, 200.0]))


REACHES = "the fit reaches mu=100"


def test_the_default_bound_decides_no_test() -> None:
    """The same as with bounds that are wide enough."""
    model, wide = far(), {"mu": (0.0, 1000.0)}
    with pytest.warns(FitWarning, match=REACHES):
        found = nextstat.significance(model)
    assert found == pytest.approx(nextstat.significance(model, bounds=wide), rel=1e-6)
    with pytest.warns(FitWarning, match=REACHES):
        agreement = nextstat.goodness_of_fit(model)
    assert agreement.pvalue == pytest.approx(1.0, abs=1e-6)
    with pytest.warns(FitWarning, match=REACHES):
        ranked = nextstat.interpret.rank_impact(model)
    (row,), (reference,) = ranked, nextstat.interpret.rank_impact(model, bounds=wide)
    assert row["total_impact"] == pytest.approx(reference["total_impact"], rel=1e-5)
    toys = nextstat.fit_toys(model, 50, params=[50.0, 0.0], seed=1)
    assert toys.converged.all()
    expected = nextstat.fit_toys(model, 50, params=[50.0, 0.0], seed=1, bounds=wide)
    np.testing.assert_allclose(toys.mu, expected.mu, rtol=1e-6)


def test_the_advice_of_the_warning_helps() -> None:
    model = far()
    with pytest.warns(FitWarning, match=REACHES) as seen:
        found = nextstat.significance(model)
    advice = str(seen[0].message).split("bounds={'mu': (")[1].split(")")[0]
    low, high = map(float, advice.split(","))
    assert high >= 200.0  # with room for what the data want
    again = nextstat.significance(model, bounds={"mu": (low, high)})
    assert again == pytest.approx(found, rel=1e-6)
    with pytest.raises(nextstat.FitError, match="stopped by its bound") as stopped:
        nextstat.interpret.uncertainty_breakdown(model, bounds={"mu": (0.0, 10.0)})
    advice = str(stopped.value).split("bounds={'mu': (")[1].split(")")[0]
    low, high = map(float, advice.split(","))
    assert low == 0.0
    assert high > 10.0
    try:
        nextstat.interpret.uncertainty_breakdown(model, bounds={"mu": (low, high)})
    except nextstat.FitError as still:  # 100 is just where the data want it
        wider = str(still).split("bounds={'mu': (")[1].split(")")[0]
        pair = tuple(map(float, wider.split(",")))
        nextstat.interpret.uncertainty_breakdown(model, bounds={"mu": pair})  # type: ignore[dict-item]


def test_bounds_that_were_chosen_stay() -> None:
    model = far()
    chosen = {"mu": (0.0, 10.0)}
    assert nextstat.hypotest(model, 0.0, bounds=chosen).muhat == 10.0
    deficit = nextstat.from_pyhf(
        one_channel([sample("s", [5.0], normfactor("mu")), sample("b", [50.0])], [30.0])
    )
    for statistic in ("q", "t"):
        free = nextstat.hypotest(deficit, 1.0, test_stat=statistic)  # type: ignore[arg-type]
        assert free.muhat == pytest.approx(-4.0, abs=1e-6)
        held = nextstat.hypotest(
            deficit,
            1.0,
            test_stat=statistic,  # type: ignore[arg-type]
            bounds={"mu": (0.0, 10.0)},
        )
        assert held.muhat == 0.0


@pytest.mark.parametrize("scale", [1.0, 1e-4, 1e-9, 1e-14])
def test_limits_of_tiny_signals(scale: float) -> None:
    gamma = {"name": "g", "type": "shapesys", "data": [4.0]}
    samples = [sample("s", [2.0 * scale], normfactor("mu")), sample("b", [20.0], gamma)]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FitWarning)
        limit = nextstat.upper_limit(nextstat.from_pyhf(one_channel(samples, [23.0])))
    samples[0]["data"] = [20.0]
    reference = nextstat.upper_limit(nextstat.from_pyhf(one_channel(samples, [23.0])))
    assert limit.observed * scale == pytest.approx(10.0 * reference.observed, rel=1e-5)
    np.testing.assert_allclose(limit.expected * scale, 10.0 * reference.expected, rtol=1e-5)


# Degrees of freedom -----------------------------------------------------------------------------


def test_degrees_of_freedom() -> None:
    """Bins that can hold events, less directions without a constraint in which the fit can move."""
    signal, background = [5.0, 3.0, 2.0, 0.0], [50.0, 60.0, 40.0, 0.0]

    def dof(*modifiers: dict[str, Any], **options: Any) -> int:
        samples = [
            sample("s", signal, normfactor("mu")),
            sample("b", background, *modifiers),
        ]
        model = nextstat.from_pyhf(one_channel(samples, [52.0, 66.0, 41.0, 0.0]))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FitWarning)
            return nextstat.goodness_of_fit(model, **options).n_dof

    assert dof() == 2  # three bins and mu; the fourth expects nothing
    assert dof(fixed={"mu": 1.0}) == 3
    assert dof(bounds={"mu": (1.0, 1.0)}) == 3
    assert dof(normsys("a", 0.9, 1.1)) == 2
    assert dof(normfactor("k")) == 1
    assert dof(normfactor("k"), normfactor("l")) == 1  # only their product acts
    lift = histosys("h", [0.9 * x for x in background], [*(1.1 * x for x in background[:3]), 1.0])
    assert dof(lift) == 3  # the fourth can hold events
