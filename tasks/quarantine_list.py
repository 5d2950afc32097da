"""What stands in the quarantine, for a person who looks: counts by night, column and rule, then rows."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date as Date
from typing import TYPE_CHECKING, Any

from schemas.errors import UsageError
from schemas.tables import quarantined_schema
from tasks.gone import refuse_gone
from tasks.quarantine import added
from tasks.release_rows import QuarantinedRow, rows_of, why_not

if TYPE_CHECKING:
    import pyarrow as pa

    from infra.runtime.releases import Release
    from schemas.dataset import Dataset
    from tasks.services import Services

NIGHTS = 14
LONGEST_LINE = 18  # digits; the lake has 64 bits for a line


@dataclass(frozen=True)
class Choice:
    """Which quarantined rows are meant; what is not given restricts nothing.

    Args:
        column: Rows that failed in this column.
        rule: Rows that failed this rule.
        key: Rows of this key.
        place: The row of this file and line.
    """

    column: str | None = None
    rule: str | None = None
    key: str | None = None
    place: tuple[str, int] | None = None

    def words(self) -> str:
        """For messages."""
        place = f"{self.place[0]}:{self.place[1]}" if self.place else None
        said = [("column", self.column), ("rule", self.rule), ("key", self.key), ("line", place)]
        return ", ".join(f"{name} {value}" for name, value in said if value is not None)

    def fits(self, file: str, line: int, key: str, failures: Iterable[tuple[str, str]], *, all_of: bool) -> bool:
        """Whether a row is meant.

        Args:
            file: Its source file.
            line: Its line.
            key: Its key.
            failures: (column, rule) of each failure.
            all_of: Whether column and rule must name each of its failures, not just one.
        """
        if self.key is not None and key != self.key:
            return False
        if self.place is not None and (file, line) != self.place:
            return False
        named = [self.column in (None, column) and self.rule in (None, rule) for column, rule in failures]
        return all(named) if all_of else any(named)

    def fits_row(self, row: QuarantinedRow, *, all_of: bool = False) -> bool:
        """Whether a quarantined row is meant; see `fits`."""
        failures = [(failure.column, failure.rule) for failure in row.failures]
        return self.fits(row.file, row.line, row.key, failures, all_of=all_of)


@dataclass(frozen=True)
class Listed:
    """What `quarantine list` shows.

    Args:
        counts: Rows for each (night, column, rule); newest night first, then by rows.
        rows: The first rows, each with its night.
        total: Rows in all.
    """

    counts: tuple[tuple[Date, str, str, int], ...]
    rows: tuple[tuple[Date, QuarantinedRow], ...]
    total: int


def place_of(text: str) -> tuple[str, int]:
    """Read ``FILE:LINE``.

    Raises:
        UsageError: It is none.
    """
    file, colon, line = text.rpartition(":")
    if not (colon and file and _is_line(line)):
        raise UsageError(f"{text!r} is not FILE:LINE", hint="for example: flows-2026-09-01.csv.gz:17")
    return file, int(line)


def _is_line(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= LONGEST_LINE


def list_quarantine(
    services: Services, dataset: Dataset, choice: Choice, *, night: Date | None, most: int, nights: int = NIGHTS
) -> Listed:
    """Count and list quarantined rows.

    Args:
        services: The stores.
        dataset: The dataset.
        choice: Only rows that fit.
        night: Only this night; else the newest ones.
        most: Rows that are listed in all.
        nights: How many nights, where none is named.
    """
    counts: list[tuple[Date, str, str, int]] = []
    rows: list[tuple[Date, QuarantinedRow]] = []
    total = 0
    for day, version in _pins(services, dataset, night, nights):
        records = records_of(services, dataset, day, version, raw=False)
        found = [row for row in rows_of(records) if choice.fits_row(row)]
        total += len(found)
        rows += [(day, row) for row in found[: max(0, most - len(rows))]]
        by_rule = added([_counts(found, choice)])
        counts += [(day, column, rule, number) for (column, rule), number in by_rule.items()]
    return Listed(tuple(counts), tuple(rows), total)


def show_row(
    services: Services, dataset: Dataset, text: str, *, night: Date | None, nights: int = NIGHTS
) -> tuple[tuple[Date, QuarantinedRow], ...]:
    """The quarantined rows that ``FILE:LINE`` or a key names, with all that is known of each.

    Raises:
        UsageError: There is none.
    """
    choices = [Choice(key=text)]
    file, colon, line = text.rpartition(":")
    if colon and file and _is_line(line):
        choices.insert(0, Choice(place=(file, int(line))))
    found: list[tuple[Date, QuarantinedRow]] = []
    for day, version in _pins(services, dataset, night, nights):
        records = records_of(services, dataset, day, version, raw=True)
        rows = rows_of(_likely(records, choices))
        found += [(day, row) for row in rows if any(choice.fits_row(row) for choice in choices)]
    if not found:
        when = f"on {night}" if night else f"on the last {nights} nights"
        raise UsageError(
            f"{dataset.name}: no quarantined row {text} {when}",
            hint=f"list them with: sereno quarantine list {dataset.name}",
        )
    return tuple(found)


def releases_like(
    services: Services, dataset: Dataset, choice: Choice, night: Date | None, *, all_of: bool = False
) -> tuple[Release, ...]:
    """Rows that were released and fit, oldest release first."""
    return tuple(
        release
        for release in services.state.releases(dataset.name, night)
        if choice.fits(release.row.file, release.row.line, release.row.key, release.row.failures, all_of=all_of)
    )


def records_of(services: Services, dataset: Dataset, night: Date, version: int, *, raw: bool) -> pa.Table:
    """A night's quarantine at a pinned version."""
    schema = quarantined_schema()
    columns = [name for name in schema.names if raw or name != "raw"]
    return services.lake.read(dataset.name, "quarantined", {night: version}, columns=columns)


def as_dict(night: Date, row: QuarantinedRow, dataset: Dataset) -> dict[str, Any]:
    """A row for `--json`; `raw` where it was read."""
    refused = why_not(row, dataset, as_missing=False)
    values: dict[str, Any] = {
        "date": night.isoformat(),
        "file": row.file,
        "line": row.line,
        "key": row.key,
        "failures": [{"column": f.column, "rule": f.rule, "value": f.value} for f in row.failures],
        "can_be_released": refused is None,
        "why_not": refused,
    }
    return {**values, "raw": row.raw} if row.raw else values


def _likely(records: pa.Table, choices: list[Choice]) -> pa.Table:
    """Records that may be meant, before each is looked at."""
    import pyarrow.compute as pc

    keys = [choice.key for choice in choices if choice.key is not None]
    lines = [choice.place[1] for choice in choices if choice.place is not None]
    return records.filter(pc.or_(_in(records, "sereno_key", keys), _in(records, "sereno_line", lines)))


def _in(records: pa.Table, name: str, values: list[Any]) -> pa.ChunkedArray:
    import pyarrow as pa
    import pyarrow.compute as pc

    return pc.is_in(records[name], pa.array(values, records.schema.field(name).type))


def _pins(services: Services, dataset: Dataset, night: Date | None, nights: int) -> list[tuple[Date, int]]:
    if night is not None:
        refuse_gone(services.state, dataset.name, night, "quarantined")
        return sorted(services.state.pins(dataset.name, "quarantined", [night]).items())
    runs = services.state.history(dataset.name, None, nights, table="quarantined")
    return [(run.night, run.versions["quarantined"]) for run in runs]


def _counts(rows: list[QuarantinedRow], choice: Choice) -> dict[tuple[str, str], int]:
    counts: dict[tuple[str, str], int] = {}
    for row in rows:
        for failure in row.failures:
            name = (failure.column, failure.rule)
            if choice.column in (None, failure.column) and choice.rule in (None, failure.rule):
                counts[name] = counts.get(name, 0) + 1
    return counts
