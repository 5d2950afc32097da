"""The contract as a Pandera schema: every rule, every failure, and nothing else."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from schemas.contract import DTYPES, compile_contract, contract_failures, contract_of
from schemas.dataset import Dataset
from schemas.features import ColumnType


def made(columns, **more):
    return Dataset.model_validate({"name": "d", "source": {"path": "a.csv"}, "columns": columns, **more})


def failures(dataset, **values):
    frame = pd.DataFrame(
        {name: pd.Series(values[name], dtype=DTYPES[column.type]) for name, column in dataset.columns.items()}
    )
    found = contract_failures(compile_contract(dataset), frame)
    assert list(found.columns) == ["row", "column", "rule"]
    return sorted(found.itertuples(index=False, name=None))


@pytest.mark.parametrize(
    ("column", "values", "expected"),
    [
        ({"type": "number", "min": 0}, [0.0, -1.0, None], [(1, "min")]),
        ({"type": "number", "max": 10}, [10.0, 10.5], [(1, "max")]),
        ({"type": "integer", "min": 0, "max": 2**62}, [0, -1, 2**63 - 1], [(1, "min"), (2, "max")]),
        ({"type": "number"}, [1.0, np.inf, -np.inf], [(1, "finite"), (2, "finite")]),
        ({"type": "number", "finite": False}, [np.inf], []),
        ({"type": "number", "max": 5}, [np.inf], [(0, "finite"), (0, "max")]),
        ({"type": "integer", "nullable": False}, [1, None], [(1, "null")]),
        ({"type": "text", "nullable": False}, ["a", None], [(1, "null")]),
        ({"type": "time", "nullable": False}, [None], [(0, "null")]),
        ({"type": "boolean", "nullable": False}, [True, None], [(1, "null")]),
        ({"type": "category", "values": ["a"], "unseen": "quarantine"}, ["a", "b", None], [(1, "values")]),
        ({"type": "category", "values": ["a"]}, ["b"], []),
        ({"type": "text", "pattern": "a+"}, ["aa", "ab", "baa", None], [(1, "pattern"), (2, "pattern")]),
        ({"type": "text", "pattern": r"(?!x)\w+"}, ["ya", "xa", "a\n"], [(1, "pattern"), (2, "pattern")]),
    ],
)
def test_each_rule(column, values, expected):
    assert failures(made({"c": column}), c=values) == [(row, "c", rule) for row, rule in expected]


def test_all_failures_of_all_columns_come_at_once():
    dataset = made({"a": {"type": "number", "min": 0}, "b": {"type": "integer", "nullable": False, "max": 3}})
    assert failures(dataset, a=[-1.0, -2.0, 1.0], b=[None, 9, 1]) == [
        (0, "a", "min"),
        (0, "b", "null"),
        (1, "a", "min"),
        (1, "b", "max"),
    ]


def test_a_key_must_have_a_value_even_where_the_column_may_be_missing():
    dataset = made({"id": {"type": "integer"}, "x": {"type": "integer"}}, key=["id"])
    assert failures(dataset, id=[1, None], x=[None, None]) == [(1, "id", "null")]


def test_rows_that_meet_the_contract_and_no_rows_fail_nothing():
    dataset = made({"a": {"type": "number", "min": 0}, "t": {"type": "text", "pattern": "x"}})
    assert failures(dataset, a=[1.0], t=["x"]) == []
    assert failures(dataset, a=[], t=[]) == []


def test_a_large_integer_keeps_its_last_digits():
    dataset = made({"a": {"type": "integer", "max": 2**53}})
    assert failures(dataset, a=[2**53, 2**53 + 1]) == [(1, "a", "max")]


def test_the_compiled_contract_is_kept_for_the_next_partition():
    dataset = made({"a": {"type": "number"}})
    assert contract_of(dataset) is contract_of(made({"a": {"type": "number"}}))
    assert contract_of(dataset) is not contract_of(made({"a": {"type": "number", "min": 1}}))


def test_every_type_of_the_dataset_file_has_a_pandas_type():
    assert set(DTYPES) == set(ColumnType)


def test_pandera_does_not_make_arrow_forget_time_zones(make_dataset):
    import subprocess
    import sys

    code = (
        "import os; os.environ.pop('PYARROW_IGNORE_TIMEZONE', None)\n"
        "from datetime import datetime, timedelta, timezone\n"
        "from pathlib import Path\n"
        "import pyarrow as pa\n"
        "from schemas.contract import contract_of\n"
        "from schemas.dataset import Dataset\n"
        f"contract_of(Dataset.model_validate_json({make_dataset().model_dump_json()!r}))\n"
        "at = datetime(2026, 7, 1, 12, tzinfo=timezone(timedelta(hours=2)))\n"
        "print(pa.scalar(at, pa.timestamp('us', tz='UTC')).as_py().hour)\n"
    )
    done = subprocess.run([sys.executable, "-P", "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "10"
