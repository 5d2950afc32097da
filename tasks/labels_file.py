"""Labels in a file: CSV, JSON lines or Parquet with columns `key` and `label`, and `note` and `date` where wanted."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping
from datetime import date as Date
from datetime import datetime
from pathlib import Path
from typing import Any

from schemas.errors import UsageError
from tasks.labels import Said

FORMS = (".csv", ".jsonl", ".parquet")
NEEDED = ("key", "label")


def read_labels(source: Path, night: Date | None) -> list[Said]:
    """What a file says of rows, in its order.

    Args:
        source: The file.
        night: The rows' night; where none is given, the file's column `date` says it.

    Raises:
        UsageError: The file is not there, has another form, lacks a column, or says no night.
    """
    suffix = source.suffix.lower()
    if suffix not in FORMS:
        raise UsageError(
            f"{source}: the form {suffix or 'without a suffix'} is not known", hint=f"write one of: {', '.join(FORMS)}"
        )
    try:
        rows = _read(source, suffix)
    except OSError as error:
        raise UsageError(f"{source} cannot be read: {error.strerror or error}", hint="check the file's name") from None
    except (ValueError, csv.Error) as error:
        raise UsageError(f"{source} is no {suffix[1:]} file: {str(error)[:200]}", hint="write it again") from None
    return [_said(source, place, row, night) for place, row in enumerate(rows, 1)]


def _read(source: Path, suffix: str) -> list[Mapping[str, Any]]:
    if suffix == ".parquet":
        import pyarrow.parquet as pq

        return list(pq.read_table(source).to_pylist())
    text = source.read_text(encoding="utf-8-sig")
    if suffix == ".csv":
        return list(csv.DictReader(io.StringIO(text, newline="")))
    rows = [json.loads(line) for line in text.split("\n") if line.strip()]
    if not all(isinstance(row, dict) for row in rows):
        raise ValueError("a line is no JSON object")
    return rows


def _said(source: Path, place: int, row: Mapping[str, Any], night: Date | None) -> Said:
    missing = [name for name in NEEDED if row.get(name) in (None, "")]
    if missing:
        raise UsageError(
            f"{source}, row {place}: no {' and no '.join(f'`{name}`' for name in missing)}",
            hint="name the columns `key` and `label`, and fill both in each row",
        )
    return Said(
        _night(source, place, row, night), str(row["key"]), str(row["label"]).strip(), str(row.get("note") or "")
    )


def _night(source: Path, place: int, row: Mapping[str, Any], night: Date | None) -> Date:
    said = row.get("date")
    if night is not None and said in (None, ""):
        return night
    try:
        moment = said.date() if isinstance(said, datetime) else said
        found = moment if isinstance(moment, Date) else Date.fromisoformat(str(moment or ""))
    except ValueError:
        raise UsageError(
            f"{source}, row {place}: it is not said of which night the row is",
            hint="give --date DATE, or fill a column `date` with YYYY-MM-DD",
        ) from None
    if night is not None and found != night:
        raise UsageError(
            f"{source}, row {place}: the row is of {found}, not of {night}", hint="leave --date out: the file says it"
        )
    return found
