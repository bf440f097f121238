"""Sums over models, and the tables made of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from benchmarks.campaign.families import FAMILIES
from benchmarks.campaign.record import Record

GOAL = 1e-3  # share of models with a miss


class TableData(NamedTuple):
    """A table: its title, heads of columns, and rows, numbers as text."""

    title: str
    head: tuple[str, ...]
    rows: list[tuple[str, ...]]


@dataclass
class Totals:
    """Everything that was noted of the models so far."""

    models: Counter[str] = field(default_factory=Counter)  # by family
    missing: Counter[str] = field(default_factory=Counter)  # models with a miss, by family
    misses: list[dict[str, Any]] = field(default_factory=list)
    faults: list[dict[str, Any]] = field(default_factory=list)
    statuses: Counter[tuple[str, str]] = field(default_factory=Counter)
    unconverged: Counter[str] = field(default_factory=Counter)  # by family
    compared: Counter[str] = field(default_factory=Counter)
    beaten: int = 0
    seconds: float = 0.0

    def add(self, record: Record) -> None:
        """One more model."""
        self.models[record.family] += 1
        self.missing[record.family] += bool(record.misses)
        self.misses += record.misses
        self.faults += record.faults
        self.statuses += record.statuses
        self.compared += record.compared
        self.beaten += record.beaten
        self.seconds += record.seconds
        fine = ("converged", "impossible", "no degrees of freedom")
        self.unconverged[record.family] += sum(
            n for (_, status), n in record.statuses.items() if status not in fine
        )

    @property
    def n_models(self) -> int:
        """Models that were done."""
        return self.models.total()

    def reached(self) -> bool:
        """No fault, and no more misses than the goal."""
        return not self.faults and self.missing.total() <= GOAL * self.n_models

    def summary(self) -> str:
        """One paragraph."""
        kinds = Counter(fault["fault"] for fault in self.faults)
        faults = ", ".join(f"{n} x {fault}" for fault, n in kinds.most_common()) or "none"
        share = 1000.0 * self.missing.total() / max(self.n_models, 1)
        return (
            f"{self.n_models:,} models, {self.compared.total():,} values compared; "
            f"{len(self.misses):,} misses in {self.missing.total():,} models "
            f"({share:.1f} of 1,000; the goal is {1000.0 * GOAL:g}). Faults: {faults}. "
            f"Fits lower than the search: {self.beaten}."
        )

    def tables(self) -> Iterator[TableData]:
        """Values and misses by kind, ends other than convergence, and families."""
        missed = Counter(miss["kind"] for miss in self.misses)
        worst: dict[str, float] = {}
        for miss in self.misses:
            if miss["found"] is not None:
                size = abs(miss["found"] - miss["lowest"])
                worst[miss["kind"]] = max(worst.get(miss["kind"], 0.0), size)
        yield TableData(
            "Values compared",
            ("value", "compared", "missed", "worst, in nll"),
            [
                (kind, f"{n:,}", f"{missed[kind]:,}", f"{worst[kind]:.2g}" if kind in worst else "")
                for kind, n in self.compared.items()
            ],
        )
        asked: Counter[str] = Counter()
        ends: dict[str, Counter[str]] = {}
        for (kind, status), n in self.statuses.items():
            asked[kind] += n
            ends.setdefault(kind, Counter())[status] += n
        yield TableData(
            "Ends",
            ("fit or test", "asked", "converged", "others"),
            [
                (kind, f"{n:,}", f"{ends[kind].pop('converged', 0):,}", _ends(ends[kind]))
                for kind, n in asked.items()
            ],
        )
        misses = Counter(miss["family"] for miss in self.misses)
        faults = Counter(fault["family"] for fault in self.faults)
        yield TableData(
            "Families",
            ("family", "models", "with a miss", "misses", "unconverged", "faults"),
            [
                (name, *(f"{count[name]:,}" for count in
                         (self.models, self.missing, misses, self.unconverged, faults)))
                for name in FAMILIES
                if self.models[name]
            ],
        )  # fmt: skip

    def to_dict(self) -> dict[str, Any]:
        """Plain values, ready for JSON."""
        statuses: dict[str, dict[str, int]] = {}
        for (kind, status), n in self.statuses.items():
            statuses.setdefault(kind, {})[status] = n
        return {
            "models": dict(self.models),
            "models_with_a_miss": dict(self.missing),
            "compared": dict(self.compared),
            "statuses": statuses,
            "beaten": self.beaten,
            "seconds": self.seconds,
            "misses": self.misses,
            "faults": self.faults,
        }


def _ends(counts: Counter[str]) -> str:
    return ", ".join(f"{status} {n:,}" for status, n in counts.most_common())
