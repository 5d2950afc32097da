"""Runs asked for over HTTP: each becomes one row of the state, or a refusal that says why."""

from __future__ import annotations

from datetime import date

import pytest

ASKED = {"kind": "nightly", "date": "2026-09-21"}
RUNS = "/api/v1/datasets/flows/runs"


@pytest.mark.parametrize(
    ("wish", "kind", "night", "options"),
    [
        (ASKED, "nightly", date(2026, 9, 21), {}),
        (
            {**ASKED, "train": False, "seed": 7.0, "force": True},
            "nightly",
            date(2026, 9, 21),
            {"train": False, "seed": 7, "force": True},
        ),
        ({**ASKED, "accept": True}, "nightly", date(2026, 9, 21), {"accept": True, "asked_by": "operateer"}),
        ({"kind": "validation", "date": "2026-09-21"}, "validation", date(2026, 9, 21), {}),
        ({"kind": "scoring", "date": "2026-09-21", "version": "3"}, "scoring", date(2026, 9, 21), {"version": "3"}),
        ({"kind": "training"}, "training", None, {}),
        (
            {"kind": "training", "first": "2026-09-01", "last": "2026-09-01"},
            "training",
            None,
            {"first": "2026-09-01", "last": "2026-09-01"},
        ),
        (
            {"kind": "backfill", "first": "2026-09-01", "last": "2026-09-20", "train": False},
            "backfill",
            None,
            {"first": "2026-09-01", "last": "2026-09-20", "train": False},
        ),
    ],
    ids=str,
)
def test_what_is_asked_for_is_written_down(served, wish, kind, night, options):
    answer = served.post(RUNS, wish)
    assert answer.status == 202
    (request,) = served.services.state.requests()
    asked = request.asked
    assert (asked.dataset, asked.kind, asked.night, dict(asked.options)) == ("flows", kind, night, options)
    assert (asked.origin, asked.actor, request.status) == ("http", "operateer", "waiting")
    assert answer.headers["Location"] == answer.json["href"] == f"/api/v1/requests/{request.id}"
    stands = served.ask(answer.json["href"]).json
    assert (stands["status"], stands["options"], stands["asked_by"]) == ("waiting", options, "operateer")
    (told,) = served.services.state.events(kinds=["run_asked"])
    assert (told.actor, told.detail["request"]) == ("operateer", request.id)


def test_the_options_are_parameters_of_the_flow_that_does_it():
    from inspect import signature

    from flows.backfill import backfill
    from flows.nightly import nightly
    from flows.scoring import scoring
    from flows.training import training
    from flows.validation import validation
    from infra.dashboard import asking

    flows = {
        asking.WantedNight: nightly,
        asking.WantedValidation: validation,
        asking.WantedScoring: scoring,
        asking.WantedTraining: training,
        asking.WantedRange: backfill,
    }
    for wish, flow in flows.items():
        named = set(wish.model_fields) - {"kind"} | ({"asked_by"} if "accept" in wish.model_fields else set())
        assert named <= set(signature(flow.fn).parameters), wish


@pytest.mark.parametrize(
    ("wish", "said"),
    [
        ({}, "kind"),
        ({"kind": "nightli", "date": "2026-09-21"}, "nightly"),
        ({"kind": "nightly"}, "body.nightly.date: Field required"),
        ({**ASKED, "date": "20260921"}, "YYYY-MM-DD"),
        ({**ASKED, "date": "2026-02-30"}, "2026-02-30 is not in the calendar"),
        ({**ASKED, "date": "0001-01-01"}, "YYYY-MM-DD"),
        ({**ASKED, "train": "no"}, "body.nightly.train"),
        ({**ASKED, "seed": -1}, "body.nightly.seed"),
        ({**ASKED, "seed": 10**40}, "body.nightly.seed"),
        ({**ASKED, "project": "elsewhere"}, "body.nightly.project"),
        ({"kind": "scoring", "date": "2026-09-21", "version": "1;drop"}, "body.scoring.version"),
        ([ASKED], "body"),
    ],
    ids=str,
)
def test_what_is_not_as_described_is_refused_with_its_place(served, wish, said):
    answer = served.post(RUNS, wish)
    assert answer.status == 422
    assert said in answer.json["error"]
    assert answer.json["hint"] == "see what is allowed: /api/v1/openapi.json"
    assert served.services.state.requests() == []


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"{", 422),
        (b'{"kind": "\xff"}', 400),
        (b"", 422),
        (b"[" * 100_000, 400),
        (b'{"kind":"nightly","date":"\\ud800"}', 422),
    ],
    ids=["cut", "not-utf8", "empty", "deep", "surrogate"],
)
def test_a_body_that_cannot_be_read_is_refused(served, body, status):
    assert served.post(RUNS, body).status == status
    assert (
        served.ask(RUNS, method="POST", role="operate", body=b"x=1", headers={"Content-Type": "text/plain"}).status
        == 422
    )


def test_a_range_that_makes_no_sense_is_refused(served):
    turned = served.post(RUNS, {"kind": "backfill", "first": "2026-09-20", "last": "2026-09-01"})
    assert (turned.status, turned.json["hint"]) == (409, "swap the two dates")
    assert served.post(RUNS, {"kind": "backfill", "first": "1990-01-01", "last": "2026-09-01"}).status == 409
    assert served.services.state.requests() == []


def test_an_unknown_dataset_is_refused_with_the_nearest_one(served):
    answer = served.post("/api/v1/datasets/flowz/runs", ASKED)
    assert answer.status == 404
    assert answer.json["error"] == "There is no dataset flowz (did you mean `flows`?)."
    assert served.post("/api/v1/datasets/..%2f..%2fetc/runs", ASKED).status in (404, 422)


def test_a_dataset_file_that_is_wrong_is_told_with_its_line_and_without_this_machines_folders(served):
    file = served.services.project.dataset_file("flows")
    file.write_text(file.read_text(encoding="utf-8") + "colour: blue\n", encoding="utf-8")
    answer = served.post(RUNS, ASKED)
    assert answer.status == 409
    assert "datasets/flows.yaml" in answer.json["error"]
    assert "`colour` is not a known key" in answer.json["error"]
    assert str(served.services.project.root) not in answer.body.decode()


def test_the_same_key_is_the_same_request_and_the_same_answer(served):
    first = served.post(RUNS, ASKED, Idempotency_Key="build-7")
    served.services.state.change_request(served.services.state.request(first.json["request"]), "started", attempts=1)
    again = served.post(RUNS, ASKED, Idempotency_Key="build-7")
    assert (again.status, again.body) == (first.status, first.body)
    other = served.post(RUNS, {**ASKED, "force": True}, Idempotency_Key="build-7")
    assert (other.status, other.json["hint"]) == (409, "take another key")
    assert served.post(RUNS, ASKED, role="admin", Idempotency_Key="build-7").json["request"] != first.json["request"]
    assert served.post(RUNS, ASKED, Idempotency_Key="two words").status == 422
    assert len(served.services.state.requests()) == 2


def test_requests_are_listed_newest_first_and_in_pages(served):
    for number in range(3):
        served.post(RUNS, {**ASKED, "date": f"2026-09-2{number}"})
    assert [one["request"] for one in served.ask("/api/v1/requests?limit=2").json] == [3, 2]
    assert [one["request"] for one in served.ask("/api/v1/requests?before=2").json] == [1]
    assert served.ask("/api/v1/requests?dataset=other").json == []
    assert served.ask("/api/v1/requests?status=done&status=failed").json == []
    assert len(served.ask("/api/v1/requests?status=waiting").json) == 3
    assert served.ask("/api/v1/requests?limit=0").status == 422
    assert served.ask("/api/v1/requests/99").status == 404
    assert served.ask(f"/api/v1/requests/{10**30}").status == 422


def test_why_a_request_waits_is_told_without_this_machines_folders(served):
    href = served.post(RUNS, ASKED).json["href"]
    request, root = served.services.state.requests()[0], served.services.project.root
    served.services.state.change_request(request, "waiting", reason=f"tried again after: {root}/in/a.csv is cut")
    for answer in (served.ask(href).json, *served.ask("/api/v1/requests").json):
        assert answer["reason"] == "tried again after: in/a.csv is cut"
    assert str(root) not in served.ask("/").body.decode()


def test_a_request_is_called_off(served):
    href = served.post(RUNS, ASKED).json["href"]
    assert served.post(f"{href}/cancel", None, role="read").status == 403
    for _ in range(2):
        answer = served.post(f"{href}/cancel", None)
        assert (answer.status, answer.json["status"]) == (200, "cancelled")
    assert answer.json["reason"] == "cancelled by operateer"
    started = served.services.state.request(served.post(RUNS, ASKED).json["request"])
    served.services.state.change_request(started, "started", attempts=1)
    assert served.post(f"/api/v1/requests/{started.id}/cancel", None).json["status"] == "cancelling"
    done = served.services.state.request(served.post(RUNS, ASKED).json["request"])
    served.services.state.change_request(done, "done")
    refused = served.post(f"/api/v1/requests/{done.id}/cancel", None)
    assert (refused.status, refused.json["error"]) == (409, f"Request {done.id} is over: done.")
    assert served.post("/api/v1/requests/99/cancel", None).status == 404
