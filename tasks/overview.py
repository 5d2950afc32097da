"""One page a night over all datasets, ``reports/DATE.html``, and the newest of them as ``reports/index.html``."""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from datetime import date as Date
from pathlib import Path
from typing import TYPE_CHECKING, Any

from schemas.errors import SerenoError
from tasks.overview_rows import NEEDS, Overview, overview_of
from tasks.report import MOST_BYTES
from tasks.report_template import environment, replace_file

if TYPE_CHECKING:
    from tasks.services import Services

logger = logging.getLogger("sereno.overview")
MOST_ROWS = 1_000
MOST_TRIES = 20
INDEX = "index.html"
_PAGE = re.compile(r"(\d{4}-\d{2}-\d{2})\.html")


def write_overview(services: Services, date: Date) -> Path:
    """Write the overview of a night, and `index.html` anew: the newest night that has one.

    The state is read again after writing, until it is what the page says: of two nights that end at once, whichever
    writes last has seen both.

    Returns:
        The night's page.

    Raises:
        StateError: The state database cannot be read.
        SerenoError: The folder of the reports cannot be written.
    """
    folder = services.project.reports
    page = folder / f"{date.isoformat()}.html"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for _ in range(MOST_TRIES):
            seen = _write(services, date, folder)
            if seen == _look(services, date, folder):
                break
    except OSError as error:
        raise SerenoError(
            f"The overview of {date} cannot be written to {folder}: {error.strerror or error}",
            hint=f"free some space or make it writable, then: sereno report --date {date}",
        ) from error
    return page


def refresh_overview(services: Services, date: Date) -> None:
    """Write the overview after a night; whatever hinders it is a warning in the log, and the night stands."""
    try:
        write_overview(services, date)
    except Exception as error:  # noqa: BLE001 -- a night that is done must not fail by a page
        logger.warning("the overview of %s was not written: %s", date, error)


def overview_json(overview: Overview) -> dict[str, Any]:
    """Return the overview as plain values, for `--json`."""
    rows = [
        {
            **asdict(row),
            "needs_a_person": row.state in NEEDS,
            "rows": row.rows.model_dump() if row.rows else None,
            "worst": row.worst.model_dump(mode="json") if row.worst else None,
            "drift": row.drift.model_dump(mode="json") if row.drift else None,
        }
        for row in overview.rows
    ]
    return {"date": overview.date, "need": overview.need, "alerts": overview.alerts, "datasets": rows}


def overview_html(overview: Overview, *, before: str = "", written: str = "") -> str:
    """Render an overview, always below 1.5 MB.

    Args:
        overview: What it shows.
        before: The night before that has an overview, as a date; empty: none.
        written: When it was written, ISO.
    """
    template = environment().get_template("overview.html")
    rows, cell = MOST_ROWS, 160
    while True:
        html = template.render(overview=overview, shown=overview.rows[:rows], cell=cell, before=before, written=written)
        if len(html.encode("utf-8", "replace")) < MOST_BYTES or (rows, cell) == (1, 1):
            return html
        rows, cell = max(1, rows // 2), max(1, cell // 2)


@dataclass(frozen=True)
class _Seen:
    """What the pages have to say: each night with the night before it, and which night the index shows."""

    nights: Mapping[str, tuple[Overview, str]]
    newest: str


def _look(services: Services, date: Date, folder: Path) -> _Seen:
    nights = sorted({date.isoformat(), *_nights(folder)})
    # A date that was mistyped has a page, and no night: it must not stay the newest for ever.
    came = (night for night in reversed(nights) if _came(services, night))
    newest = next(came, date.isoformat())
    wanted = {
        night: (
            overview_of(services, Date.fromisoformat(night)),
            max((other for other in nights if other < night), default=""),
        )
        for night in {date.isoformat(), newest}
    }
    return _Seen(wanted, newest)


def _came(services: Services, night: str) -> bool:
    """Whether any dataset had a run of this night that found something to do."""
    day = Date.fromisoformat(night)
    return any(run.status != "missing" for run in services.state.recent(night=day))


def _write(services: Services, date: Date, folder: Path) -> _Seen:
    seen = _look(services, date, folder)
    written = datetime.now(UTC).isoformat(timespec="seconds")
    for night, (overview, before) in seen.nights.items():
        content = overview_html(overview, before=before, written=written).encode("utf-8", "replace")
        names = [f"{night}.html"] * (night == date.isoformat()) + [INDEX] * (night == seen.newest)
        for name in names:
            replace_file(folder / name, content)
    return seen


def _nights(folder: Path) -> list[str]:
    found = [match.group(1) for path in folder.glob("*.html") if (match := _PAGE.fullmatch(path.name))]
    return [night for night in found if _is_date(night)]


def _is_date(text: str) -> bool:
    try:
        Date.fromisoformat(text)
    except ValueError:
        return False
    return True
