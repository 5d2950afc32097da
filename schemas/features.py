"""What a column is to the detector, and how it becomes numbers.

The words of the dataset file; the arithmetic is in `models.transform`.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class ColumnType(StrEnum):
    """Types that a contract knows."""

    INTEGER = "integer"
    NUMBER = "number"
    BOOLEAN = "boolean"
    CATEGORY = "category"
    TEXT = "text"
    TIME = "time"


class FeatureKind(StrEnum):
    """How a column enters the detector."""

    AUTO = "auto"  # chosen from the type and the training sample
    SIGNED_LOG = "signed_log"  # sign(x) log(1 + |x|), then robust scale
    ROBUST = "robust"  # median and quartile range
    QUANTILE = "quantile"  # rank among the training sample, as a normal deviate
    ONE_HOT = "one_hot"  # a column a frequent value, one for rare, one for unseen
    HASH = "hash"  # a bounded number of buckets for many-valued categories
    BOOLEAN = "boolean"
    CYCLIC = "cyclic"  # time of day and of week on a circle
    NONE = "none"


ALLOWED_KINDS: dict[ColumnType, tuple[FeatureKind, ...]] = {
    ColumnType.INTEGER: (
        FeatureKind.AUTO,
        FeatureKind.SIGNED_LOG,
        FeatureKind.ROBUST,
        FeatureKind.QUANTILE,
        FeatureKind.ONE_HOT,
        FeatureKind.HASH,
        FeatureKind.NONE,
    ),
    ColumnType.NUMBER: (
        FeatureKind.AUTO,
        FeatureKind.SIGNED_LOG,
        FeatureKind.ROBUST,
        FeatureKind.QUANTILE,
        FeatureKind.NONE,
    ),
    ColumnType.BOOLEAN: (FeatureKind.AUTO, FeatureKind.BOOLEAN, FeatureKind.NONE),
    ColumnType.CATEGORY: (FeatureKind.AUTO, FeatureKind.ONE_HOT, FeatureKind.HASH, FeatureKind.NONE),
    ColumnType.TEXT: (FeatureKind.AUTO, FeatureKind.ONE_HOT, FeatureKind.HASH, FeatureKind.NONE),
    ColumnType.TIME: (FeatureKind.AUTO, FeatureKind.CYCLIC, FeatureKind.NONE),
}


@dataclass(frozen=True)
class Feature:
    """One column that the detector reads.

    Args:
        column: Its name in the accepted table.
        type: Its type in the contract.
        kind: How it becomes numbers.
        sensitive: Whether its values are masked in report and mail.
    """

    column: str
    type: ColumnType
    kind: FeatureKind = FeatureKind.AUTO
    sensitive: bool = False
