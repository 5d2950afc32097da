"""`sereno notify`, what `run` and `status` say of messages, and that no address is left anywhere."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest
import yaml

from infra.cli.failures import reported
from infra.cli.main import cli
from infra.runtime.project import Project
from infra.runtime.state import State
from schemas.errors import Exit
from schemas.message import Message

NIGHT = "2026-09-20"
TOLD = Message(kind="fault", about="fault 1", subject="this installation: child died", lines=("It died.",))


@pytest.fixture
def project(tmp_path, make_dataset):
    """A project with one dataset, of which nothing arrived."""
    project = Project(tmp_path)
    project.datasets.mkdir()
    written = make_dataset().model_dump(mode="json", exclude_defaults=True)
    project.dataset_file("flows").write_text(yaml.safe_dump(written), encoding="utf-8")
    project.settings_file.write_text("{}\n", encoding="utf-8")
    return project


@pytest.fixture
def routes(project):
    """Write the routes of the project."""

    def write(routes, **notify):
        settings = {"notify": {"routes": routes, **notify}}
        project.settings_file.write_text(yaml.safe_dump(settings, sort_keys=False), encoding="utf-8")

    return write


@pytest.fixture
def run(project, capsys):
    """Run a command in the project."""

    def run(*arguments):
        code = reported(cli, ("--project", str(project.root), *map(str, arguments)))
        out, err = capsys.readouterr()
        assert "Traceback" not in err
        return code, out, err

    return run


@pytest.fixture
def command(project):
    """Run a command in the project as a process of its own."""

    def command(*arguments, **environ):
        asked = [sys.executable, "-P", "-m", "infra.cli.main", "--verbose", "--project", str(project.root), *arguments]
        done = subprocess.run(asked, capture_output=True, text=True, env={**os.environ, **environ}, check=False)
        assert "Traceback" not in done.stderr, done.stderr
        return done

    return command


@pytest.fixture
def state(project):
    project.create_state()
    with State(f"sqlite:///{project.state / 'state.db'}") as opened:
        yield opened


def test_a_test_message_is_sent_on_each_route_and_each_is_told(run, routes, webhook, mailbox):
    routes({"hook": {"url": webhook.url}, "mail": {"url": mailbox.url}, "later": {"url_env": "NOT_SET"}})
    code, out, _ = run("notify", "test")
    assert code == Exit.FAILED
    assert [line.partition("  ")[0] for line in out.splitlines()] == [
        "hook: taken",
        "mail: taken",
        "later: NOT taken: the variable NOT_SET, which holds the address, is not set",
    ]
    assert "tried the route `hook`" in webhook.posts[0].json["message"]
    assert mailbox.mails[0]["Subject"] == "Sereno: A test message"
    assert run("notify", "list")[:2] == (Exit.DONE, "No message was written yet.\n")


def test_a_test_message_on_one_route_tells_whether_it_was_taken(run, routes, webhook, mailbox):
    # Filters do not count: the question is whether the address works.
    routes({"hook": {"url": webhook.url, "kinds": ["no_report"]}, "mail": {"url": mailbox.url}})
    assert run("notify", "test", "hook")[0] == Exit.DONE
    assert mailbox.mails == []
    webhook.does = 403
    code, out, _ = run("notify", "test", "hook", "--json")
    assert code == Exit.FAILED
    (tried,) = json.loads(out)
    assert (tried["route"], tried["taken"]) == ("hook", False)
    assert tried["reason"] == "the receiver answered 403 Forbidden"


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        (("test", "hok"), "There is no route `hok` (did you mean `hook`?); routes here: hook"),
        (("forget",), "say which messages are meant"),
        (("forget", "1", "--failed"), "say which messages are meant"),
    ],
)
def test_what_does_not_exist_is_a_usage_error_with_a_hint(run, routes, webhook, asked, said):
    routes({"hook": {"url": webhook.url}})
    code, _, err = run("notify", *asked)
    assert code == Exit.USAGE
    assert said in err
    assert "Hint:" in err


def test_without_routes_a_test_says_how_to_name_one(run):
    code, _, err = run("notify", "test")
    assert code == Exit.USAGE
    assert "notify.routes.NAME.url" in err


def test_what_waits_is_sent_when_asked_for_and_a_refusal_is_shown_everywhere(run, routes, state, webhook):
    routes({"hook": {"url": webhook.url}}, tries=2)
    state.put_notices(TOLD, ["hook"])
    assert "messages: 1 waiting; send now: sereno notify send" in run("status")[1]
    webhook.does = 500
    code, out, _ = run("notify", "send")
    assert code == Exit.FAILED
    assert out.startswith("0 taken, 1 not taken, 1 waiting\n  hook: the receiver answered 500 Internal Server Error (")
    assert "waiting (tries: 1, next try " in run("notify", "list")[1]
    assert "1 waiting, route `hook`: the receiver answered 500" in run("status")[1]
    assert json.loads(run("notify", "send", "--json")[1])["not_taken"][0]["next_try"] is None
    assert "1 given up, route `hook`: the receiver answered 500" in run("status")[1]
    (listed,) = json.loads(run("notify", "list", "--failed", "--json")[1])
    assert (listed["status"], listed["attempts"], listed["sent_at"]) == ("failed", 2, None)
    assert listed["message"]["subject"] == TOLD.subject
    assert json.loads(run("status", "--json")[1]) == []
    webhook.does = 200
    assert run("notify", "send")[1] == "0 taken, 0 not taken, 0 waiting\n"
    assert run("notify", "send", "--failed")[:2] == (Exit.DONE, "1 taken, 0 not taken, 0 waiting\n")
    assert run("notify", "list", "--failed")[1] == "No message failed.\n"
    assert "messages" not in run("status")[1]


def test_what_was_given_up_can_be_forgotten(run, routes, state, webhook):
    routes({"hook": {"url": webhook.url}}, tries=1)
    webhook.does = 500
    state.put_notices(TOLD, ["hook"])
    run("notify", "send")
    assert json.loads(run("notify", "forget", "1", "--by", "ana", "--json")[1]) == {"forgotten": 1}
    assert run("notify", "forget", "--failed")[1] == "0 forgotten\n"
    assert "messages" not in run("status")[1]
    assert state.events()[0].actor == "ana"


def test_messages_are_listed_by_route(run, routes, state, webhook):
    routes({"hook": {"url": webhook.url}})
    state.put_notices(TOLD, ["hook", "other"])
    assert [one["route"] for one in json.loads(run("notify", "list", "--route", "other", "--json")[1])] == ["other"]
    assert len(run("notify", "list", "--last", "1")[1].splitlines()) == 1


def test_a_night_of_which_nothing_arrived_is_told_at_once_and_only_once(command, routes, webhook):
    routes({"hook": {"url": webhook.url}})
    done = command("run", "flows", "--date", NIGHT)
    assert done.returncode == Exit.NO_INPUT
    (post,) = webhook.posts
    assert post.json["title"] == f"Sereno: flows {NIGHT}: No data arrived"
    assert f"sereno plan flows --date {NIGHT}" in post.json["message"]
    assert command("run", "flows", "--date", NIGHT).returncode == Exit.NO_INPUT
    assert len(webhook.posts) == 1


def test_a_receiver_that_is_down_is_a_warning_of_the_command_and_the_message_waits(command, run, routes, webhook):
    routes({"hook": {"url": webhook.url}})
    webhook.go_down()
    done = command("run", "flows", "--date", NIGHT, "--json")
    assert done.returncode == Exit.NO_INPUT
    assert json.loads(done.stdout)["status"] == "missing"
    assert "route `hook` did not take a message: nobody answers at host and port: connection refused" in done.stderr
    assert "1 waiting, route `hook`" in run("status")[1]


def test_no_part_of_an_address_is_left_anywhere(command, project, routes, webhook, mailbox):
    mailbox.says = f"550 no {mailbox.USER} with {mailbox.PASSWORD} for night-shift@example.org"
    webhook.does = 500
    routes(
        {
            "mail": {"url_env": "OPS_MAIL"},
            "hook": {"url_env": "OPS_HOOK"},
            "chat": {"url_env": "OPS_CHAT"},
            "bad": {"url_env": "OPS_BAD"},
        },
        tries=1,
        timeout="5s",
    )
    addresses = {
        "OPS_MAIL": mailbox.url_with_login,
        "OPS_HOOK": f"{webhook.url}?token=s3cr3t-t0ken",
        "OPS_CHAT": f"mmost://127.0.0.1:{webhook.port}/TIiajkdnlazkcOXrIdevi7FQ?channel=watchers",
        "OPS_BAD": "exec://s3cr3t-path",
        "SERENO_NOTIFY__ROUTES__INLINE__URL": f"{webhook.url}/inline",
    }
    said = []
    for asked in (
        ("run", "flows", "--date", NIGHT),
        ("notify", "test"),
        ("notify", "send", "--failed"),
        ("notify", "list", "--json"),
        ("status",),
        ("config", "show", "--resolved"),
        ("config", "show", "--resolved", "--json"),
    ):
        done = command(*asked, **addresses)
        said += [done.stdout, done.stderr]
    assert len(webhook.posts) >= 6
    assert mailbox.logins
    secrets = [
        mailbox.PASSWORD,
        "night-shift@example.org",
        "s3cr3t-path",
        "s3cr3t-t0ken",
        "TIiajkdnlazkcOXrIdevi7FQ",
        "watchers",
        str(webhook.port),
        str(mailbox.port),
    ]
    files = [path for path in project.root.rglob("*") if path.is_file()]
    assert any(path.name == "state.db" for path in files)
    everything = {str(path): path.read_bytes() for path in files} | {
        f"output {number}": text.encode() for number, text in enumerate(said)
    }
    found = [(name, secret) for name, content in everything.items() for secret in secrets if secret.encode() in content]
    assert found == []
    assert any("the mail server answered 550: no *** with *** for ***" in text for text in said)


def test_doctor_says_whether_each_address_is_there_without_sending(run, routes, webhook):
    routes({"hook": {"url": webhook.url}, "later": {"url_env": "NOT_SET"}})
    found = {one["what"]: one for one in json.loads(run("doctor", "--json")[1])}
    assert found["route hook"]["ok"]
    assert "sereno notify test hook" in found["route hook"]["found"]
    assert not found["route later"]["ok"]
    assert "NOT_SET" in found["route later"]["found"]
    assert webhook.posts == []
