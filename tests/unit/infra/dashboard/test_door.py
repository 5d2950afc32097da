"""Nobody gets in without a token, and no answer says more than it must: against a real server."""

from __future__ import annotations

import base64
import http.client
import json
import re
import socket
from datetime import UTC, datetime, timedelta
from urllib.parse import urlsplit

import pytest

from infra.dashboard.app import ROUTERS, Routes
from infra.dashboard.door import HEADERS, Door
from schemas.service import ServiceSettings

METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE")


def paths(services) -> list[str]:
    """Every path of the description, with something in the place of each parameter, and some that are none."""
    known = Routes(services).openapi()["paths"]
    fill = {"{name}": "flows", "{date}": "2026-09-20", "{request}": "1", "{run}": "20260920T020000-aaaaaaaa"}
    fill |= {"{incident}": "1", "{version}": "1"}
    filled = [re.sub(r"\{\w+\}", lambda part: fill[part.group()], path) for path in known]
    return [*filled, "/api/v1/openapi.json", "/docs", "/nothing", "/health/", "//health", "/health/../metrics", "/%2e"]


def as_password(token: str) -> str:
    """What a browser sends when its user has given a token as the password."""
    return f"Basic {base64.b64encode(f'ana:{token}'.encode()).decode()}"


def test_nothing_but_health_answers_without_a_valid_token(served):
    state = served.services.state
    _, expired = state.add_token("old", "admin", actor="ana", expires_at=datetime.now(UTC) - timedelta(seconds=1))
    _, revoked = state.add_token("gone", "admin", actor="ana")
    state.revoke_token("gone", actor="ana")
    known = served.tokens["admin"]
    basic = as_password(known)
    wrong = [
        {},
        {"Authorization": ""},
        {"Authorization": "Bearer"},
        {"Authorization": known},
        {"Authorization": f"Token {known}"},
        {"Authorization": f"Bearer {known[:-1]}"},
        {"Authorization": f"Bearer {expired}"},
        {"Authorization": f"Bearer {revoked}"},
        {"Authorization": "Basic !!!"},
        {"Cookie": f"token={known}"},
    ]
    opened = [
        (method, path, headers)
        for path in paths(served.services)
        for method in METHODS
        for headers in (*wrong, *([{"Authorization": basic}] if method not in ("GET", "HEAD") else []))
        if path != "/health" and served.ask(path, method=method, role=None, headers=headers).status != 401
    ]
    assert not opened


def test_a_query_with_the_token_does_not_open(served):
    assert served.ask(f"/api/v1/datasets?token={served.tokens['admin']}", role=None).status == 401


def test_each_role_may_do_what_the_smaller_ones_may_and_no_more(served):
    asked = {"kind": "nightly", "date": "2026-09-21"}
    got = {
        role: (
            served.ask("/api/v1/datasets", role=role).status,
            served.post("/api/v1/datasets/flows/runs", asked, role=role).status,
            served.ask("/api/v1/tokens", role=role).status,
        )
        for role in ("read", "operate", "admin")
    }
    assert got == {"read": (200, 403, 403), "operate": (200, 202, 403), "admin": (200, 202, 200)}
    refused = served.ask("/api/v1/tokens", role="read").json
    assert refused["error"] == "The token reader has the role read; this needs admin."
    assert refused["hint"] == "make one with: sereno tokens add NAME --role admin"


def test_what_changes_something_needs_more_than_the_role_read():
    changing = [
        (route.path, router) for router in ROUTERS for route in router.routes if set(route.methods) - {"GET", "HEAD"}
    ]
    assert len(changing) == 12
    from infra.dashboard import asking, incidents, records, saying, versions

    operating = (asking.operating, saying.operating, incidents.operating, versions.operating)
    assert {id(router) for _, router in changing} == {id(router) for router in (*operating, records.admin)}


def test_a_browser_gives_the_token_as_a_password_and_only_reads_with_it(served):
    basic = {"Authorization": as_password(served.tokens["admin"])}
    page = served.ask("/", role=None, headers=basic)
    assert page.status == 200
    asked = served.ask("/", role=None, headers={"Accept": "text/html,application/xhtml+xml"})
    assert asked.headers["WWW-Authenticate"].startswith("Basic ")
    assert served.ask("/", role=None).headers["WWW-Authenticate"].startswith("Bearer ")
    form = served.ask(
        "/api/v1/datasets/flows/runs",
        method="POST",
        role=None,
        body=json.dumps({"kind": "nightly", "date": "2026-09-21"}).encode(),
        headers=basic,
    )
    assert form.status == 401
    assert served.services.state.requests() == []


def test_a_token_that_is_revoked_is_refused_from_then_on(served):
    assert served.ask("/api/v1/datasets").status == 200
    assert served.post("/api/v1/tokens/reader/revoke", None, role="admin").json["standing"] == "revoked"
    assert served.ask("/api/v1/datasets").status == 401


@pytest.mark.parametrize(
    ("path", "role", "status"),
    [
        ("/health", None, 200),
        ("/", "read", 200),
        ("/nothing", "read", 404),
        ("/", None, 401),
        ("/metrics", "read", 200),
    ],
)
def test_every_answer_has_the_headers_that_keep_a_browser_safe(served, path, role, status):
    answer = served.ask(path, role=role)
    assert answer.status == status
    assert {name: answer.headers[name] for name in HEADERS} == HEADERS
    assert answer.headers["Server"] is None
    assert not [name for name in answer.headers if name.lower().startswith("access-control-")]
    assert answer.headers["Strict-Transport-Security"] is None


def test_by_tls_a_browser_is_told_to_stay_with_it():
    by_tls = Door(None, None, ServiceSettings(certificate="c.pem", certificate_key="k.pem"))
    assert by_tls._headers["Strict-Transport-Security"].startswith("max-age=")


def test_no_other_site_is_let_to_ask(served):
    asked = served.ask("/api/v1/datasets", headers={"Origin": "https://evil.example"})
    assert not [name for name in asked.headers if name.lower().startswith("access-control-")]
    preflight = {"Origin": "https://evil.example", "Access-Control-Request-Method": "POST"}
    assert served.ask("/api/v1/datasets", method="OPTIONS", role=None, headers=preflight).status == 401


def raw(served, *lines: str, body: bytes = b"") -> int:
    """Send a request as it is written, and return the answer's status."""
    place = urlsplit(served.url)
    with socket.create_connection((place.hostname, place.port), timeout=20) as connection:
        connection.sendall("\r\n".join((*lines, "Connection: close", "", "")).encode() + body)
        reply = http.client.HTTPResponse(connection)
        reply.begin()
        return reply.status


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("localhost:8380", 200),
        ("LOCALHOST", 200),
        ("127.0.0.1", 200),
        ("[::1]:8380", 200),
        ("sereno.example.org", 200),
        ("a.watch.example.org:443", 200),
        ("evil.example", 400),
        ("watch.example.org", 400),
        ("localhost.evil.example", 400),
        ("evil.example:127.0.0.1", 400),
        ("", 400),
    ],
)
def test_only_a_name_that_is_its_own_is_answered(serve, host, status):
    named = serve(allowed_hosts=("sereno.example.org", "*.watch.example.org"))
    assert raw(named, "GET /health HTTP/1.1", f"Host: {host}") == status


def test_a_request_with_two_names_is_refused(served):
    assert raw(served, "GET /health HTTP/1.1", "Host: localhost", "Host: evil.example") == 400


def test_a_body_is_taken_up_to_the_bound_whatever_its_length_says(serve):
    small = serve(max_body=1_000)
    at, bearer = "POST /api/v1/datasets/flows/runs HTTP/1.1", f"Authorization: Bearer {small.tokens['operate']}"
    sent = b'{"kind": "nightly", "date": "2026-09-21"' + b" " * 2_000 + b"}"
    common = (at, "Host: localhost", bearer, "Content-Type: application/json")
    assert raw(small, *common, f"Content-Length: {len(sent)}", body=sent) == 413
    chunks = b"".join(f"{len(part):x}\r\n".encode() + part + b"\r\n" for part in (sent[:900], sent[900:], b""))
    assert raw(small, *common, "Transfer-Encoding: chunked", body=chunks) == 413
    assert small.post("/api/v1/datasets/flows/runs", {"kind": "nightly", "date": "2026-09-21"}).status == 202
    assert len(small.services.state.requests()) == 1


def test_wrong_tokens_are_counted_and_refused_and_who_was_right_before_still_is(serve):
    strict = serve(failed_logins=3)
    assert strict.ask("/api/v1/datasets").status == 200
    wrong = {"Authorization": f"Bearer sereno_1_{'0' * 64}"}
    got = [strict.ask("/api/v1/datasets", role=None, headers=wrong) for _ in range(5)]
    assert [answer.status for answer in got] == [401, 401, 401, 429, 429]
    assert 1 <= int(got[-1].headers["Retry-After"]) <= 61
    assert strict.ask("/api/v1/datasets").status == 200
    assert strict.ask("/health", role=None).status == 200
    (told,) = strict.services.state.events(kinds=["login_refused"])
    assert (told.level, told.detail) == ("warning", {"address": "127.0.0.1"})


def test_no_token_stands_in_the_log(serve, caplog):
    strict = serve(failed_logins=2)
    for text in (strict.tokens["admin"][:-1], strict.tokens["admin"]):
        strict.ask("/api/v1/datasets", role=None, headers={"Authorization": f"Bearer {text}"})
    assert strict.tokens["admin"][10:-1] not in caplog.text


def test_where_the_state_is_gone_health_says_so_and_nothing_else(served):
    state = served.services.state
    state.close()
    file = served.services.project.state / "state.db"
    for path in file.parent.glob("state.db*"):
        path.unlink()
    file.write_bytes(b"no database at all, but long enough to be read as one " * 20)
    health = served.ask("/health", role=None)
    assert (health.status, health.json) == (503, {"error": "The project's state does not answer.", "hint": None})
    asked = served.ask("/api/v1/datasets")
    assert (asked.status, asked.json) == (503, {"error": "The project's stores do not answer.", "hint": None})


def test_what_nobody_foresaw_is_told_without_a_traceback(served, monkeypatch):
    monkeypatch.setattr(type(served.services.state), "run_counts", lambda _self: 1 / 0)
    answer = served.ask("/metrics")
    assert answer.status == 500
    assert answer.json == {"error": "The server failed at this request.", "hint": "its log says why"}
    assert {name: answer.headers[name] for name in HEADERS} == HEADERS
