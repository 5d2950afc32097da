from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator
from pathlib import Path

import pytest

from infra.runtime.logs import SecretFilter, run_log, secrets_of, set_up_logging
from infra.runtime.progress import Progress
from schemas.settings import Settings


@pytest.fixture(autouse=True)
def root_logger_as_before() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_terminal_gets_words_and_a_pipe_gets_json() -> None:
    terminal, pipe = Terminal(), io.StringIO()
    for stream in (terminal, pipe):
        set_up_logging(stream=stream)
        logging.getLogger("tasks.ingest").warning("three files", extra={"rows": 3})
    assert terminal.getvalue().rstrip().endswith("warning: three files")
    line = json.loads(pipe.getvalue())
    assert (line["level"], line["logger"], line["message"], line["rows"]) == (
        "warning",
        "tasks.ingest",
        "three files",
        3,
    )
    assert len(terminal.getvalue().splitlines()) == 1


def test_nothing_in_a_line_acts_on_a_terminal() -> None:
    terminal = Terminal()
    set_up_logging(stream=terminal)
    logging.getLogger("tasks.ingest").warning("no such file: %s", "a\x1b[2J\u202e")
    assert terminal.getvalue().endswith(r"a\x1b[2J\u202e" + "\n")


@pytest.mark.parametrize(
    ("text", "hidden"),
    [
        ("open postgresql+psycopg://ana:hunter2@db/x", "hunter2"),
        ("s3://key:se/cret@bucket", "se/cret"),
        ("PREFECT_API_AUTH_STRING=sereno:abcd1234", "abcd1234"),
        ("Authorization: Bearer abcdefghijkl", "abcdefghijkl"),
        ("Authorization: Basic YWxhZGRpbjpvcGVu", "YWxhZGRpbjpvcGVu"),
        ('{"api_key": "pnu_12345"}', "pnu_12345"),
        ("https://x/y?token=abc123&z=1", "abc123"),
        ("password: topsecret", "topsecret"),
        (f"got sereno_12_{'0f' * 32}.", "0f0f"),
    ],
)
def test_what_looks_like_a_secret_is_masked(text: str, hidden: str) -> None:
    masked = SecretFilter().mask(text)
    assert "***" in masked
    assert hidden not in masked


def test_plain_text_stays() -> None:
    text = "12 rows of flows at 2026-09-20T02:30:00, https://example.org/a:b, tokens: kept in report"
    assert SecretFilter().mask("https://example.org/path?x=1 12:30") == "https://example.org/path?x=1 12:30"
    assert SecretFilter().mask(text).startswith("12 rows of flows at 2026-09-20T02:30:00, https://example.org/a:b")


def test_settings_marked_secret_appear_nowhere(tmp_path: Path) -> None:
    settings = Settings.model_validate(
        {"database": "postgresql://u:longpassword@h/d", "prefect": {"api_key": "kkkk-1111"}}
    )
    stream = io.StringIO()
    masking = set_up_logging(secrets=secrets_of(settings), stream=stream)
    with run_log(tmp_path / "logs", "run-1", masking) as path:
        try:
            int("kkkk-1111")
        except ValueError:
            logging.getLogger("x").exception("with %s", "kkkk-1111")
    logging.getLogger("x").info("after the run")
    written = path.read_text(encoding="utf-8")
    for text in (stream.getvalue(), written):
        assert "kkkk-1111" not in text
        assert "ValueError" in text
    assert "after the run" not in written
    assert json.loads(written)["level"] == "error"


@pytest.mark.parametrize("as_json", [True, False], ids=["json", "words"])
@pytest.mark.parametrize("level", [logging.INFO, logging.WARNING], ids=logging.getLevelName)
def test_a_traceback_is_shown_only_to_who_asked_for_details(as_json: bool, level: int, tmp_path: Path) -> None:
    stream = io.StringIO()
    set_up_logging(stream=stream, level=level, as_json=as_json)
    with run_log(tmp_path, "run-1") as path:
        try:
            int("no number")
        except ValueError:
            logging.getLogger("x").exception("went wrong")
    assert "went wrong" in stream.getvalue()
    assert ("Traceback" in stream.getvalue()) == (level == logging.INFO)
    assert "Traceback" in path.read_text(encoding="utf-8")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no device that is always full")
def test_a_log_on_a_full_disk_is_told_once_and_ends_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "run-1.jsonl").symlink_to("/dev/full")
    with run_log(tmp_path, "run-1"):
        logging.getLogger("x").warning("one")
        logging.getLogger("x").warning("two")
    said = capsys.readouterr().err
    assert said.count("cannot be written") == 1
    assert "No space left on device" in said
    assert "Traceback" not in said


def test_progress_shows_on_a_terminal_only() -> None:
    terminal, pipe = Terminal(), io.StringIO()
    for stream in (terminal, pipe):
        progress = Progress(stream)
        progress.say("train  epoch 1\nof 2")
        progress.clear()
        progress.clear()
    assert "train epoch 1 of 2" in terminal.getvalue()
    assert pipe.getvalue() == ""
