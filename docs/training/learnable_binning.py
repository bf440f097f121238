"""A cut and the edges of bins, learned by gradients and found by scanning all of them."""

import argparse

import matplotlib.pyplot as plt
import numpy as np
import torch
from scipy.stats import norm
from torch import Tensor

from nextstat.torch import BandwidthAnnealing, HistFactoryLayer, SoftHistogram, soft_cut

SIGNAL, BACKGROUND = 50.0, 1000.0  # expected events
ENDS = 0.0, 6.0  # of the histogram; its last bin takes what lies beyond
CUT_STARTS = 0.5, 4.5
EDGE_STARTS = (0.5, 1.5), (1.0, 4.5), (3.5, 4.5)


SCALES = {"background": 1.0, "up": 1.03, "down": 0.97}  # of the exponential background


def make_samples(n_events: int) -> dict[str, Tensor]:
    """A peak on an exponential background, whose scale is uncertain by 3 %."""
    rng = np.random.default_rng(0)
    signal, background = rng.normal(2.5, 0.5, n_events), rng.exponential(size=n_events)
    samples = {name: scale * background for name, scale in SCALES.items()}
    return {name: torch.from_numpy(x) for name, x in {"signal": signal, **samples}.items()}


def significance(yields: dict[str, Tensor]) -> Tensor:
    """Expected significance, the scale profiled; yields of all samples, (..., n_bins) each."""
    return HistFactoryLayer.from_histograms(
        yields["signal"],
        yields["background"],
        variations={"scale": (yields["up"], yields["down"])},
        norm_systematics={"rate": {"background": 0.05}},
    ).z0()


def expected(name: str, counts: Tensor, n_events: int) -> Tensor:
    return counts * ((SIGNAL if name == "signal" else BACKGROUND) / n_events)


def learn_cut(
    samples: dict[str, Tensor], start: float, steps: int
) -> tuple[list[float], list[float]]:
    """Raise the significance behind a cut, which becomes steeper from step to step."""
    cut = torch.tensor(start, dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.Adam([cut], lr=0.05)
    path, values = [], []
    for slope in np.geomspace(4.0, 20.0, steps):
        yields = {
            name: expected(name, soft_cut(x, cut, slope).sum()[None], len(x))
            for name, x in samples.items()
        }
        z = significance(yields)
        path.append(cut.item())
        values.append(z.item())
        optimizer.zero_grad()
        (-z).backward()
        optimizer.step()
    return path, values


def learn_edges(
    samples: dict[str, Tensor], start: tuple[float, float], steps: int
) -> list[list[float]]:
    """Raise the significance of three bins by moving the two edges between them."""
    histogram = SoftHistogram([ENDS[0], *start, ENDS[1]], bandwidth=0.3, learn_edges=True)
    annealing = BandwidthAnnealing(histogram, end=0.2, n_steps=steps)
    optimizer = torch.optim.Adam(histogram.parameters(), lr=0.03)
    path = []
    for _ in range(steps):
        path.append(histogram.bin_edges[1:-1].tolist())
        z = significance(
            {name: expected(name, histogram(x), len(x)) for name, x in samples.items()}
        )
        optimizer.zero_grad()
        (-z).backward()
        optimizer.step()
        annealing.step()
    return path


def above(cuts: np.ndarray) -> dict[str, Tensor]:
    """Expected events above each cut: those of the distributions, not of simulated events."""
    found = {name: BACKGROUND * np.exp(-cuts / scale) for name, scale in SCALES.items()}
    found["signal"] = SIGNAL * norm.sf(cuts, 2.5, 0.5)
    return {name: torch.from_numpy(n) for name, n in found.items()}


def scan_cut(cuts: np.ndarray) -> np.ndarray:
    return significance({name: n[:, None] for name, n in above(cuts).items()}).numpy()


def scan_edges(edges: np.ndarray) -> np.ndarray:
    """Significance of three bins for each pair of edges; NaN where these are not in order."""
    low, high = np.triu_indices(len(edges), k=1)
    yields = {}
    for name, n in above(edges).items():
        total = SIGNAL if name == "signal" else BACKGROUND
        yields[name] = torch.stack([total - n[low], n[low] - n[high], n[high]], dim=1)
    found = np.full((len(edges), len(edges)), np.nan)
    found[low, high] = significance(yields).numpy()
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("figure", nargs="?", default="learnable_binning.png")
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("--events", type=int, default=20_000, help="of each sample")
    parser.add_argument("--points", type=int, default=61, help="of the scans, along each axis")
    options = parser.parse_args()
    samples = make_samples(options.events)

    cuts = np.linspace(0.0, 5.0, options.points)
    cut_scan = scan_cut(cuts)
    cut_paths = [learn_cut(samples, start, options.steps) for start in CUT_STARTS]
    print(f"cut: scan {cuts[cut_scan.argmax()]:.2f} with Z = {cut_scan.max():.3f}")
    for start, (path, _) in zip(CUT_STARTS, cut_paths, strict=True):
        z = scan_cut(np.array(path[-1:]))[0]
        print(f"     from {start} to {path[-1]:.2f} with Z = {z:.3f}")

    edges = np.linspace(0.1, 5.5, options.points)
    edge_scan = scan_edges(edges)
    best = np.unravel_index(np.nanargmax(edge_scan), edge_scan.shape)
    edge_paths = [learn_edges(samples, start, options.steps) for start in EDGE_STARTS]
    print(f"edges: scan {edges[list(best)].round(2)} with Z = {edge_scan[best]:.3f}")
    for start, path in zip(EDGE_STARTS, edge_paths, strict=True):
        z = scan_edges(np.array(path[-1]))[0, 1]
        print(f"       from {start} to {np.round(path[-1], 2)} with Z = {z:.3f}")
    uniform = np.linspace(*ENDS, 4)[1:3]
    print(f"       equally wide bins: Z = {scan_edges(uniform)[0, 1]:.3f}")

    figure, (left, right) = plt.subplots(1, 2, figsize=(8.0, 3.5), layout="constrained")
    left.plot(cuts, cut_scan, color="black", lw=1.2, label="scan of ordinary cuts")
    for (path, values), color in zip(cut_paths, ("#2e6f95", "#d1495b"), strict=True):
        left.plot(path, values, color=color, lw=1.3)
        left.plot(path[0], values[0], "o", color=color, mfc="white")
        left.plot(path[-1], values[-1], "o", color=color)
    left.plot([], [], "o", color="grey", mfc="white", label="start of a soft cut")
    left.plot([], [], "o", color="grey", label="learned cut")
    left.set_xlabel("cut on the observable")
    left.set_ylabel("expected significance")
    left.legend(frameon=False, fontsize=8)
    shown = right.contourf(
        edges, edges, edge_scan.T, np.linspace(0.6, 3.3, 10), cmap="Greys", vmax=5.0
    )
    figure.colorbar(shown, ax=right, label="expected significance of three bins")
    for path, color in zip(edge_paths, ("#2e6f95", "#d1495b", "#edae49"), strict=True):
        right.plot(*np.transpose(path), color=color, lw=1.3)
        right.plot(*path[0], "o", color=color, mfc="white")
        right.plot(*path[-1], "o", color=color)
    right.plot(*edges[list(best)], "+", color="black", ms=16, label="best of the scan", zorder=5)
    right.set_xlabel("first edge")
    right.set_ylabel("second edge")
    right.legend(frameon=False, loc="lower right")
    figure.savefig(options.figure)


if __name__ == "__main__":
    main()
