"""Filling weighted histograms from events."""

from typing import final

import numpy as np
import numpy.typing as npt

__test__: dict[str, str]

_Floats = npt.NDArray[np.float32] | npt.NDArray[np.float64]

@final
class Bins:
    """Slots between thresholds, and the grid that finds the slot of an observable."""

    def __init__(self, thresholds: npt.NDArray[np.float64]) -> None: ...
    @property
    def n_slots(self) -> int: ...

def fill(
    x: _Floats,
    weight: _Floats,
    group: npt.NDArray[np.int32],
    bins: Bins,
    n_groups: int,
    n_threads: int,
) -> tuple[npt.NDArray[np.float64], bool]: ...
