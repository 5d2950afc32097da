"""The training process: `python -P -m models.training_process`, the only process that imports TensorFlow.

It is started early, imports TensorFlow at once, says that it is ready, and serves one request after the other. JSON
lines:

    stdin    a line a request: a `TrainingRequest`; end of input at any time ends the process
    stdout   {"event": "ready"}, once; then for each request
             {"event": "progress", "epoch": 1, "epochs": 80, "loss": 0.4, "held_out_loss": 0.3}
             {"event": "done", "outcome": {...}}  or  {"event": "failed", "message": "...", "hint": "..."}

Whatever libraries print, and what is logged, goes to stderr. A process that is killed leaves the checkpoints of the
request's folder; the one that is asked the same next goes on from them, and so do its progress events.
"""

from __future__ import annotations

import ctypes
import importlib
import json
import logging
import os
import queue
import signal
import sys
import threading
import traceback
from collections.abc import Callable
from typing import Any, TextIO

PR_SET_PDEATHSIG = 1


def main() -> int:
    """Serve training requests until the input ends."""
    out = _own_stdout()
    say = _speaker(out)
    _die_with_parent()
    _log_to_stderr()
    requests = _requests(sys.stdin)
    try:
        _import_heavy()
        say({"event": "ready"})
    except Exception as error:  # noqa: BLE001  (the parent must hear of whatever it was)
        traceback.print_exc()
        say({"event": "failed", "message": f"TensorFlow cannot be imported: {error}", "hint": None})
        return 1
    while True:
        _serve(requests.get(), say)


def _serve(line: str, say: Callable[[dict[str, Any]], None]) -> None:
    from models.fit import fit_detector
    from models.training_request import TrainingRequest
    from schemas.errors import SerenoError

    request = TrainingRequest.from_json(json.loads(line))

    def progress(epoch: int, epochs: int, loss: float, held_out: float) -> None:
        say({"event": "progress", "epoch": epoch, "epochs": epochs, "loss": loss, "held_out_loss": held_out})

    try:
        outcome = fit_detector(request, progress)
    except SerenoError as error:
        say({"event": "failed", "message": error.message, "hint": error.hint})
    except Exception as error:  # noqa: BLE001  (the parent must hear of whatever it was)
        traceback.print_exc()
        say({"event": "failed", "message": f"{type(error).__name__}: {error}", "hint": None})
    else:
        say({"event": "done", "outcome": outcome.to_json()})


def _import_heavy() -> None:
    """Import what a training needs, so that the request finds it there."""
    from models.tensorflow_import import import_tensorflow, silent_stderr

    import_tensorflow()
    with silent_stderr():
        for name in ("onnxruntime", "tf2onnx", "models.fit"):
            importlib.import_module(name)
    import tensorflow as tf

    tf.config.experimental.enable_op_determinism()


def _own_stdout() -> TextIO:
    """Keep the real stdout for events, and send everything else that writes to fd 1 to stderr."""
    out = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    sys.stdout = sys.stderr
    return out


def _log_to_stderr() -> None:
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter("%(message)s"))
    logger = logging.getLogger("sereno")
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    logger.propagate = False


def _speaker(out: TextIO) -> Callable[[dict[str, Any]], None]:
    def say(event: dict[str, Any]) -> None:
        try:
            out.write(json.dumps(event) + "\n")
            out.flush()
        except BrokenPipeError:
            os._exit(1)

    return say


def _die_with_parent() -> None:
    """Ask Linux to kill this process when the thread that started it ends; elsewhere the end of stdin has to do."""
    if sys.platform != "linux":
        return
    parent = os.environ.get("SERENO_TRAINING_PARENT")
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if parent and os.getppid() != int(parent):
        os._exit(1)


def _requests(source: TextIO) -> queue.Queue[str]:
    """Read stdin in a thread of its own; its end ends the process, also in the middle of an epoch."""
    lines: queue.Queue[str] = queue.Queue()

    def read() -> None:
        for line in source:
            lines.put(line)
        os._exit(0)

    threading.Thread(target=read, name="stdin", daemon=True).start()
    return lines


if __name__ == "__main__":
    sys.exit(main())
