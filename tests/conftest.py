"""Fixtures that every test may ask for, and the quiet environment that all of them run in."""

from __future__ import annotations

import os
import shutil
import signal
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
QUIET = {
    "CUDA_VISIBLE_DEVICES": "-1",
    "DASK_LOGGING__DISTRIBUTED": "warning",
    "DO_NOT_TRACK": "true",
    "GX_ANALYTICS_ENABLED": "false",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "TF_CPP_MIN_LOG_LEVEL": "3",
}
# A developer's own settings would decide what a test sees.
FOREIGN = ("PREFECT_API_URL", "PREFECT_API_KEY", "PREFECT_PROFILE", "MLFLOW_TRACKING_URI", "MLFLOW_REGISTRY_URI")


def pytest_configure(config: pytest.Config) -> None:
    """Set signals and environment before any test module imports Prefect or MLflow, which read it once."""
    # What runs in the background of a shell ignores Ctrl-C, and so would every process that a test starts.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    home = tempfile.mkdtemp(prefix="sereno-tests-")
    config.add_cleanup(lambda: shutil.rmtree(home, ignore_errors=True))
    os.environ.update(QUIET)
    os.environ["PREFECT_HOME"] = str(Path(home) / "prefect")
    config.stash[HOME] = Path(home)
    for name in list(os.environ):
        if name in FOREIGN or (name.startswith("SERENO_") and name != "SERENO_SHARED_DATA"):
            del os.environ[name]


HOME = pytest.StashKey[Path]()


@pytest.fixture(scope="module", autouse=True)
def own_environment() -> Iterator[None]:
    """Undo what one module sets in the environment: a command run in this process prepares it for children."""
    before = dict(os.environ)
    yield
    for name in os.environ.keys() - before.keys():
        del os.environ[name]
    os.environ.update(before)


@pytest.fixture(scope="session")
def project_home(request: pytest.FixtureRequest) -> Path:
    """Return an empty folder of this session for project folders that several tests share; gone at the end."""
    folder = request.config.stash[HOME] / "projects"
    folder.mkdir(exist_ok=True)
    return folder


@pytest.fixture(scope="session")
def checkout() -> Path:
    """Return the root of the checkout."""
    return ROOT


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Return the folder of real data sets; skip where this machine has none."""
    given = os.environ.get("SERENO_SHARED_DATA")
    folder = Path(given) if given else ROOT.parent / "shared" / "data"
    if not folder.is_dir():
        pytest.skip(f"no real data here: {'SERENO_SHARED_DATA' if given else '../shared/data'} is no folder")
    return folder


@pytest.fixture
def no_leftover_processes() -> Iterator[None]:
    """Fail a test that leaves a child of this process running."""
    import psutil

    before = {child.pid for child in psutil.Process().children(recursive=True)}
    yield
    children = psutil.Process().children(recursive=True)
    psutil.wait_procs([c for c in children if c.pid not in before], timeout=10)
    left = [c for c in psutil.Process().children(recursive=True) if c.pid not in before and c.is_running()]
    assert not left, f"processes left behind: {[c.name() for c in left]}"
