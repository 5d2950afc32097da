"""Rows of numbers from whatever a person has them in: numpy, pandas, polars, Arrow, lists."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from schemas.errors import UnreadableInput, listed

Matrix = np.ndarray[Any, np.dtype[np.float64]]

WHERE_TEXT_GOES = "encode it first (sklearn's OneHotEncoder), or let Sereno do it: sereno init DIR --from FILE"


def read_numbers(rows: Any, names: Sequence[str] | None = None) -> tuple[Matrix, tuple[str, ...] | None]:
    """Read rows.

    Args:
        rows: [rows, width]: a numpy array, a pandas or polars frame, an Arrow table or batch, or a list of lists.
            Missing values (NaN, None, null) stay missing, as NaN.
        names: Columns to take from a frame or table, by name; what has no names is taken as it stands.

    Returns:
        float64 [rows, width], and the columns' names where there are some.

    Raises:
        UnreadableInput: When it is no table, a column is missing, or a value is no number.
    """
    table = _as_table(rows)
    if table is None:
        return _of_array(rows), None
    found = [str(name) for name in table]
    twice = sorted({name for name in found if found.count(name) > 1})
    if twice:
        raise UnreadableInput(f"columns that stand twice: {listed(twice)}", hint="give each column a name of its own")
    if names is not None:
        missing = [name for name in names if name not in table]
        if missing:
            raise UnreadableInput(
                f"the autoencoder reads {len(names)} columns, and these are missing: {listed(missing)}",
                hint="give the columns that it was fitted on; their order does not matter",
            )
        found = list(names)
    columns = [_of_column(name, table[name]) for name in found]
    return (np.column_stack(columns) if columns else np.empty((len(rows), 0))), tuple(found)


def _as_table(rows: Any) -> dict[str, Any] | None:
    """Names to columns, each something that pandas takes; None for what has no names."""
    if isinstance(rows, pd.DataFrame):
        names = [str(name) for name in rows.columns]
        if len(set(names)) < len(names):
            twice = sorted({name for name in names if names.count(name) > 1})
            raise UnreadableInput(
                f"columns that stand twice: {listed(twice)}", hint="give each column a name of its own"
            )
        return {name: rows.iloc[:, at] for at, name in enumerate(names)}
    module = type(rows).__module__.partition(".")[0]
    if module == "polars":
        if hasattr(rows, "collect"):
            rows = rows.collect()
        return {name: rows[name].to_pandas() for name in rows.columns}
    if module == "pyarrow" and hasattr(rows, "column_names"):
        return {name: rows.column(name).to_pandas() for name in rows.column_names}
    if isinstance(rows, pd.Series):
        raise UnreadableInput("one column where rows are due", hint="give a frame: series.to_frame()")
    return None


def _of_array(rows: Any) -> Matrix:
    try:
        array = np.asarray(rows)
        if array.dtype.kind not in "biuf":
            array = _as_numbers(array)
    except (ValueError, TypeError) as error:
        raise UnreadableInput(f"the rows are no table of numbers: {error}", hint=WHERE_TEXT_GOES) from None
    if array.ndim != 2:
        raise UnreadableInput(
            f"the rows have {array.ndim} dimensions, and must have 2: [rows, width]",
            hint="for one row: array.reshape(1, -1); for images or sequences: array.reshape(len(array), -1)",
        )
    return array.astype(np.float64)


def _as_numbers(array: np.ndarray[Any, Any]) -> Matrix:
    """Objects as floats, None as NaN."""
    if array.dtype.kind != "O" or any(isinstance(each, str) for each in array.flat):
        raise ValueError("some are text" if array.dtype.kind in "OUS" else f"they are of type {array.dtype}")
    missing = pd.isna(array)
    numbers: Matrix = np.where(missing, np.nan, array).astype(np.float64)
    return numbers


def _of_column(name: str, values: Any) -> Matrix:
    series = pd.Series(values)
    if pd.api.types.is_bool_dtype(series.dtype) or pd.api.types.is_numeric_dtype(series.dtype):
        return series.to_numpy(dtype=np.float64, na_value=np.nan)
    if series.isna().all():
        return np.full(len(series), np.nan)
    if series.dtype == object and not any(isinstance(each, str) for each in series):
        try:
            return series.to_numpy(dtype=np.float64, na_value=np.nan)
        except (ValueError, TypeError):
            pass  # the error below says what stands there
    at = int(np.flatnonzero(series.notna().to_numpy())[0])
    raise UnreadableInput(
        f"column {name!r} holds no numbers: {str(series.iloc[at])[:40]!r} in row {at + 1}", hint=WHERE_TEXT_GOES
    )
