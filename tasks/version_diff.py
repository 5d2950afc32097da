"""What differs between two detectors: how they were made, and what they say of the same rows."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from schemas.errors import SerenoError

if TYPE_CHECKING:
    import pandas as pd

    from models.bundle import Bundle

QUANTILES = (0.5, 0.9, 0.99, 0.999)
SHOWN_ROWS = 10
NETWORK = ("features", "transform", "network", "score map")
"""What gives a row its score; where none of it differs, two bundles rank all rows alike."""


def compare_bundles(first: Bundle, second: Bundle, rows: pd.DataFrame | None) -> dict[str, Any]:
    """Compare two bundles.

    Args:
        first: One.
        second: The other.
        rows: Rows that both score, with the columns of `accepted`.

    Returns:
        JSON values: which parts differ, pairs of (first, second) where something differs, and how the scores agree.
    """
    changed = [name for name, differs in _parts(first, second).items() if differs]
    return {
        "same": first.hash == second.hash,
        "changed": changed,
        "only_threshold": "threshold" in changed and not {*changed} & {*NETWORK},
        "settings": _changed(_plain(first), _plain(second)),
        "features": _features(first, second),
        "nights": _nights(first, second),
        "rows": _changed(_rows(first), _rows(second)),
        "threshold": [first.threshold, second.threshold],
        "calibration": {f"q{q:g}": [_quantile(first, q), _quantile(second, q)] for q in QUANTILES},
        "scores": _scores(first, second, rows),
    }


def rank_correlation(first: np.ndarray[Any, Any], second: np.ndarray[Any, Any]) -> float | None:
    """Spearman's correlation of two score arrays [rows]; None where one of them is constant."""
    import pandas as pd

    ranks = [pd.Series(scores).rank().to_numpy() for scores in (first, second)]
    if len(first) < 2 or any(np.ptp(rank) == 0.0 for rank in ranks):
        return None
    return round(float(np.corrcoef(ranks[0], ranks[1])[0, 1]), 6)


def _parts(first: Bundle, second: Bundle) -> dict[str, bool]:
    """Which parts of a bundle differ, in the order in which a training makes them."""
    one, other = first.detector, second.detector
    return {
        "nights": one.get("nights") != other.get("nights"),
        "settings": one.get("settings") != other.get("settings"),
        "features": one.get("features") != other.get("features"),
        "transform": first.transform.to_json() != second.transform.to_json(),
        "network": first.onnx != second.onnx or _rival(first) != _rival(second),
        "score map": one.get("score_map") != other.get("score_map"),
        "calibration": not np.array_equal(first.calibration, second.calibration),
        "alert budget": one.get("alerts") != other.get("alerts"),
        "threshold": first.threshold != second.threshold,
    }


def _rival(bundle: Bundle) -> list[Any]:
    """What a classical detector has learnt; nothing of a network."""
    return [] if bundle.rival is None else [array.tolist() for array in bundle.rival.arrays().values()]


def _rows(bundle: Bundle) -> dict[str, Any]:
    """How many rows made it, by what they were for."""
    summary = bundle.detector.get("summary", {})
    told = {name: summary.get(f"rows_{name}") for name in ("fit", "stop", "calibrate")}
    return {**told, "calibrate": len(bundle.calibration)}


def _plain(bundle: Bundle) -> dict[str, Any]:
    settings = bundle.detector.get("settings", {})
    alerts = {f"alerts.{name}": value for name, value in bundle.detector.get("alerts", {}).items()}
    made = {name: bundle.detector.get(name) for name in ("family", "seed", "in_sample", "threshold_rule")}
    return {**settings, **made, **alerts}


def _changed(first: Mapping[str, Any], second: Mapping[str, Any]) -> dict[str, list[Any]]:
    names = sorted({*first, *second})
    return {name: [first.get(name), second.get(name)] for name in names if first.get(name) != second.get(name)}


def _features(first: Bundle, second: Bundle) -> dict[str, Any]:
    one, other = ({encoder.column: encoder for encoder in b.transform.encoders} for b in (first, second))
    both = [name for name in one if name in other]
    return {
        "only_first": [name for name in one if name not in other],
        "only_second": [name for name in other if name not in one],
        "encoded_differently": [name for name in both if type(one[name]) is not type(other[name])],
        "width": [first.transform.width, second.transform.width],
    }


def _nights(first: Bundle, second: Bundle) -> dict[str, list[str]]:
    one, other = (list(b.detector.get("nights", [])) for b in (first, second))
    return {
        "only_first": [night for night in one if night not in other],
        "only_second": [night for night in other if night not in one],
        "both": [night for night in one if night in other],
    }


def _quantile(bundle: Bundle, share: float) -> float:
    return round(float(np.quantile(bundle.calibration, share)), 6)


def _scores(first: Bundle, second: Bundle, rows: pd.DataFrame | None) -> dict[str, Any]:
    """How the two rank the same rows, and which rows only one of them would show."""
    from models.scoring import Scorer

    if rows is None or len(rows) == 0:
        return {"rows": 0, "note": "there are no samples of validated nights to score"}
    try:
        one, other = (Scorer(bundle).score(rows, top=0) for bundle in (first, second))
    except SerenoError as error:
        return {"rows": 0, "note": f"the rows of today cannot be scored by both: {error.message}"}
    keys = rows["sereno_key"].to_numpy()
    both, either = int((one.is_alert & other.is_alert).sum()), int((one.is_alert | other.is_alert).sum())
    return {
        "rows": len(rows),
        "rank_correlation": rank_correlation(one.score, other.score),
        "alerts": [int(one.is_alert.sum()), int(other.is_alert.sum())],
        "alerts_of_both": both,
        "alerts_in_common": round(both / either, 6) if either else None,
        "alerts_of_first_only": [str(key) for key in keys[one.is_alert & ~other.is_alert][:SHOWN_ROWS]],
        "alerts_of_second_only": [str(key) for key in keys[other.is_alert & ~one.is_alert][:SHOWN_ROWS]],
    }
