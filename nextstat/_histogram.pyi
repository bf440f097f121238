"""Filling weighted histograms from events."""

import numpy as np
import numpy.typing as npt

__test__: dict[str, str]

def fill(
    x: npt.NDArray[np.float32] | npt.NDArray[np.float64],
    weight: npt.NDArray[np.float64],
    edges: npt.NDArray[np.float64],
    uniform: bool,
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]: ...
