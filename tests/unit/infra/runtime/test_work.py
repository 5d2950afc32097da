from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from infra.runtime.holder import Holder
from infra.runtime.project import Project
from infra.runtime.signals import held, sigterm_exits
from infra.runtime.work import (
    claim,
    forget_run,
    remove_old_resumes,
    remove_stale_work,
    resume_folder,
    session_folder,
    work_folder,
)

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


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_waits_for_the_end_of_what_starts_processes(number: int) -> None:
    before = signal.getsignal(number)
    told: list[str] = []

    @contextmanager
    def children() -> Iterator[None]:
        os.kill(os.getpid(), number)
        try:
            yield
        finally:
            told.append("ended")

    def start() -> None:
        with sigterm_exits(), ExitStack() as stack:
            held(stack, children())
            told.append("went on")

    with pytest.raises((SystemExit, KeyboardInterrupt)):
        start()
    assert told == ["ended"]
    assert signal.getsignal(number) is before


def test_temporary_files_of_a_session_lie_in_its_folder_and_elsewhere_after_it(tmp_path: Path) -> None:
    before = tempfile.gettempdir()
    with session_folder(Project(tmp_path)) as folder:
        assert Path(tempfile.mkdtemp()).parent == folder
        child = [sys.executable, "-c", "import tempfile; print(tempfile.gettempdir())"]
        assert subprocess.run(child, capture_output=True, text=True, check=True).stdout.strip() == str(folder)
    assert tempfile.gettempdir() == before
    assert list(Project(tmp_path).work.iterdir()) == []


# --- the folder that outlives a stop --------------------------------------------------------------------------------

NIGHT = "2026-09-20"
RESUMING = """
import os, signal, sys
from pathlib import Path
from infra.runtime.project import Project
from infra.runtime.work import resume_folder

with resume_folder(Project(Path(sys.argv[1])), "flows", "2026-09-20", "run fp", "run-1") as folder:
    (folder / "part.parquet").touch()
    os.kill(os.getpid(), getattr(signal, sys.argv[2]))
"""


def stopped_by(signal_name: str, root: Path) -> Path:
    subprocess.run([sys.executable, "-P", "-c", RESUMING, str(root), signal_name], check=False)
    return Project(root).resume / "flows" / NIGHT / "run-1"


@pytest.mark.parametrize("signal_name", ["SIGKILL", "SIGTERM"])
def test_a_stopped_run_leaves_its_folder_to_the_next_of_the_same_key(tmp_path: Path, signal_name: str) -> None:
    old = stopped_by(signal_name, tmp_path)
    assert old.is_dir()
    with resume_folder(Project(tmp_path), "flows", NIGHT, "run fp", "run-2") as folder:
        assert folder == old.with_name("run-2")
        assert (folder / "part.parquet").is_file()
        assert (folder / ".holder").read_text(encoding="utf-8") == str(Holder.this_process())
        assert not old.exists()
    assert folder.is_dir()


def test_a_run_of_another_key_begins_with_nothing(tmp_path: Path) -> None:
    old = stopped_by("SIGKILL", tmp_path)
    with resume_folder(Project(tmp_path), "flows", NIGHT, "validate fp", "run-2") as folder:
        assert not (folder / "part.parquet").exists()
        assert not old.exists()


def test_other_nights_and_datasets_keep_theirs(tmp_path: Path) -> None:
    old, project = stopped_by("SIGKILL", tmp_path), Project(tmp_path)
    for dataset, night in (("flows", "2026-09-21"), ("hosts", NIGHT)):
        with resume_folder(project, dataset, night, "run fp", "run-2") as folder:
            assert not (folder / "part.parquet").exists()
    assert (old / "part.parquet").exists()


def test_a_run_that_is_done_takes_only_its_own_folder_away(tmp_path: Path) -> None:
    project = Project(tmp_path)
    with resume_folder(project, "flows", NIGHT, "run fp", "run-1") as first:
        pass
    with resume_folder(project, "flows", NIGHT, "run fp again", "run-2") as second:
        (second / "part.parquet").touch()
        first.mkdir()  # by a process that had lost its night
        forget_run(project, "flows", NIGHT, "run-1")
        assert not first.exists()
        assert (second / "part.parquet").exists()
    forget_run(project, "flows", NIGHT, "run-2")
    assert list(project.resume.iterdir()) == []


def test_what_nobody_asked_for_again_is_removed_after_a_week(tmp_path: Path) -> None:
    project = Project(tmp_path)
    old = stopped_by("SIGKILL", tmp_path)
    assert remove_old_resumes(project) == []
    made_anew = old.with_name("run-0")
    made_anew.mkdir()
    with resume_folder(project, "hosts", NIGHT, "run fp", "run-3") as alive:
        for aged in (old / ".holder", made_anew, alive / ".holder"):
            os.utime(aged, (1_000_000_000, 1_000_000_000))
        assert remove_old_resumes(project) == [made_anew, old]
        assert alive.is_dir()


def test_a_folder_that_is_taken_over_looks_old_to_nobody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another process that clears away old ones at this very moment must leave it alone."""
    old, project, rename = stopped_by("SIGKILL", tmp_path), Project(tmp_path), Path.rename
    os.utime(old / ".holder", (1_000_000_000, 1_000_000_000))
    monkeypatch.setattr("infra.runtime.work.remove_old_resumes", lambda _: [])

    def moved(path: Path, to: Path) -> Path:
        assert remove_old_resumes(project) == []
        return rename(path, to)

    monkeypatch.setattr(Path, "rename", moved)
    with resume_folder(project, "flows", NIGHT, "run fp", "run-2") as folder:
        assert (folder / "part.parquet").is_file()


def test_a_parent_that_another_run_took_away_is_made_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made, mkdir = [], Path.mkdir

    def disturbed(path: Path, *arguments: object, **options: object) -> None:
        made.append(path)
        if len(made) == 1:
            raise FileNotFoundError(path)
        mkdir(path, *arguments, **options)  # type: ignore[arg-type]  # whatever `claim` gives

    monkeypatch.setattr(Path, "mkdir", disturbed)
    claim(tmp_path / "resume" / "flows" / NIGHT / "run-1")
    assert (tmp_path / "resume" / "flows" / NIGHT / "run-1" / ".holder").is_file()
