"""Usual rows of many kinds, enough of each to learn from, to calibrate and to ask about."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from project_setup import shared_data
from simulated_rows import simulated_rows
from tabular_sets import names

if TYPE_CHECKING:
    import pandas as pd

Numbers = np.ndarray[Any, np.dtype[np.float64]]

NSL_LABEL, NSL_DIFFICULTY = 41, 42
WIDTH = 20


def normal_rows(count: int) -> Iterator[tuple[str, Numbers]]:
    """Every source that has so many: its name and its rows; simulated ones where none is there."""
    folder = shared_data()
    found = False
    for name, read in (("UNSW-NB15", unsw_rows), ("NSL-KDD", nsl_rows)):
        rows = read(folder)
        if rows is not None and len(rows) >= count:
            found = True
            yield name, rows
    for name in names(folder / "adbench"):
        with np.load(folder / "adbench" / f"{name}.npz", allow_pickle=False) as stored:
            normal = stored["y"].ravel() == 0
            if normal.sum() >= count:
                found = True
                yield name.partition("_")[2], stored["X"][normal].astype(np.float64)
    if not found:
        yield "simulated", simulated_rows(count, WIDTH).astype(np.float64)


def unsw_rows(folder: Path) -> Numbers | None:
    """The capture's normal rows, categories as yes or no."""
    frame = frame_in(folder / "unsw_nb15" / "UNSW_NB15_training-set.zip", "UNSW_NB15_training-set.csv", header=0)
    return None if frame is None else numbers(frame[frame["label"] == 0].drop(columns=["id", "label", "attack_cat"]))


def nsl_rows(folder: Path) -> Numbers | None:
    """Likewise, of the file that trains."""
    frame = frame_in(folder / "nsl_kdd" / "NSL_KDD.zip", "KDDTrain+.txt", header=None)
    if frame is None:
        return None
    return numbers(frame[frame[NSL_LABEL] == "normal"].drop(columns=[NSL_LABEL, NSL_DIFFICULTY]))


def frame_in(archive: Path, name: str, header: int | None) -> pd.DataFrame | None:
    """A table in an archive, where it is there."""
    import pandas as pd

    if not archive.exists():
        return None
    with zipfile.ZipFile(archive) as files, files.open(name) as table:
        return pd.read_csv(table, header=header, encoding="utf-8-sig")


def numbers(frame: pd.DataFrame) -> Numbers:
    """A table as numbers, each category a column."""
    import pandas as pd

    return pd.get_dummies(frame).to_numpy(dtype=np.float64)
