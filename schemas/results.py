"""What a night leaves behind in words and numbers: the object that `run --json` prints and the report is made of."""

from __future__ import annotations

from typing import Any, Literal, Self

from pydantic import Field, model_validator

from schemas.battery import Battery
from schemas.detector import Frozen
from schemas.incident_results import NightIncidents

Status = Literal["done", "skipped", "blocked", "partial", "failed", "missing"]


class RowCounts(Frozen):
    """Where each row that was read went; nothing is lost."""

    read: int = 0
    accepted: int = 0
    quarantined: int = 0
    held: int = 0

    @model_validator(mode="after")
    def _adds_up(self) -> Self:
        if self.read != self.accepted + self.quarantined + self.held:
            raise ValueError(
                f"rows read {self.read} is not accepted {self.accepted} + quarantined {self.quarantined} "
                f"+ held {self.held}"
            )
        return self


class ExpectationOutcome(Frozen):
    """One expectation on one batch.

    Args (fields):
        rule: Its place and words in the dataset file, e.g. ``median of sbytes between 300 and 9000``.
        observed: What the batch had, as text; `expected`: what was allowed, as text.
    """

    expect: str
    column: str | None
    policy: Literal["warn", "block"]
    success: bool
    rule: str
    observed: str
    expected: str
    message: str = ""


class ExpectationCounts(Frozen):
    """How many expectations held."""

    passed: int = 0
    failed: int = 0
    blocking: int = 0


class ModelOutcome(Frozen):
    """Which version scored, and what became of tonight's challenger.

    Fields: the version that scored; the champion, also of a night that was not scored; the version that tonight's
    training gave; whether that one became champion, and why or why not.
    """

    version: str | None = None
    champion: str | None = None
    challenger: str | None = None
    family: str | None = None
    promoted: bool = False
    reason: str = ""


class Contribution(Frozen):
    """How much one column added to a row's score.

    Fields: share of the row's score in 0..1; actual and expected value as text.
    """

    column: str
    share: float
    actual: str
    expected: str


class LikeRow(Frozen):
    """A normal row that agrees with an alert in all but what made the alert.

    Fields: its key, where it came from, its score, and its values as text for the columns of the alert's contributions.
    """

    key: str
    night: str
    source_file: str = ""
    source_line: int = 0
    score: float
    values: dict[str, str] = Field(default_factory=dict)


class LikeLabel(Frozen):
    """The labelled false alarm that is nearest to an alert which is like them.

    Fields: its key and night; what the person noted; how little the alert is like a labelled false alarm, 0..1.
    """

    key: str
    night: str
    note: str = ""
    score: float = 0.0


class Alert(Frozen):
    """One row past the threshold."""

    rank: int
    key: str
    event_time: str | None = None
    entity: str | None = None
    score: float
    p_value: float
    source_file: str = ""
    source_line: int = 0
    contributions: tuple[Contribution, ...] = ()
    like: LikeRow | None = None
    said: LikeLabel | None = None  # where it is like what people called a false alarm


class Reduction(Frozen):
    """What the second stage made of tonight's alerts.

    Fields:
        policy: What the dataset file says becomes of alerts like labelled false alarms.
        reason: Why it did nothing; empty where it was at work.
        false_alarms, anomalies, unjudged: Labelled alerts that it learnt from, and those that nobody judged.
        alike: Tonight's alerts that are like labelled false alarms, the suppressed ones among them.
        suppressed: Those that policy `hide` took out of the list.
        extreme: Those that are shown all the same, because their score is extreme.
        expected_alike, expected_lost: Share of labelled false alarms, and of labelled anomalies, that it called alike
            on nights that it had not learnt from.
        hash: SHA-256 of the reducer, which equal labels make again.
    """

    policy: Literal["rank", "hide"]
    reason: str = ""
    false_alarms: int = 0
    anomalies: int = 0
    unjudged: int = 0
    alike: int = 0
    suppressed: int = 0
    extreme: int = 0
    expected_alike: float | None = None
    expected_lost: float | None = None
    hash: str | None = None


class QuarantineSample(Frozen):
    """One failure of the contract, for the report; the whole list is in the lake."""

    key: str
    source_file: str
    source_line: int
    column: str
    rule: str
    value: str


class NightResult(Frozen):
    """The outcome of one (dataset, date): printed by `run --json`, kept in the state, shown in the report."""

    dataset: str
    date: str
    status: Status
    reason: str = ""
    rows: RowCounts = Field(default_factory=RowCounts)
    failures: dict[str, int] = Field(default_factory=dict)
    expectations: ExpectationCounts = Field(default_factory=ExpectationCounts)
    model: ModelOutcome = Field(default_factory=ModelOutcome)
    threshold: float | None = None
    alerts: int = 0
    above_usual: float | None = None  # share of rows that score above the median of usual ones
    suppressed: int = 0
    incidents: int = 0
    allowed: int = 0  # alerts that the dataset file's allow-list took: they are in no incident
    report: str | None = None
    seconds: dict[str, float] = Field(default_factory=dict)
    warnings: tuple[str, ...] = ()


class CandidateResult(Frozen):
    """What became of one of the candidates that shared a training's epochs.

    Fields: its family, and in words where it differs from the dataset file; the last rung that it trained on, from 1,
    and its epochs; what it found of planted anomalies there (AUROC), seconds of its training, and what followed.
    """

    family: str
    settings: str = ""
    rung: int = 0
    epochs: int = 0
    score: float | None = None
    seconds: float = 0.0
    verdict: str = ""


class TrainingSummary(Frozen):
    """What the report says of a training."""

    rows_fit: int = 0
    rows_stop: int = 0
    rows_calibrate: int = 0
    nights: tuple[str, ...] = ()
    epochs: int = 0
    loss: tuple[float, ...] = ()
    held_out_loss: tuple[float, ...] = ()
    contamination_assumed: float = 0.0
    in_sample: bool = False
    seconds: float = 0.0
    width: int = 0
    parameters: int = 0
    candidates: tuple[CandidateResult, ...] = ()


class ThresholdChoice(Frozen):
    """What one rule makes of the threshold, so that a person can choose.

    Fields: the rule's method and its words; the threshold; how many of the calibration rows lie past it; how many rows
    of a usual night by that; whether it is in force.
    """

    method: str
    words: str
    share: float
    threshold: float
    calibration_alerts: int
    calibration_rows: int
    usual_night: float
    in_force: bool = False


class ScoreDistribution(Frozen):
    """Tonight's scores as a histogram on a common axis with the calibration scores'; how the threshold came about."""

    edges: tuple[float, ...] = ()
    tonight: tuple[int, ...] = ()
    calibration: tuple[int, ...] = ()
    threshold: float | None = None
    alert_curve: tuple[tuple[float, int], ...] = ()  # (threshold, alerts tonight)
    rule: str = ""  # how the threshold came about, in words
    choices: tuple[ThresholdChoice, ...] = ()


class ColumnDrift(Frozen):
    """How far tonight's values of one column lie from those of the nights before.

    Fields:
        measure: What was measured, in words, e.g. ``population stability index``.
        value: Tonight's; `usual`: what nine of ten nights of the window against the others have at most.
        message: What moved, in one sentence with numbers; empty while steady.
    """

    column: str
    measure: str
    value: float
    usual: float
    verdict: Literal["steady", "moved", "moved far"]
    message: str = ""


class SeenMeasure(Frozen):
    """One measure of how the detector sees tonight, beside the nights before.

    Fields:
        value: Tonight's; `usual`: what it usually is; `limit`: above it, it moved.
        nights: Each night that was looked at, oldest first and tonight last, with its value.
    """

    measure: str
    value: float
    usual: float
    limit: float
    verdict: Literal["steady", "moved", "moved far"]
    nights: tuple[tuple[str, float], ...] = ()


class RisenColumn(Frozen):
    """A column whose residuals rose: by how many times, against the nights before."""

    column: str
    times: float


class ScoreQuantile(Frozen):
    """A quantile of tonight's scores, and the same of the calibration's."""

    quantile: float
    tonight: float
    calibration: float


class DetectorDrift(Frozen):
    """Whether the detector that scored copes with what came.

    Fields:
        verdict: `steady`; `columns moved`: the detector copes; `relations moved`: columns do not go together as they
            did; `beyond the detector`: columns moved to where it does not know them; `stale`: so for several nights.
        message: Why, with numbers; `advice`: what to do, and `command`: what to type.
        onset, since: How it began, and the first night like this one.
        version: The version that scored; `nights`: how many nights it was held against.
        codes: How far its codes lie apart; None where it has none, which `message` tells.
        scores: How many rows score above the median of calibration rows.
        columns: Whose residuals rose most, the worst first.
    """

    verdict: Literal["steady", "columns moved", "relations moved", "beyond the detector", "stale", "not known"] = (
        "not known"
    )
    message: str = ""
    advice: str = ""
    command: str = ""
    onset: Literal["", "sudden", "gradual"] = ""
    since: str | None = None
    version: str | None = None
    nights: int = 0
    codes: SeenMeasure | None = None
    scores: SeenMeasure | None = None
    quantiles: tuple[ScoreQuantile, ...] = ()
    columns: tuple[RisenColumn, ...] = ()

    @property
    def wants_a_person(self) -> bool:
        """Whether there is something to do."""
        return self.verdict in ("relations moved", "beyond the detector", "stale")

    @property
    def is_far(self) -> bool:
        """Whether it is worth a warning: codes or scores far from what is usual, or a detector that is stale."""
        far = any(measure is not None and measure.verdict == "moved far" for measure in (self.codes, self.scores))
        return self.verdict == "stale" or (self.wants_a_person and far)


class Drift(Frozen):
    """The columns that moved, worst first, and what a person should make of it."""

    columns: tuple[ColumnDrift, ...] = ()
    verdict: Literal["steady", "moved", "moved far", "not known"] = "not known"
    message: str = ""
    nights: int = 0  # nights of the window that tonight was held against
    detector: DetectorDrift | None = None  # None in reports of before it was looked at


class Change(Frozen):
    """One thing that is not as it was on the last night."""

    what: str
    before: str
    tonight: str
    notable: bool = False  # beyond what nights usually differ by


class NightReport(Frozen):
    """All that the report page and its JSON show."""

    result: NightResult
    generated_at: str
    files: tuple[dict[str, Any], ...] = ()
    expectation_outcomes: tuple[ExpectationOutcome, ...] = ()
    quarantine_sample: tuple[QuarantineSample, ...] = ()
    training: TrainingSummary | None = None
    scores: ScoreDistribution | None = None
    alerts: tuple[Alert, ...] = ()
    suppressed: tuple[Alert, ...] = ()  # the highest of those that people's labels took out of the list
    reduction: Reduction | None = None
    incidents: NightIncidents | None = None  # None in reports of before there were any
    alert_budget: float | None = None
    history: tuple[dict[str, Any], ...] = ()
    drift: Drift | None = None
    changes: tuple[Change, ...] = ()
    last_night: str | None = None  # the night that `changes` compares with
    contamination: float | None = None  # assumed by the training of the version that scored, 0..1
    configuration: dict[str, Any] = Field(default_factory=dict)  # the resolved dataset file, for the next night's diff
    gate: tuple[dict[str, Any], ...] = ()
    battery: Battery | None = None  # what each detector found of planted anomalies, kind by kind
    sensitive: tuple[str, ...] = ()
    key: tuple[str, ...] | None = (
        None  # names of the key columns; none: not known, so a report with sensitive columns masks keys
    )
    entity: str | None = None  # name of the entity column
    event_time: str | None = None  # name of the event time column
