"""The ledger of promotions in the state database: only ever added to, and the authority for who is champion."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal, TypeAlias

from sqlalchemy import Connection, Engine, func, insert, select, text

from infra.runtime.events import Event, write_event
from infra.runtime.state_database import reading, writing
from infra.runtime.state_tables import promotions
from schemas.errors import PromotionRefused
from schemas.failpoints import durable

Action: TypeAlias = Literal["registered", "promoted", "refused", "rolled_back", "deleted"]
"""What the ledger says of a version; `deleted`: retention took its bundle away."""

CROWNING: tuple[Action, ...] = ("promoted", "rolled_back")
"""The actions that make their version the champion."""

DECIDING: tuple[Action, ...] = ("promoted", "refused", "rolled_back")
"""The actions that somebody decided on."""


@dataclass(frozen=True)
class Promotion:
    """One row of the ledger.

    Args:
        id: Grows with each row.
        dataset: The dataset.
        version: The registered version that the row is about.
        bundle_hash: SHA-256 of the bundle's manifest, in hex.
        action: What was decided.
        previous: The champion before, where the action made another.
        reason: Why, in words.
        actor: Who: a person's name, or the run.
        at: UTC.
        run_id: The run that decided.
        metrics: The numbers that decided it.
    """

    id: int
    dataset: str
    version: str
    bundle_hash: str
    action: Action
    previous: str | None
    reason: str
    actor: str
    at: datetime
    run_id: str | None
    metrics: dict[str, Any]


class PromotionStore:
    """The part of `State` that knows the ledger.

    Args:
        engine: The state database.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def record(
        self,
        dataset: str,
        version: str | int,
        bundle_hash: str,
        action: Action,
        *,
        reason: str,
        actor: str,
        run_id: str | None = None,
        metrics: Mapping[str, Any] | None = None,
    ) -> Promotion:
        """Add a row; the same transaction fills in the champion before, and tells of a new one.

        Raises:
            PromotionRefused: The version is to be champion, and its bundle was deleted; or the champion's is to be.
        """
        values = {
            "dataset": dataset,
            "version": str(version),
            "bundle_hash": bundle_hash,
            "action": action,
            "reason": reason,
            "actor": actor,
            "at": datetime.now(UTC),
            "run_id": run_id,
            "metrics": dict(metrics or {}),
        }
        with durable("state.record"), writing(self._engine) as connection:
            if connection.dialect.name == "postgresql":  # SQLite has one writer at a time anyway
                connection.execute(text("LOCK TABLE promotions IN SHARE ROW EXCLUSIVE MODE"))
            before = _champion(connection, dataset)
            _refuse(connection, values, before)
            values["previous"] = before.version if before and action in CROWNING else None
            found = connection.execute(insert(promotions).values(values).returning(*promotions.c)).mappings().one()
            made = Promotion(**found)
            if action in CROWNING:
                write_event(connection, _event(made))
        return made

    def champion(self, dataset: str) -> Promotion | None:
        """Return the row that made the champion, None where there is none yet."""
        with reading(self._engine) as connection:
            return _champion(connection, dataset)

    def deleted(self, dataset: str, version: str) -> Promotion | None:
        """Return the row that says that a version's bundle was deleted, None where none does."""
        with reading(self._engine) as connection:
            return _deleted(connection, dataset, version)

    def ledger(self, dataset: str, *, bundle_hash: str | None = None) -> list[Promotion]:
        """Return the rows of a dataset, or of one of its bundles, oldest first."""
        query = select(promotions).where(promotions.c.dataset == dataset).order_by(promotions.c.id)
        if bundle_hash is not None:
            query = query.where(promotions.c.bundle_hash == bundle_hash)
        with reading(self._engine) as connection:
            return [Promotion(**row) for row in connection.execute(query).mappings()]


def _event(made: Promotion) -> Event:
    how = "champion again" if made.action == "rolled_back" else "champion"
    instead = f" instead of version {made.previous}" if made.previous is not None else ""
    return Event(
        "recalibrated" if "recalibrated_from" in made.metrics else made.action,
        f"{made.actor} made version {made.version} of {made.dataset} {how}{instead}: {made.reason}",
        dataset=made.dataset,
        actor=made.actor,
        detail={
            "version": made.version,
            "previous": made.previous,
            "bundle_hash": made.bundle_hash,
            "run": made.run_id,
            "forced": bool(made.metrics.get("forced")),
        },
    )


def _refuse(connection: Connection, values: Mapping[str, Any], champion: Promotion | None) -> None:
    dataset, version, action = values["dataset"], values["version"], values["action"]
    if action == "deleted" and champion is not None and champion.version == version:
        raise PromotionRefused(f"{dataset}: version {version} is the champion, whose bundle stays.")
    if action in CROWNING and (gone := _deleted(connection, dataset, version)) is not None:
        raise gone_by_retention(gone)


def _deleted(connection: Connection, dataset: str, version: str) -> Promotion | None:
    """The row that says that a version's bundle was deleted."""
    query = select(promotions).where(promotions.c.dataset == dataset, promotions.c.action == "deleted")
    row = connection.execute(query.where(promotions.c.version == version).limit(1)).mappings().first()
    return None if row is None else Promotion(**row)


def tells_of(rows: Sequence[Promotion]) -> bool:
    """Whether the ledger's rows of one bundle, oldest first, say that it is there."""
    return bool(rows) and rows[-1].action != "deleted"


def gone_by_retention(row: Promotion) -> PromotionRefused:
    """Return the error for a version whose bundle was deleted."""
    return PromotionRefused(
        f"{row.dataset}: version {row.version} is gone by retention on {row.at:%Y-%m-%d}; the ledger tells of it.",
        hint=f"See the versions that are there: sereno models list {row.dataset}.",
    )


def _champion(connection: Connection, dataset: str) -> Promotion | None:
    # The newest of each action: over both at once the database would walk back through every refusal since.
    newest = [
        select(func.max(promotions.c.id))
        .where(promotions.c.dataset == dataset, promotions.c.action == action)
        .scalar_subquery()
        for action in CROWNING
    ]
    query = select(promotions).where(promotions.c.id.in_(newest)).order_by(promotions.c.id.desc()).limit(1)
    row = connection.execute(query).mappings().first()
    return None if row is None else Promotion(**row)
