"""Studies whose processes are killed, and studies of several processes: no trial is lost."""

from __future__ import annotations

import math
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

import optuna
import pytest
import study as script
from binning import objective
from optuna.trial import FrozenTrial, TrialState

SCRIPT = Path(script.__file__)

# The script, but one trial kills its process when it has drawn its parameters.
DEADLY = f"""
import os, signal, sys
sys.path.insert(0, {str(SCRIPT.parent)!r})
import study
harmless = study.objective

def objective(trial):
    value = harmless(trial)
    if trial.number == 13:
        os.kill(os.getpid(), signal.{{signal}})
        signal.pause()
    return value

study.objective = objective
study.main()
"""


@pytest.fixture(autouse=True)
def quiet() -> None:
    optuna.logging.set_verbosity(optuna.logging.WARNING)


def start(folder: Path, *arguments: str, deadly: signal.Signals | None = None) -> subprocess.Popen:
    """The script, in a process of its own."""
    code = [str(SCRIPT)] if deadly is None else ["-c", DEADLY.format(signal=deadly.name)]
    command = [sys.executable, "-W", "error", *code, *arguments]
    return subprocess.Popen(command, cwd=folder, stderr=subprocess.PIPE, text=True)


def wait(*processes: subprocess.Popen) -> list[int]:
    """Exit codes."""
    return [process.communicate(timeout=120) and process.returncode for process in processes]


def results(study: optuna.Study) -> list[tuple[dict[str, float], float]]:
    """What the trials drew and found, in order."""
    done = study.get_trials(states=(TrialState.COMPLETE,))
    return [(trial.params, trial.value) for trial in done]


def states(study: optuna.Study) -> Counter[TrialState]:
    return Counter(trial.state for trial in study.trials)


@pytest.fixture(scope="module")
def uninterrupted() -> optuna.Study:
    """Of one process that nobody stops."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(direction="maximize")
    script.run(study, 18)
    return study


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL])
def test_killed_study_is_carried_on(
    how: signal.Signals, uninterrupted: optuna.Study, tmp_path: Path
) -> None:
    assert wait(start(tmp_path, "study.db", "run", "18", deadly=how)) == [-how]
    left = script.open_study(str(tmp_path / "study.db"))
    interrupted = TrialState.RUNNING if how == signal.SIGKILL else TrialState.FAIL
    assert states(left) == {TrialState.COMPLETE: 13, interrupted: 1}

    carried_on = script.open_study(str(tmp_path / "study.db"))
    script.run(carried_on, 18)
    assert states(carried_on) == {TrialState.COMPLETE: 18, TrialState.FAIL: 1}
    assert results(carried_on) == results(uninterrupted)
    assert carried_on.best_params == uninterrupted.best_params
    # The interrupted trial drew what the one in its place drew again.
    assert carried_on.trials[13].params == uninterrupted.trials[13].params
    assert len({str(params) for params, _ in results(uninterrupted)}) == 18


def test_study_killed_at_any_time(uninterrupted: optuna.Study, tmp_path: Path) -> None:
    """From outside, wherever it happens to be."""
    study = script.open_study(str(tmp_path / "study.db"))
    process = start(tmp_path, "study.db", "run", "18")
    while len(results(study)) < 5:
        time.sleep(0.05)
    process.kill()
    assert wait(process) == [-signal.SIGKILL]
    assert len(results(study)) < 18
    script.run(study, 18)
    assert results(study) == results(uninterrupted)


def test_sampler_with_a_fixed_seed_repeats_itself() -> None:
    """Why the seed has to change with the trials that are done."""
    study = optuna.create_study(direction="maximize")
    for _ in range(2):
        study.sampler = optuna.samplers.TPESampler(seed=0)
        study.optimize(objective, n_trials=3)
    assert results(study)[:3] == results(study)[3:]


def local(trial: FrozenTrial) -> float:
    """What the objective gives here for the parameters of a trial."""
    return objective(optuna.trial.FixedTrial(trial.params))


def test_four_processes_and_one_that_dies(tmp_path: Path) -> None:
    """A queue in a journal: each point is evaluated once, whoever does it, whoever dies."""
    path = str(tmp_path / "study.log")
    study = script.open_study(path)
    script.plan(study, 48)
    assert states(study) == {TrialState.WAITING: 48}
    workers = [start(tmp_path, path, "work", "12", deadly=signal.SIGKILL) for _ in range(4)]
    assert sorted(wait(*workers)) == [-signal.SIGKILL, 0, 0, 0]

    found = states(study)
    assert found[TrialState.RUNNING] == 1
    assert found[TrialState.COMPLETE] >= 36
    assert sum(found.values()) == 48

    script.plan(study, 48)
    script.plan(study, 48)  # changes nothing: what waits is not queued again
    n_left = states(study)[TrialState.WAITING]
    assert n_left == 48 - found[TrialState.COMPLETE]
    assert wait(start(tmp_path, path, "work", str(n_left))) == [0]

    assert states(study) == {TrialState.COMPLETE: 48, TrialState.FAIL: 1}
    assert [trial.number for trial in study.trials] == list(range(49))
    done = study.get_trials(states=(TrialState.COMPLETE,))
    assert sorted(trial.user_attrs["point"] for trial in done) == list(range(48))
    assert len({str(trial.params) for trial in done}) == 48
    assert [trial.value for trial in done] == [local(trial) for trial in done]


def test_four_processes_on_one_database(tmp_path: Path) -> None:
    """SQLite with a write-ahead log, each process with a sampler of its own."""
    path = str(tmp_path / "study.db")
    study = script.open_study(path)
    assert wait(*(start(tmp_path, path, "work", "5") for _ in range(4))) == [0, 0, 0, 0]
    assert states(study) == {TrialState.COMPLETE: 20}
    assert [trial.number for trial in study.trials] == list(range(20))
    assert [trial.value for trial in study.trials] == [local(trial) for trial in study.trials]


def test_four_processes_on_a_new_database(tmp_path: Path) -> None:
    """All find no file, and want to make its tables."""
    for name in ("first.db", "second.db", "third.db"):
        path = str(tmp_path / name)
        assert wait(*(start(tmp_path, path, "work", "1") for _ in range(4))) == [0, 0, 0, 0]
        assert states(script.open_study(path)) == {TrialState.COMPLETE: 4}


def test_queue_is_emptied_and_no_more(tmp_path: Path) -> None:
    path = str(tmp_path / "study.log")
    study = script.open_study(path)
    script.plan(study, 12)
    assert wait(*(start(tmp_path, path, "work", "12") for _ in range(4))) == [0, 0, 0, 0]
    done = study.get_trials(states=(TrialState.COMPLETE,))
    assert sorted(trial.user_attrs["point"] for trial in done) == list(range(12))
    # Those who came too late for the last point have drawn none of their own.
    late = [trial for trial in study.trials if trial.state != TrialState.COMPLETE]
    assert all(trial.state == TrialState.PRUNED and not trial.params for trial in late)
    n_trials = len(study.trials)
    script.plan(study, 12)
    script.work(study, 12)
    assert len(study.trials) == n_trials


def test_trials_that_come_too_late_draw_nothing(tmp_path: Path) -> None:
    study = script.open_study(str(tmp_path / "study.log"))
    study.optimize(script.of_the_queue, n_trials=1)
    assert states(study) == {TrialState.PRUNED: 1}
    assert not study.trials[0].params


def test_trial_that_would_fail_again_ends_the_study(monkeypatch: pytest.MonkeyPatch) -> None:
    """A new one would draw the same numbers, for ever."""

    def sometimes(trial: optuna.Trial) -> float:
        x = trial.suggest_float("x", 0.0, 1.0)
        return math.nan if 0.4 < x < 0.6 else x

    def pruned(trial: optuna.Trial) -> float:
        value = sometimes(trial)
        if math.isnan(value):
            raise optuna.TrialPruned
        return value

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    study = optuna.create_study(direction="maximize")
    monkeypatch.setattr(script, "objective", sometimes)
    with pytest.raises(RuntimeError, match=r"no value at \{'x': 0\.[45].*raise optuna.TrialPruned"):
        script.run(study, 30)
    failed = study.trials[-1]
    assert [trial.state for trial in study.trials].count(TrialState.FAIL) == 1
    monkeypatch.setattr(script, "objective", pruned)
    script.run(study, 30)
    assert states(study)[TrialState.PRUNED] >= 1
    assert states(study)[TrialState.FAIL] == 1
    assert study.trials[failed.number + 1].params == failed.params


def test_queue_in_a_database_is_refused(tmp_path: Path) -> None:
    process = start(tmp_path, "study.db", "plan", "4")
    _, message = process.communicate(timeout=60)
    assert process.returncode == 2
    assert "a queue needs a journal" in message
    assert not (tmp_path / "study.db").exists()


HEARTBEAT = """
import os, signal, time, warnings
import optuna

def open_study():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        storage = optuna.storages.RDBStorage(
            "sqlite:///study.db", heartbeat_interval=1, grace_period=3
        )
    return optuna.create_study(
        study_name="binning", storage=storage, direction="maximize", load_if_exists=True
    )

def die(trial):
    time.sleep(0.5)  # a trial that dies before its first heartbeat is never found
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_heartbeat_finds_the_dead(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where others may be working, nothing is given up but what has gone quiet."""
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {}
    exec(HEARTBEAT, names)
    study = names["open_study"]()
    code = f"{HEARTBEAT}\nopen_study().optimize(die)"
    killed = subprocess.run([sys.executable, "-c", code], check=False)
    assert killed.returncode == -signal.SIGKILL
    assert states(study) == {TrialState.RUNNING: 1}
    time.sleep(4.5)
    study.optimize(objective, n_trials=1)
    assert states(study) == {TrialState.FAIL: 1, TrialState.COMPLETE: 1}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("nodir/x.db", "run", "2"), "there is no folder 'nodir'"),
        (("x.db", "run", "-5"), "-5 is less than one trial"),
        (("x.db", "plan", "2"), "a queue needs a journal"),
    ],
)
def test_arguments_that_make_no_study(
    tmp_path: Path, arguments: tuple[str, ...], message: str
) -> None:
    process = start(tmp_path, *arguments)
    _, errors = process.communicate(timeout=120)
    assert process.returncode == 2
    assert message in errors
    assert list(tmp_path.iterdir()) == []
