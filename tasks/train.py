"""Train: the parent's side of the training process."""

from __future__ import annotations

import json
import os
import queue
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from models.training_request import TrainingOutcome, TrainingRequest
from schemas.errors import TrainingFailed

__all__ = ["TrainingOutcome", "TrainingProcess", "TrainingRequest"]

OnProgress = Callable[[int, int, float, float], None]

READY_SECONDS = 300.0
GRACE_SECONDS = 120.0
LAST_WORDS = 600
QUIET = {
    "TF_CPP_MIN_LOG_LEVEL": "3",
    # Other instruction sets round differently; a seed should repeat as far as it can.
    "TF_ENABLE_ONEDNN_OPTS": "0",
    "KERAS_BACKEND": "tensorflow",
    "PYTHONUNBUFFERED": "1",
}


class TrainingProcess:
    """A child process that imports TensorFlow while other stages work, then trains once.

    It dies with its parent. Use it as a context manager, or call `close`.

    Args:
        work: Folder for the child's log, `training.log`.
        environ: The child's environment; this process's own where none is given. The CPU trains unless
            `CUDA_VISIBLE_DEVICES` names a GPU in it.
    """

    def __init__(self, work: Path, environ: Mapping[str, str] | None = None) -> None:
        self._log = work / "training.log"
        self._environ = dict(os.environ if environ is None else environ)
        self._events: queue.Queue[dict[str, Any] | None] = queue.Queue()
        self._started = threading.Event()
        self._child: subprocess.Popen[str] | None = None
        self._failure: OSError | None = None

    def start(self) -> None:
        """Start the child and return at once; a second call does nothing."""
        if self._child is not None or self._failure is not None:
            return
        self._log.parent.mkdir(parents=True, exist_ok=True)
        # Linux kills the child when the *thread* that started it ends: that thread is the one that reads from it.
        threading.Thread(target=self._run, name="training-process", daemon=True).start()
        self._started.wait()

    def train(self, request: TrainingRequest, on_progress: OnProgress | None = None) -> TrainingOutcome:
        """Have the child make one detector; starts it where it was not.

        Args:
            request: What to train on, and for whom.
            on_progress: Called after each epoch with (epoch from 1, most epochs, loss, held-out loss).

        Raises:
            TrainingFailed: When the child says so, dies, or is still busy after the safety stop.
        """
        self.start()
        self._expect_ready()
        self._send(request)
        ends = time.monotonic() + request.dataset.detector.seconds + GRACE_SECONDS
        while True:
            event = self._next(ends, "training")
            match event.get("event"):
                case "progress":
                    if on_progress is not None:
                        on_progress(event["epoch"], event["epochs"], event["loss"], event["held_out_loss"])
                case "done":
                    return TrainingOutcome.from_json(event["outcome"])
                case "failed":
                    raise TrainingFailed(str(event["message"]), hint=event.get("hint"))

    def close(self) -> None:
        """End the child, whatever it does."""
        child = self._child
        if child is None:
            return
        if child.poll() is None:
            child.kill()
        child.wait()
        if child.stdin is not None:
            _close_quietly(child.stdin)

    def __enter__(self) -> Self:
        """Start the child."""
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End the child."""
        self.close()

    def _run(self) -> None:
        """Start the child, then pass its events on until it ends."""
        environ = {"CUDA_VISIBLE_DEVICES": "-1", **self._environ, **QUIET, "SERENO_TRAINING_PARENT": str(os.getpid())}
        try:
            with self._log.open("wb") as log:
                child = subprocess.Popen(
                    [sys.executable, "-P", "-m", "models.training_process"],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=log,
                    env=environ,
                    text=True,
                    encoding="utf-8",
                )
        except OSError as error:
            self._failure = error
            self._started.set()
            return
        self._child = child
        self._started.set()
        assert child.stdout is not None  # noqa: S101  (asked for above)
        with child.stdout as lines:
            for line in lines:
                self._events.put(_event(line))
        child.wait()
        self._events.put(None)

    def _expect_ready(self) -> None:
        event = self._next(time.monotonic() + READY_SECONDS, "starting")
        if event.get("event") != "ready":
            raise TrainingFailed(str(event.get("message", "the training process did not get ready")))

    def _send(self, request: TrainingRequest) -> None:
        assert self._child is not None and self._child.stdin is not None  # noqa: S101  (it said ready)
        try:
            self._child.stdin.write(json.dumps(request.to_json()) + "\n")
            self._child.stdin.flush()
        except OSError:
            raise self._died() from None

    def _next(self, ends: float, doing: str) -> dict[str, Any]:
        if self._failure is not None:
            raise TrainingFailed(f"the training process cannot be started: {self._failure}")
        try:
            event = self._events.get(timeout=max(0.0, ends - time.monotonic()))
        except queue.Empty:
            self.close()
            raise TrainingFailed(
                f"the training process was stopped: it was still {doing} after its safety stop",
                hint="raise detector.seconds, or lower detector.rows or detector.epochs",
            ) from None
        if event is None:
            self._events.put(None)
            raise self._died()
        return event

    def _died(self) -> TrainingFailed:
        code = self._child.wait() if self._child is not None else None
        words = self._log.read_text(encoding="utf-8", errors="replace")[-LAST_WORDS:].strip()
        cause = f"was killed by signal {-code}" if code is not None and code < 0 else f"ended with exit code {code}"
        hint = "it may have run out of memory: lower detector.rows" if code == -9 else f"its log: {self._log}"
        return TrainingFailed(f"the training process {cause}" + (f"; its last words: {words}" if words else ""), hint=hint)


def _event(line: str) -> dict[str, Any]:
    try:
        event = json.loads(line)
    except ValueError:
        return {}
    return event if isinstance(event, dict) else {}


def _close_quietly(stream: Any) -> None:
    try:
        stream.close()
    except OSError:
        pass
