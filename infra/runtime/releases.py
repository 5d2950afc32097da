"""Rows that people released from the quarantine: only ever added to, together with the run that took them in."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, date, datetime

from sqlalchemy import Connection, Engine, RowMapping, insert, select

from infra.runtime.events import Event, write_event
from infra.runtime.nights import Night, as_night
from infra.runtime.state_database import reading
from infra.runtime.state_tables import releases


@dataclass(frozen=True)
class ReleasedRow:
    """What names a released row, and what was forgiven.

    A release is of this very row at this very place: base name of the source file, line, and SHA-256 of the row as it
    was read. A delivery in which the row was changed or stands elsewhere asks a person again. It forgives the failures
    that the person saw and no others: a rule that came into the contract later quarantines the row again.

    Args:
        file: Base name of the source file.
        line: Its line, 1-based.
        key: `sereno_key`.
        digest: SHA-256 of the row's JSON in the quarantine, in hex.
        failures: (column, rule) of each failure.
    """

    file: str
    line: int
    key: str
    digest: str
    failures: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Release:
    """One row of `releases`.

    Args:
        night: The logical date.
        run_id: The run that took the row into `accepted`.
        row: Which row.
        reason: Why, in the person's words.
        actor: Who.
        at: UTC.
    """

    night: date
    run_id: str
    row: ReleasedRow
    reason: str
    actor: str
    at: datetime


class ReleaseStore:
    """The part of `State` that knows releases.

    Args:
        engine: The state database.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def releases(self, dataset: str, night: Night | None = None) -> list[Release]:
        """Return the released rows of a night, or of all nights, oldest release first."""
        query = select(releases).where(releases.c.dataset == dataset).order_by(releases.c.id)
        if night is not None:
            query = query.where(releases.c.night == as_night(night).isoformat())
        with reading(self._engine) as connection:
            return [_as_release(row) for row in connection.execute(query).mappings()]


def recorded(
    dataset: str, night: Night, run_id: str, rows: Sequence[ReleasedRow], *, reason: str, actor: str
) -> Callable[[Connection], None]:
    """What `RunStore.finish_run` shall write besides the final row, so that rows are taken in and recorded at once.

    Args:
        dataset: The dataset.
        night: The logical date.
        run_id: The run that takes the rows in.
        rows: The rows.
        reason: Why.
        actor: Who.
    """
    said = {
        "dataset": dataset,
        "night": as_night(night).isoformat(),
        "run_id": run_id,
        "reason": reason,
        "actor": actor,
        "at": datetime.now(UTC),
    }

    many = "1 row" if len(rows) == 1 else f"{len(rows):,} rows"
    event = Event(
        "released",
        f"{actor} released {many} of {dataset}, {said['night']}, from the quarantine: {reason}",
        dataset=dataset,
        night=as_night(night),
        actor=actor,
        detail={"rows": len(rows), "run": run_id},
    )

    def write(connection: Connection) -> None:
        if rows:
            connection.execute(insert(releases), [{**said, **asdict(row)} for row in rows])
            write_event(connection, event)

    return write


def _as_release(values: RowMapping) -> Release:
    failures = tuple((str(column), str(rule)) for column, rule in values["failures"])
    row = ReleasedRow(values["file"], int(values["line"]), values["key"], values["digest"], failures)
    night = date.fromisoformat(values["night"])
    return Release(night, values["run_id"], row, values["reason"], values["actor"], values["at"])
