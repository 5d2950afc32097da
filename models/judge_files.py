"""What turns distances and residuals into a score, as a bundle keeps it: arrays, and facts of `detector.json`."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import numpy as np

from models.judge import Judge, Level
from models.neighbours import Neighbours
from models.ranks import Ranks

Array = np.ndarray[Any, Any]

NEAR = ("ranks.npy", "reference.npy", "spread.npy")


def judge_facts(judge: Judge) -> dict[str, Any]:
    """What `detector.json` says of a judge."""
    score_map = judge.score_map
    facts: dict[str, Any] = {"score_map": {"factors": list(score_map.factors), "starts": list(score_map.starts)}}
    if judge.neighbours is not None:
        facts["neighbours"] = {
            "count": judge.neighbours.count,
            "rows": len(judge.neighbours.reference),
            "levels": [asdict(level) for level in judge.levels],
        }
    return facts


def near_arrays(neighbours: Neighbours) -> dict[str, Array]:
    """A reference as arrays, by the names of their files."""
    ranks = _ranks_saved(neighbours.ranks)
    return {"reference.npy": neighbours.reference, "spread.npy": neighbours.spread, "ranks.npy": ranks}


def neighbours_of(detector: dict[str, Any], arrays: dict[str, Array]) -> Neighbours:
    """A reference of `near_arrays`, and of what `detector.json` says of it."""
    count = int(detector["neighbours"]["count"])
    return Neighbours(arrays["reference.npy"], arrays["spread.npy"], count, _ranks_loaded(arrays["ranks.npy"]))


def check_judge(judge: Judge, width: int) -> None:
    """Refuse a reference or levels that fit nothing.

    Raises:
        ValueError: When arrays and facts do not fit rows of that width, or each other.
    """
    if judge.neighbours is not None:
        _check_neighbours(judge.neighbours, width)
        _check_levels(judge.levels, judge.neighbours.spread.shape[1])


def _check_neighbours(neighbours: Neighbours, width: int) -> None:
    reference, spread = neighbours.reference, neighbours.spread
    ranks = neighbours.ranks
    lifted, views = (width, 1) if ranks is None else (width + len(ranks.at), 2)
    if reference.dtype != np.float32 or reference.shape != (len(spread), lifted) or not np.isfinite(reference).all():
        raise ValueError("reference.npy must hold finite float32 rows as wide as transform.json and ranks.npy say")
    if ranks is not None and len(ranks.at) and not _are_ranks(ranks, width):
        raise ValueError("ranks.npy must hold places within a row, and finite, ascending knots")
    if spread.dtype != np.float64 or spread.shape[1:] != (views,) or not (np.isfinite(spread) & (spread >= 0)).all():
        raise ValueError("spread.npy must hold finite float64 distances, a column a view")
    if not 0 < neighbours.count < len(reference):
        raise ValueError("detector.json names more neighbours than reference.npy has")


def _check_levels(levels: tuple[Level, ...], views: int) -> None:
    numbers = [(level.floor, level.middle, level.rise, level.weight) for level in levels]
    if len(levels) != views + 1 or not np.isfinite(numbers).all() or min(level.floor for level in levels) <= 0:
        raise ValueError("detector.json must say the level of each view and of residuals")
    if min(min(level.rise, level.weight) for level in levels) <= 0:
        raise ValueError("detector.json has a level of no rise or no weight")


def _are_ranks(ranks: Ranks, width: int) -> bool:
    numbers = (ranks.knots, ranks.center, ranks.scale)
    are_finite = all(np.isfinite(each).all() for each in numbers) and (ranks.scale > 0).all()
    return bool(are_finite and (np.diff(ranks.knots) >= 0).all() and 0 <= ranks.at.min() <= ranks.at.max() < width)


def _ranks_saved(ranks: Ranks | None) -> np.ndarray[Any, Any]:
    if ranks is None:
        return np.zeros((0, 0))
    return np.column_stack([ranks.at.astype(np.float64), ranks.center, ranks.scale, ranks.knots])


def _ranks_loaded(saved: np.ndarray[Any, Any]) -> Ranks | None:
    if saved.shape[1] == 0:
        return None
    return Ranks(saved[:, 0].astype(np.int64), saved[:, 3:], saved[:, 1], saved[:, 2])
