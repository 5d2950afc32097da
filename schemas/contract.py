"""A dataset's contract as a Pandera schema, and all of its failures at once.

Types are not checked here: `tasks.coerce` reads loosely and marks what it could not read. Pandera is imported by the
functions, because only the workers that validate need it.
"""

from __future__ import annotations

import math
import os
import re
from collections.abc import Callable
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np

from schemas.features import ColumnType

if TYPE_CHECKING:
    import pandas as pd
    import pandera.pandas as pandera

    from schemas.dataset import Column, Dataset

DTYPES: dict[ColumnType, str] = {
    ColumnType.INTEGER: "Int64",
    ColumnType.NUMBER: "float64",
    ColumnType.BOOLEAN: "boolean",
    ColumnType.CATEGORY: "str",
    ColumnType.TEXT: "str",
    ColumnType.TIME: "datetime64[us, UTC]",
}
NULL = "null"
Fails = Callable[["pd.Series[Any]"], "pd.Series[bool]"]


@lru_cache(maxsize=32)
def _compiled(resolved: str) -> pandera.DataFrameSchema:
    from schemas.dataset import Dataset

    return compile_contract(Dataset.model_validate_json(resolved))


def contract_of(dataset: Dataset) -> pandera.DataFrameSchema:
    """`compile_contract`, kept for the next partition of the same dataset file."""
    return _compiled(dataset.model_dump_json())


def compile_contract(dataset: Dataset) -> pandera.DataFrameSchema:
    """Compile the contract to Pandera.

    A key column must have a value in each row, nullable or not: a row without a name can be neither found nor told
    from its twin.

    Args:
        dataset: A dataset file.

    Returns:
        A schema for frames whose columns have the types of `DTYPES`.
    """
    # Pandera switches this on when it is imported; Arrow would then drop the zone of every time that it is given.
    os.environ.setdefault("PYARROW_IGNORE_TIMEZONE", "")
    import pandera.pandas as pandera

    columns = {
        name: pandera.Column(
            DTYPES[column.type],
            checks=_checks(column),
            nullable=column.nullable and name not in dataset.key,
            required=True,
        )
        for name, column in dataset.columns.items()
    }
    return pandera.DataFrameSchema(columns, name=dataset.name)


def _checks(column: Column) -> list[pandera.Check]:
    import pandera.pandas as pandera

    checks = []
    if column.min is not None:
        checks.append(pandera.Check.ge(_bound(column, column.min, math.ceil), name="min", error="min"))
    if column.max is not None:
        checks.append(pandera.Check.le(_bound(column, column.max, math.floor), name="max", error="max"))
    if column.finite and column.type is ColumnType.NUMBER:
        checks.append(pandera.Check(_is_finite, name="finite", error="finite"))
    known = column.values
    if known is not None and column.unseen == "quarantine":
        checks.append(pandera.Check.isin(list(known), name="values", error="values"))
    if column.pattern is not None:
        checks.append(pandera.Check(_matches(column.pattern), name="pattern", error="pattern"))
    return checks


def _bound(column: Column, bound: float, whole: Callable[[float], int]) -> float | int:
    """Integers are compared with integers: as doubles, 2**53 and the number after it are one."""
    return whole(bound) if column.type is ColumnType.INTEGER and abs(bound) < 2**63 else bound


def _is_finite(values: pd.Series[float]) -> pd.Series[bool]:
    import pandas as pd

    finite: pd.Series[bool] = pd.Series(np.isfinite(values.to_numpy()), index=values.index, dtype="bool")
    return finite


def _matches(pattern: str) -> Fails:
    """Python's own regular expressions, each distinct text once: Arrow's engine knows no look-ahead."""
    compiled = re.compile(pattern)

    def matches(values: pd.Series[Any]) -> pd.Series[bool]:
        known = {text: compiled.fullmatch(text) is not None for text in values.unique()}
        found: pd.Series[bool] = values.map(known).astype(bool)
        return found

    return matches


def contract_failures(schema: pandera.DataFrameSchema, frame: pd.DataFrame) -> pd.DataFrame:
    """Every failure of every row.

    Args:
        schema: From `compile_contract`.
        frame: Typed rows with a RangeIndex.

    Returns:
        Columns `row` (position in `frame`), `column`, `rule` (null, min, max, finite, values, pattern); no repeats.
    """
    import pandas as pd
    from pandera.errors import SchemaErrors

    try:
        schema.validate(frame, lazy=True)
    except SchemaErrors as errors:
        cases = errors.failure_cases
        rules = cases["check"].astype("str").map(lambda check: NULL if check == "not_nullable" else check)
        failures = pd.DataFrame({"row": cases["index"], "column": cases["column"].astype("str"), "rule": rules})
        lost = failures["row"].isna()
        if lost.any():
            # A failure of no row is a mistake in how the frame was made, never a row to quarantine.
            raise AssertionError(f"contract not comparable: {cases[lost].head(5).to_dict('records')}") from None
        failures["row"] = failures["row"].astype("int64")
        return failures.drop_duplicates(ignore_index=True)
    return pd.DataFrame(
        {"row": pd.Series(dtype="int64"), "column": pd.Series(dtype="str"), "rule": pd.Series(dtype="str")}
    )
