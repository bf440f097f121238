"""The gallery: its scripts run anywhere, and its page shows them all."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from nextstat import plot

DOCS = Path(__file__).parent.parent / "docs"
SCRIPTS = sorted((DOCS / "gallery").glob("*.py"))


def size(png: Path) -> tuple[int, int]:
    """Width and height of a PNG file, in pixels."""
    content = png.read_bytes()
    assert content.startswith(b"\x89PNG\r\n\x1a\n")
    return int.from_bytes(content[16:20], "big"), int.from_bytes(content[20:24], "big")


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: script.stem)
def test_script_makes_its_figure(script: Path, tmp_path: Path) -> None:
    """As a reader would run it: not from the checkout, whose package has no extension modules."""
    given = [] if script == SCRIPTS[0] else ["figure.png"]
    command = [sys.executable, "-W", "error", str(script), *given]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    assert done.stdout == done.stderr == ""
    made = tmp_path / (given[0] if given else f"{script.stem}.png")
    assert list(tmp_path.iterdir()) == [made]
    shown = DOCS / "gallery" / "images" / f"{script.stem}.png"
    for mine, committed in zip(size(made), size(shown), strict=True):
        assert abs(mine - committed) <= 0.1 * committed  # fonts differ between machines


def test_page_shows_every_figure() -> None:
    page = (DOCS / "gallery.md").read_text(encoding="utf-8")
    for script in SCRIPTS:
        assert f"](gallery/{script.name})" in page
        assert f"](gallery/images/{script.stem}.png)" in page
    images = list((DOCS / "gallery" / "images").iterdir())
    assert {image.stem for image in images} == {script.stem for script in SCRIPTS}
    assert all(image.stat().st_size < 60_000 for image in images)


def test_every_function_is_in_the_gallery() -> None:
    code = "".join(script.read_text(encoding="utf-8") for script in SCRIPTS)
    assert [name for name in plot.__all__ if f"plot.{name}(" not in code] == []
