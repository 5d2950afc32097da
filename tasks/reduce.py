"""The second stage of a night: which of its alerts are like those that people called false alarms.

It learns, each night anew, from the labels of the nights before, in the numbers of the detector that scores tonight.
What it says of an alert never depends on other alerts, and no alert leaves the scores.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from infra.runtime.labels import UNSAID
from schemas.results import Alert, LikeLabel, Reduction
from schemas.tables import scores_schema

if TYPE_CHECKING:
    import pyarrow as pa

    from infra.runtime.labels import Label
    from models.reducer import Abstained, Reducer
    from models.scoring import Scorer
    from schemas.dataset import Dataset
    from tasks.night import Night
    from tasks.score import Scored

EXTREME = 0.01
"""Of a usual night's alerts this share is as far out; those are always shown, where the dataset file says nothing."""


@dataclass(frozen=True)
class _Judge:
    """The second stage at work: the reducer, the detector whose numbers it reads, and what it learnt from."""

    reducer: Reducer
    scorer: Scorer
    alarms: Sequence[Label]
    extreme: float
    hides: bool


@dataclass(frozen=True)
class _Part:
    """What became of one part's alerts: the highest of both sorts, and how many."""

    shown: pa.Table
    alike: pa.Table
    said: dict[tuple[str, int, str], LikeLabel]
    count: int = 0
    extreme: int = 0


def reduce_alerts(night: Night, bundle: Path, bundle_hash: str) -> Scored:
    """The night's scores with what the second stage says of its alerts; unchanged where nobody labelled any.

    Args:
        night: The night, scored; the parts of its scores are written anew.
        bundle: The detector that scored.
        bundle_hash: Its hash on record.

    Raises:
        BundleError: The bundle is not the one that was asked for.
        UnreadableInput: The rows lack columns that the detector reads.
    """
    from models.reducer import Abstained
    from models.scoring import Scorer
    from tasks.labels import MOST_LABELS

    scored: Scored = night.done("scored")
    dataset, settings = night.dataset, night.dataset.reducer
    labels = night.services.state.labels(
        dataset.name, before=night.request.date, most=MOST_LABELS, unsaid=settings.unjudged == "hold"
    )
    labels = [label for label in labels if label.row.word != "expected"]
    if settings.policy == "off" or all(label.row.word == UNSAID for label in labels):
        return scored
    scorer = Scorer(bundle, bundle_hash)
    fitted = learn(dataset, labels, scorer, night.seed)
    said = _facts(dataset, labels)
    if isinstance(fitted, Abstained):
        return replace(scored, reduction=said.model_copy(update={"reason": fitted.reason}))
    said = said.model_copy(
        update={
            "hash": fitted.digest,
            "expected_alike": fitted.skill.alike,
            "expected_lost": fitted.skill.lost,
        }
    )
    alarms = [label for label in labels if label.row.word == "false_alarm"]
    judge = _Judge(fitted, scorer, alarms, extreme_score(dataset, scorer), settings.policy == "hide")
    return _judged(dataset, scored, night.accepted_files, judge, said)


def learn(dataset: Dataset, labels: Sequence[Label], scorer: Scorer, seed: int) -> Reducer | Abstained:
    """Fit the second stage to labelled alerts, in the numbers of one detector.

    Args:
        dataset: The dataset.
        labels: Of nights before; `unsaid` ones are alerts that nobody judged.
        scorer: The detector.
        seed: Decides every random choice.
    """
    from models.reducer import ANOMALY, FALSE_ALARM, UNJUDGED, Examples, fit, views
    from tasks.labels import labelled_frame

    words = {"false_alarm": FALSE_ALARM, "anomaly": ANOMALY, UNSAID: UNJUDGED}
    values = [label.row.values for label in labels]
    rows, places = views(scorer.examine(labelled_frame(dataset, values, scorer.columns)))
    said = np.array([words[label.row.word] for label in labels], dtype=np.int8)
    nights = np.array([label.night.toordinal() for label in labels])
    return fit(Examples(rows, places, said, nights), least=dataset.reducer.least_labels, seed=seed)


def extreme_score(dataset: Dataset, scorer: Scorer) -> float:
    """The score above which an alert is shown whatever it is like; infinite where the dataset file wants none so.

    Where that share is less than one calibration row, the tail of the largest ones says where it lies, as for the
    threshold: a smallest p-value of 1 / (rows + 1) would else make every alert extreme where rows are many.
    """
    from models.calibration import threshold_for

    share = dataset.reducer.keep_p_value
    if share is None:
        past = float(np.mean(scorer.calibration > scorer.threshold))
        share = EXTREME * float(scorer.bundle.detector.get("alerts", {}).get("share", past))
    return threshold_for(scorer.calibration, share) if share > 0 else float("inf")


def _facts(dataset: Dataset, labels: Sequence[Label]) -> Reduction:
    words = [label.row.word for label in labels]
    return Reduction(
        policy="hide" if dataset.reducer.policy == "hide" else "rank",
        false_alarms=words.count("false_alarm"),
        anomalies=words.count("anomaly"),
        unjudged=words.count(UNSAID),
    )


def _judged(dataset: Dataset, scored: Scored, accepted: Sequence[Path], judge: _Judge, said: Reduction) -> Scored:
    from tasks.score import TOP_ALERTS

    schema = scores_schema(dataset)
    parts = [_judge_part(*paths, judge, schema) for paths in zip(scored.parts, accepted, strict=True)]
    alike = sum(part.count for part in parts)
    shown = _alerts(parts, "shown", schema, TOP_ALERTS, 0)
    like = _alerts(parts, "alike", schema, TOP_ALERTS, 0 if judge.hides else scored.alerts - alike)
    update = {"alike": alike, "suppressed": alike * judge.hides, "extreme": sum(part.extreme for part in parts)}
    said = said.model_copy(update=update)
    if judge.hides:
        return replace(scored, top=shown, suppressed=like, reduction=said)
    return replace(scored, top=(*shown, *like)[:TOP_ALERTS], reduction=said)


def _judge_part(scores: Path, accepted: Path, judge: _Judge, schema: pa.Schema) -> _Part:
    """Judge one part's alerts; its file is written anew, rows and order stay."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    from tasks.score import TOP_ALERTS
    from tasks.score_part import ranked

    table = pq.read_table(scores, schema=schema)
    at = np.flatnonzero(table["is_alert"].to_numpy())
    if not len(at):
        return _Part(schema.empty_table(), schema.empty_table(), {})
    frame = pq.read_table(accepted, columns=list(judge.scorer.columns)).take(pa.array(at)).to_pandas()
    score, alike, nearest = _found(judge, frame)
    extreme = alike & (table["score"].to_numpy()[at] > judge.extreme)
    alike &= ~extreme
    table = _with_columns(table, at, {"suppressed": alike & judge.hides, "reducer_score": score})
    draft = scores.with_suffix(".reduced")
    pq.write_table(table, draft)
    draft.replace(scores)
    alerts = table.take(pa.array(at))
    shown, like = (ranked(alerts.filter(pa.array(flags)), TOP_ALERTS) for flags in (~alike, alike))
    listed = set(_places(like))
    said = {
        place: _like(judge.alarms[nearest[row]], float(score[row]))
        for row, place in enumerate(_places(alerts))
        if place in listed
    }
    return _Part(shown, like, said, int(alike.sum()), int(extreme.sum()))


def _found(judge: _Judge, frame: Any) -> tuple[Any, Any, Any]:
    from models.reducer import views

    found = judge.reducer.find(*views(judge.scorer.examine(frame)))
    return found.score, found.alike.copy(), found.nearest


def _with_columns(table: pa.Table, at: Any, values: dict[str, Any]) -> pa.Table:
    """The table with values in some rows of some columns, and nothing in the others."""
    import pyarrow as pa

    for name, known in values.items():
        place = table.schema.get_field_index(name)
        filled = np.zeros(len(table), dtype=known.dtype)
        filled[at] = known
        absent = np.ones(len(table), dtype=bool)
        absent[at] = False
        table = table.set_column(place, table.schema.field(place), pa.array(filled, mask=absent))
    return table


def _like(label: Label, score: float) -> LikeLabel:
    return LikeLabel(key=label.row.key, night=label.night.isoformat(), note=label.row.note, score=round(score, 6))


def _places(table: pa.Table) -> list[tuple[str, int, str]]:
    columns = (table[name].to_pylist() for name in ("sereno_file", "sereno_line", "sereno_key"))
    return [(file or "", line or 0, key) for file, line, key in zip(*columns, strict=True)]


def _alerts(parts: Sequence[_Part], which: str, schema: pa.Schema, most: int, before: int) -> tuple[Alert, ...]:
    """The highest alerts of one sort, ranked behind so many others."""
    import pyarrow as pa

    from tasks.alert import alerts_of
    from tasks.score_part import ranked

    table = pa.concat_tables([schema.empty_table(), *(getattr(part, which) for part in parts)])
    said = {place: like for part in parts for place, like in part.said.items()}
    return tuple(
        alert.model_copy(
            update={"rank": before + alert.rank, "said": said.get((alert.source_file, alert.source_line, alert.key))}
        )
        for alert in alerts_of(ranked(table, most))
    )
