"""Feldman-Cousins intervals: the ordering by likelihood ratio, calibrated with toys."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import numpy as np
import numpy.typing as npt

import nextstat._core as _core
from nextstat._base.arguments import check_integer, check_level
from nextstat._base.arrays import Vector
from nextstat._base.read_only import ReadOnly
from nextstat._base.text import printable
from nextstat._base.warnings import warn
from nextstat._execution.chunks import in_chunks
from nextstat._fits.settings import Problem
from nextstat._fits.toys import CHUNK, check_seed, share_error
from nextstat._inference.interval import ONE_SIGMA
from nextstat._inference.profile import ROUNDING, observe
from nextstat._inference.scan import check_values
from nextstat._model.histfactory import HistFactoryModel
from nextstat.exceptions import FitError, NotConvergedWarning, PrecisionWarning

_COARSE = 0.75  # a fall of the p-value from one value to the next
_FIRST_STREAM = 1000  # one stream of toys for each value


@dataclass(frozen=True, eq=False)
class FeldmanCousins(ReadOnly):
    """Feldman-Cousins interval of the parameter of interest.

    Attributes
    ----------
    parameter : str
    lower, upper : float
        Ends of the interval: where the p-value, interpolated linearly between the values, crosses
        1 - level.
    level : float
    values : (n,) ndarray
        Values tested.
    pvalues, errors : (n,) ndarray
        Share of the toys at each value that agree less than the data, and its standard error.
    statistic : (n,) ndarray
        Observed -2 ln of the profile likelihood ratio.
    critical : (n,) ndarray
        The statistic beyond which a value is excluded.
    best : float
        Fitted value.
    n_failed : int
        Toys whose fits did not converge; they count nowhere.
    seed : int
    """

    parameter: str
    lower: float
    upper: float
    level: float
    values: Vector
    pvalues: Vector
    errors: Vector
    statistic: Vector
    critical: Vector
    best: float
    n_failed: int
    seed: int

    def to_dict(self) -> dict[str, object]:
        """Plain Python values, ready for JSON."""
        return {
            key: value.tolist() if isinstance(value, np.ndarray) else value
            for key, value in self.__dict__.items()
        }


def feldman_cousins(
    model: HistFactoryModel,
    values: npt.ArrayLike,
    level: float = ONE_SIGMA,
    *,
    data: npt.ArrayLike | None = None,
    auxdata: npt.ArrayLike | None = None,
    poi: str | None = None,
    n_toys: int = 1000,
    seed: int | None = None,
    n_jobs: int | None = None,
    progress: bool = False,
) -> FeldmanCousins:
    """Feldman-Cousins interval of the parameter of interest from toys.

    Parameters
    ----------
    model : HistFactoryModel
    values : (n,) array_like
        Values to test; they must reach beyond the interval, or to the bounds.
    level : float
        Confidence level, 0 < level < 1.
    data, auxdata, poi
        As for `hypotest`.
    n_toys : int
        Toys at each value.
    seed : int, optional
        As for `fit_toys`.
    n_jobs, progress
        As for `fit_batch`.

    Returns
    -------
    FeldmanCousins

    Raises
    ------
    FitError
        If a fit of the data did not converge, or the values do not reach beyond the interval.
    ValueError, TypeError, KeyError
        If an option is impossible or a name unknown.

    Notes
    -----
    arXiv:physics/9711021: values are ordered by the likelihood ratio to the best fit within the
    bounds. Nuisance parameters have their fitted values at each tested one, where the toys are
    thrown ("profile construction").
    """
    level = check_level(level)
    n_toys, seed = check_integer(n_toys, "n_toys"), check_seed(seed)
    profile = observe(model, data=data, auxdata=auxdata, poi=poi)
    points = check_values(profile, values)
    if len(points) < 2:
        raise ValueError("values holds a single value, expected several around the interval")
    observed = np.array([profile.statistic(value) for value in points])
    profile.warn_of_bounds(*points)
    conditional = {k: profile.at(value) for k, value in enumerate(points)}
    truths = {k: truth for k, truth in conditional.items() if truth is not None}  # not excluded
    thrown = list(truths)
    samples: list[list[Vector]] = [[] for _ in points]
    n_failed = 0
    per_value = -(-n_toys // CHUNK)
    task = partial(
        _tests,
        model,
        list(truths.values()),
        points[thrown],
        seed,
        profile.problem,
        profile.poi,
        n_toys,
    )
    for chunk, (statistic, status) in in_chunks(
        task,
        per_value * len(thrown),
        size=1,
        n_jobs=n_jobs,
        progress=progress,
        description="Feldman-Cousins",
    ):
        samples[thrown[chunk // per_value]].append(statistic[status == 0])
        n_failed += int(np.count_nonzero(status))
    pvalues, errors, critical = np.zeros((3, len(points)))
    for k in thrown:
        sample = np.concatenate(samples[k])
        if not len(sample):
            raise FitError(f"none of the toys at {profile.name}={points[k]:g} could be fitted")
        pvalues[k] = np.mean(sample >= observed[k] - ROUNDING)
        errors[k] = share_error(float(pvalues[k]), len(sample))
        critical[k] = np.quantile(sample, level)
    if n_failed:
        warn(f"the fits of {n_failed} toys did not converge", NotConvergedWarning)
    lower, upper = _ends(points, pvalues, 1.0 - level, profile.problem, profile.poi, profile.name)
    return FeldmanCousins(
        parameter=profile.name,
        lower=lower,
        upper=upper,
        level=level,
        values=points,
        pvalues=pvalues,
        errors=errors,
        statistic=observed,
        critical=critical,
        best=profile.muhat,
        n_failed=n_failed,
        seed=seed,
    )


def _tests(
    model: HistFactoryModel,
    truths: list[Vector],
    values: Vector,
    seed: int,
    problem: Problem,
    poi: int,
    n_toys: int,
    chunk: int,
    _number: int,
    n_threads: int,
) -> tuple[Vector, npt.NDArray[np.intc]]:
    """Statistic and status of a chunk of the toys of one value."""
    k, part = divmod(chunk, -(-n_toys // CHUNK))
    first = part * CHUNK
    statistic, _, status = _core.test_toys(
        model._core,
        truths[k],
        seed,
        _FIRST_STREAM + k,
        (first, min(CHUNK, n_toys - first)),
        problem.start(truths[k]).core(),
        problem.init,
        poi,
        float(values[k]),
        0,
        n_threads,
    )
    return statistic, status


def _ends(
    points: Vector, pvalues: Vector, alpha: float, problem: Problem, poi: int, name: str
) -> tuple[float, float]:
    """Where the p-value crosses alpha below the first and above the last value accepted."""
    accepted = np.flatnonzero(pvalues > alpha)
    if not len(accepted):
        raise FitError(
            f"every value of {name!r} from {points[0]:g} to {points[-1]:g} is excluded; "
            "the values are too far apart or elsewhere"
        )

    def end(inside: int, outside: int, bound: float) -> float:
        if 0 <= outside < len(points):
            if pvalues[inside] - pvalues[outside] > _COARSE:
                warn(
                    f"the p-value falls from {pvalues[inside]:.3g} to {pvalues[outside]:.3g} "
                    f"between {printable(name)}={points[inside]:g} and {points[outside]:g}, "
                    "where the interval ends: give values closer to each other there",
                    PrecisionWarning,
                )
            share = (pvalues[inside] - alpha) / (pvalues[inside] - pvalues[outside])
            return float(points[inside] + share * (points[outside] - points[inside]))
        if points[inside] == bound:
            return bound
        raise FitError(
            f"the interval of {name!r} reaches beyond the values, which end at "
            f"{points[inside]:g}; extend them"
        )

    first, last = int(accepted[0]), int(accepted[-1])
    lower, upper = float(problem.lower[poi]), float(problem.upper[poi])
    return end(first, first - 1, lower), end(last, last + 1, upper)
