"""The study of cross-validated scores in the documentation, with fewer training sets."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
import sklearn
from sklearn.model_selection import GroupKFold, cross_val_score
from sklearn.pipeline import make_pipeline
from studies import load_study

from nextstat import WorkspaceWarning

STUDY = load_study("cross_validation")
N_SETS = 10


@pytest.fixture(scope="module")
def found() -> dict[str, object]:
    steps = STUDY.classifier(max_iter=6).set_params(scoretransformer__classifier__max_bins=15)
    return STUDY.study(steps, STUDY.ANALYSES, 2000, N_SETS, n_many=10_000, seed=1000)


@pytest.mark.parametrize("name", STUDY.ANALYSES)
def test_score_of_folds_is_that_of_as_many_new_events(found: dict, name: str) -> None:
    difference, error = STUDY.mean(found[name].folds - found[name].new)
    assert 0.0 < error < 0.15
    assert abs(difference) < 3.5 * error


@pytest.mark.parametrize("name", ["uniform", "uniform, `staterror=False`", "sensitivity"])
def test_score_of_training_events_is_higher(found: dict, name: str) -> None:
    difference, error = STUDY.mean(found[name].own - found[name].folds)
    assert difference > 3.0 * error


@pytest.mark.parametrize("binning", ["uniform", "quantile"])
def test_few_events_lower_the_score_unless_their_errors_are_left_out(
    found: dict, binning: str
) -> None:
    with_errors, without = found[binning], found[f"{binning}, `staterror=False`"]
    lower, error = STUDY.mean(with_errors.new - with_errors.many)
    assert lower < -3.0 * error
    higher, error = STUDY.mean(without.new - without.many)
    assert higher > 3.0 * error


def test_jackknife_gives_the_score_of_many_events() -> None:
    """Whatever the bins; other scores are far off."""
    steps = STUDY.classifier(max_iter=6).set_params(scoretransformer__classifier__max_bins=15)
    analyses = {name: STUDY.ANALYSES[name] for name in ("uniform", "quantile")}
    found = STUDY.study(steps, analyses, 8000, N_SETS, n_many=50_000, seed=2000)
    for scores in found.values():
        difference, error = STUDY.mean(scores.corrected - scores.many)
        assert error < 0.06
        assert abs(difference) < 2.0 * error
        difference, error = STUDY.mean(scores.folds - scores.many)
        assert difference < -5.0 * error


def test_folds_are_those_of_cross_val_score() -> None:
    """With and without the jackknife."""
    events, many = STUDY.draw(1200, 0), STUDY.draw(2000, 1)
    steps, analysis = STUDY.classifier(max_iter=5), STUDY.analysis(n_bins=5, binning="quantile")
    with sklearn.config_context(enable_metadata_routing=True), warnings.catch_warnings():
        warnings.simplefilter("ignore", WorkspaceWarning)
        scores = STUDY.one_set(steps, [analysis], events, many)[0]
        for found, jackknife in ((scores[1], None), (scores[4], STUDY.N_GROUPS)):
            expected = cross_val_score(
                make_pipeline(*steps, analysis.set_params(jackknife=jackknife)),
                events.data,
                events.target,
                cv=GroupKFold(STUDY.N_FOLDS),
                params={**STUDY.metadata(events), "groups": events.group},
            )
            assert np.isclose(found, expected.mean(), atol=1e-9)
