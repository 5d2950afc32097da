"""The gate of a night: what it is asked for this night, and what follows where a classical detector finds more."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tasks.gate import GateDecision
    from tasks.night import Night
    from tasks.train import TrainingOutcome


def decide(night: Night) -> None:
    """Register tonight's challenger and judge it; where the dataset file says so, a better rival takes over."""
    from tasks.training import register

    if night.trained is None:
        return
    night.challenger = register(night.services, night.dataset, night.trained, night.run.id)
    night.decision = judged(night, night.trained)
    if night.decision.stronger and night.dataset.detector.rivals == "may_win":
        _let_rival_win(night, night.trained, night.decision)


def judged(night: Night, trained: TrainingOutcome) -> GateDecision:
    """What the gate says of a detector on the rows of this night."""
    from tasks.gate import Tonight, judge
    from tasks.gate_labels import labels_before
    from tasks.promotion import champion_bundle

    services, dataset = night.services, night.dataset
    champion = champion_bundle(services, dataset.name)
    if champion is None and services.state.champion(dataset.name):
        night.warnings.append("the champion's bundle is gone; the challenger was judged without it")
    return judge(
        dataset,
        trained.bundle,
        trained.bundle_hash,
        night.work / "window.parquet",
        champion=champion,
        tonight=Tonight(night.request.iso, night.prepared.sample) if night.prepared else None,
        labelled=labels_before(services, dataset, night.request.date),
        seed=night.seed,
    )


def _let_rival_win(night: Night, trained: TrainingOutcome, decision: GateDecision) -> None:
    """Put a classical detector that finds clearly more in the challenger's place, where the gate lets it pass.

    Not on a night that trains itself: its threshold would be that of rows which it learnt by heart.
    """
    from tasks.gate_rivals import make_champion_of
    from tasks.promotion import no_one_scores, record_decision
    from tasks.training import register

    title, sample = decision.stronger, night.work / "window.parquet"
    if trained.summary.in_sample:
        night.warnings.append(f"{title} finds more, but does not win on a night that trains itself")
        return
    other = make_champion_of(night.dataset, title, trained, sample, night.work / "rival", night.seed)
    tried = other.summary.model_copy(update={"candidates": trained.summary.candidates})
    other = replace(other, summary=tried)
    second = judged(night, other)
    first = no_one_scores(night.services, night.dataset.name)
    if not (second.promote or (first and second.usable)):
        night.warnings.append(f"{title} finds more, but does not pass the gate: {'; '.join(second.reasons)}")
        return
    # A refusal of the autoencoder is written down before another takes its place.
    record_decision(night, promote=False)
    night.challenger = register(night.services, night.dataset, other, night.run.id)
    said = f"{title} takes the autoencoder's place as challenger, as it finds more planted anomalies"
    night.trained, night.decision = other, replace(second, reasons=(said, *second.reasons))
    night.warnings.append(said)
