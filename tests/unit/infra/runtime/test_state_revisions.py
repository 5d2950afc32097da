"""A state database of each older revision, with rows in it, is migrated; one of a newer release is refused."""

from __future__ import annotations

import logging
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic import command
from alembic.config import Config

from infra.runtime import state_database, state_tables
from infra.runtime.state import State
from schemas.errors import StateError

OLDER = [f"{number:04d}" for number in range(1, int(state_tables.REVISION))]
RUN = """
INSERT INTO runs (id, dataset, night, kind, status, fingerprint, protocol, started_at, ended_at, holder,
                  lease_expires_at, result, versions, counters, sample_version)
VALUES ('20260920T020000-aaaaaaaa', 'flows', '2026-09-20', 'run', 'done', 'fp', 3, '2026-09-20 02:00:00.000000',
        '2026-09-20 02:01:00.000000', 'host:1:2', '2026-09-20 02:03:00.000000', '{"alerts": 7}',
        '{"accepted": 4, "samples": 5}', '{"rows": 9}', 5)
"""
LEDGER = """
INSERT INTO promotions (dataset, version, bundle_hash, action, reason, actor, at, metrics)
VALUES ('flows', '1', 'aa', 'promoted', 'first', 'ana', '2026-09-20 02:01:00.000000', '{}')
"""


@pytest.fixture(params=OLDER)
def file(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A database as the release of that revision left it: its own migrations, and rows written by plain SQL."""
    made = tmp_path / "state.db"
    engine = state_database.make_engine(f"sqlite:///{made}")
    logging.getLogger("alembic").setLevel(logging.WARNING)
    config = Config()
    config.set_main_option("script_location", str(state_database.MIGRATIONS))
    config.set_main_option("path_separator", "os")
    with state_database.writing(engine) as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, request.param)
    engine.dispose()
    with closing(sqlite3.connect(made)) as database:
        database.execute(RUN)
        database.execute(LEDGER)
        database.commit()
    return made


def test_an_older_database_is_migrated_with_its_rows(file: Path) -> None:
    with State(f"sqlite:///{file}") as state:
        assert state_database.check_revision(state._engine)
        (run,) = state.history("flows", table="samples")
        assert (run.result, run.versions["samples"], run.counters) == ({"alerts": 7}, 5, {"rows": 9})
        champion = state.champion("flows")
        assert champion is not None
        assert champion.bundle_hash == "aa"
        assert state.releases("flows") == []
        assert state.labels("flows") == []
        new = state.start_run("flows", "2026-09-21", "run", "fp")
        assert new.seq > run.seq
        found = sa.MetaData()
        found.reflect(state._engine)
    for name, table in state_tables.metadata.tables.items():
        assert {column.name for column in found.tables[name].columns} == {column.name for column in table.columns}
        assert {index.name for index in found.tables[name].indexes} == {index.name for index in table.indexes}


def test_a_command_that_only_looks_leaves_an_older_database_as_it_is(file: Path) -> None:
    before = file.read_bytes()
    with State.only_read(f"sqlite:///{file}") as state:
        assert state is None
    assert file.read_bytes() == before


def test_a_newer_database_is_refused_with_what_to_do_and_stays_as_it_is(tmp_path: Path) -> None:
    made = tmp_path / "state.db"
    State(f"sqlite:///{made}").open().close()
    with closing(sqlite3.connect(made)) as database:
        database.execute("UPDATE alembic_version SET version_num = ?", [f"{int(state_tables.REVISION) + 1:04d}"])
        database.commit()
    before = made.read_bytes()
    with pytest.raises(StateError, match=f"this release knows {state_tables.REVISION}") as caught:
        State(f"sqlite:///{made}").open()
    assert "pip install --upgrade sereno" in (caught.value.hint or "")
    assert made.read_bytes() == before
