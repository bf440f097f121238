"""Labelled events: which sample and which systematic variation each row belongs to."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.utils import _safe_indexing, check_array
from sklearn.utils.validation import _num_samples

from nextstat._base.arrays import Vector
from nextstat._base.messages import suggestion
from nextstat._events._encoding import renumber
from nextstat._events.labels import encode

NOMINAL = "nominal"
SIDES = ("up", "down")
_SIZES = (1e-150, 1e140)  # of weights of which many can be squared and added


@dataclass(frozen=True)
class Events:
    """Events of several samples and variations, row by row.

    Attributes
    ----------
    x : (n_rows,) float32 or float64 ndarray
        Observable.
    weight : (n_rows,) float32 or float64 ndarray, or None
        Event weights; None for ones.
    labels : (n_labels,) ndarray
        Sorted sample labels.
    label : (n_rows,) int32 ndarray
        Index in `labels`.
    systematics : tuple of str
        Names found in the variations, sorted.
    variation : (n_rows,) int32 ndarray, or None
        0 for nominal, 1 + 2 k for `systematics[k]` up, 2 + 2 k for down; None if all are nominal.
    """

    x: npt.NDArray[Any]
    weight: npt.NDArray[Any] | None
    labels: npt.NDArray[Any]
    label: npt.NDArray[np.int32]
    systematics: tuple[str, ...]
    variation: npt.NDArray[np.int32] | None

    @property
    def n_variations(self) -> int:
        """Nominal, and up and down of each systematic."""
        return 1 + 2 * len(self.systematics)

    @property
    def group(self) -> npt.NDArray[np.int32]:
        """Histogram of each row, (n_rows,): label * n_variations + variation."""
        if self.variation is None:
            return self.label
        group: npt.NDArray[np.int32] = self.label * np.int32(self.n_variations)
        group += self.variation
        return group

    @property
    def nominal_rows(self) -> npt.NDArray[np.intp] | None:
        """Indices of the nominal rows; None if all are."""
        return None if self.variation is None else np.flatnonzero(self.variation == 0)

    @property
    def varied(self) -> bool:
        """Whether some rows are not nominal."""
        return self.variation is not None and bool(self.variation.any())

    def nominal(self) -> Events:
        """The nominal rows alone."""
        rows = self.nominal_rows
        if rows is None:
            return self
        weight = None if self.weight is None else self.weight[rows]
        return Events(self.x[rows], weight, self.labels, self.label[rows], (), None)

    def expected(self, factors: Vector) -> Vector:
        """Expected events that each row stands for, (n_rows,).

        Parameters
        ----------
        factors : (n_labels,) ndarray
            Expected events per unit of weight.
        """
        of_row: Vector = factors[self.label]
        return of_row if self.weight is None else of_row * self.weight


def read_events(x: npt.NDArray[Any], y: Any, sample_weight: Any, variation: Any) -> Events:
    """Check and encode what came with the observable.

    Parameters
    ----------
    x : (n_rows,) ndarray
    y : (n_rows,) array_like of labels
    sample_weight : (n_rows,) array_like, or None
    variation : (n_rows,) array_like of str, or None
        "nominal", "<systematic>_up" or "<systematic>_down".

    Raises
    ------
    ValueError
        If a length differs, something is missing or infinite, or a variation is called otherwise.
    """
    labels, label = read_labels(y, len(x))
    systematics, code = read_variations(variation, len(x))
    return Events(x, read_weights(sample_weight, len(x)), labels, label, systematics, code)


def read_labels(y: Any, n_rows: int) -> tuple[npt.NDArray[Any], npt.NDArray[np.int32]]:
    """Sorted labels, and the index of each row's: booleans, numbers or strings, none missing."""
    labels, label = encode(y, "y")
    if labels.dtype.kind == "c":
        raise ValueError("Complex data not supported: y holds complex numbers")
    _check_length("y", len(label), n_rows)
    return labels, label


def read_weights(sample_weight: Any, n_rows: int) -> npt.NDArray[Any] | None:
    """Event weights, of the right length and not all zero, whose squares are finite, too.

    None for ones.
    """
    if sample_weight is None:
        return None
    weight: npt.NDArray[Any] = check_array(
        sample_weight,
        ensure_2d=False,
        ensure_min_samples=0,
        dtype=[np.float64, np.float32],
        input_name="sample_weight",
    )
    if weight.shape != (n_rows,):
        raise ValueError(f"sample_weight has shape {weight.shape}, expected ({n_rows},)")
    if not weight.any():
        raise ValueError("sample_weight is zero for all rows, expected at least one that is not")
    largest = max(float(weight.max()), -float(weight.min()))
    if not _SIZES[0] <= largest <= _SIZES[1]:
        raise ValueError(
            f"the largest of sample_weight is {largest:g}, which cannot be squared and added: "
            "scale them to about 1, and luminosity against it"
        )
    return weight


def present_rows(sample_weight: Any, n_rows: int) -> npt.NDArray[np.intp] | None:
    """Indices of the rows whose weight is not zero; None if all are, or none is.

    Rows of weight zero are as absent, whatever else they hold. What else is wrong with the weights,
    `read_weights` says.
    """
    weight = None if sample_weight is None else np.asarray(sample_weight)
    if weight is not None and weight.dtype.kind not in "biuf":
        weight = read_weights(weight, n_rows)
    if weight is None or weight.shape != (n_rows,) or weight.all() or not weight.any():
        return None
    return np.flatnonzero(weight)


def drop_absent(sample_weight: Any, *columns: Any) -> tuple[Any, ...]:
    """Weights, and columns of as many rows, without the rows of weight zero.

    Columns may be None. Where lengths differ, nothing is dropped: what reads the columns says which
    is wrong.
    """
    given = (sample_weight, *columns)
    if sample_weight is None:
        return given
    try:
        (n_rows,) = {_num_samples(x) for x in given if x is not None}
    except (TypeError, ValueError):  # lengths differ, or something has none
        return given
    rows = present_rows(sample_weight, n_rows)
    if rows is None:
        return given
    return tuple(None if x is None else _safe_indexing(x, rows) for x in given)


def read_variations(
    variation: Any, n_rows: int
) -> tuple[tuple[str, ...], npt.NDArray[np.int32] | None]:
    """Names of the systematics and the code of each row's variation, as in `Events`."""
    if variation is None:
        return (), None
    names, code = encode(variation, "variation")
    _check_length("variation", len(code), n_rows)
    parsed = [_parse(name) for name in names.tolist()]
    systematics = tuple(sorted({systematic for systematic, _ in parsed if systematic}))
    place = {systematic: k for k, systematic in enumerate(systematics)}
    codes = np.array(
        [1 + 2 * place[systematic] + side if systematic else 0 for systematic, side in parsed],
        dtype=np.int32,
    )
    renumber(code, codes, code)
    return systematics, code


def nominal_rows(variation: Any, n_rows: int) -> npt.NDArray[np.intp] | None:
    """Indices of the nominal rows; None if all are."""
    _, code = read_variations(variation, n_rows)
    return None if code is None else np.flatnonzero(code == 0)


def read_groups(groups: Any, varied: bool, n_rows: int) -> npt.NDArray[np.int32]:
    """Code of the event that each row is of, (n_rows,): by default, each row is an event.

    Parameters
    ----------
    groups : (n_rows,) array_like, or None
    varied : bool
        Whether some rows are not nominal.
    n_rows : int

    Raises
    ------
    ValueError
        If there are variations without groups, or the length differs.
    """
    if groups is None:
        if varied:
            raise ValueError(
                "events with variations need groups: one id per event, which its variations share"
            )
        return np.arange(n_rows, dtype=np.int32)
    _, event = encode(groups, "groups")
    _check_length("groups", len(event), n_rows)
    return event


def check_shared(event: npt.NDArray[np.int32], nominal: npt.NDArray[np.int32]) -> None:
    """Raise ValueError if most variations are of no nominal event: numbers of rows, say.

    Parameters
    ----------
    event : (n_rows,) ndarray
        Of all rows.
    nominal : (n_nominal,) ndarray
        Of the nominal ones.
    """
    n_alone = np.count_nonzero(~np.isin(event, nominal))
    if 2 * n_alone > len(event) - len(nominal):
        raise ValueError(
            "most variations have groups of their own, without a nominal row: groups must hold "
            "one id per event, which its variations share"
        )


def _parse(name: object) -> tuple[str, int]:
    """Systematic ("" for nominal) and side of a variation."""
    if name == NOMINAL:
        return "", 0
    if isinstance(name, str):
        systematic, _, side = name.rpartition("_")
        if systematic and side in SIDES:
            return systematic, SIDES.index(side)
    hint = suggestion(name, [NOMINAL]) if isinstance(name, str) else ""
    raise ValueError(
        f"variation holds {name!r}{hint}, expected {NOMINAL!r}, or the name of a systematic "
        "followed by _up or _down"
    )


def _check_length(name: str, found: int, n_rows: int) -> None:
    if found != n_rows:
        raise ValueError(f"{name} has {found} entries for {n_rows} rows of X")
