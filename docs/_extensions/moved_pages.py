"""Links to what stands elsewhere on the site than in the repository.

Pages are written for the repository, where README.md is the tutorial and links end in file names.
"""

from __future__ import annotations

import posixpath
import re
from pathlib import Path

from sphinx.application import Sphinx

# By the path in the repository.
MOVED = {
    "README.md": "docs/getting_started.md",
    "docs/README.md": "docs/index.md",
    "CHANGELOG.md": "docs/changelog.md",
    "CONTRIBUTING.md": "docs/contributing.md",
    "benchmarks/README.md": "docs/benchmarks.md",
    "docs/gallery.md": "docs/figures.rst",
}
_SCRIPT = re.compile(r"docs/gallery/(\w+)\.py")
_LINK = re.compile(r"\]\((?![a-z]+:)([^()\s#]+)(#[^()\s]*)?\)")


def relink(text: str, folder: str) -> str:
    """Direct the links of a page, which is in a folder of the repository, to the site."""

    def link(found: re.Match[str]) -> str:
        path = posixpath.normpath(posixpath.join(folder, found[1]))
        moved = MOVED.get(path, _SCRIPT.sub(r"docs/auto_gallery/\1.rst", path))
        return f"]({posixpath.relpath(moved, 'docs')}{found[2] or ''})"

    return _LINK.sub(link, text)


def relink_page(app: Sphinx, docname: str, source: list[str]) -> None:
    """Links of a page in docs/."""
    if app.env.doc2path(docname).suffix == ".md":
        source[0] = relink(source[0], "docs")


def relink_included(app: Sphinx, path: Path, docname: str, source: list[str]) -> None:
    """Links of a page from outside docs/ that one in docs/ includes."""
    source[0] = relink(source[0], posixpath.normpath(posixpath.join("docs", path.parent)))


def setup(app: Sphinx) -> dict[str, bool]:
    """As Sphinx wants it."""
    app.connect("source-read", relink_page)
    app.connect("include-read", relink_included)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
