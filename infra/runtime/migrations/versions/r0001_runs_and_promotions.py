"""Runs with their lease, and the ledger of promotions."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

_RUNNING = sa.text("status = 'running'")


def upgrade() -> None:
    """Create both tables."""
    op.create_table(
        "runs",
        sa.Column("seq", sa.Integer, primary_key=True, autoincrement=True),
        sa.Column("id", sa.String(40), nullable=False, unique=True),
        sa.Column("dataset", sa.String(64), nullable=False),
        sa.Column("night", sa.String(10), nullable=False),
        sa.Column("kind", sa.String(16), nullable=False),
        sa.Column("status", sa.String(16), nullable=False),
        sa.Column("fingerprint", sa.String(128), nullable=False),
        sa.Column("protocol", sa.Integer, nullable=False),
        sa.Column("started_at", sa.DateTime, nullable=False),
        sa.Column("ended_at", sa.DateTime),
        sa.Column("holder", sa.String(255), nullable=False),
        sa.Column("lease_expires_at", sa.DateTime, nullable=False),
        sa.Column("result", sa.JSON, nullable=False),
        sa.Column("versions", sa.JSON, nullable=False),
        sa.Column("counters", sa.JSON, nullable=False),
        sa.Column("sample_version", sa.Integer),
        sa.Column("accepted_by", sa.JSON),
        sqlite_autoincrement=True,
    )
    op.create_index("runs_by_night", "runs", ["dataset", "night", "seq"])
    op.create_index(
        "runs_one_live",
        "runs",
        ["dataset", "night"],
        unique=True,
        sqlite_where=_RUNNING,
        postgresql_where=_RUNNING,
    )
    op.create_table(
        "promotions",
        sa.Column("id", sa.Integer, primary_key=True, autoincrement=True),
        sa.Column("dataset", sa.String(64), nullable=False),
        sa.Column("version", sa.String(40), nullable=False),
        sa.Column("bundle_hash", sa.String(64), nullable=False),
        sa.Column("action", sa.String(16), nullable=False),
        sa.Column("previous", sa.String(40)),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("actor", sa.String(255), nullable=False),
        sa.Column("at", sa.DateTime, nullable=False),
        sa.Column("run_id", sa.String(40)),
        sa.Column("metrics", sa.JSON, nullable=False),
        sqlite_autoincrement=True,
    )
    op.create_index("promotions_by_dataset", "promotions", ["dataset", "id"])
