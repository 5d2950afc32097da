"""Drift as the detector sees it: tonight's codes, scores and residuals beside those of the nights before.

All nights are seen through the version that scored tonight. Its codes are judged as columns are: each night of the
window against its fellows says what is usual. Of the scores the bulk counts, not the tail, which is what alerts are
for: how many rows score above the median of the calibration rows. Together with the drift of the columns that tells
whether a person has something to do: `tasks.drift_words` says what.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date as Date
from functools import cached_property
from typing import TYPE_CHECKING, Literal, TypeAlias

import numpy as np

from schemas.results import DetectorDrift, Drift, RisenColumn, ScoreQuantile, SeenMeasure
from tasks.column_drift import BEYOND_USUAL, FAR, FEWEST_NIGHTS, NOISE, USUAL, VERDICTS, bounded
from tasks.drift_words import Finding, not_known, told

if TYPE_CHECKING:
    import pyarrow as pa

    from models.bundle import BundleContents
    from models.calibration import Matrix
    from models.code_distance import CodeDistances
    from models.seen_rows import Codes, Eye, SeenRows

Verdict: TypeAlias = Literal["steady", "columns moved", "relations moved", "beyond the detector", "stale"]

ROWS_A_NIGHT = 500  # the cost grows with its square; a night's share of high scores is then known to 0.02
LEAST_DISTANCE = 0.002  # nights of one source lie up to 0.0015 apart
LEAST_RISE = 0.06  # share of rows
MOST_USUAL = 0.75  # share of rows above the calibration's median, where a half is due
MOST_RISE = 0.5  # of the rows that are not above it usually: more is a rise however much nights differ
NIGHTS_TO_BE_STALE = 3
QUANTILES = (0.25, 0.5, 0.75, 0.9)
OUTLIER = 0.99  # quantile of a column's usual residuals that one row may add at most
MOST_COLUMNS = 5
LEAST_TIMES = 1.5
HALFWAY, BARELY = 0.5, 0.2
MAD_TO_DEVIATION = 1.4826
DISTANCE = "distance of the codes, as a share of the distance between rows"
ABOVE_MEDIAN = "share of rows that score above the calibration's median"


@dataclass(frozen=True)
class Onset:
    """When a measure left what is usual.

    Args:
        at: Place of the first night like the last one.
        kind: How it got there.
    """

    at: int
    kind: Literal["sudden", "gradual"]


def detector_drift(
    bundle: BundleContents,
    version: str,
    nights: Mapping[Date, pa.Table],
    tonight: tuple[Date, pa.Table],
    columns: Drift,
    dataset: str,
) -> DetectorDrift:
    """Judge how the detector sees tonight.

    Args:
        bundle: The version that scored.
        version: Its name.
        nights: Samples of the nights before, columns of `accepted`, oldest first.
        tonight: Tonight, and its sample.
        columns: What is known of the drift of the columns.
        dataset: Its name, for the commands.

    Raises:
        UnreadableInput: A column that the detector reads is missing.
    """
    from models.seen_rows import Eye

    window = {day: rows for day, rows in nights.items() if rows.num_rows}
    day, rows = tonight
    if not rows.num_rows:
        return not_known(dataset, version, len(window), "Tonight has no rows to look at.")
    if len(window) < FEWEST_NIGHTS:
        return not_known(dataset, version, len(window), few_nights(len(window)))
    trained = frozenset(bundle.detector.get("nights", ()))
    eye = Eye(bundle)
    looked = [_look(eye, night, rows, trained) for night, rows in (*window.items(), (day, rows))]
    return judged(looked, bundle, version, columns, dataset)


def few_nights(known: int) -> str:
    """Why nothing can be said of the first nights."""
    are = "is 1 night" if known == 1 else f"are {known} nights"
    return f"There {are} before to compare with; it takes {FEWEST_NIGHTS}."


@dataclass(frozen=True)
class Looked:
    """One night as the detector sees it.

    Args:
        night: ISO date.
        seen: Its rows.
        half: 0 or 1 [rows]: two halves that say what chance does.
        trained: Whether the version learned from this night.
    """

    night: str
    seen: SeenRows
    half: np.ndarray
    trained: bool

    def codes(self) -> tuple[Codes, Codes] | None:
        """The codes of both halves; None where the detector has none."""
        codes = self.seen.codes
        return None if codes is None else (codes[self.half == 0], codes[self.half == 1])


def _look(eye: Eye, night: Date, rows: pa.Table, trained: frozenset[str]) -> Looked:
    """Look at a bounded part of a night; rows that the version learned from would look more usual than they are."""
    import pyarrow as pa

    from models.split import halves, held_out

    is_trained = night.isoformat() in trained
    if is_trained:
        unseen = held_out(rows.column("sereno_hash").to_numpy())
        rows = rows.filter(pa.array(unseen)) if unseen.any() else rows
    rows = bounded(rows, ROWS_A_NIGHT)
    seen = eye.look(rows.select(list(eye.columns)).to_pandas())
    return Looked(night.isoformat(), seen, halves(rows.column("sereno_hash").to_numpy()), is_trained)


def judged(
    looked: Sequence[Looked], bundle: BundleContents, version: str, columns: Drift, dataset: str
) -> DetectorDrift:
    """The verdict on nights that were looked at, tonight last."""
    calibration = np.asarray(bundle.calibration, dtype=np.float64)
    scores = ScoreSeries.of(looked, calibration)
    codes = CodeSeries.of(looked)
    moved = [column.column for column in columns.columns if column.verdict != "steady"]
    finding = Finding(
        dataset=dataset,
        nights=tuple(night.night for night in looked),
        verdict=_verdict(bool(moved), scores, codes),
        moved=tuple(moved),
        scores=scores.measure,
        codes=None if codes is None else codes.measure,
        risen=risen_columns(looked, bundle.transform.columns),
        nights_up=scores.nights_up,
        follows=looked[-2].trained,
    )
    onset = _onset(finding.verdict, scores, codes)
    known = {"version": version, "quantiles": _quantiles(looked[-1].seen.score, calibration)}
    return told(finding, None if onset is None else (looked[onset.at].night, onset.kind)).model_copy(update=known)


def _verdict(columns_moved: bool, scores: ScoreSeries, codes: CodeSeries | None) -> Verdict | Literal["not known"]:
    codes_moved = codes is not None and codes.measure.verdict != "steady"
    if scores.nights_up >= NIGHTS_TO_BE_STALE:
        return "stale"
    if scores.nights_up:
        return "beyond the detector" if columns_moved else "relations moved"
    if codes is None:
        return "not known"
    if columns_moved:
        return "columns moved"
    return "relations moved" if codes_moved else "steady"


def _onset(verdict: str, scores: ScoreSeries, codes: CodeSeries | None) -> Onset | None:
    if scores.nights_up:
        return onset_of(scores.risen)
    moved = verdict in ("columns moved", "relations moved") and codes is not None
    return onset_of(codes.nearness) if moved and codes is not None and codes.measure.verdict != "steady" else None


def onset_of(rise: Sequence[float]) -> Onset:
    """When a rise began, and how.

    Args:
        rise: Each night's, from about 0, which is usual, to tonight's, which is 1.

    Returns:
        Sudden: since the first of the nights that have at least half of the rise without a break, where the night
        before had less than a fifth of it; else gradual, since the first night that had more than a fifth.
    """
    at = len(rise) - 1
    while at > 0 and rise[at - 1] >= HALFWAY:
        at -= 1
    if at == 0 or rise[at - 1] < BARELY:
        return Onset(at, "sudden")
    while at > 0 and rise[at - 1] >= BARELY:
        at -= 1
    return Onset(at, "gradual")


@dataclass(frozen=True)
class ScoreSeries:
    """How much of each night scores above the calibration's median.

    Args:
        nights: ISO dates.
        values: Share of each night's rows, tonight last.
        usual: The median of the nights that the version learned from, or of all before where these are few.
        limit: Above it a night's scores have risen.
    """

    nights: tuple[str, ...]
    values: tuple[float, ...]
    usual: float
    limit: float

    @classmethod
    def of(cls, looked: Sequence[Looked], calibration: Matrix) -> ScoreSeries:
        """Measure nights, tonight last."""
        median = float(np.median(calibration))
        values = np.array([np.mean(night.seen.score > median) for night in looked])
        known = [at for at, night in enumerate(looked[:-1]) if night.trained]
        reference = values[known] if len(known) >= FEWEST_NIGHTS else values[:-1]
        # Where all nights lie far above it already, the detector was stale before the first of them.
        usual = min(float(np.median(reference)), MOST_USUAL)
        # By the nights below the usual alone: some of the others may have risen already, and must not hide tonight.
        below = reference[reference <= usual]
        spread = float(np.median(usual - below)) * MAD_TO_DEVIATION if len(below) else 0.0
        chance = float(np.sqrt(0.25 / len(looked[-1].seen.score)))
        rise = max(LEAST_RISE, NOISE * spread, NOISE * chance)
        limit = usual + min(rise, MOST_RISE * (1.0 - usual))
        return cls(tuple(night.night for night in looked), tuple(values.tolist()), usual, limit)

    @property
    def nights_up(self) -> int:
        """How many nights without a break, tonight the last, lie above the limit."""
        below = [at for at, value in enumerate(self.values) if value <= self.limit]
        return len(self.values) - 1 - max(below, default=-1)

    @property
    def risen(self) -> tuple[float, ...]:
        """Each night's share of tonight's rise."""
        rise = self.values[-1] - self.usual
        return tuple((value - self.usual) / rise for value in self.values)

    @property
    def measure(self) -> SeenMeasure:
        """For the report."""
        room = self.limit - self.usual
        times = (self.values[-1] - self.usual) / room if room > 0 else 0.0
        return _measure(ABOVE_MEDIAN, self.nights, self.values, self.usual, self.limit, times)


@dataclass(frozen=True)
class CodeSeries:
    """How far each night's codes lie from those of its fellows.

    Args:
        nights: ISO dates.
        distances: Of the rows of all nights.
    """

    nights: tuple[str, ...]
    distances: CodeDistances

    @classmethod
    def of(cls, looked: Sequence[Looked]) -> CodeSeries | None:
        """Measure nights, tonight last; None where the detector has no codes."""
        from models.code_distance import code_distances

        codes = [night.codes() for night in looked]
        found = [half for both in codes if both is not None for half in both]
        if len(found) < 2 * len(looked):
            return None
        return cls(tuple(night.night for night in looked), code_distances(found))

    @cached_property
    def measure(self) -> SeenMeasure:
        """Tonight against all nights before, and each of those against its fellows."""
        last = len(self.nights) - 1
        rest = [[other for other in range(last) if other != at] for at in range(len(self.nights))]
        values = tuple(self.distances.between([at], others) for at, others in enumerate(rest))
        usual = float(np.quantile(values[:-1], USUAL, method="higher"))
        noise = NOISE * self.distances.noise([last], rest[last])
        limit = max(LEAST_DISTANCE, BEYOND_USUAL * usual, usual + noise)
        return _measure(DISTANCE, self.nights, values, usual, limit, values[-1] / limit)

    @property
    def nearness(self) -> tuple[float, ...]:
        """How like tonight each night is: 0 for as far as half of the nights before are, 1 for tonight itself."""
        last = len(self.nights) - 1
        apart = np.array([self.distances.between([at], [last]) for at in range(last)])
        usual = float(np.median(apart))
        like = 1.0 - np.minimum(apart / usual, 1.0) if usual > 0 else np.ones(last)
        return (*like.tolist(), 1.0)


def _measure(
    name: str, nights: Sequence[str], values: Sequence[float], usual: float, limit: float, times: float
) -> SeenMeasure:
    return SeenMeasure(
        measure=name,
        value=round(values[-1], 6),
        usual=round(usual, 6),
        limit=round(limit, 6),
        verdict=VERDICTS[int(times > 1.0) + int(times > FAR)],
        nights=tuple((night, round(value, 6)) for night, value in zip(nights, values, strict=True)),
    )


def risen_columns(looked: Sequence[Looked], columns: Sequence[str]) -> tuple[RisenColumn, ...]:
    """The columns whose residuals tonight are the most times those of the nights before, worst first."""
    before = np.concatenate([night.seen.parts for night in looked[:-1]])
    most = np.quantile(before, OUTLIER, axis=0)
    usual = np.minimum(before, most).mean(axis=0)
    own = np.minimum(looked[-1].seen.parts, np.maximum(most, 0.0)).mean(axis=0)
    # A column that always fits has no usual residual to speak of: it counts as one that has a hundredth of the mean.
    floor = max(float(usual.mean()) / 100, np.finfo(np.float64).tiny)
    times = own / np.maximum(usual, floor)
    ranked = np.argsort(-times, kind="stable")[:MOST_COLUMNS]
    return tuple(
        RisenColumn(column=columns[at], times=round(float(times[at]), 2)) for at in ranked if times[at] >= LEAST_TIMES
    )


def _quantiles(scores: Matrix, calibration: Matrix) -> tuple[ScoreQuantile, ...]:
    both = (np.quantile(scores, QUANTILES), np.quantile(calibration, QUANTILES))
    return tuple(
        ScoreQuantile(quantile=at, tonight=round(float(own), 6), calibration=round(float(usual), 6))
        for at, own, usual in zip(QUANTILES, *both, strict=True)
    )
