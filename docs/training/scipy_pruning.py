"""A signal region tuned by SciPy with the gradient of q0, and the bins that q0 can do without."""

import argparse
import warnings

import matplotlib.pyplot as plt
import numpy as np
import torch
from scipy.optimize import minimize
from scipy.stats import norm

import nextstat
from nextstat.exceptions import FitWarning
from nextstat.torch import (
    create_session,
    profiled_q0,
    profiled_z0,
    signal_jacobian,
    signal_jacobian_numpy,
)

EDGES = np.linspace(0.0, 10.0, 41)
CENTRES = 0.5 * (EDGES[1:] + EDGES[:-1])
EVENTS = 30.0  # of signal
STARTS = 1.5, 5.3, 7.2
COLORS = "#2e6f95", "#d1495b", "#edae49"


def make_workspace(bins: np.ndarray) -> dict:
    """A falling background with an uncertain slope and rate, in some of the bins."""
    background = 60.0 * np.exp(-CENTRES / 4.0)
    tilt = 1.0 + 0.1 * (CENTRES - 4.0) / 4.0
    tilt_data = {"hi_data": list((background * tilt)[bins])}
    tilt_data["lo_data"] = list((background * (2.0 - tilt))[bins])
    statistics = 0.05 * background
    modifiers = [
        {"name": "tilt", "type": "histosys", "data": tilt_data},
        {"name": "rate", "type": "normsys", "data": {"hi": 1.1, "lo": 0.9}},
        {"name": "simulation", "type": "staterror", "data": list(statistics[bins])},
    ]
    strength = [{"name": "mu", "type": "normfactor", "data": None}]
    samples = [
        {"name": "signal", "data": list(peak(6.0)[bins]), "modifiers": strength},
        {"name": "background", "data": list(background[bins]), "modifiers": modifiers},
    ]
    return {
        "channels": [{"name": "region", "samples": samples}],
        "observations": [{"name": "region", "data": list(background[bins])}],
        "measurements": [{"name": "search", "config": {"poi": "mu", "parameters": []}}],
        "version": "1.0.0",
    }


def peak(mass: float, width: float = 0.6) -> np.ndarray:
    """Expected signal in each bin."""
    return EVENTS * np.diff(norm.cdf(EDGES, mass, width))


def peak_jacobian(mass: float, width: float) -> np.ndarray:
    """Derivatives of `peak` by the mass and the width, (n_bins, 2)."""
    t = (EDGES - mass) / width
    slope = EVENTS * norm.pdf(t) / width
    return np.stack([-np.diff(slope), -np.diff(slope * t)], axis=1)


def search(axes: plt.Axes, points: int) -> None:
    """Where is the largest excess in the data? q0 of peaks of any mass and width."""
    workspace = make_workspace(np.ones(len(CENTRES), dtype=bool))
    background = np.array(workspace["observations"][0]["data"])
    data = np.random.default_rng(5).poisson(background + peak(6.3, 0.5))
    workspace["observations"][0]["data"] = data.astype(float).tolist()
    session = create_session(nextstat.from_pyhf(workspace), "signal")

    def minus_q0(x: np.ndarray) -> float:
        return -profiled_q0(torch.from_numpy(peak(*x)), session).item()

    def gradient(x: np.ndarray) -> np.ndarray:
        return -signal_jacobian_numpy(peak(*x), session) @ peak_jacobian(*x)

    for start, color in zip(STARTS, COLORS, strict=True):
        path = [np.array([start, 0.6])]
        bounds = [(1.0, 9.0), (0.2, 1.5)]
        with warnings.catch_warnings():  # steps too long end where no excess is, and q0 flat
            warnings.simplefilter("ignore", FitWarning)
            found = minimize(minus_q0, path[0], jac=gradient, bounds=bounds, callback=path.append)
        print(f"from mass {start}: {found.x.round(3)}, q0 = {-found.fun:.3f}, {found.nfev} calls")
        heights = [-minus_q0(x) for x in path]
        masses = [x[0] for x in path]
        axes.plot(masses, heights, ".-", color=color, lw=1.0)
        axes.plot(masses[0], heights[0], "o", color=color, mfc="white")
        axes.plot(masses[-1], heights[-1], "o", color=color)
    masses = np.linspace(1.0, 9.0, points)
    scan = profiled_q0(torch.from_numpy(np.stack([peak(mass) for mass in masses])), session)
    axes.plot(masses, scan.numpy(), color="black", lw=1.0, zorder=0, label="scan, width 0.6")
    axes.plot([], [], "o", color="grey", mfc="white", label="start of SciPy")
    axes.plot([], [], "o", color="grey", label="end, with the best width")
    axes.set_xlabel("mass of the peak")
    axes.set_ylabel("observed $q_0$")
    axes.set_ylim(0.0, 1.8 * scan.max().item())
    axes.legend(frameon=False, loc="upper left", fontsize=9)


def significance(bins: np.ndarray) -> float:
    """Expected significance of the peak with some of the bins."""
    model = nextstat.from_pyhf(make_workspace(bins))
    session = create_session(model, "signal", data="asimov", nuisances="nominal")
    return profiled_z0(torch.from_numpy(peak(6.0)[bins]), session).item()


def prune(middle: plt.Axes, right: plt.Axes, every: int) -> None:
    """Which bins matter to the expected significance?"""
    everything = np.ones(len(CENTRES), dtype=bool)
    model = nextstat.from_pyhf(make_workspace(everything))
    session = create_session(model, "signal", data="asimov", nuisances="nominal")
    signal_hist = torch.from_numpy(peak(6.0))

    grad = signal_jacobian(signal_hist, session)
    important_bins = grad.abs() > 0.01
    print(f"Keep {important_bins.sum()}/{len(important_bins)} bins")

    kept = important_bins.numpy()
    print(f"Z = {significance(everything):.4f}, of the bins kept {significance(kept):.4f}")
    middle.bar(CENTRES, grad.numpy(), np.diff(EDGES), color=COLORS[0])
    middle.plot(CENTRES[~kept], 0.0 * CENTRES[~kept], "v", color=COLORS[1], label="dropped")
    middle.set_xlabel("observable")
    middle.set_ylabel(r"$\partial q_0 / \partial s$ in the bin")
    middle.legend(frameon=False, loc="upper left")

    orders = {"smallest derivative first": grad.abs(), "least signal first": signal_hist}
    dropped = range(0, len(CENTRES), every)
    for (name, importance), color in zip(orders.items(), COLORS, strict=False):
        order = importance.argsort().numpy()
        left_over = [significance(~np.isin(np.arange(len(CENTRES)), order[:n])) for n in dropped]
        right.plot(dropped, left_over, color=color, lw=1.2, label=name)
    right.axvline((~kept).sum(), color="black", ls="--", lw=1.0, label="threshold of 0.01")
    right.set_xlabel("bins dropped")
    right.set_ylabel("expected significance")
    right.set_ylim(0.0, None)
    right.legend(frameon=False, loc="lower center", fontsize=9)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("figure", nargs="?", default="scipy_pruning.png")
    parser.add_argument("--points", type=int, default=101, help="of the scan")
    parser.add_argument("--every", type=int, default=1, help="bins dropped at a time")
    options = parser.parse_args()
    figure, (left, middle, right) = plt.subplots(1, 3, figsize=(9.6, 3.1), layout="constrained")
    search(left, options.points)
    prune(middle, right, options.every)
    figure.savefig(options.figure)


if __name__ == "__main__":
    main()
