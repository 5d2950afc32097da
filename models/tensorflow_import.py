"""TensorFlow's import, in one place: quiet, and with the settings that must stand before it."""

from __future__ import annotations

import contextlib
import importlib
import os
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

_LOCK = threading.Lock()


def import_tensorflow() -> None:
    """Import TensorFlow where this process has not yet; what it prints meanwhile is dropped."""
    if "tensorflow" in sys.modules:
        return
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    with _LOCK, silent_stderr():
        importlib.import_module("tensorflow")


@contextlib.contextmanager
def silent_stderr() -> Iterator[None]:
    """TensorFlow prints six lines during its import, whatever its log level."""
    kept = os.dup(2)
    with Path(os.devnull).open("wb") as nothing:
        os.dup2(nothing.fileno(), 2)
        try:
            yield
        finally:
            os.dup2(kept, 2)
            os.close(kept)
