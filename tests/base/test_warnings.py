"""Warnings point to the line of the user, wherever they are found, and say by their class why."""

from __future__ import annotations

import _thread
import signal
import threading
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from random_workspaces import random_workspace
from sklearn.base import BaseEstimator
from sklearn.dummy import DummyClassifier as Prior
from sklearn.model_selection import cross_validate
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

import nextstat
from nextstat import HistFactoryEstimator, HistFactoryModel, ScoreTransformer, interpret
from nextstat._base.warnings import warn
from nextstat._fits.fit import make_result, minimise
from nextstat._fits.settings import make_problem
from nextstat.datasets import make_workspace
from nextstat.exceptions import (
    BoundWarning,
    DegenerateWarning,
    EmptyBinWarning,
    FitWarning,
    GradientWarning,
    InterruptedWarning,
    LimitWarning,
    LocalMinimumWarning,
    NotConvergedWarning,
    PrecisionWarning,
    WorkspaceWarning,
)
from nextstat.mlops import model_metrics

MU = {"name": "mu", "type": "normfactor", "data": None}
NU = {"name": "nu", "type": "normfactor", "data": None}
SCALE = {"name": "a", "type": "normsys", "data": {"hi": 1.1, "lo": 0.9}}


def workspace(
    signal: float | list[float],
    background: float | list[float],
    observed: float | list[float],
    *modifiers: dict[str, Any],
) -> dict[str, Any]:
    """One channel; the modifiers are those of the background, but for `NU`, that of the signal."""
    of_signal = [MU, *(m for m in modifiers if m is NU)]
    of_background = [m for m in modifiers if m is not NU]
    both = [
        {"name": "signal", "data": np.atleast_1d(signal).tolist(), "modifiers": of_signal},
        {
            "name": "background",
            "data": np.atleast_1d(background).tolist(),
            "modifiers": of_background,
        },
    ]
    return {
        "channels": [{"name": "SR", "samples": both}],
        "observations": [{"name": "SR", "data": np.atleast_1d(observed).tolist()}],
        "measurements": [{"name": "m", "config": {"poi": "mu", "parameters": []}}],
        "version": "1.0.0",
    }


def model(*args: Any) -> HistFactoryModel:
    return nextstat.from_pyhf(workspace(*args))


def misspelt() -> dict[str, Any]:
    document = workspace(5.0, 50.0, 55.0, SCALE)
    document["measurements"][0]["config"]["poi"] = "mu_"
    return document


def unused() -> dict[str, Any]:
    document = workspace(5.0, 50.0, 55.0, {**SCALE, "name": "jet_energy"})
    document["measurements"][0]["config"]["parameters"] = [{"name": "jet_enregy"}]
    return document


FINE = nextstat.from_pyhf(make_workspace(random_state=0))
DEGENERATE = model(5.0, 50.0, 55.0, SCALE, NU)
SHAPE = model([5.0, 5.0, 5.0], [5.0, 6.0, 7.0], [9.0, 9.0, 9.0], SCALE, NU)
FAR = model([1.0, 1.0], [100.0, 100.0], [200.0, 200.0], SCALE)
FAINT = model(0.1, 50.0, 50.0, SCALE)
DEFICIT = model(10.0, 50.0, 48.0, SCALE)
FEWER = model(10.0, 50.0, 20.0)
IMPOSSIBLE = model([5.0, 5.0], [0.0, 20.0], [3.0, 22.0])
NOTHING = model(0.0, 50.0, 50.0)
STRONG = model(1e6, 1e6, 2e6)
AT_BOUND = nextstat.fit(model(5.0, 6.0, 3.0))


def in_a_higher_minimum() -> nextstat.FitResult:
    problem = make_problem(TENSE)
    higher = minimise(TENSE, TENSE._observed, problem.searching(0))
    return make_result(TENSE, TENSE._observed, problem, higher, 0.0)


TENSE = nextstat.from_pyhf(random_workspace(742, tension=6.0))
HIGHER = in_a_higher_minimum()
TOYS: dict[str, Any] = {"calculator": "toys", "n_toys": 100, "seed": 1}
ROWS = np.array([[np.nan], [20.0]])
X = np.array([[0.1], [0.3], [0.6], [0.4], [0.8], [0.9], [0.7], [0.2]])
Y = ["b", "b", "b", "signal", "signal", "signal", "b", "signal"]
SIDE = ["nominal"] * 6 + ["a_up", "a_up"]
KEYS: dict[str, Any] = {"yields": {"b": 100.0, "signal": 20.0}, "lo": 0.0, "hi": 1.0}


def analysis(n_bins: int = 1, **options: Any) -> HistFactoryEstimator:
    return HistFactoryEstimator(n_bins, **{"staterror": False, **KEYS, **options})


def with_bad_layout() -> BaseEstimator:
    return make_pipeline(FunctionTransformer(), analysis(5, binning="quantile"))


Call = Callable[[], Any]

# What is called, and what it warns of. Each call is in one line, the one to point to.
CALLS: list[tuple[type[Warning], str, Call]] = [
    (WorkspaceWarning, "no sample carries 'mu_'", lambda: nextstat.from_pyhf(misspelt())),
    (WorkspaceWarning, "settings for", lambda: nextstat.from_pyhf(unused())),
    (WorkspaceWarning, "mirror image", lambda: analysis().fit(X, Y, None, SIDE)),
    (WorkspaceWarning, "were merged", lambda: analysis(10).fit(X, Y)),
    (WorkspaceWarning, "too few different", lambda: analysis(9, binning="quantile").fit(X, Y)),
    (WorkspaceWarning, "taken to be 2", lambda: HistFactoryEstimator(1).fit(X, [0, 1, 2, 2] * 2)),
    (
        WorkspaceWarning,
        "one side of 1",
        lambda: analysis(norm_systematics={"x": (0.9, 0.8)}).fit(X, Y),
    ),
    (WorkspaceWarning, "were merged", lambda: with_bad_layout().fit(X, Y)),
    (WorkspaceWarning, "too few different", lambda: cross_validate(with_bad_layout(), X, Y, cv=2)),
    (WorkspaceWarning, "taken to be 2", lambda: ScoreTransformer(Prior()).fit(X, [0, 1, 2, 2] * 2)),
    (NotConvergedWarning, "singular", lambda: nextstat.fit(DEGENERATE)),
    (NotConvergedWarning, "singular", lambda: model_metrics(DEGENERATE)),
    (NotConvergedWarning, "1 of 2 fits", lambda: nextstat.fit_batch(FEWER, ROWS)),
    (DegenerateWarning, "do not determine", lambda: nextstat.hypotest(DEGENERATE, 0.5)),
    (DegenerateWarning, "do not determine", lambda: nextstat.hypotest(DEGENERATE, 0.5, **TOYS)),
    (DegenerateWarning, "do not determine", lambda: nextstat.significance(DEGENERATE)),
    (DegenerateWarning, "do not determine", lambda: nextstat.upper_limit(NOTHING)),
    (DegenerateWarning, "do not determine", lambda: nextstat.asimov_data(DEGENERATE, 1.0)),
    (DegenerateWarning, "do not determine", lambda: nextstat.scan(DEGENERATE, "mu", [0.5, 1.0])),
    (DegenerateWarning, "do not determine", lambda: nextstat.cls_scan(DEGENERATE, [0.5, 1.0])),
    (DegenerateWarning, "do not determine", lambda: nextstat.goodness_of_fit(SHAPE)),
    (BoundWarning, "fit reaches mu", lambda: nextstat.significance(FAR)),
    (BoundWarning, "fit reaches mu", lambda: nextstat.hypotest(FAR, 1.0)),
    (BoundWarning, "fit reaches mu", lambda: nextstat.hypotest(FAR, 1.0, **TOYS)),
    (BoundWarning, "fit reaches mu", lambda: nextstat.upper_limit(FAR)),
    (BoundWarning, "beyond the upper bound", lambda: nextstat.upper_limit(FAINT)),
    (BoundWarning, "fit reaches mu", lambda: nextstat.goodness_of_fit(FAR)),
    (BoundWarning, "fit reaches mu", lambda: nextstat.cls_scan(FAR, [50.0, 100.0])),
    (BoundWarning, "fit reaches mu", lambda: nextstat.fit_toys(FAR, 3, seed=1)),
    (BoundWarning, "fit reaches mu", lambda: nextstat.toy_data(FAR, 3, seed=1)),
    (BoundWarning, "fit reaches mu", lambda: interpret.rank_impact(FAR)),
    (BoundWarning, "fit reaches mu", lambda: interpret.rank_impact_df(FAR)),
    (BoundWarning, "fit reaches mu", lambda: interpret.plot_rank_impact(FAR)),
    (BoundWarning, "fit reaches mu", lambda: interpret.uncertainty_breakdown(FAR)),
    (BoundWarning, "is stopped by its bounds", lambda: interpret.rank_impact(DEFICIT)),
    (BoundWarning, "have no error", lambda: nextstat.yields(AT_BOUND.model, AT_BOUND)),
    (EmptyBinWarning, "is infinite", lambda: nextstat.significance(IMPOSSIBLE)),
    (EmptyBinWarning, "is infinite", lambda: nextstat.hypotest(IMPOSSIBLE, 0.0)),
    (EmptyBinWarning, "excluded outright", lambda: nextstat.hypotest(IMPOSSIBLE, 1.0)),
    (EmptyBinWarning, "excluded outright", lambda: nextstat.asimov_data(IMPOSSIBLE, 0.0)),
    (EmptyBinWarning, "excluded outright", lambda: nextstat.upper_limit(IMPOSSIBLE)),
    (EmptyBinWarning, "excluded outright", lambda: nextstat.cls_scan(IMPOSSIBLE, [0.5, 1.0])),
    (EmptyBinWarning, "is infinite", lambda: model_metrics(IMPOSSIBLE, expected=False)),
    (LocalMinimumWarning, "a higher minimum", lambda: nextstat.interval(HIGHER)),
    (
        LocalMinimumWarning,
        "a higher minimum",
        lambda: nextstat.contour(HIGHER, "mu", "alpha_1", n_points=8),
    ),
    (LimitWarning, "no value of 'mu' is excluded", lambda: nextstat.upper_limit(NOTHING)),
    (LimitWarning, "did you mean 0.95", lambda: nextstat.upper_limit(FINE, level=0.05)),
    (
        PrecisionWarning,
        "few toys decide",
        lambda: nextstat.upper_limit(FINE, 0.99, expected=False, **TOYS),
    ),
    (PrecisionWarning, "CLb is 0", lambda: nextstat.hypotest(FEWER, 1.0, **TOYS)),
    (
        PrecisionWarning,
        "closer",
        lambda: nextstat.feldman_cousins(STRONG, [0, 0.5, 1, 2], n_toys=99, seed=1),
    ),
]


@pytest.mark.parametrize(("category", "words", "call"), CALLS)
def test_warnings_point_to_the_call(category: type[Warning], words: str, call: Call) -> None:
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        call()
    assert [w for w in seen if w.category is category and words in str(w.message)], seen
    here = __file__, call.__code__.co_firstlineno
    assert {(w.filename, w.lineno) for w in seen} == {here}


def test_what_is_interrupted_points_to_the_call() -> None:
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # may be ignored
    timer = threading.Timer(0.5, _thread.interrupt_main)
    timer.start()
    call = lambda: nextstat.fit_toys(FINE, 10**6, seed=1, n_jobs=1)  # noqa: E731
    try:
        with pytest.warns(InterruptedWarning, match="interrupted after") as seen:
            call()
    finally:
        timer.join()
        signal.signal(signal.SIGINT, before)
    assert {(w.filename, w.lineno) for w in seen} == {(__file__, call.__code__.co_firstlineno)}


def test_a_worker_without_a_line_of_the_user_points_to_what_started_it() -> None:
    """In a thread of ours, say; nothing is lost, and nothing fails."""
    timer = threading.Timer(0.1, warn, args=("from afar", FitWarning))
    timer.start()
    with pytest.warns(FitWarning, match="from afar") as seen:
        timer.join()
    assert seen[0].filename == threading.__file__


def test_one_filter_is_for_all_causes() -> None:
    """Filters for FitWarning, older than its kinds, hold for these."""
    kinds = [value for value in vars(nextstat.exceptions).values() if isinstance(value, type)]
    causes = {kind for kind in kinds if issubclass(kind, FitWarning)} - {FitWarning}
    assert len(causes) == 9
    assert {category for category, _, _ in CALLS} >= causes - {GradientWarning, InterruptedWarning}
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.simplefilter("ignore", FitWarning)
        nextstat.upper_limit(NOTHING)
