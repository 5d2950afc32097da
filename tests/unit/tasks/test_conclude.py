"""What a night's result says, wherever the night ended."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import date

import pytest

from infra.runtime.lake import Lake
from infra.runtime.project import Project
from infra.runtime.state import State
from schemas.errors import BlockedNight, LakeError
from schemas.incident_results import Allowed, IncidentColumn
from schemas.notify import NotifySettings
from schemas.results import ModelOutcome, NightResult, RowCounts
from schemas.settings import Settings
from tasks.conclude import conclude, missing_night, result_of, write_night_report
from tasks.incidents import Group
from tasks.incidents_written import write_incidents
from tasks.night import Night, NightRequest
from tasks.night_incidents import FoundIncidents
from tasks.report import ReportPaths, draft_paths
from tasks.services import Services
from tasks.validate import Validated

NIGHT = date(2026, 9, 20)
RELEASED = "released from the quarantine: 1 by ana: looked at it"
ACCEPTED = "accepted by ana although: too few rows"


@pytest.fixture
def begin(tmp_path, make_dataset):
    """A night that has just begun; `champion` is a version that stands."""
    project = Project(tmp_path)
    project.create_state()
    with State(f"sqlite:///{tmp_path / 'state.db'}") as state:
        services = Services(project, Settings(), Lake(project.lake), state, None)

        def start(champion=None):
            if champion:
                state.record("flows", champion, "hash", "promoted", reason="first", actor="ana")
            run = state.start_run("flows", NIGHT, "run", "fp")
            return Night(NightRequest(make_dataset(), NIGHT), services, run, tmp_path)

        yield start


def group(name):
    return Group(name, (IncidentColumn(column="sent", share=0.9),), 3, 3.0, 0.001, keys=("1", "2", "3"))


@pytest.fixture
def scored(begin):
    """A night whose alerts make two incidents, and whose scores are committed."""

    def scored(**changes):
        night = begin("4")
        night.incidents = FoundIncidents((group("h1"), group("h2")), (Allowed(reason="the move", alerts=5),))
        night.versions = {"scores": 1}
        for name, value in changes.items():
            setattr(night, name, value)
        return night

    return scored


def shown_in(paths):
    values = json.loads(paths.json.read_text(encoding="utf-8"))
    return {one["entity"]: one["id"] for one in (values["incidents"] or {"incidents": []})["incidents"]}


def drafts(night):
    return draft_paths(night.services.project.reports / "flows", NIGHT.isoformat(), night.run.id)


def test_incidents_are_counted_shown_with_their_numbers_and_written_with_the_final_row(scored):
    night = scored()
    state = night.services.state
    write_night_report(night, None)
    assert shown_in(drafts(night)) == {"h1": 1, "h2": 2}
    assert state.incident_nights("flows") == []
    result = conclude(night, None)
    assert (result.incidents, result.allowed) == (2, 5)
    assert [(row.entity, row.incident, row.run_id) for row in state.incident_nights("flows")] == [
        ("h1", 1, night.run.id),
        ("h2", 2, night.run.id),
    ]
    page = night.services.project.report_file("flows", NIGHT.isoformat(), "json")
    assert json.loads(page.read_text(encoding="utf-8"))["incidents"]["allowed"][0]["reason"] == "the move"


def test_people_are_told_of_incidents_within_the_final_row(scored):
    """A process that dies right after it leaves nobody untold."""
    night = scored()
    route = {"url": "https://hooks.example.org/x", "kinds": ["night_done", "incident"]}
    notify = NotifySettings.model_validate({"routes": {"hook": {**route, "without_alerts": True}}})
    settings = night.services.settings.model_copy(update={"notify": notify})
    night.services = replace(night.services, settings=settings)
    write_night_report(night, None)
    conclude(night, None)
    told = [notice.message for notice in reversed(night.services.state.notices())]
    assert [message.kind for message in told] == ["night_done", "incident", "incident"]
    assert [message.entity for message in told[1:]] == ["h1", "h2"]


def test_where_another_night_came_first_the_page_has_the_numbers_that_it_got(scored):
    night = scored()
    state = night.services.state
    write_night_report(night, None)
    other = state.start_run("flows", date(2026, 9, 10), "run", "fp")
    state.finish_run(
        other.id,
        "done",
        versions={"scores": 2},
        also=lambda connection: write_incidents(connection, night.dataset, other.night, other.id, [group("h9")]),
    )
    conclude(night, None)
    numbers = {row.entity: row.incident for row in state.incident_nights("flows", nights=[NIGHT])}
    assert set(numbers.values()) == {2, 3}
    page = night.services.project.report_file("flows", NIGHT.isoformat(), "html")
    assert shown_in(ReportPaths(page, page.with_suffix(".json"))) == numbers


@pytest.mark.parametrize(
    ("failure", "changes"),
    [
        (LakeError("no space"), {}),
        (BlockedNight("few"), {"versions": {"quarantined": 1}}),
        (None, {"versions": {}}),
        (None, {"incidents": None}),
    ],
    ids=["failed", "blocked", "not scored", "not grouped"],
)
def test_a_night_whose_scores_do_not_count_writes_no_incidents(scored, failure, changes):
    night = scored(**changes)
    write_night_report(night, failure)
    conclude(night, failure)
    assert night.services.state.incident_nights("flows") == []
    page = night.services.project.report_file("flows", NIGHT.isoformat(), "html")
    assert shown_in(ReportPaths(page, page.with_suffix(".json"))) == {}


def test_a_night_that_is_scored_again_keeps_what_was_said_of_its_rows(begin):
    night = begin()
    said = (RELEASED, ACCEPTED, "the report lacks like normal rows: no scores")
    night.earlier = NightResult(dataset="flows", date=NIGHT.isoformat(), status="done", warnings=said)
    assert result_of(night, None).warnings == (RELEASED, ACCEPTED)


def test_a_blocked_night_names_the_champion_that_stands(begin):
    model = result_of(begin("4"), BlockedNight("too few rows")).model
    assert (model.version, model.champion) == (None, "4")


def test_a_missing_night_names_the_champion_that_stands(begin):
    night = begin("4")
    assert missing_night(night.services, night.request, "no file", night.run.id).model.champion == "4"


def test_without_a_champion_there_is_none(begin):
    assert result_of(begin(), BlockedNight("too few rows")).model == ModelOutcome()


@pytest.mark.parametrize(
    ("failure", "committed", "held"),
    [
        (None, True, 0),
        (LakeError("no space"), True, 90),
        (LakeError("no space"), False, 90),
        (BlockedNight("few"), False, 90),
    ],
)
def test_rows_are_accepted_only_where_the_night_counts(begin, failure, committed, held):
    night = begin()
    rows = RowCounts(read=100, accepted=90, quarantined=10)
    night.validated = Validated(rows, {}, (), (), (), (), (), ())
    night.versions = {"accepted": 3} if committed else {}
    found = result_of(night, failure).rows
    assert found == RowCounts(read=100, accepted=90 - held, quarantined=10, held=held)


def test_a_refused_challenger_is_named(begin):
    night = begin("4")
    night.challenger = "5"
    night.model = ModelOutcome(version="4", champion="4", reason="refused")
    model = result_of(night, None).model
    assert (model.version, model.champion, model.challenger, model.promoted) == ("4", "4", "5", False)
