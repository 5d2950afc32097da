"""The report of one night: one HTML file that opens anywhere without a network, and the same as JSON beside it."""

from __future__ import annotations

import json
import math
import numbers
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

from schemas.errors import SerenoError, UsageError
from schemas.failpoints import durable
from schemas.results import NightReport
from tasks import report_text
from tasks.report_mask import masked
from tasks.report_template import PAGES, environment, replace_file, write_file
from tasks.report_view import Limits, build_page

MOST_BYTES = 1_500_000
_ISO_DATE = re.compile(r"\d{4}-\d{2}-\d{2}")
_MARKDOWN = re.compile(r"([\\`*_{}\[\]()#+\-.!|~<>&:@/])")
_ENTITIES = {"<": "&lt;", ">": "&gt;", "&": "&amp;"}


@dataclass(frozen=True)
class ReportPaths:
    """Where a report was written."""

    html: Path
    json: Path


def draft_paths(folder: Path, night: str, run_id: str) -> ReportPaths:
    """Return where a run keeps its report until it is over."""
    return ReportPaths(folder / f".{night}.{run_id}.draft.html", folder / f".{night}.{run_id}.draft.json")


def write_report(report: NightReport, folder: Path, *, draft_of: str | None = None) -> ReportPaths:
    """Write ``DATE.html`` and ``DATE.json``, each at once or not at all.

    Values of sensitive columns are masked in both.

    Args:
        report: The night; most of it may be absent.
        folder: Where this dataset's reports lie; made where missing.
        draft_of: A run that is not over: its drafts are written, and `tasks.page_drafts` puts them in their place.

    Raises:
        UsageError: The night's date is no date, so that it cannot name a file.
        SerenoError: The folder cannot be written.
    """
    night = report.result.date
    if not _is_date(night):
        raise UsageError(f"The report's date {night[:40]!r} is not a date.", hint="Write the date as YYYY-MM-DD.")
    shown = masked(report)
    page = _page(shown).encode("utf-8", "replace")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if draft_of is None:
            paths = ReportPaths(folder / f"{night}.html", folder / f"{night}.json")
            # The page links to the JSON, so that comes first.
            replace_file(paths.json, _json(shown))
            replace_file(paths.html, page)
        else:
            paths = draft_paths(folder, night, draft_of)
            # The JSON last: a draft that has one is whole.
            write_file(paths.html, page)
            with durable("report.draft"):
                write_file(paths.json, _json(shown))
    except OSError as error:
        raise SerenoError(
            f"{report.result.dataset} {night}: the report cannot be written to {folder}: {error.strerror or error}",
            hint=f"free some space or make it writable, then: sereno run {report.result.dataset} --date {night}",
        ) from error
    return paths


def report_html(report: NightReport) -> str:
    """Render the page of one night, masked, always below 1.5 MB."""
    return _page(masked(report))


def report_json(report: NightReport) -> str:
    """Render a night as JSON, masked; a number that is not finite becomes null."""
    return _json(masked(report)).decode()


def night_artifact_markdown(report: NightReport) -> str:
    """Render the night in a few lines of Markdown, for an artifact of the flow run; all values are escaped."""
    result, rows = report.result, report.result.rows
    figures = (rows.read, rows.accepted, rows.quarantined, rows.held, result.alerts)
    cells = [*(report_text.count(n) for n in figures), _escaped(result.model.version or "none")]
    lines = [
        f"## {_escaped(result.dataset)}, {_escaped(result.date)}: {_escaped(result.status)}",
        "",
        *([_escaped(result.reason, 400), ""] if result.reason else []),
        "| read | accepted | quarantined | held | alerts | version |",
        "|---:|---:|---:|---:|---:|---|",
        f"| {' | '.join(cells)} |",
    ]
    if result.report:
        lines += ["", f"Report: {_report_link(result.report)}"]
    return "\n".join(lines) + "\n"


def _report_link(address: str) -> str:
    path = Path(address)
    shown = _escaped(address, 400)
    # Anything that is not a plain absolute path is text, never a link.
    if path.is_absolute() and address.isprintable():
        return f"[{shown}](<{path.as_uri()}>)"
    return shown


def _escaped(value: str, limit: int = 120) -> str:
    shown, cut = report_text.shortened(value, limit)
    return _MARKDOWN.sub(lambda m: _ENTITIES.get(m.group(), "\\" + m.group()), shown) + ("…" if cut else "")


def _is_date(text: str) -> bool:
    if not _ISO_DATE.fullmatch(text):
        return False
    try:
        date.fromisoformat(text)
    except ValueError:
        return False
    return True


def _page(report: NightReport) -> str:
    template = environment().get_template("night.html")
    limits = Limits()
    # What suits an ordinary night can be too much where every value is as long as it may be: then show less.
    while True:
        page = build_page(report, limits)
        html = template.render(
            page=page, report=page.report, result=page.report.result, dated=_is_date(report.result.date)
        )
        smaller = limits.halved()
        if len(html.encode("utf-8", "replace")) < MOST_BYTES or smaller == limits:
            return html
        limits = smaller


def _json(report: NightReport) -> bytes:
    text = json.dumps(_plain(report.model_dump()), ensure_ascii=False, indent=1, allow_nan=False)
    # A lone surrogate cannot be UTF-8; its backslash form is valid JSON.
    return (text + "\n").encode("utf-8", "backslashreplace")


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_plain(item) for item in value]
    if value is None or isinstance(value, str | bool):
        return value
    # The number classes of numpy, too, which json would refuse.
    if isinstance(value, numbers.Integral):
        return int(value)
    if isinstance(value, numbers.Real):
        return float(value) if math.isfinite(value) else None
    return str(value)


__all__ = [
    "MOST_BYTES",
    "PAGES",
    "ReportPaths",
    "draft_paths",
    "night_artifact_markdown",
    "report_html",
    "report_json",
    "write_report",
]
