"""
Search
======

Classifier and bins tuned together, by the significance that they give.
"""

import sys
import warnings

import matplotlib.pyplot as plt
import numpy as np
import optuna
import sklearn
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from optuna_integration import OptunaSearchCV
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.model_selection import GroupKFold
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler

from nextstat import HistFactoryEstimator, ScoreTransformer
from nextstat.datasets import make_events
from nextstat.exceptions import WorkspaceWarning

events = make_events(4000, systematics={"jes": 0.1}, random_state=0)

sklearn.set_config(enable_metadata_routing=True)
boosting = HistGradientBoostingClassifier(max_iter=15, max_bins=15, random_state=0)
pipeline = Pipeline(
    [
        ("scaler", StandardScaler().set_fit_request(sample_weight=False)),
        ("scores", ScoreTransformer(boosting, balance=True)),
        (
            "analysis",
            HistFactoryEstimator(
                hi=1.0,
                overflow="keep",
                yields=events.yields,
                norm_systematics=events.norm_systematics,
            ),
        ),
    ]
)
distributions = {
    "scores__classifier__learning_rate": FloatDistribution(0.03, 0.5, log=True),
    "analysis__binning": CategoricalDistribution(["uniform", "quantile"]),
    "analysis__n_bins": IntDistribution(2, 30),
    "analysis__lo": FloatDistribution(0.0, 0.3),
}

# Folds as a list: the search cannot pass groups on to a splitter.
folds = list(GroupKFold(3).split(events.data, events.target, events.group))
optuna.logging.set_verbosity(optuna.logging.WARNING)
with warnings.catch_warnings():
    # Optuna calls its search experimental, and a module that the search uses deprecated. In folds
    # with few events, some bins expect no background and are merged.
    for category in (optuna.exceptions.ExperimentalWarning, FutureWarning, WorkspaceWarning):
        warnings.simplefilter("ignore", category)
    search = OptunaSearchCV(
        pipeline, distributions, cv=folds, n_trials=25, random_state=0, refit=False
    )
    search.fit(
        events.data, events.target, sample_weight=events.sample_weight, variation=events.variation
    )

trials = search.study_.trials
value = np.array([trial.value for trial in trials])
error = np.array([trial.user_attrs["std_test_score"] for trial in trials]) / np.sqrt(2)
binning = np.array([trial.params["analysis__binning"] for trial in trials])
number = np.arange(1, len(trials) + 1)

figure, axes = plt.subplots(figsize=(6.0, 4.0), layout="constrained")
best = np.maximum.accumulate(value)
axes.step(number, best, where="post", color="0.4", linewidth=1.2, label="best so far")
for name, color, marker in (("uniform", "#d1495b", "o"), ("quantile", "#2e6f95", "s")):
    rows = binning == name
    axes.errorbar(
        number[rows],
        value[rows],
        error[rows],
        fmt=marker,
        color=color,
        markersize=5,
        elinewidth=1.0,
        label=f"{name} bins",
    )
axes.set_xlabel("trial")
axes.set_ylabel("cross-validated expected significance")
figure.legend(loc="outside upper center", ncols=3, frameon=False)
figure.savefig(sys.argv[1] if len(sys.argv) > 1 else "optuna_search.png")
