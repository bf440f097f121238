"""Where results go: JSON, tables readable at 80 columns, figures."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from matplotlib.figure import Figure

BANDS = ("-2 sigma", "-1 sigma", "median", "+1 sigma", "+2 sigma")

_GAP = 2  # spaces between columns
_LONGEST = 24  # letters of a name in a heading


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
    click.echo(f"wrote {path}", err=True)


def title(text: str) -> None:
    """A heading between two tables."""
    line(f"\n{text}", style="bold")


def line(text: str, style: str = "") -> None:
    """A line of text, wrapped where the terminal is too narrow."""
    from rich.console import Console
    from rich.text import Text

    Console(highlight=False).print(Text(text, style=style))


def table(
    columns: Sequence[str], rows: Sequence[Sequence[str]], *, left: int = 1, flexible: int = 0
) -> None:
    """Print a table: `left` columns of text, then numbers; only one column gives way to the width.

    Names are cut with an ellipsis where the terminal is too narrow, numbers never.
    """
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console(highlight=False)
    widths = [max(map(len, cells)) for cells in zip(columns, *rows, strict=True)]
    others = sum(widths) - widths[flexible] + _GAP * (len(columns) - 1)
    drawn = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False, padding=(0, 0, 0, 1))
    for k, (column, width) in enumerate(zip(columns, widths, strict=True)):
        if k == flexible:
            width = min(width, max(console.width - others, 8))
        drawn.add_column(
            Text(column),
            width=width,
            no_wrap=True,
            overflow="ellipsis",
            justify="left" if k < left else "right",
        )
    for row in rows:
        drawn.add_row(*map(Text, row))
    console.print(drawn, crop=False)


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


def decimals(value: float, digits: int = 2) -> str:
    """A number with so many decimals; a dash for NaN."""
    return "-" if math.isnan(value) else f"{value:.{digits}f}"


def percent(share: float) -> str:
    """A confidence level: 68.3 %, 95 %."""
    return f"{100 * share:.3g} %"


def short(name: str) -> str:
    """A name that fits into a heading."""
    return name if len(name) <= _LONGEST else f"{name[: _LONGEST - 1]}…"
