"""Which runs of the state database count: the queries that more than one question is made of."""

from __future__ import annotations

from typing import Any

from sqlalchemy import ColumnElement, Select, func, select

from infra.runtime.nights import Night, as_night
from infra.runtime.run_row import COUNTING
from infra.runtime.state_tables import runs


def of_night(dataset: str, night: Night) -> Select[Any]:
    """All runs of a night, newest first."""
    return (
        select(runs)
        .where(runs.c.dataset == dataset, runs.c.night == as_night(night).isoformat())
        .order_by(runs.c.seq.desc())
    )


def wrote(dataset: str, table: str) -> list[ColumnElement[bool]]:
    """What holds for the runs that count and wrote a table."""
    return [
        runs.c.dataset == dataset,
        runs.c.status.in_(COUNTING),
        runs.c.versions[table].as_string().is_not(None),
    ]


def counting(dataset: str, table: str, before: Night | None, *, gone: bool = False) -> list[ColumnElement[bool]]:
    """What holds for the runs that count and wrote a table, and whose rows are there unless `gone` is given."""
    wanted = wrote(dataset, table)
    if not gone:
        wanted.append(runs.c.gone[table].as_string().is_(None))
    if before is not None:
        wanted.append(runs.c.night < as_night(before).isoformat())
    return wanted


def newest_of_nights(wanted: list[ColumnElement[bool]], limit: int | None) -> Select[Any]:
    """The newest such run of each of the last nights; the index is walked back from the newest one, up to the limit."""
    newest = select(func.max(runs.c.seq)).where(*wanted).group_by(runs.c.night)
    return select(runs).where(runs.c.seq.in_(newest.order_by(runs.c.night.desc()).limit(limit)))
