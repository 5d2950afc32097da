"""Incidents in the state database: rows come back as they were written, words are only added, numbers are followed."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import pytest

from infra.runtime.events import Event
from infra.runtime.incident_rows import (
    add_nights,
    known_before,
    move_nights,
    muted_incidents,
    open_incident,
    scored_nights,
    settle_incidents,
)
from infra.runtime.state import State
from infra.runtime.state_database import writing
from schemas.errors import UsageError

FIRST = date(2026, 9, 20)


@pytest.fixture
def state(tmp_path):
    with State(f"sqlite:///{tmp_path / 'state.db'}") as opened:
        yield opened


def day(number):
    return FIRST + timedelta(days=number)


def row(number, night, **changes):
    values = {"incident_id": number, "dataset": "flows", "night": night.isoformat(), "run_id": "r", "alerts": 2}
    values |= {"score": 3.5, "p_value": 0.01, "points": 1, "severity": "medium", "columns": [["sent", 0.7]]}
    values |= {"affected": 1, "entities": [], "keys": ["a", "b"], "told": None}
    return values | changes


@pytest.fixture
def made(state):
    """An incident of a host with these nights."""

    def made(*nights, entity="h1", **changes):
        with writing(state._engine) as connection:
            number = open_incident(connection, "flows", entity, ["sent"], day(nights[0]))
            add_nights(connection, [row(number, day(night), **changes) for night in nights])
        return number

    return made


def test_a_night_comes_back_as_it_was_written(state, made):
    moment = datetime(2026, 9, 20, 3, tzinfo=UTC)
    number = made(0, first_time=moment, last_time=moment, entities=["h1", "h2"], told="new")
    (found,) = state.incident_nights("flows")
    assert (found.incident, found.entity, found.night, found.alerts) == (number, "h1", FIRST, 2)
    assert (found.columns, found.entities, found.first_time, found.told) == (
        (("sent", 0.7),),
        ("h1", "h2"),
        moment,
        "new",
    )
    assert state.incident_keys("flows", number) == {FIRST: ["a", "b"]}
    assert state.incident_keys("flows", number, day(1)) == {}
    assert state.incident_nights("machines") == []


def test_a_word_is_about_the_newest_night_and_leaves_an_event(state, made):
    number = made(0, 1)
    said = state.say_of_incident("flows", number, "mute", actor="ana", note="pump", until=day(9))
    assert (said.night, said.until) == (day(1), day(9))
    assert state.incident_words(number) == [said]
    (event,) = state.events("flows")
    assert event.detail == {"incident": number, "word": "mute", "note": "pump", "until": "2026-09-29"}


@pytest.mark.parametrize(("dataset", "number"), [("flows", 7), ("machines", 1)])
def test_an_incident_that_is_not_there_is_told(state, made, dataset, number):
    made(0)
    with pytest.raises(UsageError, match=f"{dataset} has no incident {number}"):
        state.incident(dataset, number)
    with pytest.raises(UsageError, match=f"{dataset} has no incident {number}"):
        state.say_of_incident(dataset, number, "ack", actor="ana")
    assert state.events() == []


def test_a_number_that_was_joined_leads_to_the_one_that_it_is_part_of(state, made):
    number = made(0)
    for gone, into in ((8, 9), (9, number)):
        detail = {"incident": gone, "into": into}
        state.tell(Event("incident_joined", "joined", dataset="flows", detail=detail))
    assert state.incident("flows", 8) == state.incident("flows", 9) == number
    with pytest.raises(UsageError):
        state.incident("machines", 8)


def test_whose_an_incident_is_is_known_by_its_number_alone(state, made):
    number = made(0)
    state.tell(Event("incident_joined", "part of", dataset="flows", detail={"incident": 77, "into": number}))
    assert [state.dataset_of_incident(one) for one in (number, 77)] == ["flows", "flows"]
    with pytest.raises(UsageError, match="there is no incident 78"):
        state.dataset_of_incident(78)


def test_the_newest_word_says_whether_an_incident_is_muted(state, made):
    numbers = [made(0, entity=f"h{at}") for at in range(4)]
    for number in numbers:
        state.say_of_incident("flows", number, "mute", actor="ana", until=day(5))
    state.say_of_incident("flows", numbers[1], "unmute", actor="ana")
    state.say_of_incident("flows", numbers[2], "close", actor="ana")
    state.say_of_incident("flows", numbers[3], "note", actor="ana", note="x")
    muted = {numbers[0]: day(5), numbers[3]: day(5)}
    assert state.look(lambda connection: muted_incidents(connection, "flows", day(5))) == muted
    assert state.look(lambda connection: muted_incidents(connection, "flows", day(6))) == {}
    assert state.look(lambda connection: muted_incidents(connection, "machines", day(5))) == {}


def test_what_is_known_before_a_night(state, made):
    number = made(0, 1, told="new")
    with writing(state._engine) as connection:
        add_nights(connection, [row(number, day(2), told="back"), row(number, day(3))])
        known = known_before(connection, [number], day(3))[number]
        assert (known.nights, known.told, known.back) == (3, day(2), day(2))
        assert known_before(connection, [number], day(0)) == {}


def test_rows_of_a_night_change_places(state, made):
    one, other = made(0), made(0, entity="h2")
    first, second = state.incident_nights("flows")
    with writing(state._engine) as connection:
        move_nights(connection, {first.row: other, second.row: one})
        assert settle_incidents(connection, [one, other, 99]) == {99}
    assert [found.incident for found in state.incident_nights("flows")] == [other, one]


def test_scored_nights_are_those_that_count(state):
    for number, status, versions in (
        (0, "done", {"scores": 1}),
        (1, "failed", {"scores": 2}),
        (2, "done", {}),
        (3, "partial", {"scores": 3}),
    ):
        run = state.start_run("flows", day(number), "run", "fp")
        state.finish_run(run.id, status, versions=versions)

    def asked(limit=9, **more):
        return state.look(lambda connection: scored_nights(connection, "flows", limit, **more))

    assert asked() == [day(0), day(3)]
    assert asked(1) == [day(3)]
    assert asked(before=day(3)) == [day(0)]
    assert asked(after=day(0)) == [day(3)]
