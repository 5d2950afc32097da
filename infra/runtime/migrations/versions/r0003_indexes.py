"""Indexes for what each night asks, so that its cost does not grow with the number of nights before."""

from __future__ import annotations

from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Create them."""
    op.create_index("runs_by_date", "runs", ["night", "seq"])
    op.create_index("promotions_by_action", "promotions", ["dataset", "action", "id"])
    op.create_index("promotions_by_bundle", "promotions", ["dataset", "bundle_hash", "id"])
