"""Results of the analysis as losses."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from typing import Any

from torch import Tensor

from nextstat._inference.asimov import AsimovNuisances
from nextstat._model.histfactory import HistFactoryModel
from nextstat.torch._histograms.tensors import OnDevice
from nextstat.torch._statistics.dataset import Choice, DataKind
from nextstat.torch._statistics.layer import HistFactoryLayer
from nextstat.torch._statistics.signal import Sample


class _Loss(OnDevice):
    """What all losses share: a model whose signal is a tensor.

    Parameters
    ----------
    model : HistFactoryModel or HistFactoryLayer
    signal_sample_name : str
        Sample that the tensor stands for.
    data : {"asimov", "observed"}
        Data that follow the templates, as those of an analysis that is still to be made, or the
        model's.
    nuisances : {"nominal", "fitted"}
        Of the Asimov data; see `HistFactoryLayer`.

    Raises
    ------
    KeyError
        If the model has no such sample.
    ValueError
        If an option is none of its choices.
    """

    def __init__(
        self,
        model: HistFactoryModel | HistFactoryLayer,
        signal_sample_name: str = "signal",
        *,
        data: DataKind = "asimov",
        nuisances: AsimovNuisances = "nominal",
    ) -> None:
        super().__init__()
        Choice(data, nuisances, 0.0).check()
        self.layer = model if isinstance(model, HistFactoryLayer) else HistFactoryLayer(model)
        self._sample = Sample(self.layer._fits.templates.model, signal_sample_name)
        self._choice: dict[str, Any] = {"data": data, "nuisances": nuisances}

    def forward(self, histogram: Tensor, templates: Mapping[str, Tensor] | None = None) -> Tensor:
        """The loss, (...), of a signal histogram, (..., n_bins), channel after channel.

        Other templates can be tensors too, by the names of the layer's `template_names`.
        """
        return self._statistic({**self._sample.split(histogram), **(templates or {})})

    @abstractmethod
    def _statistic(self, templates: dict[str, Tensor]) -> Tensor:
        """The loss from all templates that change."""


class SignificanceLoss(_Loss):
    """Significance of a discovery, negative, so that training raises it.

    Parameters
    ----------
    model, signal_sample_name, data, nuisances
        Model, or layer; name of the sample that the tensor stands for; which data, see
        `HistFactoryLayer`.
    negate : bool
        Whether to give -Z0, to be minimised, or Z0.
    mu : float
        Signal strength of the Asimov data.

    Raises
    ------
    KeyError
        If the model has no such sample.
    """

    def __init__(
        self,
        model: HistFactoryModel | HistFactoryLayer,
        signal_sample_name: str = "signal",
        negate: bool = True,
        *,
        data: DataKind = "asimov",
        nuisances: AsimovNuisances = "nominal",
        mu: float = 1.0,
    ) -> None:
        super().__init__(model, signal_sample_name, data=data, nuisances=nuisances)
        self.negate = negate
        self.mu = mu

    def _statistic(self, templates: dict[str, Tensor]) -> Tensor:
        z0 = self.layer.z0(templates, asimov_mu=self.mu, **self._choice)
        return -z0 if self.negate else z0


class CLsLoss(_Loss):
    """Logarithm of the CLs of a signal strength: training makes it excluded.

    Parameters
    ----------
    model, signal_sample_name, data, nuisances
        As for `SignificanceLoss`.
    mu : float
        Tested signal strength.
    log : bool
        Whether to give ln CLs, whose gradient does not vanish with CLs, or CLs.
    """

    def __init__(
        self,
        model: HistFactoryModel | HistFactoryLayer,
        signal_sample_name: str = "signal",
        *,
        mu: float = 1.0,
        log: bool = True,
        data: DataKind = "asimov",
        nuisances: AsimovNuisances = "nominal",
    ) -> None:
        super().__init__(model, signal_sample_name, data=data, nuisances=nuisances)
        self.mu = mu
        self.log = log

    def _statistic(self, templates: dict[str, Tensor]) -> Tensor:
        statistic = self.layer.log_cls if self.log else self.layer.cls
        return statistic(templates, mu=self.mu, **self._choice)


class UpperLimitLoss(_Loss):
    """Upper limit on the signal strength.

    Parameters
    ----------
    model, signal_sample_name, data, nuisances
        As for `SignificanceLoss`.
    level : float
        Confidence level.
    """

    def __init__(
        self,
        model: HistFactoryModel | HistFactoryLayer,
        signal_sample_name: str = "signal",
        *,
        level: float = 0.95,
        data: DataKind = "asimov",
        nuisances: AsimovNuisances = "nominal",
    ) -> None:
        super().__init__(model, signal_sample_name, data=data, nuisances=nuisances)
        self.level = level

    def _statistic(self, templates: dict[str, Tensor]) -> Tensor:
        return self.layer.upper_limit(templates, level=self.level, **self._choice)


class MuUncertaintyLoss(_Loss):
    """Standard deviation of the signal strength.

    Parameters
    ----------
    model, signal_sample_name, data, nuisances
        As for `SignificanceLoss`.
    mu : float
        Signal strength of the Asimov data.
    """

    def __init__(
        self,
        model: HistFactoryModel | HistFactoryLayer,
        signal_sample_name: str = "signal",
        *,
        data: DataKind = "asimov",
        nuisances: AsimovNuisances = "nominal",
        mu: float = 1.0,
    ) -> None:
        super().__init__(model, signal_sample_name, data=data, nuisances=nuisances)
        self.mu = mu

    def _statistic(self, templates: dict[str, Tensor]) -> Tensor:
        return self.layer.mu_uncertainty(templates, asimov_mu=self.mu, **self._choice)
