"""toys --output: rows are on disk as they are done, and nothing cut short has the file's name."""

from __future__ import annotations

import csv
import errno
import gzip
import os
import resource
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from command_line import call, misuse, succeed, write

import nextstat
from nextstat.datasets import make_workspace

SEED = ("--seed", 7)


@pytest.fixture(scope="module")
def slow(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace whose fits take milliseconds."""
    workspace = make_workspace(4, 12, 4, 60, random_state=1)
    return write(tmp_path_factory.mktemp("slow"), workspace)


class Run:
    """`nextstat toys` as a process of its own."""

    def __init__(self, *arguments: object, file_size: int | None = None) -> None:
        script = (
            "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)\n"
            "from nextstat.cli import main; main()"
        )

        def limit() -> None:
            if file_size is not None:
                resource.setrlimit(resource.RLIMIT_FSIZE, (file_size, file_size))

        self.process = subprocess.Popen(
            [sys.executable, "-c", script, "toys", *map(str, arguments)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=tempfile.gettempdir(),  # not the checkout, where nothing is built
            preexec_fn=limit,
        )

    def wait_for(self, path: Path) -> None:
        """Until there are rows."""
        deadline = time.monotonic() + 60.0
        while not (path.exists() and path.stat().st_size):
            assert time.monotonic() < deadline
            assert self.process.poll() is None, self.process.communicate()
            time.sleep(0.01)

    def finish(self) -> tuple[int, str, str]:
        stdout, stderr = self.process.communicate(timeout=60)
        return self.process.returncode, stdout, stderr


def check_rows(path: Path, file: Path, n: int | None = None) -> int:
    """Whole rows, those of the library's toys to the last digit; their number."""
    text = path.read_bytes()
    text = gzip.decompress(text) if path.suffix == ".gz" else text
    assert text.endswith(b"\n")
    rows = list(csv.DictReader(text.decode().splitlines()))
    model = nextstat.from_pyhf(file)
    expected = nextstat.fit_toys(model, len(rows), seed=7)
    assert [*rows[0]][5:] == list(model.parameter_names)
    assert [row["status"] for row in rows] == expected.status.tolist()
    for name in ("nll", "mu", model.parameter_names[-1]):
        values = expected[name] if name in model.parameter_names else expected.nll
        assert [float(row[name]) for row in rows] == values.tolist()
    assert n is None or len(rows) == n
    return len(rows)


@pytest.mark.parametrize("ending", ["csv", "csv.gz"])
def test_complete(file: Path, tmp_path: Path, ending: str) -> None:
    """More than a chunk; what was there before is replaced, and no part is left."""
    path = tmp_path / f"toys.{ending}"
    path.write_text("old")
    succeed("toys", file, "--n-toys", 600, *SEED, "--output", path, "--json")
    check_rows(path, file, 600)
    assert os.listdir(tmp_path) == [path.name]


@pytest.mark.parametrize(
    ("numbers", "code", "word"),
    [
        ([signal.SIGINT], 130, "Interrupted"),
        ([signal.SIGINT] * 3, 130, "Interrupted"),
        ([signal.SIGTERM], 143, "Terminated"),
        ([signal.SIGTERM, signal.SIGINT, signal.SIGTERM], 143, "Terminated"),
        ([signal.SIGHUP], 129, "Terminated"),
    ],
)
def test_signals(slow: Path, tmp_path: Path, numbers: list[int], code: int, word: str) -> None:
    """All that was done is in the part, more than the chunks; the file of before is untouched."""
    ending = "csv.gz" if len(numbers) > 1 else "csv"
    path = tmp_path / f"toys.{ending}"
    path.write_text("old")
    part = tmp_path / f"toys.{ending}.part"
    run = Run(slow, "--n-toys", 10**6, *SEED, "--output", path, "--json")
    run.wait_for(part)
    begin = time.monotonic()
    for number in numbers:
        run.process.send_signal(number)
        time.sleep(0.05)
    found, stdout, stderr = run.finish()
    assert time.monotonic() - begin < 3.0
    assert found == code, stderr
    assert stderr.rstrip().endswith(word)
    assert "Traceback" not in stderr
    assert path.read_text() == "old"
    renamed = tmp_path / f"kept.{ending}"
    part.rename(renamed)
    n = check_rows(renamed, slow)
    assert f"kept {n} of 1000000 rows in {part}" in stderr
    assert f"interrupted after {n} of 1000000 fits" in stderr
    assert f'"n_toys": {n},' in stdout


def test_killed(slow: Path, tmp_path: Path) -> None:
    """Without a word: the chunks that were done are there."""
    path, part = tmp_path / "toys.csv", tmp_path / "toys.csv.part"
    run = Run(slow, "--n-toys", 10**6, *SEED, "--output", path)
    run.wait_for(part)
    run.process.kill()
    run.finish()
    assert not path.exists()
    assert check_rows(part, slow) % 256 == 0


def test_parts_of_before_stay(slow: Path, tmp_path: Path) -> None:
    path = tmp_path / "toys.csv"
    (tmp_path / "toys.csv.part").write_text("of yesterday")
    run = Run(slow, "--n-toys", 10**6, *SEED, "--output", path)
    run.wait_for(tmp_path / "toys.csv.2.part")
    run.process.send_signal(signal.SIGINT)
    _, _, stderr = run.finish()
    assert f"rows in {path}.2.part" in stderr
    assert (tmp_path / "toys.csv.part").read_text() == "of yesterday"
    succeed("toys", slow, "--n-toys", 5, *SEED, "--output", path)
    assert (tmp_path / "toys.csv.part").read_text() == "of yesterday"


def test_nothing_done_leaves_nothing(slow: Path, tmp_path: Path) -> None:
    run = Run(slow, "--n-toys", 10, "--fix", "nonsense=1", "--output", tmp_path / "toys.csv")
    assert run.finish()[0] == 1
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("ending", ["csv", "csv.gz"])
def test_full(slow: Path, tmp_path: Path, ending: str) -> None:
    """A file that may not grow: the part ends with a whole row, and the summary is there."""
    path, part = tmp_path / f"toys.{ending}", tmp_path / f"toys.{ending}.part"
    size = {"csv": 500_000, "csv.gz": 200_000}[ending]
    run = Run(slow, "--n-toys", 700, *SEED, "--output", path, "--json", file_size=size)
    code, stdout, stderr = run.finish()
    assert code == 1
    assert '"n_toys": 700' in stdout
    warning, error = stderr.strip().splitlines()
    assert warning == (f"Warning: cannot write {part}: File too large; each new piece tries again")
    assert not path.exists()
    renamed = tmp_path / f"kept.{ending}"
    part.rename(renamed)
    n = check_rows(renamed, slow)
    assert 0 < n < 700
    assert error == (f"Error: cannot write {path}: File too large; {n} of 700 rows are in {part}")


def test_a_disk_that_is_full_for_a_while(
    file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is lost, wherever the write stopped."""
    real, calls = os.write, 0

    def flaky(descriptor: int, data: bytes) -> int:
        nonlocal calls
        calls += 1
        if calls in (2, 3):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return real(descriptor, data[: 1 if calls == 1 else 1000])

    path = tmp_path / "toys.csv"
    monkeypatch.setattr("nextstat.cli.growing.os.write", flaky)
    result = succeed("toys", file, "--n-toys", 600, *SEED, "--output", path)
    assert "No space left on device; each new piece tries again" in result.stderr
    monkeypatch.undo()
    check_rows(path, file, 600)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="Linux has it")
def test_streams(file: Path) -> None:
    """Devices and pipes are written to as they are."""
    result = call("toys", file, "--n-toys", 5, *SEED, "--output", "/dev/full")
    assert result.exit_code == 1
    assert "Error: cannot write /dev/full: No space left on device; 0 of 5 rows" in result.stderr
    assert not Path("/dev/full.part").exists()
    run = Run(file, "--n-toys", 300, *SEED, "--output", "/dev/stdout", "--json")
    code, stdout, _ = run.finish()
    assert code == 0
    assert stdout.startswith("nll,deviance,edm,status,n_iter,")


def test_targets_that_cannot_be_written(
    file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Found before anything is computed."""

    def never(*arguments: Any, **options: Any) -> None:
        raise AssertionError("work was done")

    monkeypatch.setattr(nextstat, "fit", never)
    monkeypatch.setattr(nextstat, "fit_toys", never)
    options = ("toys", file, "--n-toys", 2, "--output")
    assert "there is no folder" in misuse(*options, tmp_path / "a" / "toys.csv")
    assert "is a directory" in misuse(*options, tmp_path)
    for name in ("toys", "toys.txt", "toys.csv.bz2", "toys.parquet"):
        message = misuse(*options, tmp_path / name)
        assert "ends in none of .csv, .csv.gz" in " ".join(message.replace("│", " ").split())
    long = tmp_path / ("x" * 300 + ".csv")
    result = call(*options, long)
    assert result.exit_code == 1
    assert "File name too long" in result.stderr
    assert os.listdir(tmp_path) == []


@pytest.mark.skipif(os.name != "posix", reason="permissions of POSIX")
def test_permissions(file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Asked for, as root may do what others may not."""
    folder = tmp_path / "folder"
    folder.mkdir()
    target = tmp_path / "toys.csv"
    target.write_text("old")
    for refused, message in (
        (folder, "write into the folder"),
        (target, "is not writable"),
    ):

        def access(path: Any, mode: int, refused: Path = refused) -> bool:
            return Path(path) != refused

        monkeypatch.setattr(os, "access", access)
        path = target if refused == target else folder / "toys.csv"
        assert message in misuse("toys", file, "--n-toys", 2, "--output", path)
    monkeypatch.undo()
    assert "/proc" in call("toys", file, "--n-toys", 2, "--output", "/proc/toys.csv").stderr


def test_chunks_in_python(model: nextstat.HistFactoryModel) -> None:
    """The same for callers of the library: chunks as they are done, in order."""
    chunks: list[nextstat.FitBatch] = []
    batch = nextstat.fit_toys(model, 600, seed=3, on_chunk=chunks.append)
    assert [len(chunk) for chunk in chunks] == [256, 256, 88]
    assert np.array_equal(np.concatenate([chunk.values for chunk in chunks]), batch.values)
    assert {chunk.seed for chunk in chunks} == {3}
