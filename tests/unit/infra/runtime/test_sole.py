"""A project's lock on PostgreSQL: a database that fails is told in our own words."""

from __future__ import annotations

import pytest

from infra.runtime.sole import _of_postgresql
from infra.runtime.state_database import make_engine
from schemas.errors import StateError


def test_a_database_that_fails_is_told_as_such(tmp_path):
    # Of another kind, which has no such locks: it fails as one that went away.
    engine = make_engine(f"sqlite:///{tmp_path / 'state.db'}")
    with pytest.raises(StateError, match=r"The state database .* failed"), _of_postgresql(engine, "vacuum"):
        pytest.fail("it holds no lock")
    engine.dispose()
