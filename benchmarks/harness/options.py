"""Options that all benchmarks have."""

from __future__ import annotations

import argparse
import os
from pathlib import Path

BENCHMARKS = Path(__file__).resolve().parents[1]


def new_parser(
    description: str | None, results: str, *, workspaces: bool = False
) -> argparse.ArgumentParser:
    """A parser with --output and --venvs, and with --workspaces where they are needed.

    Parameters
    ----------
    description : str, optional
    results : str
        Name of the file results go to.
    workspaces : bool
    """
    parser = argparse.ArgumentParser(description=description)
    add = parser.add_argument
    if workspaces:
        folder = os.environ.get("NEXTSTAT_WORKSPACES") or BENCHMARKS.parents[1].joinpath(
            "shared", "workspaces"
        )
        add("--workspaces", type=Path, default=Path(folder), help="folder of workspaces")
    add("--output", type=Path, default=BENCHMARKS / results, help="where results go (JSON)")
    add("--venvs", type=Path, default=BENCHMARKS / ".venvs", help="cache of environments")
    return parser
