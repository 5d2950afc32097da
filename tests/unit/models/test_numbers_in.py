from __future__ import annotations

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from models.numbers_in import read_numbers
from schemas.errors import UnreadableInput

PLAIN = np.array([[1.0, 0.0], [np.nan, 1.0], [3.5, 1.0]])
COLUMNS = {"a": [1.0, None, 3.5], "b": [False, True, True]}


@pytest.mark.parametrize(
    "rows",
    [
        pytest.param(pd.DataFrame(COLUMNS), id="pandas"),
        pytest.param(pd.DataFrame(COLUMNS).convert_dtypes(), id="pandas, nullable types"),
        pytest.param(pl.DataFrame(COLUMNS), id="polars"),
        pytest.param(pl.DataFrame(COLUMNS).lazy(), id="polars, lazy"),
        pytest.param(pa.table(COLUMNS), id="Arrow table"),
        pytest.param(pa.RecordBatch.from_pydict(COLUMNS), id="Arrow batch"),
    ],
)
def test_frames_and_tables_give_numbers_and_names(rows):
    numbers, names = read_numbers(rows)
    assert np.array_equal(numbers, PLAIN, equal_nan=True)
    assert names == ("a", "b")
    assert numbers.dtype == np.float64


@pytest.mark.parametrize(
    "rows", [PLAIN, PLAIN.astype(np.float32), [[1, 0], [None, 1], [3.5, 1]], PLAIN.astype(object), PLAIN.tolist()]
)
def test_arrays_and_lists_give_numbers_without_names(rows):
    numbers, names = read_numbers(rows)
    assert np.array_equal(numbers, PLAIN, equal_nan=True)
    assert names is None


def test_columns_are_taken_by_name_whatever_their_order():
    frame = pd.DataFrame({"b": [1, 0], "c": ["x", "y"], "a": [2, 3]})
    numbers, names = read_numbers(frame, ["a", "b"])
    assert numbers.tolist() == [[2.0, 1.0], [3.0, 0.0]]
    assert names == ("a", "b")


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        pytest.param(
            pd.DataFrame({"a": [1, 2], "b": ["x", "y"]}), "column 'b' holds no numbers: 'x' in row 1", id="text"
        ),
        pytest.param(
            pd.DataFrame({"a": [None, "7"]}), "column 'a' holds no numbers: '7' in row 2", id="text of digits"
        ),
        pytest.param(
            pd.DataFrame({"t": pd.to_datetime(["2026-01-01"])}), "column 't' holds no numbers: '2026-01-01", id="times"
        ),
        pytest.param(pl.DataFrame({"a": ["x"]}), "column 'a' holds no numbers", id="text in polars"),
        pytest.param(pa.table({"a": [[1, 2]]}), "column 'a' holds no numbers", id="lists in Arrow"),
        pytest.param([["a", "b"]], "no table of numbers: some are text", id="text in lists"),
        pytest.param([[1, "7"], [None, 2]], "no table of numbers: some are text", id="digits as text in lists"),
        pytest.param([[1, 2], [3]], "no table of numbers", id="ragged"),
        pytest.param(np.array([["2026-01-01"]], dtype="datetime64[D]"), "of type datetime64", id="times in an array"),
        pytest.param([1, 2, 3], "have 1 dimensions", id="one row"),
        pytest.param(np.zeros((2, 2, 2)), "have 3 dimensions", id="images"),
        pytest.param(pd.Series([1, 2]), "one column where rows are due", id="series"),
        pytest.param(pd.DataFrame([[1, 2]], columns=["a", "a"]), "stand twice: a", id="a name twice"),
        pytest.param(np.zeros((2, 1), dtype=complex), "of type complex", id="complex"),
    ],
)
def test_what_is_no_table_of_numbers_is_refused(rows, said):
    with pytest.raises(UnreadableInput, match=said) as refused:
        read_numbers(rows)
    assert refused.value.hint


def test_missing_columns_are_all_named():
    with pytest.raises(UnreadableInput, match="reads 3 columns, and these are missing: b, c"):
        read_numbers(pd.DataFrame({"a": [1]}), ["a", "b", "c"])
