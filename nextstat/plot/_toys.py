"""Figures of distributions: goodness of fit, test statistics."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from nextstat._base.arrays import Vector
from nextstat.plot._axes import (
    BLUE,
    RED,
    figure_of,
    finite,
    legend_above,
    new_axes,
    probability,
    scientific,
)

if TYPE_CHECKING:
    from nextstat._inference.goodness_of_fit import GoodnessOfFit
    from nextstat._inference.hypotest import HypoTestResult

_BINS = 10, 50  # at least, at most
_SYMBOLS = {
    "q0": "q_0",
    "q": r"q_\mu",
    "qtilde": r"\tilde{q}_\mu",
    "t": r"t_\mu",
    "ttilde": r"\tilde{t}_\mu",
}


def goodness_of_fit(gof: GoodnessOfFit, *, ax: Axes | None = None) -> Figure:
    """Draw the goodness of fit: the observed statistic and its distribution.

    Parameters
    ----------
    gof : GoodnessOfFit
    ax : matplotlib Axes, optional
        Draw there; a new figure by default.

    Returns
    -------
    matplotlib.figure.Figure
        Probability densities of the toys, if any, and of chi2 with the degrees of freedom, if
        there are any. What agrees less than the data is shaded.

    Raises
    ------
    ValueError
        If the statistic is infinite, or there is nothing to compare it with.
    """
    from scipy.stats import chi2  # takes a second to load

    observed = float(finite([gof.statistic], "statistics")[0])
    toys = None if gof.toys is None else finite(gof.toys, "toys")
    if toys is None and gof.n_dof < 1:
        raise ValueError(
            "there are neither degrees of freedom nor toys to compare the statistic with"
        )
    axes = new_axes() if ax is None else ax
    low, high = observed, observed
    if gof.n_dof >= 1:
        low, high = min(low, chi2.ppf(1e-4, gof.n_dof)), max(high, chi2.isf(1e-4, gof.n_dof))
    highest = 0.0
    if toys is not None:
        edges = _edges(toys, observed, float(toys.min()))
        highest = _histogram(axes, toys, edges, observed, BLUE, f"toys ({len(toys)})")
        low, high = min(low, edges[0]), max(high, edges[-1])
    pvalue = f"$p {probability(gof.pvalue, gof.pvalue_error, 0 if toys is None else len(toys))}$"
    if gof.n_dof >= 1:
        x = np.unique(np.append(np.linspace(low, high, 1000), observed))
        density = chi2.pdf(x, gof.n_dof)
        colour = BLUE if toys is None else "black"
        axes.plot(x, density, color=colour, label=rf"$\chi^2$, {gof.n_dof} degrees of freedom")
        if toys is None:
            beyond = x >= observed
            axes.fill_between(x[beyond], density[beyond], color=colour, alpha=0.4, linewidth=0.0)
        # that of one degree of freedom is infinite at 0
        highest = max(highest, float(density[x >= min(0.1 * gof.n_dof, x[-1])].max()))
    _observed_line(axes, observed, (0.0, 1.05 * highest), RED, f", {pvalue}")
    axes.set_xlabel(r"$-2 \ln (L / L_\mathrm{saturated})$")
    axes.set_ylabel("probability density")
    legend_above(axes)
    return figure_of(axes)


def test_statistic(test: HypoTestResult, *, ax: Axes | None = None) -> Figure:  # noqa: PT028
    """Draw the distributions of a test statistic from toys of both hypotheses.

    Parameters
    ----------
    test : HypoTestResult
        Of `nextstat.hypotest` with ``calculator="toys"``.
    ax : matplotlib Axes, optional
        Draw there; a new figure by default.

    Returns
    -------
    matplotlib.figure.Figure
        Probability densities, logarithmic; what agrees less than the data is shaded.

    Raises
    ------
    ValueError
        If the test was made without toys, or its statistic is infinite.
    """
    if test.toys is None:
        raise ValueError("the test was made without toys; use hypotest(..., calculator='toys')")
    observed = test.test_statistic
    if not math.isfinite(observed):
        raise ValueError(
            f"the observed statistic is {observed}: the data exclude mu={test.mu:g} outright"
        )
    tested, alternative = (finite(x, "toys") for x in (test.toys.tested, test.toys.alternative))
    axes = new_axes() if ax is None else ax
    discovery = test.test_stat == "q0"
    names = ("p_0", r"p_{\mu=1}") if discovery else (r"\mathrm{CL_{s+b}}", r"\mathrm{CL_b}")
    pvalues = (
        probability(test.clsb, test.pvalue_error, len(tested)),
        probability(test.clb, 0.0, len(alternative)),
    )
    edges = _edges(np.concatenate([tested, alternative]), observed, 0.0)
    other = 1.0 if test.mu == 0.0 else 0.0
    for toys, mu, colour, name, pvalue in zip(
        (tested, alternative), (test.mu, other), (RED, BLUE), names, pvalues, strict=True
    ):
        label = rf"toys of $\mu = {mu:g}$: ${name} {pvalue}$"
        _histogram(axes, toys, edges, observed, colour, label)
    axes.set_yscale("log")
    every = 1.0 / float(edges[1] - edges[0])  # the density of all toys in one bin
    limits = 0.5 * every / max(len(tested), len(alternative)), 1.5 * every
    _observed_line(axes, observed, limits, "black", "")
    axes.set_xlabel(f"${_SYMBOLS[test.test_stat]}$")
    axes.set_ylabel("probability density")
    legend_above(axes, columns=1)
    return figure_of(axes)


def _edges(toys: Vector, observed: float, low: float) -> Vector:
    """Bins from `low` to the last toy; the observed value is between two of them."""
    high = float(toys[np.isfinite(toys)].max())
    width = max(high - low, 1e-6) / float(np.clip(math.sqrt(len(toys)), *_BINS))
    n_below = round((observed - low) / width)
    if n_below > 0 and observed < high:
        width = (observed - low) / n_below
    n_bins = math.ceil((high - low) / width - 1e-9)
    edges: Vector = low + width * np.arange(n_bins + 1, dtype=np.float64)
    return edges


def _histogram(
    axes: Axes, toys: Vector, edges: Vector, observed: float, colour: str, label: str
) -> float:
    """The density of toys, what is beyond the observed value shaded; its maximum.

    Toys at infinity count in the normalisation, and the label names them.
    """
    n_infinite = int(np.count_nonzero(~np.isfinite(toys)))
    if n_infinite:
        label = f"{label} ({n_infinite} at infinity)"
    width = edges[1] - edges[0]
    density = np.histogram(toys[np.isfinite(toys)], edges)[0] / (len(toys) * width)
    axes.stairs(density, edges, color=colour, linewidth=1.4, label=label)
    beyond = np.append(observed, edges[edges > observed + 1e-6 * width])
    if len(beyond) > 1:
        tail = density[1 - len(beyond) :]
        axes.stairs(tail, beyond, color=colour, fill=True, alpha=0.3, linewidth=0.0)
    return float(density.max())


def _observed_line(
    axes: Axes, observed: float, limits: tuple[float, float], colour: str, more: str
) -> None:
    """A vertical line between the limits of the other scale, which leave the legend its room."""
    label = f"observed: ${scientific(observed, 4)}${more}"
    axes.plot([observed] * 2, limits, color=colour, linewidth=1.6, label=label)
    axes.margins(x=0.04)
    axes.set_ylim(limits)
