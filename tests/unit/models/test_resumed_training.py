"""Trainings that are stopped and go on, in the real child: the bundle is that of a training that nobody disturbed."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import sys
import threading
from dataclasses import replace

import numpy as np
import pyarrow.parquet as pq
import pytest

from models.bundle import open_bundle
from models.checkpoint import Checkpoint
from schemas.errors import TrainingFailed
from tasks import train
from tasks.train import TrainingProcess, TrainingRequest

SETTINGS = {"epochs": 9, "hidden": [24], "code": 6, "batch_size": 64, "trim": 0.02, "patience": 9}

# Serves like the real one, but stops a training, or kills itself, in the epochs that its plan names.
CHILD = """
import json, os, signal, sys
from pathlib import Path
from models import fit, training_process

class Stopped(BaseException):
    pass

plan, real = Path(sys.argv[1]), fit.fit_detector

def fit_detector(request, progress):
    while asked := json.loads(plan.read_text()):
        (stop, how), rest = asked[0], asked[1:]
        plan.write_text(json.dumps(rest))

        def stopping(epoch, epochs, loss, held_out):
            progress(epoch, epochs, loss, held_out)
            if epoch == stop and how == "kill":
                os.kill(os.getpid(), signal.SIGKILL)
            if epoch == stop:
                raise Stopped if how == "stop" else RuntimeError("left alone")

        try:
            return real(request, stopping)
        except Stopped:
            pass
    return real(request, progress)

fit.fit_detector = fit_detector
sys.exit(training_process.main())
"""


@pytest.fixture(scope="module")
def planned(tmp_path_factory):
    """A training process, and a call that says when its next trainings are stopped."""
    folder = tmp_path_factory.mktemp("planned")
    plan, script = folder / "plan.json", folder / "child.py"
    script.write_text(CHILD)
    plan.write_text("[]")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(train, "COMMAND", (sys.executable, "-P", str(script), str(plan)))
        with TrainingProcess(folder) as process:
            yield process, lambda *stops: plan.write_text(json.dumps(stops))


@pytest.fixture(scope="module")
def asked(make_dataset, window, tmp_path_factory):
    folder = tmp_path_factory.mktemp("undisturbed")
    dataset = make_dataset(detector=SETTINGS)
    return TrainingRequest(dataset, ("2026-09-01",), window, 3, 1000.0, False, folder / "bundle")


@pytest.fixture(scope="module")
def undisturbed(planned, asked):
    return planned[0].train(asked)


@pytest.fixture
def request_(asked, tmp_path):
    return replace(asked, output=tmp_path / "bundle", checkpoints=tmp_path / "checkpoints", checkpoint_seconds=0)


def watch(process, request):
    """The outcome, and the epochs that were told."""
    told = []
    outcome = process.train(request, lambda epoch, *_: told.append(epoch))
    return outcome, told


def leave_in_the_middle(planned, request, epoch=6):
    """Have a training end without a word of its own in that epoch; its checkpoints stay."""
    process, plan = planned
    plan((epoch, "leave"))
    with pytest.raises(TrainingFailed, match="left alone"):
        process.train(request)
    assert len(list(request.checkpoints.iterdir())) == 2


def all_epochs(outcome):
    return list(range(1, outcome.summary.epochs + 1))


def test_checkpoints_change_nothing_and_are_gone_at_the_end(planned, undisturbed, request_):
    outcome, told = watch(planned[0], request_)
    assert outcome.bundle_hash == undisturbed.bundle_hash
    assert told == all_epochs(outcome)
    assert not request_.checkpoints.exists()


@pytest.mark.parametrize(
    "stops", [pytest.param((1, 4, 9), id="three"), pytest.param(range(1, 10), id="all", marks=pytest.mark.slow)]
)
def test_stopped_in_epochs_it_goes_on_to_the_same_bundle(planned, undisturbed, request_, stops):
    process, plan = planned
    plan(*[(epoch, "stop") for epoch in stops])
    outcome, told = watch(process, request_)
    assert outcome.bundle_hash == undisturbed.bundle_hash
    # An epoch is told before its checkpoint is written: the next try does it again, and none before it.
    assert told == sorted([*all_epochs(undisturbed), *stops])
    assert outcome.summary.held_out_loss == undisturbed.summary.held_out_loss


def test_a_training_that_moved_and_found_its_rows_in_another_order_takes_its_own(
    planned, undisturbed, request_, tmp_path
):
    leave_in_the_middle(planned, request_)
    order = np.random.default_rng(0).permutation(3000)
    pq.write_table(pq.read_table(request_.sample).take(order), tmp_path / "again.parquet")
    moved = request_.checkpoints.rename(tmp_path / "moved")
    again = replace(request_, sample=tmp_path / "again.parquet", checkpoints=moved, output=tmp_path / "other")
    outcome, told = watch(planned[0], again)
    assert outcome.bundle_hash == undisturbed.bundle_hash
    assert told == all_epochs(outcome)[5:]


@pytest.mark.parametrize(
    "change",
    ["seed", "rows", pytest.param("nights", marks=pytest.mark.slow), pytest.param("settings", marks=pytest.mark.slow)],
)
def test_another_training_does_not_take_them(planned, undisturbed, request_, make_dataset, tmp_path, change):
    leave_in_the_middle(planned, request_)
    if change == "rows":
        pq.write_table(pq.read_table(request_.sample).slice(1), tmp_path / "fewer.parquet")
    other = {
        "seed": {"seed": 4},
        "nights": {"nights": ("2026-09-02",)},
        "settings": {"dataset": make_dataset(detector={**SETTINGS, "noise": 0.3})},
        "rows": {"sample": tmp_path / "fewer.parquet"},
    }[change]
    outcome, told = watch(planned[0], replace(request_, **other))
    assert told == all_epochs(outcome)
    assert outcome.bundle_hash != undisturbed.bundle_hash


@pytest.mark.parametrize(("broken", "first"), [(1, 5), pytest.param(2, 1, marks=pytest.mark.slow)])
def test_one_that_was_cut_off_is_passed_over_for_the_one_before(planned, undisturbed, request_, broken, first):
    leave_in_the_middle(planned, request_)
    for path in sorted(request_.checkpoints.iterdir(), reverse=True)[:broken]:
        path.write_bytes(path.read_bytes()[:-1])
    outcome, told = watch(planned[0], request_)
    assert outcome.bundle_hash == undisturbed.bundle_hash
    assert told == all_epochs(outcome)[first - 1 :]


@pytest.mark.parametrize("seconds", [100.0, 5000.0])
def test_the_seconds_of_all_tries_count(planned, request_, seconds):
    leave_in_the_middle(planned, request_)
    for path in request_.checkpoints.iterdir():
        head, _, data = path.read_bytes().partition(b"\n")
        data = replace(Checkpoint.from_bytes(data), seconds=seconds).to_bytes()
        signed = json.loads(head) | {"sha256": hashlib.sha256(data).hexdigest()}
        path.write_bytes(json.dumps(signed).encode() + b"\n" + data)
    if seconds > request_.dataset.detector.seconds:
        with pytest.raises(TrainingFailed, match="safety stop of 1800 s in epoch 6"):
            planned[0].train(request_)
    else:
        assert planned[0].train(request_).summary.seconds > seconds
    assert not request_.checkpoints.exists()


def test_a_training_that_failed_leaves_no_checkpoint(planned, request_, make_dataset):
    diverges = make_dataset(detector={**SETTINGS, "learning_rate": 1e30})
    with pytest.raises(TrainingFailed, match="not finite"):
        planned[0].train(replace(request_, dataset=diverges))
    assert not request_.checkpoints.exists()


def test_what_a_killed_try_left_at_the_output_is_replaced(planned, undisturbed, request_):
    for leftover in (request_.output, request_.output.with_name(".bundle.4711")):
        leftover.mkdir()
        (leftover / "model.onnx").write_bytes(b"half")
    assert planned[0].train(request_).bundle_hash == undisturbed.bundle_hash
    assert planned[0].train(request_).bundle_hash == undisturbed.bundle_hash
    assert open_bundle(request_.output).hash == undisturbed.bundle_hash
    assert [path.name for path in request_.output.parent.iterdir()] == ["bundle"]


@pytest.mark.skipif(sys.platform != "linux", reason="SIGKILL by process id")
def test_a_killed_process_is_replaced_and_goes_on_to_the_same_bundle(planned, request_, make_dataset, tmp_path, caplog):
    process, _ = planned
    # Epochs long enough that the signal comes in the middle of the training.
    slow = replace(
        request_, dataset=make_dataset(detector={**SETTINGS, "epochs": 30, "batch_size": 16, "patience": 30})
    )
    expected = process.train(replace(slow, output=tmp_path / "expected", checkpoints=None)).bundle_hash
    told, reached = [], threading.Event()

    def kill():
        reached.wait(60)
        os.kill(process._child._process.pid, signal.SIGKILL)

    def on_progress(epoch, *_):
        told.append(epoch)
        if epoch == 4:
            reached.set()

    thread = threading.Thread(target=kill)
    thread.start()
    outcome = process.train(slow, on_progress)
    thread.join()
    assert outcome.bundle_hash == expected
    assert "killed by signal 9" in caplog.text
    assert "goes on from its checkpoint in a new one" in caplog.text
    assert told.count(1) == 1
    assert sorted(set(told)) == all_epochs(outcome)


@pytest.mark.slow
def test_killed_in_several_epochs_by_real_signals(planned, undisturbed, request_):
    process, plan = planned
    plan((2, "kill"), (5, "kill"), (7, "kill"))
    told = []
    with pytest.raises(TrainingFailed, match="tried twice"):
        process.train(request_, lambda epoch, *_: told.append(epoch))
    outcome, more = watch(process, request_)
    assert outcome.bundle_hash == undisturbed.bundle_hash
    assert [*told, *more] == sorted([*all_epochs(outcome), 2, 5, 7])


@pytest.mark.slow
@pytest.mark.parametrize(
    "point", ["checkpoint.write:before:3", "checkpoint.write:after:3", "bundle.write:before", "bundle.write:after"]
)
def test_killed_around_a_durable_write_it_goes_on(undisturbed, request_, tmp_path, caplog, point):
    with TrainingProcess(tmp_path / "log", {**os.environ, "SERENO_FAILPOINT": point}) as process:
        outcome, told = watch(process, request_)
    assert outcome.bundle_hash == undisturbed.bundle_hash
    assert caplog.text.count("killed by signal 9") == 1
    assert told.count(1) == 1
    assert sorted(set(told)) == all_epochs(outcome)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["bundle", "log"]


def test_a_training_that_pauses_has_a_detector_and_goes_on_to_that_of_one_that_did_not(planned, undisturbed, request_):
    paused, told = watch(planned[0], replace(request_, pause=4, checkpoint_seconds=600))
    assert told == [1, 2, 3, 4]
    assert paused.summary.epochs == 4
    assert open_bundle(paused.bundle, paused.bundle_hash).threshold > 0
    again, told = watch(planned[0], replace(request_, pause=4))
    assert told == []
    assert again.bundle_hash == paused.bundle_hash
    outcome, told = watch(planned[0], request_)
    assert told == [5, 6, 7, 8, 9]
    assert outcome.bundle_hash == undisturbed.bundle_hash
    assert not request_.checkpoints.exists()
