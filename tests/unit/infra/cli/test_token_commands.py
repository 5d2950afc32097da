"""`sereno tokens` and `sereno audit`: what they print, once, and how they end."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime, timedelta

import pytest

from infra.cli.failures import reported
from infra.cli.main import cli
from infra.runtime.events import Event
from infra.runtime.project import find_project
from infra.runtime.state import State
from schemas.errors import Exit


@pytest.fixture
def state(tmp_path):
    (tmp_path / "sereno.yaml").write_text("{}\n", encoding="utf-8")
    with State(find_project(tmp_path).database_url) as opened:
        yield opened


@pytest.fixture
def run(tmp_path, state, capsys):
    def run(*arguments):
        code = reported(cli, ("--project", str(tmp_path), *map(str, arguments)))
        out, err = capsys.readouterr()
        assert "Traceback" not in err
        return code, out, err

    return run


def test_a_token_is_printed_once_alone_on_stdout(run, state):
    code, out, err = run("tokens", "add", "ci", "--role", "operate")
    assert (code, err) == (Exit.DONE, "ci: role operate, valid until it is revoked; it is shown this once\n")
    token = state.token_of(out.strip())
    assert (token.name, token.role) == ("ci", "operate")
    code, listed, _ = run("tokens", "list")
    assert code == Exit.DONE
    assert listed.startswith("ci  operate  valid until it is revoked  (made by ")
    assert out.strip().rpartition("_")[2] not in listed + run("tokens", "list", "--json")[1]


def test_a_token_that_expires_says_until_when(run, state):
    made = json.loads(run("tokens", "add", "ci", "--role", "read", "--expires", 7, "--json")[1])
    until = datetime.fromisoformat(made["expires_at"])
    assert abs(until - datetime.now(UTC) - timedelta(days=7)) < timedelta(minutes=1)
    assert state.token_of(made["token"]).name == "ci"
    assert state.token_of(made["token"], until + timedelta(seconds=1)) is None


def test_a_token_is_revoked(run, state):
    text = run("tokens", "add", "ci", "--role", "read")[1].strip()
    assert run("tokens", "revoke", "ci") == (Exit.DONE, "ci: revoked\n", "")
    assert state.token_of(text) is None
    code, _, err = run("tokens", "revoke", "ci")
    assert code == Exit.USAGE
    assert "There is no token 'ci' to revoke; there are: none." in err
    assert json.loads(run("tokens", "list", "--json")[1])[0]["standing"] == "revoked"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("ci",), "--role"),
        (("ci", "--role", "owner"), "'owner' is not one of"),
        (("ci", "--role", "read", "--expires", "0"), "--expires"),
        (("a b", "--role", "read"), "'a b' cannot be a token's name"),
        (("sereno", "--role", "read"), "the service's own"),
    ],
    ids=str,
)
def test_a_token_that_cannot_be_is_refused(run, state, words, said):
    code, out, err = run("tokens", "add", *words)
    assert (code, out) == (Exit.USAGE, "")
    assert said in err
    assert state.tokens() == []


def test_without_tokens_it_says_how_to_make_one(run):
    assert run("tokens", "list")[:2] == (
        Exit.DONE,
        "there are no tokens; make one: sereno tokens add NAME --role read\n",
    )


def test_who_did_what_is_listed_oldest_first(run, state):
    state.switch("flows", enabled=True, since=date(2026, 9, 20), actor="ana")
    state.tell(Event("child_died", "It died\nof \x1b[31mred\x1b[0m.", "warning", at=datetime(2026, 9, 1, tzinfo=UTC)))
    code, out, _ = run("audit")
    first, second = out.splitlines()
    assert code == Exit.DONE
    assert first.endswith("ana turned the schedule of flows on.")
    assert second.startswith("2026-09-01 00:00:00 UTC  warning  child_died")
    assert second.endswith("It died of \\x1b[31mred\\x1b[0m.")
    assert len(run("audit", "flows")[1].splitlines()) == 1
    assert run("audit", "--since", "2026-09-02")[1].splitlines() == [first]
    assert len(run("audit", "--last", 1)[1].splitlines()) == 1
    listed = json.loads(run("audit", "--json")[1])
    assert [one["kind"] for one in listed] == ["schedule_switched", "child_died"]
    assert listed[0]["detail"] == {"enabled": True, "since": "2026-09-20"}


def test_a_dataset_that_never_was_is_a_slip(run):
    assert run("audit")[:2] == (Exit.DONE, "nothing was done yet that is recorded here\n")
    code, _, err = run("audit", "flowz")
    assert code == Exit.USAGE
    assert "There is no dataset `flowz`" in err
