"""Starting values at which data are possible, where those given are none: no events expected."""

from __future__ import annotations

import numpy as np

import nextstat._core as _core
from nextstat._base.arrays import Vector
from nextstat._fits.settings import Problem
from nextstat._model.histfactory import HistFactoryModel

_MOST_STEPS = 200
_SHARE = 0.1  # of the events, that a bin without expectation is to get
_LONGEST = 1.0  # step, in widths of the constraints


def possible_start(model: HistFactoryModel, data: _core.Data, problem: Problem) -> Vector | None:
    """Parameters within the bounds at which every bin with events expects some, (P,); or None.

    The bin that lacks most gets what it lacks along the derivative of its expectation, in units of
    the widths of the constraints; then the next (Kaczmarz's method, 1937, for inequalities). No
    proof that there are none, unless nothing changes the bin.
    """
    core, wanted = model._core, data.n > 0.0
    width = np.where(problem.fixed, 0.0, np.nan_to_num(model.parameters.width, nan=1.0))
    params: Vector = problem.init.copy()
    for _ in range(_MOST_STEPS):
        lack = np.where(wanted, -model.expected_data(params, include_auxdata=False), -1.0)
        if not (lack >= 0.0).any():
            return params
        bin_ = int(np.argmax(lack / np.where(wanted, data.n, 1.0)))
        slope = _core.yield_sensitivities(core, params, np.eye(1, model.n_bins, bin_)[0])[0]
        room = np.where(slope > 0.0, params < problem.upper, params > problem.lower)
        pull = np.where(room, width * slope, 0.0)
        steepness = float(pull @ pull)
        if not 0.0 < steepness < np.inf:
            return None
        step = width * pull * ((lack[bin_] + _SHARE * data.n[bin_]) / steepness)
        longest = np.abs(np.divide(step, width, out=np.zeros_like(step), where=width > 0.0)).max()
        step *= min(1.0, _LONGEST / longest)
        free = np.clip(params + step, problem.lower, problem.upper)
        params = np.where(problem.fixed, params, free)
    return None
