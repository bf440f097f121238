"""Bounds that nobody chose, where they stop a fit: said once in every call."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from nextstat._base.arrays import Vector
from nextstat._base.warnings import warn
from nextstat._fits.settings import Problem
from nextstat._model.histfactory import HistFactoryModel
from nextstat.exceptions import BoundWarning

_LISTED = 5  # parameters that a message names


def warn_of_bounds(
    model: HistFactoryModel,
    problem: Problem,
    fits: Iterable[Vector],
    conditional: Iterable[Vector] = (),
    *,
    but: int | None = None,
) -> None:
    """Warn of parameters that default bounds stop in any of some fits, and say what to do.

    The upper ends are a habit of the format, and so are negative lower ones. A lower end of 0, or
    just above, is where yields or constraints end.

    Parameters
    ----------
    fits : iterable of (P,) ndarray
        Their parameters.
    conditional : iterable of (P,) ndarray
        Those of fits at a tested value. Parameters with a constraint are not looked at there: five
        widths away, they say that the data exclude the value, and not what the data are.
    but : int, optional
        A parameter that is looked after elsewhere: that of interest.
    """
    default = problem.default & ~problem.fixed
    if but is not None:
        default[but] = False
    above, below = np.zeros((2, len(default)), dtype=bool)
    unconstrained = default & ~model.parameters.constrained
    for group, which in ((fits, default), (conditional, unconstrained)):
        for values in group:
            above |= which & (values >= problem.upper)
            below |= which & (values <= problem.lower) & (problem.lower < 0.0)
    found = np.flatnonzero(above | below)
    if not len(found):
        return
    names = [model.parameter_names[i] for i in found[:_LISTED]]
    ends = [float((problem.upper if above[i] else problem.lower)[i]) for i in found[:_LISTED]]
    stops = ", ".join(f"{name!r} at {end:g}" for name, end in zip(names, ends, strict=True))
    more = f" and {len(found) - _LISTED} more" if len(found) > _LISTED else ""
    infinity = "float('inf')"
    wider = ", ".join(
        f"{model.parameter_names[i]!r}: "
        f"({f'-{infinity}' if below[i] else f'{problem.lower[i]:g}'}, "
        f"{infinity if above[i] else f'{problem.upper[i]:g}'})"
        for i in found[:_LISTED]
    )
    warn(
        f"bounds that nobody chose stop {stops}{more}; the result depends on them. Choose some: "
        f"bounds={{{wider}}} frees {'them' if len(found) > 1 else 'it'}",
        BoundWarning,
    )
