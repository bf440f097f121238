"""The campaign against wrong numbers sees those that are planted; its tables and its command."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from campaign_models import N_STARTS, ROOT, SEED, judge_of, simple_case
from click.testing import CliRunner

import nextstat
from benchmarks.campaign import __main__ as command
from benchmarks.campaign import checks
from benchmarks.campaign.page import write_page
from benchmarks.campaign.record import Record
from benchmarks.campaign.search import Question
from benchmarks.campaign.totals import Totals
from benchmarks.campaign.workspaces import Case, make_case


def record_of(case: Case) -> Record:
    return checks.check_case(case, N_STARTS, SEED)


def kinds(record: Record) -> set[str]:
    return {miss["kind"] for miss in record.misses}


def changed(result: Any, **values: Any) -> SimpleNamespace:
    """A result with other values; not the object that the package made."""
    names = [name for name in dir(result) if not name.startswith("_")]
    return SimpleNamespace(**{name: getattr(result, name) for name in names} | values)


class TestFaultsAreSeen:
    """A check that cannot fail is a defect: wrong answers are planted, one by one."""

    def test_right_answers_pass(self) -> None:
        record = record_of(simple_case())
        assert record.misses == record.faults == []
        assert min(record.compared.values()) >= 1
        assert {status for _, status in record.statuses} == {"converged"}

    @pytest.mark.parametrize(
        ("function", "kind", "change"),
        [
            ("hypotest", "hypotest: q", lambda r: {"test_statistic": r.test_statistic + 0.01}),
            (
                "hypotest",
                "hypotest: qA",
                lambda r: {"asimov_test_statistic": r.asimov_test_statistic - 0.01},
            ),
            ("goodness_of_fit", "goodness of fit", lambda r: {"statistic": r.statistic + 0.01}),
            (
                "scan",
                "scan",
                lambda r: {"twice_delta_nll": r.twice_delta_nll + 0.01 * (r.values == 1.0)},
            ),
            ("upper_limit", "limit", lambda r: {"observed": 1.01 * r.observed}),
            (
                "upper_limit",
                "expected limit",
                lambda r: {"expected": r.expected * [1, 1, 0.99, 1, 1]},
            ),
        ],
    )
    def test_wrong_result(
        self, monkeypatch: pytest.MonkeyPatch, function: str, kind: str, change: Any
    ) -> None:
        right = getattr(nextstat, function)

        def wrong(*args: Any, **options: Any) -> SimpleNamespace:
            result = right(*args, **options)
            return changed(result, **change(result))

        monkeypatch.setattr(nextstat, function, wrong)
        assert kinds(record_of(simple_case())) == {kind}

    @pytest.mark.parametrize("expected", [False, True])
    def test_wrong_significance(self, monkeypatch: pytest.MonkeyPatch, expected: bool) -> None:
        right = nextstat.significance

        def wrong(model: Any, expected_: bool = False, **options: Any) -> float:
            found = right(model, options.pop("expected", expected_))
            return found + 0.01 if options.get("plant", True) else found

        monkeypatch.setattr(
            nextstat,
            "significance",
            lambda model, expected=False, asked=expected: (
                wrong(model, expected=expected) if expected == asked else right(model, expected)
            ),
        )
        kind = "expected significance" if expected else "significance"
        assert kinds(record_of(simple_case())) == {kind}

    def test_wrong_cls(self, monkeypatch: pytest.MonkeyPatch) -> None:
        right = nextstat.hypotest
        monkeypatch.setattr(
            nextstat, "hypotest", lambda *args: changed(r := right(*args), cls=1.001 * r.cls)
        )
        faults = record_of(simple_case()).faults
        assert [(fault["fault"], fault["kind"]) for fault in faults] == [("formula", "CLs")]

    def test_fit_in_a_higher_minimum(self) -> None:
        """A fit that stops at another stationary point misses; it has converged, though."""
        case = simple_case()
        background = case.workspace["channels"][0]["samples"][1]
        background["modifiers"][0]["data"] = {"lo": 1.4, "hi": 1.5}
        case.workspace["observations"][0]["data"] = [90.0, 120.0]
        judge = judge_of(case)
        question = Question("observed", 0.0, judge.search.own_bounds())
        is_norm = np.array(judge.likelihood.names) == "norm"
        starts = [np.where(is_norm, side, 0.0) for side in (-1.5, 1.5)]
        ends = [judge.search.descend_alone(s, question, judge.likelihood.data) for s in starts]
        lower, higher = sorted(ends, key=lambda end: end.nll)
        assert higher.nll - lower.nll > 1e-3
        judge.fitted("fit", "converged", higher.point, higher.nll, "observed", 0.0)
        assert kinds(judge.notes.record) == {"fit"}
        miss = judge.notes.record.misses[0]
        assert miss["found"] == pytest.approx(higher.nll)
        assert miss["lowest"] == pytest.approx(lower.nll)
        assert miss["fixed"] == {"mu": 0.0}
        assert judge.notes.record.faults == []

    def test_false_convergence(self) -> None:
        judge = judge_of(simple_case())
        point = np.add(judge.search.lowest().point, [0.0, 0.003, 0.0])
        judge.fitted("fit", "converged", point, judge.model.nll(point), "observed", None)
        assert [fault["fault"] for fault in judge.notes.record.faults] == ["false convergence"]
        judge.fitted("fit", "stalled", point, judge.model.nll(point), "observed", None)
        assert len(judge.notes.record.faults) == 1
        assert judge.notes.record.statuses["fit", "stalled"] == 1

    def test_wrong_nll_and_numbers_that_are_none(self) -> None:
        judge = judge_of(simple_case())
        point = judge.search.lowest().point
        nll = judge.model.nll(point)
        judge.fitted("fit", "converged", point, nll * (1 + 1e-8), "observed", None)
        judge.fitted("fit", "converged", point, np.nan, "observed", None)
        judge.fitted(
            "fit", "converged", np.subtract(point, [20.0, 0.0, 0.0]), nll, "observed", None
        )
        found = [fault["fault"] for fault in judge.notes.record.faults]
        assert found[:2] == ["nll", "not finite"]
        assert "outside bounds" in found

    def test_exceptions(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def broken(*args: object) -> None:
            raise ZeroDivisionError

        def honest(*args: object) -> None:
            raise nextstat.FitError("the global fit did not converge (singular): fix some")

        monkeypatch.setattr(nextstat, "hypotest", broken)
        monkeypatch.setattr(nextstat, "upper_limit", honest)
        record = record_of(simple_case())
        assert [fault["fault"] for fault in record.faults] == ["foreign exception"]
        assert record.statuses["limit", "singular"] == 1

    def test_refused_workspace(self) -> None:
        case = simple_case()
        case.workspace["observations"][0]["data"] = [-1.0, 2.0]
        assert [fault["fault"] for fault in record_of(case).faults] == ["refused workspace"]


class TestTotals:
    def totals(self, *misses: float) -> Totals:
        totals = Totals()
        for number in range(2000):
            record = Record(number, "usual")
            record.compared["fit"] += 1
            record.statuses["fit", "converged"] += 1
            if number < len(misses):
                miss = {"kind": "fit", "family": "usual", "found": misses[number], "lowest": 0.0}
                record.misses.append(miss)
            totals.add(record)
        return totals

    def test_goal(self) -> None:
        assert self.totals(1.0, 2.0).reached()
        assert not self.totals(1.0, 2.0, 3.0).reached()
        false = self.totals()
        false.faults.append({"fault": "false convergence", "family": "usual"})
        assert not false.reached()

    def test_page(self, tmp_path: Path) -> None:
        page = tmp_path / "trust.md"
        page.write_text((ROOT / "docs" / "trust.md").read_text("utf-8"), encoding="utf-8")
        for _ in range(2):
            write_page(self.totals(1.0, 2.5), 0, 200, page)
            after = page.read_text("utf-8")
            assert "| fit | 2,000 | 2 | 2.5 |" in after
            assert "| usual | 2,000 | 2 | 2 | 0 | 0 |" in after
            assert "(1.0 of 1,000; the goal is 1)" in after


def run(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """The command, elsewhere than in the checkout, whose sources may hold no extension."""
    code = (
        f"import runpy, sys; sys.path.append({str(ROOT)!r}); "
        "runpy.run_module('benchmarks.campaign', run_name='__main__', alter_sys=True)"
    )
    line = [sys.executable, "-c", code, *arguments]
    return subprocess.run(line, cwd=folder, capture_output=True, text=True, timeout=300)


def test_command_prints_a_workspace(tmp_path: Path) -> None:
    found = run(tmp_path, "--seed", "3", "--only", "7")
    assert found.returncode == 0, found.stderr
    assert json.loads(found.stdout) == make_case(3, 7).workspace
    assert make_case(3, 7).family in found.stderr


def test_command(tmp_path: Path) -> None:
    file, page = tmp_path / "results.json", tmp_path / "trust.md"
    page.write_text("<!-- campaign: begin -->\n<!-- campaign: end -->\n", encoding="utf-8")
    found = run(tmp_path, "--models", "3", "--first", "12", "--starts", "4", "--json", str(file),
                "--write-docs", "--page", str(page))  # fmt: skip
    results = json.loads(file.read_text("utf-8"))
    assert sum(results["models"].values()) == 3
    reached = not results["misses"] and not results["faults"]
    assert found.returncode == (0 if reached else 1), found.stderr
    assert "3 models" in found.stdout
    assert max(map(len, found.stdout.splitlines())) <= 80
    assert "3 models" in page.read_text("utf-8")


def test_interrupt_gives_the_table_of_what_is_done(monkeypatch: pytest.MonkeyPatch) -> None:
    def records(*_: object) -> Iterator[Record]:
        yield record_of(simple_case())
        raise KeyboardInterrupt

    monkeypatch.setattr(command, "_records", records)
    found = CliRunner().invoke(command.main, ["--models", "50"])
    assert found.exit_code == 0
    assert "1 models" in found.stdout


def test_failure_of_the_campaign_is_a_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(command, "check_case", None)
    record = command._record(4, SEED, N_STARTS)
    assert [fault["fault"] for fault in record.faults] == ["the campaign failed"]
    assert record.number == 4
