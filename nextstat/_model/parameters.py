"""The parameters of a model: pyhf's order, names and defaults, and a measurement's settings."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from nextstat._base.arrays import Vector
from nextstat._base.messages import unknown

if TYPE_CHECKING:
    import pandas as pd

Constraint = Literal["none", "gaussian", "poisson"]


@dataclass
class ParameterSet:
    """Parameters that one modifier name stands for: one, or one per bin.

    Attributes
    ----------
    kind : str
        Modifier types that use the name, joined by "+".
    inits, auxdata, scale : list of float
        Starting values, auxiliary measurements, and Gaussian widths or Poisson tau.
    uncertainty : list of float
        Absolute uncertainties that the scale was made from, for staterror and shapesys.
    bounds : list of (float, float)
    fixed : list of bool
    default_bounds : bool
        Whether the bounds are those of the format, which nobody chose.
    """

    name: str
    kind: str
    scalar: bool
    constraint: Constraint
    inits: list[float]
    bounds: list[tuple[float, float]]
    fixed: list[bool]
    auxdata: list[float] = field(default_factory=list)
    scale: list[float] = field(default_factory=list)
    uncertainty: list[float] = field(default_factory=list)
    default_bounds: bool = True

    def __len__(self) -> int:
        return len(self.inits)

    def names(self) -> list[str]:
        """Parameter names as pyhf spells them: `name`, or `name[0]`, `name[1]`, ..."""
        return [self.name] if self.scalar else [f"{self.name}[{i}]" for i in range(len(self))]


class Parameter(NamedTuple):
    """One row of a `ParameterTable`."""

    name: str
    kind: str
    init: float
    lower: float
    upper: float
    fixed: bool
    constraint: Constraint
    centre: float
    width: float


class ParameterTable:
    """Parameters of a model, one row each, in the order of every parameter array.

    Attributes
    ----------
    names, kinds, constraints : tuple of str, (P,)
        Constraints are "none", "gaussian" or "poisson".
    slices : dict of str to slice
        Where the parameters of each modifier name are.
    constrained, poisson : (P,) bool ndarray
        Which have a constraint, and one of a Poisson rate.
    init : (P,) ndarray
    bounds : (P, 2) ndarray
    lower, upper : (P,) ndarray
        The columns of `bounds`.
    default_bounds : (P,) bool ndarray
        Whose bounds are those of the format, which no measurement chose.
    fixed : (P,) bool ndarray
    centre, width : (P,) ndarray
        Auxiliary measurement and standard deviation of the constraint on the scale of the
        parameter; NaN for unconstrained parameters. A Poisson constraint of rate tau is centred
        at auxdata / tau and has the width 1 / sqrt(tau).
    tau : (P,) ndarray
        Rate of a Poisson constraint, NaN for the others.
    auxdata : (n_aux,) ndarray
        Auxiliary measurements of the constrained parameters.
    """

    def __init__(self, sets: list[ParameterSet]) -> None:
        self.names = tuple(name for s in sets for name in s.names())
        self.kinds = tuple(s.kind for s in sets for _ in range(len(s)))
        self.constraints = tuple(s.constraint for s in sets for _ in range(len(s)))
        last = np.cumsum([len(s) for s in sets]).tolist()
        self.slices = {s.name: slice(n - len(s), n) for s, n in zip(sets, last, strict=True)}
        self.constrained: npt.NDArray[np.bool_] = _frozen(
            [c != "none" for c in self.constraints], np.bool_
        )
        self.poisson: npt.NDArray[np.bool_] = _frozen(
            [c == "poisson" for c in self.constraints], np.bool_
        )
        self.init: Vector = _frozen([x for s in sets for x in s.inits])
        self.bounds: Vector = _frozen([b for s in sets for b in s.bounds]).reshape(-1, 2)
        self.default_bounds: npt.NDArray[np.bool_] = _frozen(
            [s.default_bounds for s in sets for _ in range(len(s))], np.bool_
        )
        self.lower: Vector = _frozen(self.bounds[:, 0])
        self.upper: Vector = _frozen(self.bounds[:, 1])
        self.fixed: npt.NDArray[np.bool_] = _frozen([f for s in sets for f in s.fixed], np.bool_)
        self.auxdata: Vector = _frozen([a for s in sets for a in s.auxdata])
        self._set_scale(np.array([x for s in sets for x in (s.scale or [0.0] * len(s))]))
        self._index = {name: i for i, name in enumerate(self.names)}

    @property
    def nominal(self) -> Vector:
        """Parameters of the pre-fit model, (P,): the centres of the constraints.

        Without a constraint, or fixed, a parameter is at its starting value.
        """
        return np.where(self.constrained & ~self.fixed, self.centre, self.init)

    def _set_scale(self, scale: Vector) -> None:
        aux = np.full(len(scale), np.nan)
        aux[self.constrained] = self.auxdata
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            self.tau: Vector = _frozen(np.where(self.poisson, scale, np.nan))
            self.centre: Vector = _frozen(np.where(self.poisson, aux / scale, aux))
            width = np.where(self.poisson, 1.0 / np.sqrt(scale), scale)
        self.width: Vector = _frozen(np.where(self.constrained, width, np.nan))

    def rescaled(
        self, scale: Vector, auxdata: Vector, fixed: npt.NDArray[np.bool_]
    ) -> ParameterTable:
        """The same parameters with other constraints.

        Parameters
        ----------
        scale : (P,) ndarray
            Gaussian widths and Poisson rates; anything for unconstrained parameters.
        auxdata : (n_aux,) ndarray
        fixed : (P,) bool ndarray
        """
        table: ParameterTable = object.__new__(ParameterTable)
        state = {name: value for name, value in self.__dict__.items() if name != "_index"}
        table.__dict__.update(state, auxdata=_frozen(auxdata), fixed=_frozen(fixed, np.bool_))
        table._set_scale(scale)
        table._index = self._index
        return table

    def __setattr__(self, name: str, value: object) -> None:
        if "_index" in self.__dict__:
            raise AttributeError(f"ParameterTable is immutable; cannot set {name!r}")
        super().__setattr__(name, value)

    def __delattr__(self, name: str) -> None:
        raise AttributeError(f"ParameterTable is immutable; cannot delete {name!r}")

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        for value in state.values():
            if isinstance(value, np.ndarray):
                value.flags.writeable = False  # which pickles forget

    def __len__(self) -> int:
        return len(self.names)

    def __iter__(self) -> Iterator[Parameter]:
        return (self[i] for i in range(len(self)))

    def __getitem__(self, key: int | str) -> Parameter:
        i = self.index(key) if isinstance(key, str) else range(len(self))[key]
        return Parameter(
            self.names[i],
            self.kinds[i],
            float(self.init[i]),
            float(self.bounds[i, 0]),
            float(self.bounds[i, 1]),
            bool(self.fixed[i]),
            self.constraints[i],
            float(self.centre[i]),
            float(self.width[i]),
        )

    def __repr__(self) -> str:
        free = int(np.count_nonzero(~self.fixed))
        return f"ParameterTable({len(self)} parameters, {free} free)"

    def index(self, name: str) -> int:
        """Position of the parameter called `name`.

        Raises
        ------
        KeyError
            If there is none; the message names the nearest.
        """
        try:
            return self._index[name]
        except (KeyError, TypeError):
            raise KeyError(unknown("parameter", str(name), self.names)) from None

    def to_dataframe(self) -> pd.DataFrame:
        """One row per parameter, indexed by name."""
        import pandas as pd

        frame: pd.DataFrame = pd.DataFrame(list(self), columns=Parameter._fields).set_index("name")
        return frame


def _frozen(values: object, dtype: npt.DTypeLike = np.float64) -> npt.NDArray[Any]:
    array = np.array(values, dtype=dtype)
    array.flags.writeable = False
    return array
