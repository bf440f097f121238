"""Numerical core of nextstat: model, likelihood, minimiser, ranking, toys.

Parameter arrays have the caller's order, (P,); bins stand channel by channel, (n_bins,).
Functions release the GIL and raise ValueError on wrong shapes. Called in the main thread, they can
be interrupted.
"""

from collections.abc import Sequence
from typing import Any, NoReturn, type_check_only

import numpy as np
import numpy.typing as npt

@type_check_only
class _BoundType(type):
    """pybind11's metaclass."""

class Model(metaclass=_BoundType):
    """An immutable numeric model.

    Arrays of equal prefix describe the modifiers of one type, one entry per use; samples are
    numbered channel by channel, and `nominal` holds their bins in that order.
    """

    def __init__(
        self,
        *,
        channel_bins: npt.ArrayLike,
        channel_samples: npt.ArrayLike,
        nominal: npt.ArrayLike,
        norm_param: npt.ArrayLike,
        norm_sample: npt.ArrayLike,
        norm_lo: npt.ArrayLike,
        norm_hi: npt.ArrayLike,
        histo_param: npt.ArrayLike,
        histo_sample: npt.ArrayLike,
        histo_lo: npt.ArrayLike,
        histo_hi: npt.ArrayLike,
        factor_param: npt.ArrayLike,
        factor_sample: npt.ArrayLike,
        binwise_first: npt.ArrayLike,
        binwise_sample: npt.ArrayLike,
        constraint: npt.ArrayLike,
        constraint_scale: npt.ArrayLike,
        norm_code: int,
        histo_code: int,
    ) -> None: ...
    @property
    def n_params(self) -> int: ...
    @property
    def n_bins(self) -> int: ...
    @property
    def n_global(self) -> int:
        """Number of parameters that touch more than one bin; the others make the arrow."""
    @property
    def n_folded(self) -> int:
        """Number of parameters about which the nll may have two minima; see cpp/model/folded.h."""
    def with_numbers(
        self,
        *,
        nominal: npt.ArrayLike,
        norm_lo: npt.ArrayLike,
        norm_hi: npt.ArrayLike,
        histo_lo: npt.ArrayLike,
        histo_hi: npt.ArrayLike,
        constraint_scale: npt.ArrayLike,
    ) -> Model:
        """A model of the same structure."""

class Data(metaclass=_BoundType):
    """Events, (n_bins,), and auxiliary measurements, (n_aux,), with what depends on them only."""

    def __init__(self, model: Model, n: npt.ArrayLike, aux: npt.ArrayLike) -> None: ...
    @property
    def n(self) -> npt.NDArray[np.float64]: ...
    @property
    def aux(self) -> npt.NDArray[np.float64]: ...

class Minimum(metaclass=_BoundType):
    """Where a fit ended, with the factorised Hessian of the free parameters there.

    Made by `fit` only.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> NoReturn: ...
    @property
    def status(self) -> int:
        """0 if converged; see `STATUS` in nextstat/_fits/fit.py."""

    @property
    def undetermined(self) -> int:
        """If singular, a parameter the data do not determine; else -1."""

    @property
    def at_edge(self) -> bool:
        """Whether the expectation of an empty bin is stopped at 0."""

    @property
    def nll(self) -> float: ...
    @property
    def edm(self) -> float: ...
    @property
    def n_iter(self) -> int: ...
    @property
    def n_evaluations(self) -> int: ...
    @property
    def gradient_norm(self) -> float: ...
    @property
    def values(self) -> npt.NDArray[np.float64]: ...
    @property
    def held(self) -> npt.NDArray[np.bool_]:
        """Parameters that are fixed or at a bound, (P,)."""

    def errors(self) -> npt.NDArray[np.float64]: ...
    def covariance(self) -> npt.NDArray[np.float64]: ...
    def covariance_times(self, vector: npt.ArrayLike) -> npt.NDArray[np.float64]:
        """Product with a vector, (P,); 0 for held parameters."""

    def covariance_with(self, param: int) -> npt.NDArray[np.float64]:
        """One row of the covariance, (P,)."""

def nll(model: Model, data: Data, params: npt.ArrayLike) -> float: ...
def nll_gradient(model: Model, data: Data, params: npt.ArrayLike) -> npt.NDArray[np.float64]: ...
def nll_hessian(model: Model, data: Data, params: npt.ArrayLike) -> npt.NDArray[np.float64]: ...
def nll_difference(
    model: Model, data: Data, params: npt.ArrayLike, reference: npt.ArrayLike
) -> float:
    """nll(params) - nll(reference), formed bin by bin."""

def expected(model: Model, params: npt.ArrayLike) -> npt.NDArray[np.float64]: ...
def expected_by_sample(model: Model, params: npt.ArrayLike) -> npt.NDArray[np.float64]: ...

class FitProblem(metaclass=_BoundType):
    """Start, bounds and fixed flags, each (P,), and when to stop; see cpp/fit/descent.h."""

    def __init__(
        self,
        init: npt.ArrayLike,
        lower: npt.ArrayLike,
        upper: npt.ArrayLike,
        fixed: npt.ArrayLike,
        tolerance: float,
        max_iterations: int,
        precision: float,
        n_starts: int,
    ) -> None: ...

def fit(model: Model, data: Data, problem: FitProblem) -> Minimum: ...
def refit_shifted(
    model: Model,
    minimum: Minimum,
    data: Data,
    problem: FitProblem,
    poi: int,
    parameters: Sequence[int] | npt.NDArray[np.integer[Any]],
    values: Sequence[float] | npt.NDArray[np.floating[Any]],
    n_threads: int,
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.intc]]:
    """Fitted `poi` and status, one each per pair of a parameter and the value to hold it at."""

# Many datasets: rows of data, or toys thrown at `params`, of which `toys` is (first, number).
# Each is fitted from the start of `problem`, and from `second_init` where that fails. An exception
# that interrupts the work carries what was done as `partial`: the same result, of fewer rows.
def fit_rows(
    model: Model,
    data: npt.ArrayLike,
    problem: FitProblem,
    second_init: npt.ArrayLike,
    n_threads: int,
) -> dict[str, npt.NDArray[Any]]: ...
def fit_toys(
    model: Model,
    params: npt.ArrayLike,
    seed: int,
    stream: int,
    toys: tuple[int, int],
    problem: FitProblem,
    second_init: npt.ArrayLike,
    n_threads: int,
) -> dict[str, npt.NDArray[Any]]: ...
def test_toys(
    model: Model,
    params: npt.ArrayLike,
    seed: int,
    stream: int,
    toys: tuple[int, int],
    problem: FitProblem,
    second_init: npt.ArrayLike,
    poi: int,
    value: float,
    side: int,
    n_threads: int,
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64], npt.NDArray[np.intc]]:
    """-2 ln of the profile likelihood ratio, the fitted `poi`, and the status of each toy.

    `side` says which fitted values count: 0 all, 1 those below `value`, 2 those above.
    """

# Derivatives in the parameters and in all that a model is made of: nominal, norm_lo, norm_hi,
# histo_lo, histo_hi, constraint_scale, data, aux, one after the other in the caller's order.
def nll_sensitivities(
    model: Model, data: Data, params: npt.ArrayLike
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Derivatives of the nll, (P,) and (n,), see cpp/kernels/sensitivity.h.

    Those in data and aux are without the digamma functions, which do not depend on parameters.
    """

def nll_sensitivities_along(
    model: Model, data: Data, params: npt.ArrayLike, direction: npt.ArrayLike
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Their first and second derivatives along a direction in the parameters, (2, P), (2, n)."""

def yield_sensitivities(
    model: Model, params: npt.ArrayLike, weight: npt.ArrayLike
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Derivatives of the weighted sum of expected events; 0 in data and aux."""

def toy_data(
    model: Model, params: npt.ArrayLike, seed: int, stream: int, toys: tuple[int, int]
) -> npt.NDArray[np.float64]:
    """Main and auxiliary data of toys, (number, n_bins + n_aux)."""

def toy_uniforms(seed: int, stream: int, toy: int, datum: int, n: int) -> npt.NDArray[np.float64]:
    """The first random numbers of a datum, n pairs of them, (n, 2); see cpp/toys/random.h."""

class StopFlag(metaclass=_BoundType):
    """Ends calls of this module that other threads make within `with flag:`, once it is set.

    They raise KeyboardInterrupt.
    """

    def __init__(self) -> None: ...
    def set(self) -> None: ...
    def __enter__(self) -> None: ...
    def __exit__(self, *args: Any) -> None: ...

def num_threads() -> int: ...
def set_num_threads(n: int) -> None: ...
def note_threads_started() -> None:
    """To be called before others than this module start OpenMP threads."""

def simd_level() -> str: ...
def simd_levels() -> list[str]:
    """Instruction sets this machine can use, the best first."""

def choose_simd_level(level: str) -> None: ...
