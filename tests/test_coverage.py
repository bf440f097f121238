"""The coverage study of the documentation, with fewer toys."""

from __future__ import annotations

import pytest
from studies import load_study

import nextstat
from nextstat._inference.interval import ONE_SIGMA

STUDY = load_study("coverage")


@pytest.mark.parametrize("name", STUDY.workspaces())
@pytest.mark.parametrize("mu", [0.5, 2.0])
def test_coverage(name: str, mu: float) -> None:
    model = nextstat.from_pyhf(STUDY.workspaces()[name])
    found = STUDY.study(model, mu, 500, seed=21)
    assert abs(found.interval - ONE_SIGMA) < 3.5 * found.error(ONE_SIGMA)
    promised = found.limit_expected
    assert 0.949 < promised <= 1.0
    assert abs(found.limit - promised) < 3.5 * found.error(promised) + 0.01
