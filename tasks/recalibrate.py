"""Another threshold for a detector that is there: no training, the same scores, more or fewer alerts.

The threshold comes from the bundle's own calibration scores: held-out rows of usual nights, which the alert budget is
about. The newest nights' scores only show what it would have done. They do not set it, since a week of attacks would
then raise the threshold until the attacks fit the budget.

What comes out is another bundle (same graph, weights, transform and calibration; another threshold), registered as
another version. The old one stays as it is, and `models rollback` goes back to it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from statistics import median
from typing import TYPE_CHECKING, Any

import numpy as np

from infra.runtime.work import session_folder
from schemas.errors import PromotionRefused, UsageError
from schemas.results import TrainingSummary
from tasks.versions import align_alias

if TYPE_CHECKING:
    from infra.runtime.runs import Run
    from models.bundle import Bundle
    from models.registry import VersionInfo
    from schemas.dataset import Dataset
    from tasks.services import Services

RECALIBRATED_TAG = "recalibrated_from"
NIGHTS = 14


@dataclass(frozen=True)
class Wish:
    """What the threshold shall be made of; the dataset file's alert budget where nothing is given.

    Args:
        budget: Alerts a night.
        share: Alerts over rows of a usual night, above 0 and below 1.
        threshold: The score itself.
    """

    budget: float | None = None
    share: float | None = None
    threshold: float | None = None


@dataclass(frozen=True)
class Setting:
    """A threshold, and what it means for a usual night.

    Args:
        threshold: The score above which a row is an alert.
        budget: Alerts expected of a usual night.
        rows: Rows of a usual night.
        share: Alerts over rows.
    """

    threshold: float
    budget: float
    rows: float
    share: float

    def alerts(self) -> dict[str, float]:
        """As `detector.json` holds it."""
        return {"budget": self.budget, "expected_rows": self.rows, "share": self.share}


@dataclass(frozen=True)
class NightBefore:
    """What one night raised, and would have raised.

    Args:
        date: The night, ISO.
        version: The version that scored it.
        rows: Scored rows.
        before: Rows above the old threshold.
        after: Rows above the new one.
        in_sample: Whether its own rows trained the version.
    """

    date: str
    version: str
    rows: int
    before: int
    after: int
    in_sample: bool


@dataclass(frozen=True)
class Recalibration:
    """What was, or would be, done.

    Args:
        dataset: The dataset.
        source: The version that was recalibrated.
        version: The new version; the old one where nothing changes, None in a dry run.
        before: The old threshold and its meaning.
        after: The new ones.
        nights: Nights whose scores are comparable, oldest first.
        nights_seen: How many of the newest nights were looked at.
        changed: Whether the ledger has a new champion.
        notes: What a person should know.
    """

    dataset: str
    source: str
    version: str | None
    before: Setting
    after: Setting
    nights: tuple[NightBefore, ...]
    nights_seen: int
    changed: bool
    notes: tuple[str, ...]


def recalibrate(
    services: Services, dataset: Dataset, wish: Wish, *, version: str | None, dry_run: bool, reason: str, actor: str
) -> Recalibration:
    """Give a version another threshold and make it champion; doing it again changes nothing more.

    Args:
        services: The stores.
        dataset: The dataset.
        wish: What the threshold is made of.
        version: Which version; the champion where none is given.
        dry_run: Only say what the last nights would have raised.
        reason: Why, for the ledger.
        actor: Who, for the ledger.

    Raises:
        UsageError: There is no champion or no such version, or the wish makes no sense.
        PromotionRefused: The gate refused the version, so another threshold does not make it champion.
        BundleError: The version's bundle was changed, or is gone.
    """
    from models.bundle import open_bundle

    source = _source(services, dataset, version)
    bundle = open_bundle(services.registry.download(dataset.name, source.version), source.bundle_hash)
    before = _setting_of(bundle)
    after = new_setting(bundle, wish, dataset.detector.alert_budget, _usual_rows(services, dataset, before.rows))
    seen, nights = _last_nights(services, dataset, source.version, before.threshold, after.threshold)
    notes = _notes(dataset, bundle, after)
    made, changed = None, False
    if not dry_run:
        made, changed = _make(services, dataset, source, bundle, after, reason, actor)
    return Recalibration(dataset.name, source.version, made, before, after, nights, seen, changed, notes)


def new_setting(bundle: Bundle, wish: Wish, file_budget: float, usual_rows: float) -> Setting:
    """The threshold that a wish comes to.

    Args:
        bundle: Whose calibration scores decide.
        wish: At most one of its fields is given.
        file_budget: The dataset file's alert budget.
        usual_rows: Rows of a usual night.

    Raises:
        UsageError: More than one field, a share outside of 0..1, a budget beyond the rows, a threshold below 0.
    """
    from models.calibration import threshold_for

    given = [value for value in (wish.budget, wish.share, wish.threshold) if value is not None]
    if len(given) > 1:
        raise UsageError("--budget, --share and --threshold say the same thing", hint="give one of them")
    if any(not math.isfinite(value) for value in given):
        raise UsageError(f"{given[0]} is not a number to set a threshold by")
    if wish.threshold is not None:
        if wish.threshold < 0:
            raise UsageError(f"--threshold {wish.threshold:g}: no score is below 0, so every row would be an alert")
        share = float(np.mean(bundle.calibration > wish.threshold))
        return Setting(wish.threshold, share * usual_rows, usual_rows, share)
    if wish.share is not None:
        if not 0 < wish.share < 1:
            raise UsageError(f"--share {wish.share:g}: a share of alerts lies above 0 and below 1", hint="--share 0.01")
        return Setting(threshold_for(bundle.calibration, wish.share), wish.share * usual_rows, usual_rows, wish.share)
    budget = file_budget if wish.budget is None else wish.budget
    if budget <= 0:
        raise UsageError(f"--budget {budget:g}: a budget is more than no alerts", hint="--budget 5")
    if budget >= usual_rows:
        raise UsageError(
            f"--budget {budget:g}: a usual night has {usual_rows:,.0f} rows, so every row would be an alert",
            hint="give fewer, or a share: --share 0.01",
        )
    share = budget / usual_rows
    return Setting(threshold_for(bundle.calibration, share), budget, usual_rows, share)


def _source(services: Services, dataset: Dataset, version: str | None) -> VersionInfo:
    champion = services.state.champion(dataset.name)
    if version is None and champion is None:
        raise UsageError(
            f"{dataset.name}: there is no champion to recalibrate",
            hint=f"do a night first: sereno run {dataset.name} --date DATE, or name one with --version",
        )
    found = services.registry.version(dataset.name, version or (champion.version if champion else ""))
    said = [
        row
        for row in services.state.ledger(dataset.name)
        if row.bundle_hash == found.bundle_hash and row.action != "registered"
    ]
    if said and said[-1].action == "refused":
        raise PromotionRefused(
            f"{dataset.name}: the gate refused version {found.version}: {said[-1].reason}",
            hint=f"promote it first: sereno models promote {dataset.name} {found.version} --force --reason '...'",
        )
    return found


def _setting_of(bundle: Bundle) -> Setting:
    alerts: dict[str, Any] = bundle.detector.get("alerts", {})
    rows = float(alerts.get("expected_rows", len(bundle.calibration)))
    share = float(alerts.get("share", np.mean(bundle.calibration > bundle.threshold)))
    return Setting(bundle.threshold, float(alerts.get("budget", share * rows)), rows, share)


def _usual_rows(services: Services, dataset: Dataset, otherwise: float) -> float:
    """Median of the accepted rows of the newest nights; what the bundle says where none are recorded."""
    runs = services.state.history(dataset.name, None, NIGHTS, table="samples")
    counted = [float(run.counters["rows"]) for run in runs if run.counters.get("rows")]
    return median(counted) if counted else otherwise


def _last_nights(
    services: Services, dataset: Dataset, version: str, old: float, new: float
) -> tuple[int, tuple[NightBefore, ...]]:
    """How many of the newest nights were looked at, and those whose scores mean the same as the version's."""
    root = roots(services.registry.versions(dataset.name))
    runs = services.state.history(dataset.name, None, NIGHTS, table="scores")
    scored = [(run, str((run.result.get("model") or {}).get("version"))) for run in reversed(runs)]
    same = [(run, by) for run, by in scored if by in root and root[by] == root[version]]
    return len(runs), tuple(_night(services, dataset, run, by, old, new) for run, by in same)


def roots(versions: Sequence[VersionInfo]) -> dict[str, str]:
    """For each version the one that was trained: itself, or what it is a recalibration of."""
    parents = {info.version: info.tags.get(RECALIBRATED_TAG) for info in versions}
    found: dict[str, str] = {}
    for version in parents:
        at, seen = version, {version}
        while (parent := parents.get(at)) is not None and parent not in seen:
            at = parent
            seen.add(at)
        found[version] = at
    return found


def _night(services: Services, dataset: Dataset, run: Run, version: str, old: float, new: float) -> NightBefore:
    rows = before = after = 0
    in_sample = False
    pinned = {run.night: run.versions["scores"]}
    for batch in services.lake.batches(dataset.name, "scores", pinned, columns=["score", "in_sample"]):
        scores = batch.column("score").to_numpy()
        rows += len(scores)
        before += int(np.sum(scores > old))
        after += int(np.sum(scores > new))
        in_sample = in_sample or bool(len(scores) and batch.column("in_sample")[0].as_py())
    return NightBefore(run.night.isoformat(), version, rows, before, after, in_sample)


def _notes(dataset: Dataset, bundle: Bundle, after: Setting) -> tuple[str, ...]:
    notes = []
    budget = dataset.detector.alert_budget
    if after.budget > 0 and not math.isclose(after.budget, budget, rel_tol=0.005):
        notes.append(
            f"datasets/{dataset.name}.yaml says alert_budget {budget:g}, which the next training uses; to keep "
            f"this one write there: alert_budget: {after.budget:.4g}"
        )
    if after.share * len(bundle.calibration) < 1:
        notes.append(
            f"so few alerts are beyond what {len(bundle.calibration):,} calibration rows can say; the threshold "
            "follows the tail of the largest"
        )
    return tuple(notes)


def _make(
    services: Services, dataset: Dataset, source: VersionInfo, bundle: Bundle, after: Setting, reason: str, actor: str
) -> tuple[str, bool]:
    """Write and register the bundle, and crown it; each step is left out where it was done before."""
    from models.bundle import write_bundle

    name, state = dataset.name, services.state
    said = f"version {source.version} with threshold {after.threshold:.4f} instead of {bundle.threshold:.4f}"
    detector = {**bundle.detector, "threshold": after.threshold, "alerts": after.alerts()}
    contents = replace(bundle, detector=detector)
    if after.threshold == bundle.threshold:
        made, version = bundle.hash, source.version
    else:
        with session_folder(services.project) as folder:
            made = write_bundle(folder / "recalibrated", contents)
            version = services.registry.register(
                name,
                folder / "recalibrated",
                made,
                _summary(bundle),
                _metrics(source, bundle, after),
                {RECALIBRATED_TAG: source.version},
            )
    ledger = state.ledger(name)
    if all(row.bundle_hash != made for row in ledger):
        state.record(name, version, made, "registered", reason=f"recalibrated: {said}", actor=actor)
    champion = state.champion(name)
    changed = champion is None or champion.bundle_hash != made
    if changed:
        metrics = {"recalibrated_from": source.version, "threshold": after.threshold, **after.alerts()}
        words = f"{reason.strip()} ({said})" if reason.strip() else f"recalibrated: {said}"
        state.record(name, version, made, "promoted", reason=words, actor=actor, metrics=metrics)
    align_alias(services.registry, state, name)
    return version, changed


def _summary(bundle: Bundle) -> TrainingSummary:
    values = {**bundle.detector.get("summary", {}), "nights": tuple(bundle.detector.get("nights", ()))}
    return TrainingSummary.model_validate(values)


def _metrics(source: VersionInfo, bundle: Bundle, after: Setting) -> dict[str, float]:
    above = float(np.mean(bundle.calibration > after.threshold))
    return {**source.metrics, "threshold": after.threshold, "calibration_alert_share": above}
