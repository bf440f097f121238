"""INFERNO's benchmark: a network trained on the uncertainty of the signal, with its systematics.

Data, network and benchmarks of arXiv:1806.04743. With all five benchmarks and seeds, as in the
picture, this takes a quarter of an hour on two cores; `--steps` and `--seeds` make less of it.
"""

import argparse
from collections.abc import Iterator

import matplotlib.pyplot as plt
import numpy as np
import torch
from torch import Tensor, nn

from nextstat.torch import HistFactoryLayer, SoftHistogram

SIGNAL, BACKGROUND = 50.0, 1000.0  # expected events
N_BINS = 10
BATCH = 1000  # events of the signal, and of the background
SHIFTS = {"r": 0.2, "rate": 0.5}  # of the varied templates
FREE = 100.0  # prior width of an unconstrained parameter, in shifts: as good as none
# Prior widths of the nuisance parameters; "b" is the yield of the background.
BENCHMARKS = {
    "B0": {},
    "B1": {"r": FREE * 0.2},
    "B2": {"r": FREE * 0.2, "rate": FREE * 0.5},
    "B3": {"r": 0.4, "rate": 1.0},
    "B4": {"r": 0.4, "rate": 1.0, "b": 100.0},
}
PUBLISHED = {
    "classifier": [14.99, 18.94, 23.94, 21.54, 26.71],
    "INFERNO": [15.51, 16.79, 16.95, 16.89, 18.68],
    "analytic likelihood": [14.71, 15.52, 15.65, 15.62, 16.89],
}


class Events:
    """Simulated events, whose background can be varied."""

    def __init__(self, n: int, generator: torch.Generator) -> None:
        normal = torch.randn(2, n, 2, generator=generator)
        exponential = -torch.log1p(-torch.rand(2, n, 1, generator=generator))
        self.normal, self.exponential = normal[0], exponential[0]
        self.signal = torch.cat([normal[1], exponential[1] / 2.0], dim=1)

    def background(self, r: float = 0.0, rate: float = 3.0) -> Tensor:
        """The same events at other values of the nuisance parameters."""
        plane = self.normal * torch.tensor([5.0, 9.0]).sqrt() + torch.tensor([2.0 + r, 0.0])
        return torch.cat([plane, self.exponential / rate], dim=1)

    def samples(self) -> list[Tensor]:
        """Signal, background, and background varied up and down by each of the shifts."""
        r, rate = SHIFTS["r"], SHIFTS["rate"]
        varied = [(r, 3.0), (-r, 3.0), (0.0, 3.0 + rate), (0.0, 3.0 - rate)]
        return [self.signal, self.background(), *(self.background(*at) for at in varied)]


def make_network(n_outputs: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Linear(3, 100), nn.ReLU(), nn.Linear(100, 100), nn.ReLU(), nn.Linear(100, n_outputs)
    )


def uncertainty(shapes: list[Tensor], benchmark: str) -> Tensor:
    """Standard deviation of the number of signal events, from the shapes of `Events.samples`."""
    signal, background = SIGNAL * shapes[0], BACKGROUND * shapes[1]
    ends = {"b": (1.1 * background, 0.9 * background), "r": shapes[2:4], "rate": shapes[4:6]}
    ends |= {name: [BACKGROUND * end for end in ends[name]] for name in SHIFTS}
    variations = {}
    for name, width in BENCHMARKS[benchmark].items():
        # One standard deviation of the parameter is the prior's: stretch the shift to it.
        stretch = width / SHIFTS.get(name, 100.0)
        up, down = ends[name]
        variations[name] = (
            background + stretch * (up - background),
            background + stretch * (down - background),
        )
    layer = HistFactoryLayer.from_histograms(signal, background, variations=variations)
    return SIGNAL * layer.mu_uncertainty()


def train(benchmark: str | None, steps: int, seed: int) -> Iterator[nn.Sequential]:
    """Train on the uncertainty itself, with a bin per output, or on the cross-entropy.

    Yields the network every 100 steps and after the last.
    """
    generator = torch.Generator().manual_seed(seed)
    torch.manual_seed(seed)
    network = make_network(N_BINS if benchmark else 1)
    histogram = SoftHistogram(N_BINS, bandwidth=0.1, mode="softmax")
    labels = torch.tensor([1.0, 0.0]).repeat_interleave(BATCH)[:, None]
    optimizer = torch.optim.Adam(network.parameters(), lr=1e-3)
    for step in range(1, steps + 1):
        samples = Events(BATCH, generator).samples()
        if benchmark:
            outputs = network(torch.cat(samples)).chunk(len(samples))
            loss = uncertainty([histogram(output) / BATCH for output in outputs], benchmark)
        else:
            logits = network(torch.cat(samples[:2]))
            loss = nn.functional.binary_cross_entropy_with_logits(logits, labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if step % 100 == 0 or step == steps:
            yield network


@torch.no_grad()
def shapes(network: nn.Sequential, samples: list[Tensor]) -> list[Tensor]:
    """Ordinary histograms: the bin of the largest output, or ten bins of a classifier's score."""
    found = []
    for sample in samples:
        outputs = torch.cat([network(chunk) for chunk in sample.split(100_000)])
        if outputs.shape[1] == 1:
            bins = (N_BINS * outputs.double().sigmoid()[:, 0]).long().clamp(max=N_BINS - 1)
        else:
            bins = outputs.argmax(dim=1)
        found.append(torch.bincount(bins, minlength=N_BINS).double() / len(sample))
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("figure", nargs="?", default="inferno.png")
    parser.add_argument("--steps", type=int, default=800)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--events", type=int, default=1_000_000, help="to evaluate with")
    options = parser.parse_args()
    test = Events(options.events, torch.Generator().manual_seed(2**31)).samples()
    part = [sample[:200_000] for sample in test]
    seeds = range(options.seeds)
    found = {name: np.empty((options.seeds, len(BENCHMARKS))) for name in ("classifier", "INFERNO")}
    curves = {name: [] for name in found}
    for seed in seeds:
        for k, benchmark in enumerate([*BENCHMARKS, None]):
            name = "INFERNO" if benchmark else "classifier"
            curve = []
            for network in train(benchmark, options.steps, seed):
                if benchmark in ("B2", None):
                    curve.append(uncertainty(shapes(network, part), "B2").item())
            curves[name] += [curve] if curve else []
            final = shapes(network, test)
            if benchmark:
                found[name][seed, k] = uncertainty(final, benchmark).item()
            else:
                found[name][seed] = [uncertainty(final, each).item() for each in BENCHMARKS]
    for name, values in found.items():
        for title, row in zip(
            ("median", "least", "greatest"),
            np.quantile(values, [0.5, 0.0, 1.0], axis=0),
            strict=True,
        ):
            print(f"{name:12}{title:10}", *(f"{value:8.2f}" for value in row))
    for name, values in PUBLISHED.items():
        print(f"published {name:20}", *(f"{value:8.2f}" for value in values))
    draw(found, curves, options.steps).savefig(options.figure)


def draw(found: dict[str, np.ndarray], curves: dict[str, list], steps: int) -> plt.Figure:
    colors = {"classifier": "#2e6f95", "INFERNO": "#d1495b", "analytic likelihood": "black"}
    labels = {"classifier": "cross-entropy", "INFERNO": "uncertainty"}
    figure, (left, right) = plt.subplots(1, 2, figsize=(9.0, 4.0), layout="constrained")
    for name, lines in curves.items():
        n = len(lines[0])
        x = np.minimum(100 * np.arange(1, n + 1), steps)
        for line in lines:
            left.plot(x, line, color=colors[name], alpha=0.6, lw=1.2)
        left.plot([], [], color=colors[name], label=f"trained on the {labels[name]}")
    bound = PUBLISHED["analytic likelihood"]
    left.axhline(bound[2], color="black", ls="--", lw=1.0, label="analytic likelihood")
    left.set_xlabel("steps")
    left.set_ylabel("uncertainty of the signal, events (B2)")
    left.set_ylim(15.0, None)
    left.legend(frameon=False, loc="center right", bbox_to_anchor=(1.0, 0.55))
    x = np.arange(len(BENCHMARKS))
    for name, values in PUBLISHED.items():
        if name == "analytic likelihood":
            right.hlines(values, x - 0.32, x + 0.32, color="black", ls="--", lw=1.0)
        else:
            right.plot(x + 0.12, values, "o", color=colors[name], mfc="white")
    for name, values in found.items():
        middle = np.median(values, axis=0)
        ends = np.abs(np.array([values.min(axis=0), values.max(axis=0)]) - middle)
        right.errorbar(x - 0.12, middle, ends, fmt="o", color=colors[name])
    right.plot([], [], "o", color="grey", label="median and range of the seeds")
    right.plot([], [], "o", color="grey", mfc="white", label="published")
    right.plot([], [], "--", color="black", lw=1.0, label="analytic likelihood")
    right.set_xticks(x, list(BENCHMARKS))
    right.set_xlabel("benchmark")
    right.set_ylabel("uncertainty of the signal, events")
    right.legend(frameon=False, loc="upper left")
    return figure


if __name__ == "__main__":
    main()
