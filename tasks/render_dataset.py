"""A proposed dataset file's text: a line and a reason for each decision."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from schemas.dataset import Column, Dataset, Source
from tasks import dataset_yaml as write

if TYPE_CHECKING:
    from schemas.expectation_rules import Expectation
    from tasks.profile import Profile
    from tasks.propose import Decision
    from tasks.propose_batch import Rule

SCHEMA_LINE = "# yaml-language-server: $schema={}"
SCHEMAS = ".schemas"


def render_dataset(
    dataset: Dataset, decisions: Mapping[str, Decision], rules: Sequence[Rule], looked: Profile, paths: Sequence[Path]
) -> str:
    """The dataset file's text."""
    lines = [
        SCHEMA_LINE.format(f"../{SCHEMAS}/dataset.schema.json"),
        write.comment(
            f"Derived from {looked.rows:,} rows of {len(looked.files)} files, {paths[0].name} to {paths[-1].name}; "
            "every line may be edited."
        ),
        *write.entry("name", dataset.name),
        *_render_source(dataset.source),
        *_render_roles(dataset),
        *write.section(
            "The contract; a row that breaks it is quarantined.",
            "type: integer, number, boolean, category, text or time.",
            "nullable: may it be missing? min, max: physical bounds only. unseen: accept or quarantine other `values`.",
            "feature: auto, signed_log, robust, quantile, one_hot, hash, boolean, cyclic or none.",
            "left_out: why a column is no feature; take the word away, and it is one.",
        ),
        "columns:",
    ]
    for name, decision in decisions.items():
        lines += write.entry(name, _column_values(decision.column), decision.why, indent=2)
    lines += write.section("What the whole batch must meet. policy: warn goes into the report, block holds the night.")
    lines += ["expectations:"] if rules else ["expectations: []"]
    for rule in rules:
        lines += write.item(_rule_values(rule.rule), rule.why)
    lines += write.section("The detector: how many alerts a person wants to see, and the nights that train it.")
    lines += ["detector:", *write.entry("alert_budget", dataset.detector.alert_budget, "alerts a night, about", 2)]
    lines += write.entry("window_nights", dataset.detector.window_nights, "accepted nights before tonight", 2)
    return "\n".join(lines) + "\n"


def _render_source(source: Source) -> list[str]:
    defaults = Source.model_validate({"path": "x"}).model_dump()
    values = write.without_defaults(
        source.model_dump(), {k: v for k, v in defaults.items() if k not in ("path", "format", "delimiter")}
    )
    why = {
        "path": "{date:FORM} is the logical date, * any name; relative ones start at the project folder",
        "format": "delimited, jsonl or parquet",
        "delimiter": "a default: it is found in each file again",
        "encoding": "where a file is not UTF-8",
        "date_column": "says which night a row belongs to",
        "null_values": "texts that mean missing",
        "rename": "name in file: name here",
    }
    lines = ["", "source:"]
    for key, value in values.items():
        if value is not None:
            lines += write.entry(key, value, why.get(key, ""), indent=2)
    return lines


def _render_roles(dataset: Dataset) -> list[str]:
    lines = [""]
    lines += write.entry(
        "key", list(dataset.key), "columns that name a row" if dataset.key else "none: rows are named by their content"
    )
    lines += write.entry("event_time", dataset.event_time, "when a row happened")
    lines += write.entry("entity", dataset.entity, "which machine or host a row is about")
    lines += write.entry("timezone", dataset.timezone, "of times without one; a night begins and ends in it")
    lines += write.entry("strict", dataset.strict, "true: a column that the contract does not name holds the night")
    return lines


def _column_values(column: Column) -> dict[str, Any]:
    values: dict[str, Any] = json.loads(column.model_dump_json())
    defaults = {name: field.default for name, field in Column.model_fields.items() if not field.is_required()}
    defaults["feature"] = "auto"
    shown = write.without_defaults(values, defaults)
    if column.values is not None:
        shown["unseen"] = column.unseen
    return shown


def _rule_values(rule: Expectation) -> dict[str, Any]:
    values: dict[str, Any] = json.loads(rule.model_dump_json())
    order = ["expect", *(key for key in values if key not in ("expect", "policy")), "policy"]
    return {key: values[key] for key in order}
