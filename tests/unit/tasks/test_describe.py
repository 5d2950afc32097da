"""What a report adds to a night's numbers, from real stores; and that none of it ever costs a night its report."""

from __future__ import annotations

import json
from datetime import date, timedelta
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from infra.runtime.lake import Lake
from infra.runtime.project import Project
from infra.runtime.state import State
from schemas.errors import BlockedNight
from schemas.results import ExpectationOutcome, ModelOutcome, NightReport, RowCounts
from schemas.settings import Settings
from schemas.tables import accepted_schema
from tasks.conclude import conclude, write_night_report
from tasks.describe import described
from tasks.night import Night, NightRequest, window_of
from tasks.preprocess import Prepared
from tasks.report import draft_paths
from tasks.score import score
from tasks.services import Services
from tasks.validate import Validated

FIRST = date(2026, 9, 10)
NIGHTS = 5
TONIGHT = FIRST + timedelta(days=NIGHTS)


@pytest.fixture
def services(tmp_path, one_version):
    project = Project(tmp_path)
    with State(f"sqlite:///{tmp_path / 'state.db'}") as state:
        yield Services(project, Settings(), Lake(project.lake), state, one_version)


@pytest.fixture
def begin(services, tmp_path, make_dataset, make_rows, detector, serial_compute):
    """Five nights that were done, and tonight as its stages left it."""

    def make(*, blocked=False, nights=NIGHTS, rows=None, **changes):
        dataset = make_dataset(**changes)
        for at in range(nights):
            day = FIRST + timedelta(days=at)
            run = services.state.start_run("flows", day, "run", f"fp{at}")
            sample = make_rows(600, seed=at, start=1_000 * at)
            version = services.lake.replace_night("flows", "samples", day, sample, accepted_schema(dataset))
            result = {"dataset": "flows", "date": day.isoformat(), "status": "done", "alerts": 4, "threshold": 2.0}
            result |= {"rows": {"read": 600, "accepted": 600}, "model": {"version": "1", "champion": "1"}}
            services.state.finish_run(run.id, "done", result=result, versions={"samples": version})
        request = NightRequest(dataset, TONIGHT)
        night = Night(request, services, services.state.start_run("flows", TONIGHT, "run", "fp"), tmp_path / "work")
        night.window = window_of(request, services)
        night.work.mkdir()
        part = night.work / "part.parquet"
        pq.write_table(rows or make_rows(600, seed=99, start=90_000), part)
        outcome = ExpectationOutcome(
            expect="median", column="sent", policy="block", success=not blocked, rule="r", observed="1", expected="2"
        )
        counts = RowCounts(read=600, held=600) if blocked else RowCounts(read=600, accepted=600)
        night.validated = Validated(counts, {}, (outcome,), ("r",) if blocked else (), (part,), (), (), ())
        if not blocked:
            night.accepted_files = (part,)
            night.prepared = Prepared({}, part, 600)
            night.model = ModelOutcome(version="1", champion="1", family="linear")
            night.scored = score(
                dataset, (part,), detector.folder, detector.hash, "1", serial_compute, night.work, in_sample=False
            )
        return night

    return make


def the_draft(night, suffix="json") -> Path:
    return getattr(draft_paths(night.services.project.reports / "flows", TONIGHT.isoformat(), night.run.id), suffix)


def the_page(night) -> NightReport:
    return NightReport.model_validate_json(the_draft(night).read_bytes())


def write_last_report(night, report):
    from tasks.report import write_report

    last = (TONIGHT - timedelta(days=1)).isoformat()
    result = report.result.model_copy(update={"date": last})
    write_report(report.model_copy(update={"result": result}), night.services.project.reports / "flows")


def test_a_night_that_was_done_is_described_in_full(begin):
    night = begin()
    write_night_report(night, None)
    page = the_page(night)
    assert (page.drift.verdict, page.drift.nights) == ("steady", NIGHTS)
    assert page.alerts
    assert all(alert.like is not None for alert in page.alerts)
    assert not {alert.like.key for alert in page.alerts} & {alert.key for alert in page.alerts}
    assert page.contamination == night.dataset.detector.trim
    assert page.configuration["name"] == "flows"
    assert page.last_night == "2026-09-14"
    assert "rows read" not in {change.what for change in page.changes}
    assert page.result.warnings == ()


def test_a_night_that_drifted_says_so(begin, make_rows):
    rows = make_rows(600, seed=99, start=90_000)
    at = rows.column_names.index("sent")
    rows = rows.set_column(at, "sent", [[value.as_py() * 30 for value in rows["sent"]]])
    night = begin(rows=rows)
    write_night_report(night, None)
    drift = the_page(night).drift
    assert (drift.verdict, drift.columns[0].column) == ("moved far", "sent")
    assert "sent: median" in drift.message


def test_a_night_like_those_before_needs_nobody_as_the_detector_sees_it(begin):
    night = begin()
    write_night_report(night, None)
    seen = the_page(night).drift.detector
    assert (seen.verdict, seen.version, seen.nights) == ("steady", "1", NIGHTS)
    assert len(seen.scores.nights) == len(seen.codes.nights) == NIGHTS + 1


def test_what_the_detector_does_not_know_is_said_with_a_warning_and_a_command(begin, make_rows):
    rows = make_rows(600, seed=99, start=90_000)
    at = rows.column_names.index("sent")
    night = begin(rows=rows.set_column(at, "sent", [[value.as_py() * 30 for value in rows["sent"]]]))
    write_night_report(night, None)
    seen = the_page(night).drift.detector
    assert (seen.verdict, seen.since) == ("beyond the detector", TONIGHT.isoformat())
    (warning,) = conclude(night, None).warnings
    assert warning.startswith("drift, beyond the detector: 1 column moved (sent)")
    assert f"sereno train flows --to {TONIGHT}" in warning


def test_a_night_that_was_not_scored_says_why_it_is_not_known(begin):
    night = begin(blocked=True)
    write_night_report(night, BlockedNight("r"))
    seen = the_page(night).drift.detector
    assert (seen.verdict, seen.version) == ("not known", None)
    assert "Nothing was scored" in seen.message


def test_a_mistake_in_how_the_detector_sees_it_leaves_the_drift_of_the_columns(begin, monkeypatch):
    def fails(*_args, **_more):
        raise ValueError("no codes")

    night = begin()
    monkeypatch.setattr("tasks.code_drift.detector_drift", fails)
    write_night_report(night, None)
    page = the_page(night)
    assert (page.drift.verdict, page.drift.detector) == ("steady", None)
    assert page.result.warnings == ("the report lacks how the detector sees the night: ValueError: no codes",)


def test_a_blocked_night_shows_what_moved_and_what_changed(begin):
    night = begin(blocked=True)
    write_night_report(night, BlockedNight("r"))
    page = the_page(night)
    assert page.drift.verdict == "steady"
    assert (page.alerts, page.contamination) == ((), None)
    assert {change.what: change.tonight for change in page.changes}["status"] == "blocked"


def test_a_blocked_night_that_drifted_does_not_say_that_a_training_sees_it(begin, make_rows):
    rows = make_rows(600, seed=99, start=90_000)
    at = rows.column_names.index("sent")
    night = begin(blocked=True, rows=rows.set_column(at, "sent", [[value.as_py() * 30 for value in rows["sent"]]]))
    write_night_report(night, BlockedNight("r"))
    assert "no training sees these rows" in the_page(night).drift.message


def test_the_last_night_is_found_in_one_look_however_long_ago_it_was(begin, monkeypatch):
    night = begin()
    night.request = NightRequest(night.dataset, TONIGHT + timedelta(days=20))
    asked = []
    recent = night.services.state.recent

    def counting(*arguments, **more):
        asked.append(more.get("night"))
        return recent(*arguments, **more)

    monkeypatch.setattr(night.services.state, "recent", counting)
    night.services.state.finish_run(night.run.id, "failed")
    night.run = night.services.state.start_run("flows", night.request.date, "run", "fp")
    write_night_report(night, None)
    draft = draft_paths(night.services.project.reports / "flows", night.request.iso, night.run.id).json
    assert NightReport.model_validate_json(draft.read_bytes()).last_night == "2026-09-14"
    assert len(asked) <= 2  # tonight's run failed before, so that is looked at as well


def test_a_first_night_has_nothing_to_compare_with(begin):
    night = begin(nights=0)
    write_night_report(night, None)
    page = the_page(night)
    assert (page.drift.verdict, page.last_night, page.changes) == ("not known", None, ())
    assert all(alert.like is not None for alert in page.alerts)


def test_a_night_of_which_nothing_is_known_is_reported_all_the_same(begin):
    night = begin(blocked=True)
    night.validated = None
    write_night_report(night, ValueError("no rows"))
    assert the_page(night).drift is None


def test_what_changed_in_the_dataset_file_is_read_from_the_last_report(begin):
    night = begin()
    earlier = described(night, NightReport(result=night.request.blank(status="done"), generated_at=""))
    other_file = {**earlier.configuration, "timezone": "Asia/Tokyo"}
    write_last_report(night, earlier.model_copy(update={"configuration": other_file}))
    write_night_report(night, None)
    changes = {change.what: (change.before, change.tonight) for change in the_page(night).changes}
    assert changes["timezone"] == ("Asia/Tokyo", "UTC")


def test_a_column_that_became_sensitive_shows_its_values_in_no_change(begin, make_dataset):
    columns = {name: column.model_dump(mode="json") for name, column in make_dataset().columns.items()}
    columns["proto"] |= {"values": ["hidden-value"], "sensitive": True}
    night = begin(columns=columns)
    open_file = {"columns": {**columns, "proto": {**columns["proto"], "values": ["hidden-value", "hidden-too"]}}}
    write_last_report(
        night,
        NightReport(result=night.request.blank(status="done"), generated_at="", configuration=open_file),
    )
    write_night_report(night, None)
    text = the_draft(night).read_text()
    assert "hidden-" not in text


def test_a_damaged_last_report_costs_only_its_part(begin):
    night = begin()
    folder = night.services.project.reports / "flows"
    folder.mkdir(parents=True)
    (folder / "2026-09-14.json").write_text("{")
    write_night_report(night, None)
    assert the_page(night).last_night == "2026-09-14"


def test_a_description_that_fails_is_a_warning_of_the_result_and_no_more(begin, monkeypatch):
    def fails(*_args, **_more):
        raise ValueError("no such bin")

    night = begin()
    monkeypatch.setattr("tasks.column_drift.drift_of", fails)
    monkeypatch.setattr("tasks.like_row.with_like_rows", fails)
    write_night_report(night, None)
    page = the_page(night)
    assert page.result.warnings == (
        "the report lacks the drift of the columns: ValueError: no such bin",
        "the report lacks like normal rows: ValueError: no such bin",
    )
    assert (page.result.status, page.drift) == ("done", None)
    assert len(page.alerts) == night.scored.alerts
    assert conclude(night, None).warnings == page.result.warnings


def test_a_mistake_in_the_code_costs_no_night_and_is_not_hidden(begin, monkeypatch, caplog):
    def fails(*_args, **_more):
        raise AttributeError("a mistake")

    night = begin()
    monkeypatch.setattr("tasks.column_drift.drift_of", fails)
    write_night_report(night, None)
    assert the_page(night).result.warnings == ("the report lacks the drift of the columns: AttributeError: a mistake",)
    assert "Traceback" in caplog.text


def test_samples_that_are_gone_cost_only_what_needs_them(begin):
    import shutil

    night = begin()
    shutil.rmtree(Path(night.services.project.lake) / "flows" / "samples")
    write_night_report(night, None)
    page = the_page(night)
    assert page.drift is None
    assert page.last_night == "2026-09-14"
    assert len(page.result.warnings) == 2
    assert all(warning.startswith("the report lacks") for warning in page.result.warnings)


def test_addresses_are_shown_without_what_signs_them(begin):
    night = begin(source={"path": ["https://ana:pass1@host/f-{date}.csv?sig=abc", "in/{date}.csv"]})
    write_night_report(night, None)
    page = the_draft(night).read_text()
    assert "pass1" not in page
    assert "sig=abc" not in page
    assert json.loads(page)["configuration"]["source"]["path"][1] == "in/{date}.csv"
