"""A simulated week of network flows: ordinary nights, attacks at known rows, spoilt rows, one broken night."""

import gzip
import io
import json
from dataclasses import asdict, dataclass
from datetime import date, timedelta
from pathlib import Path

import numpy as np
import pandas as pd

from tasks.simulate_attacks import plant
from tasks.simulate_traffic import ordinary_flows
from tasks.simulate_truth import KindFound, Planted, found, zscore_ranking

__all__ = ["KindFound", "Planted", "SimulatedWeek", "found", "simulate_week", "zscore_ranking"]

CLEAN_NIGHTS = 3
"""Nights at the start without attacks and spoilt rows: what `init` looks at."""
PLANTED_PER_NIGHT = 12
TRUTH_FILE = "planted.json"


@dataclass(frozen=True)
class SimulatedWeek:
    """The files of the week and the truth about them, which no stage of a run may read."""

    files: dict[date, Path]
    planted: tuple[Planted, ...]
    spoilt: dict[date, int]
    """Rows of each accepted night that the contract must quarantine."""
    blocked: date
    """The night that the expectations must block."""


def simulate_week(
    folder: Path, *, first: date = date(2026, 3, 2), nights: int = 7, seed: int = 7, rows_per_night: int = 2500
) -> SimulatedWeek:
    """Write a week of flows, one compressed CSV a night, and the truth beside the folder.

    The first nights are clean, the last but one is broken, the others carry attacks and spoilt rows. The same arguments
    give the same bytes.

    Args:
        folder: Where `flows-YYYY-MM-DD.csv.gz` go; made where missing. The truth goes to its parent, as `planted.json`.
        first: The first night.
        nights: How many nights, at least 5.
        seed: Source of chance.
        rows_per_night: Usual number of flows a night; a night differs from it by a few per cent.

    Returns:
        The files, what was planted, how many rows were spoilt, and which night is broken.

    Raises:
        ValueError: Fewer than 5 nights or fewer than 500 rows a night.
    """
    if nights < CLEAN_NIGHTS + 2 or rows_per_night < 500:
        raise ValueError(f"a simulated week has at least {CLEAN_NIGHTS + 2} nights and 500 rows a night")
    folder.mkdir(parents=True, exist_ok=True)
    files: dict[date, Path] = {}
    planted: list[Planted] = []
    spoilt: dict[date, int] = {}
    for number in range(nights):
        night = first + timedelta(days=number)
        rng = np.random.default_rng([seed, number])
        frame = ordinary_flows(night, round(rows_per_night * rng.uniform(0.96, 1.04)), rng)
        spoilt[night] = 0
        if number == nights - 2:
            frame = _break(frame)
        elif number >= CLEAN_NIGHTS:
            frame, rows = _attack(frame, night, number, rng)
            planted += rows
            frame, spoilt[night] = _spoil(frame, {row.flow_id for row in rows}, rng)
        files[night] = _write(frame, folder / f"flows-{night}.csv.gz")
    week = SimulatedWeek(files, tuple(planted), spoilt, first + timedelta(days=nights - 2))
    _write_truth(week, folder.parent / TRUTH_FILE)
    return week


def _attack(
    frame: pd.DataFrame, night: date, number: int, rng: np.random.Generator
) -> tuple[pd.DataFrame, list[Planted]]:
    frame, kinds = plant(frame, PLANTED_PER_NIGHT, number * PLANTED_PER_NIGHT, rng)
    keys = frame["flow_id"].to_list()
    return frame, [Planted(night, keys[row], kind.name, kind.inside_range) for row, kind in sorted(kinds.items())]


def _break(frame: pd.DataFrame) -> pd.DataFrame:
    """Deliver a tenth of the night, with byte counters in another unit: each row alone is valid, the night is not."""
    kept = frame.head(len(frame) // 10)
    return kept.assign(src_bytes=kept["src_bytes"] * 1024, dst_bytes=kept["dst_bytes"] * 1024)


def _spoil(frame: pd.DataFrame, spare: set[str], rng: np.random.Generator) -> tuple[pd.DataFrame, int]:
    """Damage some rows, each in one way: text for a number, negative bytes, no protocol, or a repeated key."""
    # Every third row at most, so that the row before a repeated key is never damaged itself.
    keys = frame["flow_id"].to_list()
    candidates = [row for row in range(2, len(keys), 3) if spare.isdisjoint(keys[row - 1 : row + 1])]
    rows = rng.choice(candidates, size=14, replace=False)
    text, negative, missing, repeated = np.split(rows, [5, 8, 11])
    columns = {name: frame[name].to_numpy(dtype=object) for name in ("src_bytes", "dst_bytes", "proto", "flow_id")}
    columns["src_bytes"][text] = "n/a"
    columns["dst_bytes"][negative] = -1 - columns["dst_bytes"][negative]
    columns["proto"][missing] = None
    columns["flow_id"][repeated] = columns["flow_id"][repeated - 1]
    return frame.assign(**columns), len(rows)


def _write(frame: pd.DataFrame, path: Path) -> Path:
    # A fixed time and no name in the archive's header: the same flows give the same bytes.
    packed = io.BytesIO()
    with gzip.GzipFile(filename="", mode="wb", fileobj=packed, mtime=0, compresslevel=6) as archive:
        archive.write(frame.to_csv(index=False, lineterminator="\n").encode())
    path.write_bytes(packed.getvalue())
    return path


def _write_truth(week: SimulatedWeek, path: Path) -> None:
    truth = {
        "blocked": week.blocked.isoformat(),
        "spoilt": {night.isoformat(): rows for night, rows in week.spoilt.items()},
        "planted": [asdict(row) | {"night": row.night.isoformat()} for row in week.planted],
    }
    path.write_text(json.dumps(truth, indent=1) + "\n", encoding="utf-8")
