"""The program: help, exit codes, what it imports, progress, Ctrl-C."""

from __future__ import annotations

import json
import os
import pty
import re
import select
import shutil
import signal
import subprocess
import sys
import sysconfig
import time
from pathlib import Path
from typing import Any

import pytest
from command_line import (
    COMMANDS,
    HEADINGS,
    call,
    fail,
    is_png,
    lines_with,
    misuse,
    read_json,
    succeed,
    write,
)

import nextstat
from nextstat._fits.settings import MAX_ITERATIONS
from nextstat.cli.commands import program
from nextstat.datasets import make_workspace

README = Path(__file__).parents[2] / "README.md"


@pytest.mark.parametrize("command", ["demo", *COMMANDS, "plot"])
def test_help(command: str) -> None:
    """Every command explains itself."""
    result = succeed(command, "--help")
    assert result.stdout.startswith("Usage:")
    assert all(len(line) <= 80 for line in result.stdout.splitlines())
    summary = (program.commands[command].help or "").splitlines()[0]
    assert summary.endswith(".")
    overview = succeed("-h").stdout
    assert lines_with(overview, command, *summary.split()), "cut short"


def test_commands() -> None:
    """All of them, in the order in which one meets them; the README lists them, too."""
    assert tuple(program.commands) == ("demo", *COMMANDS, "plot")
    listed = re.findall(r"^  (\w+) ", succeed("--help").stdout.split("Commands:")[1], re.MULTILINE)
    assert listed == list(program.commands)
    for command in program.commands:
        assert f"`{command}`" in README.read_text("utf-8") or command == "demo"


def test_version() -> None:
    """The version of the package."""
    assert nextstat.__version__ in succeed("--version").stdout


@pytest.mark.parametrize(
    "arguments",
    [
        ["fitt"],
        ["fit"],
        ["fit", "FILE", "--nonsense"],
        ["fit", "FILE", "--n-starts", "many"],
        ["hypotest", "FILE", "--test-stat", "chi2"],
        ["rank", "FILE", "--method", "guess"],
        ["contour", "FILE"],
    ],
)
def test_usage(file: Path, arguments: list[str]) -> None:
    """Wrong usage has click's exit code."""
    assert "Error: " in misuse(
        *[file if argument == "FILE" else argument for argument in arguments]
    )


def test_n_starts(file: Path) -> None:
    """Values the library refuses."""
    assert "n_starts is 0" in fail("fit", file, "--n-starts", 0)


def test_max_iterations(file: Path) -> None:
    """The message names the option by the word that both Python and commands use."""
    assert "raise max_iterations" in fail("significance", file, "--max-iterations", 1)
    succeed("significance", file, "--max-iterations", 300)
    assert "max_iterations is 0" in fail("fit", file, "--max-iterations", 0)
    assert f"{MAX_ITERATIONS} by default" in " ".join(succeed("fit", "--help").stdout.split())


def test_internal_error(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Even a bug is one line."""

    def broken(*arguments: Any, **options: Any) -> float:
        raise RuntimeError("one line\nand another")

    monkeypatch.setattr(nextstat, "significance", broken)
    result = call("significance", file)
    assert result.exit_code == 1
    assert result.stderr == "Error: internal error: RuntimeError: one line and another\n"


# As a process of its own ------------------------------------------------------------------------


def run(folder: Path, *arguments: object) -> subprocess.CompletedProcess[str]:
    """Run the `nextstat` of this environment, away from the checkout."""
    program = shutil.which("nextstat", path=sysconfig.get_path("scripts"))
    assert program is not None
    return subprocess.run(
        [str(program), *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        cwd=folder,
    )


def test_installed_program(file: Path, degenerate: Path, tmp_path: Path) -> None:
    """Exit codes and streams are those of the tests in this process."""
    done = run(tmp_path, "fit", file, "--json")
    assert done.returncode == 0
    assert done.stderr == ""
    assert json.loads(done.stdout)["converged"] is True
    done = run(tmp_path, "fit", tmp_path / "nowhere.json")
    assert done.returncode == 1
    assert done.stdout == ""
    assert "no such file" in done.stderr
    assert "Traceback" not in done.stderr
    done = run(tmp_path, "rank", degenerate)
    assert done.returncode == 1
    assert done.stdout == ""
    assert "Traceback" not in done.stderr
    done = run(tmp_path, "rank", file, "--plot", "ranking.png")
    assert done.returncode == 0
    assert is_png(tmp_path / "ranking.png")


def test_warnings_of_a_process(suspicious: Path, tmp_path: Path) -> None:
    """One line on stderr, without a place in the source."""
    done = run(tmp_path, "significance", suspicious)
    assert done.returncode == 0
    assert done.stderr.startswith("Warning: $.measurements[0].config.parameters[1]")
    assert len(done.stderr.splitlines()) == 1


def test_pipe_that_closes(file: Path, tmp_path: Path) -> None:
    """`nextstat inspect FILE | head -1` shows no error."""
    script = f"{sys.executable} -c 'from nextstat.cli import main; main()' inspect {file}"
    for form in ("", "--json"):
        done = subprocess.run(
            ["sh", "-c", f"{script} {form} | head -1"],
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
            cwd=tmp_path,
        )
        assert len(done.stdout.splitlines()) == 1
        assert done.stderr == ""


@pytest.mark.parametrize("arguments", [["--help"], ["validate", "FILE"], ["fit", "FILE", "--json"]])
def test_start(file: Path, tmp_path: Path, arguments: list[str]) -> None:
    """Looking at help or a workspace, or fitting it, does not wait for large packages."""
    script = """
        import sys
        from nextstat.cli import main
        try:
            main()
        finally:
            print(*sorted({m.split(".")[0] for m in sys.modules}), file=sys.stderr)
    """
    lines = [line[8:] for line in script.splitlines()]
    words = [str(file) if word == "FILE" else word for word in arguments]
    done = subprocess.run(
        [sys.executable, "-c", "\n".join(lines), *words],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        cwd=tmp_path,
    )
    assert done.returncode == 0, done.stderr
    loaded = set(done.stderr.split())
    assert "nextstat" in loaded
    assert not loaded & {"scipy", "pandas", "matplotlib"}
    assert ("numpy" in loaded) == (arguments != ["--help"])


# Progress and Ctrl-C ----------------------------------------------------------------------------


class Terminal:
    """A run of the program whose stderr is a terminal."""

    def __init__(self, folder: Path, *arguments: object) -> None:
        self.master, slave = pty.openpty()
        script = (
            "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)\n"
            "from nextstat.cli import main; main()"
        )
        self.process = subprocess.Popen(
            [sys.executable, "-c", script, *map(str, arguments)],
            stdout=subprocess.PIPE,
            stderr=slave,
            text=True,
            cwd=folder,
            env={**os.environ, "TERM": "xterm", "COLUMNS": "100"},
        )
        os.close(slave)
        self.shown = ""

    def wait_for(self, pattern: str) -> None:
        """Read what is shown until the pattern turns up."""
        deadline = time.monotonic() + 100.0
        while not re.search(pattern, self.shown):
            assert time.monotonic() < deadline, self.shown[-500:]
            assert self._read(), self.shown[-500:]

    def interrupt(self) -> None:
        """Press Ctrl-C."""
        self.process.send_signal(signal.SIGINT)

    def finish(self) -> tuple[int, str, str]:
        """Exit code, stdout, and all that was shown."""
        while self._read():
            pass
        stdout, _ = self.process.communicate(timeout=100)
        os.close(self.master)
        return self.process.returncode, stdout, self.shown

    def _read(self) -> bool:
        """Read some more; False at the end."""
        ready, _, _ = select.select([self.master], [], [], 100.0)
        assert ready, "hangs"
        try:
            text = os.read(self.master, 65536).decode(errors="replace")
        except OSError:  # how Linux says that nobody has the terminal open any more
            return False
        self.shown += text
        return bool(text)


@pytest.fixture(scope="module")
def large_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace whose fits take milliseconds."""
    workspace = make_workspace(4, 12, 4, 60, random_state=1)
    return write(tmp_path_factory.mktemp("large"), workspace)


@pytest.mark.parametrize(
    ("arguments", "bar"),
    [
        (["toys", "--n-toys", 600, "--seed", 1], r"Fits .*600/600"),
        (["hypotest", "--toys", 300, "--seed", 1], r"Toys .*300/300"),
        (["gof", "--toys", 300, "--seed", 1], r"Fits .*300/300"),
        (["rank"], r"Ranking "),
        (["scan"], r"Scan "),
        (["contour", "mu", "norm_ttbar"], r"Contour .*40/40"),
    ],
)
def test_progress(file: Path, tmp_path: Path, arguments: list[Any], bar: str) -> None:
    """A bar on stderr if that is a terminal; nothing of it in the results."""
    command, *options = arguments
    code, stdout, shown = Terminal(tmp_path, command, file, *options, "--json").finish()
    assert code == 0
    assert read_json(succeed(command, file, *options, "--json")) == json.loads(stdout)
    assert re.search(bar, shown), shown
    assert re.search(r"\d:\d\d:\d\d", shown), "time left"


def check_interrupted(terminal: Terminal) -> str:
    """Insist on exit code 130 and on a last line that says why; give what came on stdout."""
    code, stdout, shown = terminal.finish()
    assert code == 130, shown[-500:]
    assert shown.rstrip().endswith("Interrupted")
    assert "Traceback" not in shown
    return stdout


def test_interrupted_toys(large_file: Path, tmp_path: Path) -> None:
    """The toys that were done count, and they are those of an uninterrupted run."""
    options = ("--n-toys", 1000000, "--seed", 7)
    terminal = Terminal(tmp_path, "toys", large_file, *options, "--json")
    terminal.wait_for(r" [1-9]\d*/1000000")
    terminal.interrupt()
    stdout = check_interrupted(terminal)
    found = json.loads(stdout)
    assert f"Warning: interrupted after {found['n_toys']} of 1000000 fits" in terminal.shown
    assert 0 < found["n_toys"] < 1000000
    again = succeed("toys", large_file, "--n-toys", found["n_toys"], "--seed", 7, "--json")
    assert read_json(again) == found


@pytest.mark.parametrize("command", ["hypotest", "gof"])
def test_interrupted_tests(large_file: Path, tmp_path: Path, command: str) -> None:
    """The same for tests made of toys, whose table is shown."""
    terminal = Terminal(tmp_path, command, large_file, "--toys", 1000000, "--seed", 7)
    terminal.wait_for(r" [1-9]\d*/1000000")
    terminal.interrupt()
    stdout = check_interrupted(terminal)
    for heading in HEADINGS[command]:
        assert heading in stdout
    (n_toys,) = re.findall(r"interrupted after (\d+)(?: and \d+)? of 1000000", terminal.shown)
    assert re.search(rf"\b{n_toys}\b", stdout)


@pytest.mark.parametrize(
    ("arguments", "bar"),
    [
        (["scan", "--points", 30000], "Scan "),
        (["contour", "mu", "norm_ttbar", "--points", 30000], "Contour "),
    ],
)
@pytest.mark.parametrize("form", [[], ["--json"]], ids=["table", "json"])
def test_interrupted_early(
    large_file: Path, tmp_path: Path, arguments: list[Any], bar: str, form: list[str]
) -> None:
    """With nothing done there is nothing to show."""
    command, *options = arguments
    terminal = Terminal(tmp_path, command, large_file, *options, *form)
    terminal.wait_for(bar)
    terminal.interrupt()
    assert check_interrupted(terminal) == ""
    assert "Warning" not in terminal.shown


def test_interrupted_first_chunk(large_file: Path, tmp_path: Path) -> None:
    """Toys of a chunk count before it is complete."""
    terminal = Terminal(tmp_path, "toys", large_file, "--n-toys", 1000000, "--json")
    terminal.wait_for(" 0/1000000")
    time.sleep(0.2)
    terminal.interrupt()
    found = json.loads(check_interrupted(terminal))
    assert 0 < found["n_toys"] < 256
    assert f"interrupted after {found['n_toys']} of 1000000 fits" in terminal.shown


def test_interrupted_limit(large_file: Path, tmp_path: Path) -> None:
    """A limit of fewer toys than asked for at one of its values is none: it stops at once."""
    terminal = Terminal(tmp_path, "limit", large_file, "--toys", 1000000)
    terminal.wait_for(r" [1-9]\d*/1000000")
    terminal.interrupt()
    assert check_interrupted(terminal) == ""
    assert "Warning" not in terminal.shown


def test_interrupted_within(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One line."""

    def interrupted(*arguments: Any, **options: Any) -> float:
        raise KeyboardInterrupt

    monkeypatch.setattr(nextstat, "significance", interrupted)
    before = signal.getsignal(signal.SIGINT)
    result = call("significance", file)
    assert result.exit_code == 130
    assert result.stdout == ""
    assert result.stderr == "Interrupted\n"
    assert signal.getsignal(signal.SIGINT) is before


def test_interrupted_while_importing(tmp_path: Path) -> None:
    """The same before there is a command."""
    script = """
        import sys

        class Interrupt:
            def find_spec(self, name, *others):
                if name == "nextstat.cli.commands":
                    raise KeyboardInterrupt

        sys.meta_path.insert(0, Interrupt())
        from nextstat.cli import main
        main()
    """
    lines = [line[8:] for line in script.splitlines()]
    done = subprocess.run(
        [sys.executable, "-c", "\n".join(lines), "--help"],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        cwd=tmp_path,
    )
    assert done.returncode == 130
    assert done.stderr == "Interrupted\n"
