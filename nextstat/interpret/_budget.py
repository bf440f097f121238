"""The budget of an uncertainty: statistical, by groups of systematics, and total."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Literal

import numpy as np
import numpy.typing as npt

from nextstat._base.arrays import Vector
from nextstat._fits.fit import require_minimum
from nextstat._model.histfactory import HistFactoryModel
from nextstat.interpret._impacts import GlobalFit

Groups = Mapping[str, str | Sequence[str]]
BreakdownMethod = Literal["auxdata", "fix"]

_STEP = 1e-3  # of the error along which yields are differentiated


def groups_of(
    model: HistFactoryModel, nuisances: npt.NDArray[np.intp], groups: Groups | None
) -> dict[str, list[int]]:
    """Constrained nuisance parameters by group; what no group takes is "other".

    By default the groups are the types of modifiers.

    Raises
    ------
    ValueError
        If a group matches nothing, two share a parameter, a name is taken or a pattern is no
        regular expression.
    """
    table = model.parameters
    constrained = [int(p) for p in nuisances if table.constrained[p]]
    members: dict[str, list[int]] = {}
    if groups is None:
        for p in constrained:
            members.setdefault(table.kinds[p], []).append(p)
        return members
    if not isinstance(groups, Mapping):
        raise TypeError(
            f"groups is {groups!r}, expected names and regular expressions, such as "
            "{'jets': 'jet_.*'}"
        )
    taken: dict[int, str] = {}
    for group, patterns in groups.items():
        if group in ("statistical", "other", "total"):
            raise ValueError(f"{group!r} is a name of the budget itself; call the group otherwise")
        members[group] = []
        for pattern in [patterns] if isinstance(patterns, str) else patterns:
            try:
                compiled = re.compile(pattern)
            except re.error as error:
                raise ValueError(
                    f"the pattern {pattern!r} of group {group!r} is no regular expression: {error}"
                ) from None
            for p in constrained:
                if not compiled.fullmatch(table.names[p]) or taken.get(p) == group:
                    continue
                if p in taken:
                    raise ValueError(
                        f"{table.names[p]!r} is in two groups, {taken[p]!r} and {group!r}"
                    )
                taken[p] = group
                members[group].append(p)
        if not members[group]:
            raise ValueError(
                f"group {group!r} with {patterns!r} matches no constrained parameter; patterns "
                "are regular expressions for whole names, such as 'jet_.*'"
            )
    rest = [p for p in constrained if p not in taken]
    return {**members, "other": rest} if rest else members


def auxdata_budget(fit: GlobalFit, members: dict[str, list[int]]) -> dict[str, float]:
    """Linear shifts of the parameter of interest with all measurements, added in quadrature.

    With C the covariance, a shift of the auxiliary measurement of t by its standard deviation
    moves mu by C[mu, t] / s (Gaussian) or C[mu, t] sqrt(tau / t) (Poisson); that of the events of
    bin b by sqrt(nu_b), by the derivative of nu_b along C[mu, :] over sqrt(nu_b).
    """
    row = fit.minimum.covariance_with(fit.poi)
    table = fit.model.parameters
    with np.errstate(invalid="ignore", divide="ignore"):
        gaussian, poisson = row / table.width, row * np.sqrt(table.tau / fit.values)
        shift = np.nan_to_num(np.where(np.isnan(table.tau), gaussian, poisson))
    budget = {
        group: float(np.sqrt(np.sum(shift[parameters] ** 2)))
        for group, parameters in members.items()
    }
    bins = _statistical_shifts(fit, row)
    return {"statistical": float(np.sqrt(np.sum(bins**2))), **budget}


def _statistical_shifts(fit: GlobalFit, row: Vector) -> Vector:
    """Shift of the parameter of interest with the events of each bin, (n_bins,)."""
    expected = fit.model.expected_data(fit.values, include_auxdata=False)
    unit = row / np.sqrt(row[fit.poi])  # one error along the response to the parameter of interest

    def yields(steps: float) -> Vector:
        moved = fit.values + steps * _STEP * unit
        return fit.model.expected_data(moved, include_auxdata=False)

    # central differences of fourth order
    slope = (8.0 * (yields(1) - yields(-1)) - (yields(2) - yields(-2))) / (12.0 * _STEP)
    possible = expected > 0.0
    root = np.sqrt(np.where(possible, expected, 1.0))
    return np.where(possible, slope * np.sqrt(row[fit.poi]) / root, 0.0)


def fix_budget(fit: GlobalFit, members: dict[str, list[int]]) -> dict[str, float]:
    """What the error loses, in quadrature, when a group is fixed at its fitted values.

    Statistical is what remains with all groups fixed. Groups that are correlated do not add up.
    """
    total = float(fit.errors[fit.poi])

    def error_without(parameters: list[int]) -> float:
        init, fixed = fit.values.copy(), fit.problem.fixed.copy()
        fixed[parameters] = True
        problem = fit.problem._replace(init=init, fixed=fixed)
        minimum = require_minimum(fit.model, fit.data, problem, "the fit with a group fixed")
        return float(minimum.errors()[fit.poi])

    budget = {
        group: float(np.sqrt(max(total**2 - error_without(parameters) ** 2, 0.0)))
        for group, parameters in members.items()
    }
    everything = [p for parameters in members.values() for p in parameters]
    return {"statistical": error_without(everything), **budget}
