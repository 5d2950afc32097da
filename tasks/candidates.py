"""The choice among families: candidates share the epochs of one training, and the best becomes the challenger.

Losses of families do not compare, so candidates are judged by what they find of planted anomalies, on early-stop rows
that none of them is given: neither their training nor their reference holds them, and the gate's rows stay unseen.
"""

from __future__ import annotations

import logging
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from models.families import most_epochs
from models.halving import Rung, rungs
from schemas.errors import TrainingFailed
from schemas.results import CandidateResult
from tasks.candidate_worker import Choice, Judged, JudgingRows, end_processes, lent, train_in_turn
from tasks.trial import place_of

if TYPE_CHECKING:
    from infra.runtime.compute import Compute
    from schemas.detector import DetectorSettings
    from tasks.train import TrainingOutcome, TrainingProcess, TrainingRequest

FOLDER = "candidates"
LEAST_ROWS = 100

logger = logging.getLogger("sereno.training")


@dataclass
class Candidate:
    """One candidate on its way.

    Args:
        at: Its place in the dataset file.
        settings: The detector's settings with its own in them.
        found: What its last rung gave.
        rung: The last rung that it trained on, from 1.
        verdict: What became of it.
    """

    at: int
    settings: DetectorSettings
    found: Judged | None = None
    rung: int = 0
    verdict: str = ""

    @property
    def outcome(self) -> TrainingOutcome:
        """What its last rung made.

        Raises:
            TrainingFailed: It made no detector.
        """
        if self.found is None or self.found.outcome is None:
            raise TrainingFailed(f"the candidate {self.settings.family} gave no detector: {self.verdict}")
        return self.found.outcome

    @property
    def rank(self) -> tuple[float, int]:
        """By what candidates are ordered, the best first; equal ones in the dataset file's order."""
        score = self.found.score if self.found is not None else None
        return (-score if score is not None else np.inf, self.at)

    def result(self, of: DetectorSettings) -> CandidateResult:
        """For report and JSON."""
        outcome = self.found.outcome if self.found is not None else None
        return CandidateResult(
            family=self.settings.family,
            settings=differences(self.settings, of),
            rung=self.rung,
            epochs=outcome.summary.epochs if outcome is not None else 0,
            score=self.found.score if self.found is not None else None,
            seconds=outcome.summary.seconds if outcome is not None else 0.0,
            verdict=self.verdict,
        )


def choose(
    request: TrainingRequest, compute: Compute, process: TrainingProcess, work: Path, say: Callable[[str], None]
) -> TrainingOutcome:
    """Train the dataset's candidates by successive halving, and return the winner with what became of all.

    Args:
        request: The training that they share; its folder of checkpoints gets one for each candidate and rung.
        compute: Whose workers train; the result is the same whatever their number.
        process: The session's training process, used where the workers are threads of this process.
        work: The night's folder.
        say: Told of each rung.

    Raises:
        TrainingFailed: When every candidate failed.
    """
    dataset = request.dataset
    candidates = [Candidate(at, settings) for at, settings in enumerate(dataset.detector.tried)]
    folder = work / FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    aside = _set_aside(request, folder)
    if aside is None:
        winner = _alone(request, candidates, process)
    else:
        sample, battery = aside
        choice = Choice(folder)
        with _processes(compute, process, choice):
            winner = _halve(replace(request, sample=sample), candidates, battery, compute, choice, say)
    outcome = _moved(winner.outcome, request.output)
    shutil.rmtree(folder, ignore_errors=True)
    if request.checkpoints is not None:
        shutil.rmtree(request.checkpoints, ignore_errors=True)
    told = tuple(candidate.result(dataset.detector) for candidate in candidates)
    return replace(outcome, summary=outcome.summary.model_copy(update={"candidates": told}))


def differences(settings: DetectorSettings, of: DetectorSettings) -> str:
    """Where a candidate's settings differ from the dataset file's, in words."""
    skipped = {"family", "candidates", "options"}
    own, common = settings.model_dump(mode="json"), of.model_dump(mode="json")
    changed = [f"{name} {value}" for name, value in own.items() if name not in skipped and value != common[name]]
    return ", ".join([*changed, *(f"{name} {value}" for name, value in settings.options.items())])


def _halve(
    request: TrainingRequest,
    candidates: Sequence[Candidate],
    battery: JudgingRows,
    compute: Compute,
    choice: Choice,
    say: Callable[[str], None],
) -> Candidate:
    epochs = _epochs(request)
    ladder = rungs(len(candidates), epochs)
    left = list(candidates)
    for number, rung in enumerate(ladder, 1):
        names = ", ".join(candidate.settings.family for candidate in left)
        say(f"train: rung {number} of {len(ladder)}, up to epoch {rung.epochs}: {names}")
        busy = [candidate for candidate in left if not _has_ended(candidate, ladder, number)]
        asked = [
            _asked(request, candidate, number, rung.epochs, ladder[-1].epochs, choice.folder) for candidate in busy
        ]
        for candidate, found in zip(busy, _trained(asked, battery, compute, choice), strict=True):
            candidate.found, candidate.rung = found, number
        for candidate in left:
            if candidate.found is not None and candidate.found.outcome is None:
                candidate.verdict = f"failed: {candidate.found.failure}"
                logger.warning("candidate %s failed: %s", candidate.settings.family, candidate.found.failure)
        left = sorted((candidate for candidate in left if not candidate.verdict), key=lambda each: each.rank)
        keep = ladder[number].candidates if number < len(ladder) else 1
        for candidate in left[keep:]:
            candidate.verdict = f"left after rung {number} of {len(ladder)}"
        left = sorted(left[:keep], key=lambda each: each.at)
        if not left:
            failures = "; ".join(f"{each.settings.family}: {each.verdict}" for each in candidates)
            raise TrainingFailed(f"no candidate gave a detector: {failures}")
    left[0].verdict = "challenger"
    return left[0]


def _epochs(request: TrainingRequest) -> int:
    """Epochs that all candidates together may use on the rows of this training."""
    import pyarrow.parquet as pq

    detector = request.dataset.detector
    return most_epochs(detector, min(pq.read_metadata(request.sample).num_rows, detector.rows))


def _has_ended(candidate: Candidate, ladder: Sequence[Rung], number: int) -> bool:
    """Whether its training ended by itself on an earlier rung: it goes on with what it has."""
    if candidate.found is None or candidate.found.outcome is None:
        return False
    return candidate.found.outcome.summary.epochs < ladder[number - 2].epochs


def _asked(
    request: TrainingRequest, candidate: Candidate, number: int, pause: int, most: int, folder: Path
) -> dict[str, Any]:
    """The training of one candidate up to a rung, as its worker is asked for it."""
    detector = candidate.settings.model_copy(update={"epochs": most})
    checkpoints = (request.checkpoints or folder) / f"{candidate.at}-{number}"
    before = checkpoints.with_name(f"{candidate.at}-{number - 1}")
    if before.is_dir() and not checkpoints.exists():
        draft = checkpoints.with_name(f".{checkpoints.name}")
        shutil.rmtree(draft, ignore_errors=True)
        shutil.copytree(before, draft)
        draft.rename(checkpoints)
    return replace(
        request,
        dataset=request.dataset.model_copy(update={"detector": detector}),
        output=folder / f"bundle-{candidate.at}-{number}",
        checkpoints=checkpoints,
        pause=pause,
    ).to_json()


def _trained(asked: Sequence[dict[str, Any]], battery: JudgingRows, compute: Compute, choice: Choice) -> list[Judged]:
    """What each training gave, in their order; which worker takes which never matters."""
    if not asked:
        return []
    most = min(compute.trainings, len(asked))
    lanes = [asked[at::most] for at in range(most)]
    found = compute.map_trainings(train_in_turn, lanes, battery, choice)
    return [found[at % len(lanes)][at // len(lanes)] for at in range(len(asked))]


@contextmanager
def _processes(compute: Compute, process: TrainingProcess, choice: Choice) -> Iterator[None]:
    """Let workers hold training processes while the choice lasts."""
    try:
        if compute.kind == "threads":
            with lent(process, choice):
                yield
        else:
            process.close()  # the workers have their own
            yield
    finally:
        compute.everywhere(partial(end_processes, choice.name))


def _set_aside(request: TrainingRequest, folder: Path) -> tuple[Path, JudgingRows] | None:
    """The sample without the rows that judge, and these with planted anomalies; None where they would be too few.

    Half of the early-stop rows, by their keys, so that no row changes its part of the sample.
    """
    import pyarrow.parquet as pq

    from models.planting import plant
    from models.split import FEW_KEYS, bounded, mixed, split

    rows = bounded(pq.read_table(request.sample).to_pandas(), request.dataset.detector.rows)
    stop = split(rows).stop
    judging = stop[mixed(stop["sereno_hash"].to_numpy(), salt=3) < np.uint64(2**63)]
    rest = rows[~rows["sereno_hash"].isin(judging["sereno_hash"])]
    if len(judging) < LEAST_ROWS or rest["sereno_hash"].nunique() < FEW_KEYS:
        return None
    places = [place_of(request.dataset, feature.column, feature.type) for feature in request.dataset.features]
    planted = plant(judging, places, request.seed)
    changed = planted.kinds != ""
    battery, sample = JudgingRows(folder / "usual.parquet", folder / "planted.parquet"), folder / "sample.parquet"
    judging[changed].to_parquet(battery.usual)
    planted.frame[changed].to_parquet(battery.planted)
    whole = pq.read_table(request.sample)
    pq.write_table(whole.filter(_is_kept(whole, judging)), sample)
    return sample, battery


def _is_kept(table: Any, judging: Any) -> Any:
    import pyarrow as pa
    import pyarrow.compute as pc

    hashes = pa.array(judging["sereno_hash"].unique(), table["sereno_hash"].type)
    return pc.invert(pc.is_in(table["sereno_hash"], value_set=hashes))


def _alone(request: TrainingRequest, candidates: Sequence[Candidate], process: TrainingProcess) -> Candidate:
    """The first candidate that can be trained, with all epochs: too few rows would judge them."""
    failures = []
    for candidate in candidates:
        detector = candidate.settings.model_copy(update={"epochs": _epochs(request)})
        try:
            outcome = process.train(replace(request, dataset=request.dataset.model_copy(update={"detector": detector})))
        except TrainingFailed as error:
            candidate.verdict = f"failed: {error.message}"
            failures.append(f"{candidate.settings.family}: {error.message}")
            continue
        candidate.found, candidate.rung, candidate.verdict = Judged(outcome, None), 1, "challenger, too few rows judge"
        for other in candidates:
            other.verdict = other.verdict or "not tried: too few rows judge"
        return candidate
    raise TrainingFailed(f"no candidate gave a detector: {'; '.join(failures)}")


def _moved(outcome: TrainingOutcome, output: Path) -> TrainingOutcome:
    """The winner's outcome, with its bundle where the training's was asked for."""
    if outcome.bundle != output:
        shutil.rmtree(output, ignore_errors=True)
        outcome.bundle.rename(output)
    return replace(outcome, bundle=output)
