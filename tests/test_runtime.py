"""Imports, copies, threads, processes and instruction sets."""

from __future__ import annotations

import copy
import os
import pickle
import shutil
import signal
import subprocess
import sys
import tempfile
import textwrap
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from random_workspaces import random_parameters

import nextstat
from nextstat import _core, interpret
from nextstat._fits.settings import make_problem
from nextstat.datasets import make_workspace


@pytest.fixture(scope="module")
def model() -> nextstat.HistFactoryModel:
    """39 parameters with every kind of constraint the generator makes."""
    return nextstat.from_pyhf(make_workspace(2, 6, 4, 12, shapesys=True, random_state=1))


@pytest.fixture(scope="module")
def large_model() -> nextstat.HistFactoryModel:
    """A model whose fit takes long enough for other threads to run."""
    return nextstat.from_pyhf(make_workspace(5, 20, 4, 150, random_state=1))


@pytest.fixture
def default_threads() -> Iterator[None]:
    """The default number of threads again, afterwards."""
    yield
    nextstat.set_num_threads(0)


@pytest.fixture
def best_simd_level() -> Iterator[None]:
    """The best instruction set again, afterwards."""
    yield
    _core.choose_simd_level(_core.simd_levels()[0])


def run_python(script: str, *arguments: str) -> str:
    """Standard output of a script in a fresh interpreter; it and its children must not hang."""
    with subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(script), *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        cwd=tempfile.gettempdir(),  # not the checkout, whose nextstat/ holds no extension module
    ) as process:
        try:
            output, errors = process.communicate(timeout=60)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            pytest.fail(f"hangs:\n{script}")
    assert process.returncode == 0, errors
    return output


def columns(rows: list[dict[str, Any]]) -> dict[str, list[Any]]:
    """Rows of a ranking as columns that compare equal where they are the same, NaN included."""
    return {
        key: [repr(value) if isinstance(value, float) else value for value in values]
        for key in rows[0]
        for values in [[row[key] for row in rows]]
    }


# Imports ----------------------------------------------------------------------------------------

HEAVY = ("pandas", "matplotlib", "sklearn", "torch", "scipy", "pyhf")


def test_sources_without_extension_modules(tmp_path: Path) -> None:
    """A checkout that nothing was built in says so in one line, instead of failing at some name."""
    sources = Path(nextstat.__file__).parent
    built = shutil.ignore_patterns("*.so", "*.pyd", "__pycache__")
    shutil.copytree(sources, tmp_path / "nextstat", ignore=built)
    done = subprocess.run(
        [sys.executable, "-S", "-c", "import nextstat"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 1
    last = done.stderr.splitlines()[-1]
    assert last.startswith(f"ImportError: {tmp_path / 'nextstat'} holds the sources of nextstat")
    assert "start Python in another folder, or build in this one with pip install -e ." in last


def test_light_import() -> None:
    """`import nextstat` loads none of the large packages."""
    script = "import nextstat, sys; print(*sorted({m.split('.')[0] for m in sys.modules}))"
    loaded = run_python(script).split()
    assert "nextstat" in loaded
    assert not set(HEAVY) & set(loaded)


def test_light_fit() -> None:
    """Building a model and fitting it does not need them either."""
    script = """
        import sys
        import nextstat
        from nextstat.datasets import make_workspace
        nextstat.fit(nextstat.from_pyhf(make_workspace(1, 2, 2, 1, random_state=0)))
        print(*sorted({m.split(".")[0] for m in sys.modules}))
    """
    assert not set(HEAVY) & set(run_python(script).split())


@pytest.mark.parametrize("name", nextstat.__all__)
def test_public_names(name: str) -> None:
    """Every advertised name can be had, and `dir` lists it."""
    assert getattr(nextstat, name) is not None
    assert name in dir(nextstat)


def test_unknown_name() -> None:
    """An unknown attribute is an AttributeError, as of any module."""
    with pytest.raises(AttributeError, match="no attribute 'fitt'"):
        nextstat.fitt  # noqa: B018


# Copies -----------------------------------------------------------------------------------------

COPIES = pytest.mark.parametrize(
    "duplicate",
    [
        *(lambda x, p=p: pickle.loads(pickle.dumps(x, protocol=p)) for p in (2, 5)),
        copy.deepcopy,
        copy.copy,
    ],
    ids=["pickle-2", "pickle-5", "deepcopy", "copy"],
)


@COPIES
def test_model_copies(model: nextstat.HistFactoryModel, duplicate: Callable[[Any], Any]) -> None:
    """A copy has the same parameters, data and likelihood, to the last bit."""
    twin = duplicate(model)
    assert repr(twin) == repr(model)
    assert twin.poi == model.poi
    assert twin.parameter_names == model.parameter_names
    for name in ("init", "bounds", "fixed", "data", "auxdata"):
        np.testing.assert_array_equal(getattr(twin, name), getattr(model, name))
        assert not getattr(twin, name).flags.writeable
    point = random_parameters(model, 0)
    assert twin.nll(point) == model.nll(point)
    np.testing.assert_array_equal(twin.nll_gradient(point), model.nll_gradient(point))
    np.testing.assert_array_equal(twin.nll_hessian(point), model.nll_hessian(point))
    np.testing.assert_array_equal(nextstat.fit(twin).values, nextstat.fit(model).values)


def test_model_copy_keeps_interpolation() -> None:
    """The interpolation codes and another parameter of interest survive pickling."""
    model = nextstat.from_pyhf(
        make_workspace(random_state=2), poi="norm_ttbar", interpolation=("code1", "code0")
    )
    twin = pickle.loads(pickle.dumps(model))
    assert twin.poi == "norm_ttbar"
    point = random_parameters(model, 0)
    assert twin.nll(point) == model.nll(point)


FIELDS = ("nll", "edm", "converged", "status", "message", "gradient_norm", "n_iter")


def results(model: nextstat.HistFactoryModel) -> dict[str, nextstat.FitResult]:
    """Fits with all parameters free, some fixed, and some at a bound."""
    return {
        "free": nextstat.fit(model),
        "fixed": nextstat.fit(model, fixed={"lumi": 1.01, "mu": 0.7}),
        "bound": nextstat.fit(model, bounds={"mu": (3.0, 10.0)}, init={"mu": 4.0}),
    }


@COPIES
@pytest.mark.parametrize("case", ["free", "fixed", "bound"])
@pytest.mark.parametrize("used", [True, False], ids=["errors-known", "errors-unknown"])
def test_result_copies(
    model: nextstat.HistFactoryModel, duplicate: Callable[[Any], Any], case: str, used: bool
) -> None:
    """A copy has the same numbers; errors and covariance are computed from it as well."""
    result = results(model)[case]
    if used:
        assert result.covariance.shape == (len(result.errors),) * 2
    twin = duplicate(result)
    for name in FIELDS:
        assert getattr(twin, name) == getattr(result, name)
    assert twin.parameter_names == result.parameter_names
    assert twin.active_bounds == result.active_bounds
    for name in ("values", "errors", "covariance", "correlation", "fixed", "held"):
        np.testing.assert_array_equal(getattr(twin, name), getattr(result, name))
    assert repr(twin) == repr(result)
    assert repr(twin.to_dict()) == repr(result.to_dict())


def test_unconverged_result_copies() -> None:
    """A failed fit can be sent elsewhere for study."""
    workspace = make_workspace(1, 2, 2, 0, staterror=False, random_state=0)
    for sample in workspace["channels"][0]["samples"]:
        sample["modifiers"].append({"name": "twin", "type": "normfactor", "data": None})
        sample["modifiers"].append({"name": "same", "type": "normfactor", "data": None})
    with pytest.warns(nextstat.FitWarning):
        result = nextstat.fit(nextstat.from_pyhf(workspace))
    twin = pickle.loads(pickle.dumps(result))
    assert not twin.converged
    assert twin.status == result.status
    np.testing.assert_array_equal(twin.values, result.values)
    assert np.isnan(twin.errors).all()


# Immutability -----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["poi", "data", "init", "parameters", "_core", "anything"])
def test_model_attributes(name: str) -> None:
    """Attributes can neither be set nor deleted."""
    model = nextstat.from_pyhf(make_workspace(1, 2, 2, 1, random_state=0))
    with pytest.raises(AttributeError):
        setattr(model, name, 1.0)
    with pytest.raises(AttributeError):
        delattr(model, name)
    assert nextstat.fit(model).converged


@pytest.mark.parametrize("name", ["init", "names", "width", "anything"])
def test_table_attributes(name: str) -> None:
    """Nor those of its table of parameters, which would change the model."""
    model = nextstat.from_pyhf(make_workspace(1, 2, 2, 1, random_state=0))
    before = model.init.copy()
    with pytest.raises(AttributeError):
        setattr(model.parameters, name, np.zeros(2))
    np.testing.assert_array_equal(model.init, before)


ARRAYS = ("init", "bounds", "fixed", "data", "auxdata")
COLUMNS = ("init", "bounds", "fixed", "centre", "width", "tau", "auxdata")


def test_model_arrays(model: nextstat.HistFactoryModel) -> None:
    """Arrays are read-only, also those of the parameter table."""
    arrays = [getattr(model, name) for name in ARRAYS]
    arrays += [getattr(model.parameters, name) for name in COLUMNS]
    for array in arrays:
        with pytest.raises(ValueError, match="read-only"):
            array[...] = 0
        with pytest.raises(ValueError, match="read-only"):
            array.reshape(-1)[0] = 0


def test_model_keeps_its_own_data() -> None:
    """The workspace may change after the model was made; evaluations do not change inputs."""
    workspace = make_workspace(1, 3, 2, 2, random_state=0)
    model = nextstat.from_pyhf(workspace)
    point, data = model.init.copy(), model.data.copy()
    before = model.nll(point)
    workspace["observations"][0]["data"][0] += 10.0
    workspace["channels"][0]["samples"][0]["data"][0] += 10.0
    assert model.nll(point) == before
    nextstat.fit(model, data, init=point)
    np.testing.assert_array_equal(point, model.init)
    np.testing.assert_array_equal(data, model.data)


def test_results_are_fresh_arrays(model: nextstat.HistFactoryModel) -> None:
    """Writing into what a call returned changes neither the model nor later calls."""
    point = random_parameters(model, 3)
    gradient, expected = model.nll_gradient(point), model.expected_data(point)
    copies = gradient.copy(), expected.copy()
    gradient[:] = expected[:] = -1.0
    np.testing.assert_array_equal(model.nll_gradient(point), copies[0])
    np.testing.assert_array_equal(model.expected_data(point), copies[1])


# Threads ----------------------------------------------------------------------------------------


def evaluate(model: nextstat.HistFactoryModel, seed: int) -> list[Any]:
    """Everything a thread may ask of a model, at a point and for a dataset of its own."""
    rng = np.random.default_rng(seed)
    point = random_parameters(model, seed)
    data = rng.poisson(model.expected_data(model.init, include_auxdata=False)).astype(float)
    result = nextstat.fit(model, data)
    return [
        model.nll(point),
        model.nll_gradient(point, data),
        model.nll_hessian(point),
        model.expected_by_sample(point),
        result.values,
        result.nll,
        result.errors,
        result.n_iter,
    ]


def test_eight_threads(model: nextstat.HistFactoryModel) -> None:
    """Eight threads at work on one model find what one finds, to the last bit."""
    serial = [evaluate(model, seed) for seed in range(64)]
    barrier = threading.Barrier(8, timeout=60)

    def work(thread: int) -> list[list[Any]]:
        barrier.wait()
        return [evaluate(model, seed) for seed in range(8 * thread, 8 * thread + 8)]

    with ThreadPoolExecutor(8) as pool:
        parallel = [found for chunk in pool.map(work, range(8)) for found in chunk]
    for one, other in zip(serial, parallel, strict=True):
        for a, b in zip(one, other, strict=True):
            np.testing.assert_array_equal(a, b)


def test_any_memory_layout(model: nextstat.HistFactoryModel) -> None:
    """Bits do not depend either on where in memory the arrays of a calculation happen to lie."""
    rng = np.random.default_rng(0)
    clutter: list[Any] = []
    expected = evaluate(model, 0), columns(interpret.rank_impact(model, n_jobs=1))
    for k in range(100):
        clutter.append(np.empty(rng.integers(1, 200)))
        if k > 50:
            clutter.pop(rng.integers(50))
        for a, b in zip(evaluate(model, 0), expected[0], strict=True):
            np.testing.assert_array_equal(a, b)
        assert columns(interpret.rank_impact(model, n_jobs=1)) == expected[1]


def test_eight_threads_rank(model: nextstat.HistFactoryModel) -> None:
    """Rankings, themselves parallel, from several threads at once."""
    expected = columns(interpret.rank_impact(model, n_jobs=1))
    with ThreadPoolExecutor(8) as pool:
        for rows in pool.map(lambda _: interpret.rank_impact(model, n_jobs=2), range(16)):
            assert columns(rows) == expected


@pytest.mark.parametrize("n_jobs", [2, 3, 8, 10**6, -1, None])
def test_rank_for_any_n_jobs(model: nextstat.HistFactoryModel, n_jobs: int | None) -> None:
    """The ranking does not depend on `n_jobs`."""
    expected = columns(interpret.rank_impact(model, n_jobs=1))
    assert columns(interpret.rank_impact(model, n_jobs=n_jobs)) == expected


@pytest.mark.usefixtures("default_threads")
def test_any_number_of_threads(model: nextstat.HistFactoryModel) -> None:
    """Neither do the ranking, the fit and the likelihood depend on `set_num_threads`."""
    nextstat.set_num_threads(1)
    ranking, evaluation = columns(interpret.rank_impact(model)), evaluate(model, 0)
    for n in range(2, 9):
        nextstat.set_num_threads(n)
        assert nextstat.get_num_threads() == n
        assert columns(interpret.rank_impact(model)) == ranking
        for a, b in zip(evaluate(model, 0), evaluation, strict=True):
            np.testing.assert_array_equal(a, b)


@pytest.mark.usefixtures("default_threads")
def test_num_threads() -> None:
    """0 restores the default; negative numbers are refused; n_jobs counts as in scikit-learn."""
    default = nextstat.get_num_threads()
    assert default >= 1
    nextstat.set_num_threads(5)
    assert nextstat.get_num_threads() == 5
    with pytest.raises(ValueError, match="n is -1, expected at least 0"):
        nextstat.set_num_threads(-1)
    assert nextstat.get_num_threads() == 5
    most = max(64, 4 * (os.cpu_count() or 1))
    nextstat.set_num_threads(10**6)
    assert nextstat.get_num_threads() == most
    nextstat.set_num_threads(0)
    assert nextstat.get_num_threads() == default


def test_n_jobs_zero(model: nextstat.HistFactoryModel) -> None:
    """As in joblib, 0 jobs are an error."""
    with pytest.raises(ValueError, match="n_jobs is 0"):
        interpret.rank_impact(model, n_jobs=0)


class Counter:
    """Counts in a thread that can only run while nobody else holds the interpreter lock."""

    def __enter__(self) -> Counter:
        self.value, self._stop = 0, threading.Event()
        self._interval = sys.getswitchinterval()
        sys.setswitchinterval(1000.0)  # Nobody is asked to give the lock away.
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()
        return self

    def _run(self) -> None:
        while not self._stop.wait(1e-5):
            self.value += 1

    def __exit__(self, *args: object) -> None:
        sys.setswitchinterval(self._interval)
        self._stop.set()
        self._thread.join()


def core_fit(model: nextstat.HistFactoryModel) -> Callable[[], Any]:
    """A call into the core that fits."""
    problem = make_problem(model).core()
    return lambda: _core.fit(model._core, model._observed, problem)


def core_refits(model: nextstat.HistFactoryModel) -> Callable[[], Any]:
    """A call into the core that refits for a ranking."""
    problem = make_problem(model).core()
    minimum = core_fit(model)()
    poi, others = model.parameters.index("mu"), [0, 1, 2, 3]
    return lambda: _core.refit_shifted(
        model._core,
        minimum,
        model._observed,
        problem,
        poi,
        others,
        (minimum.values[others] + 0.1).tolist(),
        1,
    )


def core_hessian(model: nextstat.HistFactoryModel) -> Callable[[], Any]:
    """A call into the core that takes second derivatives."""
    return lambda: model.nll_hessian(model.init)


@pytest.mark.parametrize("prepare", [core_fit, core_refits, core_hessian])
def test_lock_released(
    large_model: nextstat.HistFactoryModel,
    prepare: Callable[[nextstat.HistFactoryModel], Callable[[], Any]],
) -> None:
    """Other Python threads run while the core works."""
    call = prepare(large_model)
    with Counter() as counter:
        for _ in range(1000):
            before = counter.value
            call()
            if counter.value > before:
                break
        else:
            pytest.fail("no other thread ran during 1000 calls")


# Processes --------------------------------------------------------------------------------------

FORK = """
    import os, signal, sys, threading, warnings
    warnings.simplefilter("ignore", DeprecationWarning)  # of fork itself, since Python 3.12
    import nextstat
    from nextstat import interpret
    from nextstat.datasets import make_workspace

    def work(n_jobs):
        if os.getpid() != parent:
            signal.alarm(10)  # ends a child that hangs
        rows = interpret.rank_impact(model, n_jobs=n_jobs)
        result = nextstat.fit(model)
        return repr(rows), result.values.tolist(), result.errors.tolist()

    n_jobs = eval(sys.argv[1])
    parent = os.getpid()
    model = nextstat.from_pyhf(make_workspace(2, 4, 3, 6, random_state=1))
    expected = work(4)  # starts the threads
"""

IN_CHILD = """
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        os.write(writer, str(work(n_jobs) == expected).encode())
        os._exit(0)
    os.close(writer)
    print(os.read(reader, 100).decode(), os.waitpid(child, 0)[1])
"""

IN_PARENT = """
    print(work(n_jobs) == expected, nextstat.get_num_threads())
"""

IN_GRANDCHILD = """
    import multiprocessing
    context = multiprocessing.get_context("fork")
    def outer(queue):
        inner = context.Process(target=lambda: queue.put(work(n_jobs) == expected))
        inner.start()
        inner.join()
        queue.put(work(n_jobs) == expected)
    queue = context.Queue()
    process = context.Process(target=outer, args=(queue,))
    process.start()
    print(queue.get(timeout=25), queue.get(timeout=25))
    process.join()
"""

IN_POOL = """
    import multiprocessing
    with multiprocessing.get_context("fork").Pool(2) as pool:
        print(*[found == expected for found in pool.map_async(work, [n_jobs] * 3).get(25)])
"""

KEEP_BUSY = """
    stop = threading.Event()
    def keep_busy():
        while not stop.is_set():
            nextstat.fit(model)
    threads = [threading.Thread(target=keep_busy) for _ in range(2)]
    for thread in threads:
        thread.start()
"""

FINISH = """
    stop.set()
    for thread in threads:
        thread.join()
"""

needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
any_n_jobs = pytest.mark.parametrize("n_jobs", [None, 1, 2, 8])


def run_forking(n_jobs: int | None, *pieces: str) -> list[str]:
    """Words that a script of several pieces prints, after the start of threads."""
    script = "".join(textwrap.dedent(piece) for piece in (FORK, *pieces))
    return run_python(script, repr(n_jobs)).split()


@needs_fork
@any_n_jobs
def test_fork_after_threads(n_jobs: int | None) -> None:
    """A child forked after threads were started neither hangs nor finds other numbers."""
    assert run_forking(n_jobs, IN_CHILD, IN_CHILD) == ["True", "0", "True", "0"]


@needs_fork
def test_fork_leaves_parent_alone() -> None:
    """The parent keeps its threads, and its results."""
    words = run_forking(2, IN_PARENT, IN_CHILD, IN_PARENT)
    assert words[:2] == words[-2:]
    assert words[0] == "True"


@needs_fork
@any_n_jobs
def test_fork_twice(n_jobs: int | None) -> None:
    """Children of children."""
    assert run_forking(n_jobs, IN_GRANDCHILD) == ["True", "True"]


@needs_fork
@any_n_jobs
def test_fork_pool(n_jobs: int | None) -> None:
    """multiprocessing's pool, which forks."""
    assert run_forking(n_jobs, IN_POOL) == ["True"] * 3


@needs_fork
@any_n_jobs
def test_fork_while_busy(n_jobs: int | None) -> None:
    """A fork while other threads are inside the core: the child starts clean."""
    assert run_forking(n_jobs, KEEP_BUSY, *[IN_CHILD] * 3, FINISH) == ["True", "0"] * 3


def test_spawned_processes(model: nextstat.HistFactoryModel) -> None:
    """A model travels to other processes and its fits travel back."""
    expected = nextstat.fit(model)
    ranking = columns(interpret.rank_impact(model))
    with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as pool:
        fits = [pool.submit(nextstat.fit, model) for _ in range(2)]
        rows = pool.submit(interpret.rank_impact, model, n_jobs=2)
        for future in fits:
            result = future.result(timeout=120)
            np.testing.assert_array_equal(result.values, expected.values)
            np.testing.assert_array_equal(result.errors, expected.errors)
            np.testing.assert_array_equal(result.covariance, expected.covariance)
        assert columns(rows.result(timeout=120)) == ranking


# Instruction sets -------------------------------------------------------------------------------


def test_best_level_is_chosen() -> None:
    """The first of the levels is in use; the last one every machine can run."""
    levels = _core.simd_levels()
    assert _core.simd_level() == levels[0]
    assert levels[-1] == "baseline"


@pytest.mark.usefixtures("best_simd_level")
def test_levels_agree(model: nextstat.HistFactoryModel) -> None:
    """The same likelihood, derivatives and fit with every instruction set of this machine."""
    point = random_parameters(model, 4)

    def numbers() -> dict[str, Any]:
        result = nextstat.fit(model)
        return {
            "nll": model.nll(point),
            "gradient": model.nll_gradient(point),
            "hessian": model.nll_hessian(point),
            "expected": model.expected_data(point),
            "fit nll": result.nll,
            "values": result.values,
            "errors": result.errors,
            "covariance": result.covariance,
        }

    reference = numbers()
    for level in _core.simd_levels():
        _core.choose_simd_level(level)
        assert _core.simd_level() == level
        for name, value in numbers().items():
            scale = np.abs(reference[name]).max()
            np.testing.assert_allclose(
                value, reference[name], rtol=1e-10, atol=1e-10 * scale, err_msg=f"{level} {name}"
            )


@pytest.mark.usefixtures("best_simd_level")
def test_unknown_level() -> None:
    """A level this machine does not have is refused, and nothing changes."""
    with pytest.raises(ValueError, match="no kernels for level 'avx9000'"):
        _core.choose_simd_level("avx9000")
    assert _core.simd_level() == _core.simd_levels()[0]
