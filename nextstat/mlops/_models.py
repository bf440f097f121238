"""What a model is worth and how its fit went, as numbers for an experiment tracker."""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from nextstat._base.arguments import check_flag, check_integer, check_option, own_options
from nextstat._fits.fit import fit
from nextstat._fits.settings import MAX_ITERATIONS, Bounds, Fixed, Init, way_to_model
from nextstat._inference.asimov import AsimovNuisances, asimov_at, asimov_parameters
from nextstat._inference.hypotest import significance
from nextstat._inference.profile import observe
from nextstat._model.histfactory import HistFactoryModel
from nextstat.exceptions import FitError
from nextstat.interpret import rank_impact
from nextstat.mlops._numbers import check_prefix, health

if TYPE_CHECKING:
    from nextstat.torch import HistFactoryLayer


def model_metrics(
    model: HistFactoryModel | HistFactoryLayer,
    prefix: str = "",
    *,
    expected: bool = True,
    nuisances: AsimovNuisances = "fitted",
    top_n: int = 10,
    poi: str | None = None,
    init: Init | None = None,
    fixed: Fixed | None = None,
    bounds: Bounds | None = None,
    n_starts: int = 1,
    max_iterations: int = MAX_ITERATIONS,
) -> dict[str, float]:
    """What a model is worth and how its fit went: for every epoch of a training, or every trial.

    Parameters
    ----------
    model : HistFactoryModel or HistFactoryLayer
        A layer made by `from_histograms`: its model, with its `init`, `fixed` and `bounds` where
        none are given here. Layers of a model do not know the templates that they are called with.
    prefix : str
        In front of every name, such as "val/".
    expected : bool
        Whether everything is about the data expected with signal, or about the observed data.
    nuisances : {"fitted", "nominal"}
        Of the expected data: fitted to the observed ones as in `nextstat.significance`, or nominal
        as in the losses and layers of `nextstat.torch` unless they are told otherwise. The same
        for a layer, whose histograms alone are what is expected.
    top_n : int
        Number of impacts; 0 for none.
    poi : str, optional
        Another parameter as parameter of interest.
    init, fixed, bounds, n_starts, max_iterations
        As for `nextstat.fit`.

    Returns
    -------
    dict of str to float
        `z0`, `q0`, `mu`, ``error/<poi>``, `nll`, `edm`, `converged` (1.0 if all fits did, or 0.0),
        `time_ms` (of everything together), `n_active_bounds`, and ``impact/<name>`` of the
        nuisance parameters with the largest total impact; NaN where `rank_impact` has none, as
        for parameters at a bound. Without convergence, `z0` and `q0` are NaN, and impacts are
        missing. As in `nextstat.significance`, `z0` and `q0` are infinite, with a `FitWarning`,
        where there are events in bins in which none can be expected without signal.

    Raises
    ------
    TypeError
        If it is neither a model nor a layer from histograms.
    ValueError
        If there is no parameter of interest, an option is impossible, a histogram of a layer is
        not finite, or observed data are asked for, which a layer does not have.
    """
    check_metrics_options(prefix, expected=expected, nuisances=nuisances, top_n=top_n)
    started = time.perf_counter()
    model, own = model_of(model, "model", expected=expected)
    given = {"init": init, "fixed": fixed, "bounds": bounds}
    options = own_options(
        {key: own.get(key) if value is None else value for key, value in given.items()}
    )
    options |= {"n_starts": n_starts, "max_iterations": max_iterations}
    data = None
    converged = True
    try:
        if expected:
            observed = observe(model, poi=poi, **options)
            data = asimov_at(model, asimov_parameters(observed, 1.0, nuisances))
        z0 = significance(model, data=data, poi=poi, **options)
    except FitError:
        z0, converged = math.nan, False
    result = fit(model, data, **options)
    if not result.converged:
        z0 = math.nan
    name = str(model.poi if poi is None else poi)
    metrics = {f"{prefix}z0": z0, f"{prefix}q0": z0**2, **health(result, prefix)}
    metrics[f"{prefix}mu"] = result[name]
    metrics[f"{prefix}n_active_bounds"] = float(len(result.active_bounds))
    metrics[f"{prefix}error/{name}"] = result.error(name)
    if not converged:
        metrics[f"{prefix}converged"] = 0.0
    elif top_n and result.converged:
        for row in rank_impact(model, top_n=top_n, data=data, poi=poi, **options):
            metrics[f"{prefix}impact/{row['name']}"] = row["total_impact"]
    metrics[f"{prefix}time_ms"] = 1e3 * (time.perf_counter() - started)
    return metrics


def check_metrics_options(
    prefix: object,
    *,
    expected: object = True,
    nuisances: object = "fitted",
    top_n: object = 10,
    **of_the_fit: Any,
) -> None:
    """Raise TypeError or ValueError for options that suit no model.

    Those of the fit depend on the model; here they need only be some.
    """
    check_prefix(prefix)
    check_flag(expected, "expected")
    check_option(nuisances, "nuisances", ("fitted", "nominal"))
    check_integer(top_n, "top_n", least=0)
    known = {"poi", "init", "fixed", "bounds", "n_starts", "max_iterations"}
    unknown = sorted(of_the_fit.keys() - known)
    if unknown:
        raise TypeError(f"{unknown[0]!r} is no option of model_metrics")


def model_of(
    source: object, what: str, *, expected: bool
) -> tuple[HistFactoryModel, Mapping[str, Any]]:
    """The model to evaluate, and the options of the layer that it is from.

    Raises
    ------
    TypeError
        If it is neither a model nor a layer from histograms; `what` says which argument it was.
    ValueError
        If a histogram of the layer is not finite, or not the expected data are wanted.
    """
    if isinstance(source, HistFactoryModel):
        return source, {}
    torch = sys.modules.get("nextstat.torch")  # not imported for those who have no layers
    if torch is None or not isinstance(source, torch.HistFactoryLayer):
        raise TypeError(
            f"{what} is a {type(source).__name__}, expected a HistFactoryModel, or a "
            f"HistFactoryLayer made by from_histograms{way_to_model(source)}"
        )
    if source._histograms is None:
        raise TypeError(
            f"{what} is a HistFactoryLayer of a model, which does not know the templates that it "
            "is called with: expected a HistFactoryModel built from these, or a layer made by "
            "from_histograms"
        )
    if not expected:
        raise ValueError(
            f"expected=False, but {what} is a layer from histograms, which has no observed data: "
            "pass a HistFactoryModel that has them"
        )
    for name, tensor in source._histograms.tensors.items():
        if not tensor.isfinite().all():
            raise ValueError(
                f"the histogram {name!r} of the layer is {tensor.tolist()}, expected finite "
                "numbers: look at the outputs and the weights of the network, the training may "
                "have diverged"
            )
    return source.model, source._fits.options
