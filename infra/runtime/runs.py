"""Runs in the state database: who works on which night, and what each finished night left behind."""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Mapping
from datetime import UTC, date, datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, Connection, Engine, Select, insert, literal_column, select, update
from sqlalchemy.exc import IntegrityError

from infra.runtime.holder import Holder
from infra.runtime.nights import Night, as_night
from infra.runtime.run_queries import counting, newest_of_nights, of_night
from infra.runtime.run_row import COUNTING, Kind, Run, Status, as_run
from infra.runtime.state_database import Writer, reading, writing
from infra.runtime.state_tables import runs
from schemas.errors import LockedNight, StateError
from schemas.failpoints import durable

# Spelled out as in the index of live runs: behind a parameter the database would not see that the index fits.
_IS_RUNNING = runs.c.status == literal_column("'running'")


WRONG_CLOCK = timedelta(days=1)
"""A lease is renewed for minutes: one that ends later was given by a clock that has been set back since."""


class RunStore:
    """The part of `State` that knows runs.

    Args:
        engine: The state database.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def start_run(
        self,
        dataset: str,
        night: Night,
        kind: Kind,
        fingerprint: str,
        *,
        lease_seconds: float = 120.0,
        protocol: int = 1,
        run_id: str | None = None,
    ) -> Run:
        """Take the night: write a running row that no other live run of it may stand beside.

        A running row whose holder is dead, or whose lease ran out or makes no sense, is closed as failed first.

        Raises:
            LockedNight: Another run holds the night.
        """
        day, now = as_night(night), _now()
        row = {
            "id": run_id or new_run_id(now),
            "dataset": dataset,
            "night": day.isoformat(),
            "kind": kind,
            "status": "running",
            "fingerprint": fingerprint,
            "protocol": protocol,
            "started_at": now,
            "holder": str(Holder.this_process()),
            "lease_expires_at": now + timedelta(seconds=lease_seconds),
            "result": {},
            "versions": {},
            "counters": {},
        }
        try:
            with durable("state.start"), writing(self._engine) as connection:
                _close_stale(connection, dataset, day, now)
                connection.execute(insert(runs).values(row))
        except StateError as error:
            if isinstance(error.__cause__, IntegrityError):
                raise self._locked(dataset, day) from None
            raise
        return self.run(str(row["id"]))

    def renew(self, run_id: str, lease_seconds: float = 120.0) -> None:
        """Move a running run's lease on.

        Raises:
            LockedNight: The run is not running any more: its lease ran out and another run took the night.
        """
        self._change(run_id, {"lease_expires_at": _now() + timedelta(seconds=lease_seconds)})

    def at_stage(self, run_id: str, stage: str, seconds: Mapping[str, float], lease_seconds: float = 120.0) -> None:
        """Say where a running run stands, and move its lease on.

        Args:
            run_id: The running run.
            stage: What it begins now.
            seconds: What it did before, stage to seconds.
            lease_seconds: How long the lease holds.

        Raises:
            LockedNight: The run lost its night.
        """
        where = {"status": "running", "stage": stage, "seconds": dict(seconds)}
        self._change(run_id, {"result": where, "lease_expires_at": _now() + timedelta(seconds=lease_seconds)})

    def note(
        self, run_id: str, *, fingerprint: str | None = None, accepted_by: Mapping[str, Any] | None = None
    ) -> None:
        """Write what a running run learnt on its way: its fingerprint, or who accepted the night.

        Raises:
            LockedNight: The run lost its night.
        """
        values: dict[str, Any] = {}
        if fingerprint is not None:
            values["fingerprint"] = fingerprint
        if accepted_by is not None:
            values["accepted_by"] = dict(accepted_by)
        if values:
            with durable("state.note"):
                self._change(run_id, values)

    def finish_run(
        self,
        run_id: str,
        status: Status,
        *,
        result: Mapping[str, Any] | None = None,
        versions: Mapping[str, int] | None = None,
        counters: Mapping[str, Any] | None = None,
        sample_version: int | None = None,
        also: Writer | None = None,
    ) -> Run:
        """Write the final row; from here on, and only for `done`, `partial` and `blocked`, what the run wrote counts.

        Args:
            run_id: The running run.
            status: How it ended.
            result: What the command prints as JSON.
            versions: Table name to the Delta version that this run wrote.
            counters: Exact counts of the accepted rows.
            sample_version: Delta version of the night's sample.
            also: Writes more within the same transaction.

        Raises:
            LockedNight: The run lost its night meanwhile: nothing that it wrote counts.
        """
        values = {
            "status": status,
            "ended_at": _now(),
            "result": dict(result or {}),
            "versions": dict(versions or {}),
            "counters": dict(counters or {}),
            "sample_version": sample_version,
        }
        with durable("state.finish"):
            self._change(run_id, values, also)
        return self.run(run_id)

    def run(self, run_id: str) -> Run:
        """Return one run.

        Raises:
            StateError: There is none of this id.
        """
        found = self._runs(select(runs).where(runs.c.id == run_id))
        if not found:
            raise StateError(f"There is no run {run_id!r}.", hint="List the runs: sereno status.")
        return found[0]

    def live(self, dataset: str | None = None) -> list[Run]:
        """Return the rows that say `running`, oldest first; whether the holder still lives is another question."""
        query = select(runs).where(_IS_RUNNING)
        found = self._runs(query if dataset is None else query.where(runs.c.dataset == dataset))
        # Sorted here: the database would rather walk all runs in order than sort the few.
        return sorted(found, key=lambda run: run.seq)

    def recent(
        self,
        dataset: str | None = None,
        *,
        night: Night | None = None,
        kinds: Iterable[Kind] | None = None,
        limit: int = 50,
    ) -> list[Run]:
        """Return runs of every status, newest first."""
        query = select(runs).order_by(runs.c.seq.desc()).limit(limit)
        if kinds is not None:
            query = query.where(runs.c.kind.in_(list(kinds)))
        if dataset is not None:
            query = query.where(runs.c.dataset == dataset)
        if night is not None:
            query = query.where(runs.c.night == as_night(night).isoformat())
        return self._runs(query)

    def last_nights(self, dataset: str, last: int, *, before: Night | None = None, running: bool = True) -> list[Run]:
        """Return the run that says how each of the last nights stands, oldest night first.

        Args:
            dataset: The dataset.
            last: At most so many nights, whatever the number of their runs.
            before: Only nights before this one.
            running: Whether a run that is under way counts; a release does only once it ended well.
        """
        released = (runs.c.kind == "release") & runs.c.status.in_(COUNTING)
        wanted = [runs.c.dataset == dataset, runs.c.kind.in_(["run", "validate"]) | released]
        if before is not None:
            wanted.append(runs.c.night < as_night(before).isoformat())
        if not running:
            wanted.append(runs.c.status != "running")
        return self._runs(newest_of_nights(wanted, last).order_by(runs.c.night))

    def latest_final(self, dataset: str, night: Night, *, kinds: Iterable[Kind] | None = None) -> Run | None:
        """Return the night's newest run that is over, however it ended."""
        query = of_night(dataset, night).where(runs.c.status != "running")
        if kinds is not None:
            query = query.where(runs.c.kind.in_(list(kinds)))
        found = self._runs(query.limit(1))
        return found[0] if found else None

    def find_done(
        self,
        dataset: str,
        night: Night,
        fingerprint: str,
        *,
        kind: Kind = "run",
        statuses: Iterable[Status] = ("done",),
    ) -> Run | None:
        """Return the run that did this work already, None where it must be done (again).

        It counts as done while the night's newest run of the kind has the fingerprint, and no later run of another
        fingerprint wrote one of its tables.
        """
        found = self._runs(of_night(dataset, night).where(runs.c.status.in_(COUNTING)))
        wanted = tuple(statuses)
        for position, run in enumerate(found):
            if run.kind != kind:
                continue
            touched = any(
                later.fingerprint != fingerprint and later.versions.keys() & run.versions.keys()
                for later in found[:position]
            )
            same = run.fingerprint == fingerprint and run.status in wanted
            return run if same and not touched else None
        return None

    def with_releases(self, done: Run) -> Run:
        """Return the newest release of rows into what a run did, which has the night's numbers then, else the run."""
        query = of_night(done.dataset, done.night).where(
            runs.c.kind == "release",
            runs.c.status.in_(COUNTING),
            runs.c.seq > done.seq,
            runs.c.fingerprint == done.fingerprint,
        )
        found = self._runs(query.limit(1))
        return found[0] if found else done

    def check_free(self, dataset: str, night: Night) -> None:
        """Do nothing where nobody works on a night.

        Raises:
            LockedNight: A live run holds the night.
        """
        day, now = as_night(night), _now()
        if any(run.night == day and not _is_stale(run, now) for run in self.live(dataset)):
            raise self._locked(dataset, day)

    def history(
        self,
        dataset: str,
        before: Night | None = None,
        limit: int | None = None,
        *,
        table: str = "accepted",
        gone: bool = False,
    ) -> list[Run]:
        """Return the runs that count, one a night, newest night first: the authority for what to read.

        Args:
            dataset: The dataset.
            before: Only nights before this one.
            limit: At most so many nights.
            table: Only runs that wrote this table; the newest such run of each night stands.
            gone: Whether nights count whose rows retention took away: for what was done, not for what can be read.
        """
        return self._history(counting(dataset, table, before, gone=gone), limit)

    def pins(
        self, dataset: str, table: str, nights: Iterable[Night] | None = None, *, before: Night | None = None
    ) -> dict[date, int]:
        """Return the Delta version to read each night of a table at; `Lake.read(nights=...)` takes it."""
        wanted = counting(dataset, table, before)
        if nights is not None:
            wanted.append(runs.c.night.in_({as_night(night).isoformat() for night in nights}))
        return {run.night: run.versions[table] for run in self._history(wanted, None)}

    def stale(self) -> list[Run]:
        """Return the rows that say `running`, but whose holder is dead or whose lease ran out, oldest first."""
        now = _now()
        return [run for run in self.live() if _is_stale(run, now)]

    def take_over(self, stale: Run, lease_seconds: float = 120.0) -> bool:
        """Hold the night of a stale run oneself, to put right what it left; False where somebody else was quicker.

        The row goes on saying `running`: nobody begins the night meanwhile, and where this process dies, too, the
        next one takes over.
        """
        mine = {"holder": str(Holder.this_process()), "lease_expires_at": _now() + timedelta(seconds=lease_seconds)}
        unchanged = (runs.c.id == stale.id, runs.c.status == "running", runs.c.holder == stale.holder)
        with writing(self._engine) as connection:
            changed = connection.execute(
                update(runs).where(*unchanged, runs.c.lease_expires_at == stale.lease_expires_at).values(mine)
            )
        return changed.rowcount == 1

    def close_run(self, run_id: str, reason: str) -> None:
        """End a run that was taken over, as failed.

        Raises:
            LockedNight: Somebody else closed it meanwhile.
        """
        result = {"status": "failed", "reason": reason}
        self._change(run_id, {"status": "failed", "ended_at": _now(), "result": result})

    def _change(self, run_id: str, values: dict[str, Any], also: Writer | None = None) -> None:
        with writing(self._engine) as connection:
            changed = connection.execute(
                update(runs)
                .where(runs.c.id == run_id, runs.c.status == "running", runs.c.holder == str(Holder.this_process()))
                .values(values)
            )
            if changed.rowcount == 1 and also is not None:
                also(connection)
        if changed.rowcount != 1:
            raise LockedNight(
                f"Run {run_id} does not hold its night any more.",
                hint="Its lease ran out (a machine that slept?) and another run took over: sereno status.",
            )

    def _locked(self, dataset: str, night: date) -> LockedNight:
        held = [run for run in self.live(dataset) if run.night == night]
        if not held:
            return LockedNight(f"{dataset}, {night}: another run took the night just now.", hint="Try again.")
        other = held[0]
        return LockedNight(
            f"{dataset}, {night}: run {other.id} ({other.kind}) holds the night since "
            f"{other.started_at:%Y-%m-%d %H:%M:%S} UTC; process {other.holder}.",
            hint="Wait for it, or stop it. A dead process' hold ends by itself, on another machine "
            f"at {other.lease_expires_at:%H:%M:%S} UTC.",
        )

    def _history(self, wanted: list[ColumnElement[bool]], limit: int | None) -> list[Run]:
        return self._runs(newest_of_nights(wanted, limit).order_by(runs.c.night.desc()))

    def _runs(self, query: Select[Any]) -> list[Run]:
        with reading(self._engine) as connection:
            return [as_run(row) for row in connection.execute(query).mappings()]


def new_run_id(now: datetime | None = None) -> str:
    """Return a run's id: the moment, then chance; it sorts by time and may be a path part."""
    return f"{now or _now():%Y%m%dT%H%M%S}-{secrets.token_hex(4)}"


def _now() -> datetime:
    return datetime.now(UTC)


def _running(connection: Connection) -> list[Run]:
    query = select(runs).where(_IS_RUNNING)
    return [as_run(row) for row in connection.execute(query).mappings()]


def _is_stale(run: Run, now: datetime) -> bool:
    alive, ends = Holder.parse(run.holder).alive(), run.lease_expires_at
    return alive is False or ends < now or (alive is None and ends > now + WRONG_CLOCK)


def _close_stale(connection: Connection, dataset: str, night: date, now: datetime) -> None:
    for run in _running(connection):
        if (run.dataset, run.night) == (dataset, night) and _is_stale(run, now):
            _close(connection, run, now)


def _close(connection: Connection, run: Run, now: datetime) -> None:
    reason = "its process ended without a word" if Holder.parse(run.holder).alive() is False else "its lease ran out"
    connection.execute(
        update(runs)
        .where(runs.c.id == run.id, runs.c.status == "running")
        .values(status="failed", ended_at=now, result={"status": "failed", "reason": reason})
    )


__all__ = ["COUNTING", "Kind", "Run", "RunStore", "Status", "new_run_id"]
