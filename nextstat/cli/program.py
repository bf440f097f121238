"""What surrounds every command: errors, warnings and Ctrl-C become messages and exit codes."""

from __future__ import annotations

import re
import signal
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from types import FrameType
from typing import Any

import click

from nextstat._text import printable
from nextstat.exceptions import NextstatError

_INTERRUPTED = 130  # as shells have it: 128 + SIGINT

# Python arguments that messages of the library recommend, and the options that stand for them.
_SPELLINGS = (
    (re.compile(r"bounds=\{'([^']+)': \(([^,]+), ([^)]+)\)\}"), r"--bounds \1=\2:\3"),
    (re.compile(r"\bbounds="), "--bounds"),
    (re.compile(r"pass poi=, one of its parameter_names"), "choose one with --poi"),
)


class Program(click.Group):
    """Commands that fail with one line on stderr: exit code 1, or 130 after Ctrl-C."""

    def list_commands(self, context: click.Context) -> list[str]:
        """The order in which they were added."""
        return list(self.commands)

    def invoke(self, context: click.Context) -> Any:
        with _interruptions() as interruptions, warnings.catch_warnings():
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
            click.echo("Interrupted", err=True)
            context.exit(_INTERRUPTED)
        return return_value


@contextmanager
def _interruptions() -> Iterator[list[int]]:
    """Remember Ctrl-C, which the library may turn into a result from what was done so far.

    Where it is ignored (background jobs of scripts) or somebody else handles it, so it remains.
    """
    seen: list[int] = []
    here = threading.current_thread() is threading.main_thread()
    if not here or signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
        yield seen
        return

    def note(number: int, frame: FrameType | None) -> None:
        seen.append(number)
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGINT, note)
    try:
        yield seen
    finally:
        signal.signal(signal.SIGINT, before)


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
