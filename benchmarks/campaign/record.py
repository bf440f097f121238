"""What the campaign notes of one model."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from benchmarks.campaign.search import Minimum, Question, Search
from benchmarks.campaign.workspaces import Case

TOLERANCE = 1e-3  # in nll
ROUNDING = 1e-11  # of a sum of terms, relative to the nll


@dataclass
class Record:
    """Statuses, comparisons and misses of a model.

    Attributes
    ----------
    statuses : Counter of (str, str)
        Fits and tests by kind and how they ended.
    compared : Counter of str
        Values compared with the lowest minima, by kind.
    misses : list of dict
        Values off by more than `TOLERANCE`, and all that is needed to find them again.
    faults : list of dict
        What must never be: false convergence, a wrong nll, numbers that are not finite, foreign
        exceptions.
    beaten : int
        Fits that were lower than the search, by more than the distance of minima as good.
    seconds : float
    """

    number: int
    family: str
    statuses: Counter[tuple[str, str]] = field(default_factory=Counter)
    compared: Counter[str] = field(default_factory=Counter)
    misses: list[dict[str, Any]] = field(default_factory=list)
    faults: list[dict[str, Any]] = field(default_factory=list)
    beaten: int = 0
    seconds: float = 0.0


class Notes:
    """Writes the record of a model."""

    def __init__(self, case: Case) -> None:
        self.case = case
        self.record = Record(case.number, case.family)

    def status(self, kind: str, status: str) -> None:
        """How a fit or a test ended."""
        self.record.statuses[kind, status] += 1

    def fault(self, fault: str, kind: str, **details: Any) -> None:
        """What must never be."""
        entry = {"fault": fault, "kind": kind, **self._model(), **details}
        self.record.faults.append(entry)

    def compared(self, kind: str) -> None:
        """One more value compared."""
        self.record.compared[kind] += 1

    def miss(
        self,
        kind: str,
        found: float | None,
        right: Minimum,
        search: Search,
        question: Question,
        **details: Any,
    ) -> None:
        """A fit above the lowest minimum, or a test that amounts to one."""
        poi = search.likelihood.names[search.poi]
        observed = question.dataset == "observed"
        own = question.bounds == search.own_bounds()
        self.record.misses.append(
            {
                "kind": kind,
                "found": found,
                "lowest": right.nll,
                **self._model(),
                "fixed": None if question.value is None else {poi: question.value},
                "bounds": None if own else {poi: question.bounds},
                "data": None if observed else search.data[question.dataset].tolist(),
                "lowest_at": right.point.tolist(),
                "init_of_lowest": right.init.tolist(),
                "parameter_names": list(search.likelihood.names),
                **details,
            }
        )

    def _model(self) -> dict[str, Any]:
        case = self.case
        return {
            "number": case.number,
            "family": case.family,
            "interpolation": list(case.interpolation),
            "workspace": case.workspace,
        }
