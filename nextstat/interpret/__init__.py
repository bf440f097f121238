"""Which systematic matters: ranking as feature importance, uncertainty budgets, pulls."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from nextstat.interpret._ranking import RankingMethod as RankingMethod
from nextstat.interpret._ranking import SortKey as SortKey
from nextstat.interpret._ranking import correlation_df as correlation_df
from nextstat.interpret._ranking import pulls as pulls
from nextstat.interpret._ranking import rank_impact as rank_impact
from nextstat.interpret._ranking import rank_impact_df as rank_impact_df
from nextstat.interpret._ranking import uncertainty_breakdown as uncertainty_breakdown

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = [
    "correlation_df",
    "plot_rank_impact",
    "pulls",
    "rank_impact",
    "rank_impact_df",
    "uncertainty_breakdown",
]

plot_rank_impact: Callable[..., Figure]  # loads on first use


def __getattr__(name: str) -> Any:
    """Hand on `plot_rank_impact`, which stands with the figures: they are drawn of these rows."""
    if name != "plot_rank_impact":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return importlib.import_module("nextstat.plot._ranking").plot_rank_impact
