"""Settings of the estimator that name labels or systematics."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from nextstat._base.arguments import check_positive
from nextstat._base.arrays import Vector
from nextstat._base.warnings import warn
from nextstat._events.label_roles import check_backgrounds
from nextstat.exceptions import WorkspaceWarning


def find_label(signal: Any, labels: npt.NDArray[Any], *, weighted: bool = False) -> Any:
    """The label of the signal: the one asked for, "signal" or, among numbers, the largest.

    All others are backgrounds, as `check_backgrounds` has it.

    Parameters
    ----------
    signal : label, or None
    labels : (n_labels,) ndarray
        Those that occur.
    weighted : bool
        Whether they are those of events with weights.

    Raises
    ------
    ValueError
        If there is no such label, only one label at all, or another that is no background.
    """
    names = labels.tolist()
    if len(names) < 2:
        rest = " (rows of weight 0 do not count)" if weighted else ""
        raise ValueError(
            f"y holds one class only, {names[0]!r}{rest}; expected signal and at least one "
            "background"
        )
    chosen = _default_signal(labels) if signal is None else signal
    if chosen not in names:
        raise ValueError(f"signal is {chosen!r}, expected one of the labels of y, {names}")
    check_backgrounds(names, chosen)
    return chosen


def _default_signal(labels: npt.NDArray[Any]) -> Any:
    """ "signal" or, among numbers, the largest, with a warning if there are more than two."""
    names = labels.tolist()
    for label in ("signal", b"signal"):
        if label in names:
            return label
    if labels.dtype.kind in "biuf":
        if len(names) > 2:
            warn(
                f"the signal is taken to be {names[-1]!r}, the largest of the labels {names}; "
                "pass signal= to choose",
                WorkspaceWarning,
            )
        return names[-1]
    raise ValueError(f"which of the labels {names} is the signal? pass signal=")


def find_yields(yields: Mapping[Any, float], labels: npt.NDArray[Any]) -> Vector:
    """Expected events of each label, (n_labels,).

    Raises
    ------
    ValueError
        If they are not positive, or of other labels.
    """
    if not isinstance(yields, Mapping):
        raise TypeError(f"yields is {yields!r}, expected a mapping of labels to expected events")
    names = labels.tolist()
    for label in names:
        if label not in yields:
            raise ValueError(f"yields has no entry for label {label!r}, only {list(yields)}")
    for label, events in yields.items():
        if label not in names:
            raise ValueError(f"yields names label {label!r}, which has no events in y: {names}")
        check_positive(events, f"yields[{label!r}]")
    return np.array([float(yields[label]) for label in names])
