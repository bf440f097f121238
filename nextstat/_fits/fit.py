"""Maximum-likelihood fits."""

from __future__ import annotations

import time

import numpy as np
import numpy.typing as npt

import nextstat._core as _core
from nextstat._base.arrays import Vector
from nextstat._base.warnings import warn
from nextstat._fits.default_bounds import warn_of_bounds
from nextstat._fits.possible import possible_start
from nextstat._fits.result import FitResult
from nextstat._fits.settings import MAX_ITERATIONS, Bounds, Fixed, Init, Problem, make_problem
from nextstat._model.histfactory import HistFactoryModel
from nextstat.exceptions import DegenerateWarning, FitError, NotConvergedWarning

# Names and meanings of the core's FitStatus.
STATUS = (
    ("converged", "converged"),
    (
        "max_iterations",
        "the iteration limit was reached before the minimum: raise max_iterations, start closer, "
        "or fix what the data do not constrain",
    ),
    (
        "singular",
        "stationary, but the Hessian is not positive definite: the data do not determine all free "
        "parameters (degenerate or unused ones); fix some",
    ),
    (
        "stalled",
        "no step lowers the nll although the gradient is not small: the likelihood is not smooth "
        "here; try other starting values or bounds",
    ),
    (
        "infinite",
        "the nll is infinite at the start: no events are expected in bins where some were "
        "observed; give every bin some background, or change starting values or fixed parameters",
    ),
    ("not_finite", "the likelihood or a derivative is NaN: check the values of fixed parameters"),
    ("bad_data", "the data are negative or not finite"),
)

SINGULAR, INFINITE = 2, 4  # FitStatus of the core
LOWEST = (0, SINGULAR)  # those of fits whose nll is as low as it gets
_FLAT = 1e-7  # curvature, in units of the diagonal of the Hessian, that counts as none
_SHARE = 0.05  # of a flat direction, from which on a parameter belongs to it


def fit(
    model: HistFactoryModel,
    data: npt.ArrayLike | None = None,
    *,
    auxdata: npt.ArrayLike | None = None,
    init: Init | None = None,
    fixed: Fixed | None = None,
    bounds: Bounds | None = None,
    n_starts: int = 1,
    max_iterations: int = MAX_ITERATIONS,
) -> FitResult:
    """Fit a model to data by maximum likelihood.

    Bounded Newton steps with the exact Hessian; see `cpp/fit/descent.h`. The result is the same to
    the last bit for the same input on one machine, whatever the number of threads.

    Parameters
    ----------
    model : HistFactoryModel
    data : (n_bins,) or (n_bins + n_aux,) array_like, optional
        Events, and auxiliary measurements, in place of the observed ones.
    auxdata : (n_aux,) array_like, optional
        Auxiliary measurements in place of the model's.
    init : (P,) array_like or mapping of name to value, optional
        Starting values.
    fixed : mapping of name to value, names, or (P,) bools, optional
        Parameters to hold.
    bounds : (P, 2) array_like or mapping of name to (lower, upper), optional
    n_starts : int
        Least number of starting points: those after the first are drawn about the centres of the
        constraints, always the same, and the lowest minimum is returned. Where other minima are
        likely, a fit draws some by itself.
    max_iterations : int
        Most Newton steps of the way down from each of them.

    Returns
    -------
    FitResult
        With `converged` False, and a `NotConvergedWarning`, if no minimum was found. A
        `BoundWarning` says where bounds that nobody chose stop a parameter.

    Raises
    ------
    ValueError
        If an array has the wrong shape or a value is impossible.
    KeyError
        If a name is not a parameter's.
    """
    start = time.perf_counter()
    problem = make_problem(model, init, fixed, bounds, n_starts, max_iterations)
    core_data = model._data(data, auxdata)
    best = minimise(model, core_data, problem)
    result = make_result(model, core_data, problem, best, 1e3 * (time.perf_counter() - start))
    if not result.converged:
        warn(f"fit not converged ({result.status}): {result.message}", NotConvergedWarning)
    else:
        warn_of_bounds(model, problem, [best.values])
    return result


def minimise(model: HistFactoryModel, data: _core.Data, problem: Problem) -> _core.Minimum:
    """One run of the minimiser; another one, where the start is impossible and others are not."""
    found = _core.fit(model._core, data, problem.core())
    if found.status != INFINITE:
        return found
    start = possible_start(model, data, problem)
    if start is None:
        return found
    return _core.fit(model._core, data, problem.start(start).core())


def require_minimum(
    model: HistFactoryModel, data: _core.Data, problem: Problem, what: str
) -> _core.Minimum:
    """Minimise, and insist on convergence.

    Raises
    ------
    FitError
        If the fit did not converge; `what` says which it was.
    """
    minimum = minimise(model, data, problem)
    require_converged(model, data, minimum, what)
    return minimum


def require_lowest(
    model: HistFactoryModel,
    data: _core.Data,
    problem: Problem,
    what: str,
    minimum: _core.Minimum | None = None,
) -> _core.Minimum:
    """Minimise, and insist that the nll is known to be as low as it gets; where is another matter.

    A test statistic needs the nll at its minimum. Where the data do not determine some of the other
    parameters there is a valley of such minima, and a `DegenerateWarning` names these parameters,
    once for all fits of a problem.

    Parameters
    ----------
    minimum : _core.Minimum, optional
        Where the fit is done already.

    Raises
    ------
    FitError
        If the fit did not converge; `what` says which it was.
    """
    found = minimise(model, data, problem) if minimum is None else minimum
    if found.status == SINGULAR:
        flat = undetermined(model, data, found)
        if problem.told.issuperset(flat):
            return found
        problem.told.update(flat)
        names = ", ".join(map(repr, flat))
        warn(
            f"the data do not determine {names} in {what}, which are degenerate or unused; what is "
            "tested does not depend on their values. Fix some to be rid of this warning",
            DegenerateWarning,
        )
        return found
    require_converged(model, data, found, what)
    return found


def undetermined(
    model: HistFactoryModel, data: _core.Data, minimum: _core.Minimum
) -> tuple[str, ...]:
    """Names of the free parameters along which the nll is flat at a minimum.

    The one that the core came upon may be held at a bound, against which nothing presses it; it is
    named where there are no others.
    """
    moving = ~minimum.held
    if minimum.undetermined >= 0:
        moving[minimum.undetermined] = True
    free = np.flatnonzero(moving)
    hessian = _core.nll_hessian(model._core, data, minimum.values)[np.ix_(free, free)]
    scale = np.sqrt(np.abs(np.diag(hessian)))
    dead = scale <= _FLAT * scale.max(initial=0.0)
    unit = np.where(dead, 1.0, scale)
    curvature, directions = np.linalg.eigh(hessian / np.outer(unit, unit))
    flat = np.abs(directions[:, curvature < _FLAT])
    share = flat.max(axis=1, initial=0.0) > _SHARE
    found = free[share | dead]
    if not len(found) and minimum.undetermined >= 0:
        found = np.array([minimum.undetermined])
    return tuple(model.parameter_names[i] for i in found)


def require_converged(
    model: HistFactoryModel, data: _core.Data, minimum: _core.Minimum, what: str
) -> None:
    """Raise FitError if a fit did not converge; `what` says which it was."""
    if minimum.status != 0:
        status, message = _explain(model, data, minimum)
        raise FitError(f"{what} did not converge ({status}): {message}")


def _explain(model: HistFactoryModel, data: _core.Data, minimum: _core.Minimum) -> tuple[str, str]:
    """Name and meaning of a status, and the parameters or the bin it is about."""
    status, message = STATUS[minimum.status]
    if status == "singular":
        names = undetermined(model, data, minimum)
        message += f" ({', '.join(map(repr, names))})" if names else ""
    if status == "infinite":
        message += f" ({without_expectation(model, data, minimum.values)})"
    if minimum.at_edge and status == "converged":
        message += f"; {_bin_at_edge(model, minimum.values)} expects no events and could not fewer"
    return status, message


def without_expectation(model: HistFactoryModel, data: _core.Data, params: Vector) -> str:
    """For messages: the bins that have events where these parameters expect none."""
    expected = model.expected_data(params, include_auxdata=False)
    return model._name_bins((data.n > 0.0) & (expected <= 0.0))


def _bin_at_edge(model: HistFactoryModel, values: Vector) -> str:
    """The bin whose expectation is nearest to zero."""
    expected = model.expected_data(values, include_auxdata=False)
    nearest = np.abs(expected).argmin()
    return model._name_bins(np.arange(model.n_bins) == nearest)


def make_result(
    model: HistFactoryModel,
    data: _core.Data,
    problem: Problem,
    minimum: _core.Minimum,
    time_ms: float,
) -> FitResult:
    """The result of a fit from the minimum the core found."""
    status, message = _explain(model, data, minimum)
    return FitResult(
        values=minimum.values,
        nll=minimum.nll,
        edm=minimum.edm,
        converged=minimum.status == 0,
        status=status,
        message=message,
        gradient_norm=minimum.gradient_norm,
        n_iter=minimum.n_iter,
        n_evaluations=minimum.n_evaluations,
        time_ms=time_ms,
        held=minimum.held,
        minimum=minimum,
        model=model,
        problem=problem,
        dataset=np.concatenate([data.n, data.aux]),
    )
