"""Files that grow while the work goes on, and get their name when it is done."""

from __future__ import annotations

import gzip
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    import pandas as pd

_PIECE = 16  # rows, of which a full disk takes all or none
_BINARY = getattr(os, "O_BINARY", 0)  # of Windows
ENDINGS = (".csv", ".csv.gz")


def is_stream(path: str | Path) -> bool:
    """Whether there is something else than a file there: a pipe, a terminal, a device."""
    try:
        return not stat.S_ISREG(os.stat(path).st_mode)
    except OSError:
        return False


class GrowingTable:
    """Rows of a table, on disk as soon as they are there.

    They go into ``FILE.part`` beside the file, which replaces it once the table is complete: what
    has the name of the file is never cut short. Compressed files are made of one member for each
    piece. Where the disk is full, the rows wait in memory and every new piece tries again.

    Parameters
    ----------
    path : str
        Ending in one of `ENDINGS`, or a pipe or device, which is written to directly.

    Raises
    ------
    click.ClickException
        If it cannot be written.
    """

    def __init__(self, path: str) -> None:
        self.path = path
        self._direct = is_stream(path)
        try:
            self._part, self._file = _open_stream(path) if self._direct else _open_part(path)
        except OSError as error:
            raise click.ClickException(f"cannot write {path}: {error.strerror}") from None
        self._sent = 0  # bytes, to a stream
        # Pieces not yet written: bytes, where they end in the file, and rows up to there.
        self._waiting: tuple[tuple[bytes, int, int], ...] = ()
        self._end = (0, 0)  # bytes and rows, with those that wait
        self._whole = (0, 0)  # bytes and rows of the pieces that are written
        self._warned = self._finished = self._closed = False

    def append(self, rows: pd.DataFrame) -> None:
        """Add rows."""
        head = "" if self._end[1] else rows.iloc[:0].to_csv(index=False)
        lines = rows.to_csv(index=False, header=False).splitlines(keepends=True)
        pieces = []
        end = self._end
        for first in range(0, len(lines), _PIECE):
            text = (head + "".join(lines[first : first + _PIECE])).encode()
            piece = gzip.compress(text) if self.path.endswith(".gz") else text
            end = end[0] + len(piece), min(end[1] + _PIECE, self._end[1] + len(lines))
            pieces.append((piece, *end))
            head = ""
        self._waiting, self._end = (*self._waiting, *pieces), end
        try:
            self._write()
        except OSError as error:
            if not self._warned:
                reason = f"cannot write {self._part}: {error.strerror}"
                click.echo(f"Warning: {reason}; each new piece tries again", err=True)
            self._warned = True

    def complete(self, rows: pd.DataFrame) -> None:
        """Write what is not written yet of all the rows there are, and give the file its name."""
        self._finish(rows)
        self.close()
        if not self._direct:
            os.replace(self._part, self.path)

    def keep(self, rows: pd.DataFrame, total: int) -> None:
        """The same where there should be more rows: they stay what they are, a part."""
        self._finish(rows)
        click.echo(f"kept {len(rows)} of {total} rows in {self._part}", err=True)

    def abandon(self) -> None:
        """Say where the rows are that were there before an error."""
        if not self._finished and self._whole[1]:
            click.echo(f"kept {self._whole[1]} rows in {self._part}", err=True)

    def _finish(self, rows: pd.DataFrame) -> None:
        self._finished = True
        if len(rows) > self._end[1]:
            self.append(rows.iloc[self._end[1] :])
        try:
            self._write()
            if not self._direct:
                os.fsync(self._file)
        except OSError as error:
            if not self._direct:  # let the part end with a whole row
                os.ftruncate(self._file, self._whole[0])
            raise click.ClickException(
                f"cannot write {self.path}: {error.strerror}; {self._whole[1]} of {len(rows)} rows "
                f"are in {self._part}"
            ) from None

    def _write(self) -> None:
        """Write what waits, from where the last attempt ended or was interrupted."""
        while self._waiting:
            piece, end, n_rows = self._waiting[0]
            written = self._sent if self._direct else os.lseek(self._file, 0, os.SEEK_CUR)
            if written < end:
                self._sent += os.write(self._file, piece[written - end :])
            else:
                self._whole, self._waiting = (end, n_rows), self._waiting[1:]

    def close(self) -> None:
        """Close the file; a part without rows is removed."""
        if self._closed:
            return
        self._closed = True
        os.close(self._file)
        if not self._direct and self._whole[1] == 0:
            Path(self._part).unlink(missing_ok=True)


@contextmanager
def growing_table(path: str | None) -> Iterator[GrowingTable | None]:
    """A table at a path, if there is one."""
    if path is None:
        yield None
        return
    table = GrowingTable(path)
    try:
        yield table
    except BaseException:
        table.abandon()
        raise
    finally:
        table.close()


def _open_stream(path: str) -> tuple[str, int]:
    return path, os.open(path, os.O_WRONLY | _BINARY)


def _open_part(path: str) -> tuple[str, int]:
    """A new file beside the path; parts that earlier work left there stay."""
    k = 1
    while True:
        part = f"{path}.part" if k == 1 else f"{path}.{k}.part"
        try:
            return part, os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL | _BINARY, 0o666)
        except FileExistsError:
            k += 1
