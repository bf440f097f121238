"""Bounds of the parameter of interest that nobody chose: moved outwards where they stop a fit.

The default bounds of a factor, [0, 10], are a habit of the format and no property of the model. A
lower bound of 0 is one: yields are not negative.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

import nextstat._core as _core
from nextstat._base.arrays import Vector
from nextstat._base.warnings import warn
from nextstat._fits.fit import require_lowest
from nextstat._fits.settings import Bounds, Problem, are_chosen
from nextstat._model.histfactory import HistFactoryModel
from nextstat.exceptions import BoundWarning

_WIDER = 10.0
_WIDEST = 1e12  # times the bound that was given


def free_poi(model: HistFactoryModel, problem: Problem, bounds: Bounds | None) -> int | None:
    """Position of the parameter of interest, if it is free and nobody chose its bounds."""
    if model.poi is None or are_chosen(bounds, model.poi):
        return None
    index = model.parameters.index(model.poi)
    return None if problem.fixed[index] else index


def stopped(values: Vector, problem: Problem, poi: int) -> npt.NDArray[np.bool_]:
    """Which values of the parameter of interest are at its upper, or at a negative lower bound."""
    low, high = problem.lower[poi], problem.upper[poi]
    found: npt.NDArray[np.bool_] = (values >= high) | ((values <= low) & (low < 0.0))
    return found


def widened(problem: Problem, poi: int) -> Problem:
    """The same problem with these bounds ten times as far out."""
    low, high = float(problem.lower[poi]), float(problem.upper[poi])
    return problem.widen(poi, _WIDER * low if low < 0.0 else low, _WIDER * max(high, 1.0))


def is_too_wide(problem: Problem, given: Problem, poi: int) -> bool:
    """Whether the bounds went so far that no fit needs them: nothing holds the parameter."""
    reach = np.abs([problem.lower[poi], problem.upper[poi]]).max()
    return bool(reach > _WIDEST * max(abs(float(given.upper[poi])), 1.0))


def fit_freely(
    model: HistFactoryModel,
    data: _core.Data,
    problem: Problem,
    poi: int,
    fit: Callable[..., _core.Minimum] = require_lowest,
) -> tuple[_core.Minimum, Problem]:
    """The global fit, its parameter of interest stopped by no bound; and the problem it took.

    A `BoundWarning` says where the bounds were moved. The fit is `require_lowest`, or
    `require_minimum` where its errors are needed.

    Raises
    ------
    FitError
        If the fit did not converge.
    """
    given, what = problem, "the global fit"
    minimum = fit(model, data, problem, what)
    while stopped(minimum.values[poi], problem, poi) and not is_too_wide(problem, given, poi):
        problem = widened(problem, poi)
        minimum = fit(model, data, problem.start(minimum.values), what)
    if problem is not given:
        problem = widened(problem, poi)  # room for what refits make of it
        minimum = fit(model, data, problem.start(minimum.values), what)
    if problem is not given:
        name = model.parameter_names[poi]
        warn(
            f"the fit reaches {name}={minimum.values[poi]:.4g}, beyond the bounds "
            f"[{given.lower[poi]:g}, {given.upper[poi]:g}], which were widened for it; choose "
            f"bounds={{{name!r}: {wider_bounds(problem, poi, minimum.values)}}} to be rid of this "
            "warning",
            BoundWarning,
        )
    return minimum, problem


def wider_bounds(problem: Problem, poi: int, values: Vector) -> str:
    """For messages: bounds that do not stop the parameter where the given ones did."""
    low, high = float(problem.lower[poi]), float(problem.upper[poi])
    reach = max(abs(low), abs(high), abs(float(values[poi])), 1.0)
    if values[poi] <= low:
        low = -_WIDER * reach if low <= -reach else -reach
    if values[poi] >= 0.5 * high:
        high = _WIDER * reach
    return f"({low:g}, {high:g})"
