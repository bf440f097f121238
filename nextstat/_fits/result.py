"""What a fit returns."""

from __future__ import annotations

import html
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

import nextstat._core as _core
from nextstat._base.arrays import Vector
from nextstat._base.messages import unknown
from nextstat._base.read_only import ReadOnly, read_only
from nextstat._base.text import printable
from nextstat._fits.settings import Problem
from nextstat._model.histfactory import HistFactoryModel
from nextstat.exceptions import FitError

if TYPE_CHECKING:
    import pandas as pd


def check_result(result: object) -> FitResult:
    """The result, if it is one.

    Raises
    ------
    TypeError
        If not.
    """
    if not isinstance(result, FitResult):
        hint = "; fit it first" if isinstance(result, HistFactoryModel) else ""
        raise TypeError(f"expected a FitResult, found a {type(result).__name__}{hint}")
    return result


def check_converged(result: object) -> FitResult:
    """The result, if it is one and converged.

    Raises
    ------
    FitError, TypeError
        If not.
    """
    checked = check_result(result)
    if not checked.converged:
        raise FitError(f"the fit did not converge ({checked.status}): {checked.message}")
    return checked


@dataclass(frozen=True, eq=False)
class FitResult(ReadOnly):
    """A maximum-likelihood fit. Its arrays are read-only; copy those that you want to change.

    Attributes
    ----------
    values : (P,) ndarray
        Fitted parameters, in the order of `parameter_names`.
    nll : float
        Negative log-likelihood at `values`, all constants kept.
    edm : float
        Estimated distance to the minimum in nll: half of g^T H^-1 g within the bounds.
    converged : bool
        Small projected gradient, `edm` below the tolerance, Hessian positive definite on the free
        parameters, everything finite.
    status, message : str
        Short name of the outcome, and what it means.
    gradient_norm : float
        Euclidean norm of the gradient over the free parameters away from their bounds.
    n_iter, n_evaluations : int
        Newton steps, and evaluations of the likelihood or its derivatives.
    time_ms : float
        Wall-clock time of the fit.
    model : HistFactoryModel
    dataset : (n_bins + n_aux,) ndarray
        What was fitted: events and auxiliary measurements.
    parameter_names : tuple of str
    poi : str or None
    fixed : (P,) bool ndarray
    active_bounds : tuple of str
        Parameters that ended at a bound, or pinned at the kink of a piecewise interpolation.
    """

    values: Vector
    nll: float
    edm: float
    converged: bool
    status: str
    message: str
    gradient_norm: float
    n_iter: int
    n_evaluations: int
    time_ms: float
    held: npt.NDArray[np.bool_]
    minimum: _core.Minimum
    model: HistFactoryModel
    problem: Problem
    dataset: Vector

    @property
    def parameter_names(self) -> tuple[str, ...]:
        return self.model.parameter_names

    @property
    def poi(self) -> str | None:
        return self.model.poi

    @property
    def fixed(self) -> npt.NDArray[np.bool_]:
        return self.problem.fixed

    @property
    def active_bounds(self) -> tuple[str, ...]:
        at_bound = np.flatnonzero(self.held & ~self.fixed)
        return tuple(self.parameter_names[i] for i in at_bound)

    @property
    def twice_nll(self) -> float:
        """2 nll."""
        return 2.0 * self.nll

    @property
    def mu(self) -> float:
        """Fitted parameter of interest; NaN for a model without."""
        return float("nan") if self.poi is None else self[self.poi]

    @cached_property
    def errors(self) -> Vector:
        """Standard deviations from the inverse Hessian of the free parameters, (P,).

        NaN for parameters that are fixed or at a bound, and for all if the fit did not converge.
        """
        if not self.converged:
            return self._nan(len(self.values))
        errors: Vector = read_only(np.where(self.held, np.nan, self.minimum.errors()))
        return errors

    @cached_property
    def covariance(self) -> Vector:
        """Inverse Hessian of the free parameters, (P, P); 0 where fixed or at a bound.

        NaN throughout if the fit did not converge.
        """
        if not self.converged:
            return self._nan(len(self.values), len(self.values))
        covariance: Vector = read_only(self.minimum.covariance())
        return covariance

    @cached_property
    def correlation(self) -> Vector:
        """Correlation matrix, (P, P); NaN where `errors` is."""
        correlation: Vector = read_only(self.covariance / np.outer(self.errors, self.errors))
        return correlation

    @staticmethod
    def _nan(*shape: int) -> Vector:
        nothing: Vector = read_only(np.full(shape, np.nan))
        return nothing

    def error(self, name: str) -> float:
        """Standard deviation of the parameter called `name`; NaN where `errors` is."""
        return float(self.errors[self._index(name)])

    def __getitem__(self, name: str) -> float:
        return float(self.values[self._index(name)])

    def _index(self, name: str) -> int:
        try:
            return self.parameter_names.index(name)
        except ValueError:
            raise KeyError(unknown("parameter", str(name), self.parameter_names)) from None

    def to_dict(self) -> dict[str, Any]:
        """Plain Python values; NaN for what does not exist, such as errors of fixed parameters."""
        return {
            "poi": self.poi,
            "mu": self.mu,
            "nll": self.nll,
            "twice_nll": self.twice_nll,
            "edm": self.edm,
            "converged": self.converged,
            "status": self.status,
            "message": self.message,
            "gradient_norm": self.gradient_norm,
            "n_iter": self.n_iter,
            "n_evaluations": self.n_evaluations,
            "time_ms": self.time_ms,
            "active_bounds": list(self.active_bounds),
            "parameters": dict(zip(self.parameter_names, self.values.tolist(), strict=True)),
            "errors": dict(zip(self.parameter_names, self.errors.tolist(), strict=True)),
        }

    def to_dataframe(self) -> pd.DataFrame:
        """One row per parameter: value, error, fixed, at_bound."""
        import pandas as pd

        columns = {
            "value": self.values,
            "error": self.errors,
            "fixed": self.fixed,
            "at_bound": self.held & ~self.fixed,
        }
        index = pd.Index(self.parameter_names, name="name")
        frame: pd.DataFrame = pd.DataFrame(columns, index=index)
        return frame

    def __repr__(self) -> str:
        best = (
            ""
            if self.poi is None
            else f"{printable(self.poi)}={self.mu:.4g} +/- {self.error(self.poi):.2g}, "
        )
        return (
            f"FitResult({best}nll={self.nll:.6g}, edm={self.edm:.1e}, status={self.status!r}, "
            f"n_iter={self.n_iter}, {self.time_ms:.2g} ms)"
        )

    def _repr_html_(self) -> str:
        colour = "#2a7" if self.converged else "#c33"
        summary = (
            f"<b style='color:{colour}'>{html.escape(self.message)}</b><br>"
            f"2 nll = {self.twice_nll:.6f}, EDM = {self.edm:.1e}, "
            f"{self.n_iter} steps, {self.time_ms:.3g} ms"
        )
        table = self.to_dataframe().rename(index=printable).to_html(max_rows=30)
        return f"<div>{summary}{table}</div>"
