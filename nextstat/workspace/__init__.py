"""Reading, patching and checking workspaces: pyhf JSON, schema 1.0.0.

`load` is the one way in. What it returns has passed every check that does not depend on the
choice of a measurement; what it rejects, it rejects with the place, the find and the expectation.
"""

from __future__ import annotations

from nextstat.workspace._loading import Source as Source
from nextstat.workspace._loading import load as load
from nextstat.workspace._patch_set import PatchSet as PatchSet
from nextstat.workspace._patch_set import Point as Point
from nextstat.workspace._patches import Patch as Patch
from nextstat.workspace._schema import Channel as Channel
from nextstat.workspace._schema import HistoSys as HistoSys
from nextstat.workspace._schema import HistoSysData as HistoSysData
from nextstat.workspace._schema import Lumi as Lumi
from nextstat.workspace._schema import Measurement as Measurement
from nextstat.workspace._schema import MeasurementConfig as MeasurementConfig
from nextstat.workspace._schema import Modifier as Modifier
from nextstat.workspace._schema import NormFactor as NormFactor
from nextstat.workspace._schema import NormSys as NormSys
from nextstat.workspace._schema import NormSysData as NormSysData
from nextstat.workspace._schema import Observation as Observation
from nextstat.workspace._schema import ParameterConfig as ParameterConfig
from nextstat.workspace._schema import Sample as Sample
from nextstat.workspace._schema import ShapeFactor as ShapeFactor
from nextstat.workspace._schema import ShapeSys as ShapeSys
from nextstat.workspace._schema import StatError as StatError
from nextstat.workspace._schema import Workspace as Workspace

__all__ = [
    "Channel",
    "HistoSys",
    "HistoSysData",
    "Lumi",
    "Measurement",
    "MeasurementConfig",
    "Modifier",
    "NormFactor",
    "NormSys",
    "NormSysData",
    "Observation",
    "ParameterConfig",
    "Patch",
    "PatchSet",
    "Point",
    "Sample",
    "ShapeFactor",
    "ShapeSys",
    "Source",
    "StatError",
    "Workspace",
    "load",
]
