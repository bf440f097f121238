"""Random workspaces with every modifier type, for property tests against pyhf."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import strategies as st


def random_workspace(seed: int, *, tension: float = 1.0) -> dict[str, Any]:
    """A workspace of 1 to 3 channels with random samples and modifiers.

    Names are shared between normsys and histosys, between samples and between channels. Observed
    counts are drawn around the expectation and pulled away from it in proportion to `tension`.
    """
    rng = np.random.default_rng(seed)
    n_alphas = int(rng.integers(1, 5))
    alphas = [f"alpha_{k}" for k in range(n_alphas)]
    channels, observations = [], []
    use_lumi, use_shapefactor = rng.random() < 0.4, rng.random() < 0.2
    for c in range(int(rng.integers(1, 4))):
        n_bins = int(rng.integers(1, 5))
        samples = []
        total = np.zeros(n_bins)
        for s in range(int(rng.integers(1, 4))):
            nominal = rng.uniform(5.0, 60.0, n_bins)
            if rng.random() < 0.1:
                nominal[rng.integers(n_bins)] = 0.0
            modifiers: list[dict[str, Any]] = []
            if s == 0:
                modifiers.append({"name": "mu", "type": "normfactor", "data": None})
            elif rng.random() < 0.2:
                modifiers.append({"name": f"norm_{s}", "type": "normfactor", "data": None})
            for alpha in alphas:
                if rng.random() < 0.5:
                    lo, hi = np.exp(rng.normal([-0.1, 0.1], 0.12))
                    data: Any = {"lo": float(lo), "hi": float(hi)}
                    modifiers.append({"name": alpha, "type": "normsys", "data": data})
                if rng.random() < 0.5:
                    up = nominal * (1 + rng.normal(0.0, 0.12, n_bins))
                    down = nominal * (1 + rng.normal(0.0, 0.12, n_bins))
                    data = {"hi_data": up.tolist(), "lo_data": down.tolist()}
                    modifiers.append({"name": alpha, "type": "histosys", "data": data})
            if rng.random() < 0.7:
                uncertainty = nominal * rng.uniform(0.02, 0.2, n_bins)
                if rng.random() < 0.2:
                    uncertainty[rng.integers(n_bins)] = 0.0
                data = uncertainty.tolist()
                modifiers.append({"name": f"stat_{c}", "type": "staterror", "data": data})
            if rng.random() < 0.25:
                data = (nominal * rng.uniform(0.05, 0.3, n_bins)).tolist()
                modifiers.append({"name": f"shape_{c}_{s}", "type": "shapesys", "data": data})
            if use_shapefactor and s > 0 and rng.random() < 0.5:
                modifiers.append({"name": f"free_{c}", "type": "shapefactor", "data": None})
            if use_lumi and rng.random() < 0.7:
                modifiers.append({"name": "lumi", "type": "lumi", "data": None})
            samples.append(
                {"name": f"sample_{s}", "data": nominal.tolist(), "modifiers": modifiers}
            )
            total += nominal
        pulled = total * np.exp(tension * rng.normal(0.0, 0.15, n_bins))
        channels.append({"name": f"channel_{c}", "samples": samples})
        counts = rng.poisson(pulled).astype(float)
        observations.append({"name": f"channel_{c}", "data": counts.tolist()})
    lumi = {
        "name": "lumi",
        "auxdata": [1.0],
        "sigmas": [0.03],
        "bounds": [[0.5, 1.5]],
        "inits": [1.0],
    }
    config = {"poi": "mu", "parameters": [lumi]}
    return {
        "channels": channels,
        "observations": observations,
        "measurements": [{"name": "measurement", "config": config}],
        "version": "1.0.0",
    }


def random_parameters(model: Any, seed: int, spread: float = 1.0) -> np.ndarray:
    """A point within the bounds, spread around the start by constraint widths."""
    rng = np.random.default_rng(seed)
    width = np.where(np.isnan(model.parameters.width), 0.5, model.parameters.width)
    point = model.init + spread * width * rng.normal(size=len(width))
    low, high = model.bounds.T
    return np.clip(point, low + 1e-3, high - 1e-3)


seeds = st.integers(min_value=0, max_value=2**32 - 1)
