"""Labels and schedules, said over HTTP: they count like those of the command line, under the token's name."""

from __future__ import annotations

from datetime import UTC, date, datetime

import pytest

from infra.runtime.labels import SaidRow
from schemas.dataset import load_dataset
from schemas.tables import accepted_schema
from tasks.schedules import switch_on

NIGHT = date(2026, 9, 20)
LABELS = "/api/v1/datasets/flows/labels"


@pytest.fixture
def rows(services):
    """Give the night accepted rows with the keys 1, 2 and 3."""
    import pyarrow as pa

    dataset = load_dataset(services.project.dataset_file("flows"))
    table = pa.table(
        {
            "flow_id": [1, 2, 3],
            "sent": [1.0, 2.0, 3.0],
            "sereno_file": ["a.csv"] * 3,
            "sereno_line": [2, 3, 4],
            "sereno_key": ["1", "2", "3"],
            "sereno_hash": [1, 2, 3],
        }
    ).cast(accepted_schema(dataset))
    version = services.lake.replace_night("flows", "accepted", NIGHT, table, accepted_schema(dataset))
    run = services.state.start_run("flows", NIGHT, "run", "with rows")
    services.state.finish_run(run.id, "done", result={}, versions={"accepted": version})


def said(key: str, label: str = "false_alarm", **more: str) -> dict[str, str]:
    return {"date": NIGHT.isoformat(), "key": key, "label": label, **more}


def test_rows_are_labelled_under_the_tokens_name(served, rows):
    answer = served.post(LABELS, {"labels": [said("1", note="backup"), said("2", "anomaly")]})
    assert (answer.status, answer.json) == (200, {"labelled": {"anomaly": 1, "false_alarm": 1}, "unsaid": 0})
    assert {(one.row.key, one.row.word, one.row.note, one.actor) for one in served.services.state.labels("flows")} == {
        ("1", "false_alarm", "backup", "operateer"),
        ("2", "anomaly", "", "operateer"),
    }
    listed = served.ask(LABELS).json
    assert {(one["key"], one["label"], one["by"]) for one in listed} == {
        ("1", "false_alarm", "operateer"),
        ("2", "anomaly", "operateer"),
    }
    assert served.ask(f"{LABELS}?date=2026-09-19").json == []
    assert served.post(LABELS, {"labels": [said("1")]}, role="read").status == 403


@pytest.mark.parametrize(
    ("one", "status"),
    [
        (said("9"), 404),
        ({**said("1"), "date": "2026-01-01"}, 404),
        (said("1", "unsaid"), 422),
        (said("1", "odd"), 422),
        (said(""), 422),
        (said("1", note="\0"), 422),
        (said("1", by="somebody else"), 422),
    ],
    ids=str,
)
def test_of_labels_that_cannot_be_none_is_written(served, rows, one, status):
    assert served.post(LABELS, {"labels": [said("2"), one]}).status == status
    assert served.services.state.labels("flows") == []


def test_keys_of_sensitive_columns_are_masked(served, services):
    file = services.project.dataset_file("flows")
    text = file.read_text(encoding="utf-8")
    file.write_text(text.replace("flow_id: {type: integer}", "flow_id: {type: integer, sensitive: true}"), "utf-8")
    services.state.label("flows", NIGHT, [SaidRow("4711", "a.csv", 2, "anomaly", "", {"sent": 1.0})], "ana")
    answer = served.ask(LABELS)
    assert len(answer.json) == 1
    assert "4711" not in answer.body.decode()


def test_a_schedule_is_switched_and_who_did_it_is_known(served):
    path = "/api/v1/datasets/flows/schedule"
    assert served.ask(path).json == {"enabled": False, "since": None, "by": None, "at": None}
    on = served.ask(path, method="PUT", role="operate", body={"enabled": True})
    assert (on.status, on.json["enabled"], on.json["by"]) == (200, True, "operateer")
    since = served.ask(path, method="PUT", role="operate", body={"enabled": True, "since": "2026-09-01"})
    assert since.json["since"] == "2026-09-01"
    assert served.ask("/api/v1/datasets/flows").json["scheduled"] is True
    assert served.ask(path, method="PUT", role="operate", body={"enabled": False}).json["enabled"] is False
    assert served.ask(path, method="PUT", role="read", body={"enabled": True}).status == 403
    assert served.ask(path, method="PUT", role="operate", body={"enabled": 1}).status == 422
    assert [event.actor for event in served.services.state.events(kinds=["schedule_switched"])] == ["operateer"] * 3


@pytest.mark.parametrize("at", ["00:00", "02:30, delay: 3d", "02:30, night: -2, delay: 36h"])
def test_a_schedule_begins_with_the_night_that_the_command_begins_with(served, at):
    services = served.services
    file = services.project.dataset_file("flows")
    head = file.read_text(encoding="utf-8").partition("schedule:")[0]
    file.write_text(f"{head}schedule: {{timezone: Europe/Berlin, at: {at}}}\n", encoding="utf-8")
    dataset = load_dataset(file)
    first = switch_on(services, dataset, None, datetime.now(UTC), "ana")
    path = "/api/v1/datasets/flows/schedule"
    since = served.ask(path, method="PUT", role="operate", body={"enabled": True}).json["since"]
    # The next night may have come in between.
    assert str(first) <= since <= str(switch_on(services, dataset, None, datetime.now(UTC), "ana"))


def test_a_dataset_without_a_schedule_cannot_be_switched_on(served, services):
    file = services.project.dataset_file("flows")
    file.write_text(file.read_text(encoding="utf-8").partition("schedule:")[0], encoding="utf-8")
    path = "/api/v1/datasets/flows/schedule"
    refused = served.ask(path, method="PUT", role="operate", body={"enabled": True})
    assert (refused.status, refused.json["hint"]) == (409, "write one in datasets/flows.yaml")
    off = served.ask(path, method="PUT", role="operate", body={"enabled": False})
    assert (off.status, off.json["since"]) == (200, str(datetime.now(UTC).date()))
