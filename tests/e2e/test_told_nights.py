"""Whole nights are told: mail with the night's report, a webhook, and no address anywhere in the project."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

# A minute and more: two nights, of which one trains, with their messages.
pytestmark = [pytest.mark.e2e, pytest.mark.slow]

FIRST, BLOCKED = "2026-03-02", "2026-03-07"


def test_a_night_with_alerts_and_a_blocked_one_are_told(
    simulated: Path, tmp_path: Path, sereno, mailbox, webhook
) -> None:
    root = tmp_path / "project"
    shutil.copytree(simulated, root)
    dataset = root / "datasets" / "flows.yaml"
    dataset.write_text(dataset.read_text(encoding="utf-8").replace(str(simulated), str(root)), encoding="utf-8")
    addresses = {
        "SERENO_NOTIFY__ROUTES__MAIL__URL": mailbox.url_with_login,
        "SERENO_NOTIFY__ROUTES__HOOK__URL": webhook.url,
    }
    done = sereno("--project", root, "--verbose", "run", "flows", "--date", FIRST, "--json", **addresses)
    assert done.code == 0, done.err
    night = done.json
    assert night["alerts"] > 0
    (mail,) = mailbox.mails
    assert mail["Subject"] == f"Sereno: flows {FIRST}: {night['alerts']} alerts"
    (report,) = mail.iter_attachments()
    # What stands at the page's place once its night counts, not the draft before.
    assert report.get_payload(decode=True) == Path(night["report"]).read_bytes()
    text = mail.get_body(("plain",)).get_content()
    assert "The worst" in text
    assert f"sereno scores flows --date {FIRST}" in text
    assert webhook.posts[0].json["kind"] == "night_done"
    assert "1. key " in webhook.posts[0].json["message"]

    webhook.does = 500
    held = sereno("--project", root, "validate", "flows", "--date", BLOCKED, **addresses)
    assert held.code == 3
    assert "route `hook` did not take a message: the receiver answered 500" in held.err
    assert mailbox.mails[1]["Subject"] == f"Sereno: flows {BLOCKED}: Blocked"
    assert f"sereno run flows --date {BLOCKED} --accept" in mailbox.mails[1].get_body(("plain",)).get_content()

    files = [path for path in root.rglob("*") if path.is_file()]
    assert any("prefect" in str(path) for path in files)
    for secret in (mailbox.PASSWORD, "night-shift@example.org", "s3cr3t-path"):
        assert [str(path) for path in files if secret.encode() in path.read_bytes()] == []
        assert secret not in done.out + done.err + held.out + held.err
