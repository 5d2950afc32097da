"""Successive halving: many candidates share the epochs of one training (Jamieson and Talwalkar, 2016).

Every rung gets an equal part of the epochs, dealt out evenly to those that are left; after it the better half goes on,
and the last one trains alone. Epochs, not seconds, so that the same candidates win whatever machine decides.
"""

from __future__ import annotations

from dataclasses import dataclass

from models.families import family, most_epochs
from schemas.detector import DetectorSettings
from schemas.errors import ConfigError


@dataclass(frozen=True)
class Rung:
    """One rung.

    Args:
        candidates: How many train on it, at most.
        epochs: Epochs after which each of them pauses, counted from its first.
    """

    candidates: int
    epochs: int


def rungs(candidates: int, epochs: int) -> tuple[Rung, ...]:
    """Deal out epochs.

    Args:
        candidates: How many begin.
        epochs: What all of them together may use, which is what one training may.

    Raises:
        ConfigError: When there is not one epoch for each on every rung.
    """
    left = [candidates]
    while left[-1] > 1:
        left.append((left[-1] + 1) // 2)
    each = [epochs // len(left) // count for count in left]
    if min(each) < 1:
        raise ConfigError(
            f"{candidates} candidates on {len(left)} rungs need at least {len(left) * candidates} epochs together, "
            f"and {epochs} are there",
            hint="raise detector.epochs, or name fewer candidates",
        )
    # What rounding left is the winner's.
    each[-1] += epochs - sum(count * own for count, own in zip(left, each, strict=True))
    return tuple(Rung(count, sum(each[: at + 1])) for at, count in enumerate(left))


def check_candidates(settings: DetectorSettings) -> None:
    """Refuse what no training can do, of the one family or of each candidate.

    Raises:
        ConfigError: When a family, loss or option does not exist, or the epochs are too few for all.
    """
    for each in settings.tried:
        family(each.family).configure(each)
    rungs(len(settings.tried), most_epochs(settings, settings.rows))
