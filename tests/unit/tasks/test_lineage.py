"""From a night's scores back to files, detector and training window; and the same as an OpenLineage event."""

from __future__ import annotations

import json
import re
import uuid
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from types import SimpleNamespace
from urllib.parse import urlsplit

import pytest

from infra.runtime.inputs import Input, with_inputs
from schemas.errors import SerenoError, UsageError
from tasks.lineage import as_lines, lineage_of
from tasks.lineage_record import inputs_of, log_lineage
from tasks.openlineage import run_event

FIRST = date(2026, 9, 20)
SECOND = FIRST + timedelta(days=1)


@dataclass
class Versions:
    """A registry that has one version, trained on some nights; made before the second night ended."""

    folder: object
    hash: str
    nights: str = FIRST.isoformat()
    made_at: datetime = datetime(2100, 1, 1, tzinfo=UTC)

    def version(self, _name, version):
        from models.registry import VersionInfo

        return VersionInfo(version, self.hash, self.made_at, {"nights": self.nights})

    def download(self, _name, _version):
        return self.folder


@pytest.fixture
def one_version(detector):
    return Versions(detector.folder, detector.hash)


def read(name: str) -> list[Input]:
    return [
        Input("file", f"{name}.csv", f"/in/{name}.csv", name[0] * 64, 1_000, 240),
        Input("contract", "flows.yaml", "/project/datasets/flows.yaml", "c" * 64),
    ]


@pytest.fixture
def nights(labelled_nights):
    """Two nights that were accepted and scored, and what their runs read."""
    made = labelled_nights()
    made.do(0)
    made.do(1)
    state = made.services.state
    for run in reversed(state.recent("flows")):
        with state._engine.begin() as connection:
            with_inputs(run.id, read("a" if run.night == FIRST else "b"))(connection)
    return made


def runs(nights) -> list[str]:
    return [run.id for run in reversed(nights.services.state.recent("flows"))]


def test_a_night_leads_back_to_its_files_its_detector_and_what_trained_it(nights):
    found = lineage_of(nights.services, nights.dataset, SECOND, "10200")
    first, second = runs(nights)
    assert found.scored.id == found.accepted.run.id == second
    assert [one.name for one in found.accepted.read] == ["b.csv", "flows.yaml"]
    assert (found.detector.version, found.detector.bundle_hash) == ("4", nights.services.registry.hash)
    (trained,) = found.detector.nights
    assert (trained.night, trained.run.id, trained.read[0].sha256) == (FIRST, first, "a" * 64)
    assert (found.row.key, found.row.file, found.row.line) == ("10200", "a.csv", 10_202)
    lines = "\n".join(as_lines(found))
    for said in (second, first, "a" * 64, "b" * 64, "c" * 64, "row 10200: score ", "a.csv:10202", "version 4, bundle "):
        assert said in lines, said


def test_scores_made_again_are_of_the_rows_that_were_accepted_then(nights):
    state = nights.services.state
    again = state.start_run("flows", SECOND, "score", "print again")
    state.finish_run(again.id, "done", result={"model": {"version": "4"}}, versions={"scores": 2})
    found = lineage_of(nights.services, nights.dataset, SECOND)
    assert (found.scored.id, found.accepted.run.id) == (again.id, runs(nights)[1])
    assert found.accepted.read[0].name == "b.csv"
    later = state.start_run("flows", SECOND, "validate", "print later")
    state.finish_run(later.id, "done", versions={"accepted": 9, "samples": 9})
    found = lineage_of(nights.services, nights.dataset, SECOND)
    assert (found.scored.id, found.accepted.run.id) == (again.id, runs(nights)[1])


def test_released_rows_are_of_the_files_that_the_run_before_read(nights):
    state = nights.services.state
    release = state.start_run("flows", SECOND, "release", "print 2026-09-21")
    state.finish_run(
        release.id, "done", result={"model": {"version": "4"}}, versions={"accepted": 3, "scores": 3, "samples": 3}
    )
    found = lineage_of(nights.services, nights.dataset, SECOND)
    assert found.accepted.run.id == release.id
    assert found.accepted.read[0].name == "b.csv"


def test_a_night_that_was_done_again_after_it_trained_is_told_as_it_was_then(nights):
    state, registry = nights.services.state, nights.services.registry
    first, _ = runs(nights)
    registry.made_at = datetime.now(UTC)
    again = state.start_run("flows", FIRST, "run", "another delivery")
    state.finish_run(again.id, "done", versions={"accepted": 9, "samples": 9})
    (trained,) = lineage_of(nights.services, nights.dataset, SECOND).detector.nights
    assert trained.run.id == first
    registry.nights, registry.made_at = f"{FIRST},{SECOND},2026-01-01", datetime(2000, 1, 1, tzinfo=UTC)
    trained = lineage_of(nights.services, nights.dataset, SECOND).detector.nights
    assert [source.run and source.run.id for source in trained] == [first, runs(nights)[1], None]


def test_what_is_not_known_is_said(nights):
    with pytest.raises(UsageError, match="the night has no accepted rows"):
        lineage_of(nights.services, nights.dataset, date(2026, 1, 1))
    with pytest.raises(UsageError, match="no row with the key 'none' was scored"):
        lineage_of(nights.services, nights.dataset, SECOND, "none")
    state = nights.services.state
    third = SECOND + timedelta(days=1)
    run = state.start_run("flows", third, "validate", "fp")
    state.finish_run(run.id, "done", versions={"accepted": 1})
    lines = as_lines(lineage_of(nights.services, nights.dataset, third))
    assert "  scores: none" in lines
    assert any("what was read is not known" in line for line in lines)


# --- OpenLineage ----------------------------------------------------------------------------------------------------


def is_uri(text: str) -> bool:
    return bool(urlsplit(text).scheme)


def check_facets(facets: dict, required: dict[str, set[str]]) -> None:
    """Each facet says who made it and by which schema, and has what that schema requires."""
    for name, facet in facets.items():
        assert is_uri(facet["_producer"]), name
        assert is_uri(facet["_schemaURL"]), name
        ours = name.startswith("sereno_")
        kept_to = (
            r"urn:sereno:[\d.]+:\w+" if ours else r"https://openlineage\.io/spec/facets/\d-\d-\d/(\w+)\.json#/\$defs/\1"
        )
        assert re.fullmatch(kept_to, facet["_schemaURL"]), facet["_schemaURL"]
        assert ours or required[name] <= facet.keys(), name


def test_the_event_has_the_shape_that_openlineage_describes(nights):
    event = json.loads(
        json.dumps(run_event(nights.services, lineage_of(nights.services, nights.dataset, SECOND, "10200")))
    )
    assert {"eventTime", "producer", "schemaURL", "run", "job"} <= event.keys()
    assert event["eventType"] in {"START", "RUNNING", "COMPLETE", "ABORT", "FAIL", "OTHER"}
    assert datetime.fromisoformat(event["eventTime"]).tzinfo is not None
    assert is_uri(event["producer"])
    assert event["schemaURL"] == "https://openlineage.io/spec/2-0-2/OpenLineage.json#/$defs/RunEvent"
    uuid.UUID(event["run"]["runId"])
    check_facets(event["run"]["facets"], {"nominalTime": {"nominalStartTime"}, "processing_engine": {"version"}})
    assert event["job"].keys() >= {"namespace", "name"}
    check_facets(event["job"]["facets"], {"jobType": {"processingType", "integration"}})
    for dataset in (*event["inputs"], *event["outputs"]):
        assert dataset["namespace"]
        assert dataset["name"]
        check_facets(dataset["facets"], {"version": {"datasetVersion"}})
    for dataset in event["inputs"]:
        check_facets(dataset["inputFacets"], {"dataQualityMetrics": {"columnMetrics"}})
    for dataset in event["outputs"]:
        check_facets(dataset["outputFacets"], {"outputStatistics": {"rowCount"}})


def test_the_event_names_files_by_hash_the_detector_and_the_tables_at_their_versions(nights):
    event = run_event(nights.services, lineage_of(nights.services, nights.dataset, SECOND, "10200"))
    inputs = {(one["namespace"], one["name"]): one["facets"] for one in event["inputs"]}
    assert inputs["file", "/in/b.csv"]["version"]["datasetVersion"] == "b" * 64
    assert inputs["sereno", "flows.detector"]["sereno_content"]["sha256"] == nights.services.registry.hash
    lake = str(nights.services.project.lake)
    outputs = {one["name"]: one for one in event["outputs"]}
    assert set(outputs) == {f"{lake}/flows/{table}" for table in ("accepted", "samples", "scores")}
    assert outputs[f"{lake}/flows/scores"]["facets"]["version"]["datasetVersion"] == "2"
    training = event["run"]["facets"]["sereno_training"]
    assert training["version"] == "4"
    assert training["nights"] == [
        {"night": "2026-09-20", "run": runs(nights)[0], "samples": 1, "files": [{"name": "a.csv", "sha256": "a" * 64}]}
    ]
    assert event["run"]["facets"]["sereno_row"]["line"] == 10_202
    assert event == run_event(nights.services, lineage_of(nights.services, nights.dataset, SECOND, "10200"))


# --- what a night leaves --------------------------------------------------------------------------------------------


@pytest.fixture
def at_work(nights):
    """A night at work that has trained and scored, with a registry that keeps what it is told."""
    told = []
    file = SimpleNamespace(
        name="a.csv",
        address="https://ana:hunter2@host/a.csv",
        sha256="a" * 64,
        bytes=10,
        rows=3,
    )
    window = nights.services.state.recent("flows", night=FIRST)
    services = SimpleNamespace(
        project=nights.services.project,
        settings=nights.services.settings,
        registry=SimpleNamespace(log_inputs=lambda name, version, logged: told.append((name, version, logged))),
    )
    night = SimpleNamespace(
        services=services,
        dataset=nights.dataset,
        request=SimpleNamespace(iso=SECOND.isoformat()),
        run=SimpleNamespace(id="run-2", fingerprint="f" * 64),
        ingested=SimpleNamespace(files=(file,)),
        window=tuple(window),
        trained=SimpleNamespace(summary=SimpleNamespace(nights=(FIRST.isoformat(), SECOND.isoformat()))),
        challenger="5",
        model=SimpleNamespace(version="4"),
        versions={"accepted": 2, "samples": 2, "scores": 1},
    )
    return night, told


def test_what_was_read_is_written_down_without_a_password(at_work):
    night, _ = at_work
    file, contract = inputs_of(night)
    assert (file.name, file.sha256, file.rows) == ("a.csv", "a" * 64, 3)
    assert "hunter2" not in file.address
    assert (contract.kind, contract.name, len(contract.sha256)) == ("contract", "flows.yaml", 64)
    night.ingested = None
    assert inputs_of(night) == []


def test_mlflow_is_told_what_trained_a_version_and_what_it_scored(at_work):
    night, told = at_work
    log_lineage(night)
    (name, challenger, trained), (_, version, (scored,)) = told
    assert (name, challenger, version) == ("flows", "5", "4")
    assert [(one.context, one.facts["night"], one.facts["samples"]) for one in trained] == [
        ("training", "2026-09-20", 1),
        ("training", "2026-09-21", 2),
    ]
    assert scored.context == "scoring"
    assert scored.facts["files"] == [{"name": "a.csv", "sha256": "a" * 64}]
    assert scored.facts["tables"] == night.versions
    assert all(len(one.digest) <= 36 for one in (*trained, scored))


def test_a_night_that_was_not_scored_tells_nothing_and_a_store_that_is_away_ends_nothing(at_work, caplog):
    night, told = at_work

    def refuse(*_):
        raise SerenoError("MLflow is away")

    night.services.registry.log_inputs = refuse
    log_lineage(night)
    assert "MLflow was not told of its inputs: MLflow is away" in caplog.text
    night.challenger, night.versions = None, {}
    log_lineage(night)
    assert told == []
