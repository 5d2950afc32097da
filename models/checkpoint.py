"""A training in the middle, as data: what a new process needs to go on as if nothing had happened.

    epoch-00012.checkpoint    a line of JSON, {"protocol": 2, "identity": "...", "sha256": "..."}, then an `.npz`

The identity says which training it belongs to, the SHA-256 is that of all bytes after the line. A file that is not
whole, not of this protocol or not of this training is passed over with a word in the log: the training starts anew.
"""

from __future__ import annotations

import hashlib
import io
import json
import logging
import time
import zipfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from models.durable import sync, write_synced
from schemas.failpoints import durable

PROTOCOL = 2
"""Raised also when the training loop would go on from an old file to another result."""

DRAFT = ".draft"
NAME = "epoch-{:05d}.checkpoint"
PATTERN = "epoch-*.checkpoint"
MOST_BYTES = 4_000_000_000
MOST_SHARE = 0.02  # of the training's time

Array = np.ndarray[Any, Any]

logger = logging.getLogger("sereno.training")


@dataclass(frozen=True)
class Checkpoint:
    """All that decides how a training goes on.

    Args:
        loss: Mean loss over the fit rows of each epoch so far.
        held_out: Held-out loss of each epoch so far.
        best: The best epoch so far, from 0.
        seconds: Time spent on the training so far, in all tries.
        order: State of numpy's generator of the rows' order, JSON values.
        state: The program's state: weights, both of Adam's means, steps, and the variables that are not trained.
        row_weights: How much each fit row counts, float32 [rows].
        best_weights: The weights at the best epoch, and the variables that are not trained.
    """

    loss: tuple[float, ...]
    held_out: tuple[float, ...]
    best: int
    seconds: float
    order: dict[str, Any]
    state: tuple[Array, ...]
    row_weights: Array
    best_weights: tuple[Array, ...]

    @property
    def epochs(self) -> int:
        """Epochs that are done."""
        return len(self.loss)

    def to_bytes(self) -> bytes:
        """An `.npz` without pickle: the arrays, and the rest as JSON beside them."""
        facts = {
            "loss": self.loss,
            "held_out": self.held_out,
            "best": self.best,
            "seconds": self.seconds,
            "order": self.order,
        }
        arrays = {"facts": np.frombuffer(json.dumps(facts).encode(), np.uint8), "row_weights": self.row_weights}
        for part in ("state", "best_weights"):
            arrays |= {f"{part}_{at:05d}": array for at, array in enumerate(getattr(self, part))}
        written = io.BytesIO()
        np.savez(written, allow_pickle=False, **arrays)
        return written.getvalue()

    @classmethod
    def from_bytes(cls, data: bytes) -> Checkpoint:
        """Build from `to_bytes`' bytes.

        Raises:
            ValueError: When they are something else.
        """
        try:
            with np.load(io.BytesIO(data), allow_pickle=False) as arrays:
                facts = json.loads(arrays["facts"].tobytes())
                parts = {
                    part: tuple(arrays[name] for name in sorted(arrays.files) if name.startswith(f"{part}_"))
                    for part in ("state", "best_weights")
                }
                return cls(
                    loss=tuple(map(float, facts["loss"])),
                    held_out=tuple(map(float, facts["held_out"])),
                    best=int(facts["best"]),
                    seconds=float(facts["seconds"]),
                    order=facts["order"],
                    row_weights=arrays["row_weights"],
                    **parts,
                )
        except (ValueError, KeyError, TypeError, EOFError, RecursionError, zipfile.BadZipFile) as error:
            raise ValueError(f"it cannot be read: {error}") from None


class Checkpoints:
    """The checkpoints of one training, at most two files in a folder of their own.

    Args:
        folder: Made where it is missing.
        identity: Names the training; see `identity_of`.
        every: Seconds between two checkpoints, more where writing one takes more than 2 % of that; 0: each epoch.
    """

    def __init__(self, folder: Path, identity: str, every: float) -> None:
        self._folder = folder
        self._identity = identity
        self._every = every
        self._pause = every
        self._last = time.monotonic()
        self._newest: Path | None = None
        self._is_refused = False

    def newest(self) -> Checkpoint | None:
        """The last whole checkpoint of this training; None where there is none."""
        for path in sorted(self._folder.glob(PATTERN), reverse=True):
            try:
                found = Checkpoint.from_bytes(_checked(path, self._identity))
            except (OSError, ValueError) as error:
                logger.warning("checkpoint %s is passed over: %s", path.name, error)
                continue
            self._newest = path
            return found
        return None

    def is_due(self) -> bool:
        """Whether it is time to write one."""
        return time.monotonic() - self._last >= self._pause

    def write(self, checkpoint: Checkpoint) -> None:
        """Write one, and keep the one before it; what the disk refuses is a word in the log."""
        started = time.monotonic()
        try:
            self._write(checkpoint)
        except OSError as error:
            if not self._is_refused:
                logger.warning("no checkpoint could be written to %s: %s", self._folder, error.strerror)
            self._is_refused = True
        self._last = time.monotonic()
        if self._every > 0:
            self._pause = max(self._every, (self._last - started) / MOST_SHARE)

    def _write(self, checkpoint: Checkpoint) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)
        _remove(self._folder, but=self._newest)
        data = checkpoint.to_bytes()
        head = {"protocol": PROTOCOL, "identity": self._identity, "sha256": hashlib.sha256(data).hexdigest()}
        path = self._folder / NAME.format(checkpoint.epochs)
        draft = path.with_name(path.name + DRAFT)
        with durable("checkpoint.write"):
            write_synced(draft, json.dumps(head).encode() + b"\n" + data)
            draft.replace(path)
            sync(self._folder)
        self._newest = path


def remove_checkpoints(folder: Path) -> None:
    """Remove a training's checkpoints and drafts, and the folder where nothing else is in it."""
    try:
        _remove(folder)
        if folder.is_dir() and not any(folder.iterdir()):
            folder.rmdir()
    except OSError as error:
        logger.warning("the checkpoints in %s could not be removed: %s", folder, error.strerror)


def identity_of(facts: dict[str, Any], arrays: Iterable[Array]) -> str:
    """The name of a training: SHA-256 of all that decides its result, in hex.

    Args:
        facts: JSON values: settings, seed, shapes, versions; no path, so that a training may move.
        arrays: The rows it learns from.
    """
    digest = hashlib.sha256(json.dumps(facts, sort_keys=True).encode())
    for array in arrays:
        digest.update(f"{array.dtype.str}{array.shape}".encode())
        digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()


def _checked(path: Path, identity: str) -> bytes:
    """What stands behind the head line, when it is whole and this training's."""
    if path.is_symlink() or not path.is_file() or path.stat().st_size > MOST_BYTES:
        raise ValueError("it is no plain file of a checkpoint's size")
    line, _, data = path.read_bytes().partition(b"\n")
    try:
        head = json.loads(line)
        protocol, owner, digest = head["protocol"], head["identity"], head["sha256"]
    except (ValueError, KeyError, TypeError, RecursionError):
        raise ValueError("its head line is not a checkpoint's") from None
    if protocol != PROTOCOL:
        raise ValueError(f"it has protocol {protocol!r}, this version reads {PROTOCOL}")
    if owner != identity:
        raise ValueError("it is of another training")
    if digest != hashlib.sha256(data).hexdigest():
        raise ValueError("it is not whole, or was changed")
    return data


def _remove(folder: Path, but: Path | None = None) -> None:
    for pattern in (PATTERN, PATTERN + DRAFT):
        for path in folder.glob(pattern):
            if path != but:
                path.unlink()
