"""Generated events and blobs: reproducible, consistent row by row, and worth tuning on."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import GroupKFold
from sklearn.utils import Bunch

import nextstat
from nextstat import datasets
from nextstat.datasets import make_blobs, make_events

Vector = npt.NDArray[np.float64]

ALL = ("jes", "jer", "btag", "pileup")
ENERGIES = ["mass", "missing_et", "lead_jet_pt"]
ROWS = ("target", "sample_weight", "variation", "group")


def block(events: Bunch, variation: str) -> Bunch:
    """The rows of one variation."""
    rows = events.variation == variation
    return Bunch(data=events.data[rows], **{name: events[name][rows] for name in ROWS})


def assert_same(one: Bunch, other: Bunch) -> None:
    """All rows are equal, to the last bit."""
    for name in ("data", *ROWS):
        np.testing.assert_array_equal(one[name], other[name])


# Rows -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("systematics", [ALL, ("btag",), {"jer": 0.2, "jes": 0.1}, (), None])
@pytest.mark.parametrize("n_features", [2, 6, 9])
def test_shapes(n_features: int, systematics: Any) -> None:
    """Nominal block first, then each systematic's up and down, all columns of one length."""
    events = make_events(30, n_features, systematics=systematics, random_state=0)
    names = list(systematics or ())
    n_rows = 30 * (1 + 2 * len(names))
    assert events.data.shape == (n_rows, n_features)
    assert events.data.dtype == np.float64
    assert np.isfinite(events.data).all()
    assert {len(events[name]) for name in ROWS} == {n_rows}
    assert list(events.systematics) == names
    assert len(events.feature_names) == len(set(events.feature_names)) == n_features
    blocks = ["nominal", *(f"{name}_{way}" for name in names for way in ("up", "down"))]
    np.testing.assert_array_equal(events.variation, np.repeat(blocks, 30))


def test_contents() -> None:
    """Labels as strings in equal parts; positive energies; fractions between 0 and 1."""
    events = make_events(3000, random_state=0)
    assert events.target_names == ["signal", "ttbar", "wjets"]
    labels, counts = np.unique(events.target[:3000], return_counts=True)
    assert list(labels) == events.target_names
    assert list(counts) == [1000, 1000, 1000]
    frame = pd.DataFrame(events.data, columns=events.feature_names)
    assert (frame[[*ENERGIES, "delta_r"]] > 0.0).all(axis=None)
    assert frame[["b_tag", "centrality"]].stack().between(0.0, 1.0).all()
    mass = frame["mass"][:3000][events.target[:3000] == "signal"]
    assert mass.median() == pytest.approx(125.0, rel=0.02)
    assert all(name in events.DESCR for name in (*events.feature_names, *ALL))


@pytest.mark.parametrize("backgrounds", [["ttbar"], ["wjets", "ttbar", "diboson"]])
def test_backgrounds(backgrounds: list[str]) -> None:
    """Those asked for, in that order, each with a yield and an uncertainty of it."""
    events = make_events(100, backgrounds=backgrounds, random_state=0)
    assert events.target_names == list(events.yields) == ["signal", *backgrounds]
    assert set(events.target) == set(events.target_names)
    assert set(events.norm_systematics) == {"luminosity", *(f"{name}_xs" for name in backgrounds)}
    assert set(events.norm_systematics["luminosity"]) == set(events.target_names)
    for name in backgrounds:
        assert list(events.norm_systematics[f"{name}_xs"]) == [name]


def test_weights() -> None:
    """Positive, different from each other; the nominal ones of a label add up to its yield."""
    events = make_events(1000, random_state=0)
    nominal = block(events, "nominal")
    assert (events.sample_weight > 0.0).all()
    for label, expected in events.yields.items():
        weights = nominal.sample_weight[nominal.target == label]
        assert weights.sum() == pytest.approx(expected, rel=1e-12)
        assert 0.1 < weights.std() / weights.mean() < 1.0


def test_groups() -> None:
    """Variations of an event share its number and its label, and its weight if they move it."""
    events = make_events(500, random_state=0)
    nominal = block(events, "nominal")
    assert len(set(nominal.group)) == 500
    for variation in np.unique(events.variation):
        varied = block(events, variation)
        np.testing.assert_array_equal(varied.group, nominal.group)
        np.testing.assert_array_equal(varied.target, nominal.target)
        moves = variation.split("_")[0] in ("jes", "jer")
        same = varied.sample_weight == nominal.sample_weight
        assert same.all() if moves or variation == "nominal" else not same.any()
    for train, test in GroupKFold(5).split(events.data, events.target, events.group):
        assert not set(events.group[train]) & set(events.group[test])
        assert len(test) == 100 * 9


# Systematics ------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [0.03, 0.2])
@pytest.mark.parametrize("n_features", [2, 6, 8])
def test_jet_energy_scale(n_features: int, size: float) -> None:
    """Energies, and only they, are multiplied by 1 +/- size."""
    events = make_events(200, n_features, systematics={"jes": size}, random_state=0)
    nominal = block(events, "nominal").data
    moved = np.isin(events.feature_names, ENERGIES)
    for way, factor in (("up", 1.0 + size), ("down", 1.0 - size)):
        expected = nominal * np.where(moved, factor, 1.0)
        np.testing.assert_allclose(block(events, f"jes_{way}").data, expected, rtol=1e-15)


def test_jet_energy_resolution() -> None:
    """Up widens the signal's peak and down narrows it; up and down are opposite per event."""
    events = make_events(60_000, systematics={"jer": 0.5}, random_state=0)
    logs = {name: np.log(block(events, name).data) for name in ("nominal", "jer_up", "jer_down")}
    np.testing.assert_allclose(
        logs["jer_up"] - logs["nominal"], logs["nominal"] - logs["jer_down"], atol=1e-12
    )
    moved = (logs["jer_up"] != logs["nominal"]).all(axis=0)
    assert [name for name, m in zip(events.feature_names, moved, strict=True) if m] == ENERGIES
    signal = block(events, "nominal").target == "signal"
    widths = [logs[name][signal, 0].std() for name in ("jer_down", "nominal", "jer_up")]
    assert widths == sorted(widths)


@pytest.mark.parametrize("name", ["btag", "pileup"])
def test_weight_systematics(name: str) -> None:
    """Features stay; weights move by about the size, up and down in opposite directions."""
    events = make_events(5000, systematics={name: 0.1}, random_state=0)
    nominal, up, down = (block(events, v) for v in ("nominal", f"{name}_up", f"{name}_down"))
    np.testing.assert_array_equal(up.data, nominal.data)
    np.testing.assert_array_equal(down.data, nominal.data)
    raised = up.sample_weight / nominal.sample_weight - 1.0
    lowered = down.sample_weight / nominal.sample_weight - 1.0
    assert (np.sign(raised) == -np.sign(lowered)).all()
    assert 0.03 < raised.std() < 0.11
    if name == "btag":
        b_tag = nominal.data[:, events.feature_names.index("b_tag")]
        np.testing.assert_allclose(raised, 0.1 * (2.0 * b_tag - 1.0), atol=1e-12)


def test_sequence_takes_default_sizes() -> None:
    """Names alone, all of them or the sizes written out make the same events."""
    events = make_events(30, random_state=0)
    assert_same(events, make_events(30, systematics=list(ALL), random_state=0))
    assert_same(events, make_events(30, systematics=events.systematics, random_state=0))


# Random numbers ---------------------------------------------------------------------------------


def test_reproducible() -> None:
    """The same seed makes the same events; a RandomState moves on; None draws new ones."""
    first = make_events(40, random_state=3)
    make_events(50)
    assert_same(make_events(40, random_state=3), first)
    state = np.random.RandomState(3)
    assert_same(make_events(40, random_state=state), first)
    for other in (
        make_events(40, random_state=state),
        make_events(40, random_state=4),
        make_events(40),
    ):
        assert not np.any(other.data[:40] == first.data[:40])


@pytest.mark.parametrize("systematics", [("jes",), ("pileup", "btag"), None])
def test_nominal_does_not_depend_on_systematics(systematics: Any) -> None:
    """Nor do the variations depend on each other."""
    every = make_events(50, 8, random_state=1)
    some = make_events(50, 8, systematics=systematics, random_state=1)
    for variation in np.unique(some.variation):
        assert_same(block(some, variation), block(every, variation))


def test_features_do_not_depend_on_their_number() -> None:
    """Fewer features are the first of more; labels and weights stay."""
    many = make_events(50, 9, random_state=1)
    for n_features in (2, 5, 6, 7):
        few = make_events(50, n_features, random_state=1)
        known = min(n_features, 6)
        assert few.feature_names == many.feature_names[:n_features]
        np.testing.assert_array_equal(few.data[:, :known], many.data[:, :known])
        for name in ROWS:
            np.testing.assert_array_equal(few[name], many[name])


# Frames and errors ------------------------------------------------------------------------------


def test_as_frame() -> None:
    """The same numbers with names; scikit-learn takes them as they are."""
    plain = make_events(300, random_state=0)
    framed = make_events(300, as_frame=True, random_state=0)
    assert isinstance(framed.data, pd.DataFrame)
    assert isinstance(framed.target, pd.Series)
    assert list(framed.data.columns) == plain.feature_names
    assert_same(framed, plain)
    rows = framed.variation == "nominal"
    classifier = HistGradientBoostingClassifier(max_iter=5)
    classifier.fit(framed.data[rows], framed.target[rows])
    assert list(classifier.feature_names_in_) == plain.feature_names
    assert list(classifier.classes_) == plain.target_names


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"n_events": 2}, ValueError, "n_events is 2, expected at least 3"),
        ({"n_events": 1e4}, TypeError, "n_events is 10000.0, expected an integer"),
        ({"n_features": 1}, ValueError, "n_features is 1, expected at least 2"),
        (
            {"systematics": ["jes", "jse"]},
            ValueError,
            "systematics has 'jse', expected names of jes, jer, btag, pileup",
        ),
        ({"systematics": {"jets": 0.1}}, ValueError, "expected names of jes, jer, btag, pileup"),
        ({"systematics": ["jes", "jes"]}, ValueError, "expected each name once"),
        ({"systematics": "jes"}, TypeError, "systematics is 'jes', expected a sequence"),
        ({"systematics": {"jes": 0.0}}, ValueError, "'jes'. is 0.0, expected between 0 and 1"),
        ({"systematics": {"jes": 1.0}}, ValueError, "'jes'. is 1.0, expected between 0 and 1"),
        ({"systematics": {"jes": np.nan}}, ValueError, "'jes'. is nan, expected between 0 and 1"),
        ({"systematics": {"jes": "big"}}, TypeError, "'jes'. is 'big', expected a number"),
        ({"systematics": {"jes": True}}, TypeError, "'jes'. is True, expected a number"),
        ({"backgrounds": ["qcd"]}, ValueError, "expected names of ttbar, wjets, diboson"),
        ({"backgrounds": ["signal"]}, ValueError, "expected names of ttbar, wjets, diboson"),
        ({"backgrounds": []}, ValueError, "backgrounds is empty"),
        ({"backgrounds": "ttbar"}, TypeError, "backgrounds is 'ttbar', expected a sequence"),
        ({"random_state": "seed"}, ValueError, "seed"),
    ],
)
def test_errors(options: dict[str, Any], error: type[Exception], message: str) -> None:
    """What cannot be made is refused by name."""
    with pytest.raises(error, match=message):
        make_events(**options)


# What the events are for ------------------------------------------------------------------------


def sensitivity(events: Bunch, features: list[str]) -> tuple[float, float]:
    """Area under the ROC curve, and expected significance, of a classifier of some features.

    Trained on every other nominal event; the others fill 10 bins of its output.
    """
    columns = [events.feature_names.index(name) for name in features]
    nominal = block(events, "nominal")
    n = len(nominal.target)
    blocks = events.data[:, columns].reshape(-1, n, len(columns))
    train = np.arange(n) % 2 == 0
    is_signal = nominal.target == "signal"
    # As much signal as background, and a mean weight of 1, for which the trees' defaults are meant.
    weights = nominal.sample_weight.copy()
    for chosen in (is_signal, ~is_signal):
        weights[chosen] *= 0.5 * n / weights[chosen].sum()
    classifier = HistGradientBoostingClassifier(max_iter=60, random_state=0)
    classifier.fit(blocks[0, train], is_signal[train], sample_weight=weights[train])
    scores = [classifier.predict_proba(rows[~train])[:, 1] for rows in blocks]
    area = roc_auc_score(is_signal[~train], scores[0], sample_weight=weights[~train])

    edges = np.linspace(0.0, 1.0, 11)
    samples = []
    for name, expected in events.yields.items():
        chosen = nominal.target[~train] == name
        weight = nominal.sample_weight[~train][chosen]
        weight *= expected / weight.sum()
        data, up, down = (
            np.histogram(score[chosen], edges, weights=weight)[0].tolist() for score in scores
        )
        squared, _ = np.histogram(scores[0][chosen], edges, weights=weight**2)
        errors = np.sqrt(squared).tolist()
        modifiers: list[dict[str, Any]] = [
            {"name": "jes", "type": "histosys", "data": {"hi_data": up, "lo_data": down}},
            {"name": "staterror", "type": "staterror", "data": errors},
        ]
        modifiers += [
            {"name": k, "type": "normsys", "data": {"hi": 1.0 + v[name], "lo": 1.0 - v[name]}}
            for k, v in events.norm_systematics.items()
            if name in v
        ]
        if name == "signal":
            modifiers.append({"name": "mu", "type": "normfactor", "data": None})
        samples.append({"name": name, "data": data, "modifiers": modifiers})
    asimov = np.sum([sample["data"] for sample in samples], axis=0).tolist()
    config = {"poi": "mu", "parameters": []}
    workspace = {
        "channels": [{"name": "region", "samples": samples}],
        "observations": [{"name": "region", "data": asimov}],
        "measurements": [{"name": "measurement", "config": config}],
        "version": "1.0.0",
    }
    return float(area), nextstat.significance(nextstat.from_pyhf(workspace))


@pytest.mark.parametrize("seed", [0, 1])
def test_best_classifier_is_not_the_best_measurement(seed: int) -> None:
    """The mass separates best; without it the jet energy scale does less harm."""
    events = make_events(20_000, systematics={"jes": 0.1}, random_state=seed)
    area, with_mass = sensitivity(events, events.feature_names)
    robust_area, without_mass = sensitivity(events, events.feature_names[1:])
    assert area > robust_area + 0.005
    assert without_mass > 1.15 * with_mass
    assert 1.5 < with_mass < without_mass < 6.0


def test_noise_tells_nothing() -> None:
    """Features beyond the sixth do not separate signal from background, others do."""
    events = make_events(20_000, 8, systematics=None, random_state=0)
    areas = [roc_auc_score(events.target == "signal", column) for column in events.data.T]
    assert max(abs(area - 0.5) for area in areas[6:]) < 0.02
    assert min(abs(area - 0.5) for area in areas[:6]) > 0.02


# Blobs ------------------------------------------------------------------------------------------

MEANS = {
    "signal": (-1.0, 1.0),
    "background": (1.0, -1.0),
    "background_up": (2.5, 2.0),
    "background_down": (-2.5, -1.5),
}


@pytest.mark.parametrize(("name", "mean"), MEANS.items())
def test_blobs(name: str, mean: tuple[float, float]) -> None:
    """Normal distributions of unit covariance around the published means."""
    blob = make_blobs(40_000, random_state=0)[name]
    assert blob.shape == (40_000, 2)
    assert blob.dtype == np.float64
    np.testing.assert_allclose(blob.mean(axis=0), mean, atol=0.03)
    np.testing.assert_allclose(np.cov(blob.T), np.eye(2), atol=0.03)


def test_blobs_vary_event_by_event() -> None:
    """Row i of the variations is row i of the background; the signal is independent of it."""
    blobs = make_blobs(2000, random_state=0)
    shift = blobs.background_up - blobs.background
    np.testing.assert_allclose(shift, np.broadcast_to([1.5, 3.0], shift.shape), atol=1e-12)
    shift = blobs.background_down - blobs.background
    np.testing.assert_allclose(shift, np.broadcast_to([-3.5, -0.5], shift.shape), atol=1e-12)
    assert abs(np.corrcoef(blobs.signal[:, 0], blobs.background[:, 0])[0, 1]) < 0.1
    assert blobs.yields == {"signal": 20.0, "background": 100.0}


def test_blobs_reproducible() -> None:
    """The same seed makes the same blobs; the default size is the published one."""
    first, again, other = (make_blobs(random_state=seed) for seed in (1, 1, 2))
    for name in MEANS:
        assert first[name].shape == (500, 2)
        np.testing.assert_array_equal(first[name], again[name])
        assert not np.any(first[name] == other[name])


def test_blobs_errors() -> None:
    """No events, or not a number of them."""
    with pytest.raises(ValueError, match="n_samples is 0, expected at least 1"):
        make_blobs(0)
    with pytest.raises(TypeError, match=r"n_samples is 5\.0, expected an integer"):
        make_blobs(5.0)  # type: ignore[arg-type]


# Names ------------------------------------------------------------------------------------------


def test_names() -> None:
    """Every name can be had and is listed; others are AttributeErrors."""
    assert datasets.__all__ == dir(datasets) == ["make_blobs", "make_events", "make_workspace"]
    with pytest.raises(AttributeError, match="no attribute 'make_event'"):
        datasets.make_event  # noqa: B018


def test_workspaces_need_no_scikit_learn(tmp_path: Path) -> None:
    """They are made without importing it."""
    script = """
import sys
from nextstat.datasets import make_workspace
make_workspace(random_state=0)
assert "sklearn" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", script], cwd=tmp_path, check=True, timeout=60)
