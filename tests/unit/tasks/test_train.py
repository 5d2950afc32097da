"""The parent's side, against children that misbehave; none of them imports TensorFlow."""

from __future__ import annotations

import json
import sys
import threading
import time
from dataclasses import replace

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


def test_a_request_survives_the_way(request_, tmp_path):
    full = replace(request_, tonight=tmp_path / "tonight", checkpoints=tmp_path / "checkpoints", checkpoint_seconds=0.5)
    warm = replace(request_, start=tmp_path / "earlier", start_hash="ab" * 32)
    for asked in (request_, full, warm):
        assert TrainingRequest.from_json(json.loads(json.dumps(asked.to_json()))) == asked


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


def dying(folder, times):
    """Code that dies in the middle of a training, so many times; the flag files count."""
    return f"""
died = sum(name.startswith("died") for name in os.listdir({str(folder)!r}))
if died < {times}:
    open(os.path.join({str(folder)!r}, f"died{{died}}"), "w")
    print("out of luck", file=sys.stderr, flush=True)
    os.kill(os.getpid(), 9)
"""


def deaths(folder):
    return len(list(folder.glob("died*")))


def test_a_training_whose_process_dies_is_tried_once_more(child, request_, tmp_path, caplog):
    with child(READY + ASK + dying(tmp_path, 1) + DONE) as process:
        assert process.train(replace(request_, checkpoints=tmp_path / "checkpoints")).bundle == request_.output
    assert deaths(tmp_path) == 1
    assert "flows: the training process was killed by signal 9; its last words: out of luck" in caplog.text
    assert "goes on from its checkpoint in a new one" in caplog.text


def test_a_second_death_is_a_failure_that_leaves_its_last_words_and_hints_at_memory(child, request_, tmp_path):
    process = child(READY + ASK + dying(tmp_path, 2) + DONE)
    said = "tried twice: the training process was killed by signal 9; its last words: out of luck"
    with pytest.raises(TrainingFailed, match=said) as raised:
        process.train(request_)
    assert "memory" in str(raised.value.hint)
    assert deaths(tmp_path) == 2
    assert process.train(request_).bundle == request_.output
    process.close()


def test_a_child_that_dies_before_it_is_ready_is_replaced_once(child, request_, tmp_path):
    with child(dying(tmp_path, 1).replace("os.kill(os.getpid(), 9)", "sys.exit(1)") + SERVE) as process:
        assert process.train(request_).bundle == request_.output
    assert deaths(tmp_path) == 1


@pytest.mark.parametrize(
    "ending",
    [
        'print(json.dumps({"event": "failed", "message": "no"}), flush=True)\n',
        "import signal; signal.signal(2, signal.SIG_DFL); os.kill(os.getpid(), 2)\n",
    ],
    ids=["says that it failed", "was interrupted from the keyboard"],
)
def test_what_was_meant_to_end_is_not_tried_again(child, request_, tmp_path, ending):
    code = READY + ASK + f"open(os.path.join({str(tmp_path)!r}, f'died{{os.getpid()}}'), 'w')\n" + ending
    with child(code) as process, pytest.raises(TrainingFailed) as raised:
        process.train(request_)
    assert deaths(tmp_path) == 1
    assert "twice" not in str(raised.value)


def test_closing_in_the_middle_of_a_training_starts_no_new_child(child, request_, tmp_path, no_leftover_processes):
    process = child(READY + ASK + f"open({str(tmp_path / 'died0')!r}, 'w')\ntime.sleep(60)\n")
    process.start()

    def close():
        while not deaths(tmp_path):
            time.sleep(0.01)
        process.close()

    closer = threading.Thread(target=close)
    closer.start()
    with pytest.raises(TrainingFailed, match="killed by signal 9"):
        process.train(request_)
    closer.join()
    assert process._child is None


def test_the_second_try_has_no_failpoint_and_no_new_safety_stop(child, request_, tmp_path, monkeypatch):
    monkeypatch.setattr(train, "GRACE_SECONDS", 1.5 - request_.dataset.detector.seconds)
    monkeypatch.setenv("SERENO_FAILPOINT", "nowhere:before")
    seen = f"open(os.path.join({str(tmp_path)!r}, 'seen'), 'a').write(str('SERENO_FAILPOINT' in os.environ))\n"
    code = READY + ASK + seen + "time.sleep(0.5)\n" + dying(tmp_path, 1) + "time.sleep(60)\n"
    started = time.monotonic()
    with child(code) as process, pytest.raises(TrainingFailed, match="still training after its safety stop"):
        process.train(request_)
    assert time.monotonic() - started < 2.5
    assert (tmp_path / "seen").read_text() == "TrueFalse"


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
