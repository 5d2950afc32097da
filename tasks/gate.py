"""The gate: what a challenger must show before it may become champion, on rows that no training saw."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from schemas.battery import CHAMPION, Battery
from schemas.errors import BundleError, SerenoError
from schemas.threshold import in_words
from tasks.gate_rivals import enter_rivals, said_of, winners
from tasks.trial import Trial, newest_of, places_of, recent, some_of, trial

if TYPE_CHECKING:
    import pandas as pd

    from models.comparison import Difference
    from models.planting import Place
    from models.scoring import Scorer
    from schemas.dataset import Dataset
    from tasks.gate_labels import Labelled
    from tasks.promotion import ChampionBundle

FEW_SCORES = 20
BAND = 4.0
# Planted anomalies are not real ones, and two trainings on the same rows differ by as much (docs/decisions/0005).
PCA_MARGIN, CHAMPION_MARGIN = 0.02, 0.01
LABELS_MARGIN = 0.0
PCA = "PCA"
LEAST_UNSEEN = 100

NEEDED = ("scores vary", "expected alerts")


@dataclass(frozen=True)
class Check:
    """One check, in words.

    Args:
        name: What was checked.
        passed: Whether it held.
        observed: What was found.
        expected: What is asked.
        message: One sentence; why it failed, where it did.
    """

    name: str
    passed: bool
    observed: str
    expected: str
    message: str = ""


@dataclass(frozen=True)
class GateDecision:
    """Whether a challenger may become champion.

    Args:
        promote: All checks held.
        reasons: What failed; where nothing did, what it showed.
        checks: Each check with name, passed, observed, expected, message.
        battery: What each detector found of each kind of planted anomalies.
        stronger: The classical detector that found clearly more, and most; empty where none did.
    """

    promote: bool
    reasons: tuple[str, ...]
    checks: tuple[dict[str, Any], ...]
    battery: Battery = field(default_factory=Battery)
    stronger: str = ""

    def evidence(self) -> dict[str, Any]:
        """For the ledger: all that was looked at."""
        return {
            "checks": [dict(check) for check in self.checks],
            "battery": self.battery.model_dump(mode="json"),
            "weakest": self.battery.weakest(),
        }

    @property
    def usable(self) -> bool:
        """Whether it may score where there is no champion: its scores vary, and it alerts about as often as asked."""
        return all(check["passed"] for check in self.checks if check["name"] in NEEDED)


@dataclass(frozen=True)
class Evidence:
    """What the checks look at.

    Args:
        dataset: The dataset.
        challenger: The detector that is judged.
        champion: The one that it would replace, if there is one.
        champion_problem: Why there is a champion that cannot be compared.
        held_out: The window's held-out rows: by their keys no training of this dataset fits them.
        rivals: The classical detectors that run beside.
        ahead: Those that find clearly more, the best first; see `tasks.gate_rivals.winners`.
        unseen: Rows of a night that is in neither window, if there is one.
        labelled: Rows that people labelled, where they are enough.
        seed: Of all random choices.
    """

    dataset: Dataset
    challenger: Scorer
    champion: Scorer | None
    champion_problem: str
    held_out: Trial
    rivals: tuple[str, ...]
    ahead: dict[str, tuple[float, float]]
    unseen: Trial | None
    labelled: Labelled | None
    seed: int


@dataclass(frozen=True)
class Tonight:
    """The night that waits to be scored.

    Args:
        night: Its logical date, ISO.
        sample: Its rows as one Parquet file.
    """

    night: str
    sample: Path


def judge(
    dataset: Dataset,
    bundle: Path,
    bundle_hash: str,
    sample: Path,
    *,
    champion: ChampionBundle | None = None,
    tonight: Tonight | None = None,
    labelled: Labelled | None = None,
    seed: int,
) -> GateDecision:
    """Judge a challenger; the same arguments give the same decision.

    Args:
        dataset: The dataset.
        bundle: The challenger's folder.
        bundle_hash: Its hash.
        sample: The window's sample as one Parquet file, the one that it was trained on.
        champion: The champion's folder and hash, if there is one.
        tonight: The night that waits to be scored, if there is one; not asked where one of them was trained on it.
        labelled: Rows that people labelled; asked where they are enough of each sort.
        seed: Decides what is planted.

    Raises:
        BundleError: The challenger's bundle is not the one that was asked for.
    """
    import pyarrow.parquet as pq

    from models.scoring import Scorer
    from models.split import bounded, split

    challenger = Scorer(bundle, bundle_hash)
    parts = split(bounded(pq.read_table(sample).to_pandas(), dataset.detector.rows))
    places = places_of(dataset, challenger)
    rows, is_recent = recent(parts.calibrate, dataset)
    held_out = trial(some_of(rows, seed), challenger, places, seed, is_recent=is_recent)
    rival, problem = _champion(champion, held_out.usual)
    if rival is not None:
        held_out.enter(CHAMPION, lambda rows: rival.score(rows, top=0).score)
    rivals = enter_rivals(dataset, challenger, parts, held_out, seed)
    evidence = Evidence(
        dataset=dataset,
        challenger=challenger,
        champion=rival,
        champion_problem=problem,
        held_out=held_out,
        rivals=rivals,
        ahead=(ahead := winners(held_out, rivals, seed)),
        unseen=_unseen(challenger, rival, tonight, places, seed),
        labelled=labelled if labelled is not None and labelled.is_enough else None,
        seed=seed,
    )
    checks = [check for run in CHECKS if (check := run(evidence)) is not None]
    failed = tuple(check.message or check.name for check in checks if not check.passed)
    said = tuple(f"{check.name}: {check.observed}" for check in checks)
    told = tuple(asdict(check) for check in checks)
    return GateDecision(not failed, failed or said, told, held_out.battery(), next(iter(ahead), ""))


def scores_vary(evidence: Evidence) -> Check:
    """Finite scores that tell rows apart."""
    scores = evidence.held_out.usual_scores
    finite = bool(np.isfinite(scores).all() and np.isfinite(evidence.held_out.planted_scores).all())
    distinct = len(np.unique(scores))
    low, high = np.quantile(scores, [0.05, 0.95]) if finite else (0.0, 0.0)
    spread = float(high - low)
    # Rows of one yes or no have two scores, and rows that are nearly all alike hardly more.
    span = spread if distinct >= FEW_SCORES else float(np.ptp(scores)) if finite else 0.0
    passed = finite and distinct >= 2 and span > 1e-6 * (1.0 + abs(float(low)))
    message = "" if passed else "the scores of held-out rows are constant or not finite: nothing was learnt"
    observed = (
        f"{distinct:,} different scores, the middle 90 % span {spread:.3g}" if finite else "scores that are no numbers"
    )
    return Check("scores vary", passed, observed, "finite scores that differ from row to row", message)


def expected_alerts(evidence: Evidence) -> Check:
    """The newest held-out rows give about as many alerts as a person wants."""
    detector = evidence.challenger.bundle.detector
    usual_rows, rule = float(detector["alerts"]["expected_rows"]), evidence.dataset.detector.threshold.model_dump()
    budget = evidence.dataset.detector.wished_alerts(usual_rows)
    scores = evidence.held_out.usual_scores[_newest(evidence)]
    count, wanted = int(np.sum(scores > evidence.challenger.threshold)), len(scores) * min(budget / usual_rows, 1.0)
    # Two standard deviations of a Poisson count beyond the band: few rows say little about a rare event.
    least = wanted / BAND - 2.0 * np.sqrt(wanted / BAND)
    if detector["in_sample"]:
        least = 0.0  # its threshold is that of one night of a new kind; the nights before lie below it
    most = min(wanted * BAND, len(scores)) + 2.0 * np.sqrt(wanted * BAND) + 1.0
    passed = bool(least <= count <= most)
    nightly = count / max(len(scores), 1) * usual_rows
    message = ""
    if not passed:
        asked = "the budget is" if rule["method"] == "budget" else f"the threshold {in_words(rule)} asks for"
        message = (
            f"{nightly:,.0f} alerts are to be expected on a night of {usual_rows:,.0f} rows, {asked} {budget:g}: "
            f"{count} of the {len(scores):,} newest held-out rows lie past the threshold"
        )
    return Check(
        "expected alerts",
        passed,
        f"{nightly:,.3g} a night ({count} of {len(scores):,} held-out rows)",
        f"between {budget / BAND:g} and {budget * BAND:g} a night",
        message,
    )


def holds_against_pca(evidence: Evidence) -> Check:
    """It finds planted anomalies not worse than principal components do.

    Told, not judged, where the champion is behind them as well and the challenger is at least as good as that one: to
    refuse it would only keep a worse detector on duty.
    """
    found = evidence.held_out.against(PCA, evidence.seed)
    check = _compared("holds against PCA", found, PCA_MARGIN, "among held-out rows", "principal components do")
    if check.passed or evidence.champion is None:
        return check
    champion = evidence.held_out.against(PCA, evidence.seed, first=CHAMPION)
    if not champion.is_worse(PCA_MARGIN) or found.first < champion.first:
        return check
    expected = f"told, not judged: the champion is behind them, too (AUROC {champion.first:.3f})"
    return replace(check, passed=True, expected=expected, message="")


def classical_rivals(evidence: Evidence) -> Check | None:
    """Whether a classical detector finds clearly more; told, not judged: the dataset file says what follows."""
    if not evidence.rivals:
        return None
    said = said_of(evidence.ahead, evidence.rivals)
    follows = "one that does may win" if evidence.dataset.detector.rivals == "may_win" else "told, not judged"
    return Check("classical rivals", True, said, follows)


def holds_against_champion(evidence: Evidence) -> Check | None:
    """It finds planted anomalies among held-out rows not worse than the champion does."""
    name, champion = "not worse than the champion", evidence.champion
    if champion is None:
        said = evidence.champion_problem
        return Check(name, True, said, "a champion that reads these rows") if said else None
    found = evidence.held_out.against(CHAMPION, evidence.seed)
    return _compared(name, found, CHAMPION_MARGIN, "among held-out rows", "the champion does")


def holds_on_unseen(evidence: Evidence) -> Check | None:
    """It finds planted anomalies among rows of a night that neither saw not worse than the champion does."""
    champion, unseen = evidence.champion, evidence.unseen
    if champion is None or unseen is None:
        return None
    found = unseen.against(CHAMPION, evidence.seed)
    check = _compared(
        "not worse than the champion tonight", found, CHAMPION_MARGIN, "among tonight's rows", "the champion does"
    )
    # Told, not judged: a night may have many alerts because it deserves them.
    mine = int(np.sum(unseen.usual_scores > evidence.challenger.threshold))
    theirs = int(np.sum(champion.score(unseen.usual, top=0).is_alert))
    alerts = f"{mine:,} of {len(unseen.usual):,} rows past its threshold, {theirs:,} past the champion's"
    return replace(check, observed=f"{check.observed}; {alerts}")


def holds_on_labels(evidence: Evidence) -> Check | None:
    """It ranks what people labelled not worse than the champion does."""
    from models.comparison import compare_labelled

    labelled, champion = evidence.labelled, evidence.champion
    if labelled is None or champion is None:
        return None
    name, rows, (anomalies, others) = "not worse than the champion on labels", labelled.rows, labelled.of_each
    try:
        scores = [detector.score(rows, top=0).score for detector in (evidence.challenger, champion)]
    except SerenoError as error:
        return Check(name, True, f"the labelled rows cannot be scored: {error.message}", "rows that both read")
    found = compare_labelled(scores[0], scores[1], labelled.is_anomaly, evidence.seed)
    worse = found.is_worse(LABELS_MARGIN)
    message = (
        f"it ranks the {anomalies:,} anomalies and {others:,} other rows that people labelled worse "
        f"(AUROC {found.first:.3f}) than the champion does ({found.second:.3f}, standard error {found.error:.3f})"
    )
    observed = f"AUROC {found.first:.3f} on {anomalies:,} anomalies and {others:,} other rows that people labelled"
    return Check(
        name,
        not worse,
        f"{observed}, the champion {found.second:.3f}",
        f"at least {found.at_least(LABELS_MARGIN):.3f}",
        message if worse else "",
    )


def _compared(name: str, found: Difference, margin: float, where: str, rival: str) -> Check:
    """One comparison in words; `rival` is a subject with its verb."""
    worse = found.is_worse(margin)
    message = (
        f"it finds anomalies planted {where} worse (AUROC {found.first:.3f}) than {rival} ({found.second:.3f}, "
        f"standard error {found.error:.3f})"
    )
    return Check(
        name,
        not worse,
        f"AUROC {found.first:.3f} on anomalies planted {where}, {rival.removesuffix(' does').removesuffix(' do')} "
        f"{found.second:.3f}",
        f"at least {found.at_least(margin):.3f}",
        message if worse else "",
    )


CHECKS: tuple[Callable[[Evidence], Check | None], ...] = (
    scores_vary,
    expected_alerts,
    holds_against_pca,
    classical_rivals,
    holds_against_champion,
    holds_on_unseen,
    holds_on_labels,
)
"""Every check of the gate, in the order in which people read them; None: it does not apply."""


def _unseen(
    challenger: Scorer, champion: Scorer | None, tonight: Tonight | None, places: list[Place], seed: int
) -> Trial | None:
    """Tonight's rows as a trial; None where one of the two was trained on them, or they are too few to say anything."""
    import pyarrow.parquet as pq

    if tonight is None or champion is None:
        return None
    if any(tonight.night in detector.bundle.detector["nights"] for detector in (challenger, champion)):
        return None
    rows = some_of(pq.read_table(tonight.sample).to_pandas(), seed)
    if len(rows) < LEAST_UNSEEN:
        return None
    made = trial(rows, challenger, places, seed)
    made.enter(CHAMPION, lambda rows: champion.score(rows, top=0).score)
    return made


def _champion(found: ChampionBundle | None, rows: pd.DataFrame) -> tuple[Scorer | None, str]:
    """Open the champion; one that cannot score these rows must not keep another from taking its place."""
    from models.scoring import Scorer

    if found is None:
        return None, ""
    try:
        champion = Scorer(found.path, found.hash)
        champion.score(rows.iloc[:1], top=0)
    except BundleError as error:
        return None, f"the champion's bundle cannot be used: {error.message}"
    except SerenoError as error:
        return None, f"the champion cannot score these rows any more: {error.message}"
    return champion, ""


def _newest(evidence: Evidence) -> np.ndarray[Any, Any]:
    """Which held-out rows are the newest, bool [rows]; all of them where they are that already, or have no time."""
    held_out = evidence.held_out
    newest = None if held_out.is_recent else newest_of(held_out.usual, evidence.dataset.event_time)
    return np.ones(len(held_out.usual), dtype=bool) if newest is None else newest
