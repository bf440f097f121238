"""The documentation: its code runs, its commands are those promised, its links lead somewhere."""

from __future__ import annotations

import re
import traceback
from pathlib import Path

import matplotlib as mpl
import pytest
import sklearn

ROOT = Path(__file__).parent.parent
PAGES = [*sorted(ROOT.glob("*.md")), *sorted(ROOT.glob("docs/**/*.md"))]

_FENCED = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"\]\(([^()\s]+)\)")
_HEADING = re.compile(r"^#+ +(.*)$", re.MULTILINE)


def python_blocks(page: Path) -> list[tuple[int, str]]:
    """First line and code of each Python block of a page."""
    text = page.read_text(encoding="utf-8")
    return [
        (text.count("\n", 0, match.start(2)) + 1, match[2])
        for match in _FENCED.finditer(text)
        if match[1] == "python"
    ]


def prose(page: Path) -> str:
    """A page without its code blocks."""
    return _FENCED.sub("", page.read_text(encoding="utf-8"))


def anchors(page: Path) -> set[str]:
    """What can follow the # of a link to a page, made from its headings."""
    headings = (heading.lower() for heading in _HEADING.findall(prose(page)))
    return {re.sub(r"[^\w\- ]", "", heading).replace(" ", "-") for heading in headings}


def name(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


@pytest.mark.parametrize("page", [page for page in PAGES if python_blocks(page)], ids=name)
def test_python_blocks_run_in_order(
    page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    mpl.use("Agg")
    with sklearn.config_context():  # a page may change the configuration for itself
        run_blocks(page)


def run_blocks(page: Path) -> None:
    """Run the Python blocks of a page, one after the other, as one program."""
    namespace: dict[str, object] = {"__name__": page.stem}
    for first_line, code in python_blocks(page):
        # Numbered as in the page, so that errors point there.
        numbered = "\n" * (first_line - 1) + code
        try:
            exec(compile(numbered, str(page), "exec"), namespace)
        except Exception as error:
            frames = traceback.extract_tb(error.__traceback__)
            lines = [frame.lineno for frame in frames if frame.filename == str(page)]
            line = lines[-1] if lines else getattr(error, "lineno", first_line)
            message = f"{name(page)}:{line}: {type(error).__name__}: {error}"
            raise AssertionError(message) from error


@pytest.mark.parametrize(
    "command", ["pip install . && nextstat demo", 'pip install ".[test]" && pytest']
)
def test_readme_names_the_command(command: str) -> None:
    blocks = [match[2] for match in _FENCED.finditer((ROOT / "README.md").read_text("utf-8"))]
    assert any(command in line for block in blocks for line in block.splitlines())


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_relative_links_lead_somewhere(page: Path) -> None:
    broken = []
    for link in _LINK.findall(prose(page)):
        if re.match(r"[a-z]+:", link):
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path) if path else page
        if not target.exists() or (anchor and anchor not in anchors(target)):
            broken.append(link)
    assert not broken
