"""A binning searched for twice: with templates known exactly, and from limited simulation."""

import argparse
import math

import numpy as np
import optuna

import nextstat

LARGEST_ERROR = 0.15  # of the background of a bin, from the number of simulated events


def build_workspace(n_bins, lo, hi, n_simulated=None):
    """Signal of 50 events, normal around 0.5 with width 0.08, on 200 events of exp(-2 x).

    Contents of bins are integrals of the densities. The background is known to 5 % and, from
    `n_simulated` events, in each bin.
    """
    edges = np.linspace(lo, hi, n_bins + 1)
    below = np.array([math.erf((edge - 0.5) / (0.08 * math.sqrt(2))) for edge in edges]) / 2
    signal = 50 * np.diff(below)
    background = 200 * np.diff(np.expm1(-2 * edges)) / math.expm1(-2)
    uncertain = [{"name": "rate", "type": "normsys", "data": {"hi": 1.05, "lo": 0.95}}]
    if n_simulated is not None:
        errors = np.sqrt(background * 200 / n_simulated)
        uncertain.append({"name": "simulation", "type": "staterror", "data": errors.tolist()})
    samples = [
        {
            "name": "signal",
            "data": signal.tolist(),
            "modifiers": [{"name": "mu", "type": "normfactor", "data": None}],
        },
        {"name": "background", "data": background.tolist(), "modifiers": uncertain},
    ]
    return {
        "channels": [{"name": "region", "samples": samples}],
        "observations": [{"name": "region", "data": (signal + background).tolist()}],
        "measurements": [{"name": "search", "config": {"poi": "mu", "parameters": []}}],
        "version": "1.0.0",
    }


def objective(trial):
    n_bins = trial.suggest_int("n_bins", 3, 40)
    lo = trial.suggest_float("lo", 0.0, 0.3)
    hi = trial.suggest_float("hi", 0.7, 1.0)

    ws = build_workspace(n_bins=n_bins, lo=lo, hi=hi)
    model = nextstat.from_pyhf(ws)
    hypo = nextstat.hypotest(model, mu=0.0)
    return float(hypo.significance)


def limited(trial):
    """The same, if all bins are known well enough from 2,000 simulated events."""
    n_bins = trial.suggest_int("n_bins", 3, 40)
    lo = trial.suggest_float("lo", 0.0, 0.3)
    hi = trial.suggest_float("hi", 0.7, 1.0)

    ws = build_workspace(n_bins, lo, hi, n_simulated=2000)
    background = ws["channels"][0]["samples"][1]
    errors = np.array(background["modifiers"][1]["data"]) / background["data"]
    if errors.max() > LARGEST_ERROR:
        raise optuna.TrialPruned(f"a bin is known to {errors.max():.0%} only")
    return nextstat.significance(nextstat.from_pyhf(ws))


def main():
    import matplotlib.pyplot as plt  # not for the processes that only want the objective

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("figure", nargs="?", default="binning.png")
    parser.add_argument("--trials", type=int, default=200)
    arguments = parser.parse_args()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    figure, (values, history) = plt.subplots(
        1, 2, figsize=(9, 3.8), layout="constrained", sharey=True
    )
    for function, color, marker, label in (
        (objective, "#2e6f95", "o", "templates known exactly"),
        (limited, "#d1495b", "s", "2,000 simulated events"),
    ):
        sampler = optuna.samplers.TPESampler(seed=0)
        study = optuna.create_study(direction="maximize", sampler=sampler)
        study.optimize(function, n_trials=arguments.trials)
        print(label, study.best_params, study.best_value)
        done = study.get_trials(states=(optuna.trial.TrialState.COMPLETE,))
        n_bins = [trial.params["n_bins"] for trial in done]
        found = np.array([trial.value for trial in done])
        values.plot(n_bins, found, marker, color=color, markersize=4, alpha=0.6, label=label)
        number = [trial.number + 1 for trial in done]
        history.step(number, np.maximum.accumulate(found), where="post", color=color)
    values.set_xlabel("number of bins")
    values.set_ylabel("discovery significance")
    history.set_xlabel("trial")
    history.set_ylabel("best so far")
    figure.legend(loc="outside upper center", ncols=2, frameon=False)
    figure.savefig(arguments.figure)


if __name__ == "__main__":
    main()
