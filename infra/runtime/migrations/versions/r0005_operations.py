"""Schedules, requests, events, incidents, messages, tokens; what retention took away."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    """Create the tables, the column, and the index that counts runs."""
    op.create_index("runs_by_outcome", "runs", ["dataset", "kind", "status"])
    op.create_table(
        "run_inputs",
        sa.Column("id", sa.Integer, primary_key=True, autoincrement=True),
        sa.Column("run_id", sa.String(40), nullable=False),
        sa.Column("kind", sa.String(16), nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("address", sa.Text, nullable=False),
        sa.Column("sha256", sa.String(64), nullable=False),
        sa.Column("bytes", sa.BigInteger),
        sa.Column("rows", sa.BigInteger),
        sqlite_autoincrement=True,
    )
    op.create_index("run_inputs_by_run", "run_inputs", ["run_id", "id"])
    op.add_column("runs", sa.Column("gone", sa.JSON))
    op.create_table(
        "schedule_switches",
        sa.Column("id", sa.Integer, primary_key=True, autoincrement=True),
        sa.Column("dataset", sa.String(64), nullable=False),
        sa.Column("enabled", sa.Boolean, nullable=False),
        sa.Column("since", sa.String(10), nullable=False),
        sa.Column("actor", sa.String(255), nullable=False),
        sa.Column("at", sa.DateTime, nullable=False),
        sqlite_autoincrement=True,
    )
    op.create_index("schedule_switches_by_dataset", "schedule_switches", ["dataset", "id"])
    op.create_table(
        "requests",
        sa.Column("id", sa.Integer, primary_key=True, autoincrement=True),
        sa.Column("dataset", sa.String(64), nullable=False),
        sa.Column("kind", sa.String(16), nullable=False),
        sa.Column("night", sa.String(10)),
        sa.Column("options", sa.JSON, nullable=False),
        sa.Column("origin", sa.String(16), nullable=False),
        sa.Column("actor", sa.String(255), nullable=False),
        sa.Column("asked_at", sa.DateTime, nullable=False),
        sa.Column("due_at", sa.DateTime, nullable=False),
        sa.Column("not_before", sa.DateTime, nullable=False),
        sa.Column("deadline", sa.DateTime),
        sa.Column("status", sa.String(16), nullable=False),
        sa.Column("attempts", sa.Integer, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("flow_run", sa.String(36)),
        sa.Column("changed_at", sa.DateTime, nullable=False),
        sa.Column("asker_key", sa.String(120)),
        sqlite_autoincrement=True,
    )
    op.create_index("requests_by_status", "requests", ["status", "id"])
    op.create_index("requests_by_night", "requests", ["dataset", "night", "id"])
    op.create_index(
        "requests_one_scheduled",
        "requests",
        ["dataset", "kind", "night"],
        unique=True,
        sqlite_where=sa.text("origin = 'schedule'"),
        postgresql_where=sa.text("origin = 'schedule'"),
    )
    op.create_index(
        "requests_one_a_key",
        "requests",
        ["actor", "asker_key"],
        unique=True,
        sqlite_where=sa.text("asker_key IS NOT NULL"),
        postgresql_where=sa.text("asker_key IS NOT NULL"),
    )
    op.create_table(
        "events",
        sa.Column("id", sa.Integer, primary_key=True, autoincrement=True),
        sa.Column("at", sa.DateTime, nullable=False),
        sa.Column("kind", sa.String(40), nullable=False),
        sa.Column("level", sa.String(8), nullable=False),
        sa.Column("dataset", sa.String(64)),
        sa.Column("night", sa.String(10)),
        sa.Column("actor", sa.String(255), nullable=False),
        sa.Column("text", sa.Text, nullable=False),
        sa.Column("detail", sa.JSON, nullable=False),
        sqlite_autoincrement=True,
    )
    op.create_index("events_by_dataset", "events", ["dataset", "id"])
    op.create_index("events_by_kind", "events", ["kind", "id"])
    op.create_table(
        "incidents",
        sa.Column("id", sa.Integer, primary_key=True, autoincrement=True),
        sa.Column("dataset", sa.String(64), nullable=False),
        sa.Column("entity", sa.Text),
        sa.Column("columns", sa.JSON, nullable=False),
        sa.Column("first_night", sa.String(10), nullable=False),
        sa.Column("opened_at", sa.DateTime, nullable=False),
        sqlite_autoincrement=True,
    )
    op.create_index("incidents_by_dataset", "incidents", ["dataset", "id"])
    op.create_table(
        "incident_nights",
        sa.Column("id", sa.Integer, primary_key=True, autoincrement=True),
        sa.Column("incident_id", sa.Integer, nullable=False),
        sa.Column("dataset", sa.String(64), nullable=False),
        sa.Column("night", sa.String(10), nullable=False),
        sa.Column("run_id", sa.String(40), nullable=False),
        sa.Column("alerts", sa.Integer, nullable=False),
        sa.Column("score", sa.Float, nullable=False),
        sa.Column("p_value", sa.Float, nullable=False),
        sa.Column("points", sa.Integer, nullable=False),
        sa.Column("severity", sa.String(8), nullable=False),
        sa.Column("first_time", sa.DateTime),
        sa.Column("last_time", sa.DateTime),
        sa.Column("columns", sa.JSON, nullable=False),
        sa.Column("affected", sa.Integer, nullable=False),
        sa.Column("entities", sa.JSON, nullable=False),
        sa.Column("keys", sa.JSON, nullable=False),
        sa.Column("told", sa.String(8)),
        sqlite_autoincrement=True,
    )
    op.create_index("incident_nights_once", "incident_nights", ["incident_id", "night"], unique=True)
    op.create_index("incident_nights_by_night", "incident_nights", ["dataset", "night"])
    op.create_table(
        "incident_words",
        sa.Column("id", sa.Integer, primary_key=True, autoincrement=True),
        sa.Column("incident_id", sa.Integer, nullable=False),
        sa.Column("word", sa.String(16), nullable=False),
        sa.Column("night", sa.String(10), nullable=False),
        sa.Column("until", sa.String(10)),
        sa.Column("note", sa.Text, nullable=False),
        sa.Column("actor", sa.String(255), nullable=False),
        sa.Column("at", sa.DateTime, nullable=False),
        sqlite_autoincrement=True,
    )
    op.create_index("incident_words_by_incident", "incident_words", ["incident_id", "id"])
    op.create_index("incident_words_by_end", "incident_words", ["until"])
    op.create_table(
        "notices",
        sa.Column("id", sa.Integer, primary_key=True, autoincrement=True),
        sa.Column("kind", sa.String(40), nullable=False),
        sa.Column("dataset", sa.String(64)),
        sa.Column("night", sa.String(10)),
        sa.Column("about", sa.String(120), nullable=False),
        sa.Column("route", sa.String(64), nullable=False),
        sa.Column("subject", sa.Text, nullable=False),
        sa.Column("body", sa.Text, nullable=False),
        sa.Column("attachment", sa.Text),
        sa.Column("status", sa.String(16), nullable=False),
        sa.Column("attempts", sa.Integer, nullable=False),
        sa.Column("error", sa.Text, nullable=False),
        sa.Column("made_at", sa.DateTime, nullable=False),
        sa.Column("not_before", sa.DateTime, nullable=False),
        sa.Column("sent_at", sa.DateTime),
        sqlite_autoincrement=True,
    )
    op.create_index("notices_once", "notices", ["about", "route"], unique=True)
    op.create_index("notices_by_status", "notices", ["status", "id"])
    op.create_table(
        "tokens",
        sa.Column("id", sa.Integer, primary_key=True, autoincrement=True),
        sa.Column("name", sa.String(64), nullable=False),
        sa.Column("role", sa.String(16), nullable=False),
        sa.Column("digest", sa.String(64), nullable=False, unique=True),
        sa.Column("actor", sa.String(255), nullable=False),
        sa.Column("at", sa.DateTime, nullable=False),
        sa.Column("expires_at", sa.DateTime),
        sa.Column("revoked_at", sa.DateTime),
        sqlite_autoincrement=True,
    )
    op.create_index(
        "tokens_one_a_name",
        "tokens",
        ["name"],
        unique=True,
        sqlite_where=sa.text("revoked_at IS NULL"),
        postgresql_where=sa.text("revoked_at IS NULL"),
    )
