"""The state database's tables. A change here needs a migration and a new `REVISION`."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import JSON, BigInteger, Column, DateTime, Dialect, Index, Integer, MetaData, String, Table, Text, text
from sqlalchemy.types import TypeDecorator

REVISION = "0004"
"""The newest migration; numbers of four digits that only grow, so that a newer database can be told."""


class UtcDateTime(TypeDecorator[datetime]):
    """A moment in UTC; aware in Python, without a zone in the database."""

    impl = DateTime
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Store UTC."""
        del dialect
        return None if value is None else value.astimezone(UTC).replace(tzinfo=None)

    def process_result_value(self, value: Any | None, dialect: Dialect) -> datetime | None:
        """Return an aware moment."""
        del dialect
        return None if value is None else value.replace(tzinfo=UTC)


metadata = MetaData()

runs = Table(
    "runs",
    metadata,
    Column("seq", Integer, primary_key=True, autoincrement=True),
    Column("id", String(40), nullable=False, unique=True),
    Column("dataset", String(64), nullable=False),
    Column("night", String(10), nullable=False),
    Column("kind", String(16), nullable=False),
    Column("status", String(16), nullable=False),
    Column("fingerprint", String(128), nullable=False),
    Column("protocol", Integer, nullable=False),
    Column("started_at", UtcDateTime, nullable=False),
    Column("ended_at", UtcDateTime),
    Column("holder", String(255), nullable=False),
    Column("lease_expires_at", UtcDateTime, nullable=False),
    Column("result", JSON, nullable=False),
    Column("versions", JSON, nullable=False),
    Column("counters", JSON, nullable=False),
    Column("sample_version", Integer),
    Column("accepted_by", JSON),
    Index("runs_by_night", "dataset", "night", "seq"),
    Index("runs_by_date", "night", "seq"),
    # The lock: one running row a (dataset, night), held by the database itself.
    Index(
        "runs_one_live",
        "dataset",
        "night",
        unique=True,
        sqlite_where=text("status = 'running'"),
        postgresql_where=text("status = 'running'"),
    ),
    sqlite_autoincrement=True,
)

promotions = Table(
    "promotions",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("dataset", String(64), nullable=False),
    Column("version", String(40), nullable=False),
    Column("bundle_hash", String(64), nullable=False),
    Column("action", String(16), nullable=False),
    Column("previous", String(40)),
    Column("reason", Text, nullable=False),
    Column("actor", String(255), nullable=False),
    Column("at", UtcDateTime, nullable=False),
    Column("run_id", String(40)),
    Column("metrics", JSON, nullable=False),
    Index("promotions_by_dataset", "dataset", "id"),
    Index("promotions_by_action", "dataset", "action", "id"),
    Index("promotions_by_bundle", "dataset", "bundle_hash", "id"),
    sqlite_autoincrement=True,
)

releases = Table(
    "releases",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("dataset", String(64), nullable=False),
    Column("night", String(10), nullable=False),
    Column("run_id", String(40), nullable=False),
    Column("file", Text, nullable=False),
    Column("line", BigInteger, nullable=False),
    Column("key", Text, nullable=False),
    Column("digest", String(64), nullable=False),
    Column("failures", JSON, nullable=False),
    Column("reason", Text, nullable=False),
    Column("actor", String(255), nullable=False),
    Column("at", UtcDateTime, nullable=False),
    Index("releases_by_night", "dataset", "night", "id"),
    sqlite_autoincrement=True,
)

labels = Table(
    "labels",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("dataset", String(64), nullable=False),
    Column("night", String(10), nullable=False),
    Column("key", Text, nullable=False),
    Column("file", Text, nullable=False),
    Column("line", BigInteger, nullable=False),
    Column("label", String(16), nullable=False),
    Column("note", Text, nullable=False),
    Column("row", JSON, nullable=False),
    Column("actor", String(255), nullable=False),
    Column("at", UtcDateTime, nullable=False),
    Index("labels_by_night", "dataset", "night", "id"),
    sqlite_autoincrement=True,
)
