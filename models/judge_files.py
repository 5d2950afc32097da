"""What turns distances and residuals into a score, as a bundle keeps it: arrays, and facts of `detector.json`."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import numpy as np

from models.judge import Judge, Level, Near
from models.neighbours import Neighbours
from models.ranks import Ranks

Array = np.ndarray[Any, Any]

NEAR = ("ranks.npy", "reference.npy")


def judge_facts(judge: Judge) -> dict[str, Any]:
    """What `detector.json` says of a judge."""
    score_map = judge.score_map
    facts: dict[str, Any] = {"score_map": {"factors": list(score_map.factors), "starts": list(score_map.starts)}}
    if judge.near is not None:
        near, ranks = judge.near, judge.near.neighbours.ranks
        facts["neighbours"] = {
            "count": near.neighbours.count,
            "rows": len(near.neighbours.reference),
            "bent": {"beside": ranks.beside, "beyond": ranks.beyond},
            "levels": [asdict(near.distance), asdict(near.residuals)],
        }
    return facts


def near_arrays(neighbours: Neighbours) -> dict[str, Array]:
    """A reference as arrays, by the names of their files."""
    return {"reference.npy": neighbours.reference, "ranks.npy": _ranks_saved(neighbours.ranks)}


def neighbours_of(detector: dict[str, Any], arrays: dict[str, Array]) -> Neighbours:
    """A reference of `near_arrays`, and of what `detector.json` says of it."""
    facts = detector["neighbours"]
    ranks = _ranks_loaded(arrays["ranks.npy"], facts["bent"])
    return Neighbours(arrays["reference.npy"], int(facts["count"]), ranks)


def near_of(neighbours: Neighbours, detector: dict[str, Any]) -> Near:
    """Near rows with their levels, of what `detector.json` says."""
    distance, residuals = (Level(**level) for level in detector["neighbours"]["levels"])
    return Near(neighbours, distance, residuals)


def check_judge(judge: Judge, width: int) -> None:
    """Refuse a reference or levels that fit nothing.

    Raises:
        ValueError: When arrays and facts do not fit rows of that width, or each other.
    """
    if judge.near is not None:
        _check_neighbours(judge.near.neighbours, width)
        _check_levels((judge.near.distance, judge.near.residuals))


def _check_neighbours(neighbours: Neighbours, width: int) -> None:
    reference, ranks = neighbours.reference, neighbours.ranks
    if reference.dtype != np.float32 or reference.shape[1:] != (width,) or not np.isfinite(reference).all():
        raise ValueError("reference.npy must hold finite float32 rows as wide as transform.json says")
    if len(ranks.at) and not _are_ranks(ranks, width):
        raise ValueError("ranks.npy must hold places within a row, and finite, ascending knots")
    if not (0 <= ranks.beside < np.inf and 0 < ranks.beyond < np.inf):
        raise ValueError("detector.json must say how the scale is bent: beside at least 0, beyond above it")
    if not 0 < neighbours.count < len(reference):
        raise ValueError("detector.json names more neighbours than reference.npy has")


def _check_levels(levels: tuple[Level, Level]) -> None:
    numbers = [(level.floor, level.middle, level.weight) for level in levels]
    if not np.isfinite(numbers).all() or min(min(level.floor, level.weight) for level in levels) <= 0:
        raise ValueError("detector.json has a level of no floor or no weight")


def _are_ranks(ranks: Ranks, width: int) -> bool:
    numbers = (ranks.knots, ranks.center, ranks.scale)
    are_finite = all(np.isfinite(each).all() for each in numbers) and (ranks.scale > 0).all()
    return bool(are_finite and (np.diff(ranks.knots) >= 0).all() and 0 <= ranks.at.min() <= ranks.at.max() < width)


def _ranks_saved(ranks: Ranks) -> Array:
    return np.column_stack([ranks.at.astype(np.float64), ranks.center, ranks.scale, ranks.knots])


def _ranks_loaded(saved: Array, bent: dict[str, Any]) -> Ranks:
    if saved.ndim != 2 or saved.shape[1] <= 4:
        raise ValueError("ranks.npy must hold a row a number: place, center, scale and knots")
    at, center, scale, knots = saved[:, 0].astype(np.int64), saved[:, 1], saved[:, 2], saved[:, 3:]
    return Ranks(at, knots, center, scale, float(bent["beside"]), float(bent["beyond"]))
