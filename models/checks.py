"""What every detector must be able to do, whatever its family; ships with the product."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd

from models.bundle import canonical_json, open_bundle
from models.scoring import Scorer
from models.transform import Transform
from schemas.errors import SerenoError

ROWS = 700
TOLERANCE = 1e-6


def check_detector(bundle: Path, rows: pd.DataFrame | None = None, *, is_thorough: bool = False) -> list[str]:
    """Try a bundle's detector.

    Args:
        bundle: The bundle's folder.
        rows: Rows to try it on; rows made up from the transform where none are given.
        is_thorough: Whether another process scores too and the graphs are compared with the Keras model, which imports
            TensorFlow; with rows given, also whether rows whose columns were mixed up stand out.

    Returns:
        What is wrong, one sentence each; empty when all is well.
    """
    try:
        opened = open_bundle(bundle)
        scorer = Scorer(opened)
    except SerenoError as error:
        return [error.message]
    frame = opened.transform.examples(ROWS) if rows is None else rows.reset_index(drop=True)
    moved = opened.detector.get("training", {}).get("moved", 1.0)
    problems = [] if moved > 0 else ["training moved no weight"]
    for check in (_round_trip, _repeats, _finite, _differs, _scores_missing, _ignores_chunks):
        problems += _tried(check, scorer, frame)
    if is_thorough:
        problems += _thoroughly(bundle, scorer, frame, is_real=rows is not None)
    return problems


def _thoroughly(bundle: Path, scorer: Scorer, frame: pd.DataFrame, *, is_real: bool) -> list[str]:
    from models import thorough_checks as thorough

    def elsewhere(scorer: Scorer, frame: pd.DataFrame) -> str | None:
        return thorough.scores_alike_elsewhere(scorer, bundle, frame)

    checks = [elsewhere, thorough.graphs_are_keras, *([thorough.finds_planted] if is_real else [])]
    return [problem for check in checks for problem in _tried(check, scorer, frame)]


def _tried(check: Callable[[Scorer, pd.DataFrame], str | None], scorer: Scorer, frame: pd.DataFrame) -> list[str]:
    try:
        problem = check(scorer, frame)
    except (SerenoError, ValueError, TypeError, IndexError, OverflowError) as error:
        problem = f"{check.__name__.strip('_')}: {type(error).__name__}: {error}"
    return [problem] if problem else []


def _round_trip(scorer: Scorer, frame: pd.DataFrame) -> str | None:
    transform = scorer.bundle.transform
    again = Transform.from_json(transform.to_json())
    same = canonical_json(again.to_json()) == canonical_json(transform.to_json())
    if same and np.array_equal(again.apply(frame), transform.apply(frame)):
        return None
    return "the transform is another one after a round trip through JSON"


def _repeats(scorer: Scorer, frame: pd.DataFrame) -> str | None:
    first = scorer.score(frame, top=0).score
    second = Scorer(scorer.bundle).score(frame, top=0).score
    return None if np.array_equal(first, second) else "the same rows got other scores the second time"


def _finite(scorer: Scorer, frame: pd.DataFrame) -> str | None:
    scores = scorer.score(frame)
    is_fine = np.isfinite(scores.score).all() and ((scores.p_value > 0) & (scores.p_value <= 1)).all()
    return None if is_fine else "a score is not finite, or a p-value not within 0 and 1"


def _differs(scorer: Scorer, frame: pd.DataFrame) -> str | None:
    if np.ptp(scorer.score(frame, top=0).score) > TOLERANCE or len(frame) < 2:
        return None
    return "all rows got the same score"


def _scores_missing(scorer: Scorer, _frame: pd.DataFrame) -> str | None:
    empty = pd.DataFrame({column: pd.Series([None], dtype=object) for column in scorer.columns})
    is_fine = np.isfinite(scorer.score(empty).score).all()
    return None if is_fine else "a row whose values are all missing got no finite score"


def _ignores_chunks(scorer: Scorer, frame: pd.DataFrame) -> str | None:
    whole = scorer.score(frame, top=0)
    half = scorer.score(frame.iloc[::2], top=0)
    alone = scorer.score(frame.iloc[-1:], top=0)
    pairs = [(whole.score[::2], half.score), (whole.score[-1:], alone.score)]
    flags = np.array_equal(whole.is_alert[::2], half.is_alert)
    if flags and all(np.allclose(a, b, rtol=0, atol=TOLERANCE) for a, b in pairs):
        return None
    return "a row's score depends on the rows around it"
