from __future__ import annotations

import contextlib
import dataclasses
import math
import multiprocessing
import os
import sqlite3
import subprocess
import sys
import threading
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from infra.runtime import runs as runs_module
from infra.runtime import state_database, state_tables
from infra.runtime.holder import Holder
from infra.runtime.lease import Lease
from infra.runtime.runs import Status
from infra.runtime.state import State
from schemas.errors import LockedNight, StateError, UsageError

NIGHT, NEXT = date(2026, 9, 20), date(2026, 9, 21)
SPAWN = multiprocessing.get_context("spawn")


def url_of(folder: Path) -> str:
    return f"sqlite:///{folder / 'state' / 'state.db'}"


@pytest.fixture
def state(tmp_path: Path) -> Any:
    with State(url_of(tmp_path)) as opened:
        yield opened


def finished(state: State, night: date = NIGHT, fingerprint: str = "fp", **how: Any) -> str:
    kind, status = how.pop("kind", "run"), how.pop("status", "done")
    run = state.start_run("flows", night, kind, fingerprint)
    return state.finish_run(run.id, status, **how).id


def test_run_comes_back_as_it_was_finished(state: State) -> None:
    began = datetime.now(UTC)
    run = state.start_run("flows", "2026-09-20", "run", "fp", protocol=3)
    assert (run.status, run.night, run.protocol, run.ended_at) == ("running", NIGHT, 3, None)
    assert run.holder == str(Holder.this_process())
    state.note(run.id, fingerprint="fp2", accepted_by={"who": "ana", "why": "looked"})
    done = state.finish_run(
        run.id, "done", result={"rows": 3}, versions={"accepted": 4}, counters={"n": 3}, sample_version=2
    )
    assert done == state.latest_final("flows", NIGHT)
    assert (done.result, done.versions, done.counters, done.sample_version) == (
        {"rows": 3},
        {"accepted": 4},
        {"n": 3},
        2,
    )
    assert (done.fingerprint, done.accepted_by) == ("fp2", {"who": "ana", "why": "looked"})
    assert done.ended_at is not None
    assert done.ended_at.tzinfo is UTC
    assert began <= done.started_at <= done.ended_at


def test_second_run_of_a_night_is_told_who_holds_it(state: State) -> None:
    first = state.start_run("flows", NIGHT, "run", "fp")
    with pytest.raises(LockedNight) as caught:
        state.start_run("flows", NIGHT, "validate", "fp")
    for part in (first.id, str(os.getpid()), f"{first.started_at:%H:%M:%S}"):
        assert part in caught.value.message
    state.start_run("flows", NEXT, "run", "fp")
    state.start_run("machines", NIGHT, "run", "fp")
    state.finish_run(first.id, "done")
    state.start_run("flows", NIGHT, "run", "fp")


def _race(url: str, gate: Any, answers: Any) -> None:
    gate.wait(60)
    try:
        with State(url) as state:
            run = state.start_run("flows", NIGHT, "run", "fp")
            gate.wait(60)
            answers.put(run.id)
    except LockedNight:
        gate.wait(60)
        answers.put(None)


def test_of_processes_that_start_at_once_one_gets_the_night(tmp_path: Path) -> None:
    """The database does not exist yet, so they race for its creation, too."""
    gate, answers = SPAWN.Barrier(3), SPAWN.Queue()
    processes = [SPAWN.Process(target=_race, args=(url_of(tmp_path), gate, answers)) for _ in range(3)]
    for process in processes:
        process.start()
    winners = [answers.get(timeout=60) for _ in processes]
    for process in processes:
        process.join(60)
    assert len([winner for winner in winners if winner is not None]) == 1


def test_threads_that_start_at_once_get_the_night_once(state: State) -> None:
    won: list[str] = []

    def start() -> None:
        with contextlib.suppress(LockedNight):
            won.append(state.start_run("flows", NIGHT, "run", "fp").id)

    threads = [threading.Thread(target=start) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(won) == 1


def test_night_of_a_dead_process_is_free_at_once(state: State, tmp_path: Path) -> None:
    take = "State(sys.argv[1]).open().start_run('flows', '2026-09-20', 'run', 'fp')"
    code = f"import sys; from infra.runtime.state import State; {take}"
    subprocess.run([sys.executable, "-P", "-c", code, url_of(tmp_path)], check=True)
    assert [run.status for run in state.live()] == ["running"]
    state.start_run("flows", NIGHT, "run", "fp")
    dead = state.recent("flows", night=NIGHT)[1]
    assert (dead.status, dead.result["reason"]) == ("failed", "its process ended without a word")


def test_holder_elsewhere_is_trusted_until_its_lease_runs_out(state: State) -> None:
    run = state.start_run("flows", NIGHT, "run", "fp", lease_seconds=60)
    _set(state, run.id, holder="elsewhere:1:x-1")
    with pytest.raises(LockedNight):
        state.start_run("flows", NIGHT, "run", "fp")
    _set(state, run.id, lease_expires_at=datetime.now(UTC) - timedelta(seconds=1))
    other = state.start_run("flows", NIGHT, "run", "fp")
    for late in (lambda: state.renew(run.id), lambda: state.finish_run(run.id, "done", versions={"accepted": 9})):
        with pytest.raises(LockedNight, match="does not hold"):
            late()
    assert state.run(other.id).status == "running"
    assert state.pins("flows", "accepted") == {}


def test_a_clock_that_was_set_back_leaves_a_dead_run_without_its_night(state: State, monkeypatch) -> None:
    ahead = datetime.now(UTC) + timedelta(hours=5)
    monkeypatch.setattr(runs_module, "_now", lambda: ahead)
    run = state.start_run("flows", NIGHT, "run", "fp")
    monkeypatch.undo()
    with pytest.raises(LockedNight):  # its process, this one, lives
        state.start_run("flows", NIGHT, "run", "fp")
    state.renew(run.id)
    assert state.run(run.id).lease_expires_at < ahead
    _set(state, run.id, lease_expires_at=ahead, holder=str(dataclasses.replace(Holder.this_process(), pid=2**22 + 1)))
    state.check_free("flows", NIGHT)
    assert state.start_run("flows", NIGHT, "run", "fp").started_at < ahead
    assert state.run(run.id).status == "failed"


@pytest.mark.parametrize(("hours", "stale"), [(5, False), (24 * 365, True)])
def test_of_a_holder_elsewhere_a_lease_that_no_right_clock_gave_is_not_believed(
    state: State, hours: int, stale: bool
) -> None:
    """As after a start with a clock a year ahead, a power cut, and a start with the right one."""
    run = state.start_run("flows", NIGHT, "run", "fp")
    until = datetime.now(UTC) + timedelta(hours=hours)
    _set(state, run.id, holder=f"{Holder.this_process().host}:1:another-boot-1", lease_expires_at=until)
    assert [found.id for found in state.stale()] == [run.id] * stale
    _set(state, run.id, holder=str(Holder.this_process()))
    assert state.stale() == []


def _set(state: State, run_id: str, **values: Any) -> None:
    with state_database.writing(state._engine) as connection:
        connection.execute(sa.update(state_tables.runs).where(state_tables.runs.c.id == run_id).values(values))


def test_lease_is_renewed_while_the_block_runs(state: State) -> None:
    run = state.start_run("flows", NIGHT, "run", "fp", lease_seconds=0.3)
    with Lease(state, run.id, seconds=0.3) as lease:
        until = run.lease_expires_at + timedelta(seconds=0.5)
        while datetime.now(UTC) < until:
            assert state.run(run.id).lease_expires_at >= run.lease_expires_at
        lease.check()
        with pytest.raises(LockedNight):
            state.start_run("flows", NIGHT, "run", "fp")


def test_lost_lease_is_said_at_the_next_check(state: State) -> None:
    run = state.start_run("flows", NIGHT, "run", "fp")
    with Lease(state, run.id, seconds=60) as lease:
        _set(state, run.id, status="failed")
        with pytest.raises(LockedNight):
            lease.check()


def test_done_night_is_found_by_its_fingerprint(state: State) -> None:
    first = finished(state, versions={"accepted": 1, "scores": 1})
    found = state.find_done("flows", NIGHT, "fp")
    assert found is not None
    assert found.id == first
    assert state.find_done("flows", NIGHT, "other") is None
    assert state.find_done("flows", NEXT, "fp") is None
    assert state.find_done("flows", NIGHT, "fp", kind="validate") is None


def test_done_night_does_not_count_after_its_tables_were_written_anew(state: State) -> None:
    finished(state, versions={"accepted": 1, "scores": 1})
    finished(state, fingerprint="train", kind="train")
    assert state.find_done("flows", NIGHT, "fp") is not None
    finished(state, fingerprint="fp2", kind="validate", versions={"accepted": 2})
    assert state.find_done("flows", NIGHT, "fp") is None


def test_failed_run_after_a_done_one_changes_nothing(state: State) -> None:
    done = finished(state, versions={"accepted": 1})
    finished(state, status="failed", fingerprint="fp2", versions={"accepted": 2})
    found = state.find_done("flows", NIGHT, "fp")
    assert found is not None
    assert found.id == done
    assert state.pins("flows", "accepted") == {NIGHT: 1}
    latest = state.latest_final("flows", NIGHT)
    assert latest is not None
    assert latest.status == "failed"


def test_the_last_nights_are_found_whatever_the_number_of_their_runs(state: State) -> None:
    first = finished(state, kind="validate")
    second = finished(state, NEXT)
    for _ in range(60):
        newest = finished(state, NEXT, kind="release")
    finished(state, NEXT, kind="release", status="failed")
    finished(state, NEXT, kind="train")
    assert [run.id for run in state.last_nights("flows", 5)] == [first, newest]
    assert [run.id for run in state.last_nights("flows", 1)] == [newest]
    assert [run.id for run in state.last_nights("flows", 5, before=NEXT)] == [first]
    assert [run.id for run in state.recent("flows", night=NEXT, kinds=("run",))] == [second]


@pytest.mark.parametrize("status", ["partial", "blocked"])
def test_night_that_is_not_quite_done_is_done_again(state: State, status: Status) -> None:
    finished(state, status=status, versions={"quarantined": 1})
    assert state.find_done("flows", NIGHT, "fp") is None
    assert state.find_done("flows", NIGHT, "fp", statuses=(status,)) is not None


def test_history_has_one_run_a_night_newest_first(state: State) -> None:
    nights = [date(2026, 9, day) for day in (3, 1, 2)]
    for position, night in enumerate(nights):
        finished(state, night, versions={"accepted": position})
    finished(state, nights[0], versions={"accepted": 7}, status="partial")
    finished(state, nights[1], versions={"accepted": 8}, status="failed")
    finished(state, nights[2], versions={"scores": 9}, kind="score")
    history = state.history("flows")
    assert [(run.night.day, run.versions["accepted"]) for run in history] == [(3, 7), (2, 2), (1, 1)]
    assert [run.night.day for run in state.history("flows", before=date(2026, 9, 3))] == [2, 1]
    assert [run.night.day for run in state.history("flows", limit=1)] == [3]
    assert state.pins("flows", "scores") == {date(2026, 9, 2): 9}
    assert state.pins("flows", "accepted", ["2026-09-01"]) == {date(2026, 9, 1): 1}
    assert state.history("machines") == []


def test_blocked_night_pins_its_quarantine_and_keeps_the_rows_of_before(state: State) -> None:
    finished(state, versions={"accepted": 1, "quarantined": 1})
    finished(state, fingerprint="fp2", status="blocked", versions={"quarantined": 2})
    assert state.pins("flows", "accepted") == {NIGHT: 1}
    assert state.pins("flows", "quarantined") == {NIGHT: 2}


def test_numbers_that_json_lacks_are_null(state: State) -> None:
    run_id = finished(state, counters={"mean": math.nan, "max": [math.inf, 1.5], 3: "three"})
    assert state.run(run_id).counters == {"mean": None, "max": [None, 1.5], "3": "three"}


def test_ledger_keeps_every_decision_and_names_the_champion(state: State) -> None:
    assert state.champion("flows") is None
    state.record("flows", 1, "aa", "registered", reason="trained", actor="run")
    state.record("flows", 1, "aa", "promoted", reason="first", actor="run", metrics={"auc": 0.9})
    state.record("flows", 2, "bb", "refused", reason="constant scores", actor="run")
    second = state.record("flows", 3, "cc", "promoted", reason="better", actor="run", run_id="r1")
    assert second.previous == "1"
    back = state.record("flows", 1, "aa", "rolled_back", reason="noise", actor="ana")
    assert back.previous == "3"
    assert state.champion("flows") == back
    assert [row.action for row in state.ledger("flows")] == [
        "registered",
        "promoted",
        "refused",
        "promoted",
        "rolled_back",
    ]
    assert state.ledger("machines") == []


def test_second_opening_finds_the_same_data(tmp_path: Path) -> None:
    with State(url_of(tmp_path)) as state:
        finished(state)
    with State(url_of(tmp_path)) as state:
        assert len(state.recent()) == 1


def test_migrations_make_the_tables_that_the_code_knows(state: State) -> None:
    found = sa.MetaData()
    found.reflect(state._engine)
    for name, table in state_tables.metadata.tables.items():
        assert {column.name for column in found.tables[name].columns} == {column.name for column in table.columns}
        assert {index.name for index in found.tables[name].indexes} == {index.name for index in table.indexes}
        for column in table.columns:
            assert found.tables[name].columns[column.name].nullable == column.nullable, column


def test_newest_migration_is_the_one_that_the_code_asks_for() -> None:
    names = sorted(path.name for path in (state_database.MIGRATIONS / "versions").glob("r*.py"))
    assert names[-1].startswith(f"r{state_tables.REVISION}_")


def test_database_of_a_newer_release_is_refused(tmp_path: Path) -> None:
    State(url_of(tmp_path)).open().close()
    with sqlite3.connect(tmp_path / "state" / "state.db") as database:
        database.execute("UPDATE alembic_version SET version_num = '0999'")
    database.close()
    with pytest.raises(StateError, match="revision 0999") as caught:
        State(url_of(tmp_path)).open()
    assert "pgrade" in (caught.value.hint or "")


def test_file_that_is_no_database_is_a_plain_error(tmp_path: Path) -> None:
    (tmp_path / "state").mkdir()
    (tmp_path / "state" / "state.db").write_text("not a database at all, " * 100, encoding="utf-8")
    with pytest.raises(StateError, match="not a database"):
        State(url_of(tmp_path)).open()


@pytest.mark.parametrize("url", ["nonsense", "nosuch://x/y", "mysql://u:hidden@h/d"])
def test_address_that_cannot_be_used_is_a_plain_error(url: str) -> None:
    with pytest.raises(StateError, match="cannot be used") as caught:
        State(url)
    assert "hidden" not in str(caught.value)


def test_unknown_run_and_night_are_plain_errors(state: State) -> None:
    with pytest.raises(StateError, match="no run"):
        state.run("nosuch")
    with pytest.raises(UsageError):
        state.start_run("flows", "yesterday", "run", "fp")


def test_a_new_database_that_another_process_is_writing_is_waited_for(tmp_path: Path) -> None:
    file = tmp_path / "new.db"
    with contextlib.closing(sqlite3.connect(file, isolation_level=None, check_same_thread=False)) as other:
        other.execute("CREATE TABLE theirs (x)")
        other.execute("BEGIN IMMEDIATE")
        other.execute("INSERT INTO theirs VALUES (1)")
        soon = threading.Timer(0.5, other.execute, ["COMMIT"])
        soon.start()
        with State(f"sqlite:///{file}") as state:
            assert state.start_run("flows", NIGHT, "run", "fp").id
        soon.join()


def test_sqlite_is_set_up_for_several_processes(state: State) -> None:
    with state_database.reading(state._engine) as connection:
        pragmas = {
            name: connection.exec_driver_sql(f"PRAGMA {name}").scalar()
            for name in ("journal_mode", "busy_timeout", "foreign_keys")
        }
    assert pragmas == {"journal_mode": "wal", "busy_timeout": 30_000, "foreign_keys": 1}
