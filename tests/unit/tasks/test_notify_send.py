"""Messages reach real receivers; one that is refused, hangs or is down is told, tried again, and never called sent."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from datetime import UTC, date, datetime, timedelta

import pytest

from infra.runtime.lake import Lake
from infra.runtime.notices import NOTICE_FAILED
from infra.runtime.project import Project
from infra.runtime.state import State
from schemas.failpoints import VARIABLE
from schemas.message import Message
from schemas.settings import Settings
from tasks.notify import send_now, send_waiting, tell, tell_fault
from tasks.notify_text import letter
from tasks.services import Services

NOW = datetime.now(UTC) + timedelta(hours=1)
NIGHT = date(2026, 9, 20)
FAILED = Message(
    kind="night_failed",
    about="night flows 2026-09-20 run-1",
    subject="flows 2026-09-20: Failed",
    severity="high",
    dataset="flows",
    night=NIGHT,
    lines=("The lake is away.",),
    report=True,
)


@pytest.fixture
def make_services(tmp_path):
    """Stores of a project with the routes that are given."""
    states = []

    def make(routes, **notify):
        project = Project(tmp_path)
        project.create_state()
        settings = Settings.model_validate({"notify": {"routes": routes, **notify}})
        state = State(f"sqlite:///{project.state / 'state.db'}").open()
        states.append(state)
        return Services(project, settings, Lake(project.lake), state, None)

    yield make
    for state in states:
        state.close()


def standing(services):
    """How each message stands: route, status, tries."""
    return sorted((notice.route, notice.status, notice.attempts) for notice in services.state.notices())


def test_a_webhook_takes_json_that_says_what_the_message_is_about(make_services, webhook):
    services = make_services({"hook": {"url": f"{webhook.url}?token=s3cr3t-t0ken&empty="}})
    assert tell(services, FAILED) == 1
    assert send_waiting(services, NOW).taken == 1
    (post,) = webhook.posts
    assert post.path == "/hook/s3cr3t-path?token=s3cr3t-t0ken&empty="
    assert post.headers["Content-Type"] == "application/json"
    assert post.json["title"] == "Sereno: flows 2026-09-20: Failed"
    assert post.json["message"].startswith("The lake is away.\n")
    about = {"kind": "night_failed", "severity": "high", "dataset": "flows", "night": "2026-09-20"}
    assert about.items() <= post.json.items()
    (notice,) = services.state.notices()
    assert (notice.status, notice.attempts, notice.error) == ("sent", 1, "")
    assert notice.sent_at is not None


def test_what_is_sent_is_not_sent_again_nor_told_again(make_services, webhook):
    services = make_services({"hook": {"url": webhook.url}})
    tell(services, FAILED)
    send_waiting(services, NOW)
    assert tell(services, FAILED) == 0
    assert send_waiting(services, NOW + timedelta(days=1), early=True).taken == 0
    assert len(webhook.posts) == 1


def test_a_mail_has_text_page_and_the_report_as_an_attachment(make_services, mailbox):
    services = make_services({"mail": {"url": mailbox.url_with_login}})
    page = services.project.report_file("flows", "2026-09-20")
    page.parent.mkdir(parents=True)
    page.write_text("<!doctype html><p>naïve report</p>", encoding="utf-8")
    tell(services, FAILED)
    assert send_waiting(services, NOW).refusals == ()
    assert mailbox.logins == [(mailbox.USER, mailbox.PASSWORD)]
    assert (mailbox.senders, mailbox.recipients) == (["sereno@example.org"], [["night-shift@example.org"]])
    (mail,) = mailbox.mails
    assert mail["Subject"] == "Sereno: flows 2026-09-20: Failed"
    assert mail["To"] == "night-shift@example.org"
    assert mail["Message-ID"]
    assert mail.defects == []
    assert "The lake is away." in mail.get_body(("plain",)).get_content()
    assert "<p" in mail.get_body(("html",)).get_content()
    (attached,) = mail.iter_attachments()
    assert (attached.get_filename(), attached.get_content_type()) == ("flows-2026-09-20.html", "text/html")
    content = attached.get_payload(decode=True)
    assert content == page.read_bytes()


@pytest.mark.parametrize(
    ("asked", "size", "attached"),
    [({}, 10, 1), ({"attach_report": False}, 10, 0), ({}, 6_000_000, 0), ({}, None, 0)],
    ids=["mail", "not-wanted", "too-large", "gone"],
)
def test_a_report_goes_along_where_it_is_wanted_there_and_not_too_large(make_services, mailbox, asked, size, attached):
    services = make_services({"mail": {"url": mailbox.url, **asked}})
    page = services.project.report_file("flows", "2026-09-20")
    if size is not None:
        page.parent.mkdir(parents=True)
        page.write_bytes(b"x" * size)
    tell(services, FAILED)
    assert send_waiting(services, NOW).taken == 1
    (mail,) = mailbox.mails
    assert len(list(mail.iter_attachments())) == attached
    assert str(page) in mail.get_body(("plain",)).get_content().replace("\n", "")


def test_a_webhook_gets_the_report_where_that_is_said(make_services, webhook):
    services = make_services({"hook": {"url": webhook.url, "attach_report": True}})
    page = services.project.report_file("flows", "2026-09-20")
    page.parent.mkdir(parents=True)
    page.write_text("<p>report</p>", encoding="utf-8")
    tell(services, FAILED)
    send_waiting(services, NOW)
    (attached,) = webhook.posts[0].json["attachments"]
    assert attached["filename"] == "flows-2026-09-20.html"


@pytest.mark.parametrize(
    ("does", "said"),
    [
        (500, "the receiver answered 500 Internal Server Error"),
        (401, "the receiver answered 401 Unauthorized"),
        (302, "the receiver answered 302 Found; redirects are not followed"),
        ("hang", "the receiver did not answer in time"),
        ("close", "the receiver closed the connection without an answer"),
    ],
)
def test_a_message_that_is_not_taken_waits_longer_each_time_until_it_is(make_services, webhook, does, said):
    services = make_services({"hook": {"url": webhook.url}}, timeout="2s" if does == "hang" else "20s")
    webhook.does = does
    tell(services, FAILED)
    (refusal,) = send_waiting(services, NOW).refusals
    assert (refusal.reason, refusal.tries) == (said, 1)
    (notice,) = services.state.notices()
    assert (notice.status, notice.error, notice.sent_at) == ("waiting", said, None)
    first = notice.not_before
    assert timedelta(seconds=60) <= first - NOW < timedelta(seconds=90)
    assert send_waiting(services, first - timedelta(seconds=1)).refusals == ()
    send_waiting(services, first)
    (notice,) = services.state.notices()
    assert timedelta(seconds=120) <= notice.not_before - first < timedelta(seconds=150)
    webhook.does = 200
    assert send_waiting(services, notice.not_before).taken == 1
    (notice,) = services.state.notices()
    assert (notice.status, notice.attempts, notice.error) == ("sent", 3, "")


def test_a_receiver_that_answers_a_byte_at_a_time_is_left_when_its_time_is_over(make_services, webhook):
    services = make_services({"hook": {"url": webhook.url}}, timeout="2s")
    webhook.does = "drip"
    tell(services, FAILED)
    (refusal,) = send_waiting(services, NOW).refusals
    assert refusal.reason == "the receiver did not take it within 2 s"
    assert standing(services) == [("hook", "waiting", 1)]


def test_a_receiver_that_is_down_gets_the_message_once_it_is_up(make_services, webhook, mailbox):
    services = make_services({"hook": {"url": webhook.url}, "mail": {"url": mailbox.url}})
    webhook.go_down()
    mailbox.says = "451 try again later"
    tell(services, FAILED)
    reasons = {refusal.route: refusal.reason for refusal in send_waiting(services, NOW).refusals}
    assert reasons == {
        "hook": "nobody answers at host and port: connection refused",
        "mail": "the mail server answered 451: try again later",
    }
    mailbox.says = "250 OK"
    assert send_waiting(services, NOW + timedelta(hours=1)).taken == 1
    assert standing(services) == [("hook", "waiting", 2), ("mail", "sent", 2)]


def test_after_enough_tries_a_message_is_given_up_which_is_an_event_and_comes_back_when_asked_for(
    make_services, webhook
):
    services = make_services({"hook": {"url": webhook.url}}, tries=2)
    webhook.does = 503
    tell(services, FAILED)
    send_waiting(services, NOW)
    (refusal,) = send_waiting(services, NOW + timedelta(hours=1)).refusals
    assert (refusal.tries, refusal.next_try) == (2, None)
    (event,) = services.state.events(kinds=[NOTICE_FAILED])
    assert (event.level, event.dataset, event.night) == ("error", "flows", NIGHT)
    assert "in 2 tries: the receiver answered 503" in event.text
    assert send_waiting(services, NOW + timedelta(days=9), early=True).refusals == ()
    webhook.does = 200
    assert services.state.revive_notices(NOW) == 1
    assert send_waiting(services, NOW).taken == 1
    assert standing(services) == [("hook", "sent", 1)]


def test_a_route_that_hangs_holds_up_no_other(make_services, webhook, mailbox):
    services = make_services({"hook": {"url": webhook.url}, "mail": {"url": mailbox.url}}, timeout="4s")
    webhook.does = "hang"
    for number in range(3):
        tell(services, FAILED.model_copy(update={"about": f"night {number}"}))
    assert send_waiting(services, NOW).taken == 3
    assert len(mailbox.mails) == 3
    # One try is enough to see that it hangs; the others were not begun.
    assert [(status, tries) for route, status, tries in standing(services) if route == "hook"] == [
        ("waiting", 0),
        ("waiting", 0),
        ("waiting", 1),
    ]


def test_a_message_that_a_receiver_refuses_does_not_hold_up_the_next_ones(make_services, webhook):
    services = make_services({"hook": {"url": webhook.url}})
    for number in range(5):
        tell(services, FAILED.model_copy(update={"about": f"night {number}"}))
    webhook.does = 400
    assert len(send_waiting(services, NOW).refusals) == 3
    webhook.does = 200
    assert send_waiting(services, NOW + timedelta(seconds=1)).taken == 2
    assert standing(services) == [("hook", "sent", 1)] * 2 + [("hook", "waiting", 1)] * 3


def test_what_cannot_be_sent_at_all_is_tried_again_as_well(make_services, webhook, monkeypatch, tmp_path):
    routes = {"env": {"url_env": "OPS_HOOK"}, "file": {"url_file": "secrets/hook"}, "odd": {"url": "slack://too-short"}}
    services = make_services(routes)
    tell(services, FAILED)
    reasons = {refusal.route: refusal.reason for refusal in send_waiting(services, NOW).refusals}
    assert reasons["env"] == "the variable OPS_HOOK, which holds the address, is not set"
    assert "secrets/hook: the file with the address cannot be read: No such file" in reasons["file"]
    assert reasons["odd"].startswith("the address cannot be used: ")
    assert "too-short" not in reasons["odd"]
    monkeypatch.setenv("OPS_HOOK", webhook.url)
    (tmp_path / "secrets").mkdir()
    (tmp_path / "secrets" / "hook").write_text(f"\n{webhook.url}\n", encoding="utf-8")
    assert send_waiting(services, NOW + timedelta(minutes=2)).taken == 2


def test_a_route_that_was_taken_out_gives_its_messages_up(make_services, webhook):
    services = make_services({"hook": {"url": webhook.url}})
    tell(services, FAILED)
    (refusal,) = send_waiting(make_services({}), NOW).refusals
    assert refusal.reason == "sereno.yaml has no such route any more"
    assert standing(services) == [("hook", "failed", 1)]


def test_two_processes_send_a_message_once(make_services, webhook):
    services = make_services({"hook": {"url": webhook.url}})
    tell(services, FAILED)
    (notice,) = services.state.due_notices(NOW)
    assert services.state.hold_notice(notice, NOW + timedelta(minutes=3)) is not None
    assert services.state.hold_notice(notice, NOW + timedelta(minutes=3)) is None
    assert send_waiting(services, NOW, early=True).taken == 0
    assert webhook.posts == []


def test_a_process_that_dies_between_sending_and_writing_sends_twice_rather_than_never(
    make_services, webhook, tmp_path
):
    services = make_services({"hook": {"url": webhook.url}})
    tell(services, FAILED)
    (tmp_path / "sereno.yaml").write_text(json.dumps({"notify": {"routes": {"hook": {"url": webhook.url}}}}))
    command = [sys.executable, "-P", "-m", "infra.cli.main", "--project", str(tmp_path), "notify", "send"]
    died = subprocess.run(command, env={**os.environ, VARIABLE: "notice.sent:before"}, check=False)
    assert died.returncode == -signal.SIGKILL
    (notice,) = services.state.notices()
    assert (notice.status, notice.attempts, len(webhook.posts)) == ("sending", 1, 1)
    later = notice.not_before
    assert send_waiting(services, later - timedelta(seconds=1), early=True).taken == 0
    assert send_waiting(services, later).taken == 1
    assert len(webhook.posts) == 2
    assert standing(services) == [("hook", "sent", 2)]


def test_a_message_whose_senders_died_each_time_is_given_up(make_services, webhook):
    services = make_services({"hook": {"url": webhook.url}}, tries=2)
    tell(services, FAILED)
    moment = NOW
    for _ in range(2):
        (notice,) = services.state.due_notices(moment)
        moment += timedelta(hours=1)
        services.state.hold_notice(notice, moment)
    (refusal,) = send_waiting(services, moment).refusals
    assert (refusal.reason, refusal.next_try) == ("whoever sent it died of it, each time", None)
    assert webhook.posts == []
    assert standing(services) == [("hook", "failed", 3)]


def test_a_message_that_cannot_be_written_holds_up_no_other(make_services, webhook, monkeypatch):
    services = make_services({"hook": {"url": webhook.url}})
    for about in ("odd", "usual"):
        tell(services, FAILED.model_copy(update={"about": about}))

    def breaks_once(message, page, *, attach):
        if message.about == "odd":
            raise KeyError("what")
        return letter(message, page, attach=attach)

    monkeypatch.setattr("tasks.notify_text.letter", breaks_once)
    sending = send_waiting(services, NOW)
    assert [refusal.reason for refusal in sending.refusals] == ["it cannot be put in words: KeyError"]
    assert sending.taken == 1


def test_without_routes_nothing_is_written_or_started(make_services, monkeypatch):
    services = make_services({})
    monkeypatch.setattr(subprocess, "Popen", None)
    assert tell(services, FAILED) == 0
    send_now(services)
    assert services.state.notices() == []


def test_the_command_is_warned_of_what_was_not_taken(make_services, webhook, caplog):
    services = make_services({"hook": {"url": webhook.url}})
    webhook.does = 500
    tell(services, FAILED)
    send_now(services)
    (record,) = caplog.records
    assert record.levelname == "WARNING"
    assert record.getMessage().startswith("route `hook` did not take a message: the receiver answered 500")


def test_two_broken_routes_tell_of_each_other_but_not_for_ever(make_services, webhook):
    services = make_services({"one": {"url": webhook.url}, "two": {"url": webhook.url}}, tries=1)
    webhook.does = 500
    services.state.put_notices(FAILED, ["one"])
    send_waiting(services, NOW)
    (event,) = services.state.events(kinds=[NOTICE_FAILED])
    newest = services.state.notices()[0]
    assert (newest.route, newest.message.kind, newest.status) == ("two", "fault", "waiting")
    assert tell_fault(services, event) == 0  # it is told already
    send_waiting(services, NOW + timedelta(days=1))
    assert len(services.state.events(kinds=[NOTICE_FAILED])) == 2
    assert standing(services) == [("one", "failed", 1), ("two", "failed", 1)]


@pytest.fixture
def self_signed(tmp_path):
    """Certificate and key of this machine that nobody vouches for."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key, name = ec.generate_private_key(ec.SECP256R1()), x509.Name.from_rfc4514_string("CN=localhost")
    made = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
    made = made.serial_number(1).not_valid_before(NOW - timedelta(days=2)).not_valid_after(NOW + timedelta(days=9))
    plain = serialization.NoEncryption()
    pem, pkcs8 = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
    path = tmp_path / "server.pem"
    path.write_bytes(key.private_bytes(pem, pkcs8, plain) + made.sign(key, hashes.SHA256()).public_bytes(pem))
    return path


def test_a_certificate_that_nobody_vouches_for_is_not_accepted_unless_that_is_said(make_services, webhook, self_signed):
    webhook.encrypt(self_signed)
    unchecked = f"jsons://127.0.0.1:{webhook.port}/hook?verify=no"
    services = make_services(
        {
            "strict": {"url": f"https://127.0.0.1:{webhook.port}/hook"},
            "unchecked": {"url": unchecked, "insecure": True},
        }
    )
    tell(services, FAILED)
    (refusal,) = send_waiting(services, NOW).refusals
    assert (refusal.route, refusal.reason) == ("strict", "the certificate of the receiver is not accepted")
    assert [post.path for post in webhook.posts] == ["/hook"]
    assert standing(services) == [("strict", "waiting", 1), ("unchecked", "sent", 1)]
