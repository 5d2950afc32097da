"""Who scores a night, and who becomes champion: the gate's decision, the ledger, and the alias that follows it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from infra.runtime.run_row import COUNTING
from schemas.errors import BundleError, PromotionRefused, TrainingFailed, UsageError
from schemas.results import ModelOutcome

if TYPE_CHECKING:
    from schemas.dataset import Dataset
    from tasks.gate import GateDecision
    from tasks.night import Night
    from tasks.services import Services


@dataclass(frozen=True)
class ChosenVersion:
    """The version that scores a night.

    Args:
        version: Registered version.
        bundle: Its folder.
        bundle_hash: The hash that the registry has for it.
        in_sample: Whether the night's own rows trained it.
        outcome: For the result.
    """

    version: str
    bundle: Path
    bundle_hash: str
    in_sample: bool
    outcome: ModelOutcome


@dataclass(frozen=True)
class ChampionBundle:
    """The champion's folder, and the hash that the ledger has for it, where that is known."""

    path: Path
    hash: str | None = None


def champion_bundle(services: Services, name: str) -> ChampionBundle | None:
    """The champion's bundle by the ledger; None where there is no champion, or its bundle is gone."""
    champion = services.state.champion(name)
    if champion is None:
        return None
    try:
        return ChampionBundle(services.registry.download(name, champion.version), champion.bundle_hash)
    except (BundleError, UsageError):
        return None


def no_one_scores(services: Services, name: str) -> bool:
    """Whether there is no champion, or one of an earlier version of Sereno whose bundle nothing reads any more."""
    from models.bundle import is_outdated

    if services.state.champion(name) is None:
        return True
    bundle = champion_bundle(services, name)
    return bundle is not None and is_outdated(bundle.path)


def becomes_champion(dataset: Dataset, decision: GateDecision, *, first: bool) -> bool:
    """Whether a challenger becomes champion without a person; one that no other stands beside need only be usable."""
    if first:
        return decision.usable
    return decision.promote and dataset.detector.promotion == "auto"


def in_words(decision: GateDecision, *, first: bool) -> str:
    """The gate's decision in words."""
    said = "; ".join(decision.reasons)
    return f"the first champion, although {said}" if first and not decision.promote else said


def scoring_version(night: Night) -> ChosenVersion:
    """Which version scores tonight.

    The asked one; else, where this very night was done before, the one that scored it then; else the challenger, if it
    passed the gate; else the champion. A night that is done again after later ones never makes a champion.

    Raises:
        TrainingFailed: There is neither a champion nor a challenger.
        PromotionRefused: The gate refused the only version that there is.
    """
    options = night.request.options
    if options.version is not None:
        return _chosen(night, options.version, reason=f"version {options.version} was asked for")
    before = _scored_before(night)
    if before is not None:
        return _chosen(night, before, reason=f"version {before} scored this night before")
    champion = night.services.state.champion(night.dataset.name)
    if night.trained is not None and night.decision is not None and night.challenger is not None:
        first = no_one_scores(night.services, night.dataset.name)
        said = in_words(night.decision, first=first)
        if becomes_champion(night.dataset, night.decision, first=first):
            if later_nights_are_done(night):
                return _chosen(night, night.challenger, reason=f"later nights are done, so the champion stays; {said}")
            return _chosen(night, night.challenger, reason=said, promoted=True)
        if first:
            record_decision(night, promote=False)
            raise _no_one_to_score(night, said)
    if champion is None:
        why = f", and training failed: {night.training_failure}" if night.training_failure else ""
        raise TrainingFailed(
            f"{night.dataset.name}: there is no champion to score with{why}",
            hint=f"train one with: sereno train {night.dataset.name}",
        )
    return _chosen(night, champion.version, reason=_why_champion(night))


def record_decision(night: Night, *, promote: bool) -> None:
    """Write the gate's decision into the ledger, once, and let the alias follow."""
    from tasks.versions import align_alias

    if night.trained is None or night.decision is None or night.challenger is None:
        return
    state, name, found = night.services.state, night.dataset.name, night.trained.bundle_hash
    champion = state.champion(name)
    reason = in_words(night.decision, first=promote and no_one_scores(night.services, name))
    action: Literal["promoted", "refused"] | None
    if promote:
        action = "promoted" if champion is None or champion.bundle_hash != found else None
    else:
        action = None if night.decision.promote else "refused"
    said = {(row.version, row.action, row.reason) for row in state.ledger(name, bundle_hash=found)}
    if action == "promoted" or (action == "refused" and (night.challenger, "refused", reason) not in said):
        state.record(
            name,
            night.challenger,
            found,
            action,
            reason=reason,
            actor=f"run {night.run.id}",
            run_id=night.run.id,
            metrics=night.decision.evidence(),
        )
    align_alias(night.services.registry, state, name)


def _chosen(night: Night, version: str, *, reason: str, promoted: bool = False) -> ChosenVersion:
    from tasks.versions import known_version

    registry, name = night.services.registry, night.dataset.name
    known = known_version(registry, night.services.state, name, version)
    champion = night.services.state.champion(name)
    standing = version if promoted else champion.version if champion else None
    family = known.params.get("family", night.dataset.detector.family)
    outcome = ModelOutcome(version=version, champion=standing, family=family, promoted=promoted, reason=reason)
    in_sample = night.request.iso in known.nights
    return ChosenVersion(version, registry.download(name, version), known.bundle_hash, in_sample, outcome)


def _scored_before(night: Night) -> str | None:
    """The version that scored this very night (same fingerprint) when it was done before."""
    if not night.request.options.force:
        return None
    for run in night.services.state.recent(night.dataset.name, night=night.request.date, kinds=("run",)):
        if run.fingerprint == night.run.fingerprint and run.status in ("done", "partial"):
            version = (run.result.get("model") or {}).get("version")
            return str(version) if version else None
    return None


def champion_before(night: Night) -> str | None:
    """The champion's version that this night found: not the one that it made itself before it was stopped."""
    state = night.services.state
    champion = state.champion(night.dataset.name)
    if champion is None:
        return None
    made_by = state.run(champion.run_id) if champion.run_id is not None else None
    stopped = made_by is not None and made_by.status not in COUNTING and made_by.status != "running"
    same = made_by is not None and (made_by.night, made_by.fingerprint) == (night.run.night, night.run.fingerprint)
    return champion.previous if stopped and same and night.run.fingerprint else champion.version


def later_nights_are_done(night: Night) -> bool:
    """Whether a night after this one was scored: then this one makes no champion any more."""
    newest = night.services.state.history(night.dataset.name, limit=1, table="scores", gone=True)
    return bool(newest) and newest[0].night > night.request.date


def _no_one_to_score(night: Night, said: str) -> PromotionRefused:
    name, version = night.dataset.name, night.challenger
    return PromotionRefused(
        f"{name}: the gate refused version {version}, and there is no champion to score instead: {said}",
        hint=f"look at it with: sereno models show {name} {version}; promote it all the same with: "
        f"sereno models promote {name} {version} --force --reason '...'",
    )


def _why_champion(night: Night) -> str:
    if night.training_failure:
        return f"the champion scored, because training failed: {night.training_failure}"
    if night.decision is None:
        return "the champion scored; nothing was trained"
    if night.decision.promote:
        command = f"sereno models promote {night.dataset.name} {night.challenger}"
        return f"version {night.challenger} passed the gate and waits for: {command}"
    return f"the champion scored; version {night.challenger} was refused: {'; '.join(night.decision.reasons)}"
