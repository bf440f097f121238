"""Statistics of a model as differentiable functions of its templates."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from nextstat._base.warnings import warn
from nextstat._fits.settings import MAX_ITERATIONS, Bounds, Fixed, Init, check_model
from nextstat._gradients.derivatives import Dataset
from nextstat._gradients.statistics import (
    Statistic,
    covariance,
    expected_log_cls,
    find_limit,
    lowest_nll,
    nll_at,
    observed_log_cls,
    root,
    test_statistic,
    uncertainty,
)
from nextstat._gradients.templates import BindableTemplates
from nextstat._inference.asimov import AsimovNuisances
from nextstat._inference.limits import limit_level
from nextstat._inference.profile import poi_index
from nextstat._model.histfactory import HistFactoryModel, from_pyhf
from nextstat.exceptions import LocalMinimumWarning
from nextstat.torch._statistics.dataset import Choice, DataKind, FitSummary
from nextstat.torch._statistics.evaluate import Array
from nextstat.torch._statistics.fits import DATA, LayerFits, Templates
from nextstat.torch._statistics.from_histograms import Background, Histograms, Pairs, collect

_SAME = 1e-4  # in ln CLs: fits at one limit that end in the same minimum


class HistFactoryLayer:
    """Statistics of a model, differentiable in any of its templates.

    Every method takes the templates that change as tensors, by the names of `template_names`; the
    others are those of the model. Leading dimensions of the tensors are those of a batch: they
    broadcast, the fits of the elements run in parallel, and the result has them too. Results are
    float64; gradients have the type and the device of the tensors. They can be differentiated
    once.

    Parameters
    ----------
    model : HistFactoryModel
    poi : str, optional
        Another parameter as parameter of interest.
    init, fixed, bounds, n_starts, max_iterations
        As for `nextstat.fit`; `init` moves the start of fits, not the nominal values of Asimov
        data.
    warm_start : bool
        Start fits where those of the last call ended. As soon as they have moved by a quarter of a
        constraint width, fits are made from the starting values as well, and the lower minimum
        counts; sooner, and every ten calls, where several minima are likely (`cpp/model/folded.h`).

    Attributes
    ----------
    template_names : tuple of str
        Of the templates of the model (see `HistFactoryModel.templates`), and "data": observed
        events, (n_bins,), or events and auxiliary measurements, (n_bins + n_aux,).
    last_fits : list of FitSummary
        Of the last call, one for each element of the batch whose fits converged. Threads that
        share a layer get right values, but cannot tell whose fits these are.

    Notes
    -----
    Common to the methods:

    ``data="asimov"`` (default)
        The expectation at a signal strength, which depends on the templates like everything else.
        With ``nuisances="nominal"``, the other parameters are at the model's starting values, with
        "fitted" at their best for the observed data, as in `nextstat.significance` and
        `nextstat.hypotest`.
    ``data="observed"``
        The data of the model, or those passed as "data".

    Derivatives follow from the envelope theorem and the implicit function theorem, with parameters
    at a bound or at the kink of an interpolation code held; see `cpp/kernels/sensitivity.h`. All
    methods raise

    - `FitError` if a fit did not converge, or for derivatives of what is infinite: statistics of
      values that the data exclude outright, which warn;
    - `ValueError` for shapes that do not fit, numbers that are not finite, and bins whose samples
      add up to less than 0, and data that are passed but not used; `KeyError` for unknown names;
      `TypeError` for what is no tensor.
    """

    def __init__(
        self,
        model: HistFactoryModel,
        *,
        poi: str | None = None,
        init: Init | None = None,
        fixed: Fixed | None = None,
        bounds: Bounds | None = None,
        n_starts: int = 1,
        max_iterations: int = MAX_ITERATIONS,
        warm_start: bool = True,
    ) -> None:
        options = {"init": init, "fixed": fixed, "bounds": bounds}
        options |= {"n_starts": n_starts, "max_iterations": max_iterations}
        self._start(BindableTemplates(check_model(model)), None, poi, options, warm_start)

    def _start(
        self,
        templates: BindableTemplates,
        histograms: Histograms | None,
        poi: str | None,
        options: dict[str, Any],
        warm_start: bool,
    ) -> None:
        self._histograms = histograms
        bound = None if histograms is None else histograms.tensors
        self._fits = LayerFits(
            templates, bound, poi_index(templates.model, poi), options, warm_start
        )

    @classmethod
    def from_histograms(
        cls,
        signal: Tensor,
        background: Background,
        *,
        variations: Mapping[str, Pairs] | None = None,
        norm_systematics: Mapping[str, object] | None = None,
        staterror: Tensor | Mapping[str, Tensor] | None = None,
        interpolation: tuple[str, str] = ("code4", "code4p"),
        init: Init | None = None,
        fixed: Fixed | None = None,
        bounds: Bounds | None = None,
        n_starts: int = 1,
        max_iterations: int = MAX_ITERATIONS,
        warm_start: bool = True,
    ) -> HistFactoryLayer:
        """A model of one channel straight from histograms, all of them tensors.

        Parameters
        ----------
        signal : (..., n_bins) Tensor
            Scaled by the parameter of interest "mu".
        background : (..., n_bins) Tensor, or mapping of str to Tensor
            One background, called "background", or several.
        variations : mapping of str to pair of Tensor, or to mapping of sample to pair, optional
            Up and down variation of yields, (..., n_bins) each: of the only background, or by
            sample. None for down mirrors up at the nominal yields, with a `WorkspaceWarning`.
        norm_systematics : mapping, optional
            As for `HistFactoryEstimator`, factors as (down, up); of all samples, signal included,
            or by sample. A name that is among the variations too shares their parameter.
        staterror : (..., n_bins) Tensor, or mapping of sample to Tensor, optional
            Variances: sums of squared weights of the simulated events, where a workspace has their
            roots. A tensor is that of all backgrounds together. Backgrounds share one parameter per
            bin; the signal has its own.
        interpolation : (str, str)
            As for `nextstat.from_pyhf`.
        init, fixed, bounds, n_starts, max_iterations, warm_start
            As for `HistFactoryLayer`.

        Returns
        -------
        HistFactoryLayer
            With the tensors bound: methods need no others. There are no observed data unless
            "data" is passed.

        Raises
        ------
        ValueError, TypeError
            If shapes or names do not fit together.
        """
        histograms = collect(
            signal, background, variations, norm_systematics, staterror, interpolation
        )
        layer = cls.__new__(cls)
        options = {"init": init, "fixed": fixed, "bounds": bounds}
        options |= {"n_starts": n_starts, "max_iterations": max_iterations}
        layer._start(histograms.templates(), histograms, None, options, warm_start)
        return layer

    @property
    def model(self) -> HistFactoryModel:
        """The model whose templates are used where none are passed.

        That of a layer from histograms has their sum as data.
        """
        if self._histograms is None:
            return self._fits.templates.model
        codes = self._histograms.structure.interpolation
        return from_pyhf(self._histograms.workspace(), interpolation=codes)

    def to_workspace(self) -> dict[str, Any]:
        """The model of a layer from histograms as a workspace, in the pyhf JSON format.

        The observations are the sum of the histograms.

        Raises
        ------
        ValueError
            If the layer was made from a model, or the histograms are a batch.
        """
        if self._histograms is None:
            raise ValueError("the layer was made from a model, expected one from histograms")
        return self._histograms.workspace()

    def __repr__(self) -> str:
        model = self._fits.templates.model
        return (
            f"{type(self).__name__}({len(model.parameters)} parameters, {model.n_bins} bins in "
            f"{len(model.channels)} channels, samples={list(model.samples)}, "
            f"poi={model.parameter_names[self._fits.poi]!r})"
        )

    @property
    def template_names(self) -> tuple[str, ...]:
        """Names that templates can be passed by."""
        return (*self._fits.templates.places, DATA)

    @property
    def last_fits(self) -> list[FitSummary]:
        """Where the fits of the last call ended, one for each element of the batch."""
        return self._fits.last

    def nll(
        self,
        templates: Templates = None,
        params: Tensor | None = None,
        *,
        data: DataKind = "observed",
        nuisances: AsimovNuisances = "nominal",
        asimov_mu: float = 1.0,
    ) -> Tensor:
        """Negative log-likelihood at given parameters, or at its minimum.

        Parameters
        ----------
        templates : mapping of str to Tensor, optional
        params : (..., P) Tensor, optional
            Differentiable too; the best fit by default.
        data, nuisances, asimov_mu
            See the class; the signal strength of Asimov data.

        Returns
        -------
        (...) Tensor
        """

        def statistic(dataset: Dataset, values: dict[str, Array]) -> Statistic:
            return nll_at(dataset, values["params"]) if "params" in values else lowest_nll(dataset)

        more = {} if params is None else {"params": params}
        choice = Choice(data, nuisances, asimov_mu)
        return self._fits.evaluate("nll", statistic, choice, templates, more)

    def q0(
        self,
        templates: Templates = None,
        *,
        data: DataKind = "asimov",
        nuisances: AsimovNuisances = "nominal",
        asimov_mu: float = 1.0,
    ) -> Tensor:
        """Discovery test statistic q0 (arXiv:1007.1727, 12).

        Parameters
        ----------
        templates : mapping of str to Tensor, optional
        data, nuisances
            See the class.
        asimov_mu : float
            Signal strength of Asimov data.

        Returns
        -------
        (...) Tensor
        """

        def statistic(dataset: Dataset, values: dict[str, Array]) -> Statistic:
            return test_statistic(dataset, "q0", 0.0)

        return self._fits.evaluate("q0", statistic, Choice(data, nuisances, asimov_mu), templates)

    def z0(
        self,
        templates: Templates = None,
        *,
        data: DataKind = "asimov",
        nuisances: AsimovNuisances = "nominal",
        asimov_mu: float = 1.0,
    ) -> Tensor:
        """Significance sqrt(q0) of a discovery.

        As `q0`. Where q0 is 0, the significance has a kink; 0 is given as its derivative, with a
        `GradientWarning`.
        """

        def statistic(dataset: Dataset, values: dict[str, Array]) -> Statistic:
            return root(test_statistic(dataset, "q0", 0.0), "q0")

        return self._fits.evaluate("q0", statistic, Choice(data, nuisances, asimov_mu), templates)

    def qmu(
        self,
        templates: Templates = None,
        *,
        mu: float | Tensor = 1.0,
        data: DataKind = "asimov",
        nuisances: AsimovNuisances = "nominal",
        asimov_mu: float = 0.0,
    ) -> Tensor:
        """Test statistic qtilde for exclusion (arXiv:1007.1727, 16).

        Parameters
        ----------
        templates : mapping of str to Tensor, optional
        mu : float or (...) Tensor
            Tested signal strength, positive; differentiable if a tensor.
        data, nuisances
            See the class.
        asimov_mu : float
            Signal strength of Asimov data.

        Returns
        -------
        (...) Tensor
        """

        def statistic(dataset: Dataset, values: dict[str, Array]) -> Statistic:
            return test_statistic(dataset, "qtilde", _tested(mu, values))

        choice = Choice(data, nuisances, asimov_mu)
        return self._fits.evaluate(
            "qmu", statistic, choice, templates, _as_input(mu), bounds=(0.0, 0.0)
        )

    def cls(
        self,
        templates: Templates = None,
        *,
        mu: float | Tensor = 1.0,
        data: DataKind = "asimov",
        nuisances: AsimovNuisances = "nominal",
    ) -> Tensor:
        """CLs of a signal strength, by asymptotic formulas; see `log_cls`."""
        return torch.exp(self.log_cls(templates, mu=mu, data=data, nuisances=nuisances))

    def log_cls(
        self,
        templates: Templates = None,
        *,
        mu: float | Tensor = 1.0,
        data: DataKind = "asimov",
        nuisances: AsimovNuisances = "nominal",
    ) -> Tensor:
        """Logarithm of CLs: what to train on, since small CLs have hardly any gradient.

        Parameters
        ----------
        templates : mapping of str to Tensor, optional
        mu : float or (...) Tensor
            Tested signal strength, positive; differentiable if a tensor.
        data : {"asimov", "observed"}
            Median expected CLs, of background-only Asimov data, or that of the observed data.
        nuisances : {"nominal", "fitted"}
            Of the Asimov data, which the observed CLs needs too.

        Returns
        -------
        (...) Tensor

        Notes
        -----
        Expected: CLs = 2 [1 - Phi(sqrt(qA))] (arXiv:1007.1727, section 4). Where a test statistic
        is 0, its root has a kink; 0 is given as the derivative, with a `GradientWarning`.
        """
        return self._log_cls(templates, mu, data, nuisances)

    def _log_cls(
        self,
        templates: Templates,
        mu: float | Tensor,
        data: DataKind,
        nuisances: AsimovNuisances,
        upper: float = 0.0,
    ) -> Tensor:
        """`log_cls` with the upper bound of the parameter of interest moved out, if need be."""

        def statistic(dataset: Dataset, values: dict[str, Array]) -> Statistic:
            tested = _tested(mu, values)
            if data == "asimov":
                return expected_log_cls(dataset, tested)
            return observed_log_cls(dataset, tested, nuisances)

        choice = Choice(data, nuisances, 0.0)
        bounds = (0.0, upper)
        return self._fits.evaluate(
            "cls", statistic, choice, templates, _as_input(mu), bounds=bounds
        )

    def upper_limit(
        self,
        templates: Templates = None,
        *,
        level: float = 0.95,
        data: DataKind = "asimov",
        nuisances: AsimovNuisances = "nominal",
    ) -> Tensor:
        """Upper limit on the parameter of interest: where CLs is 1 - level.

        Parameters
        ----------
        templates : mapping of str to Tensor, optional
        level : float
            Confidence level.
        data : {"asimov", "observed"}
            Median expected limit, or that of the observed data.
        nuisances : {"nominal", "fitted"}

        Returns
        -------
        (...) Tensor

        Notes
        -----
        With F(mu, t) = log CLs, the derivative in a template t is -(dF/dt) / (dF/dmu).
        """
        alpha = 1.0 - limit_level(level)

        def limits(dataset: Dataset, values: dict[str, Array]) -> Statistic:
            return Statistic(find_limit(dataset, alpha, nuisances), lambda g: {})

        choice = Choice(data, nuisances, 0.0)
        limit = self._fits.evaluate("limit", limits, choice, templates, bounds=(0.0, 0.0)).detach()
        if not self._fits.differentiates(templates):
            return limit
        with torch.enable_grad():
            mu = limit.clone().requires_grad_()
            upper = 2.0 * float(limit.max())
            log_cls = self._log_cls(templates, mu, data, nuisances, upper)
            (slope,) = torch.autograd.grad(log_cls.sum(), mu, retain_graph=True)
        excess = log_cls - math.log(alpha)
        if bool((excess.detach().abs() > _SAME).any()):
            warn(
                "the likelihood has several minima near the upper limit: its derivative is that of "
                "other fits than the limit",
                LocalMinimumWarning,
            )
            excess = log_cls - log_cls.detach()
        return limit - excess / slope  # a Newton step, and its derivative

    def mu_uncertainty(
        self,
        templates: Templates = None,
        *,
        data: DataKind = "asimov",
        nuisances: AsimovNuisances = "nominal",
        asimov_mu: float = 1.0,
    ) -> Tensor:
        """Standard deviation of the parameter of interest, from the Hessian at the best fit.

        Parameters
        ----------
        templates : mapping of str to Tensor, optional
        data, nuisances
            See the class.
        asimov_mu : float
            Signal strength of Asimov data.

        Returns
        -------
        (...) Tensor

        Raises
        ------
        FitError
            Also if the parameter is fitted at its bound, where it has no variance.
        """

        def statistic(dataset: Dataset, values: dict[str, Array]) -> Statistic:
            return uncertainty(dataset)

        choice = Choice(data, nuisances, asimov_mu)
        return self._fits.evaluate("variance", statistic, choice, templates)

    def covariance(
        self,
        templates: Templates = None,
        *,
        data: DataKind = "asimov",
        nuisances: AsimovNuisances = "nominal",
        asimov_mu: float = 1.0,
    ) -> Tensor:
        """Covariance of all parameters at the best fit: the inverse of the Hessian.

        Parameters
        ----------
        templates : mapping of str to Tensor, optional
        data, nuisances, asimov_mu
            As for `mu_uncertainty`.

        Returns
        -------
        (..., P, P) Tensor
            In the order of `model.parameter_names`; 0 for fixed parameters and those at a bound.
        """

        def statistic(dataset: Dataset, values: dict[str, Array]) -> Statistic:
            return covariance(dataset)

        choice = Choice(data, nuisances, asimov_mu)
        return self._fits.evaluate("variance", statistic, choice, templates)


def _as_input(mu: float | Tensor) -> dict[str, Tensor]:
    return {"mu": mu} if isinstance(mu, Tensor) else {}


def _tested(mu: float | Tensor, values: dict[str, Array]) -> float:
    tested = float(values["mu"]) if "mu" in values else float(mu)
    if not 0.0 < tested < math.inf:
        raise ValueError(f"mu is {tested:g}, expected a positive number")
    return tested
