from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from infra.runtime.holder import Holder
from infra.runtime.project import Project
from infra.runtime.signals import sigterm_exits
from infra.runtime.work import remove_stale_work, session_folder, work_folder

HOLDER = """
import sys, time
from pathlib import Path
from infra.runtime.project import Project
from infra.runtime.work import work_folder

with work_folder(Project(Path(sys.argv[1])), "flows", "2026-09-20", "run-1") as folder:
    (folder / "part.parquet").touch()
    print(folder, flush=True)
    time.sleep(60)
"""


def hold(root: Path) -> tuple[subprocess.Popen[str], Path]:
    process = subprocess.Popen([sys.executable, "-P", "-c", HOLDER, str(root)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    return process, Path(process.stdout.readline().strip())


def test_folder_is_the_runs_own_and_gone_at_its_end(tmp_path: Path) -> None:
    project = Project(tmp_path)
    with work_folder(project, "flows", "2026-09-20", "run-1") as folder:
        assert folder == project.work / "flows" / "2026-09-20" / "run-1"
        (folder / "inner").mkdir()
    assert list(project.work.iterdir()) == []


def test_folder_is_gone_after_an_exception(tmp_path: Path) -> None:
    project = Project(tmp_path)
    with pytest.raises(RuntimeError), work_folder(project, "flows", "2026-09-20", "run-1"):
        raise RuntimeError
    assert list(project.work.iterdir()) == []


def test_folder_is_gone_after_sigterm(tmp_path: Path) -> None:
    process, folder = hold(tmp_path)
    with process:
        assert folder.is_dir()
        process.terminate()
        assert process.wait(20) == 143
    assert not folder.exists()


def test_folder_of_a_killed_run_is_removed_by_the_next(tmp_path: Path) -> None:
    process, folder = hold(tmp_path)
    with process, work_folder(Project(tmp_path), "flows", "2026-09-21", "run-2") as living:
        assert remove_stale_work(Project(tmp_path)) == []
        process.kill()
        process.wait()
        assert remove_stale_work(Project(tmp_path)) == [folder]
        assert living.is_dir()
    assert not folder.exists()


def test_session_folder_is_claimed_and_gone_at_its_end(tmp_path: Path) -> None:
    project = Project(tmp_path)
    with session_folder(project) as folder:
        assert folder == project.work / "sessions" / str(os.getpid())
        assert remove_stale_work(project) == []
        (folder / ".holder").write_text(f"{Holder.this_process()}9", encoding="utf-8")
        assert remove_stale_work(project) == [folder]
    assert list(project.work.iterdir()) == []


def test_folder_of_another_machine_is_left_alone(tmp_path: Path) -> None:
    folder = Project(tmp_path).work / "flows" / "2026-09-20" / "run-1"
    folder.mkdir(parents=True)
    (folder / ".holder").write_text("elsewhere:1:boot-1-2", encoding="utf-8")
    assert remove_stale_work(Project(tmp_path)) == []
    assert folder.is_dir()


def test_holder_reads_back_and_knows_its_own_life() -> None:
    me = Holder.this_process()
    assert Holder.parse(str(me)) == me
    assert me.alive() is True
    assert Holder(me.host, me.pid, f"{me.start}9").alive() is False, "a number that another process has now"
    assert Holder("elsewhere", me.pid, me.start).alive() is None
    assert Holder.parse("no holder").alive() is None
    assert Holder.parse("").alive() is None


def test_holder_of_a_process_that_ended_is_dead() -> None:
    code = "from infra.runtime.holder import Holder; print(Holder.this_process())"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert Holder.parse(done.stdout.strip()).alive() is False


def test_sigterm_is_an_exception_within_the_block_only() -> None:
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(SystemExit) as caught, sigterm_exits():
        os.kill(os.getpid(), signal.SIGTERM)
    assert caught.value.code == 143
    assert signal.getsignal(signal.SIGTERM) is before
