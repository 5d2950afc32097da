"""Incidents are told one by one with why, or as one digest; twice they are told once."""

from __future__ import annotations

from datetime import date
from types import SimpleNamespace

import pytest

from schemas.incident_results import Incident, IncidentColumn, IncidentOfNight, ToldNight
from tasks import notify_incidents

NIGHT = date(2026, 9, 20)


def incident(number, entity="web-1", why="new", severity="high", first="2026-09-20"):
    night = IncidentOfNight(
        date="2026-09-20",
        alerts=12,
        score=9.0,
        p_value=0.001,
        severity=severity,
        columns=(IncidentColumn(column="bytes", share=0.8),),
        told=why,
    )
    return Incident(
        id=number,
        dataset="flows",
        entity=entity,
        first_night=first,
        last_night="2026-09-20",
        alerts=12,
        severity=severity,
        status="open",
        night=night,
    )


@pytest.fixture
def told(monkeypatch):
    """What is told of the incidents that a test gives: messages, and the entity for which routes are asked."""

    def ask(*found, digest=False, more=0, masked=None):
        night = ToldNight(dataset="flows", date="2026-09-20", digest=digest, incidents=masked or found, more=more)
        written = []
        monkeypatch.setattr(notify_incidents, "told_among", lambda *_: night)
        monkeypatch.setattr(notify_incidents, "incidents_of_night", lambda *_: found)
        monkeypatch.setattr(
            notify_incidents,
            "telling",
            lambda _services, message, entity: lambda _connection: written.append((message, entity)),
        )
        services = SimpleNamespace(settings=SimpleNamespace(notify=SimpleNamespace(routes={"hook": None})))
        notify_incidents.telling_incidents(services, SimpleNamespace(name="flows"), NIGHT)(None)
        return written

    return ask


def test_each_incident_says_why_it_is_told(told):
    written = told(incident(1), incident(2, why="worse", first="2026-09-17"))
    first, second = (message for message, _ in written)
    assert first.kind == "incident"
    assert "It is new." in first.lines
    assert second.lines[-2:] == ("It got worse.", "It goes on since 2026-09-17.")
    assert second.severity == "high"


def test_routes_are_asked_for_the_entity_that_the_message_masks(told):
    ((message, entity),) = told(incident(1, entity="web-1"), masked=(incident(1, entity="***"),))
    assert message.entity == "***"
    assert entity == "web-1"


def test_many_incidents_make_one_message_with_the_worst(told):
    ((message, _),) = told(incident(1, severity="low"), incident(2, severity="critical"), digest=True, more=7)
    assert (message.kind, message.severity) == ("digest", "critical")
    assert message.subject == "flows 2026-09-20: 9 incidents, the worst critical"
    assert [row[0] for row in message.rows] == ["1", "2"]
    assert "7 more stand in the report." in message.lines


def test_without_routes_nothing_is_looked_at():
    services = SimpleNamespace(settings=SimpleNamespace(notify=SimpleNamespace(routes={})))
    assert notify_incidents.telling_incidents(services, SimpleNamespace(name="flows"), NIGHT) is None


def test_a_message_that_cannot_be_made_does_not_cost_the_night(monkeypatch, told, caplog):
    monkeypatch.setattr(notify_incidents, "incident_message", lambda _: 1 / 0)
    assert told(incident(1)) == []
    assert "nobody is told" in caplog.text
