"""Who did what, who is champion and why, who may come in: read over HTTP."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

from infra.runtime.events import Event


def test_the_champion_and_the_ledger_say_who_decided_and_why(served):
    state = served.services.state
    state.record("flows", "2", "bb" * 32, "refused", reason="too many alerts", actor="run y", metrics={"auroc": 0.5})
    champion = served.ask("/api/v1/datasets/flows/champion").json
    assert (champion["version"], champion["reason"], champion["actor"]) == ("1", "first", "run x")
    ledger = served.ask("/api/v1/datasets/flows/ledger").json
    assert [(row["version"], row["action"]) for row in ledger] == [("2", "refused"), ("1", "promoted")]
    assert ledger[0]["metrics"] == {"auroc": 0.5}
    assert [row["version"] for row in served.ask("/api/v1/datasets/flows/ledger?limit=1").json] == ["2"]
    served.services.project.dataset_file("other").write_text("name: other\n", encoding="utf-8")
    assert served.ask("/api/v1/datasets/other/champion").status == 404


def test_events_are_found_by_what_they_are_about(served):
    state = served.services.state
    state.tell(
        Event("child_died", "It died.", "warning", "flows", date(2026, 9, 20), at=datetime(2026, 9, 20, tzinfo=UTC))
    )
    (event,) = served.ask("/api/v1/events?kind=child_died").json
    assert (event["text"], event["level"], event["dataset"], event["date"]) == (
        "It died.",
        "warning",
        "flows",
        "2026-09-20",
    )
    assert served.ask("/api/v1/events?level=warning&dataset=flows&date=2026-09-20").json == [event]
    assert served.ask(f"/api/v1/events?after={event['id']}").json == []
    moment = (datetime.now(UTC) - timedelta(hours=1)).isoformat(timespec="seconds").replace("+00:00", "Z")
    kinds = [one["kind"] for one in served.ask(f"/api/v1/events?since={moment}").json]
    assert kinds == ["token_added", "token_added", "token_added", "promoted"]
    assert served.ask("/api/v1/events?since=yesterday").status == 422
    assert served.ask("/api/v1/events?since=2026-09-20T02:00:00").status == 422


def test_events_say_nothing_of_the_machines_folders(served):
    root = served.services.project.root
    text = f"flows waits: {root}/datasets/flows.yaml, line 2: not YAML"
    served.services.state.tell(Event("dataset_refused", text, "error", "flows"))
    (event,) = served.ask("/api/v1/events?kind=dataset_refused").json
    assert event["text"] == "flows waits: datasets/flows.yaml, line 2: not YAML"
    page = served.ask("/").body.decode()
    assert "flows waits: datasets/flows.yaml" in page
    assert str(root) not in page


def test_tokens_are_listed_without_their_texts_and_revoked(served):
    answer = served.ask("/api/v1/tokens", role="admin")
    assert [(token["name"], token["role"], token["standing"]) for token in answer.json] == [
        ("adminer", "admin", "valid"),
        ("operateer", "operate", "valid"),
        ("reader", "read", "valid"),
    ]
    assert not any(text.rpartition("_")[2] in answer.body.decode() for text in served.tokens.values())
    assert served.post("/api/v1/tokens/reader/revoke", None, role="admin").json["standing"] == "revoked"
    (told,) = served.services.state.events(kinds=["token_revoked"])
    assert told.actor == "adminer"
    again = served.post("/api/v1/tokens/reader/revoke", None, role="admin")
    assert again.status == 404
    assert "There is no token 'reader' to revoke" in again.json["error"]


def test_the_description_of_the_api_names_every_status_and_scheme(served):
    described = served.ask("/api/v1/openapi.json").json
    assert described["openapi"].startswith("3.1")
    for path, methods in described["paths"].items():
        for operation in methods.values():
            if path == "/health":
                assert "security" not in operation
                continue
            assert operation["security"] == [{"token": []}], path
            assert {"400", "401", "403", "422", "429", "503"} <= set(operation["responses"]), path
            assert operation["description"], path
    assert "HTTPValidationError" not in described["components"]["schemas"]
