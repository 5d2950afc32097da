"""Retention once a day: which day's it is, and how it ended."""

from __future__ import annotations

import os
import time
from contextlib import ExitStack
from datetime import UTC, date, datetime

import pytest
import yaml

from infra.runtime.events import Event
from infra.runtime.project import Project
from schemas.errors import ConfigError, LockedNight
from schemas.settings import load_settings
from tasks.retention_daily import (
    APPLIED,
    FAILED,
    apply_retention,
    due_day,
    is_over,
    last_outcome,
    left_out,
)
from tasks.services import open_services

DAY = date(2026, 9, 21)


def settings_of(tmp_path, **retention):
    (tmp_path / "sereno.yaml").write_text(yaml.safe_dump({"retention": retention}), encoding="utf-8")
    return load_settings(tmp_path, environ={}).settings


@pytest.fixture
def services(tmp_path):
    with ExitStack() as stack:
        yield stack.enter_context(open_services(Project(tmp_path), settings_of(tmp_path)))


def old_resume(services):
    folder = services.project.resume / "flows" / "2026-09-01" / "20260901T000000-00000000"
    folder.mkdir(parents=True)
    (folder / "part.arrow").write_bytes(b"x" * 1_000)
    for path in (folder / "part.arrow", folder, folder.parent):
        os.utime(path, (time.time() - 30 * 86_400,) * 2)
    return folder


@pytest.mark.parametrize(
    ("now", "given", "day"),
    [
        (datetime(2026, 9, 21, 11, 59, tzinfo=UTC), {}, date(2026, 9, 20)),
        (datetime(2026, 9, 21, 12, 0, tzinfo=UTC), {}, DAY),
        (datetime(2026, 9, 21, 10, 0, tzinfo=UTC), {"timezone": "Europe/Berlin"}, DAY),
        (datetime(2026, 9, 21, 1, 29, tzinfo=UTC), {"at": "03:30", "timezone": "Europe/Berlin"}, date(2026, 9, 20)),
        (datetime(2026, 9, 21, 23, 59, tzinfo=UTC), {"at": "never"}, None),
    ],
    ids=str,
)
def test_a_days_retention_is_due_from_its_time_on(tmp_path, now, given, day):
    assert due_day(settings_of(tmp_path, **given).retention, now) == day


@pytest.mark.parametrize(("given", "said"), [({"at": "noon"}, "noon"), ({"timezone": "Berlin"}, "Berlin")], ids=str)
def test_what_is_no_time_is_refused(tmp_path, given, said):
    with pytest.raises(ConfigError, match=said):
        settings_of(tmp_path, **given)


def test_what_was_freed_is_recorded_with_its_day(services):
    folder = old_resume(services)
    told = apply_retention(services, DAY)
    assert not folder.exists()
    assert (told.kind, told.level, told.actor, told.detail["day"]) == (APPLIED, "info", "sereno", "2026-09-21")
    assert told.detail["bytes"] >= 1_000
    assert told.text == "Retention of 2026-09-21: 1.0 kB freed."
    (gone,) = services.state.events(kinds=["vacuumed"])
    assert gone.actor == "sereno"
    assert is_over(services.state, DAY)
    assert not is_over(services.state, date(2026, 9, 22))


def test_a_day_on_which_nothing_goes_is_over_as_well(services):
    assert apply_retention(services, DAY).text == "Retention of 2026-09-21: nothing was old enough to go."
    assert is_over(services.state, DAY)


def test_a_vacuum_by_hand_is_waited_for(services):
    with services.state.sole("vacuum"), pytest.raises(LockedNight):
        apply_retention(services, DAY)
    assert last_outcome(services.state) is None


def test_what_could_not_be_done_is_an_error_that_says_what_and_the_rest_is_done(services, tmp_path):
    folder = old_resume(services)
    services.project.datasets.mkdir()
    services.project.dataset_file("flows").write_text("name: flows\n", encoding="utf-8")
    # A lake whose tables cannot be listed.
    log = services.project.lake / "flows" / "accepted" / "_delta_log"
    log.mkdir(parents=True)
    (log / "00000000000000000000.json").write_text("no JSON", encoding="utf-8")
    told = apply_retention(services, DAY)
    assert (told.kind, told.level) == (FAILED, "error")
    assert "was not done to the end" in told.text
    assert "sereno vacuum" in told.text
    assert told.detail["failures"]
    assert not folder.exists()


def test_a_day_that_was_left_out_is_over_and_no_end_of_it_that_freed_anything(services):
    services.state.tell(left_out(DAY))
    assert is_over(services.state, DAY)
    assert last_outcome(services.state, APPLIED, FAILED) is None


def test_other_events_are_no_outcome(services):
    services.state.tell(Event("vacuumed", "rows taken away", detail={"day": "2026-09-21"}))
    assert not is_over(services.state, DAY)
