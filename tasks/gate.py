"""The gate: what a challenger must show before it may become champion, on rows that no training saw."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from schemas.errors import BundleError, SerenoError
from schemas.features import ColumnType
from schemas.threshold import in_words

if TYPE_CHECKING:
    import pandas as pd

    from models.calibration import Matrix
    from models.comparison import Difference
    from models.planting import Place
    from models.scoring import Scorer
    from models.split import Parts
    from schemas.dataset import Dataset

MOST_ROWS = 5_000
FEW_SCORES = 20
BAND = 4.0
# Planted anomalies are not real ones, and two trainings on the same rows differ by as much (docs/decisions/0005).
PCA_MARGIN, CHAMPION_MARGIN = 0.02, 0.01
RECENT = 0.5
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
    """

    promote: bool
    reasons: tuple[str, ...]
    checks: tuple[dict[str, Any], ...]

    @property
    def usable(self) -> bool:
        """Whether it may score where there is no champion: its scores vary, and it alerts about as often as asked."""
        return all(check["passed"] for check in self.checks if check["name"] in NEEDED)


@dataclass(frozen=True)
class Trial:
    """Rows to find planted anomalies among, and how the challenger scores them.

    Args:
        usual: Rows as they came.
        planted: Their twins, each spoilt in one way.
        usual_scores: The challenger's scores, [rows].
        planted_scores: Likewise.
    """

    usual: pd.DataFrame
    planted: pd.DataFrame
    usual_scores: Matrix
    planted_scores: Matrix

    def against(self, score: Callable[[pd.DataFrame], Matrix], seed: int) -> Difference:
        """The challenger against another detector on these very rows."""
        from models.comparison import compare

        theirs = (score(self.usual), score(self.planted))
        return compare((self.usual_scores, self.planted_scores), theirs, seed)


@dataclass(frozen=True)
class Evidence:
    """What the checks look at.

    Args:
        dataset: The dataset.
        challenger: The detector that is judged.
        champion: The one that it would replace, if there is one.
        champion_problem: Why there is a champion that cannot be compared.
        parts: Fit and early-stop rows for the baseline.
        held_out: The window's held-out rows: by their keys no training of this dataset fits them.
        unseen: Rows of a night that is in neither window, if there is one.
        seed: Of all random choices.
    """

    dataset: Dataset
    challenger: Scorer
    champion: Scorer | None
    champion_problem: str
    parts: Parts
    held_out: Trial
    unseen: Trial | None
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
    champion: Path | None = None,
    champion_hash: str | None = None,
    tonight: Tonight | None = None,
    seed: int,
) -> GateDecision:
    """Judge a challenger; the same arguments give the same decision.

    Args:
        dataset: The dataset.
        bundle: The challenger's folder.
        bundle_hash: Its hash.
        sample: The window's sample as one Parquet file, the one that it was trained on.
        champion: The champion's folder, if there is one.
        champion_hash: Its hash, where the caller knows it.
        tonight: The night that waits to be scored, if there is one; not asked where one of them was trained on it.
        seed: Decides what is planted.

    Raises:
        BundleError: The challenger's bundle is not the one that was asked for.
    """
    import pyarrow.parquet as pq

    from models.scoring import Scorer
    from models.split import bounded, split

    challenger = Scorer(bundle, bundle_hash)
    parts = split(bounded(pq.read_table(sample).to_pandas(), dataset.detector.rows))
    places = _places(dataset, challenger)
    held_out = _trial(challenger, _some(parts.calibrate, seed), places, seed)
    rival, problem = _champion(champion, champion_hash, held_out.usual)
    evidence = Evidence(
        dataset=dataset,
        challenger=challenger,
        champion=rival,
        champion_problem=problem,
        parts=parts,
        held_out=held_out,
        unseen=_unseen(challenger, rival, tonight, places, seed),
        seed=seed,
    )
    checks = [check for run in CHECKS if (check := run(evidence)) is not None]
    failed = tuple(check.message or check.name for check in checks if not check.passed)
    said = tuple(f"{check.name}: {check.observed}" for check in checks)
    return GateDecision(not failed, failed or said, tuple(asdict(check) for check in checks))


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


def beats_pca(evidence: Evidence) -> Check:
    """It finds planted anomalies not worse than principal components do."""
    from models.baselines import fit_pca

    transform = evidence.challenger.bundle.transform
    fit = transform.apply(evidence.parts.fit.iloc[:MOST_ROWS])
    pca = fit_pca(fit, transform.apply(evidence.parts.stop.iloc[:MOST_ROWS]), transform)
    found = evidence.held_out.against(lambda rows: pca.score(transform.apply(rows)), evidence.seed)
    return _compared("holds against PCA", found, PCA_MARGIN, "among held-out rows", "principal components do")


def holds_against_champion(evidence: Evidence) -> Check | None:
    """It finds planted anomalies among held-out rows not worse than the champion does."""
    name, champion = "not worse than the champion", evidence.champion
    if champion is None:
        said = evidence.champion_problem
        return Check(name, True, said, "a champion that reads these rows") if said else None
    found = evidence.held_out.against(lambda rows: champion.score(rows, top=0).score, evidence.seed)
    return _compared(name, found, CHAMPION_MARGIN, "among held-out rows", "the champion does")


def holds_on_unseen(evidence: Evidence) -> Check | None:
    """It finds planted anomalies among rows of a night that neither saw not worse than the champion does."""
    champion, trial = evidence.champion, evidence.unseen
    if champion is None or trial is None:
        return None
    found = trial.against(lambda rows: champion.score(rows, top=0).score, evidence.seed)
    check = _compared(
        "not worse than the champion tonight", found, CHAMPION_MARGIN, "among tonight's rows", "the champion does"
    )
    # Told, not judged: a night may have many alerts because it deserves them.
    mine = int(np.sum(trial.usual_scores > evidence.challenger.threshold))
    theirs = int(np.sum(champion.score(trial.usual, top=0).is_alert))
    alerts = f"{mine:,} of {len(trial.usual):,} rows past its threshold, {theirs:,} past the champion's"
    return replace(check, observed=f"{check.observed}; {alerts}")


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
    beats_pca,
    holds_against_champion,
    holds_on_unseen,
)
"""Every check of the gate, in the order in which people read them; None: it does not apply."""


def _trial(challenger: Scorer, usual: pd.DataFrame, places: list[Place], seed: int) -> Trial:
    from models.planting import plant

    planted = plant(usual, places, seed)
    scores = (challenger.score(rows, top=0).score for rows in (usual, planted))
    return Trial(usual, planted, *scores)


def _unseen(
    challenger: Scorer, champion: Scorer | None, tonight: Tonight | None, places: list[Place], seed: int
) -> Trial | None:
    """Tonight's rows as a trial; None where one of the two was trained on them, or they are too few to say anything."""
    import pyarrow.parquet as pq

    if tonight is None or champion is None:
        return None
    if any(tonight.night in detector.bundle.detector["nights"] for detector in (challenger, champion)):
        return None
    rows = _some(pq.read_table(tonight.sample).to_pandas(), seed)
    return _trial(challenger, rows, places, seed) if len(rows) >= LEAST_UNSEEN else None


def _places(dataset: Dataset, challenger: Scorer) -> list[Place]:
    """The columns that the challenger reads, as planting wants to know them."""
    from models.planting import Place

    types = {feature["column"]: feature["type"] for feature in challenger.bundle.detector["features"]}
    limits = {name: column.max for name, column in dataset.columns.items()}
    numeric = (ColumnType.INTEGER.value, ColumnType.NUMBER.value)
    return [Place(name, types.get(name) in numeric, limits.get(name)) for name in challenger.columns]


def _some(rows: pd.DataFrame, seed: int) -> pd.DataFrame:
    if len(rows) <= MOST_ROWS:
        return rows
    chosen = np.random.default_rng(seed).choice(len(rows), MOST_ROWS, replace=False)
    return rows.iloc[np.sort(chosen)]


def _champion(folder: Path | None, expected_hash: str | None, rows: pd.DataFrame) -> tuple[Scorer | None, str]:
    """Open the champion; one that cannot score these rows must not keep another from taking its place."""
    from models.scoring import Scorer

    if folder is None:
        return None, ""
    try:
        champion = Scorer(folder, expected_hash)
        champion.score(rows.iloc[:1], top=0)
    except BundleError as error:
        return None, f"the champion's bundle cannot be used: {error.message}"
    except SerenoError as error:
        return None, f"the champion cannot score these rows any more: {error.message}"
    return champion, ""


def _newest(evidence: Evidence) -> np.ndarray[Any, Any]:
    """Which held-out rows are the newest, bool [rows]; all of them where rows have no time."""
    column = evidence.dataset.event_time
    if column is None or column not in evidence.held_out.usual.columns:
        return np.ones(len(evidence.held_out.usual), dtype=bool)
    rank = evidence.held_out.usual[column].rank(method="first", pct=True, na_option="top").to_numpy()
    newest: np.ndarray[Any, Any] = rank > 1.0 - RECENT
    return newest
