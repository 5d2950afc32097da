"""A state database whose file is taken away is said, and one that takes its place is read."""

from __future__ import annotations

import pytest

from infra.runtime.state import State
from schemas.errors import StateError


def test_a_database_that_is_gone_is_said_and_never_begun_anew_in_silence(tmp_path):
    file = tmp_path / "state.db"
    with State(f"sqlite:///{file}") as state:
        state.start_run("flows", "2026-09-20", "run", "fp")
        away = file.rename(tmp_path / "away.db")
        state.follow_file()
        with pytest.raises(StateError, match="is gone"):
            state.recent("flows")
        away.rename(file)
        state.follow_file()
        assert len(state.recent("flows")) == 1
    away = file.rename(tmp_path / "away.db")
    with pytest.raises(StateError, match="is gone") as caught, State(f"sqlite:///{file}"):
        pass
    assert "backup" in str(caught.value)
    assert not file.exists()
    away.rename(file)
    with State(f"sqlite:///{file}") as state:
        assert len(state.recent("flows")) == 1


def test_a_database_that_was_put_in_place_of_another_is_read(tmp_path):
    file, backup = tmp_path / "state.db", tmp_path / "backup.db"
    with State(f"sqlite:///{backup}") as state:
        state.start_run("flows", "2026-09-20", "run", "fp")
    with State(f"sqlite:///{file}") as state:
        state.follow_file()
        assert state.recent("flows") == []
        for left in tmp_path.glob("state.db-*"):
            left.unlink()
        backup.replace(file)
        state.follow_file()
        assert len(state.recent("flows")) == 1
