"""A dataset's expectations as a Great Expectations suite.

Great Expectations takes seconds to import: nothing here imports it before it is asked to compile. Only expectations of
its own core may be named, and none that evaluates text as code.
"""

from __future__ import annotations

import importlib
import json
import logging
import os
import re
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from schemas.errors import ConfigError
from schemas.expectation_rules import Core, Expectation, Freshness, KnownValues, Median, Nulls, Volume
from schemas.yaml_source import nearest

if TYPE_CHECKING:
    from great_expectations import ExpectationSuite
    from great_expectations.expectations.expectation import Expectation as CoreExpectation

    from schemas.dataset import Dataset

Frame = Literal["read", "accepted"]
# A share such as 1 - 0.7 is 0.30000000000000004 as a double: more than 3 of 10 rows.
DIGITS = 12
EVALUATED = ("row_condition", "condition_parser", "query", "unexpected_rows_query", "comparison_query")


@dataclass(frozen=True)
class Compiled:
    """One rule of the dataset file, ready for Great Expectations.

    Args:
        place: Its place among `dataset.expectations`.
        frame: What it looks at: the rows read (of which only the number counts) or the accepted rows.
        name: Registered name of the expectation.
        arguments: Its arguments.
    """

    place: int
    frame: Frame
    name: str
    arguments: dict[str, Any]


def freshness_column(column: str) -> str:
    """Name of the derived column: hours from the start of the logical date."""
    return f"hours into the date: {column}"


def volume_band(rule: Volume, usual_rows: int | None) -> tuple[int, int, int]:
    """Usual, smallest and largest number of rows; nights without a row say nothing of what is usual."""
    usual = usual_rows or rule.usual
    return usual, _whole(usual * rule.between[0], up=True), _whole(usual * rule.between[1], up=False)


def _whole(rows: float, *, up: bool) -> int:
    rounded = round(rows, 6)
    down = int(rounded // 1)
    return down + 1 if up and rounded > down else down


def compile_rules(dataset: Dataset, usual_rows: int | None, hours: float) -> tuple[Compiled, ...]:
    """Compile each rule.

    Args:
        dataset: A dataset file.
        usual_rows: Rows of a usual night; None while no nights are recorded.
        hours: Length of the logical date in its time zone (23 to 25).
    """
    return tuple(
        Compiled(place, *_compiled(rule, dataset, usual_rows, hours)) for place, rule in enumerate(dataset.expectations)
    )


def _compiled(
    rule: Expectation, dataset: Dataset, usual_rows: int | None, hours: float
) -> tuple[Frame, str, dict[str, Any]]:
    match rule:
        case Volume():
            _, least, most = volume_band(rule, usual_rows)
            return "read", "expect_table_row_count_to_be_between", {"min_value": least, "max_value": most}
        case Nulls():
            mostly = round(1 - rule.at_most, DIGITS)
            return "accepted", "expect_column_values_to_not_be_null", {"column": rule.column, "mostly": mostly}
        case Median():
            band = {"min_value": rule.between[0], "max_value": rule.between[1]}
            return "accepted", "expect_column_median_to_be_between", {"column": rule.column, **band}
        case KnownValues():
            known = list(dataset.columns[rule.column].values or ())
            arguments = {"column": rule.column, "value_set": known, "mostly": rule.at_least}
            return "accepted", "expect_column_values_to_be_in_set", arguments
        case Freshness():
            band = {"min_value": -rule.slack_hours, "max_value": hours + rule.slack_hours, "strict_max": True}
            arguments = {"column": freshness_column(rule.column), **band, "mostly": rule.at_least}
            return "accepted", "expect_column_values_to_be_between", arguments
        case Core():
            return "accepted", rule.expectation, dict(rule.arguments)


def needed_columns(dataset: Dataset) -> list[str]:
    """Columns of the contract that some expectation looks at, in the contract's order."""
    wanted: set[str] = set()
    for rule in dataset.expectations:
        if isinstance(rule, Core):
            about_table = "_table_column" in rule.expectation
            wanted |= set(dataset.columns) if about_table else {*_words(rule.arguments)} & set(dataset.columns)
        elif not isinstance(rule, Volume):
            wanted.add(rule.column)
    return [name for name in dataset.columns if name in wanted]


def _words(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for key, inner in value.items():
            yield from (key, *_words(inner))
    elif isinstance(value, list | tuple):
        for inner in value:
            yield from _words(inner)


def import_great_expectations() -> None:
    """Import it once, quietly; safe to call early and from a thread, so that its seconds overlap with other work."""
    os.environ.setdefault("GX_ANALYTICS_ENABLED", "false")
    # It imports `sre_constants`, which Python has deprecated. No `catch_warnings`: that is not safe in threads.
    warnings.filterwarnings("ignore", category=DeprecationWarning, module=r"great_expectations\b")
    importlib.import_module("great_expectations.expectations")
    logging.getLogger("great_expectations").setLevel(logging.ERROR)


def core_names() -> dict[str, type[CoreExpectation]]:
    """Registered names of Great Expectations' core that may stand in a dataset file, with their classes."""
    import_great_expectations()
    import great_expectations.expectations as core
    from great_expectations.expectations.expectation import Expectation as CoreExpectation

    found = {}
    for word in dir(core):
        kind = getattr(core, word)
        if (
            re.match(r"Expect[A-Z]", word)
            and isinstance(kind, type)
            and issubclass(kind, CoreExpectation)
            and "Query" not in word
        ):
            found[str(kind.expectation_type)] = kind
    return found


def compile_suite(name: str, rules: Sequence[Compiled]) -> ExpectationSuite:
    """A suite in which each expectation carries its rule's place as `meta.place`.

    Raises:
        ConfigError: An expectation that is not of the core, evaluates text, or does not take its arguments.
    """
    known = core_names()
    from great_expectations import ExpectationSuite

    return ExpectationSuite(name=name, expectations=[_expectation(rule, known) for rule in rules])


def _expectation(rule: Compiled, known: dict[str, type[CoreExpectation]]) -> CoreExpectation:
    where = f"expectations[{rule.place}]"
    kind = known.get(rule.name)
    if kind is None:
        raise ConfigError(
            f"{where}: `{rule.name}` is not an expectation of Great Expectations' core{nearest(rule.name, known)}",
            hint="only the core's own expectations may be named: https://greatexpectations.io/expectations",
        )
    for word in EVALUATED:
        if word in rule.arguments:
            raise ConfigError(f"{where}: `{word}` would be evaluated as code and is not allowed")
    try:
        return kind(**rule.arguments, meta={"place": rule.place})
    except (TypeError, ValueError) as error:
        given = json.dumps(rule.arguments, default=str)[:200]
        raise ConfigError(f"{where}: {rule.name} does not take {given}: {_first_lines(error)}") from None


def _first_lines(error: Exception) -> str:
    return "; ".join(line.strip() for line in str(error).splitlines()[1:4]) or str(error)
