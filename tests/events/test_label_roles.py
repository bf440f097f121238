"""What is no background does not become one by accident."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline

from nextstat import HistFactoryEstimator, ScoreTransformer
from nextstat._events.label_roles import check_backgrounds
from nextstat.metrics import get_scorer

DATA = [
    *["data", "Data", "DATA", "data_obs", "dataObs", "data-2018", "data2016B", "Data 15"],
    *[
        "observed",
        "obs",
        "Observation",
        "SR data",
        "real_data",
        "pseudo-data",
        "pseudodata",
        b"data",
    ],
]
SIGNALS = [
    *["signal_500", "Signal", "SIGNAL_ggH", "ggH_signal", "ggHsignal", "sig", "sig1", "sig_2"],
    *["mySig", "signal2", "signals", b"signal_vbf"],
]
BACKGROUNDS = [
    *["ttbar", "wjets", "data-driven QCD", "DataDrivenFakes", "datadriven", "database", "metadata"],
    *["non-signal", "not_signal", "No Signal", "nonsignal", "bkg_signal_500", "signal background"],
    *["bkg_data", "obscure", "sigma", "design", "sigmoid", "b", "0", "W->lv", b"ttbar", "Σ"],
]


@pytest.mark.parametrize("label", DATA, ids=repr)
def test_data(label: str | bytes) -> None:
    with pytest.raises(ValueError, match=re.escape(f"label {label!r} would be a background")) as e:
        check_backgrounds(["ttbar", "signal", label], "signal")
    assert "seem to be data" in str(e.value)


@pytest.mark.parametrize("label", SIGNALS, ids=repr)
def test_second_signal(label: str | bytes) -> None:
    with pytest.raises(ValueError, match="seem to be a signal beside 'signal'"):
        check_backgrounds([label, "signal", "ttbar"], "signal")


@pytest.mark.parametrize("label", BACKGROUNDS, ids=repr)
def test_backgrounds(label: str | bytes) -> None:
    check_backgrounds(["signal", label], "signal")


def test_what_is_named_is_meant() -> None:
    """The signal may be called anything; numbers say nothing."""
    for signal in (*DATA, *SIGNALS):
        check_backgrounds([signal, "ttbar"], signal)
    check_backgrounds([0, 1, 2, True, 1.5], 1)


def test_a_signal_of_another_name() -> None:
    """Whoever names one that does not say so turns the words round; data remain data."""
    check_backgrounds(["signal", "top"], "top")
    check_backgrounds(["ggH", "signal_500"], "ggH")
    with pytest.raises(ValueError, match="seem to be data"):
        check_backgrounds(["data", "signal", "top"], "top")
    with pytest.raises(ValueError, match="beside 'signal_500'"):
        check_backgrounds(["signal_500", "signal_1000", "top"], "signal_500")


def events(extra: Any) -> tuple[Any, Any]:
    y = np.array(["signal", "ttbar", "wjets", extra] * 30, dtype=object)
    return np.random.default_rng(0).random((len(y), 1)), y


STEPS = {
    "estimator": HistFactoryEstimator(2),
    "transformer": ScoreTransformer(LogisticRegression()),
    "pipeline": make_pipeline(ScoreTransformer(LogisticRegression()), HistFactoryEstimator(2)),
}


@pytest.mark.parametrize("kind", [list, np.asarray, pd.Series, pd.Categorical])
@pytest.mark.parametrize("step", STEPS.values(), ids=STEPS.keys())
@pytest.mark.parametrize("label", ["data_obs", "signal_500"])
def test_the_message_says_what_to_do(label: str, step: Any, kind: Any) -> None:
    """Either way out that it names is one."""
    X, y = events(label)
    with pytest.raises(ValueError, match="would be a background") as error:
        step.fit(X, kind(y))
    without = y != label
    assert f"(y != {label!r})" in str(error.value)
    step.fit(X[without], kind(y[without]))
    assert f"call them 'bkg_{label}'" in str(error.value)
    step.fit(X, kind(np.where(y == label, f"bkg_{label}", y)))
    if label == "signal_500":
        assert "give them the same label" in str(error.value)
        step.fit(X, kind(np.where(y == label, "signal", y)))


def test_events_to_score() -> None:
    """Data among them are no label that fit saw; a classifier's labels are looked at as well."""
    X, y = events("data")
    without = y != "data"
    est = HistFactoryEstimator(2).fit(X[without], y[without])
    with pytest.raises(ValueError, match="y holds 'data', which fit did not see"):
        est.score(X, y)
    classifier = LogisticRegression().fit(X, y.astype(str))
    with pytest.raises(ValueError, match="'data' would be a background"):
        get_scorer("significance")(classifier, X, y)


def test_repr() -> None:
    """Which is which, once it is known."""
    X, y = events("zjets")
    est = HistFactoryEstimator(2)
    assert repr(est) == "HistFactoryEstimator(n_bins=2)"
    est.fit(X, y)
    expected = "<signal: 'signal'; backgrounds: 'ttbar', 'wjets', 'zjets'>"
    assert repr(est) == f"HistFactoryEstimator(n_bins=2) {expected}"
    with pytest.raises(ValueError):
        est.fit(X[:3], y[:2])
    assert repr(est) == "HistFactoryEstimator(n_bins=2)"
    numbers = HistFactoryEstimator(2).fit(X, y == "signal")
    assert repr(numbers).endswith("<signal: True; backgrounds: False>")
