"""Tables on the terminal, 100 columns wide."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from harness.compare import WHAT, Results, disagreements, reference, value
from harness.jobs import Result
from harness.peers import LABELS, TASKS, Peer

WIDTH = 100
SMALL_BYTES = 4096  # below, the call itself is what an nll costs
UNITS = ((1.0, "s"), (1e-3, "ms"), (1e-6, "us"), (1e-9, "ns"))
NARROW = ("cabinetry", "iminuit")  # one task each: they share the last column

Column = tuple[str, tuple[str, ...]]
"""Title of a column, and the keys of the peers it shows."""


def show_seconds(seconds: float) -> str:
    """A time with three significant digits and its unit."""
    for scale, unit in UNITS:
        if seconds >= 0.9995 * scale or unit == "ns":
            number = seconds / scale
            digits = 2 if number < 9.995 else 1 if number < 99.95 else 0
            return f"{number:.{digits}f} {unit}"
    raise AssertionError("unreachable")


def show_ratio(ratio: float) -> str:
    """A ratio with two or three significant digits."""
    if ratio >= 9999.5:
        return f"{ratio / 1000:.0f}kx"
    digits = 3 if ratio < 0.0995 else 2 if ratio < 0.995 else 1 if ratio < 9.95 else 0
    return f"{ratio:.{digits}f}x"


def ratio_of(results: Results, peer: str, task: str) -> tuple[str, float] | None:
    """Peer's time over ours, with ">" in front where the peer exceeded its budget."""
    ours = results.get("ours", {}).get(task, {}).get("seconds")
    theirs = results.get(peer, {}).get(task, {})
    if ours is None:
        return None
    if theirs.get("status") == "timeout":
        return ">", theirs["budget"] / ours
    if theirs.get("status") == "ok":
        return "", theirs["seconds"] / ours
    return None


def _cell(result: Result | None, ratio: tuple[str, float] | None, flag: str = "") -> str:
    if result is None:
        return ""
    if result["status"] == "error":
        return "error"
    if result["status"] == "timeout":
        time = f"> {result['budget']:.0f} s"
    else:
        time = show_seconds(result["seconds"])
    relative = "" if ratio is None else ratio[0] + show_ratio(ratio[1])
    return f"{time:>7} {relative + flag:>6}"


def _columns(peers: Sequence[Peer]) -> list[Column]:
    """The peers' columns; those with one task each share the last."""
    columns: list[Column] = [(peer.title, (peer.key,)) for peer in peers if peer.key not in NARROW]
    narrow = tuple(peer for peer in peers if peer.key in NARROW)
    if narrow:
        title = "\n".join(peer.title for peer in narrow)
        columns.append((title, tuple(peer.key for peer in narrow)))
    return columns


def _pick(results: Results, keys: tuple[str, ...], task: str) -> str:
    """The peer of a shared column that does a task."""
    return next((key for key in keys if task in results.get(key, {})), keys[0])


def new_table(columns: Iterable[str]) -> Table:
    """Empty table: row labels on the left, and these columns, right-justified."""
    table = Table(box=None, padding=(0, 1, 0, 0), pad_edge=False)
    table.add_column("", no_wrap=True)
    for column in columns:
        table.add_column(Text(column, justify="right"), justify="right", no_wrap=True)
    return table


def print_table(console: Console, title: str, table: Table) -> None:
    """Print a table below its title."""
    console.print(Text(title, style="bold"))
    console.print(table)


def _time_cells(
    results: Results, columns: Sequence[Column], task: str, flags: set[str]
) -> list[str]:
    """Our time, then time and ratio of each column's peer; `flags` are the peers to mark."""
    star = "*" if "ours" in flags else ""
    cells = [_cell(results.get("ours", {}).get(task), None).strip() + star]
    for _, keys in columns:
        key = _pick(results, keys, task)
        flag = "*" if key in flags else ""
        cells.append(_cell(results.get(key, {}).get(task), ratio_of(results, key, task), flag))
    return cells


def _memory_cells(results: Results, columns: Sequence[Column], task: str) -> list[str]:
    """Peak resident memory once `task` is done, in MB, and the ratio to ours."""
    ours = results.get("ours", {}).get(task, {}).get("peak_rss_mb")
    cells = ["" if ours is None else f"{ours:.0f} MB"]
    for _, keys in columns:
        theirs = results.get(_pick(results, keys, task), {}).get(task, {}).get("peak_rss_mb")
        relative = "" if ours is None or theirs is None else show_ratio(theirs / ours)
        cells.append("" if theirs is None else f"{theirs:>4.0f} MB {relative:>6}")
    return cells


def _failures(group: str, results: Results) -> list[str]:
    """One line per peer and error."""
    failed: dict[tuple[str, str], list[str]] = {}
    for peer, done in results.items():
        for task, result in done.items():
            if result["status"] == "error":
                failed.setdefault((peer, result["error"]), []).append(task)
    return [
        f" ! {' '.join((group, peer)).strip()}, {', '.join(lost)}: {error}"
        for (peer, error), lost in failed.items()
    ]


def print_times(
    console: Console,
    title: str,
    rows: Mapping[str, Results],
    tasks: Sequence[str],
    peers: Sequence[Peer],
    truth: Mapping[str, Any],
) -> None:
    """Print times, ratios and memory, one row per task, and the disagreements below.

    Parameters
    ----------
    console
        Where to print.
    title
        Above the table.
    rows
        Label of a group of rows (a size of a scaling series; "" for a single workspace) -> results.
    tasks
        In row order.
    peers
        In column order.
    truth
        Reference values, see `harness.compare.reference`.
    """
    columns = _columns(peers)
    table = new_table(["nextstat", *(head for head, _ in columns)])
    lines = []
    notes = {group: disagreements(results, truth) for group, results in rows.items()}
    for task in tasks:
        for group, results in rows.items():
            if any(task in done for done in results.values()):
                flags = {peer for peer, noted in notes[group] if noted == task}
                label = f"{LABELS.get(task, task)} {group}".strip()
                table.add_row(label, *_time_cells(results, columns, task, flags))
    if "fit" in tasks:
        for group, results in rows.items():
            label = f"memory {group}" if group else "memory of fit"
            table.add_row(label, *_memory_cells(results, columns, "fit"))
    for group, results in rows.items():
        lines += [
            f" * {' '.join((group, peer)).strip()}: {note}"
            for (peer, _), note in notes[group].items()
        ]
        lines += _failures(group, results)
    print_table(console, title, table)
    for line in lines:
        console.print(Text(line, overflow="fold"))
    console.print()


def print_values(
    console: Console, title: str, results: Results, peers: Sequence[Peer], truth: Mapping[str, Any]
) -> None:
    """Print what each obtained: the reference, and everyone's difference from it."""
    columns = _columns(peers)
    table = new_table(["reference", "nextstat", *(head for head, _ in columns)])
    for task, what in WHAT.items():
        expected = reference(results, task, truth)
        if expected is None or not any(task in done for done in results.values()):
            continue
        cells = []
        for keys in (("ours",), *(keys for _, keys in columns)):
            obtained = value(results, _pick(results, keys, task), task)
            cells.append("" if obtained is None else f"{obtained - expected:+.1e}")
        table.add_row(what, f"{expected:.9g}", *cells)
    print_table(console, f"{title}: reference and differences from it", table)
    console.print()


def print_limit(console: Console, limit: Mapping[str, float], results: Results) -> None:
    """Print how far our nll and gradient are from the arithmetic limit."""
    done = [results.get("ours", {}).get(task, {}) for task in ("nll", "gradient", "hessian")]
    if limit["bytes"] < SMALL_BYTES or any(result.get("status") != "ok" for result in done):
        return
    nll, gradient, hessian = (result["seconds"] for result in done)
    lines = [
        f" one nll: at least {limit['bytes'] / 1e3:,.1f} kB, {limit['flops'] / 1e3:,.1f} kflop"
        f" (at {limit['flop_rate'] / 1e9:.0f} Gflop/s)"
    ]
    for where, prefix in (("caches", ""), ("memory", "memory_")):
        floor = limit[f"{prefix}seconds"]
        lines.append(
            f" limit from {where}, {limit[f'{prefix}bandwidth'] / 1e9:3.0f} GB/s:"
            f" {show_seconds(floor):>7}; nll / limit {show_ratio(nll / floor):>5},"
            f" gradient / limit {show_ratio(gradient / floor):>5}"
        )
    lines.append(
        f" gradient / nll {show_ratio(gradient / nll)}, Hessian / nll {show_ratio(hessian / nll)}\n"
    )
    console.print("\n".join(lines), highlight=False)


def print_summary(
    console: Console, records: Mapping[str, Results], peer: Peer, tasks: Sequence[str] = TASKS
) -> None:
    """Print the ratio of a peer's time to ours, workspace by task."""
    table = new_table([LABELS.get(task, task).strip() for task in tasks])
    for name, results in records.items():
        ratios = [ratio_of(results, peer.key, task) for task in tasks]
        table.add_row(name, *("" if r is None else r[0] + show_ratio(r[1]) for r in ratios))
    print_table(console, f"{peer.title}: time / ours".replace("\n", " "), table)
    console.print()
