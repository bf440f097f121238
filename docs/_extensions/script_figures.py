"""Figures of the gallery: every script writes one, to the path that is its first argument."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from sphinx_gallery.scrapers import figure_rst


def figure_of(script: str) -> Path:
    """Where a script shall write its figure."""
    return Path(script).with_suffix(".new.png")


def arguments(gallery_conf: dict[str, Any], script_vars: dict[str, Any]) -> list[str]:
    """Command line of a script."""
    return [str(figure_of(script_vars["target_file"]))]


def scrape(block: tuple[Any, ...], block_vars: dict[str, Any], gallery_conf: dict[str, Any]) -> str:
    """What shows the figure, which moves to the images of the gallery."""
    made = figure_of(block_vars["target_file"])
    if not made.is_file():
        return ""
    paths: Iterator[str] = block_vars["image_path_iterator"]
    shown = next(paths)
    made.replace(shown)
    return str(figure_rst([shown], gallery_conf["src_dir"]))
