"""Studies with Optuna: what they find, and what happens to trials that fail or are pruned."""

from __future__ import annotations

import re
import subprocess
import sys
import warnings
from pathlib import Path
from typing import Any

import binning
import numpy as np
import optuna
import pyhf
import pytest
import sklearn
from optuna.trial import TrialState
from sklearn.model_selection import PredefinedSplit, cross_val_score

import nextstat

SCRIPTS = Path(binning.__file__).parent

SEED = """
import optuna, nextstat

def objective(trial):
    n_bins = trial.suggest_int("n_bins", 3, 40)
    lo = trial.suggest_float("lo", 0.0, 0.3)
    hi = trial.suggest_float("hi", 0.7, 1.0)

    ws = build_workspace(n_bins=n_bins, lo=lo, hi=hi)
    model = nextstat.from_pyhf(ws)
    hypo = nextstat.hypotest(model, mu=0.0)
    return float(hypo.significance)  # Z₀ in σ

study = optuna.create_study(direction="maximize")
study.optimize(objective, n_trials=200)
"""  # noqa: RUF001


@pytest.fixture(autouse=True)
def quiet() -> None:
    optuna.logging.set_verbosity(optuna.logging.ERROR)


def random_study(seed: int = 0, **options: Any) -> optuna.Study:
    """A study whose points depend on nothing but the seed."""
    sampler = optuna.samplers.RandomSampler(seed=seed)
    return optuna.create_study(direction="maximize", sampler=sampler, **options)


def pyhf_significance(workspace: dict[str, Any]) -> float:
    """Discovery significance by pyhf."""
    model = pyhf.Workspace(workspace).model()
    data = pyhf.Workspace(workspace).data(model)
    init, bounds, fixed = (
        getattr(model.config, f"suggested_{name}")() for name in ("init", "bounds", "fixed")
    )
    q0 = pyhf.infer.test_statistics.q0(0.0, data, model, init, bounds, fixed)
    return float(np.sqrt(q0))


def test_snippet_as_published() -> None:
    namespace: dict[str, Any] = {"build_workspace": binning.build_workspace}
    exec(SEED, namespace)
    study = namespace["study"]
    assert [trial.number for trial in study.trials] == list(range(200))
    assert {trial.state for trial in study.trials} == {TrialState.COMPLETE}
    for trial in (study.best_trial, *study.trials[:3]):
        expected = pyhf_significance(binning.build_workspace(**trial.params))
        assert trial.value == pytest.approx(expected, rel=1e-4)
    assert study.best_value == max(trial.value for trial in study.trials)


def test_limited_simulation_by_pyhf() -> None:
    study = random_study()
    study.optimize(binning.limited, n_trials=30)
    states = [trial.state for trial in study.trials]
    assert set(states) == {TrialState.COMPLETE, TrialState.PRUNED}
    best = binning.build_workspace(**study.best_params, n_simulated=2000)
    assert study.best_value == pytest.approx(pyhf_significance(best), rel=1e-4)
    for trial in study.trials:
        # The largest error is that of the last bin.
        edges = np.linspace(trial.params["lo"], trial.params["hi"], trial.params["n_bins"] + 1)
        share = np.diff(np.expm1(-2.0 * edges[-2:]))[0] / np.expm1(-2.0)
        known = (2000 * share) ** -0.5 <= binning.LARGEST_ERROR
        assert (trial.state == TrialState.COMPLETE) == known


@pytest.mark.parametrize("n_simulated", [None, 2000])
def test_finer_bins_are_never_worse(n_simulated: int | None) -> None:
    """The reason why an objective without a price of bins has no optimum."""
    values = [
        nextstat.significance(
            nextstat.from_pyhf(binning.build_workspace(5 * 2**k, 0.0, 1.0, n_simulated))
        )
        for k in range(6)
    ]
    assert np.all(np.diff(values) > 0.0)


def degenerate(trial: optuna.Trial) -> nextstat.HistFactoryModel:
    """A model whose strength cannot be told from a second factor, in half of the trials."""
    workspace = binning.build_workspace(trial.suggest_int("n_bins", 3, 40), 0.0, 1.0)
    if trial.suggest_categorical("second", [False, True]):
        factors = workspace["channels"][0]["samples"][0]["modifiers"]
        factors.append({"name": "second", "type": "normfactor", "data": None})
    return nextstat.from_pyhf(workspace)


def test_trials_that_fail_do_not_end_the_study() -> None:
    def objective(trial: optuna.Trial) -> float:
        return nextstat.interpret.uncertainty_breakdown(degenerate(trial))["total"]

    study = random_study()
    study.optimize(objective, n_trials=12, catch=(nextstat.FitError,))
    states = {trial.params["second"]: trial.state for trial in study.trials}
    assert states == {False: TrialState.COMPLETE, True: TrialState.FAIL}
    assert len(study.trials) == 12
    assert not study.best_params["second"]
    failed = study.get_trials(states=(TrialState.FAIL,))
    assert all(trial.value is None for trial in failed)
    with pytest.raises(nextstat.FitError, match="singular"):
        random_study().optimize(objective, n_trials=12)


def test_fits_that_do_not_converge_are_pruned() -> None:
    """What `fit` leaves to the caller."""

    def objective(trial: optuna.Trial) -> float:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", nextstat.FitWarning)
            result = nextstat.fit(degenerate(trial))
        if not result.converged:
            raise optuna.TrialPruned(result.message)
        return -result.error("mu")

    study = random_study()
    study.optimize(objective, n_trials=12)
    states = {trial.params["second"]: trial.state for trial in study.trials}
    assert states == {False: TrialState.COMPLETE, True: TrialState.PRUNED}
    assert not study.best_params["second"]


def test_not_a_number_is_a_failure() -> None:
    """Errors of a fit that did not converge are NaN, which is no value of a trial."""

    def objective(trial: optuna.Trial) -> float:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", nextstat.FitWarning)
            return -nextstat.fit(degenerate(trial)).error("mu")

    study = random_study()
    study.optimize(objective, n_trials=12)
    states = {trial.params["second"]: trial.state for trial in study.trials}
    assert states == {False: TrialState.COMPLETE, True: TrialState.FAIL}
    assert np.isfinite(study.best_value)


def test_bound_without_nuisances_prunes_without_loss() -> None:
    """Significances fall as nuisance parameters are added, so those without bound the others."""
    evaluated: list[int] = []

    def objective(trial: optuna.Trial, prune: bool) -> float:
        workspace = nextstat.datasets.make_workspace(
            2,
            trial.suggest_int("n_bins", 2, 8),
            n_systematics=6,
            signal_fraction=trial.suggest_float("signal_fraction", 0.01, 0.1),
            random_state=trial.number,
        )
        model = nextstat.from_pyhf(workspace)
        data = nextstat.asimov_data(model, 1.0, nuisances="nominal")
        nuisances = [name for name in model.parameter_names if name != model.poi]
        bound = nextstat.significance(model, data=data, fixed=nuisances)
        try:
            best = trial.study.best_value
        except ValueError:
            best = 0.0
        if prune and bound <= best:
            raise optuna.TrialPruned
        evaluated.append(trial.number)
        value = nextstat.significance(model, data=data)
        assert value <= bound
        return value

    studies = []
    for prune in (False, True):
        study = random_study()
        study.optimize(lambda trial, prune=prune: objective(trial, prune), n_trials=30)
        studies.append(study)
    plain, pruned = studies
    n_pruned = len(pruned.get_trials(states=(TrialState.PRUNED,)))
    assert n_pruned > 5
    assert len(evaluated) == 60 - n_pruned
    assert pruned.best_trial.number == plain.best_trial.number
    assert pruned.best_value == plain.best_value


@pytest.mark.filterwarnings("ignore::nextstat.exceptions.WorkspaceWarning")
def test_pruning_by_folds() -> None:
    """Trials worse than the median of the others in the folds so far see no further fold."""
    events = nextstat.datasets.make_events(2000, systematics=["jes"], random_state=0)
    mass = np.ascontiguousarray(events.data[:, :1])
    fold = events.group % 6
    columns = (mass, events.target, events.sample_weight, events.variation)
    seen: dict[int, int] = {}

    def objective(trial: optuna.Trial) -> float:
        analysis = nextstat.HistFactoryEstimator(
            trial.suggest_int("n_bins", 1, 16), 50.0, 250.0, yields=events.yields
        )
        scores: list[float] = []
        for number in range(6):
            analysis.fit(*(column[fold != number] for column in columns))
            scores.append(analysis.score(*(column[fold == number] for column in columns)))
            seen[trial.number] = len(scores)
            trial.report(float(np.mean(scores)), number)
            if trial.should_prune():
                raise optuna.TrialPruned
        return float(np.mean(scores))

    study = random_study(pruner=optuna.pruners.MedianPruner(n_startup_trials=4))
    study.optimize(objective, n_trials=20)
    for trial in study.trials:
        assert (trial.state == TrialState.PRUNED) == (seen[trial.number] < 6)
        assert len(trial.intermediate_values) == seen[trial.number]
    pruned = study.get_trials(states=(TrialState.PRUNED,))
    assert len(pruned) >= 4
    with sklearn.config_context(enable_metadata_routing=True):
        folds = cross_val_score(
            nextstat.HistFactoryEstimator(
                study.best_params["n_bins"], 50.0, 250.0, yields=events.yields
            ),
            *columns[:2],
            cv=PredefinedSplit(fold),
            params={"sample_weight": columns[2], "variation": columns[3]},
        )
    assert study.best_value == pytest.approx(folds.mean())


def test_figure(tmp_path: Path) -> None:
    command = [sys.executable, "-W", "error", str(SCRIPTS / "binning.py"), "figure.png"]
    done = subprocess.run(
        [*command, "--trials", "12"], cwd=tmp_path, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    assert (tmp_path / "figure.png").read_bytes().startswith(b"\x89PNG\r\n\x1a\n")
    page = (SCRIPTS.parent / "optuna.md").read_text(encoding="utf-8")
    assert "](tuning/images/binning.png)" in page
    assert (SCRIPTS / "images" / "binning.png").stat().st_size < 60_000


def test_page_and_script_build_the_same_workspace() -> None:
    def builder(text: str) -> str:
        found = re.search(r"^def build_workspace.*?\n    \}\n", text, re.MULTILINE | re.DOTALL)
        assert found is not None
        return found[0]

    page = (SCRIPTS.parent / "optuna.md").read_text(encoding="utf-8")
    assert builder(page) == builder((SCRIPTS / "binning.py").read_text(encoding="utf-8"))
