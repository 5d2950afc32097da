"""The parent's side, against children that misbehave; none of them imports TensorFlow."""

from __future__ import annotations

import json
import sys
import threading

import pytest

from schemas.errors import TrainingFailed
from tasks import train
from tasks.train import TrainingProcess, TrainingRequest

READY = 'print(json.dumps({"event": "ready"}), flush=True)\n'
ASK = "request = json.loads(sys.stdin.readline())\n"
DONE = """
outcome = {"bundle": request["output"], "bundle_hash": str(os.getpid())}
outcome |= {"summary": {"epochs": 1}, "metrics": {"loss": 0.5}}
print(json.dumps({"event": "done", "outcome": outcome}), flush=True)
"""
SERVE = READY + "while True:\n    " + ASK + DONE.strip().replace("\n", "\n    ").join(["    ", "\n"])


@pytest.fixture
def child(monkeypatch, tmp_path):
    def make(code):
        script = tmp_path / "child.py"
        script.write_text("import json, os, sys, time\n" + code)
        monkeypatch.setattr(train, "COMMAND", (sys.executable, str(script)))
        return TrainingProcess(tmp_path / "work")

    return make


@pytest.fixture
def request_(make_dataset, window, tmp_path):
    return TrainingRequest(make_dataset(), ("2026-09-01",), window, 1, 1000.0, True, tmp_path / "bundle")


def test_a_request_survives_the_way(request_):
    assert TrainingRequest.from_json(json.loads(json.dumps(request_.to_json()))) == request_


def test_progress_is_passed_on_and_odd_lines_are_not(child, request_):
    progress = {"event": "progress", "epoch": 1, "epochs": 3, "loss": 0.5, "held_out_loss": 0.4}
    told = []
    with child(READY + ASK + f"print('odd'); print('[1]'); print(json.dumps({progress}))\n" + DONE) as process:
        outcome = process.train(request_, lambda *values: told.append(values))
    assert told == [(1, 3, 0.5, 0.4)]
    assert outcome.bundle == request_.output
    assert outcome.metrics == {"loss": 0.5}


def test_one_child_serves_many_trainings_and_is_replaced_in_time(child, request_, monkeypatch):
    monkeypatch.setattr(train, "TRAININGS_A_CHILD", 2)
    with child(SERVE) as process:
        pids = [process.train(request_).bundle_hash for _ in range(3)]
    assert pids[0] == pids[1] != pids[2]


def test_a_failure_keeps_message_and_hint(child, request_):
    failed = {"event": "failed", "message": "too few rows", "hint": "wait"}
    with (
        child(READY + ASK + f"print(json.dumps({failed}), flush=True)\n") as process,
        pytest.raises(TrainingFailed, match="too few rows") as raised,
    ):
        process.train(request_)
    assert raised.value.hint == "wait"


def test_a_child_that_dies_leaves_its_last_words_and_the_next_training_gets_a_new_one(child, request_, tmp_path):
    flag = tmp_path / "died"
    code = f"if not os.path.exists({str(flag)!r}):\n    open({str(flag)!r}, 'w'); sys.exit('out of luck')\n"
    process = child(code + SERVE)
    with pytest.raises(TrainingFailed, match=r"exit code 1; its last words: out of luck"):
        process.train(request_)
    assert process.train(request_).bundle == request_.output
    process.close()


def test_a_killed_child_hints_at_memory(child, request_):
    with (
        child(READY + ASK + "os.kill(os.getpid(), 9)\n") as process,
        pytest.raises(TrainingFailed, match="killed by signal 9") as raised,
    ):
        process.train(request_)
    assert "memory" in str(raised.value.hint)


def test_a_child_that_overruns_is_stopped(child, request_, monkeypatch, no_leftover_processes):
    monkeypatch.setattr(train, "GRACE_SECONDS", 0.3 - request_.dataset.detector.seconds)
    with (
        child(READY + ASK + "time.sleep(60)\n") as process,
        pytest.raises(TrainingFailed, match="still training after its safety stop"),
    ):
        process.train(request_)


def test_a_child_that_never_gets_ready_is_stopped(child, request_, monkeypatch, no_leftover_processes):
    monkeypatch.setattr(train, "READY_SECONDS", 0.3)
    with child("time.sleep(60)\n") as process, pytest.raises(TrainingFailed, match="still starting"):
        process.train(request_)


def test_a_child_that_cannot_be_started_is_a_clear_error(monkeypatch, request_, tmp_path):
    monkeypatch.setattr(train, "COMMAND", (str(tmp_path / "no-python"),))
    with TrainingProcess(tmp_path) as process, pytest.raises(TrainingFailed, match="cannot be started"):
        process.train(request_)


def test_a_child_outlives_the_thread_that_asked_for_it(child, request_):
    process = child(SERVE)
    thread = threading.Thread(target=process.start)
    thread.start()
    thread.join()
    assert process.train(request_).bundle == request_.output
    process.close()


def test_the_processor_trains_unless_a_gpu_is_named(child, request_, monkeypatch):
    tell = 'outcome_path = os.environ["CUDA_VISIBLE_DEVICES"]\n'
    code = READY + ASK + tell + DONE.replace("str(os.getpid())", "outcome_path")
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    with child(code) as process:
        assert process.train(request_).bundle_hash == "-1"
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0")
    with child(code) as process:
        assert process.train(request_).bundle_hash == "0"


def test_closing_twice_or_unstarted_is_fine(child, no_leftover_processes):
    process = child(SERVE)
    process.close()
    process.start()
    process.close()
    process.close()
