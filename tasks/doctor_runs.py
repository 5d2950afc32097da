"""Runs, schedules and versions: what died, what nobody asks for, what does not agree."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from infra.runtime.work import stale_work
from schemas.errors import BundleError, UsageError, listed
from tasks.doctor import Check, Finding, Patient, wrong_if
from tasks.doctor_datasets import enabled
from tasks.due_nights import due_between

if TYPE_CHECKING:
    from tasks.services import Services

REPAIR = "sereno doctor --repair"
AHEAD = timedelta(minutes=5)
"""Clocks of two machines may differ."""

LATE = timedelta(minutes=15)
"""A service that is up asks for a due night, and begins it, within a minute."""

MAKING = "making"


def _runs(patient: Patient) -> Iterator[Finding]:
    if patient.services is None:
        return
    state = patient.services.state
    live, stale = state.live(), state.stale()
    yield Finding("state database", "ok", f"{len(state.recent())} recent runs, {len(live)} at work")
    died = ", ".join(f"{run.dataset} {run.night}" for run in stale)
    hint = f"run the night again, it takes over; or: {REPAIR}"
    yield Finding("runs that died", wrong_if(stale, "ok"), died or "none", hint)


def _leftovers(patient: Patient) -> Iterator[Finding]:
    from tasks.repair import old_orphans

    if patient.services is None:
        return
    services = patient.services
    left = [path for name in services.project.dataset_names() for path in old_orphans(services, name)]
    size = sum(path.stat().st_size for path in left)
    found = f"{len(left)}, {size / 1e6:.1f} MB" if left else "none"
    yield Finding("files that no commit names", wrong_if(left, "ok"), found, f"remove them: {REPAIR}")
    if dead := stale_work(patient.project):
        found = f"{len(dead)}: {listed((str(path.relative_to(patient.project.work)) for path in dead), 3)}"
        yield Finding("scratch of dead processes", "note", found, f"the next run removes it; or: {REPAIR}")
    lock = patient.project.state / "mlflow.db.lock"
    if lock.is_file() and lock.read_text(encoding="ascii", errors="replace") == MAKING:
        found = "MLflow's database was being made when its process was stopped"
        yield Finding("lock of MLflow", "note", found, "nothing to do: the next command that needs it makes it anew")


def _clock(patient: Patient) -> Iterator[Finding]:
    if patient.services is None:
        return
    now = datetime.now(UTC)
    for run in patient.services.state.recent():
        last = run.ended_at or run.started_at
        if max(run.started_at, last) > now + AHEAD:
            found = (
                f"run {run.id} of {run.dataset} {run.night} began or ended in the future, {last:%Y-%m-%d %H:%M:%S} UTC"
            )
            why = "the clock was set back since, or that of another machine is ahead"
            yield Finding("clock", "wrong", f"{found}: {why}", "set the clocks by NTP")
            return


def _schedules(patient: Patient) -> Iterator[Finding]:
    if patient.services is None:
        return
    on, known = enabled(patient), set(patient.services.project.dataset_names())
    for name, dataset in patient.datasets.items():
        if dataset.schedule is not None and name not in on:
            hint = f"sereno schedule enable {name}"
            yield Finding(f"schedule of {name}", "note", "it is off: its nights are done only when asked for", hint)
    for name in on:
        dataset_ = patient.datasets.get(name)
        if name not in known or (dataset_ is not None and dataset_.schedule is None):
            why = "its dataset file is gone" if name not in known else "its dataset file has no `schedule`"
            yield Finding(f"schedule of {name}", "wrong", f"it is on, and {why}", f"sereno schedule disable {name}")
        elif dataset_ is not None:
            yield from _unasked(patient, name)
    yield from _waiting(patient.services)


def _unasked(patient: Patient, name: str) -> Iterator[Finding]:
    """A night that was due long enough ago for a service to have asked for it."""
    schedule, services = patient.datasets[name].schedule, patient.services
    if schedule is None or services is None:
        return
    since, now = enabled(patient)[name], datetime.now(UTC)
    first = max(since, now.date() - timedelta(days=max(schedule.catch_up, 1) + 1))
    asked = services.state.scheduled_nights(name, first)
    newest = max(due_between(schedule, first, now - LATE), default=None)
    if newest is not None and newest.night not in asked:
        found = f"the night {newest.night} was due at {newest.due_at:%Y-%m-%d %H:%M} UTC, and nobody asked for it"
        yield Finding(f"schedule of {name}", "wrong", found, "no service is up: sereno up")


def _waiting(services: Services) -> Iterator[Finding]:
    late = datetime.now(UTC) - LATE
    waiting = [one for one in services.state.open_requests() if one.status == "waiting" and one.not_before < late]
    if waiting and not services.state.live():
        what = listed((f"{one.asked.dataset} {one.asked.night or one.asked.kind}" for one in waiting), 3)
        found = f"{len(waiting)} wait, and nobody takes them: {what}"
        yield Finding("requests", "wrong", found, "no service is up: sereno up")


def _champions(patient: Patient) -> Iterator[Finding]:
    from tasks.repair import has_registry

    if patient.services is None or not has_registry(patient.services):
        return
    state, registry = patient.services.state, patient.services.registry
    for name in patient.datasets:
        champion = state.champion(name)
        if champion is None:
            continue
        alias = registry.champion(name)
        if alias != champion.version:
            found = f"the ledger says version {champion.version}, and MLflow's alias points at {alias or 'none'}"
            yield Finding(f"champion of {name}", "wrong", found, f"the next run mends it; or: {REPAIR}")
        try:
            registry.download(name, champion.version)
        except (BundleError, UsageError) as error:
            yield Finding(f"champion of {name}", "wrong", error.message, error.hint or "")


RUN_CHECKS = (
    Check("runs", "runs that died", "run the night again, or `sereno doctor --repair`", _runs),
    Check(
        "leftovers",
        "files of tables that no commit names, scratch of dead processes, a lock that was left in the middle",
        "`sereno doctor --repair`",
        _leftovers,
    ),
    Check(
        "times",
        "runs that began or ended in the future: a clock was set back, or another machine's is ahead",
        "NTP",
        _clock,
    ),
    Check(
        "schedule",
        "a schedule that is off, that is on without a dataset file or `schedule`, or whose nights nobody asks for; "
        "requests that nobody takes",
        "`sereno schedule enable NAME`, `sereno up`",
        _schedules,
    ),
    Check(
        "champion",
        "ledger and MLflow disagree about the champion, or its bundle is gone",
        "`sereno doctor --repair`; `sereno models rollback NAME`",
        _champions,
    ),
)
