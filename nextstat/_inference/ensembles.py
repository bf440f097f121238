"""Distributions of a test statistic from toys of both hypotheses."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from functools import partial

import numpy as np
import numpy.typing as npt
from scipy.special import ndtr, ndtri

import nextstat._core as _core
from nextstat._base.arguments import check_integer
from nextstat._base.arrays import Vector
from nextstat._base.read_only import ReadOnly, read_only
from nextstat._base.warnings import warn
from nextstat._execution.chunks import done_before, in_chunks, keep_done
from nextstat._fits.settings import Problem
from nextstat._fits.toys import CHUNK, check_seed, share_error
from nextstat._inference.asimov import alternative_to, asimov_parameters
from nextstat._inference.asymptotics import BANDS, Probabilities
from nextstat._inference.profile import ROUNDING, Profile, TestStatistic
from nextstat._model.histfactory import HistFactoryModel
from nextstat.exceptions import FitError, InterruptedWarning, NotConvergedWarning, PrecisionWarning

# Which fitted values count as disagreement; Side of the core.
_SIDE = {"t": 0, "ttilde": 0, "q": 1, "qtilde": 1, "q0": 2}

# Toys of different streams have nothing in common.
_TESTED, _ALTERNATIVE = 1, 2


@dataclass
class ToyPlan:
    """How many toys to throw, and how; see `hypotest`."""

    n_toys: int
    seed: int | None
    precision: float | None
    n_jobs: int | None
    progress: bool
    keep_partial: bool = True  # when interrupted

    def __post_init__(self) -> None:
        self.n_toys = check_integer(self.n_toys, "n_toys")
        self.seed = check_seed(self.seed)
        if isinstance(self.precision, str) or (
            self.precision is not None and not self.precision > 0.0
        ):
            raise ValueError(f"precision is {self.precision}, expected a positive number")


@dataclass
class ToyEnsembles(ReadOnly):
    """Test statistics of toys.

    Attributes
    ----------
    tested, alternative : (n,) ndarray
        Of toys of the tested hypothesis and of the alternative, those whose fits converged.
    n_failed : int
        Toys of both whose fits did not; they count nowhere.
    seed : int
        The same seed gives the same toys.
    """

    seed: int
    tested: Vector = field(default_factory=lambda: np.empty(0))
    alternative: Vector = field(default_factory=lambda: np.empty(0))
    n_failed: int = 0

    def __setattr__(self, name: str, value: object) -> None:
        super().__setattr__(name, read_only(value))

    def summary(self) -> dict[str, int]:
        """Numbers of toys, and the seed."""
        sizes = {"n_toys": len(self.tested), "n_toys_alternative": len(self.alternative)}
        return {**sizes, "n_failed": self.n_failed, "seed": self.seed}

    def probabilities(
        self, statistic: TestStatistic, q: float
    ) -> tuple[Probabilities, float, float]:
        """p-values of an observed statistic, and the standard errors of `tested` and `ratio`."""
        if not len(self.tested) or not len(self.alternative):
            raise FitError(f"none of the toys could be fitted ({self.n_failed} failed)")
        tested = float(_tail(self.tested, q))
        alternative = float(_tail(self.alternative, q))
        bands = _tail(self.tested, self.alternative)
        has_ratio = statistic in ("q", "qtilde")
        if has_ratio:
            bands = bands / _tail(self.alternative, self.alternative)
        ratio = tested / alternative if has_ratio and alternative > 0.0 else math.nan
        sides = 2.0 if statistic in ("t", "ttilde") else 1.0
        found = Probabilities(
            tested=tested,
            alternative=alternative,
            ratio=ratio,
            significance=max(-float(ndtri(tested / sides)), 0.0),  # the statistic has one side
            expected=np.quantile(bands, ndtr(BANDS)),
        )
        error = share_error(tested, len(self.tested))
        other = share_error(alternative, len(self.alternative))
        defined = has_ratio and alternative > 0.0
        relative = math.hypot(error, ratio * other) / alternative if defined else math.nan
        return found, error, relative


def throw_ensembles(
    statistic: TestStatistic, mu: float, q: float, observed: Profile, plan: ToyPlan
) -> ToyEnsembles:
    """Toys at the fits of the data with `mu` and with the alternative (0, or 1 for `mu` = 0)."""
    assert plan.seed is not None
    toys = ToyEnsembles(plan.seed)
    params = [asimov_parameters(observed, x, "fitted") for x in (mu, alternative_to(mu))]
    task = partial(
        _both, observed.model, params, plan.seed, observed.problem, observed.poi, mu,
        _SIDE[statistic],
    )  # fmt: skip
    try:
        for _, (tested, alternative) in in_chunks(
            task,
            plan.n_toys,
            size=CHUNK,
            n_jobs=plan.n_jobs,
            progress=plan.progress,
            description="Toys",
        ):
            _append(toys, tested, alternative)
            if plan.precision is not None and _precise(toys, statistic, q, plan.precision):
                break
    except KeyboardInterrupt as interruption:
        rest = done_before(interruption)
        if rest is not None:
            _append(toys, *rest)
        done = len(toys.tested), len(toys.alternative)
        if not all(done) or not plan.keep_partial:
            raise
        each = f"{done[0]} and {done[1]}" if done[0] != done[1] else f"{done[0]}"
        message = f"interrupted after {each} of {plan.n_toys} toys of each hypothesis"
        warn(message, InterruptedWarning)
    if toys.n_failed:
        n = toys.n_failed + len(toys.tested) + len(toys.alternative)
        where = f"at {observed.name}={mu:g}"
        message = f"{toys.n_failed} of {n} toys {where} could not be fitted; they are left out"
        warn(message, NotConvergedWarning)
    if statistic in ("q", "qtilde") and not _tail(toys.alternative, q) > 0.0:
        message = (
            f"no toy of the alternative disagrees with {observed.name}={mu:g} as little as the "
            "data: CLb is 0 and CLs not defined; throw more toys"
        )
        warn(message, PrecisionWarning)
    return toys


Tests = tuple[Vector, npt.NDArray[np.intc]]  # statistic and status of each toy
_NONE: Tests = np.empty(0), np.empty(0, np.intc)


def _both(
    model: HistFactoryModel,
    params: list[Vector],
    seed: int,
    problem: Problem,
    poi: int,
    mu: float,
    side: int,
    first: int,
    number: int,
    n_threads: int,
) -> tuple[Tests, Tests]:
    """A chunk of toys of both hypotheses."""

    def tests(truth: Vector, stream: int) -> Tests:
        start, toys = problem.start(truth).core(), (first, number)
        core = model._core
        statistic, _, status = _core.test_toys(
            core, truth, seed, stream, toys, start, problem.init, poi, mu, side, n_threads
        )
        return statistic, status

    tested: Tests = _NONE
    try:
        tested = tests(params[0], _TESTED)
        return tested, tests(params[1], _ALTERNATIVE)
    except KeyboardInterrupt as interruption:
        rest = done_before(interruption)
        here = _NONE if rest is None else (rest[0], rest[2])
        keep_done(interruption, (tested, here) if len(tested[0]) else (here, _NONE))
        raise


def _append(toys: ToyEnsembles, tested: Tests, alternative: Tests) -> None:
    for name, (statistic, status) in (("tested", tested), ("alternative", alternative)):
        good = statistic[status == 0]
        setattr(toys, name, np.concatenate([getattr(toys, name), good]))
        toys.n_failed += len(statistic) - len(good)


def _precise(toys: ToyEnsembles, statistic: TestStatistic, q: float, precision: float) -> bool:
    if not len(toys.tested) or not len(toys.alternative):
        return False
    _, pvalue_error, cls_error = toys.probabilities(statistic, q)
    return (pvalue_error if math.isnan(cls_error) else cls_error) < precision


def _tail(sample: Vector, value: npt.ArrayLike) -> Vector:
    """Share of a sample at or above each value; what differs by rounding is equal."""
    below = np.searchsorted(np.sort(sample), np.asarray(value) - ROUNDING)
    tail: Vector = (len(sample) - below) / len(sample)
    return tail
