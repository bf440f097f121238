"""What the campaign is made of: its models, its likelihood, its search, its doubts."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import pyhf
import pytest
from campaign_models import SEED, judge_of, simple_case
from scipy.optimize import check_grad

import nextstat
from benchmarks.campaign import stationarity
from benchmarks.campaign.asymptotics import cls, cls_range, expected_cls, q_at_limit
from benchmarks.campaign.families import FAMILIES
from benchmarks.campaign.likelihood import Likelihood, parameter_names
from benchmarks.campaign.search import Question
from benchmarks.campaign.workspaces import HISTO_CODES, NORM_CODES, Case, make_case

ALL = range(2 * len(FAMILIES))


def points_of(likelihood: Likelihood, n: int, seed: int) -> np.ndarray:
    """Points, (n, P), around the start, within the bounds."""
    rng = np.random.default_rng(seed)
    width = np.where(likelihood.constrained, likelihood.width, 0.5)
    points = likelihood.init + width * rng.normal(size=(n, len(width)))
    points = np.clip(points, likelihood.lower + 1e-3, likelihood.upper - 1e-3)
    return np.where(likelihood.fixed, likelihood.init, points)


class TestModels:
    def test_each_is_reproducible_alone(self) -> None:
        assert make_case(SEED, 5) == make_case(SEED, 5)
        assert make_case(SEED, 5).workspace != make_case(SEED + 1, 5).workspace
        assert make_case(SEED, 5).workspace != make_case(SEED, 5 + len(FAMILIES)).workspace

    def test_families_take_turns(self) -> None:
        assert [make_case(SEED, k).family for k in range(len(FAMILIES))] == list(FAMILIES)

    @pytest.mark.filterwarnings("ignore::nextstat.WorkspaceWarning")
    def test_all_can_be_loaded(self) -> None:
        for case in (make_case(SEED, k) for k in ALL):
            model = nextstat.from_pyhf(case.workspace, interpolation=case.interpolation)
            assert model.poi == "mu", case.family

    def test_every_modifier_and_code_occurs(self) -> None:
        cases = [make_case(SEED, k) for k in range(200)]
        samples = [s for case in cases for c in case.workspace["channels"] for s in c["samples"]]
        kinds = {modifier["type"] for sample in samples for modifier in sample["modifiers"]}
        assert kinds == {
            "normfactor", "normsys", "histosys", "shapesys", "staterror", "shapefactor", "lumi"
        }  # fmt: skip
        codes = {case.interpolation for case in cases}
        assert codes == {(norm, histo) for norm in NORM_CODES for histo in HISTO_CODES}

    def test_flavours_are_what_they_are_called(self) -> None:
        found: dict[str, Counter[str]] = {name: Counter() for name in FAMILIES}
        for case in (make_case(SEED, k) for k in range(320)):
            found[case.family] += Counter(_flavours(case.workspace))
        assert found["up = down"]["equal normsys"] > 0
        assert found["up = down"]["equal histosys"] > 0
        assert found["huge normsys"]["factor above 10"] > 0
        assert found["one-sided normsys"]["one side"] > 0
        assert found["folded histosys"]["folded"] > 0
        assert found["empty bins filled"]["filled by a variation"] > 0
        assert found["large yields"]["more than 1e7"] > 0
        assert found["few events"]["no events"] > 0
        assert {"zero signal", "negative signal"} <= set(found["odd signal"])

    def test_data_are_in_tension(self) -> None:
        """The nominal expectation is off by much more than its Poisson law."""
        off = []
        for case in (make_case(SEED, k) for k in ALL):
            likelihood = Likelihood(case.workspace, case.interpolation, _names(case))
            nu = likelihood.expected(likelihood.init[None, :])[0]
            n = likelihood.data[: likelihood.n_bins]
            off.append(np.max(np.abs(n - nu) / np.sqrt(np.maximum(nu, 1.0))))
        assert np.mean(np.array(off) > 3.0) > 0.6


def _names(case: Case) -> list[str]:
    return parameter_names(case.workspace)


def _flavours(workspace: dict[str, Any]) -> list[str]:
    """What there is of each kind of trouble."""
    found = []
    for observation in workspace["observations"]:
        found += ["no events"] * (0.0 in observation["data"])
        found += ["more than 1e7"] * (max(observation["data"]) > 1e7)
    for sample in (sample for c in workspace["channels"] for sample in c["samples"]):
        nominal = np.array(sample["data"])
        if sample["name"] == "signal":
            found += ["zero signal"] * (not nominal.any())
            found += ["negative signal"] * bool((nominal < 0).any())
        for modifier in sample["modifiers"]:
            data = modifier["data"]
            if modifier["type"] == "normsys":
                found += ["equal normsys"] * (data["lo"] == data["hi"])
                found += ["factor above 10"] * (data["hi"] > 10.0)
                found += ["one side"] * ((data["lo"] - 1) * (data["hi"] - 1) > 0)
            elif modifier["type"] == "histosys":
                up, down = (np.array(data[k]) - nominal for k in ("hi_data", "lo_data"))
                found += ["equal histosys"] * np.array_equal(up, down)
                found += ["folded"] * bool((up * down > 0).all())
                found += ["filled by a variation"] * bool(((nominal == 0) & (up > 0)).any())
    return found


class TestLikelihood:
    @pytest.mark.parametrize("number", ALL)
    def test_parameters_and_nll_are_those_of_pyhf(self, number: int) -> None:
        case = make_case(SEED, number)
        norm, histo = case.interpolation
        settings = {"normsys": {"interpcode": norm}, "histosys": {"interpcode": histo}}
        model = pyhf.Workspace(case.workspace).model(modifier_settings=settings)
        config = model.config
        likelihood = Likelihood(case.workspace, case.interpolation, config.par_names)
        assert np.array_equal(likelihood.init, config.suggested_init())
        bounds = np.stack([likelihood.lower, likelihood.upper], axis=1)
        assert np.allclose(bounds, config.suggested_bounds(), rtol=0, atol=0)
        assert np.array_equal(likelihood.fixed, config.suggested_fixed())
        data = np.array(pyhf.Workspace(case.workspace).data(model), dtype=float)
        assert np.array_equal(likelihood.data[: likelihood.n_bins], data[: likelihood.n_bins])
        alphas = np.array(likelihood.centre == 0.0)
        for point in points_of(likelihood, 3, number):
            if histo == "code2":  # which jumps at 1 in pyhf 0.7.6
                point = np.where(alphas, np.clip(point, -0.99, 0.99), point)
            expected = likelihood.expected(point[None, :])[0]
            theirs = np.asarray(model.expected_actualdata(point))
            assert np.allclose(expected, theirs, rtol=1e-10, atol=1e-10)
            if (theirs > 1e-6).all():  # pyhf has no limit for what expects nothing
                right = 0.5 * float(pyhf.infer.mle.twice_nll(point, data, model).item())
                assert likelihood.at(point) == pytest.approx(right, rel=1e-9, abs=1e-9)

    @pytest.mark.parametrize("number", ALL)
    def test_derivatives(self, number: int) -> None:
        case = make_case(SEED, number)
        likelihood = Likelihood(case.workspace, case.interpolation, _names(case))
        for point in points_of(likelihood, 2, number):
            if not np.isfinite(likelihood.at(point)):
                continue
            gradient = likelihood.gradient(point[None, :])[0]
            off = check_grad(
                lambda x: likelihood.at(x) - likelihood.at(point),  # noqa: B023
                lambda x: likelihood.gradient(x[None, :])[0],
                point,
                epsilon=1e-7,
            )
            assert off < 1e-4 * max(np.abs(gradient).max(), likelihood.data.max(), 1.0)

    def test_of_nothing_expected(self) -> None:
        case = simple_case()
        likelihood = Likelihood(case.workspace, case.interpolation, ["mu", "norm", "tilt"])
        impossible = likelihood.init.copy()
        impossible[0] = -20.0
        with np.errstate(all="ignore"):
            assert likelihood.at(impossible) == np.inf
            empty = likelihood.data.copy()
            empty[:2] = 0.0
            assert likelihood.at(impossible, empty) == pytest.approx(
                10.0 + 2 * np.log(np.sqrt(2 * np.pi)) - 0.0
            )  # 70 - 60 in the second bin, nothing in the first

    def test_names_must_be_those_of_the_workspace(self) -> None:
        case = simple_case()
        with pytest.raises(ValueError, match="'nu'"):
            Likelihood(case.workspace, case.interpolation, ["nu", "norm", "tilt"])

    def test_saturated(self) -> None:
        judge = judge_of(simple_case())
        right = nextstat.goodness_of_fit(judge.model, init={"mu": 0.5})
        lowest = judge.search.lowest().nll
        saturated = judge.likelihood.saturated()
        assert 2.0 * (lowest - saturated) == pytest.approx(right.statistic, abs=1e-8)


class TestAsymptotics:
    @pytest.mark.parametrize(("q", "qa"), [(0.0, 2.0), (1.5, 2.0), (2.0, 2.0), (4.0, 2.0)])
    def test_are_those_of_pyhf(self, q: float, qa: float) -> None:
        calculator = pyhf.infer.calculators
        tested = calculator.AsymptoticTestStatDistribution(-np.sqrt(qa))
        alternative = calculator.AsymptoticTestStatDistribution(0.0)
        root, asimov = np.sqrt(q), np.sqrt(qa)
        value = root - asimov if root <= asimov else (q - qa) / (2.0 * asimov)
        right = tested.pvalue(value) / alternative.pvalue(value)
        assert cls(q, qa) == pytest.approx(float(right), rel=1e-9)

    def test_limit_is_where_the_band_is(self) -> None:
        for k, sigma in enumerate((-2, -1, 0, 1, 2)):
            assert expected_cls(q_at_limit(sigma, 0.05))[k] == pytest.approx(0.05)

    def test_range_contains_the_value(self) -> None:
        low, high = cls_range(1.0, 2.0, 0.01)
        assert low < cls(1.0, 2.0) < high
        assert high - low < 0.01


class TestSearch:
    def test_finds_the_lower_of_two_minima(self) -> None:
        """Two backgrounds that trade: a grid of starts knows the answer."""
        judge = judge_of(make_case(0, 8), n_starts=60)
        lowest = judge.search.lowest("observed", 0.0)
        once = nextstat.fit(judge.model, fixed={"mu": 0.0})
        assert lowest.nll <= judge.likelihood.at(once.values) + 1e-9
        assert judge.likelihood.at(lowest.point) == lowest.nll

    def test_descends_without_the_package(self, monkeypatch: pytest.MonkeyPatch) -> None:
        judge = judge_of(simple_case())
        right = nextstat.fit(judge.model)
        monkeypatch.setattr(nextstat, "fit", None)
        question = Question("observed", None, judge.search.own_bounds())
        data = judge.likelihood.data
        found = judge.search.descend_alone(judge.likelihood.init, question, data)
        assert found.nll == pytest.approx(right.nll, abs=1e-6)

    def test_learns_what_others_found(self) -> None:
        search = judge_of(simple_case()).search
        question = Question("observed", None, search.own_bounds())
        lowest = search.lowest()
        higher = lowest.point + 0.01
        assert not search.offer(question, higher)
        assert search.lowest() == lowest
        search._minima[question] = [lowest._replace(nll=lowest.nll + 1.0, point=higher)]
        assert search.offer(question, lowest.point)
        assert search.lowest().nll == lowest.nll


class TestStationarity:
    def descent(self, shift: dict[int, float]) -> float:
        judge = judge_of(simple_case())
        own, point = judge.likelihood, judge.search.lowest().point.copy()
        for k, change in shift.items():
            point[k] += change
        return stationarity.local_descent(own, point, own.fixed, own.lower, own.upper, own.data)

    def test_minimum(self) -> None:
        assert self.descent({}) == 0.0

    @pytest.mark.parametrize("k", [0, 1, 2])
    def test_beside_the_minimum(self, k: int) -> None:
        assert self.descent({k: 0.02}) > 1e-6

    def test_saddle(self) -> None:
        """Up = down: at alpha = 0 the gradient is 0, and both sides are lower."""
        case = simple_case()
        background = case.workspace["channels"][0]["samples"][1]
        background["modifiers"][0]["data"] = {"lo": 1.5, "hi": 1.5}
        case.workspace["observations"][0]["data"] = [90.0, 120.0]
        judge = judge_of(case)
        own = judge.likelihood
        point = own.init.copy()
        point[own.names.index("mu")] = 0.0
        held = np.array(own.names) != "norm"
        saddle = (own, point, held, own.lower, own.upper, own.data)
        assert abs(own.gradient(point[None, :])[0][~held][0]) < 1e-12
        assert stationarity.local_descent(*saddle) > 1e-6

    def test_kink_is_a_minimum(self) -> None:
        """code0, pinned at its kink: the gradient is not 0 on either side."""
        case = simple_case()._replace(interpolation=("code4", "code0"))
        background = case.workspace["channels"][0]["samples"][1]
        background["modifiers"][1]["data"] = {"lo_data": [80.0, 90.0], "hi_data": [80.0, 90.0]}
        case.workspace["observations"][0]["data"] = [30.0, 40.0]
        judge = judge_of(case)
        result = nextstat.fit(judge.model)
        assert result["tilt"] == 0.0
        own = judge.likelihood
        here = (own, result.values, own.fixed, own.lower, own.upper, own.data)
        assert np.abs(own.gradient(result.values[None, :])[0]).max() > 1.0
        assert stationarity.local_descent(*here) == 0.0
