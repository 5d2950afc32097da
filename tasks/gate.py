"""The gate: what a challenger must show before it may become champion, on rows that no training saw."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from schemas.errors import BundleError, SerenoError

if TYPE_CHECKING:
    import pandas as pd

    from models.calibration import Matrix
    from models.scoring import Scorer
    from models.split import Parts
    from schemas.dataset import Dataset

MOST_ROWS = 5_000
BAND = 4.0
# Swapped values are the easiest of anomalies: differences this small say nothing about real ones (docs/decisions).
PCA_MARGIN, CHAMPION_MARGIN = 0.03, 0.01
RECENT = 0.5


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
class Evidence:
    """What the checks look at.

    Args:
        dataset: The dataset.
        challenger: The detector that is judged.
        champion: The one that it would replace, if there is one.
        champion_problem: Why there is a champion that cannot be compared.
        parts: Fit and early-stop rows for the baseline.
        usual: Held-out rows.
        planted: Their twins with swapped values.
        usual_scores: The challenger's scores of them, [rows].
        planted_scores: Likewise.
        seed: Of all random choices.
    """

    dataset: Dataset
    challenger: Scorer
    champion: Scorer | None
    champion_problem: str
    parts: Parts
    usual: pd.DataFrame
    planted: pd.DataFrame
    usual_scores: Matrix
    planted_scores: Matrix
    seed: int


def judge(
    dataset: Dataset,
    bundle: Path,
    bundle_hash: str,
    sample: Path,
    *,
    champion: Path | None = None,
    champion_hash: str | None = None,
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
        seed: Decides what is planted.

    Raises:
        BundleError: The challenger's bundle is not the one that was asked for.
    """
    evidence = _evidence(dataset, bundle, bundle_hash, sample, champion, champion_hash, seed)
    checks = [check for run in CHECKS if (check := run(evidence)) is not None]
    failed = tuple(check.message or check.name for check in checks if not check.passed)
    said = tuple(f"{check.name}: {check.observed}" for check in checks)
    return GateDecision(not failed, failed or said, tuple(asdict(check) for check in checks))


def scores_vary(evidence: Evidence) -> Check:
    """Finite scores that tell rows apart."""
    scores = evidence.usual_scores
    finite = bool(np.isfinite(scores).all() and np.isfinite(evidence.planted_scores).all())
    distinct = len(np.unique(scores))
    low, high = np.quantile(scores, [0.05, 0.95]) if finite else (0.0, 0.0)
    spread = float(high - low)
    passed = finite and distinct >= min(5, len(scores)) and spread > 1e-6 * (1.0 + abs(float(low)))
    message = "" if passed else "the scores of held-out rows are constant or not finite: nothing was learnt"
    observed = (
        f"{distinct:,} different scores, the middle 90 % span {spread:.3g}" if finite else "scores that are no numbers"
    )
    return Check("scores vary", passed, observed, "finite scores that differ from row to row", message)


def expected_alerts(evidence: Evidence) -> Check:
    """The newest held-out rows give about as many alerts as a person wants."""
    detector = evidence.challenger.bundle.detector
    budget, usual_rows = evidence.dataset.detector.alert_budget, float(detector["alerts"]["expected_rows"])
    scores = evidence.usual_scores[_newest(evidence)]
    count, wanted = int(np.sum(scores > evidence.challenger.threshold)), len(scores) * min(budget / usual_rows, 1.0)
    # Two standard deviations of a Poisson count beyond the band: few rows say little about a rare event.
    least = wanted / BAND - 2.0 * np.sqrt(wanted / BAND)
    most = min(wanted * BAND, len(scores)) + 2.0 * np.sqrt(wanted * BAND) + 1.0
    passed = bool(least <= count <= most)
    nightly = count / max(len(scores), 1) * usual_rows
    message = ""
    if not passed:
        message = (
            f"{nightly:,.0f} alerts are to be expected on a night of {usual_rows:,.0f} rows, the budget is {budget:g}: "
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
    """It finds swapped values not worse than principal components do."""
    from models.baselines import fit_pca
    from models.comparison import compare

    transform = evidence.challenger.bundle.transform
    fit = transform.apply(evidence.parts.fit.iloc[:MOST_ROWS])
    pca = fit_pca(fit, transform.apply(evidence.parts.stop.iloc[:MOST_ROWS]), transform)
    theirs = (pca.score(transform.apply(evidence.usual)), pca.score(transform.apply(evidence.planted)))
    found = compare((evidence.usual_scores, evidence.planted_scores), theirs, evidence.seed)
    message = ""
    if found.is_worse(PCA_MARGIN):
        message = (
            f"it finds planted anomalies worse (AUROC {found.first:.3f}) than principal components do "
            f"({found.second:.3f}, standard error {found.error:.3f})"
        )
    return Check(
        "holds against PCA",
        not message,
        f"AUROC {found.first:.3f} on planted anomalies, PCA {found.second:.3f}",
        f"at least {found.at_least(PCA_MARGIN):.3f}",
        message,
    )


def holds_against_champion(evidence: Evidence) -> Check | None:
    """It finds swapped values not worse than the champion does."""
    from models.comparison import compare

    name = "not worse than the champion"
    if evidence.champion is None:
        said = evidence.champion_problem
        return Check(name, True, said, "a champion that reads these rows") if said else None
    theirs = tuple(evidence.champion.score(rows, top=0).score for rows in (evidence.usual, evidence.planted))
    found = compare((evidence.usual_scores, evidence.planted_scores), (theirs[0], theirs[1]), evidence.seed)
    message = ""
    if found.is_worse(CHAMPION_MARGIN):
        message = (
            f"it finds planted anomalies worse (AUROC {found.first:.3f}) than the champion does "
            f"({found.second:.3f}, standard error {found.error:.3f})"
        )
    return Check(
        name,
        not message,
        f"AUROC {found.first:.3f} on planted anomalies, the champion {found.second:.3f}",
        f"at least {found.at_least(CHAMPION_MARGIN):.3f}",
        message,
    )


CHECKS: tuple[Callable[[Evidence], Check | None], ...] = (
    scores_vary,
    expected_alerts,
    beats_pca,
    holds_against_champion,
)
"""Every check of the gate, in the order in which people read them; None: it does not apply."""


def _evidence(
    dataset: Dataset,
    bundle: Path,
    bundle_hash: str,
    sample: Path,
    champion: Path | None,
    champion_hash: str | None,
    seed: int,
) -> Evidence:
    import pyarrow.parquet as pq

    from models.planting import swap_values
    from models.scoring import Scorer
    from models.split import bounded, split

    challenger = Scorer(bundle, bundle_hash)
    parts = split(bounded(pq.read_table(sample).to_pandas(), dataset.detector.rows))
    usual = _some(parts.calibrate, seed)
    planted = swap_values(usual, challenger.columns, seed)
    rival, problem = _champion(champion, champion_hash, usual)
    return Evidence(
        dataset=dataset,
        challenger=challenger,
        champion=rival,
        champion_problem=problem,
        parts=parts,
        usual=usual,
        planted=planted,
        usual_scores=challenger.score(usual, top=0).score,
        planted_scores=challenger.score(planted, top=0).score,
        seed=seed,
    )


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
    if column is None or column not in evidence.usual.columns:
        return np.ones(len(evidence.usual), dtype=bool)
    rank = evidence.usual[column].rank(method="first", pct=True, na_option="top").to_numpy()
    newest: np.ndarray[Any, Any] = rank > 1.0 - RECENT
    return newest
