"""Settings and fixtures that several test modules share."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest
from hypothesis import settings

# `python -m pytest` looks into the checkout first, where nextstat/ has no extension modules; tested
# is what is installed, editable or not, as with `pytest`.
_CHECKOUT = Path(__file__).parents[1]
sys.path[:] = [folder for folder in sys.path if Path(folder).resolve() != _CHECKOUT]

os.environ["MPLBACKEND"] = "Agg"

settings.register_profile("local", deadline=None)
settings.register_profile("ci", deadline=None, derandomize=True)
settings.load_profile("ci" if os.environ.get("CI") else "local")


@pytest.fixture(scope="session")
def published() -> Path:
    """Folder of published workspaces and their reference values, `truth.json`."""
    default = Path(__file__).parents[2] / "shared" / "workspaces"
    folder = Path(os.environ.get("NEXTSTAT_WORKSPACES", default))
    if not (folder / "truth.json").is_file():
        pytest.skip(f"no published workspaces in {folder}; set NEXTSTAT_WORKSPACES")
    return folder
