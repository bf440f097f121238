"""What a caller may change about a fit: starting values, fixed parameters and bounds."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple, TypeAlias, cast

import numpy as np
import numpy.typing as npt

import nextstat._core as _core
from nextstat._base.arguments import check_integer
from nextstat._base.arrays import Vector
from nextstat._model.histfactory import HistFactoryModel

Init: TypeAlias = "npt.ArrayLike | Mapping[str, float]"
Fixed: TypeAlias = "npt.ArrayLike | Mapping[str, float] | Iterable[str] | str"
Bounds: TypeAlias = "npt.ArrayLike | Mapping[str, tuple[float, float]]"


_TOLERANCE = 1e-8  # on the estimated distance to the minimum, in nll
MAX_ITERATIONS = 500  # Newton steps of each descent
_ORDER = (
    ". Here, and unlike in pyhf, the model is the first argument: fit(model, data), "
    "hypotest(model, mu, data=data), upper_limit(model, level, data=data)"
)
_EXACT = 1e-20  # the same, to which fits go on while rounding lets them: tests, Asimov data and
# derivatives are made of minima, and inherit what these miss to first order


class Problem(NamedTuple):
    """Starting values, bounds and flags of a fit, each (P,)."""

    init: Vector
    lower: Vector
    upper: Vector
    fixed: npt.NDArray[np.bool_]
    default: npt.NDArray[np.bool_]  # whose bounds nobody chose
    told: set[str]  # what this call has warned of, in any of its fits: no cause is told twice
    precision: float = _EXACT  # EDM that the last steps, once converged, try to reach
    n_starts: int = 1  # at least so many; more are drawn where other minima are likely
    max_iterations: int = MAX_ITERATIONS
    others: tuple[Vector, ...] = ()  # starting values that count where they lead lower, (P,) each

    def core(self) -> _core.FitProblem:
        """The problem as the core wants it."""
        return _core.FitProblem(
            np.stack([self.init, *self.others]) if self.others else self.init,
            self.lower,
            self.upper,
            self.fixed,
            _TOLERANCE,
            self.max_iterations,
            self.precision,
            self.n_starts,
        )

    def searching(self, n_starts: int) -> Problem:
        """The same problem with at least so many starts; 0: one descent, no look elsewhere."""
        return self._replace(n_starts=n_starts)

    def fix(self, parameter: int, value: float) -> Problem:
        """The same problem with one parameter fixed at a value."""
        init, fixed = self.init.copy(), self.fixed.copy()
        init[parameter], fixed[parameter] = value, True
        return self._replace(init=init, fixed=fixed)

    def start(self, init: Vector, *others: Vector) -> Problem:
        """The same problem from other starting values; fixed parameters stay where they are.

        Fits descend from the first, and from the others where they lead lower.
        """
        return self._replace(init=np.where(self.fixed, self.init, init), others=others)

    def widen(self, parameter: int, lower: float, upper: float) -> Problem:
        """The same problem with the bounds of one parameter moved outwards where needed."""
        low, high = self.lower.copy(), self.upper.copy()
        low[parameter] = min(low[parameter], lower)
        high[parameter] = max(high[parameter], upper)
        return self._replace(lower=low, upper=high)

    def at_least(self, parameter: int, lower: float) -> Problem:
        """The same problem with the lower bound of one parameter raised where needed."""
        if self.upper[parameter] < lower:
            raise ValueError(
                f"the upper bound of the parameter of interest is {self.upper[parameter]:g}, "
                f"expected at least {lower:g}"
            )
        low, init = self.lower.copy(), self.init.copy()
        low[parameter] = max(low[parameter], lower)
        init[parameter] = max(init[parameter], lower)
        return self._replace(init=init, lower=low)


def check_model(model: object, others: tuple[object, ...] = ()) -> HistFactoryModel:
    """The model, if it is one.

    Parameters
    ----------
    others : tuple
        Arguments by position that there should be none of: pyhf's functions take more.

    Raises
    ------
    TypeError
        If not, or there are others.
    """
    if not isinstance(model, HistFactoryModel):
        found = f"{type(model).__name__}{way_to_model(model)}"
        order = "" if hasattr(model, "dataset") else _ORDER
        raise TypeError(f"expected a HistFactoryModel, found a {found}{order}")
    if others:
        raise TypeError(
            f"found {len(others)} more by position than expected, the first a "
            f"{type(others[0]).__name__}: options, and data, are keywords{_ORDER}"
        )
    return model


def way_to_model(source: object) -> str:
    """For messages: how to get a model from what is none."""
    if isinstance(source, str | dict):
        return "; make one with from_pyhf"
    return "; its model is result.model" if hasattr(source, "dataset") else ""


def make_problem(
    model: HistFactoryModel,
    init: Init | None = None,
    fixed: Fixed | None = None,
    bounds: Bounds | None = None,
    n_starts: int = 1,
    max_iterations: int = MAX_ITERATIONS,
) -> Problem:
    """The model's own problem with a caller's changes.

    Parameters
    ----------
    init : (P,) array_like or mapping of name to value, optional
    fixed : mapping of name to value, names, or (P,) bools, optional
        Names are fixed at their starting values, in addition to those the model fixes; bools
        replace the model's flags.
    bounds : (P, 2) array_like or mapping of name to (lower, upper), optional
    n_starts : int
        Starting points of each fit, at least; see `fit`.
    max_iterations : int
        Newton steps of each descent, at most.

    Raises
    ------
    KeyError
        If a name is not a parameter's; the message names the nearest.
    ValueError
        If a shape is wrong, bounds cross, or a value is not finite or outside its bounds.
    """
    table = check_model(model).parameters
    work = check_integer(n_starts, "n_starts"), check_integer(max_iterations, "max_iterations")
    if init is None and fixed is None and bounds is None:  # checked when the model was built
        start, low, high, flags = table.init, table.lower, table.upper, table.fixed
        return Problem(start, low, high, flags, table.default_bounds, set(), _EXACT, *work)
    start = np.array(model.init) if init is None else _vector(model, init, model.init, "init")
    low, high = np.array(table.lower), np.array(table.upper)
    flags = np.array(model.fixed)
    if isinstance(bounds, Mapping):
        for name, pair in bounds.items():
            try:
                low[table.index(name)], high[table.index(name)] = pair
            except (TypeError, ValueError):
                raise ValueError(
                    f"the bounds of {name!r} are {pair!r}, expected (lower, upper)"
                ) from None
    elif bounds is not None:
        pairs = np.asarray(bounds, dtype=np.float64)
        if pairs.shape != (len(table), 2):
            raise ValueError(f"bounds has shape {pairs.shape}, expected {(len(table), 2)}")
        low, high = pairs[:, 0].copy(), pairs[:, 1].copy()
    if isinstance(fixed, Mapping):
        for name, value in fixed.items():
            start[table.index(name)], flags[table.index(name)] = value, True
    elif isinstance(fixed, str):
        flags[table.index(fixed)] = True
    elif fixed is not None and not isinstance(fixed, Iterable):
        raise TypeError(f"fixed is {fixed!r}, expected names, or names and values")
    elif fixed is not None:
        given = list(cast("Iterable[Any]", fixed))
        if all(isinstance(name, str) for name in given):
            flags[[table.index(name) for name in given]] = True
        else:
            flags = _flags(model, given)
    _check(model, start, low, high, flags)
    chosen = np.array([are_chosen(bounds, name) for name in table.names])
    default = table.default_bounds & ~chosen
    return Problem(start, low, high, flags, default, set(), _EXACT, *work)


def are_chosen(bounds: Bounds | None, name: str) -> bool:
    """Whether a caller's bounds are about a parameter."""
    return bounds is not None and (not isinstance(bounds, Mapping) or name in bounds)


def _vector(model: HistFactoryModel, given: Init, default: Vector, what: str) -> Vector:
    if isinstance(given, Mapping):
        values = np.array(default)
        for name, value in given.items():
            values[model.parameters.index(name)] = value
        return values
    values = np.array(given, dtype=np.float64)
    if values.shape != default.shape:
        raise ValueError(f"{what} has shape {values.shape}, expected {default.shape}")
    return values


def _flags(model: HistFactoryModel, given: list[object]) -> npt.NDArray[np.bool_]:
    flags = np.array(given)
    if flags.dtype != np.bool_ or flags.shape != model.fixed.shape:
        raise ValueError(
            f"fixed has shape {flags.shape} and type {flags.dtype}, expected names, a mapping of "
            f"names to values, or {model.fixed.shape} bools"
        )
    return flags


def _check(
    model: HistFactoryModel,
    init: Vector,
    lower: Vector,
    upper: Vector,
    fixed: npt.NDArray[np.bool_],
) -> None:
    names = model.parameter_names
    for i in np.flatnonzero(~np.isfinite(init)):
        raise ValueError(f"the starting value of {names[i]!r} is {init[i]}, expected a number")
    for i in np.flatnonzero(~(lower <= upper)):
        raise ValueError(
            f"the bounds of {names[i]!r} are [{lower[i]:g}, {upper[i]:g}], expected lower <= upper"
        )
    for i in np.flatnonzero(~fixed & ((init < lower) | (init > upper))):
        raise ValueError(
            f"the starting value of {names[i]!r} is {init[i]:g}, outside its bounds "
            f"[{lower[i]:g}, {upper[i]:g}]"
        )
