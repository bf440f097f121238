"""Workspaces in files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from command_line import two_factors, write

import nextstat
from nextstat.datasets import make_workspace


@pytest.fixture(scope="session")
def workspace() -> dict[str, Any]:
    """Two channels, a dozen parameters, a free normalisation among them."""
    return make_workspace(2, 4, 3, 5, random_state=3)


@pytest.fixture(scope="session")
def file(workspace: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The workspace in a file."""
    return write(tmp_path_factory.mktemp("cli"), workspace)


@pytest.fixture(scope="session")
def model(workspace: dict[str, Any]) -> nextstat.HistFactoryModel:
    """The model of the workspace."""
    return nextstat.from_pyhf(workspace)


@pytest.fixture(scope="session")
def long_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Names longer than a line, yields from tiny to huge."""
    workspace = make_workspace(2, 3, 3, 4, random_state=0)
    for channel, observation in zip(workspace["channels"], workspace["observations"], strict=True):
        scale = 1e5 if channel["name"].endswith("1") else 1e-2
        channel["name"] = observation["name"] = "channel_" * 12 + channel["name"]
        observation["data"] = [round(scale * x) for x in observation["data"]]
        for sample in channel["samples"]:
            sample["name"] = "sample_" * 12 + sample["name"]
            sample["data"] = [scale * x for x in sample["data"]]
            for modifier in sample["modifiers"]:
                if modifier["type"] in ("normsys", "histosys"):
                    modifier["name"] = "systematic_" * 10 + modifier["name"]
                if modifier["type"] == "histosys":
                    modifier["data"] = {
                        key: [scale * x for x in values] for key, values in modifier["data"].items()
                    }
                if modifier["type"] == "staterror":
                    modifier["data"] = [scale * x for x in modifier["data"]]
    return write(tmp_path_factory.mktemp("cli"), workspace)


@pytest.fixture(scope="session")
def degenerate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace whose fit cannot converge."""
    return write(tmp_path_factory.mktemp("cli"), two_factors([50.0, 60.0]))


@pytest.fixture
def suspicious(tmp_path: Path, workspace: dict[str, Any]) -> Path:
    """A workspace with settings for a parameter whose name is misspelt."""
    (measurement,) = workspace["measurements"]
    config = measurement["config"]
    settings = [*config["parameters"], {"name": "norm_ttbra"}]
    changed = {**measurement, "config": {**config, "parameters": settings}}
    return write(tmp_path, {**workspace, "measurements": [changed]})
