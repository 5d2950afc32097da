"""Arrow schemas of the lake's tables, derived from a dataset file.

| table | a row is |
|---|---|
| accepted | a row that met the contract: the contract's columns, then our own |
| quarantined | one failure of one row: key, file, line, column, rule, value |
| scores | an accepted row's score: key columns, entity, event time, score, p-value, alert, version, contributions |
| samples | the accepted rows with the smallest key hash, same columns as accepted |
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from schemas.features import ColumnType

if TYPE_CHECKING:
    import pyarrow as pa

    from schemas.dataset import Dataset

TABLES = ("accepted", "quarantined", "scores", "samples")


def arrow_type(kind: ColumnType) -> pa.DataType:
    """The Arrow type that a column of the contract is stored in."""
    import pyarrow as pa

    return {
        ColumnType.INTEGER: pa.int64(),
        ColumnType.NUMBER: pa.float64(),
        ColumnType.BOOLEAN: pa.bool_(),
        ColumnType.CATEGORY: pa.string(),
        ColumnType.TEXT: pa.string(),
        ColumnType.TIME: pa.timestamp("us", tz="UTC"),
    }[kind]


def accepted_schema(dataset: Dataset) -> pa.Schema:
    """Columns of `accepted` and `samples`, without the partition column `night`."""
    import pyarrow as pa

    fields = [pa.field(name, arrow_type(column.type)) for name, column in dataset.columns.items()]
    own = [
        pa.field("sereno_file", pa.string()),
        pa.field("sereno_line", pa.int64()),
        pa.field("sereno_key", pa.string()),
        pa.field("sereno_hash", pa.int64()),
    ]
    return pa.schema(fields + own)


def quarantined_schema() -> pa.Schema:
    """Columns of `quarantined`: one row a failure.

    `raw` holds the whole row as JSON, bounded, so that it can be released.
    """
    import pyarrow as pa

    return pa.schema(
        [
            pa.field("sereno_key", pa.string()),
            pa.field("sereno_file", pa.string()),
            pa.field("sereno_line", pa.int64()),
            pa.field("column", pa.string()),
            pa.field("rule", pa.string()),
            pa.field("value", pa.string()),
            pa.field("raw", pa.string()),
        ]
    )


def contribution_type() -> pa.DataType:
    """The type of a row's contributions, largest share first."""
    import pyarrow as pa

    return pa.list_(
        pa.struct(
            [
                pa.field("column", pa.string()),
                pa.field("share", pa.float64()),
                pa.field("actual", pa.string()),
                pa.field("expected", pa.string()),
            ]
        )
    )


def scores_schema(dataset: Dataset) -> pa.Schema:
    """Columns of `scores`, without the partition column `night`.

    Key columns keep their names and types; a dataset without a key has `sereno_key` only.
    """
    import pyarrow as pa

    fields = [pa.field(name, arrow_type(dataset.columns[name].type)) for name in dataset.key]
    if dataset.entity is not None:
        fields.append(pa.field("entity", pa.string()))
    if dataset.event_time is not None:
        fields.append(pa.field("event_time", arrow_type(ColumnType.TIME)))
    return pa.schema(
        [
            *fields,
            pa.field("sereno_key", pa.string()),
            pa.field("sereno_file", pa.string()),
            pa.field("sereno_line", pa.int64()),
            pa.field("score", pa.float64()),
            pa.field("p_value", pa.float64()),
            pa.field("is_alert", pa.bool_()),
            pa.field("in_sample", pa.bool_()),
            pa.field("model_version", pa.string()),
            pa.field("contributions", contribution_type()),
            # Null in rows that no second stage judged, and in nights of releases that had none.
            pa.field("suppressed", pa.bool_()),
            pa.field("reducer_score", pa.float64()),
        ]
    )
