"""Nights write their incidents: in order, out of order, again; incidents go on, join, end, come back, and are told."""

from __future__ import annotations

import random
from collections import defaultdict
from datetime import date, timedelta

import pytest

from infra.runtime.state import State
from schemas.incident_results import IncidentColumn
from schemas.incidents import IncidentSettings
from tasks.incident_views import incidents_of_night, listed
from tasks.incidents import Group
from tasks.incidents_written import write_incidents
from tasks.services import Services

FIRST = date(2026, 9, 1)


def day(number):
    return FIRST + timedelta(days=number)


def group(entity="h1", columns="sent got", alerts=5, points=0, score=3.0, key="k"):
    names = columns.split()
    shares = tuple(IncidentColumn(column=name, share=round(1 / len(names), 4)) for name in names)
    keys = tuple(f"{key}{at}" for at in range(alerts))
    return Group(entity, shares, alerts, score, 0.001, points, affected=int(entity is not None), keys=keys)


@pytest.fixture
def state(tmp_path):
    with State(f"sqlite:///{tmp_path / 'state.db'}") as opened:
        yield opened


@pytest.fixture
def dataset(make_dataset):
    return make_dataset(incidents={"quiet_nights": 2, "cooldown_nights": 3})


@pytest.fixture
def do(state, dataset):
    """Do a night with some groups: its final row, and what goes with it."""

    def do(number, *groups, of=None, into=None):
        known, opened = of or dataset, into or state
        run = opened.start_run(known.name, day(number), "run", f"fp {number}")
        opened.finish_run(
            run.id,
            "done",
            versions={"scores": number + 1},
            also=lambda connection: write_incidents(connection, known, day(number), run.id, groups),
        )

    return do


def told(state, dataset, number):
    """Incident to why people are told of it on a night."""
    return {row.incident: row.told for row in state.incident_nights(dataset.name, nights=[day(number)])}


def chains(state, dataset):
    """The nights of each incident, by number."""
    found = defaultdict(list)
    for row in state.incident_nights(dataset.name):
        found[row.incident].append((row.night - FIRST).days)
    return dict(found)


def mute(state, dataset, number, until):
    state.say_of_incident(dataset.name, number, "mute", actor="ana", until=day(until))


def test_the_same_incident_goes_on_over_nights_and_another_one_begins(state, dataset, do):
    do(0, group())
    do(1, group(alerts=7), group("h2"), group(columns="ratio"))
    do(2, group(columns="got sent packets"))
    assert chains(state, dataset) == {1: [0, 1, 2], 2: [1], 3: [1]}
    (went_on,) = state.look(lambda connection: incidents_of_night(connection, dataset, day(2)))
    assert (went_on.id, went_on.first_night, went_on.nights) == (1, "2026-09-01", 3)


def test_an_incident_is_over_after_quiet_nights_that_were_scored(state, dataset, do):
    do(0, group())
    do(3, group())
    do(4)
    do(5)
    do(6, group())
    assert chains(state, dataset) == {1: [0, 3], 2: [6]}


def test_two_groups_of_a_night_do_not_go_on_with_the_same_incident(state, dataset, do):
    do(0, group(columns="sent got"))
    do(1, group(columns="sent packets"), group(columns="sent got"))
    assert chains(state, dataset) == {1: [0, 1], 2: [1]}
    assert told(state, dataset, 1) == {1: None, 2: "new"}


def test_a_night_done_again_replaces_its_own_part_and_keeps_numbers_and_words(state, dataset, do):
    do(0, group(), group("h2"))
    state.say_of_incident("flows", 2, "ack", actor="ana")
    do(0, group("h2", alerts=9), group("h3"))
    assert chains(state, dataset) == {2: [0], 3: [0]}
    (row,) = state.incident_nights("flows", numbers=[2])
    assert row.alerts == 9
    assert [word.word for word in state.incident_words(2)] == ["ack"]
    assert [event.detail for event in state.events(kinds=["incident_gone"])] == [{"incident": 1, "into": None}]
    assert [one.id for one in listed(Services(None, None, None, state, None), dataset, None, over=True)] == [2, 3]


def test_a_night_between_joins_two_incidents_and_what_was_said_of_them(state, dataset, do):
    do(0, group())
    do(1)
    do(4, group())
    do(5, group())
    do(3)
    assert chains(state, dataset) == {1: [0], 2: [4, 5]}
    state.say_of_incident("flows", 2, "note", actor="ana", note="the pump")
    do(2, group())
    assert chains(state, dataset) == {1: [0, 2, 4, 5]}
    assert [word.note for word in state.incident_words(1)] == ["the pump"]
    assert state.incident("flows", 2) == 1
    assert [row.severity for row in state.incident_nights("flows")] == ["low", "low", "medium", "medium"]


def test_a_night_that_was_quiet_after_all_parts_an_incident(state, dataset, do):
    for number in (0, 2, 4):
        do(number, group())
    do(1)
    do(3)
    assert chains(state, dataset) == {1: [0, 2, 4]}
    do(2)
    assert chains(state, dataset) == {1: [0], 2: [4]}
    assert state.look(lambda connection: incidents_of_night(connection, dataset, day(4)))[0].first_night == "2026-09-05"


@pytest.mark.parametrize("seed", range(5))
def test_nights_in_any_order_and_again_end_in_the_same_incidents(tmp_path, dataset, do, seed):
    chance = random.Random(seed)
    entities, columns = ("h1", "h2", None), ("sent got", "sent packets", "ratio", "got quick")
    nights = {
        number: [
            group(chance.choice(entities), chance.choice(columns), chance.randint(1, 9), key=f"{number}-{place}-")
            for place in range(chance.choice((0, 1, 1, 2, 3)))
        ]
        for number in range(16)
    }

    def done(name, order):
        with State(f"sqlite:///{tmp_path / name}.db") as opened:
            for number in order:
                do(number, *nights[number], into=opened)
            rows = opened.incident_nights("flows")
            keys = {
                (row.incident, night): keys
                for row in rows
                for night, keys in opened.incident_keys("flows", row.incident, row.night).items()
            }
            found = defaultdict(set)
            for row in rows:
                found[row.incident].add((row.night, keys[row.incident, row.night][0], row.severity))
            began = {
                one.id: one.first_night
                for one in listed(Services(None, None, None, opened, None), dataset, None, over=True)
            }
            assert {number: min(night for night, *_ in part).isoformat() for number, part in found.items()} == began
            return set(map(frozenset, found.values()))

    in_order = done("in order", range(16))
    assert len(in_order) > 5
    shuffled = chance.sample(range(16), 16)
    assert done("shuffled", shuffled) == in_order
    assert done("backwards", range(15, -1, -1)) == in_order
    assert done("again", [*range(16), *shuffled[:5]]) == in_order


def test_a_muted_incident_stays_silent_and_comes_back_when_it_gets_worse(state, dataset, do):
    do(0, group(alerts=10))
    mute(state, dataset, 1, until=9)
    do(1, group(alerts=12))
    do(2, group(alerts=19))
    assert told(state, dataset, 1) == told(state, dataset, 2) == {1: None}
    do(3, group(alerts=20))
    assert told(state, dataset, 3) == {1: "back"}
    (event,) = state.events(kinds=["incident_back"])
    assert (event.level, event.night, event.detail) == ("warning", day(3), {"incident": 1, "alerts": 20})
    do(3, group(alerts=20))
    assert len(state.events(kinds=["incident_back"])) == 1
    do(4, group(alerts=20))
    assert told(state, dataset, 4) == {1: None}
    do(5, group(alerts=45))
    assert told(state, dataset, 5) == {1: "worse"}


def test_a_severity_that_rises_brings_a_muted_incident_back_and_one_that_lasts_does_not(state, dataset, do):
    do(0, group())
    mute(state, dataset, 1, until=20)
    for number in range(1, 6):
        do(number, group())
    assert [row.severity for row in state.incident_nights("flows")][-1] == "medium"
    assert not any(told(state, dataset, number)[1] for number in range(1, 6))
    do(6, group(points=1))
    assert told(state, dataset, 6) == {1: "back"}


def test_a_muted_incident_goes_on_however_quiet_it_was_until_the_mute_ends(state, dataset, do):
    do(0, group())
    mute(state, dataset, 1, until=6)
    for number in range(1, 6):
        do(number)
    do(6, group())
    assert (chains(state, dataset), told(state, dataset, 6)) == ({1: [0, 6]}, {1: None})
    for number in range(7, 10):
        do(number)
    do(10, group())
    assert chains(state, dataset) == {1: [0, 6], 2: [10]}


def test_a_mute_that_was_lifted_or_ran_out_tells_again(state, dataset, do):
    do(0, group())
    mute(state, dataset, 1, until=1)
    do(1, group())
    do(2, group())
    assert told(state, dataset, 1) == {1: None}
    mute(state, dataset, 1, until=30)
    state.say_of_incident("flows", 1, "unmute", actor="ana")
    for number in range(3, 5):
        do(number, group())
    assert told(state, dataset, 4) == {1: "still"}


def test_an_incident_that_goes_on_is_told_again_after_the_cooldown(state, dataset, do):
    for number in range(10):
        do(number, group())
    said = {number: told(state, dataset, number)[1] for number in range(10)}
    assert {number: why for number, why in said.items() if why} == {0: "new", 4: "still", 8: "still"}


def test_what_a_person_took_up_is_told_only_when_it_gets_worse(state, dataset, do):
    do(0, group(alerts=5))
    state.say_of_incident("flows", 1, "ack", actor="ana")
    for number in range(1, 8):
        do(number, group(alerts=6))
    assert not any(told(state, dataset, number)[1] for number in range(1, 8))
    do(8, group(alerts=10))
    assert told(state, dataset, 8) == {1: "worse"}


def test_what_a_person_closed_begins_anew_and_its_own_nights_stay_with_it(state, dataset, do):
    do(0, group())
    do(1, group())
    state.say_of_incident("flows", 1, "close", actor="ana")
    do(1, group())
    assert chains(state, dataset) == {1: [0, 1]}
    do(2, group())
    assert (chains(state, dataset), told(state, dataset, 2)) == ({1: [0, 1], 2: [2]}, {2: "new"})


def test_a_night_that_writes_nothing_leaves_nothing(state, dataset):
    run = state.start_run("flows", day(0), "run", "fp")

    def fail(connection):
        write_incidents(connection, dataset, day(0), run.id, [group()])
        raise RuntimeError("the power is gone")

    with pytest.raises(RuntimeError):
        state.finish_run(run.id, "done", versions={"scores": 1}, also=fail)
    assert state.incident_nights("flows") == []
    assert state.run(run.id).status == "running"


def test_what_would_come_of_a_night_is_looked_at_and_undone(state, dataset, do):
    do(0, group())

    def look(connection):
        write_incidents(connection, dataset, day(1), "run", [group("h9"), group()])
        return incidents_of_night(connection, dataset, day(1))

    first, second = (state.would(look), state.would(look))
    assert first == second
    assert {one.id for one in first} == {1, 2}
    assert chains(state, dataset) == {1: [0]}


def test_incidents_of_another_dataset_are_another_matter(state, dataset, make_dataset, do):
    do(0, group())
    do(0, group(), of=make_dataset(name="machines"))
    assert (len(state.incident_nights("flows")), len(state.incident_nights("machines"))) == (1, 1)


def test_settings_change_what_comes_and_not_what_was(state, dataset, make_dataset, do):
    do(0, group(columns="sent got"))
    strict = dataset.model_copy(update={"incidents": IncidentSettings(agreement=1.0)})
    do(1, group(columns="sent packets"), of=strict)
    do(2, group(columns="sent packets"))
    assert chains(state, dataset) == {1: [0], 2: [1, 2]}
