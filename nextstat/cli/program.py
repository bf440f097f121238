"""What surrounds every command: errors, warnings and Ctrl-C become messages and exit codes."""

from __future__ import annotations

import math
import re
import signal
import threading
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from types import FrameType
from typing import Any

import click

from nextstat._base.text import printable
from nextstat.exceptions import NextstatError

# What ends a command early, and how it says so; the exit code is 128 + number, as shells have it.
_ENDINGS = {"SIGINT": "Interrupted", "SIGTERM": "Terminated", "SIGHUP": "Terminated"}
_PATIENCE = 2.0  # seconds after one of them in which others do not disturb the clearing up

# Python arguments that messages of the library recommend, and the options that stand for them.
_SPELLINGS = (
    (re.compile(r"bounds=\{'([^']+)': \(([^,]+), ([^)]+)\)\}"), r"--bounds \1=\2:\3"),
    (re.compile(r"\bbounds="), "--bounds"),
    (re.compile(r"pass it as patch=\(patch set, name\)"), "pass it as --patch with --patch-name"),
    (re.compile(r"the pair \(patch set, name\)"), "its name as --patch-name"),
    (re.compile(r"patch=patch_set\[name\] with .*PatchSet\(\.\.\.\)"), "in a file, as --patch"),
    (re.compile(r"\bmax_bytes=(\d+)"), r"--max-bytes \1"),
    (re.compile(r"unless poi= chooses one"), "unless --poi chooses one"),
    (re.compile(r"pass poi=, one of its parameter_names"), "choose one with --poi"),
)


class Program(click.Group):
    """Commands that fail with one line on stderr: exit code 1, or 130 after Ctrl-C.

    SIGTERM and SIGHUP (a terminal that is closed) are treated alike: what was done is kept.

    Attributes
    ----------
    ends_process : bool
        Whether nothing comes after the command, so that signals need not be heard once one of them
        has ended it.
    """

    ends_process = False

    def list_commands(self, context: click.Context) -> list[str]:
        """The order in which they were added."""
        return list(self.commands)

    def invoke(self, context: click.Context) -> Any:
        with _interruptions(self.ends_process) as interruptions, warnings.catch_warnings():
            warnings.showwarning = partial(_show_warning, set())
            try:
                return_value = super().invoke(context)
            except KeyboardInterrupt:
                interruptions.append(signal.SIGINT)
            except (click.ClickException, click.exceptions.Exit, click.Abort, BrokenPipeError):
                raise
            except (NextstatError, ValueError, KeyError, OSError) as error:
                message = error.args[0] if isinstance(error, KeyError) else error
                raise click.ClickException(_one_line(message)) from error
            except Exception as error:
                message = f"internal error: {type(error).__name__}: {error}"
                raise click.ClickException(_one_line(message)) from error
        if interruptions:
            first = signal.Signals(interruptions[0])
            click.echo(_ENDINGS[first.name], err=True)
            context.exit(128 + first)
        return return_value


@contextmanager
def _interruptions(last: bool) -> Iterator[list[int]]:
    """Remember Ctrl-C and its like, which the library may turn into a result of what was done.

    Where they are ignored (background jobs of scripts) or somebody else handles them, so it
    remains. Afterwards they are handled as before; not where this was the `last` thing to do and
    one of them ended it: another would kill the process in place of the exit code.
    """
    seen: list[int] = []
    quiet_until = -math.inf

    def note(number: int, frame: FrameType | None) -> None:
        nonlocal quiet_until
        seen.append(number)
        if time.monotonic() >= quiet_until:
            quiet_until = time.monotonic() + _PATIENCE
            raise KeyboardInterrupt

    unhandled = (signal.default_int_handler, signal.SIG_DFL)
    numbers = [getattr(signal, name) for name in _ENDINGS if hasattr(signal, name)]
    if threading.current_thread() is not threading.main_thread():
        numbers = []
    before = {n: signal.getsignal(n) for n in numbers if signal.getsignal(n) in unhandled}
    for number in before:
        signal.signal(number, note)
    try:
        yield seen
    finally:
        for number, handler in before.items():
            signal.signal(number, signal.SIG_IGN if last and seen else handler)


def _show_warning(seen: set[str], message: Warning | str, *args: Any, **kwargs: Any) -> None:
    """Each warning once: figures warn of a missing glyph whenever they are laid out."""
    text = _one_line(message)
    if text not in seen:
        seen.add(text)
        click.echo(f"Warning: {text}", err=True)


def _one_line(message: object) -> str:
    """A message of the library in the words of the command line."""
    text = printable(" ".join(str(message).split()))
    for python, option in _SPELLINGS:
        text = python.sub(option, text)
    return text
