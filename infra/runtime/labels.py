"""What people said of rows: only ever added to; of each row the newest word counts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from typing import Any, Literal, get_args

from sqlalchemy import Engine, RowMapping, func, insert, select

from infra.runtime.events import Event, write_event
from infra.runtime.nights import Night, as_night
from infra.runtime.state_database import reading, writing
from infra.runtime.state_tables import labels

LabelWord = Literal["anomaly", "false_alarm", "expected"]
Word = LabelWord | Literal["unsaid"]
UNSAID: Word = "unsaid"
"""No label: an alert that stood in the list when others of its night were labelled, and of which nothing was said."""
WORDS: tuple[LabelWord, ...] = get_args(LabelWord)


@dataclass(frozen=True)
class SaidRow:
    """A row of a night, and what is said of it.

    Args:
        key: `sereno_key`, which names the row within its night.
        file: Base name of the file that it stood in.
        line: Its line there, 1-based.
        word: What the person says: worth the alert, a usual row, or unusual and known why.
        note: Free text, for example of what kind it is.
        values: What the row held in the columns that a detector reads, as plain JSON values: what was labelled is known
            without reading its night again.
    """

    key: str
    file: str
    line: int
    word: Word
    note: str = ""
    values: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Label:
    """One row of `labels`.

    Args:
        night: The logical date of the row's night.
        row: Which row, and what was said.
        actor: Who.
        at: UTC.
    """

    night: date
    row: SaidRow
    actor: str
    at: datetime


class LabelStore:
    """The part of `State` that knows labels.

    Args:
        engine: The state database.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def label(self, dataset: str, night: Night, rows: Sequence[SaidRow], actor: str) -> None:
        """Write down what a person says of rows of a night, all of it or nothing.

        Args:
            dataset: The dataset.
            night: The logical date.
            rows: The rows; where one is named twice its last word counts.
            actor: Who says it.

        Raises:
            StateError: The database failed.
        """
        said = {"dataset": dataset, "night": as_night(night).isoformat(), "actor": actor, "at": datetime.now(UTC)}
        values = [
            {
                "key": row.key,
                "file": row.file,
                "line": row.line,
                "label": row.word,
                "note": row.note,
                "row": dict(row.values),
            }
            for row in rows
        ]
        if values:
            with writing(self._engine) as connection:
                connection.execute(insert(labels), [{**said, **value} for value in values])
                write_event(connection, _event(dataset, as_night(night), rows, actor))

    def labels(
        self,
        dataset: str,
        night: Night | None = None,
        *,
        first: Night | None = None,
        before: Night | None = None,
        said_before: datetime | None = None,
        most: int | None = None,
        unsaid: bool = False,
        values: bool = True,
    ) -> list[Label]:
        """Return the newest label of each row, by night, then in the order in which they were said.

        Args:
            dataset: The dataset.
            night: Of this night only.
            first: Of this night and later ones.
            before: Of nights before this one.
            said_before: As they stood at this moment.
            most: At most so many, those of the newest nights.
            unsaid: Also the alerts that were on the list when a night was labelled, and of which nothing was said.
            values: Whether what the rows held is read, too.
        """
        wanted = [labels.c.dataset == dataset]
        if night is not None:
            wanted.append(labels.c.night == as_night(night).isoformat())
        if first is not None:
            wanted.append(labels.c.night >= as_night(first).isoformat())
        if before is not None:
            wanted.append(labels.c.night < as_night(before).isoformat())
        if said_before is not None:
            wanted.append(labels.c.at < said_before)
        newest = select(func.max(labels.c.id)).where(*wanted).group_by(labels.c.night, labels.c.key)
        columns = [column for column in labels.c if values or column.name != "row"]
        query = select(*columns).where(labels.c.id.in_(newest))
        if not unsaid:
            query = query.where(labels.c.label != UNSAID)
        query = query.order_by(labels.c.night.desc(), labels.c.id.desc()).limit(most)
        with reading(self._engine) as connection:
            return [_as_label(row) for row in connection.execute(query).mappings()][::-1]


def _event(dataset: str, night: date, rows: Sequence[SaidRow], actor: str) -> Event:
    counts = Counter(row.word for row in rows if row.word != UNSAID)
    words = ", ".join(f"{number:,} {word}" for word, number in sorted(counts.items())) or "nothing"
    return Event(
        "labelled",
        f"{actor} labelled rows of {dataset}, {night}: {words}.",
        dataset=dataset,
        night=night,
        actor=actor,
        detail={"rows": dict(counts)},
    )


def _as_label(values: RowMapping) -> Label:
    row = SaidRow(
        values["key"], values["file"], int(values["line"]), values["label"], values["note"], values.get("row", {})
    )
    return Label(date.fromisoformat(values["night"]), row, values["actor"], values["at"])
