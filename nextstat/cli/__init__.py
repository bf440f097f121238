"""The command line: `nextstat demo | inspect | validate | fit | ...` on a workspace file.

Whatever takes long to import is imported by the commands that need it.
"""

from __future__ import annotations

import sys

__all__ = ["main"]


def main() -> None:
    """Run the program."""
    try:
        from nextstat.cli.commands import program

        program.ends_process = True
        program()
    except KeyboardInterrupt:  # while importing
        print("Interrupted", file=sys.stderr)
        sys.exit(130)
