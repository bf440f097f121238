"""Which data statistics are of, and where their fits ended."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, NamedTuple

from torch import Tensor

from nextstat._base.arrays import Vector
from nextstat._base.read_only import ReadOnly
from nextstat._gradients.derivatives import Asimov, Dataset
from nextstat._gradients.warm_profile import WarmProfile
from nextstat._inference.asimov import AsimovNuisances

DataKind = Literal["observed", "asimov"]


class Choice(NamedTuple):
    """Which data a statistic is of.

    Attributes
    ----------
    data : {"observed", "asimov"}
    nuisances : {"nominal", "fitted"}
        Of Asimov data.
    mu : float
        Signal strength of Asimov data.
    """

    data: DataKind
    nuisances: AsimovNuisances
    mu: float

    def check(self) -> None:
        """Raise ValueError or TypeError for what is none of these."""
        if self.data not in ("observed", "asimov"):
            raise ValueError(f"data is {self.data!r}, expected 'asimov' or 'observed'")
        if self.nuisances not in ("nominal", "fitted"):
            raise ValueError(f"nuisances is {self.nuisances!r}, expected 'nominal' or 'fitted'")
        if isinstance(self.mu, Tensor):
            raise TypeError("asimov_mu is a tensor, expected a number: it is not differentiable")
        if not math.isfinite(self.mu):
            raise ValueError(f"asimov_mu is {self.mu}, expected a finite number")

    def dataset(self, observed: WarmProfile) -> Dataset:
        """The data, given what was observed."""
        if self.data == "observed":
            return Dataset(observed)
        return Asimov(observed, self.mu, self.nuisances)


@dataclass(frozen=True, eq=False)
class FitSummary(ReadOnly):
    """Where the fits behind a statistic ended; all of them converged.

    Attributes
    ----------
    muhat : float
        Parameter of interest that fits the data best; that of the hypothesis for Asimov data.
    values : (P,) ndarray
        All parameters there.
    conditional : dict of float to ndarray
        Parameters that fit best at tested values, (P,) each.
    """

    muhat: float
    values: Vector
    conditional: dict[float, Vector]
