"""Which incidents of a night people must be told of: decided with the final row, bounded, masked."""

from __future__ import annotations

from datetime import date, timedelta

import pytest

from infra.runtime.state import State
from schemas.incident_results import IncidentColumn
from tasks.incidents import Group
from tasks.incidents_told import told_of
from tasks.incidents_written import write_incidents
from tasks.report_text import MASK
from tasks.services import Services

FIRST = date(2026, 9, 20)


@pytest.fixture
def services(tmp_path):
    with State(f"sqlite:///{tmp_path / 'state.db'}") as state:
        yield Services(None, None, None, state, None)


@pytest.fixture
def do(services):
    """Do a night on which some hosts have so many alerts."""

    def do(dataset, number, **hosts):
        night = FIRST + timedelta(days=number)
        columns = (IncidentColumn(column="sent", share=0.9),)
        groups = [Group(host, columns, alerts, 3.0, 0.001, points=alerts // 10) for host, alerts in hosts.items()]
        run = services.state.start_run("flows", night, "run", "fp")
        services.state.finish_run(
            run.id, "done", versions={"scores": 1}, also=lambda c: write_incidents(c, dataset, night, run.id, groups)
        )
        return told_of(services, dataset, night)

    return do


def test_new_and_worse_ones_are_told_the_worst_first_and_others_not(make_dataset, do):
    dataset = make_dataset()
    first = do(dataset, 0, h1=5, h2=30)
    assert [(one.entity, one.night.told) for one in first.incidents] == [("h2", "new"), ("h1", "new")]
    assert (first.dataset, first.date, first.digest, first.more) == ("flows", "2026-09-20", False, 0)
    assert [(one.entity, one.night.told) for one in do(dataset, 1, h1=11, h2=30).incidents] == [("h1", "worse")]


def test_asking_again_gives_the_same_answer_whatever_people_said_since(make_dataset, services, do):
    dataset = make_dataset()
    told = do(dataset, 0, h1=5)
    services.state.say_of_incident("flows", 1, "mute", actor="ana", until=FIRST + timedelta(days=9))
    again = told_of(services, dataset, FIRST)
    assert [(one.id, one.night) for one in again.incidents] == [(one.id, one.night) for one in told.incidents]


@pytest.mark.parametrize(("from_", "digest"), [(0, False), (1, True), (3, True), (4, False)])
def test_many_make_one_message(make_dataset, do, from_, digest):
    assert do(make_dataset(incidents={"digest_from": from_}), 0, h1=1, h2=1, h3=1).digest is digest


def test_a_message_names_so_many_and_counts_the_rest(make_dataset, do):
    told = do(make_dataset(incidents={"digest_most": 2}), 0, h1=5, h2=30, h3=20)
    assert ([one.entity for one in told.incidents], told.more) == (["h2", "h3"], 1)


def test_a_night_without_incidents_has_nothing_to_tell(make_dataset, services):
    told = told_of(services, make_dataset(), FIRST)
    assert (told.incidents, told.digest, told.more) == ((), False, 0)


def test_names_from_a_sensitive_column_are_masked(make_dataset, do):
    columns = {name: column.model_dump(exclude_unset=True) for name, column in make_dataset().columns.items()}
    columns["host"]["sensitive"] = True
    assert do(make_dataset(columns=columns), 0, h1=5).incidents[0].entity == MASK
