"""The second stage: which alerts are like those that people called false alarms.

Three questions, and an alert is called like them only where all three say yes:

- a forest of extremely randomised trees, told labelled false alarms from labelled anomalies and from alerts of the same
  nights that nobody judged, must put it on the side of the false alarms. How far on that side is decided on nights that
  the forest did not see: at most `MOST_LOST` of the anomalies, and `MOST_UNJUDGED` of the alerts that nobody judged,
  may fall there, and never more than `MOST_ALIKE` of the false alarms (a conformal bound: the least typical ones vouch
  for nothing);
- it must lie no further from the labelled false alarms than they lie from each other (a conformal bound again), so that
  a row unlike anything labelled is never called like them, whatever the trees make of it;
- its score must not be extreme; `tasks.reduce` asks that.

With few labels, or where the unseen nights show no skill beyond chance, there is no reducer and a reason instead.
"""

from __future__ import annotations

import hashlib
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from models.bundle import canonical_json
from models.forest import Forest, Numbers, Rows, grow

if TYPE_CHECKING:
    from models.scoring import Examined

TREES = 200
MOST_LOST = 0.08
MOST_UNJUDGED = 0.06
MOST_ALIKE = 0.86
FARTHEST = 0.99
NEAR = 3
FOLDS = 5
SKILL = 3.0  # standard errors of what shuffled labels reach
LEAST_ALIKE = 0.05
AT_ONCE = 512
FAR_OUT = 8.0  # beyond, a number is only far out
FALSE_ALARM, ANOMALY, UNJUDGED = 0, 1, 2

Words = np.ndarray[Any, np.dtype[np.int8]]
Flags = np.ndarray[Any, np.dtype[np.bool_]]


@dataclass(frozen=True, eq=False)
class Examples:
    """Alerts of nights before.

    Args:
        rows: What the trees see of each, float32 [rows, width].
        places: Where each lies, encoded, float32 [rows, encoded width].
        words: What people said: `FALSE_ALARM`, `ANOMALY`, or `UNJUDGED`, int8 [rows].
        nights: Which night each is of, any numbers, [rows].
    """

    rows: Rows
    places: Rows
    words: Words
    nights: np.ndarray[Any, Any]

    def where(self, some: np.ndarray[Any, Any]) -> Examples:
        """Some of them."""
        return Examples(self.rows[some], self.places[some], self.words[some], self.nights[some])


@dataclass(frozen=True)
class Skill:
    """What held on nights that were not learnt from.

    Args:
        alike: Share of labelled false alarms that would be called like them.
        lost: Share of labelled anomalies that would be.
        unjudged: Share of the alerts that nobody judged that would be.
        auroc: Chance that an anomaly looks less like a false alarm than a false alarm does.
    """

    alike: float
    lost: float
    unjudged: float
    auroc: float


@dataclass(frozen=True)
class Abstained:
    """Why there is no reducer."""

    reason: str


@dataclass(frozen=True, eq=False)
class Found:
    """What a reducer says of alerts.

    Args:
        score: How little each is like a labelled false alarm, float64 [rows] in 0..1.
        alike: Which are called like them, bool [rows].
        nearest: Which labelled false alarm is nearest, its place among them, [rows].
    """

    score: Numbers
    alike: Flags
    nearest: np.ndarray[Any, np.dtype[np.intp]]


@dataclass(frozen=True, eq=False)
class Reducer:
    """A fitted second stage: plain arrays.

    Args:
        forest: 0 is like a false alarm.
        cut: At or below, a row is on the false alarms' side.
        places: Where the labelled false alarms lie, float32 [rows, encoded width].
        farthest: A row farther from them than this is like none.
        width: Numbers that the trees see.
        skill: What held on nights that were not learnt from.
    """

    forest: Forest
    cut: float
    places: Rows
    farthest: float
    width: int
    skill: Skill

    def find(self, rows: Rows, places: Rows) -> Found:
        """Judge alerts, each by itself.

        Args:
            rows: What the trees see, float32 [rows, width].
            places: Where they lie, encoded, float32 [rows, encoded width].
        """
        score = self.forest(rows)
        distance, nearest = _distances(self.places, places)
        return Found(score, (score <= self.cut) & (distance <= self.farthest), nearest)

    @property
    def digest(self) -> str:
        """SHA-256 of all of it, in hex: equal labels give equal reducers."""
        forest = {name: array.tolist() for name, array in asdict(self.forest).items()}
        facts = [forest, self.cut, self.places.tolist(), self.farthest, self.width, asdict(self.skill)]
        return hashlib.sha256(canonical_json(facts)).hexdigest()


def views(examined: Examined) -> tuple[Rows, Rows]:
    """What the trees see of alerts, and where they lie: values, residuals, each column's part and share, the score.

    Returns:
        Float32 [rows, 2 x width + 2 x columns + 1], and float32 [rows, width].
    """
    places = np.clip(examined.encoded, -FAR_OUT, FAR_OUT)
    columns = examined.parts.shape[1]
    seen = (
        places,
        np.clip(examined.residuals, -FAR_OUT, FAR_OUT),
        np.log1p(examined.parts * columns),
        np.sqrt(examined.shares),
        examined.score[:, None],
    )
    return np.concatenate(seen, axis=1).astype(np.float32), places.astype(np.float32)


def fit(examples: Examples, *, least: int, seed: int) -> Reducer | Abstained:
    """Learn from labelled alerts, or say why not; the same examples give the same reducer.

    Args:
        examples: Alerts of nights before.
        least: So many of either sort must be labelled.
        seed: Decides every random choice.
    """
    alarms, anomalies = (int(np.sum(examples.words == word)) for word in (FALSE_ALARM, ANOMALY))
    if min(alarms, anomalies) < least:
        return Abstained(
            f"{alarms:,} alerts are labelled false_alarm and {anomalies:,} anomaly; of each sort {least:,} are needed"
        )
    unseen = _scores_unseen(examples, seed)
    auroc = _auroc(unseen[examples.words == FALSE_ALARM], unseen[examples.words == ANOMALY])
    chance = float(np.sqrt((alarms + anomalies + 1) / (12.0 * alarms * anomalies)))
    if auroc < 0.5 + SKILL * chance:
        return Abstained(
            "on nights that it did not learn from it tells the two sorts apart no better than chance "
            f"(AUROC {auroc:.2f})"
        )
    cut = _cut(unseen, examples.words)
    places = examples.places[examples.words == FALSE_ALARM]
    farthest = _quantile_up(_distances(places, places, apart=True)[0], FARTHEST)
    skill = _skill(unseen <= cut, examples.words, auroc)
    if skill.alike < LEAST_ALIKE or skill.alike <= skill.lost:
        held = int(np.sum(examples.words == UNJUDGED))
        beside = f"; {held:,} alerts of the labelled nights are not judged" if held else ""
        return Abstained(f"no bound leaves the anomalies alone and calls enough alerts like false alarms{beside}")
    return Reducer(_forest(examples, seed), cut, places, farthest, examples.rows.shape[1], skill)


def _forest(examples: Examples, seed: int) -> Forest:
    """Trees to which each sort counts as much as the others, whatever their numbers."""
    weights = np.zeros(len(examples.words))
    for word in (FALSE_ALARM, ANOMALY, UNJUDGED):
        mine = examples.words == word
        weights[mine] = 1.0 / max(int(mine.sum()), 1)
    weights *= len(weights) / weights.sum()
    return grow(examples.rows, examples.words != FALSE_ALARM, weights, trees=TREES, seed=seed)


def _scores_unseen(examples: Examples, seed: int) -> Numbers:
    """What a forest says of each example that learnt from other nights; from other examples, where nights are few."""
    known, folds = np.unique(examples.nights, return_inverse=True)
    if len(known) > FOLDS:
        folds = folds * FOLDS // len(known)  # nights in a row stay together
    elif len(known) < 3:
        folds = np.empty(len(examples.words), dtype=np.int64)
        for word in (FALSE_ALARM, ANOMALY, UNJUDGED):
            mine = np.flatnonzero(examples.words == word)
            folds[mine] = np.arange(len(mine)) % FOLDS
    scores = np.full(len(examples.words), 0.5)
    for fold in np.unique(folds):
        mine = folds == fold
        others = examples.where(~mine)
        if len(np.unique(others.words != FALSE_ALARM)) == 2:
            scores[mine] = _forest(others, seed)(examples.rows[mine])
    return scores


def _cut(unseen: Numbers, words: Words) -> float:
    bounds = [_quantile_up(unseen[words == FALSE_ALARM], MOST_ALIKE)]
    allowed = {ANOMALY: MOST_LOST, UNJUDGED: MOST_UNJUDGED}
    bounds += [_below(unseen[words == word], most) for word, most in allowed.items() if (words == word).any()]
    return min(bounds)


def _below(scores: Numbers, most: float) -> float:
    """The largest cut at or below which at most that share of what is yet to come lies; below all of few scores."""
    allowed = min(int(most * (len(scores) + 1)), len(scores))
    ordered = np.sort(scores)
    cut = ordered[max(allowed, 1) - 1]
    # Where the next one is its equal, or none is allowed, the cut lies below it.
    is_clear = allowed > 0 and (allowed == len(ordered) or ordered[allowed] > cut)
    return float(cut if is_clear else np.nextafter(cut, -np.inf))


def _quantile_up(values: Numbers, share: float) -> float:
    """The conformal quantile: a further value of the same sort lies at or below with this chance at least."""
    ordered = np.sort(values)
    return float(ordered[min(int(np.ceil(share * (len(ordered) + 1))), len(ordered)) - 1])


def _skill(alike: Flags, words: Words, auroc: float) -> Skill:
    def share(word: int) -> float:
        mine = words == word
        return float(alike[mine].mean()) if mine.any() else 0.0

    return Skill(share(FALSE_ALARM), share(ANOMALY), share(UNJUDGED), auroc)


def _auroc(alarms: Numbers, anomalies: Numbers) -> float:
    """The Mann-Whitney statistic; a draw counts half."""
    ordered = np.sort(alarms)
    lower, upper = (np.searchsorted(ordered, anomalies, side=side) for side in ("left", "right"))
    return float((lower + upper).sum() / (2.0 * len(alarms) * len(anomalies)))


def _distances(reference: Rows, rows: Rows, *, apart: bool = False) -> tuple[Numbers, np.ndarray[Any, Any]]:
    """Mean distance to the nearest of the reference, and which is nearest; `apart`: the rows are the reference."""
    count = min(NEAR, len(reference) - apart) or 1
    squares = np.square(reference.astype(np.float64)).sum(axis=1)
    mean, nearest = np.empty(len(rows)), np.empty(len(rows), dtype=np.intp)
    for start in range(0, len(rows), AT_ONCE):
        some = rows[start : start + AT_ONCE].astype(np.float64)
        far = np.square(some).sum(axis=1)[:, None] + squares - 2.0 * some @ reference.T.astype(np.float64)
        if apart:
            far[np.arange(len(some)), start + np.arange(len(some))] = np.inf
        nearest[start : start + len(some)] = np.argmin(far, axis=1)
        mean[start : start + len(some)] = np.sqrt(np.maximum(np.sort(far, axis=1)[:, :count], 0.0)).mean(axis=1)
    return mean, nearest
