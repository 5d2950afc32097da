"""A dataset file: source, contract, expectations, features, detector, in one frozen model."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from datetime import date as Date
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, Field, PositiveInt, model_validator

from schemas.detector import DetectorSettings, Frozen
from schemas.expectation_rules import Expectation
from schemas.features import ALLOWED_KINDS, ColumnType, Feature, FeatureKind
from schemas.incidents import IncidentSettings
from schemas.reducer import ReducerSettings
from schemas.schedule import ScheduleSettings, known_timezone
from schemas.yaml_source import nearest, read_yaml, validate_model

NAME = r"^[a-z][a-z0-9_-]{0,63}$"
DATE_FIELD = re.compile(r"\{date(?::([^{}]*))?\}")
SYSTEM_COLUMNS = ("night", "sereno_file", "sereno_line", "sereno_key", "sereno_hash")
SCORE_COLUMNS = (
    *("entity", "event_time", "score", "p_value", "is_alert", "in_sample", "model_version", "contributions"),
    *("suppressed", "reducer_score"),
)


def _check_template(path: str) -> str:
    for found in DATE_FIELD.finditer(path):
        if found.group(1) == "":
            raise ValueError("`{date:}` has no form; write for example {date:%Y-%m-%d}")
    left = DATE_FIELD.sub("", path)
    if "{" in left or "}" in left:
        raise ValueError("only {date} and {date:FORM} may stand in braces, for example {date:%Y-%m-%d}")
    return path


Template = Annotated[str, Field(min_length=1), AfterValidator(_check_template)]


class Source(Frozen):
    """Where a night's files lie and how they are written.

    What is recorded here of a file's form is a default: compression, byte order mark, delimiter and encoding are looked
    at in each file again.
    """

    path: Template | tuple[Template, ...] = Field(
        description="Address or addresses; `{date:%Y-%m-%d}` stands for the logical date, `*` for any name. "
        "Relative ones start at the project folder."
    )
    format: Literal["delimited", "jsonl", "parquet"] = Field("delimited", description="Form of the files.")
    delimiter: str | None = Field(
        None, min_length=1, max_length=1, description="Field delimiter; found in each file where none is given."
    )
    encoding: str | None = Field(None, description="Text encoding; found in each file where none is given.")
    decimal: Literal[".", ","] = Field(".", description="Decimal mark of numbers.")
    thousands: Literal[",", ".", " ", "'"] | None = Field(None, description="Mark between groups of three digits.")
    header: bool = Field(True, description="Whether the first line names the columns; if not, `names` does.")
    names: tuple[str, ...] | None = Field(None, description="Column names of files without a header, in their order.")
    comment: str | None = Field(
        None, min_length=1, max_length=1, description="Lines that start with this mark are left out."
    )
    null_values: tuple[str, ...] = Field(
        ("", "NA", "N/A", "NaN", "nan", "null", "NULL", "None"), description="Texts that mean missing."
    )
    true_values: tuple[str, ...] = Field(
        ("true", "True", "TRUE", "t", "yes", "Y", "1"), description="Texts that mean true."
    )
    false_values: tuple[str, ...] = Field(
        ("false", "False", "FALSE", "f", "no", "N", "0"), description="Texts that mean false."
    )
    rename: dict[str, str] = Field(
        default_factory=dict,
        description="Columns whose name in the file is not the name used here: `name in file: name`.",
    )
    date_column: str | None = Field(
        None, description="A time column that says which night a row belongs to, where files hold many nights."
    )

    @property
    def paths(self) -> tuple[str, ...]:
        """The address templates."""
        return (self.path,) if isinstance(self.path, str) else self.path

    def addresses(self, date: Date) -> tuple[str, ...]:
        """The addresses for one logical date."""
        return tuple(DATE_FIELD.sub(lambda m: date.strftime(m.group(1) or "%Y-%m-%d"), p) for p in self.paths)


class Column(Frozen):
    """One column of the contract: what a value must be, and what the column is for."""

    type: ColumnType = Field(description="integer, number, boolean, category, text or time.")
    nullable: bool = Field(True, description="Whether a value may be missing.")
    min: float | None = Field(None, description="Smallest physical value; a row below it is quarantined.")
    max: float | None = Field(None, description="Largest physical value; a row above it is quarantined.")
    finite: bool = Field(True, description="Whether infinities are refused.")
    values: tuple[str, ...] | None = Field(None, description="Known categories.")
    unseen: Literal["accept", "quarantine"] = Field(
        "accept", description="What becomes of a row whose category is not among `values`."
    )
    pattern: str | None = Field(None, description="A regular expression that a text must match as a whole.")
    format: str | None = Field(
        None, description="Form of a time: iso8601, unix_s, unix_ms, unix_us, unix_ns or a strptime pattern."
    )
    feature: FeatureKind = Field(FeatureKind.AUTO, description="How the column enters the detector.")
    left_out: str | None = Field(
        None, description="Why the column is not a feature; the column is still checked and kept."
    )
    sensitive: bool = Field(False, description="Whether values are masked in report and mail.")

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.min is not None and self.max is not None and self.min > self.max:
            raise ValueError(f"min {self.min:g} is above max {self.max:g}")
        numeric = self.type in (ColumnType.INTEGER, ColumnType.NUMBER)
        for name, allowed in (("min", numeric), ("max", numeric), ("format", self.type is ColumnType.TIME)):
            if getattr(self, name) is not None and not allowed:
                raise ValueError(f"`{name}` does not go with type {self.type.value}")
        if self.values is not None and self.type not in (ColumnType.CATEGORY, ColumnType.TEXT):
            raise ValueError(f"`values` does not go with type {self.type.value}")
        if self.feature not in ALLOWED_KINDS[self.type]:
            allowed_kinds = ", ".join(kind.value for kind in ALLOWED_KINDS[self.type])
            raise ValueError(
                f"feature {self.feature.value} does not go with type {self.type.value}; allowed: {allowed_kinds}"
            )
        if self.pattern is not None:
            try:
                re.compile(self.pattern)
            except re.error as error:
                raise ValueError(f"`pattern` is not a regular expression: {error}") from None
        return self


class Dataset(Frozen):
    """What is watched: one YAML file, `datasets/NAME.yaml`."""

    name: str = Field(pattern=NAME, description="Name of the dataset; lower case letters, digits, `_` and `-`.")
    source: Source = Field(description="Where a night's files lie and how they are written.")
    key: tuple[str, ...] = Field(
        (), description="Columns that together name a row; none: rows are named by their content."
    )
    event_time: str | None = Field(None, description="The column that says when a row happened.")
    entity: str | None = Field(None, description="The column that says which machine or host a row is about.")
    timezone: str = Field(
        "UTC", description="IANA time zone in which times without one are read, and in which a night begins and ends."
    )
    strict: bool = Field(
        False, description="Whether a column that the contract does not name blocks the night instead of warning."
    )
    columns: dict[str, Column] = Field(min_length=1, description="The contract, column by column.")
    expectations: tuple[Expectation, ...] = Field((), description="What the whole batch must meet.")
    detector: DetectorSettings = Field(default_factory=DetectorSettings, description="Family, budgets, alert budget.")
    reducer: ReducerSettings = Field(
        default_factory=ReducerSettings, description="What becomes of alerts like labelled false alarms."
    )
    incidents: IncidentSettings = Field(
        default_factory=IncidentSettings, description="Which alerts are one incident, and when people hear of it."
    )
    schedule: ScheduleSettings | None = Field(
        None, description="When its nights are done by themselves; never where none is given."
    )
    data_docs: bool = Field(False, description="Whether Great Expectations' Data Docs are written beside the report.")
    max_quarantined: float = Field(
        0.5, gt=0, le=1, description="Share of quarantined rows above which the night is blocked."
    )
    partition_rows: PositiveInt = Field(100_000, description="Rows of one Dask partition.")

    @model_validator(mode="after")
    def _names_exist(self) -> Self:
        known = list(self.columns)
        for role, column in self._roles():
            if column not in self.columns:
                raise ValueError(
                    f"{role} names the column `{column}`, which the contract does not have{nearest(column, known)}"
                )
        for clock in (self.event_time, self.source.date_column):
            if clock and self.columns[clock].type is not ColumnType.TIME:
                raise ValueError(f"the column `{clock}` must have type time, not {self.columns[clock].type.value}")
        for column in known:
            lower = column.lower()
            if lower in SYSTEM_COLUMNS or (lower in SCORE_COLUMNS and column in self.key):
                raise ValueError(f"the column name `{column}` is Sereno's own; give it another one under source.rename")
        lowered: dict[str, str] = {}
        for column in known:
            other = lowered.setdefault(column.lower(), column)
            if other != column:
                raise ValueError(
                    f"the columns `{other}` and `{column}` differ only by case, which a lake table cannot hold; "
                    "give one another name under source.rename"
                )
        if not self.source.header and self.source.format == "delimited" and not self.source.names:
            raise ValueError("source.header is false: source.names must list the columns in their order")
        known_timezone(self.timezone)
        return self

    def _roles(self) -> Iterator[tuple[str, str]]:
        """Where the file names columns, and which ones."""
        yield from ((f"key[{i}]", name) for i, name in enumerate(self.key))
        roles = {"event_time": self.event_time, "entity": self.entity, "source.date_column": self.source.date_column}
        yield from ((role, name) for role, name in roles.items() if name)
        for i, expectation in enumerate(self.expectations):
            if name := getattr(expectation, "column", None):
                yield f"expectations[{i}].column", name
        for i, rule in enumerate(self.incidents.allow):
            yield from ((f"incidents.allow[{i}].column", name) for name in rule.column)
            yield from ((f"incidents.allow[{i}].values", name) for name in rule.values)

    @model_validator(mode="after")
    def _allowed_entities(self) -> Self:
        for i, rule in enumerate(self.incidents.allow):
            if rule.entity and self.entity is None:
                raise ValueError(f"incidents.allow[{i}].entity names entities, and the dataset has no `entity`")
        return self

    @cached_property
    def features(self) -> tuple[Feature, ...]:
        """The columns that the detector reads, in the contract's order."""
        own = {*self.key, self.entity}
        return tuple(
            Feature(name, column.type, column.feature, column.sensitive)
            for name, column in self.columns.items()
            if name not in own and column.left_out is None and self._enters(name, column)
        )

    def _enters(self, name: str, column: Column) -> bool:
        if column.feature is FeatureKind.NONE:
            return False
        is_clock = name in (self.event_time, self.source.date_column)
        return not (is_clock and column.feature is FeatureKind.AUTO)

    def resolved(self) -> dict[str, Any]:
        """Everything that decides a result, as plain JSON values with all defaults filled in."""
        values: dict[str, Any] = json.loads(self.model_dump_json())
        return values


def load_dataset(path: Path) -> Dataset:
    """Read `datasets/NAME.yaml`.

    Raises:
        ConfigError: With a line for each mistake.
    """
    source = read_yaml(path)
    dataset = validate_model(Dataset, source, "dataset file")
    if dataset.name != path.stem:
        from schemas.errors import ConfigError

        raise ConfigError(
            f"{path}, line {source.line(('name',))}: `name` is {dataset.name!r}, but the file is called {path.name}",
            hint=f"write `name: {path.stem}`, or call the file {dataset.name}.yaml",
        )
    return dataset
