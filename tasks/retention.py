"""`sereno vacuum`: what is older than the settings keep goes, and nothing that anybody still needs.

Safe while runs go on: a night is held as by a run while something of it goes, the state says first what will be gone,
and whatever a run at work, a stopped one, the training window, or the ledger names stays.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from infra.runtime.events import Event
from schemas.errors import SerenoError
from tasks.night import actor
from tasks.repair import put_right
from tasks.retention_detectors import plan_detectors, take_detector
from tasks.retention_pages import plan_overviews, take_overviews
from tasks.retention_plan import Going, Plan, size_in_words
from tasks.retention_rows import plan_nights, take_nights, take_unnamed
from tasks.retention_runs import plan_runs, take_runs
from tasks.retention_scratch import plan_scratch, take_scratch

if TYPE_CHECKING:
    from tasks.services import Services

VACUUM = "vacuum"
"""The command, its lock, and what its events are called by."""

LOOKS: tuple[Callable[[Services, str], Plan], ...] = (plan_nights, plan_detectors, plan_runs)


def plan_vacuum(services: Services, name: str | None = None) -> Plan:
    """Say what would go; nothing is changed.

    Args:
        services: The stores.
        name: One dataset; all, and what belongs to none, where no name is given.
    """
    plan = Plan()
    for dataset in [name] if name is not None else known_datasets(services):
        for look in LOOKS:
            plan += _looked(look, services, dataset)
    return plan if name is not None else plan + plan_overviews(services) + plan_scratch(services)


def vacuum(services: Services, name: str | None = None, *, who: str | None = None) -> Plan:
    """Take away what is old, and return what went, what stays, and what could not be done.

    Args:
        services: The stores.
        name: One dataset; all, and what belongs to none, where no name is given.
        who: Who asked for it; the user of this machine where nobody is given.

    Raises:
        LockedNight: Another vacuum is at work.
    """
    with services.state.sole(VACUUM):
        put_right(services)
        who, done = who or actor(), Plan()
        for dataset in [name] if name is not None else known_datasets(services):
            for look in LOOKS:  # each is looked at when the one before is done: what no scores name any more may go
                done += _do(services, dataset, _looked(look, services, dataset), who)
        if name is None:
            for plan in (plan_overviews, plan_scratch):
                done += _do(services, "", plan(services), who)
        return done


def known_datasets(services: Services) -> list[str]:
    """The datasets that have a file or a run, sorted."""
    return sorted({*services.project.dataset_names(), *services.state.datasets()})


def _looked(look: Callable[[Services, str], Plan], services: Services, name: str) -> Plan:
    """A store that does not answer costs what lies in it, not the rest."""
    try:
        return look(services, name)
    except SerenoError as error:
        return Plan(failures=(f"{name}: {error.message}",))


def _do(services: Services, dataset: str, plan: Plan, who: str) -> Plan:
    """Do what was planned and write each thing that went into the record of events."""
    nights = [one for one in plan.going if dataset and one.kind in ("rows", "reports")]
    done = take_nights(services, dataset, nights) if nights else Plan()
    for one in plan.going:
        if one not in nights:
            done += _taken(services, one, who)
    for one in done.going:
        services.state.tell(_event(one, who))
    return Plan(staying=plan.staying, failures=plan.failures) + done


def _taken(services: Services, going: Going, who: str) -> Plan:
    if going.kind == "detector":
        return take_detector(services, going, who)
    if going.kind == "runs":
        take_runs(services, going)
        return Plan((going,))
    take = {"unnamed": take_unnamed, "reports": take_overviews}.get(going.kind, take_scratch)
    removed = take(services, going)
    done = Going(going.kind, going.dataset, going.what, removed.files, removed.bytes, going.why, going.nights)
    return Plan((done,) if removed.files else (), failures=removed.failures)


def _event(done: Going, who: str) -> Event:
    night = done.nights[0] if len(done.nights) == 1 else None
    text = f"{done.in_words} taken away by retention ({done.why}): {size_in_words(done.bytes)}"
    return Event("vacuumed", text, dataset=done.dataset or None, night=night, actor=who, detail=done.as_dict())
