"""Smoothed histograms, and the derivatives of what is computed from them."""

from typing import TypeVar

import numpy as np
import numpy.typing as npt

__test__: dict[str, str]

_Floats = npt.NDArray[np.float32] | npt.NDArray[np.float64]
_Vector = npt.NDArray[np.float64]
_Codes = npt.NDArray[np.int32]
_X = TypeVar("_X", bound=_Floats)
_W = TypeVar("_W", bound=_Floats)

def smooth(
    x: _Floats,
    weight: _Floats,
    bandwidth: _Vector,
    group: _Codes,
    thresholds: _Vector,
    terms: _Vector,
    width: float,
    n_groups: int,
    n_threads: int,
) -> tuple[_Vector, bool]: ...
def smooth_gradients(
    x: _X,
    weight: _W,
    bandwidth: _Vector,
    group: _Codes,
    thresholds: _Vector,
    terms: _Vector,
    width: float,
    by_sums: _Vector,
    n_threads: int,
) -> tuple[_X, _W, _Vector, _Vector, bool]: ...
def soft_assign(
    logits: _Floats,
    weight: _Floats,
    group: _Codes,
    temperature: float,
    n_groups: int,
    n_threads: int,
) -> tuple[_Vector, bool]: ...
def soft_assign_gradients(
    logits: _X,
    weight: _W,
    group: _Codes,
    temperature: float,
    by_sums: _Vector,
    n_threads: int,
) -> tuple[_X, _W, float, bool]: ...
