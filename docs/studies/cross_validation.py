"""Whether the cross-validated score is that of the same analysis on many new events.

    python cross_validation.py [number of training sets]

prints the tables of ../cross_validation.md.
"""

from __future__ import annotations

import sys
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import sklearn
from sklearn.base import clone
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.model_selection import GroupKFold
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils import Bunch
from sklearn.utils.parallel import Parallel, delayed

from nextstat import HistFactoryEstimator, ScoreTransformer
from nextstat.datasets import make_events
from nextstat.exceptions import WorkspaceWarning

N_FOLDS = 4
N_NEW = 4  # independent sets as large as a fold
N_MANY = 160_000
N_GROUPS = 10  # of the jackknife


def draw(n_events: int, seed: int) -> Bunch:
    """Events with an uncertain jet energy scale."""
    return make_events(n_events, systematics={"jes": 0.1}, random_state=seed)


def metadata(events: Bunch, rows: Any = slice(None)) -> dict[str, Any]:
    """What is passed along with the events."""
    return {"sample_weight": events.sample_weight[rows], "variation": events.variation[rows]}


def folds(events: Bunch) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Rows of training and of test events; an event and its variations stay together."""
    yield from GroupKFold(N_FOLDS).split(events.data, events.target, events.group)


def classifier(cv: int | None = None, max_iter: int = 10) -> Pipeline:
    """From events to scores; `cv` of `ScoreTransformer`."""
    boosting = HistGradientBoostingClassifier(
        max_iter=max_iter, learning_rate=0.2, max_bins=63, early_stopping=False, random_state=0
    )
    scores = ScoreTransformer(boosting, balance=True, cv=cv)
    with sklearn.config_context(enable_metadata_routing=True):
        scaler = StandardScaler().set_fit_request(sample_weight=False)
        return make_pipeline(scaler, scores)


def analysis(**options: Any) -> HistFactoryEstimator:
    """From scores to the expected significance."""
    events = draw(3, seed=0)  # yields and their uncertainties are those of any number of events
    common = {"yields": events.yields, "norm_systematics": events.norm_systematics}
    return HistFactoryEstimator(lo=0.0, hi=1.0, **common, **options)


ANALYSES = {
    "uniform": analysis(),
    "uniform, `staterror=False`": analysis(staterror=False),
    "quantile": analysis(binning="quantile"),
    "quantile, `staterror=False`": analysis(binning="quantile", staterror=False),
    "sensitivity": analysis(binning="sensitivity", min_background=2.0),
}
OTHER_METRICS = {
    f"quantile, `{metric}`": analysis(binning="quantile", metric=metric)
    for metric in ("cls", "upper_limit", "mu_uncertainty")
}
SEARCH = {
    f"{binning}, {n_bins} bins": analysis(n_bins=n_bins, binning=binning)
    for binning in ("uniform", "quantile")
    for n_bins in (5, 10, 20)
}


@dataclass
class Scores:
    """Scores of the pipelines trained in the folds, averaged over these, (n_sets,).

    Attributes
    ----------
    own : ndarray
        Of the templates that `fit` made, of the training events.
    folds : ndarray
        Of the events left out: the cross-validated score.
    new : ndarray
        Of new events, as many as there are in a fold.
    many : ndarray
        Of many new events.
    corrected : ndarray
        Of the events left out, with the jackknife.
    """

    own: np.ndarray
    folds: np.ndarray
    new: np.ndarray
    many: np.ndarray
    corrected: np.ndarray


def mean(values: np.ndarray) -> tuple[float, float]:
    """Mean and its standard error."""
    return float(values.mean()), float(values.std(ddof=1) / np.sqrt(len(values)))


def study(
    steps: Pipeline,
    analyses: dict[str, HistFactoryEstimator],
    n_events: int,
    n_sets: int,
    *,
    n_many: int = N_MANY,
    seed: int = 0,
    n_jobs: int | None = None,
) -> dict[str, Scores]:
    """Cross-validate the steps, followed by each analysis, on independent training sets."""
    with sklearn.config_context(enable_metadata_routing=True):
        sets = Parallel(n_jobs=n_jobs)(
            delayed(one_set)(
                steps, [*analyses.values()], draw(n_events, first), draw(n_many, first + 1)
            )
            for first in range(seed, seed + 2 * n_sets, 2)
        )
    by_analysis = np.moveaxis(np.array(sets), 0, -1)  # (n_analyses, 5, n_sets)
    return {name: Scores(*scores) for name, scores in zip(analyses, by_analysis, strict=True)}


def one_set(
    steps: Pipeline, analyses: list[HistFactoryEstimator], events: Bunch, many: Bunch
) -> np.ndarray:
    """The five scores of each analysis, averaged over the folds of one set, (n_analyses, 5)."""
    n_fold = len(np.unique(events.group)) // N_FOLDS
    new = [np.flatnonzero(many.group // n_fold == k) for k in range(N_NEW)]
    found = np.zeros((len(analyses), 5))
    for train, test in folds(events):
        of_train, y_train = metadata(events, train), events.target[train]
        trained = clone(steps)
        x_train = trained.fit_transform(
            events.data[train], y_train, **of_train, groups=events.group[train]
        )
        x_test, x_many = trained.transform(events.data[test]), trained.transform(many.data)
        y_test, of_test = events.target[test], metadata(events, test)
        for scores, estimator in zip(found, analyses, strict=True):
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", WorkspaceWarning)  # bins without background
                fitted = clone(estimator).fit(x_train, y_train, **of_train)
                scores += [
                    fitted.score(x_train, y_train, **of_train),
                    fitted.score(x_test, y_test, **of_test),
                    np.mean(
                        [
                            fitted.score(x_many[rows], many.target[rows], **metadata(many, rows))
                            for rows in new
                        ]
                    ),
                    fitted.score(x_many, many.target, **metadata(many)),
                    fitted.set_params(jackknife=N_GROUPS).score(
                        x_test, y_test, **of_test, groups=events.group[test]
                    ),
                ]
    return found / N_FOLDS


def best_of(found: dict[str, Scores], by: str) -> Scores:
    """The scores of the candidate that each set would choose: the one whose score `by` is best."""
    chosen = np.argmax([getattr(scores, by) for scores in found.values()], axis=0)
    columns = (
        np.choose(chosen, [getattr(scores, column.name) for scores in found.values()])
        for column in fields(Scores)
    )
    return Scores(*columns)


def row(name: str, n_events: int, scores: Scores) -> str:
    """A row of the table."""
    differences = (
        scores.many,
        scores.own - scores.many,
        scores.folds - scores.many,
        scores.folds - scores.new,
        scores.corrected - scores.many,
    )
    cells = ["{:.3f} +/- {:.3f}".format(*mean(values)) for values in differences]
    return " | ".join([f"| {name}", f"{n_events:,}", *cells]) + " |"


def main() -> None:
    n_sets = int(sys.argv[1]) if len(sys.argv) > 1 else 60
    print(f"{n_sets} training sets each, {N_FOLDS} folds\n")
    print("| binning | events | truth | own templates | folds | folds - equally many | corrected |")
    print("|---|---|---|---|---|---|---|", flush=True)
    for n_events in (4000, 16_000):
        analyses = {**ANALYSES, **OTHER_METRICS, **SEARCH}
        found = study(classifier(), analyses, n_events, n_sets, n_jobs=-1)
        for name in (*ANALYSES, *OTHER_METRICS):
            print(row(name, n_events, found[name]))
        candidates = {name: found[name] for name in SEARCH}
        print(row("best of 6", n_events, best_of(candidates, "folds")))
        print(row("best of 6, corrected", n_events, best_of(candidates, "corrected")), flush=True)
        crossed = {name: ANALYSES[name] for name in ("quantile", "sensitivity")}
        found = study(classifier(cv=3), crossed, n_events, n_sets, n_jobs=-1)
        for name, scores in found.items():
            print(row(f"{name}, `cv=3`", n_events, scores), flush=True)


if __name__ == "__main__":
    main()
