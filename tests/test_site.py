"""The site: each public name is in the reference, each page is reached, tables are rewritten."""

from __future__ import annotations

import importlib
import json
import re
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

import nextstat

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"
SCRIPTS = sorted((DOCS / "gallery").glob("*.py"))
OTHER_PAGES = {"index", "nextstat", "command_line"}  # of the reference; the rest are modules
MODULES = sorted({path.stem for path in (DOCS / "api").glob("*.rst")} - OTHER_PAGES)

# The site has other pages in their place, or none.
NOT_ON_THE_SITE = {"index", "README", "gallery", "gallery/GALLERY_HEADER"}
GENERATED = {"_build", "_templates", "auto_gallery", "generated"}

_TOCTREE = re.compile(
    r"^:::\{toctree\}\n(.*?)^:::$|^\.\. toctree::\n((?:   [^\n]+\n|\n)*)", re.MULTILINE | re.DOTALL
)


def public_names(module: ModuleType) -> set[str]:
    """Those of `__all__`, or what a module without one defines, or a package gathers."""
    listed = getattr(module, "__all__", None)
    if listed is not None:
        return set(listed)
    return {
        name
        for name, value in vars(module).items()
        if not name.startswith("_")
        and str(getattr(value, "__module__", "")).startswith(module.__name__)
    }


def reference_of(page: str) -> set[str]:
    """Names that a page of the reference lists in tables, or describes itself."""
    text = (DOCS / "api" / f"{page}.rst").read_text(encoding="utf-8")
    tables = re.findall(r"^   :toctree: generated\n\n((?:   \w+\n)+)", text, re.MULTILINE)
    listed = {name for table in tables for name in table.split()}
    return listed | set(re.findall(r"^\.\. (?:auto|py:)\w+:: (\w+)$", text, re.MULTILINE))


@pytest.mark.parametrize("name", MODULES)
def test_reference_has_each_public_name_of(name: str) -> None:
    module = importlib.import_module(f"nextstat.{name}")
    assert reference_of(name) == public_names(module)


def test_reference_has_each_public_name() -> None:
    modules = {name for name in nextstat.__all__ if isinstance(getattr(nextstat, name), ModuleType)}
    assert reference_of("nextstat") == set(nextstat.__all__) - modules
    assert modules - {"exceptions"} <= set(MODULES)  # their page is that of nextstat
    assert public_names(nextstat.exceptions) <= reference_of("nextstat")


def test_each_page_is_in_one_toctree() -> None:
    files = [path.relative_to(DOCS) for end in ("md", "rst") for path in DOCS.rglob(f"*.{end}")]
    files = [path for path in files if not GENERATED & set(path.parts)]
    pages = {path.with_suffix("").as_posix() for path in files} - NOT_ON_THE_SITE
    entries = []
    for path in files:
        for trees in _TOCTREE.findall((DOCS / path).read_text(encoding="utf-8")):
            lines = [line.strip() for line in "".join(trees).splitlines()]
            entries += [(path.parent / x).as_posix() for x in lines if x and not x.startswith(":")]
    assert sorted(entries) == sorted(pages | {f"auto_gallery/{path.stem}" for path in SCRIPTS})


def test_landing_page_shows_its_output(capsys: pytest.CaptureFixture[str]) -> None:
    page = (DOCS / "index.md").read_text(encoding="utf-8")
    (code,) = re.findall(r"^```python\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
    (output,) = re.findall(r"^```text\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
    exec(compile(code, "index.md", "exec"), {})
    assert capsys.readouterr().out == output


def test_gallery_shows_each_script() -> None:
    shown = re.findall(r"gallery/(\w+)\.py", (DOCS / "figures.rst").read_text(encoding="utf-8"))
    assert sorted(shown) == [script.stem for script in SCRIPTS]


def test_performance_page_is_rewritten(tmp_path: Path) -> None:
    """The tables of the results that are there, and nothing else."""
    ours = {
        "nll": {"status": "ok", "seconds": 2e-6, "value": 5.0},
        "fit": {"status": "timeout", "budget": 9},
    }
    theirs = {
        "nll": {"status": "ok", "seconds": 3e-4, "value": 5.1},
        "fit": {"status": "error", "error": "lost"},
    }
    machine = {"cpu": "abacus", "cores": 1, "load": 0.25, "python": "3.12"}
    record = {"n_parameters": 7, "n_bins": 3, "results": {"ours": ours, "pyhf-scipy": theirs}}
    results = tmp_path / "results.json"
    results.write_text(json.dumps({"machine": machine, "records": {"small": record}}))
    page = tmp_path / "performance.md"
    before = (DOCS / "performance.md").read_text(encoding="utf-8")
    page.write_text(before, encoding="utf-8")

    script = ROOT / "benchmarks" / "performance_page.py"
    readme = tmp_path / "README.md"
    readme.write_text((ROOT / "README.md").read_text(encoding="utf-8"), encoding="utf-8")
    others = [
        "--readme",
        str(readme),
        "--events",
        str(tmp_path / "none.json"),
        "--training",
        str(tmp_path / "none.json"),
    ]
    command = [sys.executable, str(script), "--page", str(page), "--fits", str(results), *others]
    for _ in range(2):
        subprocess.run(command, check=True, capture_output=True)
        after = page.read_text(encoding="utf-8")
        assert "abacus, 1 cores, load 0.2 before the run" in after
        assert "| small | 7, 3 | 2.00 us | > 9 s |" in after
        assert "| small | 150x\\* | error |" in after
        assert "- \\* small, pyhf-scipy: nll 5.1, +0.1 from 5" in after
        assert "- error of small, pyhf-scipy: lost" in after
        text = readme.read_text(encoding="utf-8")
        assert "| small | 7, 3 | 2.00 us (150x) |  | > 9 s (error) |" in text
        head, end = "<!-- fits: begin -->", "<!-- fits: end -->"
        assert after.split(head)[0] == before.split(head)[0]
        assert after.split(end)[1] == before.split(end)[1]
