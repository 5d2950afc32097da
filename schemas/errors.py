"""The errors that Sereno raises, and the exit codes that they end a command with.

    SerenoError                          1 failed
    ├── ConfigError (ValueError)         2 a setting or dataset file is wrong
    │   └── ForbiddenAddress (PermissionError)   2 an input address that is not allowed
    ├── UsageError (ValueError)          2 a command was asked for something that does not exist
    ├── NoInput (FileNotFoundError)      7 nothing arrived for the date
    ├── BlockedNight (ValueError)        3 the data gate holds the batch
    │   └── UnreadableInput              3 a file that is not the table that the contract describes
    ├── LockedNight (RuntimeError)       6 another run holds this (dataset, date)
    ├── TrainingFailed (RuntimeError)    1 the training process ended without a detector
    ├── BundleError (ValueError)         1 a bundle that was changed, is incomplete or too new
    │   └── OutdatedBundle               1 a bundle of a version that nothing reads any more
    ├── PromotionRefused (ValueError)    5 the gate, or the ledger, does not let a version be champion
    ├── LakeError (OSError)              1 the lake cannot be read or written
    └── StateError (RuntimeError)        1 the state database cannot be used

An error is data first (what, where), then a bounded text, then a hint that says how to mend it.
"""

from __future__ import annotations

from collections.abc import Iterable
from enum import IntEnum

MAX_LISTED = 20


class Exit(IntEnum):
    """Exit codes of every command."""

    DONE = 0
    FAILED = 1
    USAGE = 2
    BLOCKED = 3
    PARTIAL = 4
    REFUSED = 5
    LOCKED = 6
    NO_INPUT = 7


EXIT_MEANING: dict[Exit, str] = {
    Exit.DONE: "done, or already done",
    Exit.FAILED: "failed",
    Exit.USAGE: "usage or configuration",
    Exit.BLOCKED: "blocked by the data gate",
    Exit.PARTIAL: "done, but some entities failed or the champion scored because training did not",
    Exit.REFUSED: "promotion refused",
    Exit.LOCKED: "locked by another run",
    Exit.NO_INPUT: "no input for the date",
}


class SerenoError(Exception):
    """What went wrong, where, and how to mend it.

    Args:
        message: One or more sentences; names the dataset, file, line or column.
        hint: What to do about it, best a command.
    """

    exit_code: Exit = Exit.FAILED

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message}\nHint: {self.hint}" if self.hint else self.message

    def __reduce__(self) -> tuple[object, ...]:
        """Errors cross process borders: keep the hint on the way."""
        return _rebuild, (type(self), self.message, self.hint)


def _rebuild(kind: type[SerenoError], message: str, hint: str | None) -> SerenoError:
    error = kind.__new__(kind)
    SerenoError.__init__(error, message, hint=hint)
    return error


class ConfigError(SerenoError, ValueError):
    """A setting or a dataset file is wrong; the message has a line for each mistake."""

    exit_code = Exit.USAGE


class ForbiddenAddress(ConfigError, PermissionError):
    """An input address whose protocol or root is not on the allow-list."""


class UsageError(SerenoError, ValueError):
    """A command names something that does not exist."""

    exit_code = Exit.USAGE


class NoInput(SerenoError, FileNotFoundError):
    """Nothing arrived for the logical date."""

    exit_code = Exit.NO_INPUT


class BlockedNight(SerenoError, ValueError):
    """The data gate holds the whole batch; its rows stay in the input."""

    exit_code = Exit.BLOCKED


class UnreadableInput(BlockedNight):
    """A file that is not the table that the contract describes (empty, cut off, other columns)."""


class LockedNight(SerenoError, RuntimeError):
    """Another run holds this (dataset, date)."""

    exit_code = Exit.LOCKED


class TrainingFailed(SerenoError, RuntimeError):
    """The training process ended without a detector."""


class BundleError(SerenoError, ValueError):
    """A bundle that was changed since it was made, is incomplete, or has another protocol."""


class OutdatedBundle(BundleError):
    """A bundle of a protocol that nothing reads any more."""


class PromotionRefused(SerenoError, ValueError):
    """A version may not become champion."""

    exit_code = Exit.REFUSED


class LakeError(SerenoError, OSError):
    """The lake cannot be read or written, or has a newer protocol."""


class StateError(SerenoError, RuntimeError):
    """The state database cannot be used, or has a newer protocol."""


def listed(items: Iterable[object], limit: int = MAX_LISTED) -> str:
    """Join names for a message, bounded: ``a, b, c and 7 more``."""
    names = [str(item) for item in items]
    if len(names) <= limit:
        return ", ".join(names)
    return f"{', '.join(names[:limit])} and {len(names) - limit} more"
