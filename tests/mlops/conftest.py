"""Trackers that the tests share: a store and a server of MLflow, runs of W&B without network."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
import warnings
from collections.abc import Iterator
from pathlib import Path

import pytest

os.environ |= {  # nothing leaves the machine; read when the packages are imported
    "DO_NOT_TRACK": "true",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",  # processes that nothing here needs
    "WANDB_ERROR_REPORTING": "false",
    "WANDB_MODE": "offline",
    "WANDB_SILENT": "true",
}

from mlflow import MlflowClient

START = 240.0  # seconds that a server may take on a machine with other work


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@pytest.fixture(scope="session")
def sqlite_uri(tmp_path_factory: pytest.TempPathFactory) -> str:
    """MLflow's own store, in a file."""
    uri = f"sqlite:///{tmp_path_factory.mktemp('sqlite') / 'mlflow.db'}"
    with warnings.catch_warnings():  # of what the store is made of
        warnings.simplefilter("ignore", DeprecationWarning)
        MlflowClient(uri).search_experiments()  # makes the tables
    return uri


@pytest.fixture(scope="session")
def server_uri(sqlite_uri: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A server of MLflow, in a process of its own."""
    folder = tmp_path_factory.mktemp("server")
    shutil.copy(sqlite_uri.removeprefix("sqlite:///"), folder)  # its own takes seconds to make
    address = f"http://127.0.0.1:{free_port()}"
    command = [sys.executable, "-m", "mlflow", "server", "--workers", "1"]
    command += ["--host", "127.0.0.1", "--port", address.rpartition(":")[2]]
    command += ["--backend-store-uri", "sqlite:///mlflow.db"]
    command += ["--artifacts-destination", str(folder / "artifacts")]
    with (folder / "log.txt").open("w") as log:
        server = subprocess.Popen(
            command, cwd=folder, stdout=log, stderr=log, start_new_session=True
        )
        try:
            wait_for(address, server, folder / "log.txt")
            yield address
        finally:
            os.killpg(server.pid, signal.SIGKILL)  # its workers too
            server.wait()


def wait_for(address: str, server: subprocess.Popen[bytes], log: Path) -> None:
    """Return as soon as the server answers."""
    deadline = time.monotonic() + START
    while time.monotonic() < deadline and server.poll() is None:
        try:
            urllib.request.urlopen(f"{address}/health", timeout=1.0).close()
        except (urllib.error.URLError, TimeoutError):
            time.sleep(0.1)
        else:
            return
    raise RuntimeError(f"no MLflow server at {address}:\n{log.read_text()}")
