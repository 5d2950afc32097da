"""The expectations on a whole batch, run by Great Expectations (pandas engine, nothing kept, nothing sent)."""

from __future__ import annotations

import threading
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date as Date
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

from schemas.expectation_rules import Freshness
from schemas.expectations import (
    Compiled,
    Frame,
    compile_rules,
    compile_suite,
    freshness_column,
    import_great_expectations,
    needed_columns,
)
from schemas.features import ColumnType
from schemas.results import ExpectationOutcome
from tasks.expectation_words import columns_of, outcome, untold

if TYPE_CHECKING:
    import pandas as pd
    from great_expectations.core import ExpectationSuiteValidationResult, ExpectationValidationResult

    from schemas.dataset import Dataset

HOUR = 3_600_000_000  # microseconds


def start_import() -> threading.Thread:
    """Begin to import Great Expectations beside other work in this process."""
    thread = threading.Thread(target=import_great_expectations, name="import-great-expectations", daemon=True)
    thread.start()
    return thread


@dataclass(frozen=True)
class Day:
    """A logical date in its time zone: where it begins (microseconds in UTC) and how many hours it has (23 to 25)."""

    start: int
    hours: float

    @classmethod
    def of(cls, date: Date, timezone: str) -> Day:
        """The date in an IANA zone."""
        zone = ZoneInfo(timezone)
        start, end = (
            datetime(day.year, day.month, day.day, tzinfo=zone).timestamp() for day in (date, date + timedelta(days=1))
        )
        return cls(round(start * 1_000_000), (end - start) / 3600)


def check_batch(
    dataset: Dataset,
    date: Date,
    accepted: Sequence[Path],
    rows_read: int,
    usual_rows: int | None = None,
    data_docs: Path | None = None,
) -> tuple[ExpectationOutcome, ...]:
    """Run the dataset's expectations on one batch.

    Only the columns that they name are read.

    Args:
        dataset: A dataset file.
        date: The logical date.
        accepted: Parquet parts of the accepted rows.
        rows_read: Rows read, which the volume counts.
        usual_rows: Rows of a usual night; None while no nights are recorded.
        data_docs: A folder for Great Expectations' page of this batch; None for no page.

    Returns:
        One outcome a rule: failures that block first, then those that warn, then what held, each in the file's order.

    Raises:
        ConfigError: A `core` rule that names no expectation of the core, or does not take its arguments.
    """
    if not dataset.expectations:
        return ()
    import_great_expectations()
    day = Day.of(date, dataset.timezone)
    rules = compile_rules(dataset, usual_rows, day.hours)
    frames: dict[Frame, pd.DataFrame] = {
        "accepted": batch_frame(dataset, day, accepted),
        "read": _counted_rows(rows_read),
    }
    results = _run(rules, frames, dataset)
    if data_docs is not None:
        _write_page(results, data_docs)
    rows = len(frames["accepted"])
    found = {_place(one): one for result in results for one in result.results}
    outcomes = [outcome(dataset.expectations[c.place], found[c.place], c, usual_rows, rows, date) for c in rules]
    hidden = {name for name, column in dataset.columns.items() if column.sensitive}
    told = [
        untold(rule, one) if hidden.intersection(columns_of(rule)) else one
        for rule, one in ((dataset.expectations[c.place], one) for c, one in zip(rules, outcomes, strict=True))
    ]
    return tuple(sorted(told, key=lambda o: (o.success, o.policy != "block")))


def _place(result: ExpectationValidationResult) -> int:
    meta = result.expectation_config.meta if result.expectation_config else None
    return int((meta or {})["place"])


def _counted_rows(rows: int) -> pd.DataFrame:
    """A frame of so many rows and no columns: only its length is looked at."""
    import pandas as pd

    return pd.DataFrame(index=pd.RangeIndex(rows))


def batch_frame(dataset: Dataset, day: Day, accepted: Sequence[Path]) -> pd.DataFrame:
    """The columns that expectations name, of all accepted rows, in plain types; times also as hours into the date."""
    import pandas as pd
    import pyarrow as pa
    import pyarrow.parquet as pq

    from schemas.tables import accepted_schema

    names = needed_columns(dataset)
    schema = pa.schema([accepted_schema(dataset).field(name) for name in names])
    # A night whose rules name no column still has its number of rows.
    columns = names or ["sereno_hash"]
    tables = [pq.read_table(path, columns=columns) for path in accepted]
    table = pa.concat_tables(tables) if tables else schema.empty_table()
    series: dict[str, pd.Series[Any]] = {}
    for name in names:
        values = table.column(name).to_pandas()
        is_numeric = dataset.columns[name].type in (ColumnType.INTEGER, ColumnType.NUMBER)
        series[name] = values.astype("float64") if is_numeric else values
    for column in dict.fromkeys(rule.column for rule in dataset.expectations if isinstance(rule, Freshness)):
        ticks = table.column(column).cast(pa.int64())
        hours = (ticks.to_numpy(zero_copy_only=False).astype("float64") - day.start) / HOUR
        # A row without a time is not of this date.
        series[freshness_column(column)] = pd.Series(hours).fillna(float("inf"))
    return pd.DataFrame(series, index=pd.RangeIndex(table.num_rows))


def _run(
    rules: Sequence[Compiled], frames: dict[Frame, pd.DataFrame], dataset: Dataset
) -> list[ExpectationSuiteValidationResult]:
    import great_expectations as gx
    from great_expectations.data_context.types.base import ProgressBarsConfig

    context = gx.get_context(mode="ephemeral")
    context.variables.progress_bars = ProgressBarsConfig(globally=False, metric_calculations=False)
    source = context.data_sources.add_pandas("night")
    # Examples of refused values would put sensitive ones onto the page.
    examples = 0 if any(column.sensitive for column in dataset.columns.values()) else 20
    form = {"result_format": "SUMMARY", "partial_unexpected_count": examples}
    results = []
    for name, frame in frames.items():
        own = [rule for rule in rules if rule.frame == name]
        if not own:
            continue
        definition = source.add_dataframe_asset(name).add_batch_definition_whole_dataframe(name)
        batch = definition.get_batch(batch_parameters={"dataframe": frame})
        suite = compile_suite(f"{dataset.name}, rows {name}", own)
        with warnings.catch_warnings():
            # Medians of nothing and comparisons with missing values: the outcome says so in words.
            warnings.simplefilter("ignore")
            results.append(batch.validate(suite, result_format=form))
    return results


def _write_page(results: Sequence[ExpectationSuiteValidationResult], folder: Path) -> None:
    """Great Expectations' own page of this batch alone: building its whole site would walk all history."""
    from great_expectations.render.renderer.page_renderer import ValidationResultsPageRenderer
    from great_expectations.render.view.view import DefaultJinjaPageView

    view: Any = DefaultJinjaPageView()
    folder.mkdir(parents=True, exist_ok=True)
    for result in results:
        for one in result.results:
            one.result = plain(one.result)
        name = "index.html" if result is results[0] else "volume.html"
        page = view.render(ValidationResultsPageRenderer().render(result))
        (folder / name).write_text(page, encoding="utf-8")


def plain(value: Any) -> Any:
    """Numpy's scalars as Python's own, all the way down: the page's renderer and JSON know no others."""
    if isinstance(value, dict):
        return {plain(key): plain(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [plain(inner) for inner in value]
    return value.item() if hasattr(value, "item") and getattr(value, "ndim", 1) == 0 else value
