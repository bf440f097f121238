"""Where results go: JSON, tables readable at 80 columns, figures."""

from __future__ import annotations

import json
import math
import os
import shutil
import sys
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import click

from nextstat._base.text import percent as percent
from nextstat._base.text import printable

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from rich.console import Console

BANDS = ("-2 sigma", "-1 sigma", "median", "+1 sigma", "+2 sigma")

_GAP = 2  # spaces between columns
_LEAST = 8  # columns of a table that is too wide, for names
_LONGEST = 24  # letters of a name in a heading
_NARROWEST = 20  # columns that a terminal may claim to have
_ENDLESS = 1_000_000  # columns of what is no terminal


def emit(data: object, as_json: bool, show: Callable[[], None]) -> None:
    """Print as JSON, or as a table."""
    if as_json:
        click.echo(json.dumps(_plain(data), indent=2, allow_nan=False))
    else:
        show()


def _plain(value: Any) -> Any:
    """What JSON can hold: NaN is null, infinities are strings."""
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None if math.isnan(value) else str(value)
    return value


def save(path: str | None, draw: Callable[[Any], Figure]) -> None:
    """Save what `draw` makes with `nextstat.plot`, if there is a path."""
    if path is not None:
        from nextstat import plot

        draw(plot).savefig(path, dpi=150)
        wrote(path)


def wrote(path: str) -> None:
    """Say so, where it does not disturb the results."""
    click.echo(f"wrote {printable(path)}", err=True)


def title(text: str) -> None:
    """A heading between two tables."""
    line("")
    line(text, style="bold")


def line(text: str, style: str = "") -> None:
    """A line of text, wrapped where the terminal is too narrow."""
    from rich.text import Text

    _console(_width()).print(Text(_shown(text), style=style))


def table(
    columns: Sequence[str], rows: Sequence[Sequence[str]], *, left: int = 1, flexible: int = 0
) -> None:
    """Print a table: `left` columns of text, then numbers; only one column gives way to the width.

    Names are cut with an ellipsis where the terminal is too narrow, numbers never; in a pipe or a
    file nothing is.
    """
    from rich import box
    from rich.cells import cell_len
    from rich.table import Table
    from rich.text import Text

    columns, *rows = ([_shown(text) for text in texts] for texts in (columns, *rows))
    widths = [max(map(cell_len, cells)) for cells in zip(columns, *rows, strict=True)]
    others = sum(widths) - widths[flexible] + _GAP * (len(columns) - 1)
    drawn = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False, padding=(0, 0, 0, 1))
    for k, (column, width) in enumerate(zip(columns, widths, strict=True)):
        if k == flexible:
            width = min(width, max(_width() - others, _LEAST))
        justify: Any = "left" if k < left else "right"
        heading = Text(_cut(column, width))
        drawn.add_column(heading, width=width, no_wrap=True, overflow="crop", justify=justify)
        widths[k] = width
    for row in rows:
        drawn.add_row(*(Text(_cut(*cell)) for cell in zip(row, widths, strict=True)))
    _console(sum(widths) + _GAP * (len(columns) - 1)).print(drawn, crop=False)


def _console(width: int) -> Console:
    """Standard output; without a height, rich would not believe in the width where TERM=dumb."""
    from rich.console import Console

    return Console(highlight=False, width=width, height=25)


def _width() -> int:
    """Columns of standard output: the variable COLUMNS, or the terminal's; a pipe has no width."""
    columns = os.environ.get("COLUMNS", "")
    if columns.isdecimal() and int(columns) > 0:
        return max(int(columns), _NARROWEST)
    if sys.stdout.isatty():
        return max(shutil.get_terminal_size().columns, _NARROWEST)
    return _ENDLESS


def _shown(text: str) -> str:
    """Text without control characters, and with escapes for what standard output cannot hold."""
    encoding = sys.stdout.encoding or "utf-8"
    return printable(text).encode(encoding, "backslashreplace").decode(encoding)


def _cut(text: str, width: int) -> str:
    """Text with an ellipsis where it is longer than so many columns."""
    from rich.cells import cell_len, set_cell_size

    if cell_len(text) <= width:
        return text
    ellipsis = _ellipsis()
    return set_cell_size(text, width - len(ellipsis)) + ellipsis


def _ellipsis() -> str:
    return "…" if _shown("…") == "…" else "..."


def number(value: float, digits: int = 4) -> str:
    """A number for a table; a dash for NaN."""
    if not math.isfinite(value):
        return "-" if math.isnan(value) else str(value)
    return f"{value:.{digits}g}" if 0 < abs(value) < 1e-3 or abs(value) >= 1e5 else f"{value:.4f}"


def significant(value: float, digits: int = 5) -> str:
    """A number with so many significant digits; a dash for NaN."""
    return "-" if math.isnan(value) else f"{value:.{digits}g}"


def signed(value: float, digits: int = 2) -> str:
    """A number with its sign and so many decimals; a dash for NaN."""
    return "-" if math.isnan(value) else f"{value:+.{digits}f}"


def shift(value: float) -> str:
    """A number as `number` has it, with its sign; a dash for NaN."""
    return number(value) if math.isnan(value) or value < 0.0 else f"+{number(abs(value))}"


def decimals(value: float, digits: int = 2) -> str:
    """A number with so many decimals, or digits where all of these are 0; a dash for NaN."""
    if math.isnan(value):
        return "-"
    return f"{value:.{digits}{'g' if 0.0 < abs(value) < 10.0**-digits else 'f'}}"


def short(name: str) -> str:
    """A name that fits into a heading."""
    return _cut(_shown(name), _LONGEST)
