"""A study that outlives its processes: interrupted and carried on, or shared by several.

    python study.py study.db run 200      carry on until 200 trials are done, one after another
    python study.py study.log plan 200    queue 200 points, or those of them that are not done yet
    python study.py study.log work 50     do 50 trials, or what is left of the queue if there is one

STORAGE is an SQLite database, or a journal if it ends in ".log". A queue needs a journal: two
processes can take the same trial from an SQLite database.
"""

import argparse
import contextlib
import sqlite3
from pathlib import Path

import optuna
from binning import objective
from optuna.storages import JournalStorage, RDBStorage
from optuna.storages.journal import JournalFileBackend, JournalFileOpenLock
from optuna.trial import TrialState

DONE = (TrialState.COMPLETE, TrialState.PRUNED)


def open_study(path):
    if path.endswith(".log"):
        storage = JournalStorage(JournalFileBackend(path))
    else:
        with alone(path):  # Optuna makes the tables of a new file without asking who else does
            with contextlib.closing(sqlite3.connect(path)) as database:
                # Readers do not wait for writers any more. The file remembers.
                database.execute("PRAGMA journal_mode=WAL")
            wait = {"timeout": 60}  # seconds, for other processes that write
            storage = RDBStorage(f"sqlite:///{path}", engine_kwargs={"connect_args": wait})
    return optuna.create_study(
        study_name="binning", storage=storage, direction="maximize", load_if_exists=True
    )


@contextlib.contextmanager
def alone(path):
    """Until the end of the block, other processes wait where it begins."""
    lock = JournalFileOpenLock(path)
    lock.acquire()
    try:
        yield
    finally:
        lock.release()


def give_up_interrupted(study):
    """Trials that a killed process left running; nobody else may be working on the study."""
    for trial in study.get_trials(states=(TrialState.RUNNING,)):
        study.tell(trial.number, state=TrialState.FAIL)


def run(study, n_trials):
    """Each trial depends on those before it and on their number alone, not on the process."""
    give_up_interrupted(study)
    while (n_done := len(study.get_trials(deepcopy=False, states=DONE))) < n_trials:
        study.sampler = optuna.samplers.TPESampler(seed=n_done)
        study.optimize(objective, n_trials=1)
        last = study.get_trials(deepcopy=False)[-1]
        if last.state == TrialState.FAIL:
            raise RuntimeError(
                f"trial {last.number} has no value at {last.params}, and would be drawn again with "
                "the same numbers: raise optuna.TrialPruned there"
            )


def plan(study, n_trials):
    """Points of a Sobol sequence, so that what is evaluated does not depend on any timing."""
    from scipy.stats import qmc  # slow to import, and workers do not need it

    give_up_interrupted(study)
    kept = study.get_trials(states=(*DONE, TrialState.WAITING))
    there = {trial.user_attrs.get("point") for trial in kept}
    points = qmc.Sobol(3, rng=0).random_base2((n_trials - 1).bit_length())[:n_trials]
    for number, (bins, lo, hi) in enumerate(points):
        if number not in there:
            params = {"n_bins": 3 + int(38 * bins), "lo": 0.3 * lo, "hi": 0.7 + 0.3 * hi}
            study.enqueue_trial(params, user_attrs={"point": number})


def work(study, n_trials):
    """Trials of the queue while it lasts; of the sampler if there never was one."""
    planned = any("point" in trial.user_attrs for trial in study.get_trials(deepcopy=False))
    for _ in range(n_trials):
        if planned and not study.get_trials(deepcopy=False, states=(TrialState.WAITING,)):
            break
        study.optimize(of_the_queue if planned else objective, n_trials=1)


def of_the_queue(trial):
    if "point" not in trial.user_attrs:  # another process took the last one just now
        raise optuna.TrialPruned
    return objective(trial)


def path_in_a_folder(text):
    if not Path(text).parent.is_dir():
        raise argparse.ArgumentTypeError(f"there is no folder {str(Path(text).parent)!r}")
    return text


def count(text):
    if int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text} is less than one trial")
    return int(text)


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("storage", type=path_in_a_folder)
    parser.add_argument("command", choices=("run", "plan", "work"))
    parser.add_argument("n_trials", type=count)
    arguments = parser.parse_args()
    if arguments.command == "plan" and not arguments.storage.endswith(".log"):
        parser.error("a queue needs a journal: STORAGE has to end in .log")
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = open_study(arguments.storage)
    {"run": run, "plan": plan, "work": work}[arguments.command](study, arguments.n_trials)


if __name__ == "__main__":
    main()
