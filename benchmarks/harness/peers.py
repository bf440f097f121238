"""The peers, the tasks each can do, and their virtual environments."""

from __future__ import annotations

import subprocess
import sys
import sysconfig
import venv
from dataclasses import dataclass, field
from pathlib import Path

TASKS = (
    "build",
    "nll",
    "gradient",
    "hessian",
    "fit",
    "hypotest",
    "limit",
    "ranking",
    "ranking_2",
    "covariance",
    "scan",
    "toys",
    "toys_2",
)
"""In the order in which they run; ``_2`` is the task before with two threads."""

LABELS = {
    "build": "model build",
    "hessian": "Hessian",
    "ranking": "full ranking",
    "ranking_2": "- 2 threads",
    "covariance": "fit + cov. ranking",
    "scan": "scan, 51 points",
    "toys": "fit of one toy",
    "toys_2": "- 2 threads",
}

CONTAINED_IN = {
    "nll": TASKS[2:],
    "gradient": ("hessian",),
    "fit": ("hypotest", "limit", "ranking", "ranking_2", "covariance", "scan", "toys", "toys_2"),
    "hypotest": ("limit",),
    "ranking": ("ranking_2",),
    "toys": ("toys_2",),
}
"""Tasks that are slower than the key, and skipped when the key exceeds its budget."""


@dataclass(frozen=True)
class Peer:
    """One competitor.

    Parameters
    ----------
    key, title
        Name on the command line and in the tables.
    script
        Worker in ``benchmarks/peers``.
    tasks
        What is measured; a fit by another minimiser or a ranking, for instance.
    venv, requirements
        Name and contents of its environment; None is the environment of the benchmark itself.
    uses_ours
        Whether the worker runs this package's code.
    options, arguments
        Given to the worker in its job and on its command line.
    """

    key: str
    title: str
    script: str
    tasks: tuple[str, ...]
    venv: str | None = None
    requirements: tuple[str, ...] = ()
    uses_ours: bool = False
    options: dict[str, str] = field(default_factory=dict)
    arguments: tuple[str, ...] = ()


_PYHF = ("pyhf[minuit,jax]==0.7.6",)
_PYHF_TASKS = ("build", "nll", "fit", "hypotest", "limit", "toys")

OURS = Peer("ours", "nextstat", "run_ours.py", TASKS, uses_ours=True)

PEERS = (
    Peer(
        "rust",
        "PyPI nextstat\n0.10.1 (Rust)",
        "run_rust.py",
        tuple(task for task in TASKS if task not in ("hessian", "covariance")),
        venv="rust",
        requirements=("nextstat==0.10.1", "numpy"),
    ),
    Peer(
        "pyhf-scipy",
        "pyhf 0.7.6\nscipy",
        "run_pyhf.py",
        _PYHF_TASKS,
        venv="pyhf",
        requirements=_PYHF,
        options={"backend": "numpy", "optimizer": "scipy"},
    ),
    Peer(
        "pyhf-minuit",
        "pyhf 0.7.6\nminuit",
        "run_pyhf.py",
        ("fit", "hypotest", "limit"),
        venv="pyhf",
        requirements=_PYHF,
        options={"backend": "numpy", "optimizer": "minuit"},
    ),
    Peer(
        "pyhf-jax",
        "pyhf 0.7.6\njax",
        "run_pyhf.py",
        TASKS[:7],
        venv="pyhf",
        requirements=_PYHF,
        options={"backend": "jax", "optimizer": "scipy"},
        arguments=("jax",),
    ),
    Peer(
        "cabinetry",
        "cabinetry",
        "run_cabinetry.py",
        ("ranking",),
        venv="cabinetry",
        requirements=("cabinetry==0.6.0", "pyhf[minuit]==0.7.6"),
    ),
    Peer(
        "iminuit",
        "iminuit",
        "run_iminuit.py",
        ("fit",),
        venv="iminuit",
        requirements=("iminuit", "numpy"),
        uses_ours=True,
    ),
)


def python_of(peer: Peer, folder: Path) -> Path:
    """Interpreter of a peer's environment, built on first use.

    Parameters
    ----------
    peer
        The peer; without an environment of its own, the running interpreter is returned.
    folder
        Where the environments are kept.

    Raises
    ------
    subprocess.CalledProcessError
        If pip cannot install the requirements.
    """
    if peer.venv is None:
        return Path(sys.executable)
    home = folder / peer.venv
    python = home / "bin" / "python"
    marker = home / "requirements.txt"
    wanted = "\n".join(peer.requirements) + "\n"
    if not (marker.is_file() and marker.read_text() == wanted and python.is_file()):
        print(f"building the environment of {peer.key} in {home}", flush=True)
        venv.create(home, clear=True, with_pip=True)
        pip = (str(python), "-m", "pip", "install", "-qq", "--disable-pip-version-check")
        subprocess.run([*pip, *peer.requirements], check=True, cwd=home)
        marker.write_text(wanted)
    if peer.uses_ours:
        # addsitedir also follows the .pth files of an editable installation.
        current = sysconfig.get_path("purelib")
        (packages,) = home.glob("lib/python*/site-packages")
        line = f"import site; site.addsitedir({current!r})\n"
        (packages / "benchmark_environment.pth").write_text(line)
    return python
