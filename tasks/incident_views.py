"""Incidents as people and programs see them: as they stand on a night, the worst first."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from datetime import date as Date
from typing import TYPE_CHECKING

from infra.runtime.incident_rows import (
    Before,
    first_nights,
    known_before,
    muted_incidents,
    newest_nights,
    nights_of_incidents,
    scored_nights,
    words_of_incidents,
)
from infra.runtime.incidents import newest_of_dataset
from schemas.incident_results import Incident, IncidentColumn, IncidentOfNight, IncidentWord
from schemas.incidents import SEVERITIES, STANDINGS
from tasks.incident_standing import mute_over, standing_of

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from infra.runtime.incident_rows import IncidentNight
    from infra.runtime.incident_words import IncidentWord as Said
    from schemas.dataset import Dataset
    from tasks.services import Services


def incidents_of_night(connection: Connection, dataset: Dataset, night: Date) -> tuple[Incident, ...]:
    """The incidents of a night as they stand on it."""
    return views(connection, dataset, nights_of_incidents(connection, dataset.name, nights=[night]), night)


def listed(services: Services, dataset: Dataset, night: Date | None, *, over: bool) -> tuple[Incident, ...]:
    """Incidents of a dataset, the worst first.

    Args:
        services: The stores.
        dataset: The dataset.
        night: Those that had alerts on this night, as they stood on it; all where none is given.
        over: Whether those that are over are wanted, too.
    """

    def read(connection: Connection) -> tuple[Incident, ...]:
        if night is not None:
            return incidents_of_night(connection, dataset, night)
        newest = newest_scored(connection, dataset)
        if newest is None:
            return ()
        found = views(connection, dataset, _rows(connection, dataset, newest, over=over), newest)
        return tuple(one for one in found if over or one.status != "over")

    return services.state.look(read)


def standings(services: Services, dataset: Dataset, nights: Sequence[Date]) -> dict[Date, dict[str, int]]:
    """How many incidents of some nights stand how now, in the order of the words; no entry for a night without any."""

    def read(connection: Connection) -> dict[Date, dict[str, int]]:
        rows = nights_of_incidents(connection, dataset.name, nights=nights)
        newest = newest_scored(connection, dataset)
        if newest is None:
            return {}
        now = views(connection, dataset, newest_nights(connection, {row.incident for row in rows}), newest)
        status = {one.id: one.status for one in now}
        found: dict[Date, Counter[str]] = {}
        for row in rows:
            found.setdefault(row.night, Counter())[status[row.incident]] += 1
        return {night: {word: count[word] for word in STANDINGS if count[word]} for night, count in found.items()}

    return services.state.look(read)


def newest_scored(connection: Connection, dataset: Dataset) -> Date | None:
    """The newest scored night of a dataset."""
    found = scored_nights(connection, dataset.name, 1)
    return found[0] if found else None


def _rows(connection: Connection, dataset: Dataset, newest: Date, *, over: bool) -> list[IncidentNight]:
    """The newest row of each incident that may be under way, or of all."""
    if over:
        return newest_of_dataset(connection, dataset.name)
    nights = scored_nights(connection, dataset.name, dataset.incidents.quiet_nights)
    rows = newest_of_dataset(connection, dataset.name, nights[0])
    muted = muted_incidents(connection, dataset.name, newest).keys() - {row.incident for row in rows}
    return [*rows, *newest_nights(connection, muted)]


def views(connection: Connection, dataset: Dataset, rows: Sequence[IncidentNight], night: Date) -> tuple[Incident, ...]:
    """Incidents by a row of each, as they stand on a night."""
    numbers, after = [row.incident for row in rows], night + timedelta(days=1)
    known = _Known(
        dataset,
        night,
        words_of_incidents(connection, numbers),
        first_nights(connection, numbers),
        known_before(connection, numbers, after),
        scored_nights(connection, dataset.name, dataset.incidents.quiet_nights, before=after),
    )
    return tuple(sorted((_view(row, known) for row in rows), key=_worst_first))


@dataclass(frozen=True)
class _Known:
    """What is known of some incidents, by number, on a night; the last scored nights up to it."""

    dataset: Dataset
    night: Date
    words: Mapping[int, Sequence[Said]]
    began: Mapping[int, Date]
    before: Mapping[int, Before]
    scored: Sequence[Date]


def _view(row: IncidentNight, known: _Known) -> Incident:
    before, said = known.before.get(row.incident, Before()), known.words.get(row.incident, ())
    quiet = sum(each > row.night for each in known.scored)
    status = standing_of(said, row.night, quiet, before, known.night, known.dataset.incidents)
    mute = mute_over(said, known.night, before.back) if status == "muted" else None
    return Incident(
        id=row.incident,
        dataset=known.dataset.name,
        entity=row.entity,
        affected=row.affected,
        columns=_columns(row),
        first_night=known.began[row.incident].isoformat(),
        last_night=row.night.isoformat(),
        nights=max(before.nights, 1),
        alerts=row.alerts,
        severity=row.severity,
        status=status,
        until=mute.until.isoformat() if mute and mute.until else None,
        night=of_night(row),
        word=as_word(said[-1]) if said else None,
    )


def of_night(row: IncidentNight) -> IncidentOfNight:
    """What a night added to an incident."""
    return IncidentOfNight(
        date=row.night.isoformat(),
        alerts=row.alerts,
        score=row.score,
        p_value=row.p_value,
        severity=row.severity,
        first_time=_moment(row.first_time),
        last_time=_moment(row.last_time),
        columns=_columns(row),
        entities=row.entities,
        told=row.told,
    )


def as_word(said: Said) -> IncidentWord:
    """What a person did."""
    return IncidentWord(
        word=said.word,
        until=said.until.isoformat() if said.until else None,
        night=said.night.isoformat(),
        note=said.note,
        by=said.actor,
        at=said.at.isoformat(timespec="seconds"),
    )


def _columns(row: IncidentNight) -> tuple[IncidentColumn, ...]:
    return tuple(IncidentColumn(column=name, share=share) for name, share in row.columns)


def _moment(moment: datetime | None) -> str | None:
    return None if moment is None else moment.astimezone(UTC).isoformat()


def _worst_first(one: Incident) -> tuple[int, int, float, int]:
    return -SEVERITIES.index(one.severity), -one.alerts, -one.night.score, one.id or 0
