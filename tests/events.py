"""Random labelled events, and templates of them by another way: for tests of the estimator."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import boost_histogram as bh
import numpy as np
import numpy.typing as npt

Vector = npt.NDArray[np.float64]


@dataclass
class Sample:
    """Rows of X, y, sample_weight, variation."""

    X: Vector
    y: npt.NDArray[Any]
    weight: Vector
    variation: npt.NDArray[np.str_]

    @property
    def all(self) -> tuple[Any, ...]:
        """In the order of the arguments of `fit` and `score`."""
        return self.X, self.y, self.weight, self.variation

    def rows(self, chosen: npt.NDArray[Any]) -> Sample:
        """Some of the rows."""
        return Sample(self.X[chosen], self.y[chosen], self.weight[chosen], self.variation[chosen])


def make_sample(
    seed: int = 0, n: int = 400, systematics: tuple[str, ...] = ("jes", "scale")
) -> Sample:
    """Signal on two backgrounds; "jes" shifts all, every other systematic reweights "top"."""
    rng = np.random.default_rng(seed)
    y = np.repeat(["signal", "top", "wjets"], n)
    x = np.concatenate(
        [rng.normal(0.7, 0.15, n), rng.exponential(0.35, n), rng.uniform(-0.1, 1.1, n)]
    )
    weight = rng.uniform(0.5, 1.5, 3 * n)
    weight[rng.uniform(size=3 * n) < 0.05] *= -0.5
    parts = [(x, y, weight, "nominal")]
    for systematic in systematics:
        for side, sign in (("up", 1.0), ("down", -1.0)):
            if systematic == "jes":
                parts.append((x * (1.0 + 0.06 * sign), y, weight, f"jes_{side}"))
            else:
                top = y == "top"
                tilt = 1.0 + sign * (0.05 + 0.1 * x[top])
                name = f"{systematic}_{side}"
                parts.append((x[top], y[top], weight[top] * tilt, name))
    columns = [np.concatenate(column) for column in list(zip(*parts, strict=True))[:3]]
    variation = np.concatenate([np.full(len(part[0]), part[3]) for part in parts])
    noise = rng.normal(size=len(columns[0]))
    return Sample(np.column_stack([noise, columns[0]]), columns[1], columns[2], variation)


YIELDS = {"signal": 30.0, "top": 300.0, "wjets": 200.0}


def histogram(x: Vector, weight: Vector, edges: Vector, *, keep: bool = False) -> Any:
    """boost-histogram's sums of weights and of squared weights, with or without the tails."""
    axis = bh.axis.Variable(edges)
    filled = bh.Histogram(axis, storage=bh.storage.Weight()).fill(x, weight=weight)
    values, variances = filled.values(flow=True), filled.variances(flow=True)
    # What lies on the last edge is in the last bin, as in numpy.histogram.
    last = x == edges[-1]
    for content, w in ((values, weight[last]), (variances, weight[last] ** 2)):
        content[-1] -= w.sum()
        content[-2] += w.sum()
        if keep:
            content[1] += content[0]
            content[-2] += content[-1]
    return values[1:-1], variances[1:-1]


def workspace_by_hand(
    sample: Sample,
    edges: Vector,
    yields: dict[str, float] = YIELDS,
    norm: dict[str, dict[str, tuple[float, float]]] | None = None,
    *,
    keep: bool = False,
    staterror: bool = True,
) -> dict[str, Any]:
    """What the estimator should build, from boost-histogram."""
    x, samples = sample.X[:, 1], []
    names = sorted({v.rpartition("_")[0] for v in set(sample.variation.tolist())} - {""})
    for label in sorted(yields):
        own = sample.y == label
        nominal = own & (sample.variation == "nominal")
        factor = yields[label] / sample.weight[nominal].sum()
        values, variances = histogram(x[nominal], sample.weight[nominal], edges, keep=keep)
        modifiers: list[dict[str, Any]] = []
        if label == "signal":
            modifiers.append({"name": "mu", "type": "normfactor", "data": None})
        for name, factors in (norm or {}).items():
            if label in factors:
                low, high = factors[label]
                data: dict[str, Any] = {"lo": low, "hi": high}
                modifiers.append({"name": name, "type": "normsys", "data": data})
        for name in names:
            up, down = (own & (sample.variation == f"{name}_{side}") for side in ("up", "down"))
            if up.any():
                hi, lo = (
                    factor * histogram(x[rows], sample.weight[rows], edges, keep=keep)[0]
                    for rows in (up, down)
                )
                data = {"hi_data": hi.tolist(), "lo_data": lo.tolist()}
                modifiers.append({"name": name, "type": "histosys", "data": data})
        if staterror:
            spread = (factor * np.sqrt(variances)).tolist()
            stat = "stat_signal" if label == "signal" else "stat"
            modifiers.append({"name": stat, "type": "staterror", "data": spread})
        data = (factor * values).tolist()
        samples.append({"name": label, "data": data, "modifiers": modifiers})
    total = np.sum([s["data"] for s in samples], axis=0).tolist()
    return {
        "channels": [{"name": "events", "samples": samples}],
        "observations": [{"name": "events", "data": total}],
        "measurements": [{"name": "m", "config": {"poi": "mu", "parameters": []}}],
        "version": "1.0.0",
    }
