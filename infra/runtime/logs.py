"""Logging: words on a terminal, JSON lines elsewhere, a file a run, and no secret in any of them."""

from __future__ import annotations

import json
import logging
import re
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TextIO

from pydantic import BaseModel

from schemas.secrets import secrets_in
from schemas.spelling import spelled_out

MASK = "***"
_QUIET_LOGGERS = ("alembic", "botocore", "distributed", "fsspec", "great_expectations", "httpx", "matplotlib", "mlflow")
_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}
_PATTERNS = (
    (re.compile(r"(?i)([a-z][a-z0-9+.-]*://[^\s/:@]*:)[^\s@]+(@)"), rf"\g<1>{MASK}\g<2>"),
    (re.compile(r"\b(sereno_\d+_)[0-9a-f]{16,}"), rf"\g<1>{MASK}"),
    (re.compile(r"(?i)\b((?:bearer|basic)\s+)[a-z0-9._~+/=-]{8,}"), rf"\g<1>{MASK}"),
    (
        re.compile(
            r"(?i)((?:password|passwd|secret|token|api[_-]?key|access[_-]?key|auth[_-]?string|sig|signature)"
            r"[\"']?\s*[=:]\s*[\"']?)[^\s\"'&,;]+"
        ),
        rf"\g<1>{MASK}",
    ),
)


class SecretFilter(logging.Filter):
    """Masks secrets in what a handler is about to write.

    Args:
        values: Texts that must never appear, for example from `secrets_of`.
    """

    def __init__(self, values: Iterable[str] = ()) -> None:
        super().__init__()
        # The longest first: one secret may begin with another.
        self._values = sorted({value for value in values if len(value) >= 4}, key=len, reverse=True)

    def filter(self, record: logging.LogRecord) -> bool:
        """Mask the record's text and its exception's, and let it pass."""
        record.msg = self.mask(record.getMessage())
        record.args = None
        if record.exc_info and not record.exc_text:
            record.exc_text = logging.Formatter().formatException(record.exc_info)
        if record.exc_text:
            record.exc_text = self.mask(record.exc_text)
        return True

    def mask(self, text: str) -> str:
        """Return the text without its secrets."""
        for value in self._values:
            text = text.replace(value, MASK)
        for pattern, shown in _PATTERNS:
            text = pattern.sub(shown, text)
        return text


def secrets_of(settings: BaseModel) -> list[str]:
    """Return the values of every setting that is marked secret."""
    return [secret.get_secret_value() for _, secret in secrets_in(settings)]


class JsonLines(logging.Formatter):
    """One JSON object a line: at, level, logger, message, and what was given as `extra`.

    Args:
        tracebacks: Whether an exception's traceback is among it.
    """

    def __init__(self, *, tracebacks: bool = True) -> None:
        super().__init__()
        self._tracebacks = tracebacks

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        line: dict[str, Any] = {
            "at": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        line.update({name: value for name, value in vars(record).items() if name not in _STANDARD})
        if record.exc_text and self._tracebacks:
            line["exception"] = record.exc_text
        return json.dumps(line, default=str, ensure_ascii=False)


class Words(logging.Formatter):
    """`02:31:07 message` for a person; the level where it is not plain information.

    Args:
        tracebacks: Whether an exception's traceback stands below.
    """

    def __init__(self, *, tracebacks: bool = True) -> None:
        super().__init__()
        self._tracebacks = tracebacks

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        level = "" if record.levelno == logging.INFO else f"{record.levelname.lower()}: "
        text = f"{datetime.fromtimestamp(record.created).astimezone():%H:%M:%S} {level}{record.getMessage()}"
        return spelled_out(f"{text}\n{record.exc_text}" if record.exc_text and self._tracebacks else text)


def set_up_logging(
    *,
    secrets: Iterable[str] = (),
    level: int = logging.INFO,
    stream: TextIO | None = None,
    as_json: bool | None = None,
    unheard: tuple[str, ...] = (),
) -> SecretFilter:
    """Send the root logger's records to standard error; repeated calls replace the first.

    Tracebacks are shown where plain information is shown, too: else they stand in the run's own log.

    Args:
        secrets: Texts to mask.
        level: The least level that is shown.
        stream: Standard error where None.
        as_json: JSON lines or words; None decides by whether the stream is a terminal.
        unheard: Loggers, with all below them, that are left to their own handlers and to `run_log`.

    Returns:
        The filter, for `run_log` and for masking other texts.
    """
    to = stream or sys.stderr
    masking = SecretFilter(secrets)
    handler = logging.StreamHandler(to)
    handler.set_name("sereno")
    form = JsonLines if (not to.isatty() if as_json is None else as_json) else Words
    handler.setFormatter(form(tracebacks=level <= logging.INFO))
    handler.addFilter(masking)
    # On the handler, not the root: a library's logger has a level of its own, and a run's log file wants more.
    handler.setLevel(level)
    handler.addFilter(lambda record: not f"{record.name}.".startswith(tuple(f"{name}." for name in unheard)))
    root = logging.getLogger()
    for old in [old for old in root.handlers if old.get_name() == "sereno"]:
        root.removeHandler(old)
    root.addHandler(handler)
    root.setLevel(min(level, logging.INFO))
    for name in _QUIET_LOGGERS:
        logging.getLogger(name).setLevel(logging.WARNING)
    return masking


@contextmanager
def run_log(folder: Path, run_id: str, masking: SecretFilter | None = None) -> Iterator[Path]:
    """Write every record of the block to ``FOLDER/RUN.jsonl`` too, and yield that path.

    A log that cannot be written is told once; what it was to hold goes on.
    """
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    path = folder / f"{run_id}.jsonl"
    handler = _RunFile(path, encoding="utf-8")
    handler.setFormatter(JsonLines())
    handler.addFilter(masking or SecretFilter())
    root = logging.getLogger()
    root.addHandler(handler)
    try:
        yield path
    finally:
        root.removeHandler(handler)
        with suppress(OSError):  # what a full disk did not take
            handler.close()


class _RunFile(logging.FileHandler):
    """A log file whose disk may be full."""

    _told = False

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: ARG002, N802 -- the library's name and argument
        """Say the first time that the log ends here."""
        if not self._told:
            self._told = True
            sys.stderr.write(spelled_out(f"warning: {self.baseFilename} cannot be written: {sys.exception()}\n"))
