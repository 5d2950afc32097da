"""What people say of rows: found in their night, written down with what they held, listed and exported."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date as Date
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from infra.runtime.labels import UNSAID, WORDS, LabelWord, SaidRow
from schemas.errors import UnreadableInput, UsageError
from schemas.tables import accepted_schema, scores_schema
from schemas.yaml_source import nearest
from tasks.gone import refuse_gone

if TYPE_CHECKING:
    import pyarrow as pa

    from infra.runtime.labels import Label
    from infra.runtime.runs import Run
    from schemas.dataset import Dataset
    from tasks.services import Services

MOST_UNSAID = 200
"""Of a night's alerts of which nothing was said, so many are remembered: the highest ones, which a report lists."""
MOST_LABELS = 5_000
"""So many labels count, those of the newest nights: what a night costs does not grow with all that was ever said."""
MOST_NAMED = 5
OWN = ("sereno_key", "sereno_file", "sereno_line")


@dataclass(frozen=True)
class Said:
    """What a person says of one row, by its key.

    Args:
        night: The row's night.
        key: `sereno_key`.
        word: The label, as written.
        note: Free text.
    """

    night: Date
    key: str
    word: str
    note: str = ""


@dataclass(frozen=True)
class Labelled:
    """What was written down.

    Args:
        rows: Labels by their word.
        unsaid: Alerts of these nights of which nothing is said yet.
    """

    rows: dict[str, int]
    unsaid: int


def label_rows(services: Services, dataset: Dataset, said: Sequence[Said], actor: str) -> Labelled:
    """Write down labels; all of them, or none where one cannot be.

    Args:
        services: The stores.
        dataset: The dataset.
        said: What is said; where a row is named twice its last word counts.
        actor: Who says it.

    Raises:
        UsageError: A label, night or key that is not known.
    """
    for word in dict.fromkeys(one.word for one in said):
        as_label(word)
    nights: dict[Date, list[Said]] = {}
    for one in said:
        nights.setdefault(one.night, []).append(one)
    runs = {night: _accepted_run(services, dataset, night) for night in sorted(nights)}
    found = {night: _rows_of(services, dataset, runs[night], nights[night]) for night in runs}
    unsaid = 0
    for night, rows in found.items():
        beside = _unsaid(services, dataset, runs[night], {row.key for row in rows})
        services.state.label(dataset.name, night, [*rows, *beside], actor)
        unsaid += sum(label.row.word == UNSAID for label in services.state.labels(dataset.name, night, unsaid=True))
    words = [row.word for rows in found.values() for row in rows]
    return Labelled({word: words.count(word) for word in WORDS if word in words}, unsaid)


def as_label(word: str) -> LabelWord:
    """A word that a person wrote, as a label.

    Raises:
        UsageError: No label is called so.
    """
    for known in WORDS:
        if word == known:
            return known
    raise UsageError(
        f"the label {word[:60]!r} is not known{nearest(word, WORDS)}", hint=f"write one of: {', '.join(WORDS)}"
    )


def _accepted_run(services: Services, dataset: Dataset, night: Date) -> Run:
    history = services.state.history(dataset.name, night + timedelta(days=1), 1, table="accepted")
    if history and history[0].night == night:
        return history[0]
    refuse_gone(services.state, dataset.name, night, "accepted")
    known = [run.night for run in services.state.history(dataset.name, table="accepted")]
    near = min(known, key=lambda other: (abs((other - night).days), other), default=None)
    raise UsageError(
        f"{dataset.name} {night}: the night has no accepted rows"
        + (f"; the nearest that has is {near}" if near else ""),
        hint=f"see which nights there are: sereno status {dataset.name}",
    )


def _rows_of(services: Services, dataset: Dataset, run: Run, said: Sequence[Said]) -> list[SaidRow]:
    wanted = {one.key: one for one in said}
    found = {row["sereno_key"]: row for row in _accepted_rows(services, dataset, run, list(wanted))}
    missing = [key for key in wanted if key not in found]
    if missing:
        raise _unknown(services, dataset, run, missing)
    return [_said_row(found[key], one.word, one.note) for key, one in wanted.items()]


def _said_row(row: dict[str, Any], word: Any, note: str) -> SaidRow:
    values = {name: value for name, value in row.items() if name not in OWN}
    return SaidRow(row["sereno_key"], row["sereno_file"] or "", row["sereno_line"] or 0, word, note.strip(), values)


def _unknown(services: Services, dataset: Dataset, run: Run, missing: Sequence[str]) -> UsageError:
    alerts = _alert_keys(services, dataset, run.night)
    named = [f"{key[:80]!r}{nearest(key, alerts)}" for key in missing[:MOST_NAMED]]
    more = f" and {len(missing) - MOST_NAMED:,} more" if len(missing) > MOST_NAMED else ""
    return UsageError(
        f"{dataset.name} {run.night}: no accepted row has the key {', '.join(named)}{more}; nothing was written",
        hint=f"take keys from the report, or from: sereno scores {dataset.name} --date {run.night} --to FILE",
    )


def _alert_keys(services: Services, dataset: Dataset, night: Date) -> list[str]:
    """Keys of the night's alerts, highest first, at most `MOST_UNSAID`; none where it was not scored."""
    import pyarrow as pa
    import pyarrow.compute as pc

    from tasks.score_part import ranked

    pinned = services.state.pins(dataset.name, "scores", [night])
    if not pinned:
        return []
    schema, columns = scores_schema(dataset), ["score", "is_alert", "suppressed", *OWN]
    top = pa.schema([schema.field(name) for name in columns]).empty_table()
    for batch in services.lake.batches(dataset.name, "scores", pinned, columns=columns, schema=schema):
        in_list = pc.and_(batch["is_alert"], pc.invert(pc.fill_null(batch["suppressed"], fill_value=False)))
        top = ranked(pa.concat_tables([top, pa.Table.from_batches([batch.filter(in_list)])]), MOST_UNSAID)
    keys: list[str] = top["sereno_key"].to_pylist()
    return keys


def _unsaid(services: Services, dataset: Dataset, run: Run, said: set[str]) -> list[SaidRow]:
    """The night's other alerts: somebody looked at the list and said nothing of them, which is worth knowing."""
    known = {label.row.key for label in services.state.labels(dataset.name, run.night, unsaid=True)}
    keys = [key for key in _alert_keys(services, dataset, run.night) if key not in said | known]
    return [_said_row(row, UNSAID, "") for row in _accepted_rows(services, dataset, run, keys)]


def _accepted_rows(services: Services, dataset: Dataset, run: Run, keys: Sequence[str]) -> Iterator[dict[str, Any]]:
    """Accepted rows of some keys, with the columns that a detector may read, as plain JSON values."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if not keys:
        return
    names = [*OWN, *(feature.column for feature in dataset.features)]
    pinned, schema, wanted = (
        {run.night: run.versions["accepted"]},
        accepted_schema(dataset),
        pa.array(keys, pa.string()),
    )
    for batch in services.lake.batches(dataset.name, "accepted", pinned, columns=names, schema=schema):
        for row in batch.filter(pc.is_in(batch["sereno_key"], wanted)).to_pylist():
            yield {name: value.isoformat() if hasattr(value, "isoformat") else value for name, value in row.items()}


def labelled_frame(dataset: Dataset, values: Sequence[Mapping[str, Any]], columns: Sequence[str]) -> Any:
    """What labelled rows held, as a frame; what a row lacks, or what no longer fits its column, is missing.

    Args:
        dataset: The dataset file as it is now.
        values: The values of each row, as `label_rows` wrote them.
        columns: Those that the detector reads, which may be older than the dataset file.

    Raises:
        UnreadableInput: The contract does not have one of them any more.
    """
    import pyarrow as pa

    schema = accepted_schema(dataset)
    gone = [name for name in columns if name not in schema.names]
    if gone:
        raise UnreadableInput(f"{dataset.name}: the detector reads the column {gone[0]!r}, which the contract lacks")
    kinds = {name: schema.field(name).type for name in columns}
    found = {name: pa.array([_typed(row.get(name), kind) for row in values], kind) for name, kind in kinds.items()}
    return pa.table(found).to_pandas()


def _typed(value: Any, kind: pa.DataType) -> Any:
    import pyarrow as pa

    try:
        if value is not None and pa.types.is_timestamp(kind):
            value = datetime.fromisoformat(value)
        return pa.scalar(value, kind).as_py()
    except (pa.ArrowException, TypeError, ValueError):
        return None


def without_anomalies(sample: pa.Table, said: Sequence[Label]) -> pa.Table:
    """A training sample without the rows that people labelled `anomaly`, and without its column `night`.

    Args:
        sample: Rows of `accepted_schema`, and the night of each.
        said: The labels of these nights.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    for night in {label.night for label in said}:
        keys = [label.row.key for label in said if label.night == night]
        of_these = pc.and_(
            pc.equal(sample["night"], pa.scalar(night, pa.date32())),
            pc.is_in(sample["sereno_key"], pa.array(keys, pa.string())),
        )
        sample = sample.filter(pc.invert(of_these))
    return sample.drop_columns("night")


def anomalies_of(services: Services, dataset: Dataset, window: Sequence[Run]) -> list[Label]:
    """What people labelled `anomaly` among the rows of some nights."""
    if not window:
        return []
    nights = {run.night for run in window}
    said = services.state.labels(dataset.name, first=min(nights), before=max(nights) + timedelta(days=1))
    return [label for label in said if label.row.word == "anomaly" and label.night in nights]


def judged_in(
    services: Services, dataset: Dataset, window: Sequence[Run], said_before: datetime | None = None
) -> dict[Date, int]:
    """How many rows of each of some nights people labelled, as it stood at a moment, or stands now."""
    if not window:
        return {}
    first, last = min(run.night for run in window), max(run.night for run in window)
    said = services.state.labels(
        dataset.name, first=first, before=last + timedelta(days=1), said_before=said_before, values=False
    )
    return Counter(label.night for label in said)


def digest(services: Services, dataset: Dataset, last: Date, said_before: datetime | None = None) -> str | None:
    """Hash of the labels up to a night (SHA-256, hex); None where there are none.

    Args:
        services: The stores.
        dataset: The dataset.
        last: The last night whose labels count.
        said_before: As they stood at this moment; as they stand now where none is given.
    """
    ends = last + timedelta(days=1)
    said = services.state.labels(dataset.name, before=ends, said_before=said_before, values=False)
    if not said:
        return None
    said += services.state.labels(
        dataset.name, before=ends, said_before=said_before, most=MOST_LABELS, unsaid=True, values=False
    )
    facts = [[label.night.isoformat(), label.row.key, label.row.word] for label in said]
    return hashlib.sha256(json.dumps(sorted(facts), separators=(",", ":")).encode()).hexdigest()


def facts_of_labels(
    services: Services, dataset: Dataset, last: Date, said_before: datetime | None = None
) -> dict[str, Any]:
    """What of labels decides a night's result; nothing where there are none. Arguments as for `digest`."""
    said = digest(services, dataset, last, said_before)
    return {} if said is None else {"labels": said, "reducer": dataset.reducer.model_dump(mode="json")}


DECIDES_NOTHING = frozenset({"reducer", "schedule", "incidents"})
"""Parts of a dataset file that change no score: when a night is done, and what becomes of its alerts afterwards."""


def what_decides(dataset: Dataset) -> dict[str, Any]:
    """The resolved dataset file less what decides no score, or none where there are no labels."""
    return {name: value for name, value in dataset.resolved().items() if name not in DECIDES_NOTHING}


def as_dict(label: Label) -> dict[str, Any]:
    """A label for `--json` and for a file."""
    return {
        "date": label.night.isoformat(),
        "key": label.row.key,
        "label": label.row.word,
        "note": label.row.note,
        "by": label.actor,
        "at": label.at.isoformat(timespec="seconds"),
        "file": label.row.file,
        "line": label.row.line,
    }


def export_labels(labels: Sequence[Label], target: Path) -> None:
    """Write labels to a `.csv`, `.jsonl` or `.parquet` file that `sereno incidents label --from` reads again.

    Raises:
        UsageError: Another suffix, or the folder does not exist.
        SerenoError: The file cannot be written.
    """
    import pyarrow as pa

    from tasks.table_file import table_file

    texts = ("date", "key", "label", "note", "by", "at", "file")
    schema = pa.schema([*((name, pa.string()) for name in texts), ("line", pa.int64())])
    with table_file(target, schema) as write:
        write(pa.Table.from_pylist([as_dict(label) for label in labels], schema=schema))
