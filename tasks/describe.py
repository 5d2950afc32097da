"""What a report adds to a night's numbers: drift, like normal rows, what changed, contamination, the dataset file.

Descriptions never cost a night its report: what goes wrong in one of them becomes a warning of the result.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date as Date
from datetime import timedelta
from functools import cached_property
from typing import TYPE_CHECKING, Any, TypeVar

from infra.runtime.logs import SecretFilter, secrets_of
from schemas.errors import ForbiddenAddress, LockedNight, SerenoError
from schemas.results import Alert, Change, Drift, NightReport, NightResult, Status
from schemas.tables import accepted_schema
from tasks.gone import parted

if TYPE_CHECKING:
    from pathlib import Path

    import pyarrow as pa

    from infra.runtime.runs import Run
    from models.scoring import Scorer
    from tasks.night import Night

logger = logging.getLogger("sereno.night")
MOST_NIGHTS = 28
TONIGHTS_CANDIDATES, MOST_CANDIDATES = 2_500, 5_000
LAST_NIGHT_DAYS = 28
COMPARED = ("done", "partial", "blocked")
OWN = ("sereno_file", "sereno_line", "sereno_key", "sereno_hash")

T = TypeVar("T")


def described(night: Night, report: NightReport) -> NightReport:
    """The report with its descriptions; each that cannot be made leaves a warning with the night instead.

    Args:
        night: The night, wherever it ended.
        report: What its stages found.
    """
    known = _Known(night)
    update: dict[str, Any] = {}
    update["configuration"] = _tried(night, "the dataset file", dict[str, Any](), lambda: _configuration(night))
    update["drift"] = _tried(night, "the drift of the columns", None, lambda: _drift(known, report.result.status))
    if update["drift"] is not None:
        update["drift"] = _tried(
            night, "how the detector sees the night", update["drift"], lambda: _seen(known, update["drift"])
        )
    update["contamination"] = _tried(night, "the contamination assumed", None, lambda: _contamination(known))
    update["alerts"] = _tried(night, "like normal rows", report.alerts, lambda: _alerts(known, report.alerts))
    report = report.model_copy(update=update)
    since = _tried(night, "what changed since the last night", _Since(), lambda: _changes(night, report))
    return report.model_copy(update={"last_night": since.night, "changes": since.changes})


def _tried(night: Night, what: str, otherwise: T, make: Callable[[], T]) -> T:
    try:
        return make()
    except LockedNight:
        raise
    except Exception as error:
        logger.warning("%s %s: the report lacks %s", night.dataset.name, night.request.iso, what, exc_info=error)
        said = error.message if isinstance(error, SerenoError) else f"{type(error).__name__}: {str(error)[:300]}"
        night.warnings.append(f"the report lacks {what}: {said}")
        return otherwise


@dataclass(frozen=True)
class _Since:
    """The last night, and what is not as it was then."""

    night: str | None = None
    changes: tuple[Change, ...] = ()


@dataclass(eq=False)
class _Known:
    """Rows and detector that several descriptions need, each read once."""

    night: Night

    @cached_property
    def scorer(self) -> Scorer | None:
        """The version that scored; None where nothing was scored."""
        from models.scoring import Scorer

        night, version = self.night, self.night.model.version
        if night.scored is None or version is None:
            return None
        if night.trained is not None and night.challenger == version:
            return Scorer(night.trained.bundle, night.trained.bundle_hash)
        registry, name = night.services.registry, night.dataset.name
        return Scorer(registry.download(name, version), registry.version(name, version).bundle_hash)

    @cached_property
    def columns(self) -> list[str]:
        """What is read of a night: what is watched for drift and what the detector reads, never other free text."""
        from tasks.column_drift import watched_columns

        dataset = self.night.dataset
        entity = [dataset.entity] if dataset.entity else []
        try:
            read = self.scorer.columns if self.scorer is not None else ()
        except SerenoError:  # the like rows will say so; drift needs no detector
            read = ()
        wanted = {*watched_columns(dataset), *read, *entity, *OWN}
        return [name for name in accepted_schema(dataset).names if name in wanted]

    @cached_property
    def tonight(self) -> pa.Table:
        """Tonight's sample; of a night that was not preprocessed, the like rows of its accepted parts."""
        night = self.night
        if night.prepared is not None:
            return self._of([night.prepared.sample])
        return self._of(night.accepted_files or (night.validated.accepted if night.validated else ()))

    @cached_property
    def before(self) -> dict[Date, pa.Table]:
        """Samples of the nights before, each bounded, oldest first."""
        import pyarrow as pa

        from tasks.column_drift import bounded, by_night

        night = self.night
        there, _ = parted(night.window[-MOST_NIGHTS:])
        pinned = {run.night: run.versions["samples"] for run in there if "samples" in run.versions}
        found: dict[Date, pa.Table] = {}
        if not pinned:
            return found
        batches = night.services.lake.batches(
            night.dataset.name,
            "samples",
            pinned,
            columns=[*self.columns, "night"],
            schema=accepted_schema(night.dataset),
        )
        for batch in batches:
            for day, rows in by_night(pa.Table.from_batches([batch])).items():
                found[day] = bounded(pa.concat_tables([found[day], rows]) if day in found else rows)
        return dict(sorted(found.items()))

    def _of(self, parts: Sequence[Path]) -> pa.Table:
        import pyarrow as pa
        import pyarrow.parquet as pq

        from tasks.column_drift import bounded

        rows = [accepted_schema(self.night.dataset).empty_table().select(self.columns)]
        rows += [bounded(pq.read_table(part, columns=self.columns), TONIGHTS_CANDIDATES) for part in parts]
        return bounded(pa.concat_tables(rows), TONIGHTS_CANDIDATES)


def _drift(known: _Known, status: Status) -> Drift | None:
    from tasks.column_drift import bounded, drift_of, watched_columns

    night = known.night
    if night.validated is None and not night.accepted_files:
        return None
    counts = status in ("done", "partial")
    return drift_of(watched_columns(night.dataset), bounded(known.tonight), list(known.before.values()), counts=counts)


def _seen(known: _Known, drift: Drift) -> Drift:
    """The drift with what the version that scored makes of it, and a warning where that is far from usual."""
    from tasks.code_drift import detector_drift
    from tasks.drift_words import not_known

    night, version = known.night, known.night.model.version
    if known.scorer is None or version is None:
        reason = "Nothing was scored tonight, so it is not known what the detector makes of these rows."
        seen = not_known(night.dataset.name, None, drift.nights, reason)
    else:
        tonight = (night.request.date, known.tonight)
        seen = detector_drift(known.scorer.bundle, version, known.before, tonight, drift, night.dataset.name)
    if seen.is_far:
        night.warnings.append(f"drift, {seen.verdict}: {seen.message} {seen.advice} {seen.command}")
    return drift.model_copy(update={"detector": seen})


def _contamination(known: _Known) -> float | None:
    if known.scorer is None:
        return None
    detector = known.scorer.bundle.detector
    assumed = detector.get("summary", {}).get("contamination_assumed", detector.get("settings", {}).get("trim"))
    return None if assumed is None else float(assumed)


def _alerts(known: _Known, alerts: tuple[Alert, ...]) -> tuple[Alert, ...]:
    from tasks.like_row import rows_of_alerts, with_like_rows

    if not alerts or known.scorer is None:
        return alerts
    entity = known.night.dataset.entity
    columns = [*known.scorer.columns, *([entity] if entity else [])]
    rows = rows_of_alerts(alerts, known.night.accepted_files, columns)
    return with_like_rows(alerts, rows.to_pandas(), _candidates(known).to_pandas(), known.scorer, entity)


def _candidates(known: _Known) -> pa.Table:
    """Tonight's sample and those of the newest nights before, with their night as text; at most `MOST_CANDIDATES`."""
    import pyarrow as pa

    nights = [(known.night.request.date, known.tonight), *reversed(known.before.items())]
    tables, rows = [], 0
    for day, table in nights:
        taken = table.select(known.columns).slice(0, MOST_CANDIDATES - rows)
        rows += len(taken)
        tables.append(taken.append_column("night", pa.array([day.isoformat()] * len(taken), pa.string())))
    return pa.concat_tables(tables)


def _configuration(night: Night) -> dict[str, Any]:
    """The resolved dataset file without secrets in its addresses and without values of sensitive columns."""
    from tasks.report_mask import masked_configuration

    masking = SecretFilter(secrets_of(night.services.settings))
    resolved = night.dataset.resolved()
    source = resolved["source"]
    paths = [_shown(path, night) for path in night.dataset.source.paths]
    source["path"] = paths[0] if isinstance(source["path"], str) else paths
    sensitive = frozenset(name for name, column in night.dataset.columns.items() if column.sensitive)
    without: dict[str, Any] = _each_text(masked_configuration(resolved, sensitive), masking.mask)
    return without


def _shown(path: str, night: Night) -> str:
    """An address without password, token or query; a local one as it stands in the file."""
    from tasks.addresses import parse_address

    try:
        address = parse_address(path, night.services.project.root)
    except ForbiddenAddress:
        return "(not allowed)"
    return path if address.is_local else address.shown


def _each_text(value: Any, change: Callable[[str], str]) -> Any:
    if isinstance(value, str):
        return change(value)
    if isinstance(value, dict):
        return {key: _each_text(part, change) for key, part in value.items()}
    return [_each_text(part, change) for part in value] if isinstance(value, list) else value


def _changes(night: Night, report: NightReport) -> _Since:
    from tasks.night_changes import changes_between
    from tasks.report_mask import masked

    last = _last_run(night, report)
    if last is None:
        return _Since()
    before = _report_of(night, last)
    # What either night calls sensitive: its values were hidden then, or are to be hidden now.
    hidden = {"sensitive": tuple(dict.fromkeys([*before.sensitive, *report.sensitive]))}
    both = (masked(page.model_copy(update=hidden)) for page in (before, report))
    return _Since(last.night.isoformat(), changes_between(*both))


def _last_run(night: Night, report: NightReport) -> Run | None:
    """The newest run of the last night before this one that ended with numbers of its own."""
    # The timeline has read already which nights there were, so that the state is hardly asked more than once.
    earliest = (night.request.date - timedelta(days=LAST_NIGHT_DAYS)).isoformat()
    came = (point["date"] for point in reversed(report.history) if point["status"] != "missing")
    for day in came:
        if not earliest <= day < night.request.iso:
            continue
        runs = night.services.state.recent(night.dataset.name, night=day)
        ended = [run for run in runs if run.status in COMPARED and run.kind != "train" and run.result]
        if ended:
            return ended[0]
    return None


def _report_of(night: Night, run: Run) -> NightReport:
    """The last night's report with the numbers that the state has; only those where the page is gone or older."""
    from tasks.page_drafts import settle_page

    result = NightResult.model_validate(run.result)
    settle_page(night.services, night.dataset.name, run.night)
    page = night.services.project.report_file(night.dataset.name, run.night.isoformat(), "json")
    try:
        return NightReport.model_validate_json(page.read_bytes()).model_copy(update={"result": result})
    except (OSError, ValueError):
        return NightReport(result=result, generated_at="")
