"""Whether all peers obtained the same: notes on those that did not."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from harness.jobs import Result

Results = Mapping[str, Mapping[str, Result]]
"""Peer -> task -> result."""

RELATIVE = {"nll": 1e-9, "gradient": 1e-6, "hessian": 1e-6, "limit": 1e-3, "ranking": 0.02}
ABSOLUTE = {"fit": 1e-5, "hypotest": 1e-4}
WHAT = {
    "nll": "nll",
    "gradient": "norm of the gradient",
    "hessian": "norm of the Hessian",
    "fit": "nll at the minimum",
    "hypotest": "CLs",
    "limit": "observed limit",
    "ranking": "largest impact",
}
TRUTH = {"fit": "nll", "hypotest": "cls"}  # keys of truth.json


def value(results: Results, peer: str, task: str) -> float | None:
    """What a peer obtained, or None."""
    return results.get(peer, {}).get(task, {}).get("value")


def reference(results: Results, task: str, truth: Mapping[str, Any]) -> float | None:
    """The value to compare with.

    A fit is compared with the lowest nll anyone knows; everything else with the reference file
    where it has the quantity, with our own value otherwise.
    """
    known = truth.get(TRUTH.get(task, ""))
    obtained = [v for peer in results if (v := value(results, peer, task)) is not None]
    if task == "fit":
        candidates = obtained if known is None else [*obtained, known]
        return min(candidates, default=None)
    if known is not None:
        return float(known)
    return value(results, "ours", task)


def disagreements(results: Results, truth: Mapping[str, Any]) -> dict[tuple[str, str], str]:
    """Notes by (peer, task): who obtained something else, or says that it did not converge."""
    notes: dict[tuple[str, str], str] = {}
    for task, what in WHAT.items():
        expected = reference(results, task, truth)
        for peer in results:
            obtained = value(results, peer, task)
            if obtained is None or expected is None:
                continue
            difference = obtained - expected
            tolerance = ABSOLUTE.get(task, RELATIVE.get(task, 0.0) * abs(expected))
            if abs(difference) > tolerance:
                notes[peer, task] = f"{what} {obtained:.8g}, {difference:+.2g} from {expected:.8g}"
            elif results[peer][task].get("converged") is False:
                notes[peer, task] = f"{task} reports that it did not converge"
    return notes
