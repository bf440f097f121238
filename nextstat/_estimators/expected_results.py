"""What an analysis is tuned on: expected results as scores."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, TypeAlias

import numpy as np
import numpy.typing as npt

from nextstat._fits.fit import fit
from nextstat._fits.result import check_converged
from nextstat._inference.asimov import asimov_data
from nextstat._inference.hypotest import hypotest, significance
from nextstat._inference.limits import upper_limit
from nextstat._model.histfactory import HistFactoryModel

_LARGEST = 1e6  # limit on the signal strength

Metric: TypeAlias = Literal["significance", "cls", "upper_limit", "mu_uncertainty"]


def _significance(model: HistFactoryModel) -> float:
    return significance(model, data=_asimov(model, 1.0))


def _cls(model: HistFactoryModel) -> float:
    return -hypotest(model, 1.0, data=_asimov(model, 0.0)).cls


def _upper_limit(model: HistFactoryModel) -> float:
    bounds = {str(model.poi): (0.0, _LARGEST)}
    return -upper_limit(model, data=_asimov(model, 0.0), bounds=bounds, expected=False).observed


def _mu_uncertainty(model: HistFactoryModel) -> float:
    return -check_converged(fit(model, _asimov(model, 1.0))).error(str(model.poi))


def _asimov(model: HistFactoryModel, mu: float) -> npt.NDArray[np.float64]:
    """Data as expected before any were taken: no score may depend on those observed."""
    return asimov_data(model, mu, nuisances="nominal")


def free_poi(model: HistFactoryModel) -> dict[str, tuple[float, float]]:
    """Bounds with which the signal strength is not stopped by 0, for fits of weak signals."""
    lower, upper = model.bounds[model.parameters.index(str(model.poi))].tolist()
    return {str(model.poi): (min(lower, -10.0), max(upper, 10.0))}


METRICS: dict[str, Callable[[HistFactoryModel], float]] = {
    "significance": _significance,
    "cls": _cls,
    "upper_limit": _upper_limit,
    "mu_uncertainty": _mu_uncertainty,
}
