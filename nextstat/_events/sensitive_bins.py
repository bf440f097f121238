"""The search for the bins that make an analysis most sensitive."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from nextstat._base.arrays import Vector
from nextstat._events.edges import sensitive_mergers
from nextstat._events.templates import Templates
from nextstat.exceptions import FitError

Starts: TypeAlias = npt.NDArray[np.intp]  # where among the fine bins each bin starts

_STEPS = (16, 8, 4, 2, 1)  # by which edges are moved, in fine bins


class SensitiveBins:
    """Groups of fine bins, judged by the model that they make.

    Parameters
    ----------
    fine : Templates
        In fine bins.
    edges : (n_fine + 1,) ndarray
    n_bins : int
        The most there may be.
    min_background, max_mc_error : float
        Conditions on every bin, as for `HistFactoryEstimator`.
    value : callable
        Metric of templates; higher is better.
    """

    def __init__(
        self,
        fine: Templates,
        edges: Vector,
        n_bins: int,
        *,
        min_background: float,
        max_mc_error: float,
        value: Callable[[Templates], float],
    ) -> None:
        self.fine = fine
        self.edges = edges
        self.n_bins = n_bins
        self.min_background = min_background
        self.max_mc_error = max_mc_error
        self.value = value

    def search(self) -> Starts:
        """The best bins found.

        Those with the largest sum of squared Asimov significances, for each number of bins;
        equally wide and equally filled ones; and the best of all these with its edges moved, one
        at a time, by ever smaller steps as long as the metric improves.

        Raises
        ------
        ValueError
            If not even a single bin satisfies the conditions.
        FitError
            If no binning could be fitted.
        """
        candidates = [*self._mergers(), *self._common()]
        values = [self._judge(first) for first in candidates]
        best = int(np.argmax(values))
        if values[best] == -np.inf:
            self.value(self.fine.rebinned(candidates[0]))  # raises what is wrong
            return candidates[0]
        first, value = candidates[best], values[best]
        for step in _STEPS:
            for k in range(1, len(first)):
                for shift in (-step, step):
                    moved = first.copy()
                    moved[k] += shift
                    if (found := self._judge(moved)) > value:
                        first, value = moved, found
        return first

    def _mergers(self) -> Iterator[Starts]:
        return sensitive_mergers(
            self.fine.signal,
            self.fine.background,
            self.fine.background_variance,
            self.n_bins,
            min_background=self.min_background,
            max_mc_error=self.max_mc_error,
        )

    def _common(self) -> Iterator[Starts]:
        """Equally wide bins and equally filled ones, as far as the fine bins permit."""
        total = np.cumsum(self.fine.nominal.sum(axis=0))
        for n in {self.n_bins, max(2, self.n_bins // 2)}:
            shares = np.arange(n) / n
            wide = np.searchsorted(self.edges, self.edges[0] + shares * np.ptp(self.edges))
            full = np.searchsorted(total, shares * total[-1])
            for first in (wide, full):
                yield np.unique(np.clip(first, 0, len(total) - 1))

    def _judge(self, first: Starts) -> float:
        """The metric; -inf for bins that are impossible, break a condition or cannot be fitted."""
        if first[0] != 0 or first[-1] >= len(self.edges) - 1 or (np.diff(first) <= 0).any():
            return -np.inf
        templates = self.fine.rebinned(first)
        background = templates.background
        error = np.sqrt(templates.background_variance)
        if (
            templates.unsupported().any()
            or (background < self.min_background).any()
            or (error > self.max_mc_error * background).any()
        ):
            return -np.inf
        try:
            return self.value(templates)
        except FitError:
            return -np.inf
