"""Rows released into a night that was done: tables, numbers, report, record; and the night done again afterwards."""

from __future__ import annotations

import json
import math
import os
from datetime import date

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from infra.runtime.lake import Lake
from infra.runtime.project import Project
from infra.runtime.state import State
from schemas.errors import LakeError, LockedNight, UsageError
from schemas.results import ModelOutcome, NightReport, NightResult
from schemas.settings import Settings
from schemas.tables import accepted_schema, quarantined_schema, scores_schema
from tasks.alert import scores_of_night
from tasks.ingest import Ingested
from tasks.page_drafts import recover_page
from tasks.preprocess import preprocess
from tasks.quarantine_list import Choice, list_quarantine, show_row
from tasks.release import ReleaseRequest, release
from tasks.report import write_report
from tasks.row_keys import canonical_text
from tasks.score import score
from tasks.services import Services
from tasks.staging import StagedPart
from tasks.validate import validate

NIGHT = date(2026, 9, 20)
ROWS = 300
SPOILT = {"sent": {10: "-5", 20: "-6"}, "packets": {30: "many"}, "proto": {40: ""}, "flow_id": {50: "49"}}


@pytest.fixture
def dataset(make_dataset):
    columns = {name: column.model_dump(exclude_unset=True) for name, column in make_dataset().columns.items()}
    columns["sent"]["min"] = 0
    columns["proto"]["nullable"] = False
    return make_dataset(
        columns=columns, expectations=[{"expect": "nulls", "column": "proto", "at_most": 0.0, "policy": "block"}]
    )


@pytest.fixture
def services(tmp_path, one_version):
    project = Project(tmp_path)
    project.create_state()
    with State(f"sqlite:///{tmp_path / 'state.db'}") as state:
        yield Services(project, Settings(), Lake(project.lake), state, one_version)


@pytest.fixture
def batch(tmp_path, dataset, make_rows):
    """A delivery with five spoilt rows, each in one way."""
    rows = make_rows(ROWS)
    columns = {}
    for name in dataset.columns:
        texts = canonical_text(rows[name]).to_pylist()
        for at, text in SPOILT.get(name, {}).items():
            texts[at] = text
        columns[name] = pa.array(texts, pa.string())
    columns |= {"sereno_file": rows["sereno_file"], "sereno_line": rows["sereno_line"]}
    path = tmp_path / "staged.parquet"
    pq.write_table(pa.table(columns), path)
    return Ingested((), (StagedPart(path, "a.csv", ROWS),), None, ROWS, ())


@pytest.fixture
def night(services, dataset, batch, serial_compute, tmp_path):
    """Do the night: validate, and with `scored` also score it; what people released passes."""

    def do(*, scored=True, kind="run", fingerprint="fp"):
        state, name = services.state, dataset.name
        run = state.start_run(name, NIGHT, kind, fingerprint)
        work = tmp_path / run.id
        work.mkdir()
        released = [row.row for row in state.releases(name, NIGHT)]
        found = validate(dataset, NIGHT, batch, serial_compute, work, usual_rows=None, released=released)
        prepared = preprocess(dataset, found.accepted, serial_compute, work)
        written = {
            "accepted": (found.accepted, accepted_schema(dataset)),
            "quarantined": (found.quarantined, quarantined_schema()),
            "samples": ([prepared.sample], accepted_schema(dataset)),
        }
        result = NightResult(
            dataset=name, date=NIGHT.isoformat(), status="done", rows=found.rows, failures=found.failures
        )
        if scored:
            bundle = services.registry
            by = score(dataset, found.accepted, bundle.folder, bundle.hash, "4", serial_compute, work, in_sample=False)
            written["scores"] = (by.parts, scores_schema(dataset))
            result = result.model_copy(update={"alerts": by.alerts, "model": ModelOutcome(version="4")})
        versions = {
            table: services.lake.replace_night(name, table, NIGHT, list(files), schema)
            for table, (files, schema) in written.items()
        }
        report = NightReport(result=result, generated_at="", quarantine_sample=found.sample)
        write_report(report, services.project.reports / name)
        state.finish_run(
            run.id,
            "done",
            result=result.model_dump(mode="json"),
            versions=versions,
            counters=prepared.counters,
            sample_version=versions["samples"],
        )
        return found

    return do


def asked(reason="looked at it", *, as_missing=False, **choice):
    return ReleaseRequest(NIGHT, Choice(**choice), reason, "ana", as_missing)


def read(services, dataset, table, schema):
    pins = services.state.pins(dataset.name, table, [NIGHT])
    rows = services.lake.read(dataset.name, table, pins, columns=schema.names, schema=schema)
    return rows.sort_by([("sereno_line", "ascending")])


def test_released_rows_are_accepted_and_scored_and_nothing_else_changes(services, dataset, night):
    night()
    before = scores_of_night(services, dataset, NIGHT)
    outcome = release(services, dataset, asked(column="sent", rule="min"))
    assert (outcome.released, outcome.already, outcome.refused) == (2, 0, ())
    rows = outcome.result.rows
    assert (rows.read, rows.accepted, rows.quarantined, rows.held) == (ROWS, ROWS - 3, 3, 0)
    assert outcome.result.failures == {"packets": 1, "proto": 1, "(key)": 1}
    after = scores_of_night(services, dataset, NIGHT)
    released = pc.is_in(after["sereno_line"], pa.array([12, 22]))
    assert after.filter(pc.invert(released)).equals(before)
    assert set(after["model_version"].to_pylist()) == {"4"}
    assert after.filter(released)["score"].is_valid().to_pylist() == [True, True]
    assert outcome.result.alerts == pc.sum(after["is_alert"]).as_py()
    accepted = read(services, dataset, "accepted", accepted_schema(dataset))
    assert accepted.filter(pc.is_in(accepted["sereno_line"], pa.array([12, 22])))["sent"].to_pylist() == [-5.0, -6.0]
    left = read(services, dataset, "quarantined", quarantined_schema())
    assert left["sereno_line"].to_pylist() == [32, 42, 52]


def test_who_released_what_and_why_is_recorded_and_reported(services, dataset, night):
    night()
    release(services, dataset, asked("counter wrapped", place=("a.csv", 12)))
    (recorded,) = services.state.releases(dataset.name, NIGHT)
    assert (recorded.actor, recorded.reason, recorded.row.key) == ("ana", "counter wrapped", "10")
    assert recorded.row.failures == (("sent", "min"),)
    run = services.state.run(recorded.run_id)
    assert (run.kind, run.status, run.fingerprint) == ("release", "done", "fp")
    assert set(run.versions) == {"accepted", "quarantined", "samples", "scores"}
    assert run.counters["rows"] == ROWS - 4
    (told,) = services.state.events(kinds=["released"])
    assert (told.actor, told.night, told.detail) == ("ana", NIGHT, {"rows": 1, "run": run.id})
    page = services.project.report_file(dataset.name, NIGHT.isoformat())
    report = json.loads(page.with_suffix(".json").read_text(encoding="utf-8"))
    assert report["result"]["rows"]["accepted"] == ROWS - 4
    assert any("1 by ana: counter wrapped" in warning for warning in report["result"]["warnings"])
    assert "counter wrapped" in page.read_text(encoding="utf-8")
    assert [row["source_line"] for row in report["quarantine_sample"]] == [22, 32, 42, 52]


def test_a_night_done_again_keeps_what_was_released(services, dataset, night):
    night()
    release(services, dataset, asked(as_missing=True))
    tables = [("accepted", accepted_schema(dataset)), ("quarantined", quarantined_schema())]
    tables += [("samples", accepted_schema(dataset)), ("scores", scores_schema(dataset))]
    before = [read(services, dataset, *table) for table in tables]
    counters = services.state.history(dataset.name, table="samples")[0].counters
    found = night()
    assert found.released == 4
    assert found.blocking == ()  # a released row without a protocol does not hold the night
    assert [read(services, dataset, *table) for table in tables] == before
    assert services.state.history(dataset.name, table="samples")[0].counters == counters


def test_a_release_of_something_else_does_not_let_a_row_pass(services, dataset, night, batch):
    night()
    release(services, dataset, asked(column="sent"))
    changed = pq.read_table(batch.parts[0].path)
    values = changed["sent"].to_pylist()
    values[10] = "-5.5"
    at = changed.column_names.index("sent")
    pq.write_table(changed.set_column(at, "sent", pa.array(values)), batch.parts[0].path)
    assert night(fingerprint="other").released == 1


def test_released_twice_says_so(services, dataset, night):
    night()
    release(services, dataset, asked(key="10"))
    runs = len(services.state.recent())
    again = release(services, dataset, asked(key="10"))
    assert (again.released, again.already) == (0, 1)
    assert again.result.rows.accepted == ROWS - 4
    assert len(services.state.recent()) == runs


@pytest.mark.parametrize(
    ("choice", "said"),
    [
        ({"key": "49"}, "its key is in the night already"),
        ({"place": ("a.csv", 32)}, "packets is not a number"),
        ({"rule": "max"}, "no quarantined row fits"),
        ({"key": "never"}, "no quarantined row fits"),
    ],
    ids=["repeated", "unread", "rule", "key"],
)
def test_what_cannot_be_released_is_refused_and_leaves_no_run(services, dataset, night, choice, said):
    night()
    runs = len(services.state.recent())
    with pytest.raises(UsageError, match=said):
        release(services, dataset, asked(**choice))
    assert len(services.state.recent()) == runs
    assert services.state.releases(dataset.name) == []


def test_all_takes_what_can_be_taken_and_says_what_stays(services, dataset, night):
    night()
    outcome = release(services, dataset, asked())
    assert outcome.released == 3
    assert sorted(row.line for row, _ in outcome.refused) == [32, 52]


def test_a_release_needs_a_reason_and_a_validated_night(services, dataset, night):
    with pytest.raises(UsageError, match="was not validated"):
        release(services, dataset, asked())
    night()
    with pytest.raises(UsageError, match="needs a reason"):
        release(services, dataset, asked(" "))


def test_a_held_night_must_be_taken_first(services, dataset, night):
    night()
    run = services.state.start_run(dataset.name, NIGHT, "run", "other")
    services.state.finish_run(run.id, "blocked", versions={"quarantined": 0})
    with pytest.raises(UsageError, match="is held"):
        release(services, dataset, asked())


def test_a_night_at_work_is_locked(services, dataset, night):
    night()
    services.state.start_run(dataset.name, NIGHT, "run", "other")
    with pytest.raises(LockedNight):
        release(services, dataset, asked())


def test_a_night_that_was_only_validated_is_not_scored(services, dataset, night):
    night(scored=False, kind="validate")
    outcome = release(services, dataset, asked(key="10"))
    assert (outcome.released, outcome.alerts) == (1, None)
    assert services.state.pins(dataset.name, "scores") == {}


def test_scores_that_are_older_than_the_accepted_rows_are_made_anew_first(services, dataset, night):
    night()
    night(scored=False, kind="validate", fingerprint="other")
    with pytest.raises(UsageError, match="older than its accepted rows"):
        release(services, dataset, asked(key="10"))
    assert services.state.releases(dataset.name) == []


def test_a_released_night_is_done_with_its_new_numbers(services, dataset, night):
    night()
    release(services, dataset, asked(key="10"))
    last = release(services, dataset, asked(key="20")).result
    assert last.report == str(services.project.report_file(dataset.name, NIGHT.isoformat()))
    done = services.state.find_done(dataset.name, NIGHT, "fp")
    assert services.state.with_releases(done).result["rows"]["accepted"] == ROWS - 3


@pytest.mark.parametrize("dies_at", ["accepted", "scores", "report"])
def test_a_release_that_dies_midway_counts_for_nothing_and_can_be_done_again(
    services, dataset, night, monkeypatch, dies_at
):
    night()
    before = scores_of_night(services, dataset, NIGHT)
    replace_night = Lake.replace_night

    def dying(self, name, table, *arguments, **more):
        version = replace_night(self, name, table, *arguments, **more)
        if table == dies_at:
            raise LakeError("gone")
        return version

    def unwritten(*_, **_more):
        raise LakeError("gone")

    with monkeypatch.context() as patched:
        patched.setattr(Lake, "replace_night", dying)
        if dies_at == "report":
            patched.setattr("tasks.report.write_report", unwritten)
        with pytest.raises(LakeError):
            release(services, dataset, asked(column="sent"))
    assert scores_of_night(services, dataset, NIGHT).equals(before)
    assert services.state.releases(dataset.name) == []
    assert services.state.recent()[0].status == "failed"
    assert release(services, dataset, asked(column="sent")).result.rows.accepted == ROWS - 3


@pytest.mark.parametrize("killed_at", ["before the final row", "after the final row"])
def test_the_page_of_a_release_that_is_killed_never_says_more_than_the_state(
    services, dataset, night, monkeypatch, killed_at
):
    night()
    page = services.project.report_file(dataset.name, NIGHT.isoformat(), "json")
    before = page.read_bytes()

    class Killed(BaseException):
        """Nothing is done after it, as after a signal that cannot be caught."""

    finish_run = services.state.finish_run

    def dying(*arguments, **more):
        if killed_at.startswith("after"):
            finish_run(*arguments, **more)
        raise Killed

    with monkeypatch.context() as patched:
        patched.setattr(services.state, "finish_run", dying)
        patched.setattr("tasks.release._give_up", lambda *_: None)
        with pytest.raises(Killed):
            release(services, dataset, asked(column="sent"))
    assert page.read_bytes() == before
    for run in services.state.live():
        services.state.finish_run(run.id, "failed", result={"status": "failed", "reason": "killed"})
    recover_page(services, dataset, NIGHT)
    stands = services.state.with_releases(services.state.find_done(dataset.name, NIGHT, "fp"))
    assert NightReport.model_validate_json(page.read_bytes()).result.rows.model_dump() == stands.result["rows"]
    assert (page.read_bytes() == before) == killed_at.startswith("before")
    assert not list(page.parent.glob(".*"))
    again = release(services, dataset, asked(column="sent"))
    assert again.result.rows.accepted == ROWS - 3
    assert NightReport.model_validate_json(page.read_bytes()).result.rows == again.result.rows


def test_rows_are_listed_and_shown(services, dataset, night):
    night()
    listed = list_quarantine(services, dataset, Choice(), night=None, most=2)
    assert listed.total == 5
    assert [row.line for _, row in listed.rows] == [12, 22]
    assert (NIGHT, "sent", "min", 2) in listed.counts
    only = list_quarantine(services, dataset, Choice(column="proto"), night=NIGHT, most=50)
    assert [(row.line, row.raw) for _, row in only.rows] == [(42, "")]
    ((day, row),) = show_row(services, dataset, "a.csv:32", night=None)
    assert day == NIGHT
    assert json.loads(row.raw)["packets"] == "many"
    assert show_row(services, dataset, "10", night=NIGHT)[0][1].line == 12
    with pytest.raises(UsageError, match="no quarantined row"):
        show_row(services, dataset, "a.csv:33", night=None)


def test_the_scratch_of_a_release_is_gone(services, dataset, night):
    night()
    release(services, dataset, asked(key="10"))
    assert not [name for _, _, files in os.walk(services.project.work) for name in files]


def test_values_beyond_any_range_have_a_finite_score(detector, make_rows):
    from models.scoring import Scorer

    frame = make_rows(4).to_pandas()
    frame["sent"] = [math.inf, -math.inf, 1.7e308, math.nan]
    frame["packets"] = [2**62, -(2**62), 0, -1]
    frame["proto"] = ["x" * 10_000, None, "\u202e", ""]
    scores = Scorer(detector.folder, detector.hash).score(frame)
    assert all(math.isfinite(score) for score in scores.score)
    assert all(0 < p <= 1 for p in scores.p_value)
    assert scores.is_alert[:3].all()


def test_released_rows_that_are_alerts_join_the_incidents_of_their_night(services, dataset, night):
    night()
    outcome = release(services, dataset, asked())
    scores = scores_of_night(services, dataset, NIGHT)
    alerts = set(scores.filter(scores["is_alert"])["sereno_key"].to_pylist())
    rows = services.state.incident_nights(dataset.name)
    keys = [key for row in rows for key in services.state.incident_keys(dataset.name, row.incident)[NIGHT]]
    assert sorted(keys) == sorted(alerts)
    assert outcome.result.incidents == len(rows)
    assert sum(row.alerts for row in rows) == outcome.result.alerts > 0
    (recorded,) = {release.run_id for release in services.state.releases(dataset.name, NIGHT)}
    assert {row.run_id for row in rows} == {recorded}
    page = services.project.report_file(dataset.name, NIGHT.isoformat(), "json")
    shown = NightReport.model_validate_json(page.read_bytes()).incidents
    assert {incident.id for incident in shown.incidents} == {row.incident for row in rows}


def test_a_release_into_a_night_without_scores_makes_no_incidents(services, dataset, night):
    night(scored=False)
    assert release(services, dataset, asked(column="sent")).result.incidents == 0
    assert services.state.incident_nights(dataset.name) == []
