"""The state database's tables. A change here needs a migration and a new `REVISION`."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    DateTime,
    Dialect,
    Float,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    text,
)
from sqlalchemy.types import TypeDecorator

REVISION = "0005"
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
    # Table name to the day on which retention took away what the run wrote there.
    Column("gone", JSON),
    Index("runs_by_night", "dataset", "night", "seq"),
    Index("runs_by_date", "night", "seq"),
    # Counting runs reads this index alone, not their results.
    Index("runs_by_outcome", "dataset", "kind", "status"),
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

# What a run read: written with its final row, so that each night that counts leads back to its files.
run_inputs = Table(
    "run_inputs",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("run_id", String(40), nullable=False),
    Column("kind", String(16), nullable=False),
    Column("name", Text, nullable=False),
    Column("address", Text, nullable=False),
    Column("sha256", String(64), nullable=False),
    Column("bytes", BigInteger),
    Column("rows", BigInteger),
    Index("run_inputs_by_run", "run_id", "id"),
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

# Whether a dataset's schedule is on: only ever added to, the newest row of each dataset counts.
schedule_switches = Table(
    "schedule_switches",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("dataset", String(64), nullable=False),
    Column("enabled", Boolean, nullable=False),
    Column("since", String(10), nullable=False),
    Column("actor", String(255), nullable=False),
    Column("at", UtcDateTime, nullable=False),
    Index("schedule_switches_by_dataset", "dataset", "id"),
    sqlite_autoincrement=True,
)

# Nights, trainings and ranges that are to be done, by schedule or because somebody asked.
requests = Table(
    "requests",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("dataset", String(64), nullable=False),
    Column("kind", String(16), nullable=False),
    Column("night", String(10)),
    Column("options", JSON, nullable=False),
    Column("origin", String(16), nullable=False),
    Column("actor", String(255), nullable=False),
    Column("asked_at", UtcDateTime, nullable=False),
    Column("due_at", UtcDateTime, nullable=False),
    Column("not_before", UtcDateTime, nullable=False),
    Column("deadline", UtcDateTime),
    Column("status", String(16), nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("reason", Text, nullable=False),
    Column("flow_run", String(36)),
    Column("changed_at", UtcDateTime, nullable=False),
    Column("asker_key", String(120)),
    Index("requests_by_status", "status", "id"),
    Index("requests_by_night", "dataset", "night", "id"),
    # A scheduled night is asked for once, whatever the clock does.
    Index(
        "requests_one_scheduled",
        "dataset",
        "kind",
        "night",
        unique=True,
        sqlite_where=text("origin = 'schedule'"),
        postgresql_where=text("origin = 'schedule'"),
    ),
    # So is what an asker calls by the same key.
    Index(
        "requests_one_a_key",
        "actor",
        "asker_key",
        unique=True,
        sqlite_where=text("asker_key IS NOT NULL"),
        postgresql_where=text("asker_key IS NOT NULL"),
    ),
    sqlite_autoincrement=True,
)

# What happened that a person may want to know, and who did what: only ever added to.
events = Table(
    "events",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("at", UtcDateTime, nullable=False),
    Column("kind", String(40), nullable=False),
    Column("level", String(8), nullable=False),
    Column("dataset", String(64)),
    Column("night", String(10)),
    Column("actor", String(255), nullable=False),
    Column("text", Text, nullable=False),
    Column("detail", JSON, nullable=False),
    Index("events_by_dataset", "dataset", "id"),
    Index("events_by_kind", "kind", "id"),
    sqlite_autoincrement=True,
)

incidents = Table(
    "incidents",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("dataset", String(64), nullable=False),
    Column("entity", Text),
    Column("columns", JSON, nullable=False),
    Column("first_night", String(10), nullable=False),
    Column("opened_at", UtcDateTime, nullable=False),
    Index("incidents_by_dataset", "dataset", "id"),
    sqlite_autoincrement=True,
)

# What each night added to an incident: a night that is done again replaces its own rows.
incident_nights = Table(
    "incident_nights",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("incident_id", Integer, nullable=False),
    Column("dataset", String(64), nullable=False),
    Column("night", String(10), nullable=False),
    Column("run_id", String(40), nullable=False),
    Column("alerts", Integer, nullable=False),
    Column("score", Float, nullable=False),
    Column("p_value", Float, nullable=False),
    Column("points", Integer, nullable=False),
    Column("severity", String(8), nullable=False),
    Column("first_time", UtcDateTime),
    Column("last_time", UtcDateTime),
    Column("columns", JSON, nullable=False),
    Column("affected", Integer, nullable=False),
    Column("entities", JSON, nullable=False),
    Column("keys", JSON, nullable=False),
    Column("told", String(8)),
    Index("incident_nights_once", "incident_id", "night", unique=True),
    Index("incident_nights_by_night", "dataset", "night"),
    sqlite_autoincrement=True,
)

# What people did with an incident: only ever added to.
incident_words = Table(
    "incident_words",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("incident_id", Integer, nullable=False),
    Column("word", String(16), nullable=False),
    Column("night", String(10), nullable=False),
    Column("until", String(10)),
    Column("note", Text, nullable=False),
    Column("actor", String(255), nullable=False),
    Column("at", UtcDateTime, nullable=False),
    Index("incident_words_by_incident", "incident_id", "id"),
    Index("incident_words_by_end", "until"),
    sqlite_autoincrement=True,
)

# Messages to people: written with what they are about, sent afterwards, and `sent` only once a receiver took them.
notices = Table(
    "notices",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("kind", String(40), nullable=False),
    Column("dataset", String(64)),
    Column("night", String(10)),
    Column("about", String(120), nullable=False),
    Column("route", String(64), nullable=False),
    Column("subject", Text, nullable=False),
    Column("body", Text, nullable=False),
    Column("attachment", Text),
    Column("status", String(16), nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("error", Text, nullable=False),
    Column("made_at", UtcDateTime, nullable=False),
    Column("not_before", UtcDateTime, nullable=False),
    Column("sent_at", UtcDateTime),
    # The same thing is told once on each route.
    Index("notices_once", "about", "route", unique=True),
    Index("notices_by_status", "status", "id"),
    sqlite_autoincrement=True,
)

# Who may speak to the HTTP side; of a token only its hash is kept.
tokens = Table(
    "tokens",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("name", String(64), nullable=False),
    Column("role", String(16), nullable=False),
    Column("digest", String(64), nullable=False, unique=True),
    Column("actor", String(255), nullable=False),
    Column("at", UtcDateTime, nullable=False),
    Column("expires_at", UtcDateTime),
    Column("revoked_at", UtcDateTime),
    # A name stands for one token at a time, as it is the actor of all that is done with it.
    Index(
        "tokens_one_a_name",
        "name",
        unique=True,
        sqlite_where=text("revoked_at IS NULL"),
        postgresql_where=text("revoked_at IS NULL"),
    ),
    sqlite_autoincrement=True,
)
