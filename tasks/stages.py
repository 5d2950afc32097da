"""The stages of a night: each takes the night at work, does one thing, and writes down what it found.

Plain functions without an orchestrator in them; `flows` says in which order they run.
"""

from __future__ import annotations

import logging
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Thread
from typing import TYPE_CHECKING

from schemas.errors import BlockedNight, BundleError, LockedNight, SerenoError, UsageError
from schemas.results import NightResult
from schemas.tables import accepted_schema, quarantined_schema, scores_schema
from tasks.acceptance import Acceptance, record_acceptance
from tasks.gone import parted
from tasks.night import Night, accepted_run, actor
from tasks.stage_records import CHECKPOINTS, recorded

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    import pyarrow as pa

    from infra.runtime.compute import Compute
    from infra.runtime.runs import Run
    from models.registry import Registry
    from tasks.train import TrainingOutcome, TrainingProcess

logger = logging.getLogger("sereno.night")
ENOUGH_NIGHTS = 3
"""So many nights of a new kind say what is usual: the next one is scored by the nights before it again."""
MIN_WINDOW_ROWS = 200
"""Fewer rows of history than this, and tonight's rows join the training (scores are then marked in-sample)."""


def _releases(night: Night) -> dict[str, int]:
    """A release decides what validation accepts, and is not part of the fingerprint."""
    return {"releases": len(night.services.state.releases(night.dataset.name, night.request.date))}


def _standing(night: Night) -> dict[str, object]:
    """What decides, beside the fingerprint, who scores: the champion that this night found, and later nights."""
    from tasks.promotion import champion_before, later_nights_are_done

    return {"champion": champion_before(night), "late": later_nights_are_done(night)}


def _let_in(night: Night) -> bool:
    """Whether nothing blocks this night, or a person took it: now, or before with the same inputs and contract."""
    blocking = list(night.done("validated").blocking)
    if not blocking or night.acceptance is not None:
        return True
    options = night.request.options
    if options.accept:
        who = options.asked_by or actor()
        night.acceptance = Acceptance(who, night.acceptance_key, tuple(blocking), _columns_of_a_new_kind(night))
    else:
        night.acceptance = Acceptance.given_before(night)
    if night.acceptance is None:
        return False
    record_acceptance(night, night.acceptance, blocking, now=options.accept)
    return True


@recorded("ingested")
def ingest(night: Night, compute: Compute) -> None:
    """Read the night's files into staged parts.

    Raises:
        UnreadableInput: They are not, or no longer, what the fingerprint was made of.
    """
    from tasks.ingest import check_unchanged
    from tasks.ingest import ingest as read_files

    services = night.services
    found = read_files(
        night.dataset, night.request.date, services.project.root, services.settings.inputs, compute, night.work
    )
    check_unchanged(found.files, night.inputs)
    night.ingested = found
    night.warnings += night.ingested.warnings


@recorded("validated", "accepted_files", facts=_releases, holds=_let_in)
def validate(night: Night, compute: Compute) -> None:
    """Check rows against the contract and the batch against the expectations; write `quarantined` and `accepted`.

    Raises:
        BlockedNight: An expectation with policy `block` failed, and nobody accepted the night.
    """
    from tasks.released_before import words_of
    from tasks.validate import validate as check

    releases = night.services.state.releases(night.dataset.name, night.request.date)
    night.validated = check(
        night.dataset,
        night.request.date,
        night.done("ingested"),
        compute,
        night.work,
        usual_rows=_usual_rows(night),
        data_docs=_data_docs(night),
        released=[release.row for release in releases],
    )
    night.warnings += (*night.validated.warnings, *words_of(releases, night.validated.released))
    _write(night, "quarantined", night.validated.quarantined, quarantined_schema())
    if not _let_in(night):
        raise BlockedNight(
            "\n".join(night.validated.blocking),
            hint="look at the report, then take the night with: "
            f"sereno run {night.dataset.name} --date {night.request.iso} --accept",
        )
    _write(night, "accepted", night.validated.accepted, accepted_schema(night.dataset))
    night.accepted_files = tuple(night.validated.accepted)


@recorded("prepared")
def preprocess(night: Night, compute: Compute) -> None:
    """Count the night's columns exactly and keep its bottom-k sample."""
    from tasks.preprocess import preprocess as summarise

    night.prepared = summarise(night.dataset, night.accepted_files, compute, night.work)
    _write(night, "samples", [night.prepared.sample], accepted_schema(night.dataset))


@recorded("trained", holds=lambda night: night.trained is not None)
def train(
    night: Night, trainer: TrainingProcess, progress: Callable[[str], None], compute: Callable[[], Compute]
) -> None:
    """Train a challenger on the window; a training that fails is written down, not raised: the champion scores then.

    Where the dataset file names candidates, they share the epochs on the workers of `compute`.
    """
    from tasks.train import TrainingRequest

    _prepare(night.services.registry)
    with _written_down(night):
        taught = _lessons(night)
        sample, in_sample = _training_sample(night, taught)
        start, start_hash = _start(night)
        request = TrainingRequest(
            dataset=night.dataset,
            nights=_training_nights(night, taught, in_sample),
            sample=sample,
            seed=night.seed,
            expected_rows=_expected_rows(night),
            in_sample=in_sample,
            output=night.work / "bundle",
            tonight=night.prepared.sample if in_sample and night.prepared else None,
            checkpoints=night.work / CHECKPOINTS,
            start=start,
            start_hash=start_hash,
        )
        if night.dataset.detector.candidates:
            from tasks.candidates import choose

            night.trained = choose(request, compute(), trainer, night.work, progress)
            night.warnings += _failed_candidates(night.trained)
            return
        night.trained = trainer.train(
            request,
            lambda epoch, epochs, _loss, held_out: progress(
                f"train: epoch {epoch} of {epochs}, held-out loss {held_out:.4f}"
            ),
        )


def _failed_candidates(trained: TrainingOutcome) -> list[str]:
    failed = [each for each in trained.summary.candidates if each.verdict.startswith("failed")]
    return [f"the candidate {each.family} {each.verdict}" for each in failed]


def _start(night: Night) -> tuple[Path | None, str | None]:
    """The bundle that the training starts from, and its hash."""
    from tasks.night import warm_start_of

    before = warm_start_of(night.dataset, night.services, night.window)
    if before is None:
        return None, None
    try:
        return night.services.registry.download(night.dataset.name, before.version), before.bundle_hash
    except (BundleError, UsageError) as gone:
        night.warnings.append(f"the training starts anew: version {before.version} is gone: {gone.message}")
        return None, None


def _is_judged(night: Night) -> bool:
    """Whether there is a decision, and the registry still has the version that it is about."""
    if night.decision is None or night.trained is None:
        return False
    return night.services.registry.find(night.dataset.name, night.trained.bundle_hash) == night.challenger


@recorded("challenger", "decision", "trained", facts=_standing, holds=_is_judged)
def gate(night: Night) -> None:
    """Register the challenger and judge it; a gate that cannot decide is written down like a training that fails."""
    from tasks.gate_night import decide

    with _written_down(night):
        decide(night)


@contextmanager
def _written_down(night: Night) -> Iterator[None]:
    """Whatever keeps a challenger from being made leaves the champion to score; a lost night stays an error."""
    try:
        yield
    except LockedNight:
        raise
    except SerenoError as error:
        night.training_failure = str(error)
    except Exception as error:
        logger.exception("%s %s: no challenger", night.dataset.name, night.request.iso)
        night.training_failure = f"{type(error).__name__}: {error}"


def _prepare(registry: Registry) -> None:
    """Import MLflow and open its store while the training process works."""

    def prepare() -> None:
        with suppress(SerenoError):  # the gate's own call tells it
            registry.prepare()

    Thread(target=prepare, name="mlflow-import", daemon=True).start()


@recorded("model", "scored", facts=_standing)
def score(night: Night, compute: Compute) -> None:
    """Score tonight's accepted rows with the version that the gate, or a person, lets score.

    Raises:
        TrainingFailed: There is neither a champion nor a challenger.
        PromotionRefused: The gate refused the first challenger and there is no champion.
    """
    from tasks.promotion import scoring_version
    from tasks.reduce import reduce_alerts
    from tasks.score import score as score_rows

    chosen = scoring_version(night)
    night.model = chosen.outcome
    night.scored = score_rows(
        night.dataset,
        night.accepted_files,
        chosen.bundle,
        chosen.bundle_hash,
        chosen.version,
        compute,
        night.work,
        in_sample=chosen.in_sample,
    )
    night.scored = reduce_alerts(night, chosen.bundle, chosen.bundle_hash)
    _write(night, "scores", night.scored.parts, scores_schema(night.dataset))


def alert(night: Night) -> None:
    """Group the night's alerts into incidents; they are written with the final row."""
    from tasks.night_incidents import find_incidents

    scored = night.done("scored")
    night.incidents = find_incidents(
        night.dataset,
        night.request.date,
        scored.parts,
        night.accepted_files,
        threshold=scored.threshold,
        rows=scored.rows,
    )


def promote(night: Night) -> None:
    """Write the gate's decision into the ledger; the alias follows it. Runs after the scores are committed."""
    from tasks.promotion import record_decision

    record_decision(night, promote=night.model.promoted)


def load_accepted(night: Night) -> None:
    """Take the accepted rows that the night's final run pinned, for scoring them again.

    Raises:
        UsageError: The night was not validated.
    """
    run = accepted_run(night.services, night.request)
    pinned = {run.night: run.versions["accepted"]}
    table = night.services.lake.read(night.dataset.name, "accepted", pinned, schema=accepted_schema(night.dataset))
    order = [("sereno_file", "ascending"), ("sereno_line", "ascending")]
    night.accepted_files = tuple(_in_parts(table.sort_by(order), night.work, night.dataset.partition_rows))
    night.earlier = NightResult.model_validate(run.result)


def _in_parts(table: pa.Table, folder: Path, rows: int) -> list[Path]:
    import pyarrow.parquet as pq

    paths = []
    for start in range(0, max(len(table), 1), rows):
        path = folder / f"accepted-{start:012d}.parquet"
        pq.write_table(table.slice(start, rows), path)
        paths.append(path)
    return paths


def _write(night: Night, table: str, files: list[Path] | tuple[Path, ...], schema: pa.Schema) -> None:
    night.versions[table] = night.services.lake.replace_night(
        night.dataset.name, table, night.request.date, list(files), schema, run_id=night.run.id
    )


def _usual_rows(night: Night) -> int | None:
    """Median of the rows read on the last nights; None while fewer than three are known."""
    from statistics import median

    read = [int(run.result["rows"]["read"]) for run in night.window if run.result.get("rows", {}).get("read")]
    return int(median(read[-14:])) if len(read) >= 3 else None


def _expected_rows(night: Night) -> float:
    """Rows that a usual night has, for the alert budget."""
    from statistics import median

    counted = [float(run.counters["rows"]) for run in night.window if run.counters.get("rows")]
    tonight = float(night.prepared.rows) if night.prepared else 0.0
    return median(counted) if counted else max(tonight, 1.0)


def _data_docs(night: Night) -> Path | None:
    if not night.dataset.data_docs:
        return None
    return night.services.project.reports / night.dataset.name / f"{night.request.iso}-data-docs"


def _training_sample(night: Night, taught: Sequence[Run]) -> tuple[Path, bool]:
    """The window's sample as one Parquet file, and whether tonight's own rows are in it."""
    import pyarrow.parquet as pq

    from tasks.preprocess import merge_window
    from tasks.training import window_samples

    samples = window_samples(night.services, night.dataset, taught)
    night.warnings += filter(None, [parted(taught)[1]])
    few = sum(len(sample) for sample in samples) < MIN_WINDOW_ROWS
    in_sample = (few or _of_a_new_kind(night)) and night.prepared is not None
    if in_sample and not few:
        night.warnings.append("values unlike those of the nights before were let in, so tonight's rows trained as well")
    if in_sample and night.prepared is not None:
        samples.append(pq.read_table(night.prepared.sample))
    path = night.work / "window.parquet"
    pq.write_table(merge_window(samples, night.dataset.detector.rows), path)
    return path, in_sample


def _lessons(night: Night) -> tuple[Run, ...]:
    """The nights of the window that teach; all, where a person asked for a training on them."""
    from tasks.lessons import lessons_for

    if night.run.kind == "train":
        return tuple(night.window)
    lessons = lessons_for(night.services, night.dataset, night.window)
    if lessons.waiting:
        night.warnings.append(lessons.in_words)
    return lessons.taught


def _of_a_new_kind(night: Night) -> bool:
    """Whether a person let in values unlike those before, and too few nights of the window show what is usual now.

    Columns move together, and some of them are beyond their bounds on one night and within them on the next: it is
    enough when the window shows half of them.
    """
    columns = _columns_of_a_new_kind(night)
    shown = [set((run.accepted_by or {}).get("columns", ())) for run in night.window]
    known = sum(sum(column in of_night for of_night in shown) >= ENOUGH_NIGHTS for column in columns)
    return bool(columns) and known < len(columns) / 2


def _columns_of_a_new_kind(night: Night) -> tuple[str, ...]:
    """The columns about whose values an expectation blocks this night."""
    outcomes = night.validated.outcomes if night.validated else ()
    columns = [
        outcome.column
        for outcome in outcomes
        if not outcome.success and outcome.policy == "block" and outcome.column and outcome.expect != "freshness"
    ]
    return tuple(dict.fromkeys(columns))


def _training_nights(night: Night, taught: Sequence[Run], in_sample: bool) -> tuple[str, ...]:
    nights = [run.night.isoformat() for run in parted(taught)[0]]
    return (*nights, night.request.iso) if in_sample else tuple(nights)
