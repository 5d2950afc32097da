"""Train: the parent's side of the training process."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import queue
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from models.training_request import TrainingOutcome, TrainingRequest
from schemas import failpoints
from schemas.errors import TrainingFailed

__all__ = ["TrainingOutcome", "TrainingProcess", "TrainingRequest"]

OnProgress = Callable[[int, int, float, float], None]
Event = dict[str, Any]

COMMAND = (sys.executable, "-P", "-m", "models.training_process")
READY_SECONDS = 300.0
GRACE_SECONDS = 120.0
LAST_WORDS = 600
# TensorFlow keeps about 7 MB of every model that it ever built.
TRAININGS_A_CHILD = 25
QUIET = {
    "TF_CPP_MIN_LOG_LEVEL": "3",
    # Its kernels differ from one processor to the next; a seed should repeat as far as it can.
    "TF_ENABLE_ONEDNN_OPTS": "0",
    "KERAS_BACKEND": "tensorflow",
    "PYTHONUNBUFFERED": "1",
}

logger = logging.getLogger("sereno.training")


class _Died(TrainingFailed):
    """The child ended without an answer."""


@dataclass(frozen=True)
class _SafetyStop:
    """When the parent waits no longer; the clock starts when it is first asked, and goes on over all tries."""

    seconds: float

    @cached_property
    def ends(self) -> float:
        """On the monotonic clock."""
        return time.monotonic() + self.seconds


class TrainingProcess:
    """A child process that imports TensorFlow while other stages work, then trains one detector after the other.

    It dies with its parent, and a new one takes its place when it died or has trained often; a training in whose middle
    it dies is tried once more, from its checkpoint where the request names a folder for them. Use it as a context
    manager, or call `close`.

    Args:
        work: Folder for the child's log, `training.log`.
        environ: The child's environment; this process's own where none is given. The CPU trains unless
            `CUDA_VISIBLE_DEVICES` names a GPU in it.
    """

    def __init__(self, work: Path, environ: Mapping[str, str] | None = None) -> None:
        self._log = work / "training.log"
        self._environ = dict(os.environ if environ is None else environ)
        self._child: _Child | None = None
        self._is_closed = False

    def start(self) -> None:
        """Start the child and return at once; a second call does nothing."""
        if self._child is None:
            self._is_closed = False
            self._child = _Child(self._log, self._environ)

    def train(self, request: TrainingRequest, on_progress: OnProgress | None = None) -> TrainingOutcome:
        """Have the child make one detector; starts it where it was not.

        Args:
            request: What to train on, and for whom.
            on_progress: Called after each epoch with (epoch from 1, most epochs, loss, held-out loss).

        Raises:
            TrainingFailed: When the child says so, dies a second time, or is still busy after the safety stop.
        """
        stop = _SafetyStop(request.dataset.detector.seconds + GRACE_SECONDS)
        try:
            return self._try(request, on_progress, stop)
        except _Died as died:
            if self._is_closed:
                raise
            goes_on = "goes on from its checkpoint" if request.checkpoints else "begins anew"
            logger.warning("%s: %s; the training %s in a new one", request.dataset.name, died.message, goes_on)
        # A point at which a test stops a process has had its process.
        self._environ.pop(failpoints.VARIABLE, None)
        try:
            return self._try(request, on_progress, stop)
        except _Died as died:
            raise TrainingFailed(f"the training was tried twice: {died.message}", hint=died.hint) from None

    def _try(self, request: TrainingRequest, on_progress: OnProgress | None, stop: _SafetyStop) -> TrainingOutcome:
        if self._child is not None and (self._child.trainings >= TRAININGS_A_CHILD or not self._child.is_alive()):
            self._end_child()
        self.start()
        child = self._child
        assert child is not None  # noqa: S101  (just started)
        try:
            return _train(child, request, on_progress, stop)
        except BaseException:
            # What a child that was interrupted still says would be taken for the next training's words.
            if not child.is_idle:
                self._end_child()
            raise

    def close(self) -> None:
        """End the child, whatever it does, and whoever waits for it."""
        self._is_closed = True
        self._end_child()

    def _end_child(self) -> None:
        child, self._child = self._child, None
        if child is not None:
            child.kill()

    def __enter__(self) -> Self:
        """Start the child."""
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End the child."""
        self.close()


def _train(
    child: _Child, request: TrainingRequest, on_progress: OnProgress | None, stop: _SafetyStop
) -> TrainingOutcome:
    child.wait_ready()
    child.send(request)
    while True:
        event = child.next_event(stop.ends, "training")
        match event.get("event"):
            case "progress" if on_progress is not None:
                on_progress(event["epoch"], event["epochs"], event["loss"], event["held_out_loss"])
            case "done":
                child.is_idle = True
                return TrainingOutcome.from_json(event["outcome"])
            case "failed":
                child.is_idle = True
                raise TrainingFailed(str(event["message"]), hint=event.get("hint"))


class _Child:
    """One child process and the thread that listens to it."""

    def __init__(self, log: Path, environ: Mapping[str, str]) -> None:
        self._log = log
        self._events: queue.Queue[Event | None] = queue.Queue()
        self._launched = threading.Event()
        self._process: subprocess.Popen[str] | None = None
        self._refused: OSError | None = None
        self._is_ready = False
        self.is_idle = False
        self.trainings = 0
        log.parent.mkdir(parents=True, exist_ok=True)
        own = {"CUDA_VISIBLE_DEVICES": "-1", **environ, **QUIET, "SERENO_TRAINING_PARENT": str(os.getpid())}
        # Linux kills the child when the *thread* that started it ends: so the one that listens starts it.
        threading.Thread(target=self._run, args=(own,), name="training-process", daemon=True).start()
        self._launched.wait()

    def is_alive(self) -> bool:
        """Whether it still runs."""
        return self._process is not None and self._process.poll() is None

    def wait_ready(self) -> None:
        """Wait until TensorFlow is imported."""
        if self._is_ready:
            return
        event = self.next_event(time.monotonic() + READY_SECONDS, "starting")
        if event.get("event") != "ready":
            raise TrainingFailed(str(event.get("message", "the training process did not get ready")))
        self._is_ready = True

    def send(self, request: TrainingRequest) -> None:
        """Ask for a training."""
        self.is_idle = False
        self.trainings += 1
        try:
            stdin = self._process.stdin if self._process is not None else None
            assert stdin is not None  # noqa: S101  (it said ready)
            stdin.write(json.dumps(request.to_json()) + "\n")
            stdin.flush()
        except OSError:
            raise self._died() from None

    def next_event(self, ends: float, doing: str) -> Event:
        """The next thing it says.

        Raises:
            TrainingFailed: When it died, or says nothing until `ends` (on the monotonic clock).
        """
        try:
            event = self._events.get(timeout=max(0.0, ends - time.monotonic()))
        except queue.Empty:
            raise TrainingFailed(
                f"the training process was stopped: it was still {doing} after its safety stop",
                hint="raise detector.seconds, or lower detector.rows or detector.epochs",
            ) from None
        if event is None:
            raise self._died()
        return event

    def kill(self) -> None:
        """End it, and leave nothing open."""
        if self._process is None:
            return
        self._process.kill()
        self._process.wait()
        if self._process.stdin is not None:
            with contextlib.suppress(OSError):
                self._process.stdin.close()

    def _run(self, environ: dict[str, str]) -> None:
        """Start the process, then pass its events on until it ends."""
        try:
            with self._log.open("wb") as log:
                process = subprocess.Popen(
                    COMMAND,
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=log,
                    env=environ,
                    text=True,
                    encoding="utf-8",
                )
        except OSError as error:
            self._refused = error
            self._events.put(None)
            self._launched.set()
            return
        self._process = process
        self._launched.set()
        assert process.stdout is not None  # noqa: S101  (asked for above)
        with process.stdout as lines:
            for line in lines:
                self._events.put(_event(line))
        process.wait()
        self._events.put(None)

    def _died(self) -> TrainingFailed:
        if self._process is None:
            return TrainingFailed(f"the training process cannot be started: {self._refused}")
        code = self._process.wait()
        words = self._log.read_text(encoding="utf-8", errors="replace")[-LAST_WORDS:].strip()
        cause = f"was killed by signal {-code}" if code < 0 else f"ended with exit code {code}"
        hint = "it may have run out of memory: lower detector.rows" if code == -9 else f"its log: {self._log}"
        said = f"; its last words: {words}" if words else ""
        # An interrupt from the keyboard reaches the child too: nobody wants that training any more.
        kind = TrainingFailed if code == -signal.SIGINT else _Died
        return kind(f"the training process {cause}{said}", hint=hint)


def _event(line: str) -> Event:
    try:
        event = json.loads(line)
    except ValueError:
        return {}
    return event if isinstance(event, dict) else {}
