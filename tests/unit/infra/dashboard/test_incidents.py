"""Incidents over HTTP: listed, shown, and acted on as by the command line, under the token's name."""

from __future__ import annotations

from datetime import date, timedelta

import pytest
from sqlalchemy import event

from infra.runtime.incident_rows import remove_incident
from infra.runtime.state import State
from infra.runtime.state_database import writing
from infra.runtime.state_tables import incident_nights
from schemas.dataset import load_dataset
from schemas.incident_results import IncidentColumn
from tasks.incident_acts import history
from tasks.incidents import Group
from tasks.incidents_written import write_incidents

NIGHT = date(2026, 9, 21)
INCIDENTS = "/api/v1/incidents"


def group(*keys: int, entity: str = "h1", column: str = "sent") -> Group:
    return Group(entity, (IncidentColumn(column=column, share=0.9),), len(keys), 3.0, 0.001, keys=tuple(map(str, keys)))


@pytest.fixture
def alerted(services):
    """Do a further night whose alerts make some groups."""

    def do(number: int, *groups: Group) -> None:
        night, dataset = NIGHT + timedelta(days=number), load_dataset(services.project.dataset_file("flows"))
        run = services.state.start_run("flows", night, "run", f"alerts {night}")
        services.state.finish_run(
            run.id,
            "done",
            result={},
            versions={"accepted": 1, "scores": 1},
            also=lambda connection: write_incidents(connection, dataset, night, run.id, groups),
        )

    return do


@pytest.fixture
def three(served, alerted):
    """Two nights with three incidents: the first one over both."""
    alerted(0, group(1, 2, 3), group(*range(10, 30), entity="h2", column="flow_id"))
    alerted(1, group(1, 2, 3), group(40, entity="h3"))
    return served


def numbers(served, query: str = "") -> list[int]:
    answer = served.ask(f"{INCIDENTS}{query}")
    assert answer.status == 200, answer.body
    return [one["id"] for one in answer.json]


def test_incidents_are_listed_newest_first_and_found_by_what_they_are(three):
    assert numbers(three) == [3, 2, 1]
    assert numbers(three, "?before=3&limit=1") == [2]
    assert numbers(three, "?dataset=flows&date=2026-09-21") == [2, 1]
    assert numbers(three, "?severity=high&severity=critical") == [
        one["id"] for one in three.ask(INCIDENTS).json if one["severity"] in ("high", "critical")
    ]
    assert numbers(three, "?status=acknowledged") == []
    first = three.ask(INCIDENTS).json[-1]
    assert (first["dataset"], first["entity"], first["nights"], first["alerts"]) == ("flows", "h1", 2, 3)


@pytest.mark.parametrize(
    ("query", "status"),
    [("?dataset=other", 404), ("?status=asleep", 422), ("?before=0", 422), ("?date=monday", 422), ("?limit=501", 422)],
)
def test_what_cannot_be_listed_is_refused(three, query, status):
    assert three.ask(f"{INCIDENTS}{query}").status == status


def test_a_dataset_whose_file_is_wrong_is_left_out_and_refused_by_name(three):
    three.services.project.dataset_file("other").write_text("name: other\n", encoding="utf-8")
    assert numbers(three) == [3, 2, 1]
    assert three.ask(f"{INCIDENTS}?dataset=other").status == 409


def test_one_incident_is_shown_with_its_nights_and_rows(three):
    shown = three.ask(f"{INCIDENTS}/1").json
    assert [night["date"] for night in shown["nights"]] == ["2026-09-21", "2026-09-22"]
    assert shown["keys"] == ["1", "2", "3"]
    missing = three.ask(f"{INCIDENTS}/99")
    assert (missing.status, missing.json["error"]) == (404, "there is no incident 99")


def test_what_people_do_is_recorded_as_by_the_command_under_the_tokens_name(three):
    acked = three.post(f"{INCIDENTS}/1/ack", {"note": "looking"})
    assert (acked.status, acked.json["status"], acked.json["word"]["by"]) == (200, "acknowledged", "operateer")
    assert three.post(f"{INCIDENTS}/1/note", {"note": "cable"}).status == 200
    muted = three.post(f"{INCIDENTS}/1/mute", {"until": "2026-10-05"})
    assert (muted.json["status"], muted.json["until"]) == ("muted", "2026-10-05")
    assert three.post(f"{INCIDENTS}/1/unmute", None).status == 200
    assert three.post(f"{INCIDENTS}/1/close", {}).json["status"] == "over"
    words = [(one["word"], one["note"], one["by"]) for one in three.ask(f"{INCIDENTS}/1").json["words"]]
    assert words == [
        ("ack", "looking", "operateer"),
        ("note", "cable", "operateer"),
        ("mute", "", "operateer"),
        ("unmute", "", "operateer"),
        ("close", "", "operateer"),
    ]
    events = three.services.state.events(kinds=["incident_word"])
    assert [(event.actor, event.detail["word"]) for event in reversed(events)] == [
        ("operateer", word) for word, _, _ in words
    ]
    assert numbers(three) == [3, 2]
    assert numbers(three, "?status=over") == [1]


@pytest.mark.parametrize("act", ["ack", "mute", "unmute", "note", "close"])
def test_acting_needs_the_role_and_an_incident_that_is_there(three, act):
    body = {"mute": {"until": "2026-12-31"}, "note": {"note": "x"}}.get(act, {})
    assert three.post(f"{INCIDENTS}/1/{act}", body, role="read").status == 403
    assert three.post(f"{INCIDENTS}/99/{act}", body).status == 404
    assert three.services.state.events(kinds=["incident_word"]) == []


@pytest.mark.parametrize(
    ("act", "body", "status"),
    [
        ("mute", {"until": "2026-09-22"}, 409),
        ("mute", {}, 422),
        ("mute", None, 422),
        ("note", {"note": " "}, 409),
        ("note", {"note": ""}, 422),
        ("ack", {"note": "\0"}, 422),
        ("ack", {"by": "somebody else"}, 422),
        ("close", [], 422),
    ],
    ids=str,
)
def test_what_cannot_be_done_is_refused_and_not_recorded(three, act, body, status):
    answer = three.post(f"{INCIDENTS}/1/{act}", body)
    assert answer.status == status, answer.body
    assert answer.json["error"]
    assert three.services.state.events(kinds=["incident_word"]) == []


def test_a_number_that_was_joined_with_another_leads_to_it(three, alerted):
    from infra.runtime.events import Event

    state = three.services.state
    state.tell(Event("incident_joined", "4 is part of 1", dataset="flows", detail={"incident": 4, "into": 1}))
    assert three.ask(f"{INCIDENTS}/4").json["incident"]["id"] == 1
    assert three.post(f"{INCIDENTS}/4/ack", None).json["id"] == 1


def test_names_and_keys_from_sensitive_columns_are_masked(three):
    file = three.services.project.dataset_file("flows")
    text = file.read_text(encoding="utf-8").replace(
        "flow_id: {type: integer}",
        "flow_id: {type: integer, sensitive: true}\n  host: {type: category, sensitive: true}",
    )
    file.write_text(f"{text}entity: host\n", encoding="utf-8")
    for path in (INCIDENTS, f"{INCIDENTS}/3"):
        answer = three.ask(path)
        assert answer.status == 200, answer.body
        assert not {"h1", "h2", "h3"} & set(answer.body.decode().split('"')), path
    shown = three.ask(f"{INCIDENTS}/3").json
    assert "40" not in shown["keys"]
    assert "h3" not in three.post(f"{INCIDENTS}/3/ack", None).body.decode()


@pytest.fixture
def joined_meanwhile(three):
    """Have another process join incident 3 with incident 1 as soon as somebody has found that there is a 3."""
    seen = []

    def join(connection, _cursor, statement, *_more):
        if "incident_nights" not in statement or seen:
            return
        seen.append(connection)
        with State(three.services.project.database_url) as other, writing(other._engine) as writes:
            (row,) = other.incident_nights("flows", numbers=[3])
            writes.execute(incident_nights.delete().where(incident_nights.c.id == row.row))
            remove_incident(writes, 3, 1)

    event.listen(three.services.state._engine, "before_cursor_execute", join)
    yield three, seen
    event.remove(three.services.state._engine, "before_cursor_execute", join)


def test_an_incident_that_is_joined_while_it_is_read_is_told_as_it_was(joined_meanwhile):
    served, seen = joined_meanwhile
    told = history(served.services, load_dataset(served.services.project.dataset_file("flows")), 3)
    assert seen
    assert (told.incident.id, told.incident.entity, told.keys) == (3, "h3", ("40",))
