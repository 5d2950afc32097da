"""The choice among families: rung by rung, the same on any number of workers, and a failure is not the end."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import SimpleNamespace

import pandas as pd
import pyarrow.parquet as pq
import pytest

from infra.runtime.compute import ThreadCompute
from infra.runtime.holder import Holder
from models.split import bounded, split
from schemas.errors import ConfigError, TrainingFailed
from schemas.results import TrainingSummary
from tasks import candidate_worker, candidates
from tasks.candidates import choose, differences
from tasks.train import TrainingOutcome, TrainingRequest

THREE = ["auto", "variational", {"family": "denoising", "noise": 0.3}]
QUALITY = {"auto": 0.8, "variational": 0.7, "denoising": 0.9}


@dataclass
class PretendedProcess:
    """A training process that trains nothing: its detector is a text that says whose it is."""

    asked: list[TrainingRequest] = field(default_factory=list)
    failing: tuple[str, ...] = ()
    stops_at: dict[str, int] = field(default_factory=dict)
    closed: bool = False
    lock: threading.Lock = field(default_factory=threading.Lock)

    def train(self, request, _progress=None):
        family = request.dataset.detector.family
        with self.lock:
            self.asked.append(request)
        if family in self.failing:
            raise TrainingFailed(f"{family} ran away")
        request.output.mkdir(parents=True)
        (request.output / "whose").write_text(family)
        asked = request.pause or request.dataset.detector.epochs
        epochs = min(asked, self.stops_at.get(family, asked))
        return TrainingOutcome(request.output, family, TrainingSummary(epochs=epochs, seconds=1.5), {})

    def close(self):
        self.closed = True


@pytest.fixture
def process(monkeypatch):
    made = PretendedProcess()
    monkeypatch.setattr(candidate_worker, "_another", lambda _folder: made)
    monkeypatch.setattr(candidate_worker, "_free", {})
    monkeypatch.setattr(candidate_worker, "_held", {})
    monkeypatch.setattr(candidate_worker, "_score", lambda outcome, _battery: QUALITY[outcome.bundle_hash])
    return made


@pytest.fixture
def request_for(make_dataset, make_rows, tmp_path):
    def make(entries=THREE, rows=3000, **detector):
        sample = tmp_path / "window.parquet"
        pq.write_table(make_rows(rows), sample)
        settings = {"rows": 5000, "epochs": 80, "candidates": entries, **detector}
        return TrainingRequest(
            make_dataset(detector=settings), ("2026-09-01",), sample, 3, 1000.0, False, tmp_path / "bundle"
        )

    return make


@pytest.fixture
def chosen(process, request_for, tmp_path):
    def call(request=None, workers=1):
        compute = ThreadCompute(workers)
        try:
            return choose(request or request_for(), compute, process, tmp_path, lambda _said: None)
        finally:
            compute.close()

    return call


def verdicts(outcome):
    return {each.family: each.verdict for each in outcome.summary.candidates}


def test_the_half_that_finds_more_goes_on_and_the_last_one_is_the_challenger(chosen, process, tmp_path):
    outcome = chosen()
    assert outcome.bundle == tmp_path / "bundle"
    assert (outcome.bundle / "whose").read_text() == "denoising"
    assert verdicts(outcome) == {
        "auto": "left after rung 2 of 3",
        "variational": "left after rung 1 of 3",
        "denoising": "challenger",
    }
    table = {each.family: each for each in outcome.summary.candidates}
    assert (table["denoising"].rung, table["denoising"].epochs, table["denoising"].score) == (3, 51, 0.9)
    assert (table["variational"].rung, table["variational"].epochs) == (1, 8)
    assert table["denoising"].settings == "noise 0.3"
    assert [request.dataset.detector.family for request in process.asked[3:]] == ["auto", "denoising", "denoising"]


def test_all_epochs_together_are_those_of_one_training(chosen, process):
    chosen()
    steps = [request.pause for request in process.asked]
    assert 3 * 8 + 2 * (21 - 8) + (51 - 21) == 80
    assert steps == [8, 8, 8, 21, 21, 51]
    assert {request.dataset.detector.epochs for request in process.asked} == {51}


@pytest.mark.parametrize("workers", [1, 2, 3])
def test_the_number_of_workers_changes_nothing(chosen, workers):
    outcome = chosen(workers=workers)
    assert verdicts(outcome)["denoising"] == "challenger"
    assert [each.family for each in outcome.summary.candidates] == ["auto", "variational", "denoising"]


def test_one_that_fails_is_told_and_the_others_go_on(chosen, process):
    process.failing = ("denoising",)
    outcome = chosen()
    assert verdicts(outcome)["denoising"] == "failed: denoising ran away"
    assert (outcome.bundle / "whose").read_text() == "auto"


def test_when_all_fail_the_training_fails_and_says_why_each_did(chosen, process):
    process.failing = ("denoising", "auto", "variational")
    with pytest.raises(TrainingFailed, match="auto: failed: auto ran away; variational: failed"):
        chosen()


def test_one_whose_training_ended_by_itself_goes_on_with_what_it_has(chosen, process):
    process.stops_at = {"denoising": 5}
    outcome = chosen()
    asked = [request.dataset.detector.family for request in process.asked]
    assert asked == ["auto", "variational", "denoising", "auto"]
    assert verdicts(outcome)["denoising"] == "challenger"


def test_no_candidate_is_given_the_rows_that_judge_and_none_changes_its_part(chosen, process, request_for, monkeypatch):
    seen = {}

    def score(outcome, battery):
        seen["usual"], seen["planted"] = pd.read_parquet(battery.usual), pd.read_parquet(battery.planted)
        return QUALITY[outcome.bundle_hash]

    def train(request, _progress=None, *, train=process.train):
        seen["given"] = pd.read_parquet(request.sample)
        return train(request)

    monkeypatch.setattr(candidate_worker, "_score", score)
    monkeypatch.setattr(process, "train", train)
    request = request_for()
    chosen(request)
    whole, given = split(bounded(pd.read_parquet(request.sample), 5000)), split(bounded(seen["given"], 5000))
    assert not set(seen["usual"]["sereno_hash"]) & set(seen["given"]["sereno_hash"])
    assert set(seen["usual"]["sereno_hash"]) <= set(whole.stop["sereno_hash"])
    assert list(given.fit["sereno_hash"]) == list(whole.fit["sereno_hash"])
    assert list(given.calibrate["sereno_hash"]) == list(whole.calibrate["sereno_hash"])
    assert not seen["planted"].equals(seen["usual"])


def test_where_too_few_rows_judge_the_first_one_trains_alone_and_that_is_told(chosen, request_for):
    outcome = chosen(request_for(rows=700))
    assert verdicts(outcome)["auto"] == "challenger, too few rows judge"
    assert verdicts(outcome)["variational"] == "not tried: too few rows judge"
    assert outcome.summary.epochs == 80


def test_nothing_but_the_winner_stays_in_the_nights_folder(chosen, tmp_path):
    chosen()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["bundle", "window.parquet"]


def test_workers_of_their_own_process_hold_their_own_training_processes(process, request_for, tmp_path):
    ended = []
    compute = SimpleNamespace(
        kind="processes",
        trainings=2,
        map_trainings=lambda function, items, *args: [function(item, *args) for item in items],
        everywhere=lambda function: (ended.append(function), function()),
    )
    own = PretendedProcess()
    choose(request_for(), compute, own, tmp_path, lambda _said: None)
    assert own.closed
    assert own.asked == []
    assert len(process.asked) == 6
    assert process.closed
    assert [each.func for each in ended] == [candidate_worker.end_processes]


def test_the_sessions_own_training_process_outlives_the_choice(chosen, process):
    chosen()
    assert not process.closed
    assert not candidate_worker._free


def test_a_choice_that_is_given_up_ends_its_trainings_and_begins_no_other(process, request_for, tmp_path):
    asked, choice = [], candidate_worker.Choice(tmp_path)

    def train(request, _progress=None):
        asked.append(request.dataset.detector.family)
        candidate_worker.end_processes(choice.name)
        raise TrainingFailed("killed")

    process.train = train
    requests = [replace(request_for(), output=tmp_path / name).to_json() for name in ("one", "two")]
    with pytest.raises(TrainingFailed, match="was given up"):
        candidate_worker.train_in_turn(requests, SimpleNamespace(), choice)
    assert len(asked) == 1
    assert process.closed


def test_nothing_is_trained_for_a_run_that_died_while_it_waited(process, request_for, tmp_path):
    me = Holder.this_process()
    choice = candidate_worker.Choice(tmp_path, replace(me, start=f"{me.start}9"))
    with pytest.raises(TrainingFailed, match="was given up"):
        candidate_worker.train_in_turn([request_for().to_json()], SimpleNamespace(), choice)
    assert not process.asked


def test_the_sessions_training_process_ends_with_a_choice_that_is_interrupted(process, request_for, tmp_path):
    def interrupted(*_):
        raise KeyboardInterrupt

    compute = SimpleNamespace(
        kind="threads", trainings=1, map_trainings=interrupted, everywhere=lambda function: function()
    )
    with pytest.raises(KeyboardInterrupt):
        choose(request_for(), compute, process, tmp_path, lambda _said: None)
    assert process.closed


def test_what_a_candidate_does_otherwise_is_said_in_words(make_dataset):
    detector = make_dataset(detector={"candidates": ["auto", {"family": "dense", "code": 3}]}).detector
    assert [differences(each, detector) for each in detector.tried] == ["", "code 3"]


def test_too_many_candidates_for_the_epochs_are_refused_before_anything_slow(make_dataset):
    from tasks.night import check_family

    with pytest.raises(ConfigError, match="need at least 9 epochs together, and 8 are there"):
        check_family(make_dataset(detector={"epochs": 8, "candidates": THREE}))
    with pytest.raises(ConfigError, match="has no option"):
        check_family(make_dataset(detector={"candidates": ["dense", {"family": "dense", "options": {"x": 1}}]}))


def test_the_folder_of_checkpoints_goes_from_rung_to_rung(request_for, tmp_path):
    request = request_for()
    first = candidates.Candidate(0, request.dataset.detector.tried[0])
    asked = candidates._asked(request, first, 1, 8, 51, tmp_path)
    Path(asked["checkpoints"]).mkdir(parents=True)
    (Path(asked["checkpoints"]) / "epoch-00008.checkpoint").write_text("x")
    after = candidates._asked(request, first, 2, 21, 51, tmp_path)
    assert (Path(after["checkpoints"]) / "epoch-00008.checkpoint").read_text() == "x"
    assert after["checkpoints"] != asked["checkpoints"]
