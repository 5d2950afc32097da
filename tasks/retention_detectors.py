"""Versions of detectors that retention takes away: never one that is in use, or that anything that is kept names."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from schemas.errors import ConfigError, PromotionRefused, SerenoError
from tasks.recalibrate import RECALIBRATED_TAG
from tasks.repair import has_registry
from tasks.retention_needs import window_nights
from tasks.retention_plan import Going, Plan, Staying, rule_in_words
from tasks.versions import reigns_of

if TYPE_CHECKING:
    from infra.runtime.promotions import Promotion
    from models.registry import VersionInfo
    from tasks.services import Services

AT_WORK = "a run is at work, which may read any of them"


def plan_detectors(services: Services, name: str) -> Plan:
    """Versions that are older than the settings keep, and those whose deletion was stopped in the middle."""
    kept = services.settings.retention.detectors
    ledger = services.state.ledger(name)
    begun = {row.version for row in ledger if row.action == "deleted"}
    if (kept is None and not begun) or not has_registry(services):
        return Plan()
    versions = services.registry.versions(name)
    left = {info.version for info in versions} & begun
    old = {info.version for info in _old(versions, kept)} | left
    if not old:
        return Plan()
    if services.state.live(name):
        return Plan(staying=tuple(Staying(name, _called(version), AT_WORK) for version in sorted(old, key=int)))
    needed = needed_versions(services, name, versions, ledger)
    why = rule_in_words(kept, "versions") if kept is not None else "taken away before, but not to the end"
    going = [version for version in sorted(old, key=int) if version not in needed or version in left]
    return Plan(
        tuple(Going("detector", name, _called(v), 1, services.registry.size(name, v), why, (), (v,)) for v in going),
        tuple(Staying(name, _called(v), needed[v]) for v in sorted(old - {*going}, key=int)),
    )


def needed_versions(
    services: Services, name: str, versions: Sequence[VersionInfo], ledger: Sequence[Promotion]
) -> dict[str, str]:
    """The versions that stay however old they are, each with the reason; what they were recalibrated from stays too."""
    found: dict[str, str] = {}
    for version, why in _reasons(services, name, versions, ledger):
        found.setdefault(version, why)
    parents = {info.version: info.tags.get(RECALIBRATED_TAG) for info in versions}
    children = list(found)
    while children:
        child = children.pop()
        if (parent := parents.get(child)) is not None and parent not in found:
            found[parent] = f"version {child} is a recalibration of it"
            children.append(parent)
    return found


def _reasons(
    services: Services, name: str, versions: Sequence[VersionInfo], ledger: Sequence[Promotion]
) -> Iterator[tuple[str, str]]:
    champion, state = services.state.champion(name), services.state
    if champion is not None:
        yield champion.version, "the champion"
    if (alias := services.registry.champion(name)) is not None:
        yield alias, "the champion's alias points at it"
    most = services.settings.retention.champions
    for version in reigns_of(ledger)[-most:]:
        yield version, f"among the last {most} champions, to which one can go back"
    for run in state.history(name, table="scores"):
        yield _named(run.result, "version"), f"the scores of {run.night} came from it"
    try:
        newest = state.history(name, None, window_nights(services, name), table="samples", gone=True)
    except ConfigError:
        newest = state.history(name, table="samples", gone=True)
    for run in newest:
        for role in ("champion", "version"):
            yield _named(run.result, role), f"the night {run.night} of the training window names it"
    yield from _undecided(versions, ledger, champion)


def _undecided(
    versions: Sequence[VersionInfo], ledger: Sequence[Promotion], champion: Promotion | None
) -> Iterator[tuple[str, str]]:
    """Challengers of the present champion that wait for a decision, and versions that the ledger does not know yet."""
    said = {row.version: row.action for row in ledger}
    for info in versions:
        if info.version not in said:
            yield info.version, "the ledger does not tell of it yet: sereno doctor --repair"
        elif said[info.version] == "registered" and (champion is None or int(info.version) > int(champion.version)):
            yield info.version, "it waits for a decision: sereno models promote"


def take_detector(services: Services, going: Going, actor: str) -> Plan:
    """Delete a version: first the ledger says so, then it goes from MLflow. Returns what came of it."""
    state, registry, name, version = services.state, services.registry, going.dataset, going.names[0]
    if state.live(name):
        return Plan(staying=(Staying(name, going.what, AT_WORK),))
    try:
        if state.deleted(name, version) is None:
            info = registry.version(name, version)
            state.record(name, version, info.bundle_hash, "deleted", reason=f"by retention: {going.why}", actor=actor)
        left = registry.delete(name, version)
    except PromotionRefused as refused:
        return Plan(staying=(Staying(name, going.what, refused.message),))
    except SerenoError as error:
        return Plan(failures=(f"{going.in_words}: {error.message}",))
    return Plan((going,), failures=(f"{going.in_words}: {left}",) if left else ())


def _old(versions: Sequence[VersionInfo], kept: int | timedelta | None) -> Sequence[VersionInfo]:
    if kept is None:
        return ()
    if isinstance(kept, int):
        return versions[:-kept]
    return [info for info in versions if info.created_at < datetime.now(UTC) - kept]


def _named(result: dict[str, object], role: str) -> str:
    model = result.get("model")
    return str(model.get(role) or "") if isinstance(model, dict) else ""


def _called(version: str) -> str:
    return f"detector version {version}"
