"""nextstat: HistFactory models of particle physics, built, fitted and tested in milliseconds.

Names load on first use, so that ``import nextstat`` stays light.
"""

from __future__ import annotations

import importlib
import importlib.util
from typing import TYPE_CHECKING, Any

from nextstat._base.lazy import loader

if importlib.util.find_spec("nextstat._core") is None:
    raise ImportError(
        f"{__path__[0]} holds the sources of nextstat without its compiled modules, and hides a "
        "nextstat that is installed: start Python in another folder, or build in this one with "
        "pip install -e . (see CONTRIBUTING.md)"
    )

if TYPE_CHECKING:
    from nextstat import callbacks as callbacks
    from nextstat import datasets as datasets
    from nextstat import inspection as inspection
    from nextstat import interpret as interpret
    from nextstat import metrics as metrics
    from nextstat import mlops as mlops
    from nextstat import plot as plot
    from nextstat import torch as torch
    from nextstat import workspace as workspace
    from nextstat._estimators.estimator import HistFactoryEstimator as HistFactoryEstimator
    from nextstat._estimators.score_transformer import ScoreTransformer as ScoreTransformer
    from nextstat._execution.threads import get_num_threads as get_num_threads
    from nextstat._execution.threads import set_num_threads as set_num_threads
    from nextstat._fits.fit import fit as fit
    from nextstat._fits.result import FitResult as FitResult
    from nextstat._fits.toys import FitBatch as FitBatch
    from nextstat._fits.toys import fit_batch as fit_batch
    from nextstat._fits.toys import fit_toys as fit_toys
    from nextstat._fits.toys import toy_data as toy_data
    from nextstat._inference.asimov import asimov_data as asimov_data
    from nextstat._inference.contour import Contour as Contour
    from nextstat._inference.contour import contour as contour
    from nextstat._inference.ensembles import ToyEnsembles as ToyEnsembles
    from nextstat._inference.feldman_cousins import FeldmanCousins as FeldmanCousins
    from nextstat._inference.feldman_cousins import feldman_cousins as feldman_cousins
    from nextstat._inference.goodness_of_fit import GoodnessOfFit as GoodnessOfFit
    from nextstat._inference.goodness_of_fit import goodness_of_fit as goodness_of_fit
    from nextstat._inference.hypotest import HypoTestResult as HypoTestResult
    from nextstat._inference.hypotest import hypotest as hypotest
    from nextstat._inference.hypotest import significance as significance
    from nextstat._inference.interval import Interval as Interval
    from nextstat._inference.interval import interval as interval
    from nextstat._inference.limits import UpperLimit as UpperLimit
    from nextstat._inference.limits import upper_limit as upper_limit
    from nextstat._inference.scan import ClsScan as ClsScan
    from nextstat._inference.scan import Scan as Scan
    from nextstat._inference.scan import cls_scan as cls_scan
    from nextstat._inference.scan import scan as scan
    from nextstat._model.histfactory import HistFactoryModel as HistFactoryModel
    from nextstat._model.histfactory import from_pyhf as from_pyhf
    from nextstat.exceptions import BoundWarning as BoundWarning
    from nextstat.exceptions import DegenerateWarning as DegenerateWarning
    from nextstat.exceptions import DeviceError as DeviceError
    from nextstat.exceptions import EmptyBinWarning as EmptyBinWarning
    from nextstat.exceptions import FitError as FitError
    from nextstat.exceptions import FitWarning as FitWarning
    from nextstat.exceptions import GradientWarning as GradientWarning
    from nextstat.exceptions import InterruptedWarning as InterruptedWarning
    from nextstat.exceptions import LimitWarning as LimitWarning
    from nextstat.exceptions import LocalMinimumWarning as LocalMinimumWarning
    from nextstat.exceptions import NextstatError as NextstatError
    from nextstat.exceptions import NotConvergedWarning as NotConvergedWarning
    from nextstat.exceptions import PrecisionWarning as PrecisionWarning
    from nextstat.exceptions import WorkspaceError as WorkspaceError
    from nextstat.exceptions import WorkspaceWarning as WorkspaceWarning
    from nextstat.interpret._yields import Yields as Yields
    from nextstat.interpret._yields import yields as yields
    from nextstat.workspace import Workspace as Workspace

    __version__: str

_HOME = {
    "BoundWarning": "exceptions",
    "ClsScan": "_inference.scan",
    "Contour": "_inference.contour",
    "DegenerateWarning": "exceptions",
    "DeviceError": "exceptions",
    "EmptyBinWarning": "exceptions",
    "FeldmanCousins": "_inference.feldman_cousins",
    "FitBatch": "_fits.toys",
    "FitError": "exceptions",
    "FitResult": "_fits.result",
    "FitWarning": "exceptions",
    "GoodnessOfFit": "_inference.goodness_of_fit",
    "GradientWarning": "exceptions",
    "HistFactoryEstimator": "_estimators.estimator",
    "HistFactoryModel": "_model.histfactory",
    "HypoTestResult": "_inference.hypotest",
    "InterruptedWarning": "exceptions",
    "Interval": "_inference.interval",
    "LimitWarning": "exceptions",
    "LocalMinimumWarning": "exceptions",
    "NextstatError": "exceptions",
    "NotConvergedWarning": "exceptions",
    "PrecisionWarning": "exceptions",
    "Scan": "_inference.scan",
    "ScoreTransformer": "_estimators.score_transformer",
    "ToyEnsembles": "_inference.ensembles",
    "UpperLimit": "_inference.limits",
    "Workspace": "workspace",
    "WorkspaceError": "exceptions",
    "WorkspaceWarning": "exceptions",
    "Yields": "interpret._yields",
    "asimov_data": "_inference.asimov",
    "cls_scan": "_inference.scan",
    "contour": "_inference.contour",
    "feldman_cousins": "_inference.feldman_cousins",
    "fit": "_fits.fit",
    "fit_batch": "_fits.toys",
    "fit_toys": "_fits.toys",
    "from_pyhf": "_model.histfactory",
    "get_num_threads": "_execution.threads",
    "goodness_of_fit": "_inference.goodness_of_fit",
    "hypotest": "_inference.hypotest",
    "interval": "_inference.interval",
    "scan": "_inference.scan",
    "set_num_threads": "_execution.threads",
    "significance": "_inference.hypotest",
    "toy_data": "_fits.toys",
    "upper_limit": "_inference.limits",
    "yields": "interpret._yields",
}
_OPTIONAL = {"torch"}  # modules that need what `pip install .` does not bring
_MODULES = {
    "callbacks",
    "datasets",
    "exceptions",
    "histogram",
    "inspection",
    "interpret",
    "metrics",
    "mlops",
    "plot",
    "workspace",
}

__all__ = sorted([*_HOME, *_MODULES])


_load = loader(__name__, _HOME)


def __getattr__(name: str) -> Any:
    if name in _MODULES | _OPTIONAL:
        return importlib.import_module(f"nextstat.{name}")
    if name == "__version__":
        return importlib.import_module("importlib.metadata").version("nextstat")
    return _load(name)


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
