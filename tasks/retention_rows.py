"""Nights of rows and pages that retention takes away, and files of tables that no version names any more."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import date as Date
from typing import TYPE_CHECKING

from infra.runtime.disk import used
from infra.runtime.lake_vacuum import Removed
from infra.runtime.retention import PAGE
from schemas.errors import LakeError, LockedNight
from tasks.retention_needs import busy_nights, needed_nights
from tasks.retention_pages import page_files, remove_pages
from tasks.retention_plan import Going, Kind, Plan, Staying, beyond, in_groups, rule_in_words

if TYPE_CHECKING:
    from datetime import timedelta
    from pathlib import Path

    from infra.runtime.lake_vacuum import TableFiles
    from tasks.services import Services

TABLES = ("accepted", "quarantined", "samples", "scores")
REPORTS = "reports"
UNNAMED_SECONDS = 86_400.0
"""What is younger may belong to a commit that is about to be made, or to a query that is under way."""

HOLD_SECONDS = 3_600.0
"""Longer than any table takes; it is renewed before each."""

_FOREIGN = "another tool changed the table's protocol, so that it is left alone"


def plan_nights(services: Services, name: str) -> Plan:
    """Nights of each table and of the reports that are older than the settings keep, and what no version names."""
    plan = _plan_pages(services, name)
    for table in TABLES:
        try:
            plan += _plan_table(services, name, table)
        except LakeError as error:
            plan += Plan(failures=(error.message,))
    return plan


def _plan_table(services: Services, name: str, table: str) -> Plan:
    files = services.lake.table_files(name, table)
    if files is None:
        return Plan()
    if files.is_foreign:
        return Plan(staying=(Staying(name, table, _FOREIGN),))
    pins = services.state.pins(name, table)
    kept: int | timedelta | None = getattr(services.settings.retention, table)
    begun = services.state.gone_nights(name, table) & files.nights
    plan = _parted(services, name, table, pins, {*beyond(kept, pins), *begun}, kept)
    going = {night for one in plan.going for night in one.nights}
    rows = tuple(_sized(one, files) for one in plan.going)
    return Plan(rows, plan.staying) + _plan_unnamed(services, name, table, files, going)


def _plan_unnamed(services: Services, name: str, table: str, files: TableFiles, going: set[Date]) -> Plan:
    spared = {*going, *busy_nights(services, name)}
    left = files.unnamed(services.state.pins(name, table), spared, time.time() - UNNAMED_SECONDS)
    if not left:
        return Plan()
    nights = tuple(sorted({file.night for file in left}))
    size = sum(file.bytes for file in left)
    why = "no version that counts names them"
    paths = tuple(file.path for file in left)
    return Plan((Going("unnamed", name, f"{table}, files", len(left), size, why, nights, paths),))


def _plan_pages(services: Services, name: str) -> Plan:
    pages = page_files(services.project, name)
    kept = services.settings.retention.reports
    plan = _parted(services, name, PAGE, pages, set(beyond(kept, pages)), kept)
    return Plan(tuple(_with_pages(one, pages) for one in plan.going), plan.staying)


def _parted(
    services: Services, name: str, table: str, there: Iterable[Date], old: set[Date], kept: int | timedelta | None
) -> Plan:
    """Old nights, parted by whether something needs them."""
    if not old:
        return Plan()
    needed = needed_nights(services, name, table, {*there, *old})
    what = REPORTS if table == PAGE else table
    groups = in_groups(old & needed.keys(), needed)
    staying = tuple(Staying(name, what, why, nights) for why, nights in groups.items())
    nights = tuple(sorted(old - needed.keys()))
    kind: Kind = "reports" if table == PAGE else "rows"
    why = rule_in_words(kept) if kept is not None else "taken away before, but not to the end"
    return Plan((Going(kind, name, what, 0, 0, why, nights),) if nights else (), staying)


def _sized(going: Going, files: TableFiles) -> Going:
    of_nights = files.of_nights(going.nights)
    size = sum(file.bytes for file in of_nights)
    return Going(going.kind, going.dataset, going.what, len(of_nights), size, going.why, going.nights)


def _with_pages(going: Going, pages: dict[Date, list[Path]]) -> Going:
    paths = [path for night in going.nights for path in pages[night]]
    size = sum(used(path).bytes for path in paths)
    return Going(going.kind, going.dataset, going.what, len(paths), size, going.why, going.nights)


def take_nights(services: Services, name: str, going: Sequence[Going]) -> Plan:
    """Take nights of one dataset away: first the state says so, then the table lacks them, then their files go.

    Each night is held meanwhile, as by a run. Killed at any moment, the next vacuum does the rest.

    Args:
        services: The stores.
        name: The dataset.
        going: What was planned, of the kinds `rows` and `reports`.

    Returns:
        What was done, and what stays, as a run began meanwhile.
    """
    wanted = {PAGE if one.kind == "reports" else one.what: one for one in going}
    done = Plan()
    with _held(services, name, {night for one in going for night in one.nights}) as (runs, refused):
        for table, one in wanted.items():
            staying = in_groups(set(one.nights) & refused.keys(), refused)
            done += Plan(staying=tuple(Staying(name, one.what, why, nights) for why, nights in staying.items()))
            nights = [night for night in one.nights if night in runs]
            try:
                done += _take(services, one, table, nights, runs)
            except (LakeError, LockedNight) as error:
                services.state.unmark_gone(name, table, nights)
                done += Plan(failures=(f"{one.in_words}: {error.message}",))
    return done


@contextmanager
def _held(services: Services, name: str, nights: set[Date]) -> Iterator[tuple[dict[Date, str], dict[Date, str]]]:
    """Hold nights; yields the holding run of each, and why others could not be held."""
    state, runs, refused = services.state, {}, dict(busy_nights(services, name))
    try:
        for night in sorted(nights - refused.keys()):
            try:
                runs[night] = state.start_run(name, night, "vacuum", "", lease_seconds=HOLD_SECONDS).id
            except LockedNight:
                refused[night] = "a run took the night just now"
        yield runs, refused
    finally:
        for run_id in runs.values():
            state.let_go(run_id)


def _take(services: Services, going: Going, table: str, nights: list[Date], runs: dict[Date, str]) -> Plan:
    name, state = going.dataset, services.state
    state.mark_gone(name, table, nights)
    # Asked after it is said: a run that begins from now on reads that they are gone.
    meanwhile = _needed_meanwhile(services, name, table, nights)
    state.unmark_gone(name, table, meanwhile)
    nights = [night for night in nights if night not in meanwhile]
    staying = tuple(Staying(name, going.what, why, days) for why, days in in_groups(meanwhile, meanwhile).items())
    if not nights:
        return Plan(staying=staying)
    for night in nights:
        state.renew(runs[night], HOLD_SECONDS)
    if table == PAGE:
        removed = remove_pages(path for night in nights for path in page_files(services.project, name).get(night, ()))
    else:
        removed = _take_rows(services, name, table, nights, runs[nights[0]])
    kind, what = going.kind, going.what
    done = Going(kind, name, what, removed.files, removed.bytes, going.why, tuple(nights))
    return Plan((done,), staying, removed.failures)


def _needed_meanwhile(services: Services, name: str, table: str, nights: list[Date]) -> dict[Date, str]:
    there = {*services.state.pins(name, table), *nights} if table != PAGE else {*page_files(services.project, name)}
    return {night: why for night, why in needed_nights(services, name, table, there).items() if night in set(nights)}


def _take_rows(services: Services, name: str, table: str, nights: list[Date], run_id: str) -> Removed:
    files = services.lake.table_files(name, table)
    if files is None:
        return Removed()
    before = time.time() - UNNAMED_SECONDS
    going = [file for file in files.of_nights(nights) if file.path in files.newest or file.written < before]
    if there := files.nights & set(nights):
        files.delete_nights(there, run_id)
    removed = files.remove(going)
    files.remove_folders(nights)
    return removed


def take_unnamed(services: Services, going: Going) -> Removed:
    """Remove files of a table that no version names; looked for again, as versions may have come meanwhile."""
    table = going.what.removesuffix(", files")
    files = services.lake.table_files(going.dataset, table)
    if files is None or files.is_foreign:
        return Removed()
    state, wanted = services.state, set(going.names)
    spared = busy_nights(services, going.dataset)
    left = files.unnamed(state.pins(going.dataset, table), spared, time.time() - UNNAMED_SECONDS)
    return files.remove(file for file in left if file.path in wanted)
