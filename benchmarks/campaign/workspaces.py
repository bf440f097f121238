"""Random workspaces whose data are in tension with them; each is reproducible alone."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from benchmarks.campaign.families import FAMILIES, Family
from benchmarks.campaign.likelihood import Likelihood, Vector, parameter_names

Json = dict[str, Any]

NORM_CODES = ("code4", "code1")
HISTO_CODES = ("code4p", "code0", "code2")
N_ALPHAS = 6  # names that the nuisance parameters of a model are drawn from
NEGATIVE = 0.2  # share of models whose parameter of interest may become negative
ANY_SIGNAL = 0.2  # share of channels with a signal of any size
LUMI = {"name": "lumi", "auxdata": [1.0], "sigmas": [0.03], "bounds": [[0.0, 10.0]], "inits": [1.0]}


class Case(NamedTuple):
    """A model of the campaign."""

    number: int
    family: str
    workspace: Json
    interpolation: tuple[str, str]


def make_case(seed: int, number: int) -> Case:
    """Model `number` of a seed; families take turns."""
    family = list(FAMILIES)[number % len(FAMILIES)]
    rng = np.random.default_rng([seed, number])
    codes = ("code4", "code4p")
    if rng.random() < 0.5:
        codes = (str(rng.choice(NORM_CODES)), str(rng.choice(HISTO_CODES)))
    return Case(number, family, _Draw(FAMILIES[family], rng, codes).workspace(), codes)


class _Draw:
    """One model being drawn."""

    def __init__(self, family: Family, rng: np.random.Generator, codes: tuple[str, str]) -> None:
        self.family, self.rng, self.codes = family, rng, codes
        self.alphas = [f"a{k}" for k in range(1 + int(rng.integers(N_ALPHAS)))]
        self.decade = rng.uniform(*family.yields)
        self.lumi = rng.random() < family.lumi

    def workspace(self) -> Json:
        """The model, with data."""
        rng, family = self.rng, self.family
        n_samples = _between(rng, family.samples)
        channels = [self._channel(c, n_samples) for c in range(_between(rng, family.channels))]
        found: Json = {
            "channels": channels,
            "observations": [
                {"name": channel["name"], "data": [0.0] * len(channel["samples"][0]["data"])}
                for channel in channels
            ],
            "measurements": [
                {
                    "name": "measurement",
                    "config": {"poi": "mu", "parameters": self._settings()},
                }
            ],
            "version": "1.0.0",
        }
        self._throw(found)
        return found

    def _settings(self) -> list[Json]:
        settings = [LUMI] if self.lumi else []
        if self.rng.random() < NEGATIVE:
            settings.append({"name": "mu", "inits": [1.0], "bounds": [[-5.0, 20.0]]})
        return settings

    def _channel(self, c: int, n_samples: int) -> Json:
        rng, family = self.rng, self.family
        n_bins = _between(rng, family.bins)
        shape = 10.0 ** (self.decade + rng.normal(0.0, 0.2, n_bins))
        backgrounds = [self._background(c, s, shape) for s in range(n_samples)]
        if "fills" in family.shape and n_bins > 1:
            self._fill(backgrounds, int(rng.integers(n_bins)))
        total = np.sum([b["data"] for b in backgrounds], axis=0)
        samples = [self._signal(total), *backgrounds]
        if rng.random() < family.factor and n_samples > 1:
            backgrounds[-1]["modifiers"].append(_modifier(f"free{c}", "shapefactor", None))
        if rng.random() < family.stat:
            size = rng.choice([0.003, 0.03, 0.1, 0.3, 0.6])
            for sample in samples[int(rng.random() < 0.5) :]:
                spread = size * np.exp(rng.normal(0.0, 0.5, n_bins))
                errors = np.abs(sample["data"]) * np.minimum(spread, 0.9)
                sample["modifiers"].append(_modifier(f"stat{c}", "staterror", errors.tolist()))
        return {"name": f"channel{c}", "samples": samples}

    def _signal(self, total: Vector) -> Json:
        rng = self.rng
        # Of the size of its uncertainty, give or take, as analyses are; or anything.
        size = np.hypot(1.0 / np.sqrt(max(total.sum(), 1.0)), rng.uniform(0.01, 0.1))
        share = min(size * 10.0 ** rng.uniform(-0.5, 1.0), 1.0)
        if rng.random() < ANY_SIGNAL:
            share = 10.0 ** rng.uniform(-2.0, 0.0)
        data = share * np.maximum(total, 0.5) * np.exp(rng.normal(0.0, 0.5, len(total)))
        if self.family.signal == "odd":
            odd = rng.choice(["zero", "tiny", "negative", "empty", "usual"])
            if odd == "zero":
                data = np.zeros_like(data)
            elif odd == "tiny":
                data = data * 1e-6
            elif odd == "negative" and len(data) > 1:
                k = rng.integers(len(data))
                data[k] = -0.05 * min(data[k], total[k])
            elif odd == "empty":
                data[rng.integers(len(data))] = 0.0
        signal = {"name": "signal", "data": data.tolist(), "modifiers": []}
        signal["modifiers"].append(_modifier("mu", "normfactor", None))
        if rng.random() < 0.5:
            self._systematics(signal)
        return signal

    def _background(self, c: int, s: int, shape: Vector) -> Json:
        rng, family = self.rng, self.family
        spread = 0.05 if family.trade else 0.6
        data = shape * np.exp(rng.normal(0.0, spread, len(shape)) + rng.normal(0.0, 0.5))
        background = {"name": f"background{s}", "data": data.tolist(), "modifiers": []}
        if rng.random() < family.free:
            background["modifiers"].append(_modifier(f"norm{s}", "normfactor", None))
        if rng.random() < family.gammas:
            sigma = data * rng.uniform(0.02, 0.5, len(data))
            background["modifiers"].append(_modifier(f"gamma{c}{s}", "shapesys", sigma.tolist()))
        self._systematics(background)
        return background

    def _systematics(self, sample: Json) -> None:
        """Modifiers of the names that all samples and channels share."""
        rng, nominal = self.rng, np.array(sample["data"])
        draws = {"normsys": (self.family.norm, _factors), "histosys": (self.family.shape, _shapes)}
        for kind, (wanted, draw) in draws.items():
            flavours = [f for f, mean in wanted.items() for _ in range(rng.poisson(mean))]
            names = rng.permutation(self.alphas)[: len(flavours)]
            for name, flavour in zip(names, flavours, strict=False):
                lo, hi = draw(rng, flavour, nominal)
                data = {"lo": lo, "hi": hi} if kind == "normsys" else {"lo_data": lo, "hi_data": hi}
                sample["modifiers"].append(_modifier(str(name), kind, data))
        if self.lumi:
            sample["modifiers"].append(_modifier("lumi", "lumi", None))

    def _fill(self, backgrounds: list[Json], b: int) -> None:
        """Empty a bin of all backgrounds, and let a variation of one fill it."""
        for background in backgrounds:
            background["data"][b] = 0.0
            for modifier in background["modifiers"]:
                if modifier["type"] == "histosys":
                    modifier["data"]["lo_data"][b] = modifier["data"]["hi_data"][b] = 0.0
                elif modifier["type"] == "shapesys":
                    modifier["data"][b] = 0.0
        shapes = [m for s in backgrounds for m in s["modifiers"] if m["type"] == "histosys"]
        if shapes:
            filled = shapes[self.rng.integers(len(shapes))]["data"]
            filled["hi_data"][b] = float(10.0 ** self.rng.uniform(-1.0, 1.0))
            if self.rng.random() < 0.3:
                filled["lo_data"][b] = float(10.0 ** self.rng.uniform(-1.0, 1.0))

    def _throw(self, workspace: Json) -> None:
        """Data at a truth that is several standard deviations off, distorted bin by bin."""
        rng, family = self.rng, self.family
        likelihood = Likelihood(workspace, self.codes, parameter_names(workspace))
        pulls = rng.normal(0.0, 1.0, len(likelihood.names)) * rng.uniform(*family.tension)
        free = np.exp(rng.normal(0.0, 0.4, len(pulls)))
        free[likelihood.names.index("mu")] = rng.choice([0.0, rng.exponential(1.5)])
        truth = np.where(
            likelihood.constrained,
            likelihood.centre + likelihood.width * np.clip(pulls, -4, 4),
            free,
        )
        truth = np.where(likelihood.fixed, likelihood.init, truth)
        truth = np.clip(truth, likelihood.lower, likelihood.upper)
        expected = np.clip(likelihood.expected(truth[None, :])[0], 0.0, 1e9)
        counts = rng.poisson(expected).astype(np.float64)
        size = family.distortion * rng.uniform(0.0, 1.0)
        counts += size * np.sqrt(counts) * rng.normal(size=len(counts))
        counts *= np.exp(family.relative * rng.normal(size=len(counts)))
        counts = np.round(np.maximum(counts, 0.0)).tolist()
        for observation in workspace["observations"]:
            n_bins = len(observation["data"])
            observation["data"], counts = counts[:n_bins], counts[n_bins:]


def _factors(rng: np.random.Generator, flavour: str, _: Vector) -> tuple[float, float]:
    """Down and up factors of a normsys."""
    if flavour == "mild":
        size = rng.uniform(0.01, 0.15)
        lo, hi = 1.0 - size, 1.0 + size * rng.uniform(0.7, 1.3)
    elif flavour == "asymmetric":
        lo, hi = 1.0 + rng.uniform(-0.35, 0.1), 1.0 + rng.uniform(-0.1, 0.35)
    elif flavour == "huge":
        lo, hi = 10.0 ** rng.uniform(-2.0, -0.3), 10.0 ** rng.uniform(0.3, 1.6)
    elif flavour == "equal":
        lo = hi = np.exp(rng.normal(0.0, 0.25))
    else:
        sign = rng.choice([-1.0, 1.0])
        lo, hi = np.exp(sign * rng.uniform(0.01, 0.3, 2))
    return float(lo), float(hi)


def _shapes(
    rng: np.random.Generator, flavour: str, nominal: Vector
) -> tuple[list[float], list[float]]:
    """Down and up templates of a histosys."""
    n = len(nominal)
    down, up = rng.normal(-0.05, 0.1, n), rng.normal(0.05, 0.1, n)
    if flavour == "folded":
        sign = rng.choice([-1.0, 1.0])
        down, up = sign * np.abs(rng.normal(0.15, 0.08, (2, n)))
    elif flavour == "equal":
        down = up = rng.normal(0.0, 0.15, n)
    lo, hi = (nominal * np.maximum(1.0 + shift, 0.0) for shift in (down, up))
    return lo.tolist(), hi.tolist()


def _modifier(name: str, kind: str, data: Any) -> Json:
    return {"name": name, "type": kind, "data": data}


def _between(rng: np.random.Generator, limits: tuple[int, int]) -> int:
    return int(rng.integers(limits[0], limits[1] + 1))
