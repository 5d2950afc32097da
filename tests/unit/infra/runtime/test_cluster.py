from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from infra.runtime.cluster import checked_address, kind_for, open_cluster
from infra.runtime.compute import ClientCompute, Compute, loaded_heavy_modules
from infra.runtime.nights import as_night
from schemas.errors import ConfigError, SerenoError, UsageError
from schemas.settings import ClusterSettings

# Holds a cluster the way a run does, and waits to be killed.
HOLDER = """
import sys, time
from pathlib import Path
from infra.runtime.cluster import open_cluster
from schemas.settings import ClusterSettings

if __name__ == "__main__":
    with open_cluster(ClusterSettings(kind="processes", workers=1), Path(sys.argv[1])) as compute:
        running = compute.submit(time.sleep, 120)
        print("holding", flush=True)
        time.sleep(120)
"""


def settings(**values: object) -> ClusterSettings:
    return ClusterSettings.model_validate(values)


@pytest.fixture(scope="module")
def processes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Compute]:
    work = tmp_path_factory.mktemp("work")
    before = {child.pid for child in psutil.Process().children(recursive=True)}
    with open_cluster(settings(kind="processes", workers=2), work) as compute:
        yield compute
        began = time.monotonic()
    assert time.monotonic() - began < 15
    left = [child for child in psutil.Process().children(recursive=True) if child.pid not in before]
    # multiprocessing keeps one tracker for this process' own life.
    assert [child for child in left if "resource_tracker" not in " ".join(child.cmdline())] == []
    assert list(work.iterdir()) == []


@pytest.fixture(params=["threads", "processes"])
def compute(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Compute]:
    if request.param == "processes":
        yield request.getfixturevalue("processes")
    else:
        with open_cluster(settings(kind="threads", workers=2), tmp_path) as opened:
            yield opened


def test_results_come_in_the_order_of_the_items(compute: Compute) -> None:
    assert compute.map(divmod, range(20), 7) == [divmod(i, 7) for i in range(20)]
    assert compute.map(str, []) == []


@pytest.mark.parametrize("item", ["text", ("a", "b"), ["x"], {"k": 1}, None, (len, "abc")], ids=repr)
def test_items_arrive_as_they_are(compute: Compute, item: object) -> None:
    """Dask reads tuples of a function and arguments, and names, as work to do: ours are data."""
    assert compute.map(isinstance, [item], type(item)) == [True]
    assert compute.map(repr, [item, item]) == [repr(item)] * 2


def test_equal_calls_are_all_made(compute: Compute) -> None:
    """Dask would take two equal calls for one, and a later one for done."""
    first = compute.map(os.urandom, [8] * 4)
    assert len(set(first + compute.map(os.urandom, [8] * 4))) == 8


def test_error_of_a_worker_keeps_its_class_and_hint(compute: Compute) -> None:
    with pytest.raises(UsageError, match="'x' is not a date") as caught:
        compute.map(as_night, ["2026-09-20", "x"])
    assert "YYYY-MM-DD" in (caught.value.hint or "")
    with pytest.raises(UsageError):
        compute.submit(as_night, "y").result(timeout=30)
    assert compute.map(str, [1]) == ["1"]


def test_submitted_work_is_waited_for(compute: Compute) -> None:
    assert compute.submit(pow, 2, 5).result(timeout=30) == 32


def mark() -> None:
    os.environ["SERENO_TEST_MARK"] = "here"


def marked(_item: int) -> str | None:
    return os.environ.get("SERENO_TEST_MARK")


def test_a_function_is_called_in_each_process_that_works(compute: Compute, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SERENO_TEST_MARK", "")
    compute.everywhere(mark)
    assert set(compute.map(marked, range(8))) == {"here"}


def test_workers_are_processes_that_import_nothing_heavy(processes: Compute) -> None:
    pids = set(processes.map(_pid, range(8)))
    assert os.getpid() not in pids
    assert [name for names in processes.map(loaded_heavy_modules, range(8)) for name in names] == []


def _pid(_item: object) -> int:
    time.sleep(0.05)
    return os.getpid()


def test_workers_speak_tls_on_loopback(processes: Compute) -> None:
    pids = {os.getpid(), *processes.map(_pid, range(8))}
    listening = [
        c for pid in pids for c in psutil.Process(pid).net_connections("inet") if c.status == psutil.CONN_LISTEN
    ]
    assert listening
    assert {c.laddr.ip for c in listening} == {"127.0.0.1"}
    assert isinstance(processes, ClientCompute)
    assert processes.client.scheduler.address.startswith("tls://")


def test_workers_die_with_a_run_that_is_killed(tmp_path: Path) -> None:
    script = tmp_path / "hold.py"
    script.write_text(HOLDER, encoding="utf-8")
    command = [sys.executable, "-P", str(script), str(tmp_path / "work")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=_with_repository()) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "holding\n"
        children = psutil.Process(process.pid).children(recursive=True)
        process.kill()
    assert children
    assert psutil.wait_procs(children, timeout=15)[1] == []


def _with_repository() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parents[4])}


@pytest.mark.parametrize(
    ("values", "size", "kind"),
    [
        ({}, None, "threads"),
        ({}, 64_000_000, "threads"),
        ({}, 64_000_001, "processes"),
        ({"kind": "threads"}, 10**12, "threads"),
        ({"address": "tls://somewhere:8786"}, 1, "address"),
    ],
)
def test_kind_follows_the_batch_where_it_is_not_set(values: dict[str, object], size: int | None, kind: str) -> None:
    assert kind_for(settings(**values), size) == kind


@pytest.mark.parametrize(
    "address", ["tls://10.0.0.5:8786", "tcp://127.0.0.1:8786", "localhost:8786", "tcp://[::1]:8786"]
)
def test_tls_or_loopback_may_be_spoken_to(address: str) -> None:
    assert checked_address(address).endswith(":8786")


@pytest.mark.parametrize(
    "address", ["tcp://10.0.0.5:8786", "10.0.0.5:8786", "tcp://localhost.evil.example:1", "ws://10.0.0.5:1", None, ""]
)
def test_plain_wire_off_this_machine_is_refused(address: str | None) -> None:
    with pytest.raises(ConfigError) as caught:
        checked_address(address)
    assert "tls://" in (caught.value.hint or "")


def test_scheduler_that_does_not_answer_is_a_plain_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("infra.runtime.cluster.CONNECT_SECONDS", 1)
    with (
        pytest.raises(SerenoError, match="does not answer"),
        open_cluster(settings(kind="address", address="tcp://127.0.0.1:1"), tmp_path),
    ):
        pass
