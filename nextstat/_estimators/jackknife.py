"""The score that many events would have, from few: a jackknife over groups of events."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from nextstat._events.stage import EventStage
from nextstat._events.table import Events
from nextstat._model.histfactory import HistFactoryModel, from_pyhf

Codes = npt.NDArray[np.int32]


def jackknife_score(
    stage: EventStage,
    events: Events,
    event: Codes,
    n_groups: int,
    metric: Callable[[HistFactoryModel], float],
) -> float:
    """Score corrected for the bias of few events.

    A score of n events is biased by a / n + O(1 / n^2), since templates fluctuate. The sum

        G score(all events) - (G - 1) mean over g of score(all events but those of group g)

    has no a (M. H. Quenouille, Biometrika 43 (1956) 353; B. Efron, "The Jackknife, the Bootstrap
    and Other Resampling Plans", SIAM 1982, chapter 2). Of many events, no bin has an uncertainty
    from their number, so there is no staterror.

    Parameters
    ----------
    stage : EventStage
    events : Events
    event : (n_rows,) int32 ndarray
        Code of the event that each row is of; the rows of one event are in the same group.
    n_groups : int
        G.
    metric : callable
        Score of a model.

    Raises
    ------
    ValueError
        If there are fewer events than groups, or not enough of them without one of the groups.
    """
    stage = replace(stage, staterror=False)
    templates = stage.jackknife(events, deal(event, events.label, n_groups), n_groups)
    scores = (metric(from_pyhf(stage.workspace(t.merged(stage.edges)[0]))) for t in templates)
    of_all = next(scores)
    try:
        without_one = list(scores)
    except ValueError as error:
        raise ValueError(f"jackknife={n_groups}: without one group of events, {error}") from error
    return float(n_groups * of_all - (n_groups - 1) * np.mean(without_one))


def deal(event: Codes, label: Codes, n_groups: int) -> Codes:
    """Group of each row, (n_rows,): events in turn, label by label, in the order of their codes.

    Hence every group has its share of each label, and rows may come in any order.
    """
    n_events = int(event.max()) + 1
    if n_events < n_groups:
        raise ValueError(f"jackknife is {n_groups}, but there are {n_events} events to divide")
    label_of_event = np.zeros(n_events, dtype=np.int32)
    np.maximum.at(label_of_event, event, label)
    group = np.empty(n_events, dtype=np.int32)
    group[np.argsort(label_of_event, kind="stable")] = np.arange(n_events) % n_groups
    return group[event]
