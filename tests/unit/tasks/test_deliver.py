"""What the sending process makes of addresses and of what Apprise logs."""

from __future__ import annotations

import json
import logging
import subprocess
import sys

import pytest

from schemas.notify_address import SERVICES
from tasks.courier import Courier, Unsendable
from tasks.deliver import Unusable, open_receiver
from tasks.deliver_reason import described

# Apprise's mail plugin imports it, for PGP; in the sending process nobody hears of it.
pytestmark = pytest.mark.filterwarnings("ignore:'imghdr' is deprecated:DeprecationWarning")

WORKFLOW = (
    "https://prod-1.westeurope.logic.azure.com:443/workflows/643e69f83c8944438d68119179a10a64/triggers/manual/paths/"
    "invoke?api-version=2016-06-01&sp=%2Ftriggers%2Fmanual%2Frun&sv=1.0&sig=KODuebWbDGYFr0z0eu"
)
LETTER = {
    "subject": "Sereno: flows",
    "text": "value @everyone",
    "html": "<p>value @everyone</p>",
    "severity": "high",
    "fields": {"kind": "test"},
    "attachment": None,
}


@pytest.mark.parametrize(
    ("address", "plugin"),
    [
        ("slack://T1JJ3T3L2/A1BRTD4JD/TIiajkdnlazkcOXrIdevi7FQ/#general", "NotifySlack"),
        ("slack://xoxb-1234-1234-4ddbc191d40ee098cbaae6f3523ada2d/#general", "NotifySlack"),
        ("https://hooks.slack.com/services/T1JJ3T3L2/A1BRTD4JD/TIiajkdnlazkcOXrIdevi7FQ", "NotifySlack"),
        ("workflows://prod-1.westeurope.logic.azure.com:443/643e69f83c8944/signature", "NotifyWorkflows"),
        (WORKFLOW, "NotifyWorkflows"),
        ("discord://123456789/abcdefghijkl", "NotifyDiscord"),
        ("tgram://123456789:abcdefg_hijklmnop/12315544", "NotifyTelegram"),
        ("pagerduty://key@apikey", "NotifyPagerDuty"),
        ("opsgenie://apikey", "NotifyOpsgenie"),
        ("ntfys://topic", "NotifyNtfy"),
        ("mailtos://ana:secret@example.org?to=ops@example.org", "NotifyEmail"),
        ("https://example.org/hook?token=x", "NotifyJSON"),
        ("http://127.0.0.1:8080/hook", "NotifyJSON"),
        ("jsons://example.org/hook", "NotifyJSON"),
        ("xmls://example.org/hook", "NotifyXML"),
        ("forms://example.org/hook", "NotifyForm"),
    ],
)
def test_an_address_is_known_in_the_forms_that_services_give_out(address, plugin):
    assert type(open_receiver(address).plugin).__name__ == plugin


def test_each_service_that_is_allowed_is_one_of_apprise():
    from apprise.manager_plugins import NotificationManager

    assert set(NotificationManager().schemas()) >= SERVICES - {"http", "https"}


@pytest.mark.parametrize(
    ("address", "said"),
    [
        ("slack://s3cr3t", "invalid"),
        ("tgram://s3cr3t", "Unparseable Telegram URL"),
        ("mailtos://ana:s3cr3t@/", "Invalid"),
        ("exec://s3cr3t", "`exec` is not allowed"),
        ("json://example.org/s3cr3t", "not encrypted"),
    ],
)
def test_an_address_that_is_incomplete_or_not_allowed_is_told_without_it(address, said):
    with pytest.raises(Unusable, match=said) as error:
        open_receiver(address)
    assert "s3cr3t" not in str(error.value)
    assert error.value.__cause__ is None


def test_what_apprise_logs_reaches_no_other_logger(caplog, webhook):
    caplog.set_level(logging.DEBUG)
    webhook.does = 500
    assert open_receiver(webhook.url).take(LETTER) == "the receiver answered 500 Internal Server Error"
    assert [record for record in caplog.records if record.name.startswith("apprise")] == []
    assert logging.getLogger("apprise").propagate


def test_programs_get_a_value_as_it_is_and_chats_one_that_wakes_nobody(webhook, monkeypatch):
    receiver = open_receiver(f"json://127.0.0.1:{webhook.port}/hook?:kind=own&:more=1")
    assert receiver.take(LETTER) is None
    posted = webhook.posts[0].json
    assert (posted["message"], posted["type"]) == ("value @everyone", "failure")
    assert (posted["kind"], posted["more"]) == ("own", "1")
    chat = open_receiver(f"mmost://127.0.0.1:{webhook.port}/abcdefghijklmnop")
    assert chat.take(LETTER) is None
    assert "value @\N{WORD JOINER}everyone" in json.loads(webhook.posts[1].body)["text"]


def test_a_text_that_is_longer_than_a_chat_takes_comes_in_parts(webhook):
    chat = open_receiver(f"mmost://127.0.0.1:{webhook.port}/abcdefghijklmnop")
    assert chat.take({**LETTER, "text": "word " * 2_000}) is None
    parts = [post.json["text"] for post in webhook.posts]
    assert len(parts) > 1
    assert sum(part.count("word") for part in parts) == 2_000


def test_a_plugin_that_raises_has_not_taken_the_message(webhook, monkeypatch):
    receiver = open_receiver(webhook.url)

    def breaks(**_):
        raise RuntimeError(f"cannot reach {webhook.url}")

    monkeypatch.setattr(receiver.plugin, "notify", breaks)
    said = receiver.take(LETTER)
    assert said.startswith("RuntimeError: cannot reach ")
    assert "s3cr3t-path" not in said


@pytest.mark.parametrize(
    ("heard", "said"),
    [
        ("Failed to send JSON POST notification: Not Found, error=404.", "the receiver answered 404 Not Found"),
        ("error=799.", "the receiver answered 799 an unknown status"),
        ("Socket Exception: (535, b'5.7.8 no ana')", "the mail server answered 535: 5.7.8 no ***"),
        ("Socket Exception: {'ana@example.org': (550, b'no such user')}", "the mail server answered 550: no such user"),
        ("[SSL: CERTIFICATE_VERIFY_FAILED] self-signed", "the certificate of the receiver is not accepted"),
        ("[Errno -2] Name or service not known", "the name of the host is not known"),
        ("[Errno 101] Network is unreachable", "the network does not lead to the host"),
        ("STARTTLS extension not supported by server.", "no encrypted connection could be made"),
        ("Something odd about example.org and ana.", "Something odd about *** and ***."),
    ],
)
def test_a_reason_is_put_in_words(heard, said):
    address = "mailtos://ana:s3cr3t@example.org"
    assert described([("DEBUG", "Email To: ops"), ("WARNING", heard)], address) == said


def test_a_reason_is_bounded_and_cannot_act_on_a_terminal():
    said = described([("WARNING", "\x1b[2J\n" + "x" * 5_000)], "https://example.org")
    assert len(said) < 310
    assert "\x1b" not in said


def test_the_sending_process_ends_with_its_courier(webhook, no_leftover_processes):
    with Courier(webhook.url) as courier:
        assert courier.send(LETTER) is None
    with pytest.raises(Unsendable), Courier("slack://x"):
        pass


def test_a_sending_process_whose_parent_is_gone_ends(webhook):
    child = subprocess.Popen(
        [sys.executable, "-P", "-m", "tasks.deliver"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    child.stdin.write(json.dumps({"address": webhook.url, "insecure": False, "seconds": 5}).encode() + b"\n")
    child.stdin.flush()
    assert json.loads(child.stdout.readline()) == {"reason": None}
    child.stdin.close()
    assert child.wait(timeout=60) == 0
    child.stdout.close()
