"""The examples of docs/training.md run, here with little to do."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

SCRIPTS = Path(__file__).parents[2] / "docs" / "training"

# What makes each of them short.
REDUCED = {
    "inferno": "--steps 2 --seeds 1 --events 1000",
    "inverse_significance": "--seeds 1 --steps 4 --events 300 --new-events 1500",
    "learnable_binning": "--steps 4 --events 500 --points 7",
    "neos": "--epochs 1",
    "scipy_pruning": "--points 5 --every 20",
    "significance_training": "--seeds 1 --steps 3 --events 1000 --new-events 5000",
}


@pytest.mark.parametrize("name", REDUCED)
def test_example_makes_its_figure(name: str, tmp_path: Path) -> None:
    """Anywhere, not only in the checkout, and without a warning."""
    command = [sys.executable, "-W", "error", str(SCRIPTS / f"{name}.py"), "figure.png"]
    done = subprocess.run(
        [*command, *REDUCED[name].split()],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    assert (tmp_path / "figure.png").read_bytes().startswith(b"\x89PNG\r\n\x1a\n")


@pytest.mark.parametrize("name", REDUCED)
def test_page_shows_the_figure(name: str) -> None:
    page = (SCRIPTS.parent / "training.md").read_text(encoding="utf-8")
    assert f"](training/{name}.py)" in page
    assert f"](training/images/{name}.png)" in page
    assert (SCRIPTS / "images" / f"{name}.png").stat().st_size < 60_000
