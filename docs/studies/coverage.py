"""How often 68 % intervals and 95 % limits contain the truth, on toys of three models.

    python coverage.py [number of toys]

prints the table of ../coverage.md.
"""

from __future__ import annotations

import sys
import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.optimize import brentq
from scipy.stats import norm

import nextstat
from nextstat.datasets import make_workspace

LEVEL = 0.95
NORMFACTOR = {"name": "mu", "type": "normfactor", "data": None}
FAR = {"name": "mu", "bounds": [[-20.0, 20.0]]}  # intervals should not end at a bound


def one_channel(signal: list[float], background: list[float], modifiers: list[Any]) -> Any:
    """A workspace of signal and background; the data do not matter."""
    samples = [
        {"name": "signal", "data": signal, "modifiers": [NORMFACTOR]},
        {"name": "background", "data": background, "modifiers": modifiers},
    ]
    return {
        "channels": [{"name": "channel", "samples": samples}],
        "observations": [{"name": "channel", "data": background}],
        "measurements": [{"name": "m", "config": {"poi": "mu", "parameters": [FAR]}}],
        "version": "1.0.0",
    }


def workspaces() -> dict[str, Any]:
    """The three models, from simple to realistic."""
    scale = {"name": "scale", "type": "normsys", "data": {"hi": 1.1, "lo": 0.9}}
    control = {"name": "rate", "type": "shapesys", "data": [15.0, 12.0, 8.0]}
    shape = make_workspace(n_channels=2, n_bins=5, n_systematics=6, random_state=4)
    shape["measurements"][0]["config"]["parameters"].append(FAR)
    return {
        "count, known background": one_channel([30.0], [100.0], []),
        "3 bins, uncertain rates and scale": one_channel(
            [20.0, 30.0, 25.0], [120.0, 90.0, 60.0], [scale, control]
        ),
        "2 channels, 6 systematics, staterror": shape,
    }


@dataclass
class Coverage:
    """Shares of toys whose interval, and whose limit, contain the truth.

    Attributes
    ----------
    interval, limit : float
    limit_expected : float
        What CLs promises where the fitted value is normally distributed: more than the level.
    n_toys : int
    """

    interval: float
    limit: float
    limit_expected: float
    n_toys: int

    def error(self, share: float) -> float:
        """Binomial standard error if the true share is `share`."""
        return float(np.sqrt(share * (1.0 - share) / self.n_toys))


def limit_coverage(mu: float, sigma: float) -> float:
    """Coverage of the CLs limit for muhat ~ Normal(mu, sigma).

    The limit is muhat + sigma Phi^-1(1 - alpha Phi(muhat / sigma)), which rises with muhat; it is
    too low where muhat is below the value that makes it mu.
    """

    def excess(muhat: float) -> float:
        return muhat + sigma * norm.isf((1.0 - LEVEL) * norm.cdf(muhat / sigma)) - mu

    return float(norm.sf(brentq(excess, mu - 20.0 * sigma, mu + 5.0 * sigma), mu, sigma))


def study(model: nextstat.HistFactoryModel, mu: float, n_toys: int, seed: int) -> Coverage:
    """Intervals and limits of toys thrown at `mu`, the other parameters at their start."""
    truth = model.init.copy()
    truth[model.parameters.index("mu")] = mu
    fits = nextstat.fit_toys(model, n_toys, params=truth, seed=seed)
    inside = below = 0
    for toy in nextstat.toy_data(model, n_toys, params=truth, seed=seed):
        interval = nextstat.interval(nextstat.fit(model, toy))
        inside += interval.lower <= mu <= interval.upper
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", nextstat.FitWarning)
            below += nextstat.upper_limit(model, LEVEL, data=toy, expected=False).observed >= mu
    sigma = float(fits.mu[fits.converged].std())
    return Coverage(inside / n_toys, below / n_toys, limit_coverage(mu, sigma), n_toys)


def main() -> None:
    n_toys = int(sys.argv[1]) if len(sys.argv) > 1 else 4000
    print(f"{n_toys} toys each\n")
    print("| model | mu | 68.3 % interval | 95 % CLs limit | CLs promises |")
    print("|---|---|---|---|---|")
    for seed, (name, workspace) in enumerate(workspaces().items()):
        model = nextstat.from_pyhf(workspace)
        for mu in (0.5, 2.0):
            found = study(model, mu, n_toys, seed)
            print(
                f"| {name} | {mu:g} | {found.interval:.3f} +/- {found.error(found.interval):.3f} "
                f"| {found.limit:.3f} +/- {found.error(found.limit):.3f} "
                f"| {found.limit_expected:.3f} |"
            )


if __name__ == "__main__":
    main()
