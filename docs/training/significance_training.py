"""The same network, trained on cross-entropy and on the expected significance with systematics.

The mass separates signal from background best, but an uncertain energy scale moves the backgrounds
along it. What each network is worth is measured with ordinary histograms of events that none of
them has seen. With five seeds, as in the picture, this takes some minutes; `--seeds`, `--steps`
and `--events` make less of it.
"""

import argparse
import warnings
from functools import partial
from typing import NamedTuple

import matplotlib.pyplot as plt
import numpy as np
import torch
from matplotlib.axes import Axes
from torch import Tensor, nn

import nextstat
from nextstat import HistFactoryEstimator
from nextstat.datasets import make_events
from nextstat.exceptions import WorkspaceWarning
from nextstat.torch import BandwidthAnnealing, HistFactoryLayer, SoftHistogram, chunked_backward

EDGES = np.linspace(0.0, 1.0, 11)
SAMPLES = "signal", "ttbar", "wjets"
BINNINGS = "uniform", "sensitivity"
BLUE, RED = "#2e6f95", "#d1495b"
ENERGIES = [0, 4, 5]  # columns: mass, missing_et, lead_jet_pt
CENTER = [4.6, 2.4, 0.6, 0.4, 4.3, 4.55]
WIDTH = [0.22, 0.75, 0.27, 0.28, 0.6, 0.45]


class Training(NamedTuple):
    """What a network is trained on."""

    significance: bool  # or cross-entropy
    mass: bool = True
    bandwidth: tuple[float, float] = (0.1, 0.1)  # at first, and after three quarters of the steps
    batches: int = 1


TRAININGS = {
    "cross-entropy": Training(significance=False),
    "cross-entropy, without the mass": Training(significance=False, mass=False),
    "significance": Training(significance=True),
    "significance, bandwidth 0.2 to 0.05": Training(significance=True, bandwidth=(0.2, 0.05)),
    "significance, in 10 batches": Training(significance=True, batches=10),
}


class Events:
    """Events, nominal and varied, as arrays of (variation, event)."""

    def __init__(self, n: int, random_state: int) -> None:
        self.bunch = make_events(n, systematics={"jes": 0.1}, random_state=random_state)
        x = self.bunch.data.copy()
        x[:, ENERGIES] = np.log(x[:, ENERGIES])
        x = torch.tensor((x - CENTER) / WIDTH, dtype=torch.float32)
        self.features = x.reshape(3, n, -1)  # nominal, up, down
        self.weights = torch.tensor(self.bunch.sample_weight).reshape(3, n)
        self.is_sample = torch.tensor(np.array([self.bunch.target[:n] == s for s in SAMPLES]))

    def inputs(self, training: Training) -> Tensor:
        return self.features * torch.tensor([float(training.mass), 1.0, 1.0, 1.0, 1.0, 1.0])


def make_network(seed: int) -> nn.Module:
    torch.manual_seed(seed)
    hidden = nn.Linear(6, 32), nn.ReLU(), nn.Linear(32, 32), nn.ReLU()
    return nn.Sequential(*hidden, nn.Linear(32, 1), nn.Sigmoid())


def cross_entropy(scores: Tensor, events: Events, batch: Tensor) -> Tensor:
    """Of nominal events, with the signal as heavy as the backgrounds."""
    is_signal, weights = events.is_sample[0, batch], events.weights[0, batch]
    target = is_signal.to(scores.dtype)
    each = nn.functional.binary_cross_entropy(scores[:, 0], target, reduction="none")
    of_signal, of_background = (
        (weights * each)[rows].sum() / weights[rows].sum() for rows in (is_signal, ~is_signal)
    )
    return of_signal + of_background


def minus_significance(
    scores: Tensor, events: Events, batch: Tensor, histogram: SoftHistogram
) -> Tensor:
    """Minus the expected significance of all events, estimated with those of the batch."""
    share = len(batch) / events.weights.shape[1]
    scores = scores.reshape(3, len(batch))
    weights = events.weights[:, batch] / share
    yields, variances = {}, {}
    for name, rows in zip(SAMPLES, events.is_sample[:, batch], strict=True):
        yields[name] = [histogram(scores[k, rows], weights[k, rows]) for k in range(3)]
        variances[name] = share * histogram.with_variances(scores[0, rows], weights[0, rows])[1]
        if name != "signal":  # one more event in every bin, so that empty ones promise nothing
            one = events.weights[0, events.is_sample[SAMPLES.index(name)]].mean()
            yields[name] = [each + one for each in yields[name]]
            variances[name] = variances[name] + one**2
    layer = HistFactoryLayer.from_histograms(
        yields["signal"][0],
        {name: yields[name][0] for name in SAMPLES[1:]},
        variations={"jes": {name: (up, down) for name, (_, up, down) in yields.items()}},
        norm_systematics=events.bunch.norm_systematics,
        staterror=variances,
    )
    return -layer.z0()


def train(training: Training, events: Events, seed: int, options: argparse.Namespace) -> nn.Module:
    network = make_network(seed)
    optimizer = torch.optim.Adam(network.parameters(), lr=5e-3)
    first, last = training.bandwidth
    histogram = SoftHistogram(EDGES, first)
    schedule = BandwidthAnnealing(histogram, last, (3 * options.steps + 3) // 4)
    inputs = events.inputs(training)
    loss = cross_entropy
    if training.significance:
        loss = partial(minus_significance, histogram=histogram)
    else:
        inputs = inputs[:1]
    for _ in range(options.steps):
        for batch in torch.randperm(options.events).chunk(training.batches):
            optimizer.zero_grad()
            chunked_backward(
                network,
                inputs[:, batch].flatten(0, 1),
                partial(loss, events=events, batch=batch),
                chunk_size=options.chunk_size,
            )
            optimizer.step()
        schedule.step()
    return network


def outputs(network: nn.Module, training: Training, events: Events) -> np.ndarray:
    with torch.no_grad():
        return network(events.inputs(training))[..., 0].numpy()


def significance(scores: list[np.ndarray], new: list[Events], binning: str) -> float:
    """With bins learned from some new events, filled with others."""
    rows = [(x.bunch.target, x.bunch.sample_weight, x.bunch.variation) for x in new]
    analysis = HistFactoryEstimator(
        n_bins=10,
        lo=0.0,
        hi=1.0,
        binning=binning,
        yields=new[0].bunch.yields,
        norm_systematics=new[0].bunch.norm_systematics,
    )
    with warnings.catch_warnings():  # empty bins join their neighbours
        warnings.simplefilter("ignore", WorkspaceWarning)
        analysis.fit(scores[0].reshape(-1, 1), *rows[0])
    workspace = analysis.workspace(scores[1].reshape(-1, 1), *rows[1])
    model = nextstat.from_pyhf(workspace)
    # Without a signal, there can be several fits that differ in the energy scale: take the best.
    starts = ({"jes": start} for start in (-0.8, 0.0, 0.8))
    return min(nextstat.significance(model, expected=True, init=init) for init in starts)


def draw_histograms(axes: Axes, scores: np.ndarray, events: Events) -> None:
    """Signal, and both backgrounds at -1, 0 and 1 standard deviation of the energy scale."""
    is_signal, weights = events.is_sample[0].numpy(), events.weights.numpy()
    signal, _ = np.histogram(scores[0, is_signal], EDGES, weights=weights[0, is_signal])
    nominal, up, down = (
        np.histogram(x[~is_signal], EDGES, weights=w[~is_signal])[0]
        for x, w in zip(scores, weights, strict=True)
    )
    axes.stairs(nominal, EDGES, color=BLUE, lw=1.8, label="backgrounds")
    axes.stairs(
        np.maximum(up, down),
        EDGES,
        baseline=np.minimum(up, down),
        fill=True,
        color=BLUE,
        alpha=0.25,
        lw=0.0,
        label="energy scale",
    )
    axes.stairs(signal, EDGES, color=RED, lw=1.8, label="signal")
    axes.set(yscale="log", ylim=(0.3, 1000.0), xlim=(0.0, 1.0), xlabel="output", ylabel="events")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("figure", nargs="?", default="significance_training.png")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=200)
    parser.add_argument("--events", type=int, default=10_000, help="to train with")
    parser.add_argument("--new-events", type=int, default=60_000, help="to evaluate with")
    parser.add_argument("--chunk-size", type=int, default=30_000)
    options = parser.parse_args()

    new = [Events(options.new_events // 5, 1_000_000), Events(options.new_events, 1_000_001)]
    shown = {}
    found = {name: [] for name in TRAININGS}
    for seed in range(options.seeds):
        events = Events(options.events, seed)
        for name, training in TRAININGS.items():
            network = train(training, events, seed, options)
            scores = [outputs(network, training, each) for each in new]
            found[name].append([significance(scores, new, how) for how in BINNINGS])
            shown[name] = scores[1]
            print(f"seed {seed}: {name:36}", *(f"{z:6.2f}" for z in found[name][-1]), flush=True)
    print("mean and standard deviation of the seeds        equal bins       bins anew")
    for name, each in found.items():
        mean, spread = np.mean(each, axis=0), np.std(each, axis=0)
        columns = (f"{m:6.2f} +/- {s:4.2f}" for m, s in zip(mean, spread, strict=True))
        print(f"{name:40}", *columns, sep="  ")

    figure, axes = plt.subplots(
        1, 3, figsize=(10.0, 3.6), width_ratios=[1.0, 1.0, 1.25], layout="constrained"
    )
    for each, name in zip(axes, ("cross-entropy", "significance"), strict=False):
        draw_histograms(each, shown[name], new[1])
        each.set_title(f"trained on {name}", fontsize=10)
    axes[0].legend(frameon=False, fontsize=8)
    for row, (name, pairs) in enumerate(found.items()):
        color = RED if TRAININGS[name].significance else BLUE
        equal, best = np.transpose(pairs)
        axes[2].plot(equal, np.full(len(equal), row - 0.12), "o", color=color, ms=4.5, alpha=0.7)
        axes[2].plot(best, np.full(len(best), row + 0.12), "o", color=color, ms=4.5, mfc="white")
    axes[2].plot([], [], "o", color="0.4", ms=4.5, label="10 equal bins")
    axes[2].plot([], [], "o", color="0.4", ms=4.5, mfc="white", label="bins chosen anew")
    axes[2].set_yticks(range(len(found)), [name.replace(", ", ",\n") for name in found], fontsize=8)
    axes[2].invert_yaxis()
    axes[2].set_xlabel("expected significance")
    axes[2].set_title(f"new events, {options.seeds} seeds", fontsize=10)
    axes[2].legend(frameon=False, fontsize=8, loc="upper right")
    figure.savefig(options.figure)


if __name__ == "__main__":
    main()
