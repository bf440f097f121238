"""Workspaces to try things on."""

from __future__ import annotations

from typing import Any

import numpy as np

from nextstat._base.arrays import Vector

_BACKGROUNDS = ("ttbar", "wjets", "zjets", "diboson", "singletop", "fakes")
_SYSTEMATICS = (
    "jet_energy_scale",
    "jet_energy_resolution",
    "b_tagging",
    "electron_efficiency",
    "muon_efficiency",
    "pileup",
    "ttbar_scale",
    "parton_shower",
    "pdf",
    "wjets_cross_section",
    "zjets_cross_section",
    "diboson_cross_section",
)


def make_workspace(
    n_channels: int = 3,
    n_bins: int = 8,
    n_samples: int = 4,
    n_systematics: int = 12,
    *,
    mu: float = 1.0,
    signal_fraction: float = 0.05,
    events_per_bin: float = 100.0,
    staterror: bool = True,
    shapesys: bool = False,
    random_state: int | np.random.RandomState | None = None,
) -> dict[str, Any]:
    """Make a realistic workspace of any size.

    A peak ("signal", scaled by the parameter of interest "mu") on falling backgrounds. Each
    systematic changes some of the samples: their yields (normsys), shapes (histosys), or both
    under one name. All samples share the luminosity; the first background floats freely.

    Parameters
    ----------
    n_channels, n_bins : int
        Number of channels, and of bins in each.
    n_samples : int
        Samples per channel, the signal included.
    n_systematics : int
        Constrained systematic uncertainties, besides luminosity and statistics.
    mu : float
        Signal strength in the observed counts, which are Poisson distributed.
    signal_fraction : float
        Expected signal over expected background, over all bins.
    events_per_bin : float
        Expected background events in a bin, on average.
    staterror : bool
        Give every bin a statistical uncertainty common to the samples.
    shapesys : bool
        Give the first background an uncorrelated uncertainty in every bin.
    random_state : int, RandomState or None
        Seed; the same one makes the same workspace.

    Returns
    -------
    dict
        In the pyhf JSON format.

    Raises
    ------
    ValueError
        If a size is not possible.
    """
    for name, value, least in (
        ("n_channels", n_channels, 1),
        ("n_bins", n_bins, 1),
        ("n_samples", n_samples, 2),
        ("n_systematics", n_systematics, 0),
    ):
        if value < least:
            raise ValueError(f"{name} is {value}, expected at least {least}")
    rng = (
        random_state
        if isinstance(random_state, np.random.RandomState)
        else np.random.RandomState(random_state)
    )
    names = ["signal", *_names(_BACKGROUNDS, "background", n_samples - 1)]
    systematics = _Systematics(rng, _names(_SYSTEMATICS, "systematic", n_systematics), names)
    channels, observations = [], []
    for c in range(n_channels):
        channel = f"region_{c + 1}"
        shapes = _shapes(rng, n_bins, n_samples, signal_fraction, events_per_bin)
        samples = []
        for s, (name, nominal) in enumerate(zip(names, shapes, strict=True)):
            modifiers: list[dict[str, Any]] = [{"name": "lumi", "type": "lumi", "data": None}]
            if s == 0:
                modifiers.append({"name": "mu", "type": "normfactor", "data": None})
            if s == 1:
                factor = f"norm_{name}"
                modifiers.append({"name": factor, "type": "normfactor", "data": None})
            modifiers += systematics.modifiers(name, nominal)
            if staterror:
                spread = nominal * rng.uniform(0.01, 0.05, n_bins)
                modifiers.append(
                    {"name": f"staterror_{channel}", "type": "staterror", "data": spread.tolist()}
                )
            if shapesys and s == 1:
                spread = nominal * rng.uniform(0.03, 0.1, n_bins)
                modifiers.append(
                    {"name": f"shape_{channel}", "type": "shapesys", "data": spread.tolist()}
                )
            samples.append({"name": name, "data": nominal.tolist(), "modifiers": modifiers})
        expected = mu * shapes[0] + shapes[1:].sum(axis=0)
        counts = rng.poisson(expected).astype(float)
        channels.append({"name": channel, "samples": samples})
        observations.append({"name": channel, "data": counts.tolist()})
    parameters = [
        {
            "name": "lumi",
            "auxdata": [1.0],
            "sigmas": [0.017],
            "bounds": [[0.5, 1.5]],
            "inits": [1.0],
        }
    ]
    config = {"poi": "mu", "parameters": parameters}
    return {
        "channels": channels,
        "observations": observations,
        "measurements": [{"name": "measurement", "config": config}],
        "version": "1.0.0",
    }


class _Systematics:
    """Effects of the systematics on the samples, the same in every channel up to their shapes."""

    def __init__(self, rng: np.random.RandomState, names: list[str], samples: list[str]) -> None:
        self.rng = rng
        kinds = rng.choice(["norm", "shape", "both"], size=len(names), p=[0.45, 0.35, 0.2])
        self.effects: list[tuple[str, str, dict[str, tuple[float, float]]]] = []
        for name, kind in zip(names, kinds, strict=True):
            touched = [s for s in samples if rng.uniform() < 0.6] or [samples[-1]]
            size = float(rng.lognormal(np.log(0.04), 0.6))
            effect = {s: (size * rng.normal(1.0, 0.3), rng.normal(0.0, 0.15)) for s in touched}
            self.effects.append((name, str(kind), effect))

    def modifiers(self, sample: str, nominal: Vector) -> list[dict[str, Any]]:
        made: list[dict[str, Any]] = []
        for name, kind, effect in self.effects:
            if sample not in effect:
                continue
            size, asymmetry = effect[sample]
            up, down = size * (1.0 + asymmetry), -size * (1.0 - asymmetry)
            if kind != "shape":
                data: dict[str, Any] = {"hi": float(np.exp(up)), "lo": float(np.exp(down))}
                made.append({"name": name, "type": "normsys", "data": data})
            if kind != "norm":
                slope = self.rng.normal(1.0, 0.1) * np.linspace(-1.0, 1.0, len(nominal))
                data = {
                    "hi_data": (nominal * np.exp(up * slope)).tolist(),
                    "lo_data": (nominal * np.exp(down * slope)).tolist(),
                }
                made.append({"name": name, "type": "histosys", "data": data})
        return made


def _shapes(
    rng: np.random.RandomState,
    n_bins: int,
    n_samples: int,
    signal_fraction: float,
    events_per_bin: float,
) -> Vector:
    """Nominal yields of a channel, (n_samples, n_bins), the signal first."""
    x = (np.arange(n_bins) + 0.5) / n_bins
    peak = np.exp(-0.5 * ((x - rng.uniform(0.6, 0.8)) / 0.12) ** 2) + 1e-3
    falling = np.exp(-rng.uniform(1.0, 2.5, size=(n_samples - 1, 1)) * x)
    shares = rng.dirichlet(np.full(n_samples - 1, 2.0))[:, None]
    total = events_per_bin * n_bins * rng.uniform(0.7, 1.3)
    backgrounds = total * shares * falling / falling.sum(axis=1, keepdims=True)
    signal = signal_fraction * total * peak / peak.sum()
    shapes: Vector = np.round(np.vstack([signal, backgrounds]) + 0.05, 3)
    return shapes


def _names(known: tuple[str, ...], stem: str, n: int) -> list[str]:
    return [*known[:n], *(f"{stem}_{k + 1}" for k in range(len(known), n))]
