"""Labelled events with systematic variations."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd
from sklearn.utils import Bunch, check_random_state

from nextstat._base.arguments import check_integer
from nextstat._base.arrays import Vector

_FEATURES = ("mass", "delta_r", "b_tag", "centrality", "missing_et", "lead_jet_pt")
_ENERGIES = ("mass", "missing_et", "lead_jet_pt")
_ENERGY_COLUMNS = [_FEATURES.index(name) for name in _ENERGIES]
# Relative sizes of one standard deviation.
_SYSTEMATICS = {"jes": 0.03, "jer": 0.1, "btag": 0.05, "pileup": 0.05}


class _Process(NamedTuple):
    """How the events of one process are distributed."""

    expected: float  # events
    topology: float  # mean of the latent that mass, delta_r and centrality measure
    topology_spread: float
    missing_et: float  # median, GeV
    lead_jet_pt: float  # median, GeV
    b_tag: float  # mean, before it is squeezed into (0, 1)
    cross_section: float  # relative uncertainty; 0 for the signal, whose rate is measured


_SIGNAL = "signal"
_PROCESSES = {
    _SIGNAL: _Process(35.0, 1.8, 0.6, 75.0, 100.0, 1.3, 0.0),
    "ttbar": _Process(300.0, 0.0, 1.0, 75.0, 100.0, 1.2, 0.06),
    "wjets": _Process(300.0, -1.0, 1.3, 65.0, 85.0, -0.8, 0.15),
    "diboson": _Process(20.0, -0.6, 0.6, 65.0, 85.0, 0.0, 0.1),
}
_LUMINOSITY = 0.017

_DESCR = """\
Simulated events of a search
----------------------------

Selected proton collisions of one signal and some backgrounds, as an analysis of LHC data has them
before a classifier is trained: drawn from simple distributions, not from a detector simulation.

Features, in this order (columns beyond them are standard normal noise):

mass          invariant mass of the two leading jets, GeV; the signal peaks at 125
delta_r       angle between the two jets, larger for larger masses
b_tag         discriminant of b-jets against others, between 0 and 1
centrality    share of the energy that is transverse, between 0 and 1, larger for larger masses
missing_et    missing transverse energy, GeV
lead_jet_pt   transverse momentum of the leading jet, GeV

Systematics, each with an up and a down variation of every event:

jes      jet energy scale: mass, missing_et and lead_jet_pt times 1 +/- size
jer      jet energy resolution: that of mass, missing_et and lead_jet_pt times 1 +/- size
btag     efficiency of b-tagging: weights times 1 +/- size (2 b_tag - 1)
pileup   simultaneous collisions z, a standard normal number: weights times exp(+/- size z)

Row i of each variation is the nominal event i. Rows of one event share their `group`.
"""


def make_events(
    n_events: int = 10_000,
    n_features: int = 6,
    *,
    systematics: Mapping[str, float] | Sequence[str] | None = tuple(_SYSTEMATICS),
    backgrounds: Sequence[str] = ("ttbar", "wjets"),
    as_frame: bool = False,
    random_state: int | np.random.RandomState | None = None,
) -> Bunch:
    """Make labelled events of a signal and its backgrounds, with systematic variations.

    For tuning an analysis inside scikit-learn: the best classifier is not always the best
    measurement. The mass separates best, but the jet energy scale moves the backgrounds along it,
    towards the signal. The angle and the centrality know nearly as much, and no energy scale
    touches them. Without systematics, a classifier of all features is the better one by any
    measure; with `systematics={"jes": 0.1}` it still has the larger area under its ROC curve, but
    one without the mass has the larger expected significance.

    Parameters
    ----------
    n_events : int
        Nominal events, in equal parts of each process.
    n_features : int
        Columns: the first of mass, delta_r, b_tag, centrality, missing_et, lead_jet_pt; beyond
        these six, noise that tells nothing. At least 2.
    systematics : mapping, sequence of str or None
        Names, or names and relative sizes of one standard deviation, each greater than 0 and less
        than 1. "jes" (0.03 by default): jet energy scale. "jer" (0.1): jet energy resolution.
        "btag" (0.05): efficiency of b-tagging, changes weights. "pileup" (0.05): simultaneous
        collisions, changes weights. `DESCR` has the formulas. All of them by default; None for
        none.
    backgrounds : sequence of str
        Of "ttbar", "wjets", "diboson".
    as_frame : bool
        Make `data` a DataFrame and `target` a Series.
    random_state : int, RandomState or None
        Seed; the same one makes the same events. Nominal events do not depend on `systematics`,
        and none of the six features on `n_features`. None takes numpy's global generator.

    Returns
    -------
    Bunch
        Rows are all nominal events, then all of them in each variation: n_rows is
        n_events (1 + 2 len(systematics)).

        `data` : (n_rows, n_features) ndarray or DataFrame
            Features; energies in GeV.
        `target` : (n_rows,) ndarray or Series
            Label: "signal", or the background's name.
        `sample_weight` : (n_rows,) ndarray
            Expected events that the row stands for, positive. The nominal ones of a label add up
            to its `yields`.
        `variation` : (n_rows,) ndarray
            "nominal", "jes_up", "jes_down", ...
        `group` : (n_rows,) ndarray
            Number of the event, the same in its variations. Split by it (`GroupKFold`), or copies
            of an event land on both sides.
        `yields` : dict
            Expected events of each label.
        `norm_systematics` : dict
            Relative uncertainties of the yields, {name: {label: size}}: cross-sections of the
            backgrounds, and the luminosity.
        `systematics` : dict
            Relative size of each.
        `feature_names`, `target_names` : list of str
            Columns of `data`, and labels.
        `DESCR` : str
            What the events are.

    Raises
    ------
    TypeError
        If a number is no integer, a size no number, or names are given as one string.
    ValueError
        If a number is too small, a size not between 0 and 1, or a name unknown or repeated.
    """
    sizes = _sizes(systematics)
    names = [_SIGNAL, *_known("backgrounds", backgrounds, [*_PROCESSES][1:])]
    if len(names) == 1:
        raise ValueError("backgrounds is empty, expected at least one name")
    n = check_integer(n_events, "n_events", least=len(names))
    n_columns = check_integer(n_features, "n_features", least=2)
    rng = check_random_state(random_state)
    labels = rng.permutation(np.arange(n) % len(names))  # (n,), index into names
    features, resolution, pileup = _draw(rng, [_PROCESSES[name] for name in names], labels)
    weights = rng.lognormal(sigma=0.3, size=n)
    for k, name in enumerate(names):
        weights[labels == k] *= _PROCESSES[name].expected / weights[labels == k].sum()

    variations = ["nominal", *(f"{name}_{way}" for name in sizes for way in ("up", "down"))]
    n_known = min(n_columns, len(_FEATURES))
    data = np.empty((len(variations), n, n_columns))
    data[0, :, :n_known] = features[:, :n_known]
    data[0, :, n_known:] = rng.normal(size=(n, n_columns - n_known))
    data[1:] = data[0]
    sample_weight = np.tile(weights, (len(variations), 1))
    signed = [sign * size for size in sizes.values() for sign in (1.0, -1.0)]
    for row, (variation, shift) in enumerate(zip(variations[1:], signed, strict=True), start=1):
        kind = variation.partition("_")[0]
        if kind == "btag":
            sample_weight[row] *= 1.0 + shift * (2.0 * features[:, _FEATURES.index("b_tag")] - 1.0)
        elif kind == "pileup":
            sample_weight[row] *= np.exp(shift * pileup)
        else:
            for column, smeared in zip(_ENERGY_COLUMNS, resolution, strict=True):
                if column < n_columns:
                    scale = 1.0 + shift if kind == "jes" else np.exp(shift * smeared)
                    data[row, :, column] *= scale

    bunch = Bunch(
        data=data.reshape(-1, n_columns),
        target=np.tile(np.array(names)[labels], len(variations)),
        sample_weight=sample_weight.ravel(),
        variation=np.repeat(variations, n),
        group=np.tile(np.arange(n), len(variations)),
        yields={name: _PROCESSES[name].expected for name in names},
        norm_systematics={
            "luminosity": dict.fromkeys(names, _LUMINOSITY),
            **{f"{name}_xs": {name: _PROCESSES[name].cross_section} for name in names[1:]},
        },
        systematics=sizes,
        feature_names=[
            *_FEATURES[:n_known],
            *(f"noise_{k + 1}" for k in range(n_columns - n_known)),
        ],
        target_names=names,
        DESCR=_DESCR,
    )
    if as_frame:
        bunch.data = pd.DataFrame(bunch.data, columns=bunch.feature_names, copy=False)
        bunch.target = pd.Series(bunch.target, name="target")
    return bunch


def _draw(
    rng: np.random.RandomState, processes: list[_Process], labels: npt.NDArray[np.int64]
) -> tuple[Vector, list[Vector], Vector]:
    """All features of the nominal events, (n, 6), and what their variations need.

    That is the logarithm of measured over true energy, (n,) for each of `_ENERGIES`, and the
    simultaneous collisions, (n,), standardised.
    """
    n = len(labels)
    of = {
        name: np.array([getattr(process, name) for process in processes])[labels]
        for name in _Process._fields
    }
    # Momentum transfer, common to all energies and opposed to angles; simultaneous collisions.
    hardness, pileup = rng.normal(size=(2, n))
    topology = of["topology"] + of["topology_spread"] * rng.normal(size=n)
    resolution = [
        0.04 * rng.normal(size=n),
        0.3 * np.exp(0.2 * pileup) * rng.normal(size=n),
        0.1 * rng.normal(size=n),
    ]
    true_mass = 97.0 * np.exp(0.14 * topology)
    true_missing_et = of["missing_et"] * np.exp(0.4 * hardness + 0.3 * rng.normal(size=n))
    true_jet_pt = of["lead_jet_pt"] * np.exp(0.35 * hardness + 0.25 * rng.normal(size=n))
    columns = {
        "mass": true_mass * np.exp(resolution[0]),
        "missing_et": true_missing_et * np.exp(resolution[1]),
        "lead_jet_pt": true_jet_pt * np.exp(resolution[2]),
        "delta_r": 2.2 * np.exp(0.2 * (topology + 0.5 * rng.normal(size=n)) - 0.03 * hardness),
        "b_tag": _squeeze(of["b_tag"] + 1.2 * rng.normal(size=n)),
        "centrality": _squeeze(topology - 1.0 + 0.8 * rng.normal(size=n)),
    }
    return np.stack([columns[name] for name in _FEATURES], axis=1), resolution, pileup


def _squeeze(x: Vector) -> Vector:
    """Any number into (0, 1)."""
    squeezed: Vector = 1.0 / (1.0 + np.exp(-x))
    return squeezed


def _sizes(systematics: Mapping[str, float] | Sequence[str] | None) -> dict[str, float]:
    """Relative size of each systematic."""
    names = _known("systematics", () if systematics is None else systematics, _SYSTEMATICS)
    given = systematics if isinstance(systematics, Mapping) else _SYSTEMATICS
    for name in names:
        size = given[name]
        if isinstance(size, bool) or not isinstance(size, int | float | np.number):
            raise TypeError(f"systematics[{name!r}] is {size!r}, expected a number")
        if not 0.0 < size < 1.0:
            raise ValueError(f"systematics[{name!r}] is {size}, expected between 0 and 1")
    return {name: float(given[name]) for name in names}


def _known(option: str, names: Iterable[str], known: Iterable[str]) -> list[str]:
    """The names, if all are known and none is repeated."""
    if isinstance(names, str):
        raise TypeError(f"{option} is {names!r}, expected a sequence of names")
    names, known = list(names), list(known)
    for name in names:
        if name not in known:
            raise ValueError(f"{option} has {name!r}, expected names of {', '.join(known)}")
    if len(set(names)) < len(names):
        raise ValueError(f"{option} is {names}, expected each name once")
    return names
