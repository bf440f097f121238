"""Pseudo-experiments (toys), and fits of many datasets at once."""

from __future__ import annotations

import math
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

import nextstat._core as _core
from nextstat._base.arguments import check_integer
from nextstat._base.arrays import Vector
from nextstat._base.messages import unknown
from nextstat._base.read_only import ReadOnly
from nextstat._base.spelling import set_apart
from nextstat._base.warnings import warn
from nextstat._execution.chunks import done_before, in_chunks
from nextstat._fits.default_bounds import warn_of_bounds
from nextstat._fits.fit import STATUS, minimise, require_lowest
from nextstat._fits.free_bounds import fit_freely, free_poi, is_too_wide, stopped, widened
from nextstat._fits.settings import (
    MAX_ITERATIONS,
    Bounds,
    Fixed,
    Init,
    Problem,
    check_model,
    make_problem,
)
from nextstat._model.histfactory import HistFactoryModel
from nextstat.exceptions import InterruptedWarning, NotConvergedWarning

if TYPE_CHECKING:
    import pandas as pd

CHUNK = 256
Chunk = dict[str, npt.NDArray[Any]]  # what the core returns of some fits
_STATUS_NAMES = np.array([name for name, _ in STATUS])


@dataclass(frozen=True, eq=False)
class FitBatch(ReadOnly):
    """Fits of many datasets, one row each, in arrays that are read-only.

    Attributes
    ----------
    values, errors : (n, P) ndarray
        Fitted parameters and their standard deviations; NaN where there are none, as in
        `FitResult`.
    nll, edm : (n,) ndarray
    deviance : (n,) ndarray
        2 (nll - nll of the saturated model): the goodness-of-fit statistic.
    status : (n,) ndarray of str
        As in `FitResult`, or "bad_data".
    n_iter : (n,) int ndarray
    parameter_names : tuple of str
    poi : str or None
    seed : int or None
        Of the toys; the same seed gives the same toys.
    """

    values: Vector
    errors: Vector
    nll: Vector
    edm: Vector
    deviance: Vector
    status: npt.NDArray[np.str_]
    n_iter: npt.NDArray[np.intc]
    parameter_names: tuple[str, ...]
    poi: str | None
    seed: int | None = None

    @property
    def converged(self) -> npt.NDArray[np.bool_]:
        """Which fits converged, (n,)."""
        converged: npt.NDArray[np.bool_] = self.status == "converged"
        return converged

    @property
    def mu(self) -> Vector:
        """Fitted parameter of interest, (n,); NaN for a model without."""
        return np.full(len(self), np.nan) if self.poi is None else self[self.poi]

    def __len__(self) -> int:
        return len(self.nll)

    def __getitem__(self, name: str) -> Vector:
        """Fitted values of the parameter called `name`, (n,)."""
        if name not in self.parameter_names:
            raise KeyError(unknown("parameter", str(name), self.parameter_names))
        return self.values[:, self.parameter_names.index(name)]

    def __repr__(self) -> str:
        return f"FitBatch({len(self)} fits, {np.count_nonzero(self.converged)} converged)"

    def to_dataframe(self) -> pd.DataFrame:
        """One row per fit: nll, deviance, edm, status, n_iter and the parameters.

        A parameter that is called like one of the others is "param/nll", for example.
        """
        import pandas as pd

        columns = ("nll", "deviance", "edm", "status", "n_iter")
        frame = pd.DataFrame({name: getattr(self, name) for name in columns})
        values = pd.DataFrame(
            self.values, columns=set_apart(self.parameter_names, columns, "param/")
        )
        joined: pd.DataFrame = pd.concat([frame, values], axis=1)
        return joined


def fit_batch(
    model: HistFactoryModel,
    data: npt.ArrayLike,
    *,
    auxdata: npt.ArrayLike | None = None,
    init: Init | None = None,
    fixed: Fixed | None = None,
    bounds: Bounds | None = None,
    n_starts: int = 1,
    max_iterations: int = MAX_ITERATIONS,
    n_jobs: int | None = None,
    progress: bool = False,
) -> FitBatch:
    """Fit many datasets, in parallel.

    Parameters
    ----------
    model : HistFactoryModel
    data : (n, n_bins) or (n, n_bins + n_aux) array_like
        Events, and auxiliary measurements, one dataset per row.
    auxdata : (n_aux,) or (n, n_aux) array_like, optional
        Auxiliary measurements of all or of each; the model's by default.
    init, fixed, bounds, n_starts, max_iterations
        As for `fit`. By default the fits start from the fit of the mean of all datasets; one that
        fails starts again from the model's starting values.
    n_jobs : int, optional
        Threads; -1 for all processors. Inside ``joblib.parallel_config``, joblib's workers.
    progress : bool
        Show a progress bar.

    Returns
    -------
    FitBatch
        A row that is no data (negative, NaN) or whose fit did not converge has a status that says
        so; a `NotConvergedWarning` counts them. Interrupted, those that were done.

    Raises
    ------
    ValueError
        If an array has the wrong shape, or there are no rows.
    """
    check_model(model)
    rows = _rows(model, data, auxdata)
    problem = make_problem(model, init, fixed, bounds, n_starts, max_iterations)
    usable = rows[np.isfinite(rows).all(axis=1) & (rows[:, : model.n_bins] >= 0.0).all(axis=1)]
    start = problem.init
    if init is None and len(usable) > 1:
        mean = minimise(model, model._data(usable.mean(axis=0)), problem)
        start = mean.values if mean.status == 0 else start
    poi = free_poi(model, problem, bounds)
    task = partial(_fit_rows, model, rows, problem, start, poi)
    batch = _batch(model, task, len(rows), n_jobs, progress)
    warn_of_bounds(model, problem, batch.values[batch.converged], but=poi)
    return batch


def fit_toys(
    model: HistFactoryModel,
    n_toys: int = 1000,
    *,
    params: npt.ArrayLike | None = None,
    seed: int | None = None,
    init: Init | None = None,
    fixed: Fixed | None = None,
    bounds: Bounds | None = None,
    n_starts: int = 1,
    max_iterations: int = MAX_ITERATIONS,
    n_jobs: int | None = None,
    progress: bool = False,
    on_chunk: Callable[[FitBatch], object] | None = None,
) -> FitBatch:
    """Throw toys and fit them.

    Parameters
    ----------
    model : HistFactoryModel
    n_toys : int
    params : (P,) array_like, optional
        Where the toys are thrown; the fit of the observed data by default. Main and auxiliary
        data fluctuate.
    seed : int, optional
        0 <= seed < 2**64. A seed gives the same toys on any number of threads or workers, two
        seeds have none in common. Drawn from the system if None; see `FitBatch.seed`.
    init, fixed, bounds, n_starts, max_iterations
        As for `fit`; the fits start at `params` by default.
    n_jobs, progress
        As for `fit_batch`.
    on_chunk : callable, optional
        Called with the fits of some toys, a `FitBatch`, as soon as they are done; in order. To
        store them where the work takes long.

    Returns
    -------
    FitBatch
        Interrupted, those that were done.

    Raises
    ------
    FitError
        If `params` is None and the fit of the observed data did not converge.
    ValueError, TypeError
        If an option is impossible, or an expectation at `params` is not finite.
    """
    check_model(model)
    n_toys, seed = check_integer(n_toys, "n_toys"), check_seed(seed)
    problem = make_problem(model, init, fixed, bounds, n_starts, max_iterations)
    truth = _truth(model, params, problem, bounds)
    start = problem.start(truth).init if init is None else problem.init
    poi = free_poi(model, problem, bounds)
    task = partial(_fit_toys, model, truth, seed, problem, start, poi)
    batch = _batch(model, task, n_toys, n_jobs, progress, seed, on_chunk)
    warn_of_bounds(model, problem, batch.values[batch.converged], but=poi)
    return batch


def toy_data(
    model: HistFactoryModel,
    n_toys: int = 1,
    *,
    params: npt.ArrayLike | None = None,
    seed: int | None = None,
) -> Vector:
    """Throw toys: the data that `fit_toys` fits with the same arguments.

    Returns
    -------
    (n_toys, n_bins + n_aux) ndarray
        Ready to be passed as `data` to `fit_batch`, or row by row to `fit` and the tests.

    Notes
    -----
    n ~ Poisson(nu(params)); auxiliary data a ~ Normal(theta, s) or Poisson(tau theta). Means below
    0 count as 0. Counts are exact up to means of 2**53, from where doubles leave out integers;
    beyond, they follow the normal distribution with the skewness of the exact one.
    """
    check_model(model)
    n_toys, seed = check_integer(n_toys, "n_toys"), check_seed(seed)
    truth = _truth(model, params, make_problem(model))
    return _core.toy_data(model._core, truth, seed, 0, (0, n_toys))


def share_error(share: float, n: int) -> float:
    """Standard error of a share of n toys; of order 1 / n where none or all are counted."""
    p = (n * share + 1.0) / (n + 2.0)  # Laplace's rule of succession
    return math.sqrt(p * (1.0 - p) / n)


def check_seed(seed: object) -> int:
    """The seed, if it is one; one from the system for None."""
    if seed is None:
        return secrets.randbits(64)
    if isinstance(seed, bool) or not isinstance(seed, int | np.integer):
        raise TypeError(f"seed is {seed!r}, expected an integer or None")
    if not 0 <= seed < 2**64:
        raise ValueError(f"seed is {seed}, expected 0 <= seed < 2**64")
    return int(seed)


def _truth(
    model: HistFactoryModel,
    params: npt.ArrayLike | None,
    problem: Problem,
    bounds: Bounds | None = None,
) -> Vector:
    if params is None:
        poi = free_poi(model, problem, bounds)
        if poi is not None:
            return fit_freely(model, model._data(None), problem, poi)[0].values
        return require_lowest(model, model._data(None), problem, "the fit to throw toys at").values
    truth = np.asarray(params, dtype=np.float64)
    if truth.shape != model.init.shape:
        raise ValueError(f"params has shape {truth.shape}, expected {model.init.shape}")
    if not np.isfinite(truth).all():
        name = model.parameter_names[int(np.flatnonzero(~np.isfinite(truth))[0])]
        raise ValueError(f"params of {name!r} is not finite")
    _check_expectations(model, truth)
    return truth


def _check_expectations(model: HistFactoryModel, truth: Vector) -> None:
    """Refuse parameters at which an expectation is not finite, by the name of the datum."""
    with np.errstate(over="ignore"):
        expected = model.expected_data(truth)
    for index in np.flatnonzero(~np.isfinite(expected)):
        for channel, where in model.channel_slices.items():
            if where.start <= index < where.stop:
                what = f"{expected[index]} events in bin {index - where.start} of {channel!r}"
                break
        else:
            constrained = np.flatnonzero(model.parameters.constrained)
            name = model.parameter_names[constrained[index - model.n_bins]]
            what = f"{expected[index]} for the auxiliary measurement of {name!r}"
        raise ValueError(f"no toys can be thrown at params: the model expects {what}")


def _rows(model: HistFactoryModel, data: npt.ArrayLike, auxdata: npt.ArrayLike | None) -> Vector:
    """Main and auxiliary data side by side, (n, n_bins + n_aux)."""
    try:
        rows = np.atleast_1d(np.asarray(data, dtype=np.float64))
    except (TypeError, ValueError) as error:
        raise ValueError(
            f"data is no array of numbers with rows of equal length: {error}"
        ) from None
    if len(rows) == 0:
        raise ValueError("data has no rows")
    n_aux = len(model.auxdata)
    full = model.n_bins + n_aux
    if auxdata is None and rows.ndim == 2 and rows.shape[1] == full:
        return np.ascontiguousarray(rows)
    if rows.ndim != 2 or rows.shape[1] != model.n_bins:
        raise ValueError(
            f"data has shape {rows.shape}, expected (n, {model.n_bins}) events or (n, {full}) "
            "events and auxiliary measurements"
        )
    aux = np.asarray(model.auxdata if auxdata is None else auxdata, dtype=np.float64)
    if aux.shape not in ((n_aux,), (len(rows), n_aux)):
        raise ValueError(
            f"auxdata has shape {aux.shape}, expected ({n_aux},) or ({len(rows)}, {n_aux})"
        )
    return np.hstack([rows, np.broadcast_to(aux, (len(rows), n_aux))])


def _fit_rows(
    model: HistFactoryModel,
    rows: Vector,
    problem: Problem,
    start: Vector,
    poi: int | None,
    first: int,
    number: int,
    n_threads: int,
) -> Chunk:
    chunk = rows[first : first + number]
    started = problem.start(start).core()
    found = _core.fit_rows(model._core, chunk, started, problem.init, n_threads)
    return _fit_stopped(model, found, lambda: chunk, problem, start, poi, n_threads)


def _fit_toys(
    model: HistFactoryModel,
    truth: Vector,
    seed: int,
    problem: Problem,
    start: Vector,
    poi: int | None,
    first: int,
    number: int,
    n_threads: int,
) -> Chunk:
    started = problem.start(start).core()
    toys = (first, number)
    found = _core.fit_toys(model._core, truth, seed, 0, toys, started, problem.init, n_threads)

    def rows() -> Vector:
        return _core.toy_data(model._core, truth, seed, 0, toys)

    return _fit_stopped(model, found, rows, problem, start, poi, n_threads)


def _fit_stopped(
    model: HistFactoryModel,
    found: Chunk,
    rows: Callable[[], Vector],
    problem: Problem,
    start: Vector,
    poi: int | None,
    n_threads: int,
) -> Chunk:
    """Fit again, with wider bounds, what the bounds of the parameter of interest stopped."""
    if poi is None:
        return found
    given = problem
    while True:
        again = np.flatnonzero(stopped(found["values"][:, poi], problem, poi))
        if not len(again) or is_too_wide(problem, given, poi):
            return found
        problem = widened(problem, poi)
        started = problem.start(start).core()
        wider = _core.fit_rows(model._core, rows()[again], started, problem.init, n_threads)
        for name, values in wider.items():
            found[name][again] = values


def _batch(
    model: HistFactoryModel,
    task: Any,
    n: int,
    n_jobs: int | None,
    progress: bool,
    seed: int | None = None,
    on_chunk: Callable[[FitBatch], object] | None = None,
) -> FitBatch:
    chunks: list[Chunk] = []

    def add(chunk: Chunk) -> None:
        chunks.append(chunk)
        if on_chunk is not None:
            on_chunk(_join(model, [chunk], seed))

    try:
        for _, chunk in in_chunks(
            task, n, size=CHUNK, n_jobs=n_jobs, progress=progress, description="Fits"
        ):
            add(chunk)
    except KeyboardInterrupt as interruption:
        rest = done_before(interruption)
        if rest is not None and len(rest["nll"]):
            add(rest)
        if not chunks:
            raise
        done = sum(len(chunk["nll"]) for chunk in chunks)
        warn(f"interrupted after {done} of {n} fits", InterruptedWarning)
    batch = _join(model, chunks, seed)
    failed = len(batch) - int(np.count_nonzero(batch.converged))
    if failed:
        warn(
            f"{failed} of {len(batch)} fits did not converge; see the status of each",
            NotConvergedWarning,
        )
    return batch


def _join(model: HistFactoryModel, chunks: list[Chunk], seed: int | None) -> FitBatch:
    arrays = {key: np.concatenate([chunk[key] for chunk in chunks]) for key in chunks[0]}
    arrays["status"] = _STATUS_NAMES[arrays["status"]]
    names = model.parameter_names
    return FitBatch(**arrays, parameter_names=names, poi=model.poi, seed=seed)
