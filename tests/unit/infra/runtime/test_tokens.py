"""Tokens: the text is kept nowhere, a role holds what the smaller ones may, and what is over is worth nothing."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from infra.runtime.state import State
from schemas.errors import UsageError

NOW = datetime(2026, 9, 20, 2, tzinfo=UTC)


@pytest.fixture
def state(tmp_path: Path) -> Iterator[State]:
    with State(f"sqlite:///{tmp_path / 'state.db'}") as opened:
        yield opened


def test_a_token_is_known_by_its_text_which_is_kept_nowhere(state: State, tmp_path: Path) -> None:
    token, text = state.add_token("ci", "operate", actor="ana")
    assert state.token_of(text) == token
    assert (token.name, token.role, token.actor) == ("ci", "operate", "ana")
    secret = text.rpartition("_")[2]
    assert len(bytes.fromhex(secret)) == 32
    with closing(sqlite3.connect(tmp_path / "state.db")) as database:
        dump = "\n".join(database.iterdump())
    assert secret not in dump
    assert state.add_token("other", "read", actor="ana")[1] != text


def test_no_other_text_is_a_token(state: State) -> None:
    _, text = state.add_token("ci", "admin", actor="ana")
    _, other = state.add_token("other", "read", actor="ana")
    wrong = f"{text[:-1]}{'0' if text[-1] != '0' else '1'}"
    swapped = f"sereno_2_{text.rpartition('_')[2]}"
    long_number = f"sereno_{'9' * 30}_{text.rpartition('_')[2]}"
    for said in (
        "",
        "sereno",
        text[:-1],
        f"{text} ",
        text.upper(),
        wrong,
        swapped,
        long_number,
        "sereno_1_é" + "0" * 63,
    ):
        assert state.token_of(said) is None, said
    assert state.token_of(other) is not None


def test_a_role_holds_what_the_smaller_ones_may(state: State) -> None:
    operate, _ = state.add_token("ci", "operate", actor="ana")
    assert [operate.may(role) for role in ("read", "operate", "admin")] == [True, True, False]


def test_what_expired_or_was_revoked_is_worth_nothing(state: State) -> None:
    short, text = state.add_token("short", "read", actor="ana", expires_at=NOW + timedelta(days=1))
    assert state.token_of(text, NOW) == short
    assert state.token_of(text, NOW + timedelta(days=1)) is None
    assert short.standing(NOW + timedelta(days=1)) == "expired"
    _, kept = state.add_token("ci", "read", actor="ana")
    assert state.revoke_token("ci", actor="ben").revoked_at is not None
    assert state.token_of(kept) is None
    assert [token.standing(NOW) for token in state.tokens()] == ["valid", "revoked"]


def test_a_name_stands_for_one_token_at_a_time(state: State) -> None:
    state.add_token("ci", "read", actor="ana")
    with pytest.raises(UsageError, match="There is a token ci already") as caught:
        state.add_token("ci", "admin", actor="ana")
    assert "sereno tokens revoke ci" in (caught.value.hint or "")
    state.revoke_token("ci", actor="ana")
    state.add_token("ci", "admin", actor="ana")


@pytest.mark.parametrize("name", ["", "sereno", "a b", "-x", "a" * 65, "ci\n", "é"])
def test_a_name_that_could_mislead_is_refused(state: State, name: str) -> None:
    with pytest.raises(UsageError, match="cannot be a token's name"):
        state.add_token(name, "read", actor="ana")
    assert state.tokens() == []
    assert state.events() == []


def test_a_token_that_is_not_there_cannot_be_revoked(state: State) -> None:
    state.add_token("ci", "read", actor="ana")
    with pytest.raises(UsageError, match="There is no token 'cl' to revoke; there are: ci"):
        state.revoke_token("cl", actor="ana")


def test_who_made_and_revoked_a_token_is_told(state: State) -> None:
    state.add_token("ci", "admin", actor="ana")
    state.revoke_token("ci", actor="ben")
    assert [(event.kind, event.actor, event.detail["name"]) for event in state.events()] == [
        ("token_revoked", "ben", "ci"),
        ("token_added", "ana", "ci"),
    ]
