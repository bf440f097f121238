"""Everyday tasks. `nox -l` lists them; `nox -s tests -- -k fit` passes options on."""

from __future__ import annotations

import os
import platform
from pathlib import Path

import nox

nox.options.sessions = ["demo", "tests", "docs", "lint", "types"]

PROJECT = nox.project.load_toml("pyproject.toml")["project"]
CPP = sorted(str(path) for path in Path("cpp").rglob("*") if path.suffix in (".cpp", ".h"))
KERNELS = sorted(str(path) for path in Path("nextstat").rglob("*.pyx"))
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


# Tests that lead through the core on threads: what ThreadSanitizer is for.
THREADED = [
    "tests/histogram/test_histogram.py",
    "tests/histogram/test_soft_histogram.py",
    "tests/interpret/test_interpret.py",
    "tests/interpret/test_budget.py",
    "tests/test_runtime.py",
    "tests/fits/test_toys.py",
    "tests/inference/test_intervals.py",
    "tests/gradients/test_sensitivity.py",
    "tests/core/test_core.py",
    "tests/core/test_interruption.py",
    "tests/torch/test_layer.py",
    "tests/torch/test_chunks.py",
]

# Tests that lead through the core, or read what it is made of. Those not here work on what the core
# returns (figures, tables, tracking, the site), call it as others do (commands, the estimator in
# searches, training by PyTorch), or in processes of their own (clusters).
SANITIZED = [
    *THREADED,
    "tests/core/test_likelihood.py",
    "tests/fits/test_fit.py",
    "tests/fits/test_kinks.py",
    "tests/fits/test_minima.py",
    "tests/fits/test_basins.py",
    "tests/model/test_negative_yields.py",
    "tests/inference/test_hypotest.py",
    "tests/core/test_variates.py",
    "tests/model/test_model_templates.py",
    "tests/workspace/test_reading.py",
    "tests/workspace/test_workspace.py",
    "tests/workspace/test_patch_sets.py",
    "tests/test_published.py",
    "tests/events/test_labels.py",
    "tests/datasets/test_event_datasets.py",
    "tests/estimators/test_estimator.py",
    "tests/torch/test_losses.py",
    "tests/torch/test_counting.py",
    "tests/torch/test_soft_histogram_module.py",
]


@nox.session
@nox.parametrize("sanitizer", ["address,undefined", "thread"])
def sanitize(session: nox.Session, sanitizer: str) -> None:
    """Run tests on a core built with sanitizers; needs Clang and its OpenMP, on Linux."""
    clang = {"CC": os.environ.get("CC", "clang"), "CXX": os.environ.get("CXX", "clang++")}
    name = "tsan" if sanitizer == "thread" else "asan"
    settings = [f"cmake.define.NEXTSTAT_SANITIZE={sanitizer}", f"build-dir=build/{name}"]
    session.install(".[test]", *(f"--config-settings={each}" for each in settings), env=clang)
    resources = session.run(
        clang["CXX"], "-print-resource-dir", external=True, silent=True, env=clang
    )
    folder = Path(str(resources).strip())
    runtime = folder / "lib" / "linux" / f"libclang_rt.{name}-{platform.machine()}.so"
    settings = {
        "LD_PRELOAD": f"{runtime} libstdc++.so.6",  # both before Python loads anything
        "ASAN_OPTIONS": "detect_leaks=0",  # Python frees little at its end
        "UBSAN_OPTIONS": "print_stacktrace=1",
        "TSAN_OPTIONS": "ignore_noninstrumented_modules=1",  # Python and OpenMP, which has Archer
        "OMP_TOOL_LIBRARIES": str(folder.parents[1] / "libarcher.so"),
        "PYTHONMALLOC": "malloc",  # arrays in blocks of their own
        "OMP_NUM_THREADS": "2",
        "NEXTSTAT_TEST_SECOND": "20",  # instrumented code is slow
    }
    # Without a fixed layout of memory, ThreadSanitizer does not start on recent kernels.
    variables = [f"{key}={value}" for key, value in settings.items()]
    tests = session.posargs or (THREADED if sanitizer == "thread" else SANITIZED)
    session.run("setarch", "-R", "env", *variables, "pytest", *tests, external=True)
