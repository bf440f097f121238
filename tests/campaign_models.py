"""Models for tests of the campaign, which is importable from here on."""

from __future__ import annotations

import sys
import warnings
from pathlib import Path

import numpy as np

import nextstat

ROOT = Path(__file__).parents[1]
sys.path.append(str(ROOT))  # at the end: the installed package comes before its sources

from benchmarks.campaign.judge import Judge  # noqa: E402
from benchmarks.campaign.likelihood import Likelihood  # noqa: E402
from benchmarks.campaign.record import Notes  # noqa: E402
from benchmarks.campaign.search import Search  # noqa: E402
from benchmarks.campaign.workspaces import Case  # noqa: E402

SEED = 11
N_STARTS = 8


def simple_case() -> Case:
    """A model of one minimum, whose answers are known to be right."""
    mu = {"name": "mu", "type": "normfactor", "data": None}
    norm = {"name": "norm", "type": "normsys", "data": {"lo": 0.9, "hi": 1.1}}
    tilt = {"lo_data": [54.0, 66.0], "hi_data": [46.0, 74.0]}
    shape = {"name": "tilt", "type": "histosys", "data": tilt}
    samples = [
        {"name": "signal", "data": [12.0, 3.0], "modifiers": [mu]},
        {"name": "background", "data": [50.0, 70.0], "modifiers": [norm, shape]},
    ]
    workspace = {
        "channels": [{"name": "channel", "samples": samples}],
        "observations": [{"name": "channel", "data": [60.0, 68.0]}],
        "measurements": [{"name": "measurement", "config": {"poi": "mu", "parameters": []}}],
        "version": "1.0.0",
    }
    return Case(0, "usual", workspace, ("code4", "code4p"))


def judge_of(case: Case, n_starts: int = N_STARTS) -> Judge:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = nextstat.from_pyhf(case.workspace, interpolation=case.interpolation)
    likelihood = Likelihood(case.workspace, case.interpolation, model.parameter_names)
    search = Search(model, likelihood, n_starts, np.random.default_rng(SEED))
    return Judge(model, search, Notes(case))
