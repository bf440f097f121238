"""Numbering labels of which few are distinct."""

from typing import Any

import numpy as np
import numpy.typing as npt

__test__: dict[str, str]

def number_bytes(
    items: npt.NDArray[np.uint8],
) -> tuple[npt.NDArray[np.intp] | None, npt.NDArray[np.uint8]]: ...
def number_objects(values: npt.NDArray[np.object_]) -> tuple[list[Any], npt.NDArray[np.int32]]: ...
def renumber(
    codes: npt.NDArray[np.integer],
    numbers: npt.NDArray[np.int32],
    out: npt.NDArray[np.int32],
) -> None: ...
