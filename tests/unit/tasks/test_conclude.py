"""What a night's result says, wherever the night ended."""

from __future__ import annotations

from datetime import date

import pytest

from infra.runtime.lake import Lake
from infra.runtime.project import Project
from infra.runtime.state import State
from schemas.errors import BlockedNight, LakeError
from schemas.results import ModelOutcome, NightResult, RowCounts
from schemas.settings import Settings
from tasks.conclude import missing_night, result_of
from tasks.night import Night, NightRequest
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
