"""Quarantined rows join the accepted ones of their night, because a person says so.

A release is a run of its own (kind `release`) that takes the night as any run does. It writes `accepted`, `quarantined`
and `samples` anew, and `scores` where the night was scored, with the version that scored it; the rows that were there
keep what they have. One final row pins all of these together, and the same transaction records which rows were
released, by whom and why. The run has the fingerprint of the run that it adds to: a release is no other input, so the
night stays done, and the nights after it stay as they are and train on the released rows from their next run on.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from datetime import date as Date
from pathlib import Path
from typing import TYPE_CHECKING

from infra.runtime.compute import ThreadCompute
from infra.runtime.lease import Lease
from infra.runtime.logs import SecretFilter, run_log, secrets_of
from infra.runtime.releases import Release, recorded
from infra.runtime.work import work_folder
from schemas.errors import LockedNight, SerenoError, UsageError, listed
from schemas.incident_results import NightIncidents
from schemas.results import NightResult, RowCounts
from schemas.tables import accepted_schema, quarantined_schema, scores_schema
from tasks.gone import refuse_gone
from tasks.quarantine import counted
from tasks.quarantine_list import Choice, records_of, releases_like
from tasks.release_rows import QuarantinedRow, Released, rows_of, typed_rows, without_known_keys
from tasks.released_before import without_rows, words_of
from tasks.repair import put_right

if TYPE_CHECKING:
    import pyarrow as pa

    from infra.runtime.runs import Run
    from schemas.dataset import Dataset
    from tasks.release_scores import NightScores
    from tasks.services import Services

MOST_ROWS = 100_000
"""More rows than a person can answer for: then the rule is wrong, and the dataset file is the place to say so."""
THREADS = 2


@dataclass(frozen=True)
class ReleaseRequest:
    """What a person asks.

    Args:
        night: The logical date.
        choice: Which rows; all where it names nothing.
        reason: Why.
        actor: Who.
        as_missing: Whether values that cannot be read may be taken as missing.
    """

    night: Date
    choice: Choice
    reason: str
    actor: str
    as_missing: bool = False


@dataclass(frozen=True)
class ReleaseOutcome:
    """What came of it.

    Args:
        released: Rows that are accepted now.
        already: Rows that fit and were released before.
        refused: Rows that fit and cannot be released, each with the reason.
        alerts: How many of the released rows are alerts; None where the night was not scored.
        result: The night's result now.
    """

    released: int
    already: int
    refused: tuple[tuple[QuarantinedRow, str], ...]
    alerts: int | None
    result: NightResult


@dataclass(frozen=True)
class _Base:
    """The night as it stands.

    Args:
        accepted: The run whose accepted and quarantined rows count.
        scored: The run whose scores count; None where there are none.
    """

    accepted: Run
    scored: Run | None

    @property
    def newest(self) -> Run:
        """The later of both."""
        return self.scored if self.scored is not None and self.scored.seq > self.accepted.seq else self.accepted

    def pin(self, table: str) -> dict[Date, int]:
        """The version to read of a table that the accepting run wrote."""
        return {self.accepted.night: self.accepted.versions[table]}


@dataclass(frozen=True)
class _Plan:
    base: _Base
    records: pa.Table
    released: Released
    already: int


def release(services: Services, dataset: Dataset, request: ReleaseRequest) -> ReleaseOutcome:
    """Release quarantined rows of one night.

    Rows are chosen by file and line or by key, or all rows whose every failure is of the column and rule named. Stopped
    at any moment, it can be done again and ends the same; rows that were released before are only counted.

    Raises:
        UsageError: No reason, no quarantined row fits, none of those that fit can be released, they are too many, or
            the night is held or was not validated.
        LockedNight: A run holds the night.
    """
    from tasks.page_drafts import recover_page

    if not request.reason.strip():
        raise UsageError("a release needs a reason", hint="say why: --reason '...'")
    recover_page(services, dataset, request.night)
    put_right(services)
    services.state.check_free(dataset.name, request.night)
    first = _plan(services, dataset, request)
    if not first.released.rows:
        return _nothing(request, dataset, first)
    _check_scores(dataset, request.night, first.base)
    with _held(services, dataset, first.base, request) as (run, lease, work):
        plan = _plan(services, dataset, request)
        if not plan.released.rows:
            raise UsageError(f"{dataset.name} {request.night}: the rows were released meanwhile")
        if plan.base.accepted.seq != first.base.accepted.seq:
            raise LockedNight(f"{dataset.name} {request.night}: the night was done again meanwhile", hint="ask again")
        return _take_in(services, dataset, request, plan, run, lease, work)


def _plan(services: Services, dataset: Dataset, request: ReleaseRequest) -> _Plan:
    base = _base(services, dataset, request.night)
    records = records_of(services, dataset, request.night, base.accepted.versions["quarantined"], raw=True)
    chosen = [row for row in rows_of(records) if request.choice.fits_row(row, all_of=True)]
    if len(chosen) > MOST_ROWS:
        raise UsageError(
            f"{dataset.name} {request.night}: {len(chosen):,} rows fit; one release takes at most {MOST_ROWS:,}",
            hint=f"the rule itself seems wrong: change it in datasets/{dataset.name}.yaml and do the night again",
        )
    released = typed_rows(chosen, dataset, as_missing=request.as_missing)
    if dataset.key and released.rows:
        keys = services.lake.read(dataset.name, "accepted", base.pin("accepted"), columns=["sereno_key"])
        released = without_known_keys(released, dataset, keys["sereno_key"])
    before = releases_like(services, dataset, request.choice, request.night, all_of=True)
    already = len({(release.row.file, release.row.line, release.row.digest) for release in before})
    if not chosen and not already:
        raise UsageError(
            f"{dataset.name} {request.night}: no quarantined row fits ({request.choice.words() or 'all'})"
            + _also_failed(records, request.choice),
            hint=f"see them with: sereno quarantine list {dataset.name} --date {request.night}",
        )
    return _Plan(base, records, released, already)


def _base(services: Services, dataset: Dataset, night: Date) -> _Base:
    def newest(table: str) -> Run | None:
        found = services.state.history(dataset.name, night + timedelta(days=1), 1, table=table)
        return found[0] if found and found[0].night == night else None

    refuse_gone(services.state, dataset.name, night, "accepted", "quarantined", "scores")
    accepted, quarantined = newest("accepted"), newest("quarantined")
    if quarantined is None:
        raise UsageError(
            f"{dataset.name} {night}: the night was not validated",
            hint=f"do it first: sereno run {dataset.name} --date {night}",
        )
    if accepted is None or accepted.seq != quarantined.seq:
        raise UsageError(
            f"{dataset.name} {night}: the night is held, so there are no accepted rows to join",
            hint=f"look at the report, take the night with: sereno run {dataset.name} --date {night} --accept; then "
            "release rows",
        )
    return _Base(accepted, newest("scores"))


def _check_scores(dataset: Dataset, night: Date, base: _Base) -> None:
    """Scores of other accepted rows cannot be added to: a row that was accepted then would stand there twice."""
    if base.scored is not None and base.scored.seq < base.accepted.seq:
        raise UsageError(
            f"{dataset.name} {night}: its scores are older than its accepted rows",
            hint=f"score them first: sereno score {dataset.name} --date {night}",
        )


def _also_failed(records: pa.Table, choice: Choice) -> str:
    """Rows that failed what was named and something else besides."""
    near = [row for row in rows_of(records.drop_columns("raw")) if choice.fits_row(row)]
    if not near:
        return ""
    places = listed((f"{row.file}:{row.line}" for row in near), 5)
    return f"; {len(near):,} rows failed this and something else, name them by --line or --all: {places}"


def _nothing(request: ReleaseRequest, dataset: Dataset, plan: _Plan) -> ReleaseOutcome:
    refused = plan.released.refused
    if refused and not plan.already:
        places: dict[str, list[str]] = {}
        for row, reason in refused:
            places.setdefault(reason, []).append(f"{row.file}:{row.line}")
        said = "; ".join(f"{listed(where, 3)}: {reason}" for reason, where in places.items())
        raise UsageError(
            f"{dataset.name} {request.night}: {_rows(len(refused))} cannot be released: {said}",
            hint=f"look at them with: sereno quarantine show {dataset.name} FILE:LINE --date {request.night}",
        )
    result = NightResult.model_validate(plan.base.newest.result)
    return ReleaseOutcome(0, plan.already, refused, None, result)


@contextmanager
def _held(
    services: Services, dataset: Dataset, base: _Base, request: ReleaseRequest
) -> Iterator[tuple[Run, Lease, Path]]:
    accepted = base.accepted
    run = services.state.start_run(
        dataset.name, request.night, "release", accepted.fingerprint, protocol=accepted.protocol
    )
    masking = SecretFilter(secrets_of(services.settings))
    try:
        with (
            Lease(services.state, run.id) as lease,
            run_log(services.project.logs, run.id, masking),
            work_folder(services.project, dataset.name, request.night, run.id) as work,
        ):
            yield run, lease, work
    except BaseException as error:
        _give_up(services, run, masking.mask(str(error)) or "stopped before it ended")
        raise


def _give_up(services: Services, run: Run, reason: str) -> None:
    from tasks.page_drafts import settle_page

    try:
        services.state.finish_run(run.id, "failed", result={"status": "failed", "reason": reason})
        settle_page(services, run.dataset, run.night)
    except SerenoError:  # the night was lost or the database is away: the lease ends by itself
        return


def _take_in(
    services: Services, dataset: Dataset, request: ReleaseRequest, plan: _Plan, run: Run, lease: Lease, work: Path
) -> ReleaseOutcome:
    """Write the night's tables with the released rows in them, the report, and the final row."""
    from tasks.overview import refresh_overview
    from tasks.page_drafts import settle_page
    from tasks.preprocess import preprocess
    from tasks.release_incidents import released_incidents
    from tasks.release_report import rewrite_report
    from tasks.release_scores import score_released, write_parts

    base, rows = plan.base, plan.released.rows
    accepted = write_parts(services, dataset, "accepted", base.pin("accepted"), accepted_schema(dataset), work)
    joining = work / "released.parquet"
    _write_parquet(plan.released.table, joining)
    compute = ThreadCompute(THREADS)
    try:
        prepared = preprocess(dataset, [*accepted, joining], compute, work)
        scored = score_released(services, dataset, base.scored, joining, compute, work) if base.scored else None
    finally:
        compute.close()
    left = without_rows(plan.records, rows)
    versions: dict[str, int] = {}

    def commit(table: str, data: pa.Table | list[Path], schema: pa.Schema) -> None:
        lease.check()
        versions[table] = services.lake.replace_night(dataset.name, table, request.night, data, schema, run_id=run.id)

    commit("accepted", [*accepted, joining], accepted_schema(dataset))
    commit("quarantined", left, quarantined_schema())
    commit("samples", [prepared.sample], accepted_schema(dataset))
    if scored is not None:
        commit("scores", list(scored.parts), scores_schema(dataset))
    named = [row.named() for row in rows]
    result = _result(services, dataset, request, plan, scored)
    incidents = None
    if scored is not None:
        incidents = released_incidents(services, dataset, request.night, run.id, scored, [*accepted, joining])
        result = incidents.counted(result)

    def report(shown: NightIncidents | None) -> None:
        rewrite_report(services, dataset, result, rows, scored, run.id, shown)

    report(incidents.shown if incidents is not None else None)
    released = recorded(dataset.name, request.night, run.id, named, reason=request.reason.strip(), actor=request.actor)
    services.state.finish_run(
        run.id,
        "partial" if result.status == "partial" else "done",
        result=result.model_dump(mode="json"),
        versions=versions,
        counters=prepared.counters,
        sample_version=versions["samples"],
        also=released if incidents is None else incidents.recorded(released, report),
    )
    settle_page(services, dataset.name, request.night)
    refresh_overview(services, request.night)
    alerts = scored.released_alerts if scored is not None else None
    return ReleaseOutcome(len(rows), plan.already, plan.released.refused, alerts, result)


def _result(
    services: Services, dataset: Dataset, request: ReleaseRequest, plan: _Plan, scored: NightScores | None
) -> NightResult:
    """The night's result with the rows where they are now, and who put them there."""
    base, rows = plan.base, plan.released.rows
    before = NightResult.model_validate(base.accepted.result)
    count = len(rows)
    failures = dict(before.failures)
    for column, fewer in _failed(plan.records, rows).items():
        failures[column] = failures.get(column, 0) - fewer
    now = datetime.now(UTC)
    mine = [Release(request.night, "", row.named(), request.reason.strip(), request.actor, now) for row in rows]
    earlier = services.state.releases(dataset.name, request.night)
    said = words_of([*earlier, *mine])
    newest = NightResult.model_validate(base.newest.result)
    others = [warning for warning in newest.warnings if not warning.startswith("released from the quarantine: ")]
    return newest.model_copy(
        update={
            "status": "partial" if base.newest.status == "partial" else "done",
            "rows": RowCounts(
                read=before.rows.read,
                accepted=before.rows.accepted + count,
                quarantined=before.rows.quarantined - count,
                held=before.rows.held,
            ),
            "failures": {column: number for column, number in failures.items() if number > 0},
            "alerts": scored.alerts if scored is not None else newest.alerts,
            "warnings": (*others, *said),
            "report": str(services.project.report_file(dataset.name, request.night.isoformat())),
        }
    )


def _failed(records: pa.Table, rows: tuple[QuarantinedRow, ...]) -> dict[str, int]:
    """Rows that no longer count as failed, for each column."""
    before, _ = counted(records)
    after, _ = counted(without_rows(records, rows))
    return {column: number - after.get(column, 0) for column, number in before.items()}


def _write_parquet(table: pa.Table, path: Path) -> None:
    import pyarrow.parquet as pq

    pq.write_table(table, path)


def _rows(count: int) -> str:
    return "1 row" if count == 1 else f"{count:,} rows"
