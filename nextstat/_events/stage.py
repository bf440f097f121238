"""From labelled events to templates: what is learned from training events, applied to any."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from nextstat._base.arrays import Vector
from nextstat._events.sums import Smoothing, Sums, sum_events
from nextstat._events.table import SIDES, Events
from nextstat._events.templates import Sides, Templates, mirrored
from nextstat.workspace._single_channel import make_workspace


@dataclass(frozen=True)
class EventStage:
    """What turns events into templates.

    Attributes
    ----------
    labels : (n_labels,) ndarray
    is_signal : (n_labels,) ndarray of bool
    yields : (n_labels,) ndarray
        Expected events of each sample, in or out of the bins.
    edges : (n_bins + 1,) ndarray
    keeps : (bool, bool)
        Whether the first, the last bin takes the events beyond it.
    smoothing : Smoothing or None
    norm_systematics : dict of str to dict of int to (float, float)
        Of each, for each sample it changes (by its index): factors down, up.
    staterror : bool
        Whether bins have uncertainties from the number of simulated events.
    split_normalisation : bool
        As for `make_workspace`.
    sides : dict, optional
        The variations that events must have, as in `Templates`; any by default.
    weighted : bool
        Whether events must have weights.
    """

    labels: npt.NDArray[Any]
    is_signal: npt.NDArray[np.bool_]
    yields: Vector
    edges: Vector
    keeps: tuple[bool, bool]
    smoothing: Smoothing | None
    norm_systematics: dict[str, dict[int, tuple[float, float]]]
    staterror: bool
    split_normalisation: bool
    sides: Sides | None = None
    weighted: bool = False

    def templates(self, events: Events) -> Templates:
        """Templates of events, each sample scaled to its yields with all of its variations.

        Raises
        ------
        ValueError
            If labels are unknown or missing, or weights add up to nothing.
        """
        _check_labels(events, self.labels)
        return self._scaled(events, sum_events(events, self.edges, self.smoothing))

    def jackknife(
        self, events: Events, part: npt.NDArray[np.int32], n_parts: int
    ) -> Iterator[Templates]:
        """Templates of all events, then without each part of them, from one pass.

        Parameters
        ----------
        events : Events
        part : (n_rows,) int32 ndarray
            From 0 to n_parts - 1.
        n_parts : int

        Raises
        ------
        ValueError
            As for `templates`; or if all rows of a label and a variation are in one part.
        """
        _check_labels(events, self.labels)
        sums = sum_events(events, self.edges, self.smoothing, part, n_parts)
        yield self._scaled(events, sums.over(slice(None)))
        _check_parts(sums.squares > 0.0, events)
        for k in range(n_parts):
            yield self._scaled(events, sums.over(np.arange(n_parts) != k))

    def _scaled(self, events: Events, sums: Sums) -> Templates:
        """Templates of sums over some of the events."""
        totals = sums.yields.sum(axis=2)
        present = sums.squares > 0.0
        _check_totals(totals, present, events)
        sides = _sides_given(events, present)
        if self.sides is not None:
            _check_sides(sides, self.sides)
        if self.weighted and events.weight is None:
            raise ValueError(
                "the events of fit had weights, these have none: pass sample_weight=. In a search, "
                "call sklearn.set_config(enable_metadata_routing=True)"
            )
        factors = self.yields / totals[:, 0]
        nominal = _inside(sums.yields[:, 0], self.keeps) * factors[:, None]
        variance = _inside(sums.variances[:, 0], self.keeps) * factors[:, None] ** 2
        samples = tuple(map(sample_name, self.labels.tolist()))
        varied: dict[str, dict[int, Vector]] = {}
        for i, systematic in enumerate(events.systematics):
            for k, sample in enumerate(samples):
                if given := sides.get((systematic, sample)):
                    both = sums.yields[k, 1 + 2 * i : 3 + 2 * i]
                    shape = _inside(both, self.keeps) * factors[k]
                    varied.setdefault(systematic, {})[k] = mirrored(nominal[k], shape, given)
        one_event = 0.0
        if self.smoothing is not None:
            squares = (sums.squares[:, 0] * factors**2)[~self.is_signal]
            one_event = float(squares.sum() / self.yields[~self.is_signal].sum())
        return Templates(samples, self.is_signal, nominal, variance, varied, sides, one_event)

    def workspace(self, templates: Templates) -> dict[str, Any]:
        """Workspace with these templates."""
        return make_workspace(
            templates.samples,
            templates.is_signal,
            templates.nominal,
            templates.varied,
            self.norm_systematics,
            variance=templates.variance if self.staterror else None,
            split_normalisation=self.split_normalisation,
        )


def _sides_given(events: Events, present: npt.NDArray[np.bool_]) -> Sides:
    """Which sides of which systematic there are events for, by sample."""
    found: Sides = {}
    for i, systematic in enumerate(events.systematics):
        for k, label in enumerate(events.labels.tolist()):
            both = present[k, 1 + 2 * i : 3 + 2 * i].tolist()
            given = tuple(side for side, some in zip(SIDES, both, strict=True) if some)
            if given:
                found[systematic, sample_name(label)] = given
    return found


def sample_name(label: Any) -> str:
    """What the sample of a label is called; text in bytes, as from HDF5, is text."""
    return label.decode("utf-8", "backslashreplace") if isinstance(label, bytes) else str(label)


def _inside(content: Vector, keeps: tuple[bool, bool]) -> Vector:
    """(..., n_bins) of (..., 1 + n_bins + 1); what lies beyond counts where it is kept."""
    bins: Vector = content[..., 1:-1].copy()
    if keeps[0]:
        bins[..., 0] += content[..., 0]
    if keeps[1]:
        bins[..., -1] += content[..., -1]
    return bins


def nominal_totals(nominal: Events) -> Vector:
    """Sum of the weights of each label, (n_labels,), of nominal events.

    Raises
    ------
    ValueError
        If a label has no events, or weights that do not add up to a positive number.
    """
    weight = (
        np.ones(len(nominal.x))
        if nominal.weight is None
        else nominal.weight.astype(float, copy=False)
    )
    n_labels = len(nominal.labels)
    totals: Vector = np.bincount(nominal.label, weight, n_labels).astype(np.float64)
    squares = np.bincount(nominal.label, weight**2, n_labels)
    _check_totals(totals[:, None], squares[:, None] > 0.0, nominal)
    return totals


def _check_labels(events: Events, labels: npt.NDArray[Any]) -> None:
    found, expected = events.labels.tolist(), labels.tolist()
    strange = [label for label in found if label not in expected]
    if strange:
        raise ValueError(f"y holds {strange[0]!r}, which fit did not see; it saw {expected}")
    missing = [label for label in expected if label not in found]
    if missing:
        weights = "" if events.weight is None else " (or only some of weight 0)"
        raise ValueError(
            f"label {missing[0]!r} has no events in y{weights}, expected some of each label"
        )


def _check_totals(totals: Vector, present: npt.NDArray[np.bool_], events: Events) -> None:
    """Raise ValueError where the weights of a label do not add up to a positive number."""
    if not present.all():
        _check_weights(present, events)
    for k, label in enumerate(events.labels.tolist()):
        if not present[k, 0]:
            raise ValueError(f"label {label!r} has no nominal events, expected some")
        for v in np.flatnonzero(present[k] & ~(totals[k] > 0.0)):
            raise ValueError(
                f"the weights of label {label!r}, {_variation(events, int(v))}, add up to "
                f"{totals[k, v]:g}, expected a positive number"
            )


def _check_parts(present: npt.NDArray[np.bool_], events: Events) -> None:
    """Raise ValueError where a part, (n_parts, n_labels, n_variations), holds all there is."""
    for k, v in np.argwhere(np.count_nonzero(present, axis=0) == 1).tolist():
        raise ValueError(
            f"no rows of label {events.labels.tolist()[k]!r}, {_variation(events, v)}, are left"
        )


def _check_weights(present: npt.NDArray[np.bool_], events: Events) -> None:
    """Raise ValueError where there are events, but their squared weights are zero."""
    rows = np.bincount(events.group, minlength=present.size).reshape(present.shape)
    for k, v in np.argwhere((rows > 0) & ~present).tolist():
        raise ValueError(
            f"the {rows[k, v]} rows of label {events.labels.tolist()[k]!r}, "
            f"{_variation(events, v)}, have weights too small to square; scale them up"
        )


def _variation(events: Events, v: int) -> str:
    return "nominal" if v == 0 else f"{events.systematics[(v - 1) // 2]}_{SIDES[(v - 1) % 2]}"


def _check_sides(found: Sides, expected: Sides) -> None:
    """Raise ValueError unless the variations are those of the training events."""
    for (systematic, sample), sides in expected.items():
        missing = [side for side in sides if side not in found.get((systematic, sample), ())]
        if missing:
            raise ValueError(
                f"no rows of variation '{systematic}_{missing[0]}' for label {sample!r}, which fit "
                "had: pass variation= with the rows of every variation. In a search, call "
                "sklearn.set_config(enable_metadata_routing=True) and split by event (GroupKFold)"
            )
    for (systematic, sample), sides in found.items():
        strange = [side for side in sides if side not in expected.get((systematic, sample), ())]
        if strange:
            raise ValueError(
                f"variation '{systematic}_{strange[0]}' has rows for label {sample!r}, but had "
                "none in fit"
            )
