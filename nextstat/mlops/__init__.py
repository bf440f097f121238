"""Results as plain numbers and tables, for experiment trackers; none of them is imported."""

from __future__ import annotations

from nextstat.mlops._fits import StepTimer as StepTimer
from nextstat.mlops._fits import metrics_dict as metrics_dict
from nextstat.mlops._fits import ranking_table as ranking_table
from nextstat.mlops._fits import run_summary as run_summary
from nextstat.mlops._fits import significance_metrics as significance_metrics
from nextstat.mlops._models import model_metrics as model_metrics
from nextstat.mlops._names import mlflow_names as mlflow_names

__all__ = [
    "StepTimer",
    "metrics_dict",
    "mlflow_names",
    "model_metrics",
    "ranking_table",
    "run_summary",
    "significance_metrics",
]
