"""Labels in the state database: only added to, the newest one of a row counts."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from infra.runtime.labels import SaidRow
from infra.runtime.state import State

NIGHT, NEXT = "2026-09-20", "2026-09-21"
ROW = SaidRow("k", "a.csv", 2**40, "false_alarm", "backup", {"x": 1.5, "t": None})


@pytest.fixture
def state(tmp_path):
    with State(f"sqlite:///{tmp_path / 'state.db'}") as state:
        yield state


def test_a_label_is_read_as_it_was_said(state):
    state.label("d", NIGHT, [ROW], "ana")
    (found,) = state.labels("d")
    assert found.row == ROW
    assert (found.night.isoformat(), found.actor) == (NIGHT, "ana")
    assert (datetime.now(UTC) - found.at).total_seconds() < 60
    (told,) = state.events()
    assert (told.kind, told.actor, str(told.night), told.detail) == (
        "labelled",
        "ana",
        NIGHT,
        {"rows": {"false_alarm": 1}},
    )
    assert told.text == "ana labelled rows of d, 2026-09-20: 1 false_alarm."


def test_the_newest_word_of_a_row_counts_and_the_older_one_stays_known(state):
    state.label("d", NIGHT, [ROW, SaidRow("other", "a.csv", 3, "anomaly")], "ana")
    between = datetime.now(UTC)
    state.label("d", NIGHT, [SaidRow("k", "a.csv", 2**40, "anomaly", "not backup")], "ben")
    assert {label.row.key: (label.row.word, label.actor) for label in state.labels("d")} == {
        "other": ("anomaly", "ana"),
        "k": ("anomaly", "ben"),
    }
    assert {label.row.key: label.row.word for label in state.labels("d", said_before=between)} == {
        "other": "anomaly",
        "k": "false_alarm",
    }


def test_a_key_names_a_row_within_its_night_only(state):
    state.label("d", NIGHT, [ROW], "ana")
    state.label("d", NEXT, [SaidRow("k", "b.csv", 2, "anomaly")], "ana")
    assert [(str(label.night), label.row.word) for label in state.labels("d")] == [
        (NIGHT, "false_alarm"),
        (NEXT, "anomaly"),
    ]
    assert [str(label.night) for label in state.labels("d", NIGHT)] == [NIGHT]
    assert [str(label.night) for label in state.labels("d", before=NEXT)] == [NIGHT]
    assert [str(label.night) for label in state.labels("d", first=NEXT)] == [NEXT]
    assert [str(label.night) for label in state.labels("d", most=1)] == [NEXT]
    assert state.labels("other") == []


def test_nothing_said_writes_nothing(state):
    state.label("d", NIGHT, [], "ana")
    assert state.labels("d") == []
    assert state.events() == []
