"""Faults and nights without a report are told once, also while the database cannot be asked."""

from __future__ import annotations

import errno
import threading
from contextlib import ExitStack, contextmanager
from datetime import UTC, date, datetime

import pytest
import yaml
from sqlalchemy import insert

from infra.runtime.events import Event
from infra.runtime.project import Project
from infra.runtime.state_database import writing
from infra.runtime.state_tables import events
from infra.service import telling
from infra.service.faults import Faults
from infra.service.telling import Telling
from schemas.errors import StateError
from schemas.settings import load_settings
from tasks.notify import send_waiting
from tasks.services import open_services

NIGHT = date(2026, 9, 20)


@pytest.fixture
def services(tmp_path, webhook):
    routes = {"hook": {"url": webhook.url}}
    (tmp_path / "sereno.yaml").write_text(yaml.safe_dump({"notify": {"routes": routes}}), encoding="utf-8")
    with ExitStack() as stack:
        yield stack.enter_context(open_services(Project(tmp_path), load_settings(tmp_path, environ={}).settings))


@contextmanager
def at_work(services, faults):
    """Have a thread tell while the block waits for what comes of it."""
    stop = threading.Event()
    thread = threading.Thread(target=Telling(services, faults).run, args=(stop,))
    thread.start()
    try:
        yield thread
    finally:
        stop.set()
        thread.join()


def told(webhook):
    return [post.body.decode() for post in webhook.posts]


def test_a_fault_is_told_once_however_often_it_is_looked_at(services, webhook):
    services.state.tell(Event("child_died", "worker of the service was killed by SIGKILL.", "warning"))
    services.state.tell(Event("promoted", "Version 3 is champion."))
    for _ in range(2):
        Telling(services, Faults(services.state, ())).tell()
        send_waiting(services)
    (message,) = told(webhook)
    assert "worker of the service was killed by SIGKILL" in message


def test_an_event_that_is_there_after_one_with_a_later_number_is_told(services, webhook):
    telling_, row = Telling(services, Faults(services.state, ())), {"kind": "child_died", "level": "warning"}
    for number, part in ((10, "clock"), (9, "worker")):
        with writing(services.state._engine) as connection:
            row |= {
                "id": number,
                "at": datetime.now(UTC),
                "text": f"{part} was killed.",
                "actor": "sereno",
                "detail": {},
            }
            connection.execute(insert(events).values(row))
        telling_.tell()
    send_waiting(services)
    assert ["clock" in message for message in told(webhook)] == [True, False]


def test_a_night_without_a_report_is_told_with_what_to_do(services, webhook):
    detail = {"due": "2026-09-21T06:30:00+00:00", "reason": "The request waits for its files."}
    services.state.tell(Event("no_report", "flows: no report", "error", "flows", NIGHT, detail=detail))
    Telling(services, Faults(services.state, ())).tell()
    send_waiting(services)
    (message,) = told(webhook)
    assert "No report of 2026-09-20 was there at 2026-09-21 06:30 UTC" in message
    assert "waits for its files" in message
    assert "sereno run flows --date 2026-09-20" in message


def test_while_the_database_is_away_people_are_told_directly_and_once(services, webhook, monkeypatch):
    def away(*_words, **_more):
        raise StateError("The state database is gone.")

    monkeypatch.setattr(telling, "PATIENCE_SECONDS", 0.0)
    monkeypatch.setattr(telling, "LOOK_SECONDS", 0.01)
    monkeypatch.setattr(services.state, "tell", away)
    monkeypatch.setattr(services.state, "events", away)
    faults = Faults(services.state, ())
    faults.begins("the schedules", "The service could not see to the schedules: the state database is gone.")
    with at_work(services, faults) as thread:
        while not webhook.posts:
            thread.join(0.01)
        thread.join(0.3)
    (message,) = told(webhook)
    assert "state database is gone" in message


def test_a_machine_without_room_for_the_sending_process_ends_no_telling(services, webhook, monkeypatch):
    def away(*_words, **_more):
        raise StateError("The state database is gone.")

    def full(*_words):
        tried.append(True)
        raise OSError(errno.EAGAIN, "Resource temporarily unavailable")

    tried = []
    monkeypatch.setattr(telling, "PATIENCE_SECONDS", 0.0)
    monkeypatch.setattr(telling, "LOOK_SECONDS", 0.01)
    monkeypatch.setattr(telling, "send_directly", full)
    faults = Faults(services.state, ())
    with at_work(services, faults) as thread:
        with monkeypatch.context() as meanwhile:
            meanwhile.setattr(services.state, "tell", away)
            faults.begins("the schedules", "The service could not see to the schedules.")
            while not tried:
                thread.join(0.01)
        faults.write()
        while not webhook.posts and thread.is_alive():
            thread.join(0.01)
    (message,) = told(webhook)
    assert "could not see to the schedules" in message
