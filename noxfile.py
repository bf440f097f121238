"""Everyday tasks. `nox -l` lists them; `nox -s tests -- -k fit` passes options on."""

from __future__ import annotations

from pathlib import Path

import nox

nox.options.sessions = ["demo", "tests", "docs", "lint", "types"]

PROJECT = nox.project.load_toml("pyproject.toml")["project"]
CPP = sorted(str(path) for path in Path("cpp").rglob("*") if path.suffix in (".cpp", ".h"))
KERNELS = sorted(str(path) for path in Path("nextstat").glob("*.pyx"))
EXTENSIONS = [
    "nextstat._core",
    *(kernel.removesuffix(".pyx").replace("/", ".") for kernel in KERNELS),
]


@nox.session
def demo(session: nox.Session) -> None:
    """Install the package and run the embedded example."""
    session.install(".")
    session.chdir(session.create_tmp())
    session.run("nextstat", "demo")


@nox.session
def tests(session: nox.Session) -> None:
    """Run the tests."""
    session.install(".[test]")
    session.run("pytest", *session.posargs)


@nox.session
def lint(session: nox.Session) -> None:
    """Check format and style of Python, Cython and C++."""
    session.install(*PROJECT["optional-dependencies"]["lint"])
    session.run("ruff", "check")
    session.run("ruff", "format", "--check")
    session.run("clang-format", "--dry-run", "-Werror", *CPP)
    session.run("cython-lint", "--max-line-length", "100", *KERNELS)


@nox.session
def types(session: nox.Session) -> None:
    """Check types, and the stubs of the extension modules against what they describe."""
    session.install(".[lint]")
    session.run("mypy")
    session.chdir(session.create_tmp())  # away from the sources, which hold no extension modules
    session.run("python", "-m", "mypy.stubtest", *EXTENSIONS)


@nox.session
def docs(session: nox.Session) -> None:
    """Build the site; any warning is an error."""
    session.install(".[docs]")
    session.run("sphinx-build", "-W", "--keep-going", "-n", "docs", "docs/_build/html")


@nox.session
def benchmarks(session: nox.Session) -> None:
    """Compare with other packages; see benchmarks/README.md for the options."""
    session.install(".")
    session.run("python", "benchmarks/run.py", *session.posargs)
