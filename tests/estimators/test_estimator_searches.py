"""The estimators inside scikit-learn: its own checks, pipelines, searches, Optuna, workers."""

from __future__ import annotations

import pickle
from collections.abc import Iterator
from functools import partial
from typing import Any

import joblib
import numpy as np
import optuna
import pytest
import sklearn
from optuna_integration import OptunaSearchCV
from sklearn.base import clone
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.experimental import enable_halving_search_cv  # noqa: F401
from sklearn.inspection import permutation_importance
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import (
    GridSearchCV,
    GroupKFold,
    HalvingGridSearchCV,
    KFold,
    cross_val_score,
)
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils import Bunch
from sklearn.utils.estimator_checks import parametrize_with_checks

import nextstat
from nextstat import HistFactoryEstimator, ScoreTransformer
from nextstat.datasets import make_events
from nextstat.metrics import get_scorer

# A cross-fitted transformer scores its training events as if they were new, so its fit_transform
# is not its transform after fit. That is what it is for; TargetEncoder has the same exceptions.
CROSS_FITTED = dict.fromkeys(
    ["check_transformer_general", "check_transformer_data_not_an_array"],
    "fit_transform cross-fits",
)


def expected_failures(estimator: Any) -> dict[str, str]:
    """Checks that an estimator fails, with the reason: none, but for cross-fitting."""
    return CROSS_FITTED if getattr(estimator, "cv", None) is not None else {}


@pytest.mark.filterwarnings("ignore::nextstat.exceptions.WorkspaceWarning")
@pytest.mark.filterwarnings("ignore::nextstat.exceptions.FitWarning")
@parametrize_with_checks(
    [
        HistFactoryEstimator(),
        HistFactoryEstimator(binning="quantile", metric="mu_uncertainty"),
        ScoreTransformer(LogisticRegression()),
        ScoreTransformer(LogisticRegression(), output="all", balance=True),
        ScoreTransformer(LogisticRegression(), cv=2),
    ],
    expected_failed_checks=expected_failures,
)
def test_scikit_learn_checks(estimator: Any, check: Any) -> None:
    check(estimator)


@pytest.fixture(scope="module")
def events() -> Bunch:
    return make_events(900, systematics={"jes": 0.05, "btag": 0.05}, random_state=0)


@pytest.fixture
def routing() -> Iterator[None]:
    with sklearn.config_context(enable_metadata_routing=True):
        yield


def pipeline(events: Bunch, **options: Any) -> Pipeline:
    """Scaler, classifier, analysis; made where metadata routing is enabled."""
    classifier = HistGradientBoostingClassifier(max_iter=8, random_state=0)
    analysis = HistFactoryEstimator(
        5, 0.0, 1.0, yields=events.yields, norm_systematics=events.norm_systematics, **options
    )
    return Pipeline(
        [
            ("scale", StandardScaler().set_fit_request(sample_weight=False)),
            ("score", ScoreTransformer(classifier, balance=True)),
            ("analysis", analysis),
        ]
    )


def metadata(events: Bunch) -> dict[str, Any]:
    return {"sample_weight": events.sample_weight, "variation": events.variation}


def by_hand(events: Bunch, n_bins: int, train: Any, test: Any) -> float:
    """One fold without pipeline and routing."""
    X, y, w, v = events.data, events.target, events.sample_weight, events.variation
    X = StandardScaler().fit(X[train]).transform(X)
    step = ScoreTransformer(
        HistGradientBoostingClassifier(max_iter=8, random_state=0), balance=True
    )
    scores = step.fit(X[train], y[train], w[train], v[train]).transform(X)
    analysis = HistFactoryEstimator(
        n_bins, 0.0, 1.0, yields=events.yields, norm_systematics=events.norm_systematics
    )
    analysis.fit(scores[train], y[train], w[train], v[train])
    return analysis.score(scores[test], y[test], w[test], v[test])


@pytest.mark.usefixtures("routing")
@pytest.mark.filterwarnings("ignore::nextstat.exceptions.WorkspaceWarning")
def test_grid_search(events: Bunch) -> None:
    """Weights and variations reach every step, in fit and in score."""
    grid = {"analysis__n_bins": [2, 5]}
    search = GridSearchCV(pipeline(events), grid, cv=GroupKFold(3), error_score="raise")
    search.fit(events.data, events.target, groups=events.group, **metadata(events))
    folds = list(GroupKFold(3).split(events.data, groups=events.group))
    for k, n_bins in enumerate(grid["analysis__n_bins"]):
        expected = [by_hand(events, n_bins, *fold) for fold in folds]
        found = [search.cv_results_[f"split{i}_test_score"][k] for i in range(3)]
        assert found == pytest.approx(expected, rel=1e-9)
    best = search.best_estimator_[-1]
    assert set(best.nuisance_names_) >= {"jes", "btag", "luminosity"}
    assert search.score(events.data, events.target, **metadata(events)) == pytest.approx(
        best.score(
            search.best_estimator_[:-1].transform(events.data), events.target, **metadata(events)
        )
    )
    assert "ScoreTransformer" in search._repr_html_()
    again = pickle.loads(pickle.dumps(search))
    assert again.best_estimator_[-1].feature_importances_.tolist() == (
        best.feature_importances_.tolist()
    )


@pytest.mark.usefixtures("routing")
@pytest.mark.filterwarnings("ignore::nextstat.exceptions.WorkspaceWarning")
def test_several_metrics_and_successive_halving(events: Bunch) -> None:
    scoring = {name: get_scorer(name) for name in ("significance", "upper_limit")}
    search = GridSearchCV(
        pipeline(events),
        {"analysis__binning": ["uniform", "sensitivity"]},
        cv=GroupKFold(2),
        scoring=scoring,
        refit="significance",
        error_score="raise",
    )
    search.fit(events.data, events.target, groups=events.group, **metadata(events))
    assert (search.cv_results_["mean_test_significance"] > 0.0).all()
    assert (search.cv_results_["mean_test_upper_limit"] < 0.0).all()
    halving = HalvingGridSearchCV(
        pipeline(events),
        {"analysis__n_bins": [2, 5]},
        cv=GroupKFold(2),
        min_resources=2000,
        error_score="raise",
        random_state=0,
    )
    halving.fit(events.data, events.target, groups=events.group, **metadata(events))
    assert halving.best_score_ > 0.0


@pytest.mark.usefixtures("routing")
@pytest.mark.filterwarnings("ignore::nextstat.exceptions.WorkspaceWarning")
def test_columns_by_name_in_cross_validation() -> None:
    """DataFrames through a ColumnTransformer, to a classifier that is scored by significance."""
    events = make_events(900, systematics={"jes": 0.05}, as_frame=True, random_state=1)
    columns = ColumnTransformer([("robust", "passthrough", ["delta_r", "centrality"])])
    steps = Pipeline(
        [
            ("columns", columns.set_output(transform="pandas")),
            ("score", ScoreTransformer(LogisticRegression()).set_output(transform="pandas")),
            ("analysis", HistFactoryEstimator(4, 0, 1, observable="score", yields=events.yields)),
        ]
    )
    params = {"groups": events.group, **metadata(events)}
    scores = cross_val_score(
        steps, events.data, events.target, cv=GroupKFold(3), params=params, error_score="raise"
    )
    nominal = events.variation == "nominal"
    classifier = LogisticRegression(max_iter=2000).set_fit_request(sample_weight=True)
    plain = cross_val_score(
        classifier,
        events.data[nominal],
        events.target[nominal],
        params={"sample_weight": events.sample_weight[nominal]},
        scoring=get_scorer("significance", yields=events.yields),
        error_score="raise",
    )
    assert (scores > 0.0).all()
    assert plain.mean() > scores.mean()


@pytest.mark.usefixtures("routing")
@pytest.mark.filterwarnings("ignore::nextstat.exceptions.WorkspaceWarning")
@pytest.mark.filterwarnings("ignore::optuna.exceptions.ExperimentalWarning")
@pytest.mark.filterwarnings("ignore:`optuna.terminator` module:FutureWarning")
def test_optuna_search(events: Bunch) -> None:
    """The same scores as scikit-learn's own cross-validation."""
    splits = list(GroupKFold(2).split(events.data, groups=events.group))
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(direction="maximize", sampler=optuna.samplers.RandomSampler(seed=0))
    search = OptunaSearchCV(
        pipeline(events),
        {"analysis__n_bins": optuna.distributions.IntDistribution(2, 6)},
        cv=splits,
        n_trials=4,
        study=study,
        error_score="raise",
    )
    search.fit(events.data, events.target, **metadata(events))
    assert all(t.state == optuna.trial.TrialState.COMPLETE for t in search.trials_)
    for trial in search.trials_:
        expected = [by_hand(events, trial.params["analysis__n_bins"], *fold) for fold in splits]
        assert trial.value == pytest.approx(np.mean(expected), rel=1e-9)
    assert search.best_estimator_[-1].n_bins == search.best_params_["analysis__n_bins"]


@pytest.mark.filterwarnings("ignore::nextstat.exceptions.WorkspaceWarning")
def test_permutation_importance(events: Bunch) -> None:
    """Which feature costs how much sensitivity: without variations, and with them."""
    with sklearn.config_context(enable_metadata_routing=True):
        steps = pipeline(events)
        nominal = events.variation == "nominal"
        X, y = events.data[nominal], events.target[nominal]
        steps.fit(X, y)
        found = permutation_importance(steps, X, y, n_repeats=2, random_state=0)
        assert found.importances_mean[0] > 0.3  # the mass
        steps.fit(events.data, events.target, **metadata(events))
        scoring = partial(get_scorer("significance"), **metadata(events))
        found = permutation_importance(
            steps, events.data, events.target, scoring=scoring, n_repeats=2, random_state=0
        )
        assert found.importances.shape == (events.data.shape[1], 2)
        assert found.importances_mean.max() > 0.1
        with pytest.raises(ValueError, match="no rows of variation"):
            permutation_importance(steps, X, y, n_repeats=2)


def test_variations_without_routing(events: Bunch) -> None:
    """Variations that a search cannot pass on are missed, not ignored."""
    analysis = HistFactoryEstimator(3, 0.0, 200.0, yields=events.yields)
    with pytest.raises(ValueError, match="enable_metadata_routing=True"):
        cross_val_score(
            analysis,
            events.data,
            events.target,
            cv=KFold(3, shuffle=True, random_state=0),
            params={"variation": events.variation},
            error_score="raise",
        )


def threads_and_score(events: Bunch) -> tuple[int, float]:
    """Threads that a worker may use, and the result of its work."""
    analysis = HistFactoryEstimator(3, 0.0, 200.0, yields=events.yields)
    arguments = (events.data, events.target, events.sample_weight, events.variation)
    return nextstat.get_num_threads(), analysis.fit(*arguments).score(*arguments)


@pytest.mark.parametrize("backend", ["loky", "threading"])
def test_workers_share_the_processors(events: Bunch, backend: str) -> None:
    """The same scores from parallel workers, which do not use more threads than there are."""
    expected = threads_and_score(events)[1]
    with joblib.parallel_config(backend=backend, n_jobs=2):
        results = joblib.Parallel()(joblib.delayed(threads_and_score)(events) for _ in range(4))
    assert [score for _, score in results] == [expected] * 4
    if backend == "loky":
        n_threads = max(threads for threads, _ in results)
        assert n_threads <= max(1, joblib.cpu_count() // 2)


@pytest.mark.usefixtures("routing")
@pytest.mark.filterwarnings("ignore::nextstat.exceptions.WorkspaceWarning")
def test_parallel_search(events: Bunch) -> None:
    grid = {"analysis__n_bins": [2, 4]}
    found = []
    for n_jobs in (1, 2):
        search = GridSearchCV(pipeline(events), grid, cv=GroupKFold(2), n_jobs=n_jobs)
        search.fit(events.data, events.target, groups=events.group, **metadata(events))
        found.append(search.cv_results_["mean_test_score"])
    np.testing.assert_array_equal(*found)


def test_set_params() -> None:
    step = ScoreTransformer(LogisticRegression())
    step.set_params(classifier__C=0.5, cv=3)
    assert clone(step).classifier.C == 0.5
    assert repr(step) == "ScoreTransformer(classifier=LogisticRegression(C=0.5), cv=3)"
