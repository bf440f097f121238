"""1 / Z_A as a loss: a network for a cut, and what it is worth beside one of cross-entropy.

Z_A is the expected significance of the events behind the cut, whose background is known to some
per cent (arXiv:1806.00322). With ten seeds, as in the picture, this takes two minutes on two cores.
"""

import argparse

import matplotlib.pyplot as plt
import numpy as np
import torch
from torch import Tensor, nn

from nextstat.datasets import make_events
from nextstat.torch import asimov_significance

UNCERTAINTIES = 0.05, 0.3  # of the background, relative
EFFICIENCIES = np.linspace(0.01, 1.0, 100)  # of the signal
COLORS = {"cross-entropy": "#2e6f95", "1 / Z": "#d1495b"}


class Events:
    """Features, expected number of events that each stands for, and which are signal."""

    def __init__(self, n: int, random_state: int) -> None:
        bunch = make_events(n, systematics=None, random_state=random_state)
        x = bunch.data
        x[:, [0, 4, 5]] = np.log(x[:, [0, 4, 5]])  # energies
        x = (x - [4.6, 2.4, 0.6, 0.4, 4.3, 4.55]) / [0.22, 0.75, 0.27, 0.28, 0.6, 0.45]
        self.features = torch.tensor(x, dtype=torch.float32)
        self.weights = torch.tensor(bunch.sample_weight)
        self.is_signal = torch.tensor(bunch.target == "signal")


def inverse_significance(scores: Tensor, events: Events, uncertainty: float) -> Tensor:
    """Each event is selected to the part that is its score."""
    selected = scores * events.weights
    s, b = selected[events.is_signal].sum(), selected[~events.is_signal].sum()
    return 1.0 / asimov_significance(s, b, uncertainty * b)


def cross_entropy(scores: Tensor, events: Events) -> Tensor:
    """With the signal as heavy as the background."""
    total = torch.where(
        events.is_signal,
        events.weights[events.is_signal].sum(),
        events.weights[~events.is_signal].sum(),
    )
    return nn.functional.binary_cross_entropy(
        scores, events.is_signal.double(), events.weights / total, reduction="sum"
    )


def train(events: Events, uncertainty: float | None, steps: int, seed: int) -> nn.Sequential:
    torch.manual_seed(seed)
    network = nn.Sequential(
        nn.Linear(6, 32), nn.ReLU(), nn.Linear(32, 32), nn.ReLU(), nn.Linear(32, 1), nn.Sigmoid()
    )
    optimizer = torch.optim.Adam(network.parameters(), lr=3e-3)
    for _ in range(steps):
        scores = network(events.features)[:, 0].double()
        if uncertainty is None:
            loss = cross_entropy(scores, events)
        else:
            loss = inverse_significance(scores, events, uncertainty)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return network


@torch.no_grad()
def curve(
    network: nn.Sequential, events: Events, cuts: np.ndarray | None = None
) -> tuple[np.ndarray, Tensor, Tensor]:
    """Cuts of the given efficiencies, by default, and events of both kinds above them."""
    scores = (
        network[:-1](events.features)[:, 0].double().numpy()
    )  # logits: near 1, scores are equal
    weights, is_signal = events.weights.numpy(), events.is_signal.numpy()
    if cuts is None:
        cuts = np.quantile(scores[is_signal], 1.0 - EFFICIENCIES)
    counts = []
    for kind in (is_signal, ~is_signal):
        order = scores[kind].argsort()
        below = np.concatenate([[0.0], weights[kind][order].cumsum()])
        counts.append(below[-1] - below[scores[kind][order].searchsorted(cuts)])
    return cuts, *map(torch.from_numpy, counts)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("figure", nargs="?", default="inverse_significance.png")
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("--events", type=int, default=10_000, help="to train with")
    parser.add_argument("--new-events", type=int, default=200_000, help="to evaluate with")
    options = parser.parse_args()
    choose = Events(options.new_events, 1_000_000)  # the working point
    test = Events(options.new_events, 2_000_000)

    figure, panels = plt.subplots(1, 2, figsize=(7.6, 3.4), layout="constrained", sharey=True)
    best = {(name, f): [] for name in COLORS for f in UNCERTAINTIES}
    curves = {(name, f): [] for name in COLORS for f in UNCERTAINTIES}
    half = {(name, f): [] for name in COLORS for f in UNCERTAINTIES}
    for seed in range(options.seeds):
        events = Events(options.events, seed)
        of_entropy = train(events, None, options.steps, seed)
        for f, axes in zip(UNCERTAINTIES, panels, strict=True):
            of_significance = train(events, f, options.steps, seed)
            for name, network in (("cross-entropy", of_entropy), ("1 / Z", of_significance)):
                cuts, s, b = curve(network, choose)
                at = asimov_significance(s, b, f * b).argmax()
                _, s, b = curve(network, test, np.append(cuts, 0.0))
                z = asimov_significance(s, b, f * b)
                best[name, f].append(z[at].item())
                half[name, f].append(z[-1].item())
                efficiency = s / test.weights[test.is_signal].sum()
                curves[name, f].append(z[:-1].numpy())
                axes.plot(efficiency[at], z[at], "o", color=COLORS[name], ms=4)
                axes.plot(efficiency[-1], z[-1], "s", color=COLORS[name], ms=4, mfc="white")
    for f, axes in zip(UNCERTAINTIES, panels, strict=True):
        for title, found in (("best cut", best), ("cut at 0.5", half)):
            rows = {name: found[name, f] for name in COLORS}
            rows["difference"] = np.subtract(rows["1 / Z"], rows["cross-entropy"])
            for name, z in rows.items():
                error = np.std(z) / max(1, len(z) - 1) ** 0.5
                print(f"{f:4} {title:10} {name:13} {np.mean(z):6.3f} +/- {error:.3f}")
        for name, color in COLORS.items():
            lines = np.array(curves[name, f])
            axes.plot(EFFICIENCIES, lines.mean(axis=0), color=color, lw=1.2)
            ends = lines.min(axis=0), lines.max(axis=0)
            axes.fill_between(EFFICIENCIES, *ends, color=color, alpha=0.2, lw=0.0)
        axes.set_title(rf"background known to {100 * f:.0f} %", fontsize=10)
        axes.set_xlabel("efficiency of the cut for signal")
    for name, color in COLORS.items():
        panels[0].plot([], [], "o-", color=color, ms=4, lw=1.2, label=f"{name}, best cut")
    panels[0].plot([], [], "s", color="grey", ms=4, mfc="white", label="score of 0.5")
    panels[0].set_ylabel("expected significance $Z_A$")
    panels[0].set_ylim(0.0, None)
    panels[1].legend(*panels[0].get_legend_handles_labels(), frameon=False)
    figure.savefig(options.figure)


if __name__ == "__main__":
    main()
