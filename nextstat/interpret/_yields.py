"""Expected yields with uncertainties: per sample, channel and bin, before and after a fit."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from nextstat._base.arrays import Vector
from nextstat._base.read_only import ReadOnly
from nextstat._base.spelling import set_apart
from nextstat._base.text import printable_list
from nextstat._base.warnings import warn
from nextstat._fits.result import FitResult, check_converged, check_result
from nextstat._fits.settings import check_model
from nextstat._model.histfactory import HistFactoryModel
from nextstat.exceptions import BoundWarning

if TYPE_CHECKING:
    import pandas as pd

OWN_ROWS = ("total", "data")  # of tables of samples


@dataclass(frozen=True, eq=False)
class Yields(ReadOnly):
    """Expected and observed events.

    Attributes
    ----------
    model : HistFactoryModel
    samples : (n_samples, n_bins) ndarray
        Expected events of each sample; 0 in channels it is not part of.
    sample_errors : (n_samples, n_bins) ndarray
    total, total_error : (n_bins,) ndarray
    channel_samples, channel_sample_errors : (n_samples, n_channels) ndarray
    channel_total, channel_total_error : (n_channels,) ndarray
    data : (n_bins,) ndarray
        Observed events.
    fitted : bool
        Whether these are the yields of a fit.
    """

    model: HistFactoryModel
    samples: Vector
    sample_errors: Vector
    total: Vector
    total_error: Vector
    channel_samples: Vector
    channel_sample_errors: Vector
    channel_total: Vector
    channel_total_error: Vector
    data: Vector
    fitted: bool

    def to_dataframe(self, *, per_bin: bool = False) -> pd.DataFrame:
        """One row per channel (and bin) and sample, with rows "total" and "data".

        A sample that is called like one of these is "sample/total" or "sample/data".
        Columns: channel, bin (if `per_bin`), sample, expected, error. The error of data is their
        square root.
        """
        import pandas as pd

        rows = [
            row
            for c, (channel, bins) in enumerate(self.model.channel_slices.items())
            for row in (self._bins(channel, bins) if per_bin else self._channel(channel, c, bins))
        ]
        where = ["channel", "bin"] if per_bin else ["channel"]
        frame: pd.DataFrame = pd.DataFrame(rows, columns=[*where, "sample", "expected", "error"])
        return frame

    def _members(self, channel: str) -> list[tuple[int, str]]:
        """Samples of a channel: their numbers, and names that are neither "total" nor "data"."""
        samples = self.model.samples
        members = set(self.model.channel_samples[channel])
        names = set_apart(samples, OWN_ROWS, "sample/")
        return [(s, names[s]) for s, sample in enumerate(samples) if sample in members]

    def _channel(self, channel: str, c: int, bins: slice) -> list[tuple[object, ...]]:
        members = self._members(channel)
        rows: list[tuple[object, ...]] = [
            (channel, name, self.channel_samples[s, c], self.channel_sample_errors[s, c])
            for s, name in members
        ]
        observed = self.data[bins].sum()
        rows.append((channel, "total", self.channel_total[c], self.channel_total_error[c]))
        rows.append((channel, "data", observed, np.sqrt(observed)))
        return rows

    def _bins(self, channel: str, bins: slice) -> list[tuple[object, ...]]:
        members = self._members(channel)
        rows: list[tuple[object, ...]] = []
        for k, b in enumerate(range(bins.start, bins.stop)):
            rows += [
                (channel, k, name, self.samples[s, b], self.sample_errors[s, b])
                for s, name in members
            ]
            rows.append((channel, k, "total", self.total[b], self.total_error[b]))
            rows.append((channel, k, "data", self.data[b], np.sqrt(self.data[b])))
        return rows


def yields(model: HistFactoryModel, result: FitResult | None = None) -> Yields:
    """Expected yields of a model, before or after a fit.

    Parameters
    ----------
    model : HistFactoryModel
    result : FitResult, optional
        The fit; without, the parameters have their starting values and the uncertainties of their
        constraints (none where unconstrained), uncorrelated.

    Returns
    -------
    Yields

    Raises
    ------
    FitError
        If the fit did not converge.
    ValueError
        If the fit is of another model.

    Notes
    -----
    Errors are propagated as cabinetry and TRExFitter do: the change d_i of a yield is half the
    difference between parameter i up and down by its error, and the variance is
    sum_ij rho_ij d_i d_j with the correlations rho of the fit.
    """
    check_model(model)
    if result is None:
        values = model.parameters.nominal
        errors = np.where(
            model.fixed | np.isnan(model.parameters.width), 0.0, model.parameters.width
        )
        correlation = None
        data = model.data
    else:
        if check_result(result).parameter_names != model.parameter_names:
            raise ValueError("the fit is of another model: its parameters differ")
        check_converged(result)
        values = result.values
        errors = np.nan_to_num(result.errors)
        if result.active_bounds:
            warn(
                "parameters at a bound have no error and add none to the yields: "
                + printable_list(result.active_bounds),
                BoundWarning,
            )
        correlation = np.nan_to_num(result.correlation)
        data = result.dataset[: model.n_bins]
    starts = [bins.start for bins in model.channel_slices.values()]
    nominal = model.expected_by_sample(values)
    free = np.flatnonzero(errors > 0.0)
    changes = np.empty((len(free), *nominal.shape))
    for k, i in enumerate(free):
        shift = np.zeros_like(values)
        shift[i] = errors[i]
        up, down = (model.expected_by_sample(values + side * shift) for side in (1.0, -1.0))
        changes[k] = 0.5 * (up - down)
    if correlation is not None:
        correlation = correlation[np.ix_(free, free)]

    def deviation(change: Vector) -> Vector:
        """sqrt(sum_ij rho_ij d_i d_j) of changes (parameters, ...)."""
        flat = change.reshape(len(free), int(np.prod(change.shape[1:])))
        partner = flat if correlation is None else correlation @ flat
        variance = np.einsum("ij,ij->j", flat, partner)
        root: Vector = np.sqrt(np.maximum(variance, 0.0)).reshape(change.shape[1:])
        return root

    by_channel = np.add.reduceat(changes, starts, axis=2)
    channel_nominal = np.add.reduceat(nominal, starts, axis=1)
    return Yields(
        model=model,
        samples=nominal,
        sample_errors=deviation(changes),
        total=nominal.sum(axis=0),
        total_error=deviation(changes.sum(axis=1)),
        channel_samples=channel_nominal,
        channel_sample_errors=deviation(by_channel),
        channel_total=channel_nominal.sum(axis=0),
        channel_total_error=deviation(by_channel.sum(axis=1)),
        data=data,
        fitted=result is not None,
    )
