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
from dataclasses import asdict, dataclass, replace
from statistics import median
from typing import TYPE_CHECKING, Any

import numpy as np

from infra.runtime.promotions import DECIDING, tells_of
from infra.runtime.work import session_folder
from schemas.errors import PromotionRefused, UsageError
from schemas.results import TrainingSummary
from schemas.threshold import RULES, BudgetRule, TailRule, ThresholdRule, rule_for, wished_share
from tasks.versions import align_alias, known_version

if TYPE_CHECKING:
    from infra.runtime.runs import Run
    from models.bundle import Bundle
    from models.registry import VersionInfo
    from schemas.dataset import Dataset
    from schemas.detector import DetectorSettings
    from tasks.services import Services

RECALIBRATED_TAG = "recalibrated_from"
NIGHTS = 14
SHARES = {"share": "a share of alerts", "p_value": "a p-value to alert at", "risk": "a risk"}


@dataclass(frozen=True)
class Wish:
    """What the threshold shall be made of; the dataset file's rule where nothing is given.

    Args:
        budget: Alerts a night.
        share: Alerts over rows of a usual night, above 0 and below 1.
        p_value: Largest p-value of an alert, above 0 and below 1.
        risk: Chance that a usual row is an alert, by the tail of the calibration scores, above 0 and below 1.
        threshold: The score itself.
    """

    budget: float | None = None
    share: float | None = None
    p_value: float | None = None
    risk: float | None = None
    threshold: float | None = None


@dataclass(frozen=True)
class Setting:
    """A threshold, and what it means for a usual night.

    Args:
        threshold: The score above which a row is an alert.
        budget: Alerts expected of a usual night.
        rows: Rows of a usual night.
        share: Alerts over rows.
        rule: How it came about: a rule of `schemas.threshold` as plain values, or the method `score`, by hand.
    """

    threshold: float
    budget: float
    rows: float
    share: float
    rule: dict[str, Any]

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
    after = new_setting(bundle, wish, dataset.detector, _usual_rows(services, dataset, before.rows))
    seen, nights = _last_nights(services, dataset, source.version, before.threshold, after.threshold)
    notes = _notes(dataset, bundle, after)
    made, changed = None, False
    if not dry_run:
        made, changed = _make(services, dataset, source, bundle, after, reason, actor)
    return Recalibration(dataset.name, source.version, made, before, after, nights, seen, changed, notes)


def new_setting(bundle: Bundle, wish: Wish, settings: DetectorSettings, usual_rows: float) -> Setting:
    """The threshold that a wish comes to.

    Args:
        bundle: Whose calibration scores decide.
        wish: At most one of its fields is given.
        settings: The dataset file's, which say how the threshold comes about where no wish does.
        usual_rows: Rows of a usual night.

    Raises:
        UsageError: More than one field, a share outside of 0..1, a budget beyond the rows, a threshold below 0.
    """
    from models.thresholds import threshold_by

    given = {name: value for name, value in asdict(wish).items() if value is not None}
    if len(given) > 1:
        raise UsageError(f"{' and '.join(map(_option, given))} say the same thing", hint="give one of them")
    if any(not math.isfinite(value) for value in given.values()):
        raise UsageError(f"{next(iter(given.values()))} is not a number to set a threshold by")
    if wish.threshold is not None:
        if wish.threshold < 0:
            raise UsageError(f"--threshold {wish.threshold:g}: no score is below 0, so every row would be an alert")
        share = float(np.mean(bundle.calibration > wish.threshold))
        return Setting(wish.threshold, share * usual_rows, usual_rows, share, {"method": "score"})
    rule, budget = _rule(wish, settings, usual_rows), settings.alert_budget if wish.budget is None else wish.budget
    share = wished_share(rule, budget, usual_rows)
    expected = budget if isinstance(rule, BudgetRule) else share * usual_rows
    return Setting(threshold_by(rule, bundle.calibration, share), expected, usual_rows, share, rule.model_dump())


def _rule(wish: Wish, settings: DetectorSettings, usual_rows: float) -> ThresholdRule:
    """The rule of a wish, or the dataset file's."""
    for name, value in (("share", wish.share), ("p_value", wish.p_value), ("risk", wish.risk)):
        if value is not None and not 0 < value < 1:
            option = _option(name)
            raise UsageError(f"{option} {value:g}: {SHARES[name]} lies above 0 and below 1", hint=f"{option} 0.01")
    if wish.share is not None:
        return rule_for("quantile", wish.share)
    if wish.p_value is not None:
        return rule_for("p_value", wish.p_value)
    if wish.risk is not None:
        own = settings.threshold
        return own.model_copy(update={"risk": wish.risk}) if isinstance(own, TailRule) else rule_for("tail", wish.risk)
    if wish.budget is None and not isinstance(settings.threshold, BudgetRule):
        return settings.threshold
    budget = settings.alert_budget if wish.budget is None else wish.budget
    if budget <= 0:
        raise UsageError(f"--budget {budget:g}: a budget is more than no alerts", hint="--budget 5")
    if budget >= usual_rows:
        raise UsageError(
            f"--budget {budget:g}: a usual night has {usual_rows:,.0f} rows, so every row would be an alert",
            hint="give fewer, or a share: --share 0.01",
        )
    return BudgetRule(method="budget")


def _option(name: str) -> str:
    return f"--{name.replace('_', '-')}"


def _source(services: Services, dataset: Dataset, version: str | None) -> VersionInfo:
    champion = services.state.champion(dataset.name)
    if version is None and champion is None:
        raise UsageError(
            f"{dataset.name}: there is no champion to recalibrate",
            hint=f"do a night first: sereno run {dataset.name} --date DATE, or name one with --version",
        )
    asked = version or (champion.version if champion else "")
    found = known_version(services.registry, services.state, dataset.name, asked)
    said = [
        row
        for row in services.state.ledger(dataset.name)
        if row.bundle_hash == found.bundle_hash and row.action in DECIDING
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
    return Setting(bundle.threshold, float(alerts.get("budget", share * rows)), rows, share, bundle.threshold_rule)


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
    if (other := _unlike_file(dataset.detector, after)) is not None:
        says, write = other
        notes.append(
            f"datasets/{dataset.name}.yaml says {says}, which the next training uses; to keep this one write there: "
            f"{write}"
        )
    if after.share * len(bundle.calibration) < 1 and after.rule["method"] != "score":
        notes.append(
            f"so few alerts are beyond what {len(bundle.calibration):,} calibration rows can say; the threshold "
            "follows the tail of the largest"
        )
    return tuple(notes)


def _unlike_file(settings: DetectorSettings, after: Setting) -> tuple[str, str] | None:
    """What the dataset file says, and what it should say to give this threshold again; None where it does."""
    by_budget = isinstance(settings.threshold, BudgetRule)
    says = f"alert_budget {settings.alert_budget:g}" if by_budget else f"threshold {_yaml(settings.threshold)}"
    if after.rule["method"] in ("budget", "score"):
        if after.budget <= 0 or (by_budget and math.isclose(after.budget, settings.alert_budget, rel_tol=0.005)):
            return None
        also = "" if by_budget else f", and threshold: {_yaml(BudgetRule(method='budget'))}"
        return says, f"alert_budget: {after.budget:.4g}{also}"
    rule = RULES.validate_python(after.rule)
    return None if rule == settings.threshold else (says, f"threshold: {_yaml(rule)}")


def _yaml(rule: ThresholdRule) -> str:
    """A rule as it stands in a dataset file."""
    values = {"method": rule.method, **rule.model_dump(exclude_defaults=True)}
    return "{" + ", ".join(f"{name}: {value}" for name, value in values.items()) + "}"


def _make(
    services: Services, dataset: Dataset, source: VersionInfo, bundle: Bundle, after: Setting, reason: str, actor: str
) -> tuple[str, bool]:
    """Write and register the bundle, and crown it; each step is left out where it was done before."""
    from models.bundle import rule_facts, write_bundle

    name, state = dataset.name, services.state
    said = f"version {source.version} with threshold {after.threshold:.4f} instead of {bundle.threshold:.4f}"
    kept = {fact: value for fact, value in bundle.detector.items() if fact != "threshold_rule"}
    detector = {**kept, **rule_facts(after.rule), "threshold": after.threshold, "alerts": after.alerts()}
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
    if not tells_of(state.ledger(name, bundle_hash=made)):
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
