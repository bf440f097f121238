"""The neos problem: a network trained on the expected CLs of the analysis that it is part of.

Four clouds of events (signal, background, and the background varied up and down) go through a
network into smooth histograms, these into a HistFactory model, and the derivative of its CLs back
into the weights. Writes the last epoch as a figure, and all of them as an animation beside it.
"""

import argparse
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import matplotlib.pyplot as plt
import numpy as np
import torch
from matplotlib.animation import PillowWriter
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator
from torch import Tensor, nn

from nextstat.datasets import make_blobs
from nextstat.torch import HistFactoryLayer, SoftHistogram

EDGES = np.linspace(0.0, 1.0, 4)
EXPECTED = {"signal": 20.0, "background": 100.0, "background_up": 100.0, "background_down": 100.0}
COLORS = dict(zip(EXPECTED, ("#c1272d", "#2e6f95", "#d98e04", "#4d8b5c"), strict=True))
GRID = np.linspace(-5.5, 5.5, 60)

Histograms = dict[str, np.ndarray]


class Frame(NamedTuple):
    """What one epoch looks like."""

    cls: float
    histograms: Histograms
    output: Tensor  # of the network, on the grid


def make_network() -> nn.Sequential:
    torch.manual_seed(0)
    layers = [nn.Linear(2, 1024), nn.ReLU(), nn.Linear(1024, 1024), nn.ReLU(), nn.Linear(1024, 1)]
    return nn.Sequential(*layers, nn.Sigmoid())


def make_events(n_events: int, random_state: int) -> dict[str, Tensor]:
    blobs = make_blobs(n_events, random_state=random_state)
    return {name: torch.tensor(blobs[name], dtype=torch.float32) for name in EXPECTED}


def read_state(path: Path, network: nn.Sequential) -> dict[str, Tensor]:
    """The events of a published state; its weights go into the network."""
    with np.load(path) as state:
        for k, linear in enumerate(network[:-1:2], start=1):
            linear.weight.data = torch.tensor(state[f"W{k}"].T)
            linear.bias.data = torch.tensor(state[f"b{k}"])
        keys = zip(EXPECTED, ("sig", "bkg", "bup", "bdn"), strict=True)
        return {name: torch.tensor(state[key], dtype=torch.float32) for name, key in keys}


def analyse(
    network: nn.Module,
    events: dict[str, Tensor],
    fill: Callable[[Tensor], Tensor],
    interpolation: str,
) -> tuple[Tensor, Histograms]:
    """CLs of the analysis, and its histograms."""
    outputs = network(torch.cat([*events.values()])).split([len(x) for x in events.values()])
    h = {
        name: expected / len(output) * fill(output)
        for (name, expected), output in zip(EXPECTED.items(), outputs, strict=True)
    }
    layer = HistFactoryLayer.from_histograms(
        h["signal"],
        h["background"],
        variations={"shape": (h["background_up"], h["background_down"])},
        interpolation=("code4", interpolation),
    )
    return layer.cls(mu=1.0), {name: histogram.detach().numpy() for name, histogram in h.items()}


def count(output: Tensor) -> Tensor:
    """An ordinary histogram."""
    return torch.histogram(output.detach().double(), torch.tensor(EDGES)).hist


def on_grid(network: nn.Module) -> Tensor:
    """Output of the network in the plane, rows along y."""
    x = torch.tensor(GRID, dtype=torch.float32)
    with torch.no_grad():
        return network(torch.cartesian_prod(x, x)).reshape(len(x), len(x)).T


def draw(axes: Sequence[Axes], frames: list[Frame], epoch: int, events: dict[str, Tensor]) -> None:
    """What the network makes of the plane, the histograms, and CLs up to this epoch."""
    plane, bins, curve = axes
    for each in axes:
        each.clear()
    cls, histograms, output = frames[epoch]

    colors = LinearSegmentedColormap.from_list("output", ["#a9cbe0", "#f8f6f3", "#f2b3b6"])
    plane.contourf(GRID, GRID, output, np.linspace(0.0, 1.0, 13), cmap=colors)
    plane.contour(GRID, GRID, output, EDGES[1:-1], colors="0.3", linewidths=0.8)
    for name, cloud in events.items():
        x, y = cloud[:90].T
        plane.scatter(x, y, s=9.0, color=COLORS[name], linewidths=0.0, alpha=0.7)
    plane.set(xticks=[-4, 0, 4], yticks=[-4, 0, 4], aspect="equal", xlabel="$x$", ylabel="$y$")
    plane.set(xlim=GRID[[0, -1]], ylim=GRID[[0, -1]])
    plane.set_title("events, output of the network", fontsize=10)

    signal, background, up, down = histograms.values()
    total = signal + background
    low, high = (extreme([background, up, down], axis=0) for extreme in (np.min, np.max))
    bins.stairs(background, EDGES, fill=True, color=COLORS["background"], alpha=0.45)
    bins.stairs(total, EDGES, baseline=background, fill=True, color=COLORS["signal"], alpha=0.75)
    bins.stairs(
        high,
        EDGES,
        baseline=low,
        fill=True,
        facecolor="none",
        edgecolor="0.55",
        hatch="////",
        linewidth=0.0,
    )
    for name in ("background_up", "background_down"):
        bins.hlines(histograms[name], EDGES[:-1], EDGES[1:], color=COLORS[name], linewidth=2.5)
    highest = max(h.max() for frame in frames for h in frame.histograms.values())
    bins.set(xlim=(0.0, 1.0), ylim=(0.0, 1.2 * highest), xlabel="output", ylabel="events")
    bins.set_title("histograms", fontsize=10)

    all_cls = [frame.cls for frame in frames]
    curve.semilogy(all_cls, color="0.85")
    curve.semilogy(all_cls[: epoch + 1], color="black")
    curve.plot(epoch, cls, "o", color="black")
    curve.set(xlabel="epoch", ylabel="expected CLs")
    curve.xaxis.set_major_locator(MaxNLocator(integer=True, steps=[1, 2, 5, 10]))
    curve.set_title(f"epoch {epoch}: CLs = {cls:.2g}", fontsize=10)


def animate(frames: list[Frame], events: dict[str, Tensor], path: Path) -> None:
    figure, axes = plt.subplots(1, 3, figsize=(8.6, 3.4), layout="constrained")
    handles = [Patch(color=COLORS[name], label=name.replace("_", ", varied ")) for name in EXPECTED]
    figure.legend(handles=handles, loc="outside lower center", ncols=4, frameon=False, fontsize=9)
    writer = PillowWriter(fps=4)
    with writer.saving(figure, path.with_suffix(".gif"), dpi=80):
        for epoch in range(len(frames)):
            draw(axes, frames, epoch, events)
            writer.grab_frame()
        for _ in range(4):  # the last one stays
            writer.grab_frame()
    figure.savefig(path)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("figure", type=Path, nargs="?", default="neos.png")
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--state", type=Path, help="published events and weights, an .npz file")
    parser.add_argument("--interpolation", default="code4p", choices=["code0", "code2", "code4p"])
    parser.add_argument("--overflow", default="keep", choices=["keep", "drop"])
    parser.add_argument("--log", action="store_true", help="train on the logarithm of CLs")
    options = parser.parse_args()

    network = make_network()
    state = options.state
    events = read_state(state, network) if state else make_events(500, random_state=0)
    histogram = SoftHistogram(EDGES, bandwidth=0.27, overflow=options.overflow)
    optimizer = torch.optim.Adam(network.parameters(), lr=1e-3)
    frames = []
    for epoch in range(options.epochs + 1):
        cls, histograms = analyse(network, events, histogram, options.interpolation)
        frames.append(Frame(cls.item(), histograms, on_grid(network)))
        print(f"epoch {epoch}: CLs = {cls.item():.5g}")
        optimizer.zero_grad()
        (cls.log() if options.log else cls).backward()
        optimizer.step()

    # What it is worth: ordinary histograms of events that the network has not seen.
    with torch.no_grad():
        new = make_events(5000, random_state=1)
        cls, _ = analyse(network, new, count, options.interpolation)
    print(f"ordinary histograms of new events: CLs = {cls.item():.2g}")
    animate(frames, events, options.figure)


if __name__ == "__main__":
    main()
