"""Figures for papers and notebooks (matplotlib).

Every function returns a `matplotlib.figure.Figure`, a new one or, with ``ax=``, the one of those
axes.
"""

from __future__ import annotations

from nextstat.plot._limits import cls_scan as cls_scan
from nextstat.plot._limits import limits as limits
from nextstat.plot._parameters import correlation as correlation
from nextstat.plot._parameters import pulls as pulls
from nextstat.plot._profiles import contour as contour
from nextstat.plot._profiles import feldman_cousins as feldman_cousins
from nextstat.plot._profiles import scan as scan
from nextstat.plot._ranking import ranking as ranking
from nextstat.plot._toys import goodness_of_fit as goodness_of_fit
from nextstat.plot._toys import test_statistic as test_statistic
from nextstat.plot._yields import yields as yields

__all__ = [
    "cls_scan",
    "contour",
    "correlation",
    "feldman_cousins",
    "goodness_of_fit",
    "limits",
    "pulls",
    "ranking",
    "scan",
    "test_statistic",
    "yields",
]
