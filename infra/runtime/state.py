"""The state database: the authority for which nights count and which version is champion."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Self

from sqlalchemy import text

from infra.runtime.events import EventStore
from infra.runtime.figures import FigureStore
from infra.runtime.incidents import IncidentStore
from infra.runtime.inputs import InputStore
from infra.runtime.labels import LabelStore
from infra.runtime.notices import NoticeStore
from infra.runtime.promotions import PromotionStore
from infra.runtime.releases import ReleaseStore
from infra.runtime.requests import RequestStore
from infra.runtime.retention import RetentionStore
from infra.runtime.runs import RunStore
from infra.runtime.state_database import (
    bring_up_to_date,
    check_revision,
    database_file,
    file_of,
    make_engine,
    make_reading_engine,
    reading,
)
from infra.runtime.tokens import TokenStore


class State(
    RunStore,
    InputStore,
    PromotionStore,
    ReleaseStore,
    LabelStore,
    EventStore,
    RequestStore,
    TokenStore,
    FigureStore,
    NoticeStore,
    IncidentStore,
    RetentionStore,
):
    """Everything that is known of one project's nights; safe to use from several threads.

    Args:
        url: SQLAlchemy address, SQLite or PostgreSQL.

    Raises:
        StateError: The address cannot be used.
    """

    def __init__(self, url: str) -> None:
        super().__init__(make_engine(url))
        self._file: tuple[int, int] | None = None

    def open(self) -> Self:
        """Create or migrate the tables, and return self.

        Raises:
            StateError: The database was written by a newer release, or cannot be reached.
        """
        try:
            bring_up_to_date(self._engine)
        except BaseException:
            self.close()
            raise
        self._file = file_of(self._engine)
        return self

    @classmethod
    @contextmanager
    def only_read(cls, url: str) -> Iterator[Self | None]:
        """Look at a state database without leaving a trace; None where its tables are not there or not current.

        Raises:
            StateError: The database was written by a newer release, or cannot be read.
        """
        engine = make_reading_engine(url)
        state = cls.__new__(cls)
        RunStore.__init__(state, engine)
        try:
            yield state if check_revision(engine) else None
        finally:
            state.close()

    def follow_file(self) -> None:
        """Open the database anew where its file is gone or another took its place: a connection keeps the old one."""
        present = file_of(self._engine)
        if present != self._file:
            self._file = present
            self._engine.dispose()

    def size(self) -> int:
        """Return the bytes of the database, wherever it is; none where that cannot be asked.

        Raises:
            StateError: It cannot be reached.
        """
        file = database_file(self._engine.url)
        if file is not None:
            parts = (file.with_name(f"{file.name}{end}") for end in ("", "-wal", "-shm"))
            return sum(part.stat().st_size for part in parts if part.is_file())
        if self._engine.dialect.name != "postgresql":
            return 0
        with reading(self._engine) as connection:
            return int(connection.execute(text("SELECT pg_database_size(current_database())")).scalar_one())

    def close(self) -> None:
        """Close every connection."""
        self._engine.dispose()

    def __enter__(self) -> Self:
        return self.open()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
