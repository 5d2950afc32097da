"""Uses of a detector beside scoring: a night's codes, a night as it was expected, rows that were never there.

Rows are read, worked on and written part by part, so that memory does not grow with the night.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import date as Date
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc

from schemas.errors import BundleError, NoInput, UsageError, listed
from schemas.features import ColumnType
from schemas.tables import accepted_schema, arrow_type, scores_schema
from tasks.alert import naming_columns
from tasks.gone import refuse_gone
from tasks.night_rows import night_bounds
from tasks.score_part import named_by
from tasks.table_file import check_target, table_file

if TYPE_CHECKING:
    import pandas as pd

    from models.bundle import Bundle
    from schemas.dataset import Dataset
    from tasks.services import Services


@dataclass(frozen=True)
class Written:
    """What was written.

    Args:
        dataset: The dataset.
        version: The detector's version.
        rows: Rows of the file.
        columns: Its columns.
        left_out: Sensitive columns that it does not have.
    """

    dataset: str
    version: str
    rows: int
    columns: tuple[str, ...]
    left_out: tuple[str, ...] = ()


@dataclass(frozen=True)
class _Detector:
    version: str
    bundle: Bundle

    @property
    def types(self) -> dict[str, ColumnType]:
        """Each column that it reads, with its type in the contract of the training."""
        return {each["column"]: ColumnType(each["type"]) for each in self.bundle.detector["features"]}

    def hidden(self, dataset: Dataset) -> frozenset[str]:
        """Columns that are sensitive now, or were when it was trained; `scores` writes those that name a row."""
        now = {name for name, column in dataset.columns.items() if column.sensitive}
        then = {each["column"] for each in self.bundle.detector["features"] if each.get("sensitive")}
        return frozenset((now | then) - {*dataset.key, dataset.entity, dataset.event_time})


def embed(services: Services, dataset: Dataset, night: Date, target: Path, *, version: str | None = None) -> Written:
    """Write the codes of a night's accepted rows: what names a row, as in `scores`, then code_1, code_2 and so on.

    Args:
        services: The stores.
        dataset: The dataset.
        night: The logical date.
        target: A `.csv`, `.jsonl` or `.parquet` file; it appears as a whole.
        version: The detector's version; the champion where none is given.

    Raises:
        UsageError: No such form, folder or version, no champion yet, or the dataset file's columns are not those that
            the version reads.
        NoInput: The night has no accepted rows.
        BundleError: The version's bundle was changed, is gone, or has no encoder.
        SerenoError: The file cannot be written.
    """
    from models.scoring import Reconstructor

    check_target(target)
    pinned = _pinned(services, dataset, night)
    detector = _detector(services, dataset, version)
    _check_columns(dataset, detector)
    encode = Reconstructor(_half(dataset, detector, "encoder"))
    transform, names = detector.bundle.transform, naming_columns(dataset)
    schema = _with_codes(dataset, names, encode.width_out)

    def coded(rows: pa.Table) -> pa.Table:
        named = named_by(rows, dataset.key or ("sereno_key",), dataset.entity, dataset.event_time)
        codes = encode(transform.apply(_frame(rows, transform.columns)))
        return pa.table([*(named[name] for name in names), *(pa.array(c) for c in codes.T)], schema.names).cast(schema)

    read = (*transform.columns, *(dataset.key or ("sereno_key",)), dataset.entity, dataset.event_time)
    count = _write(target, schema, map(coded, _accepted(services, dataset, pinned, read)))
    return Written(dataset.name, detector.version, count, tuple(schema.names))


def clean(services: Services, dataset: Dataset, night: Date, target: Path, *, version: str | None = None) -> Written:
    """Write a night's accepted rows with each column that the detector reads as it expected it, missing values too.

    Other columns stay as they are, and the event time where it is not missing, since it says which row it is; sensitive
    ones are left out. Arguments and errors are those of `embed`.
    """
    from models.scoring import Reconstructor

    check_target(target)
    pinned = _pinned(services, dataset, night)
    detector = _detector(services, dataset, version)
    _check_columns(dataset, detector)
    hidden, transform = detector.hidden(dataset), detector.bundle.transform
    names = [*(() if dataset.key else ("sereno_key",)), *(name for name in dataset.columns if name not in hidden)]
    schema = pa.schema([accepted_schema(dataset).field(name) for name in names])
    reconstruct, middle = Reconstructor(detector.bundle.onnx), _middle(dataset, night)

    def cleaned(rows: pa.Table) -> pa.Table:
        frame = _frame(rows, transform.columns)
        expected = transform.decode(reconstruct(transform.apply(frame)), _timed(frame, detector, middle))
        columns = {name: _array(expected[name], schema.field(name).type) for name in expected if name in names}
        if dataset.event_time in columns:
            columns[dataset.event_time] = pc.coalesce(rows[dataset.event_time], columns[dataset.event_time])
        return pa.table([columns.get(name, rows[name]) for name in names], schema=schema)

    count = _write(target, schema, map(cleaned, _accepted(services, dataset, pinned, (*names, *transform.columns))))
    return Written(dataset.name, detector.version, count, tuple(names), tuple(sorted(hidden)))


def generate(
    services: Services, dataset: Dataset, rows: int, target: Path, *, version: str | None = None, seed: int = 0
) -> Written:
    """Write rows that were never there: codes drawn from the prior, decoded; the same seed gives the same rows.

    The columns are those that the detector reads; sensitive ones are left out.

    Args:
        services: The stores.
        dataset: The dataset.
        rows: How many.
        target: A `.csv`, `.jsonl` or `.parquet` file; it appears as a whole.
        version: The detector's version; the champion where none is given.
        seed: Decides the draws.

    Raises:
        UsageError: No such form, folder or version, no champion yet, or its family has no prior.
        BundleError: The version's bundle was changed, is gone, or has no decoder.
        SerenoError: The file cannot be written.
    """
    from models.prior import code_batches
    from models.scoring import Reconstructor

    check_target(target)
    detector = _detector(services, dataset, version)
    _check_prior(dataset, detector)
    decode = Reconstructor(_half(dataset, detector, "decoder"))
    hidden, transform, types = detector.hidden(dataset), detector.bundle.transform, detector.types
    names = [name for name in transform.columns if name not in hidden]
    if not names:
        raise UsageError(f"{dataset.name}: all columns that version {detector.version} reads are sensitive")
    schema = pa.schema([pa.field(name, arrow_type(types[name])) for name in names])
    facts = detector.bundle.detector["code"]

    def made() -> Iterator[pa.Table]:
        for codes in code_batches(rows, facts["size"], facts["classes"], seed):
            frame = transform.decode(decode(codes))
            yield pa.table([_array(frame[name], schema.field(name).type) for name in names], schema=schema)

    count = _write(target, schema, made())
    return Written(dataset.name, detector.version, count, tuple(names), tuple(sorted(hidden & {*transform.columns})))


def _pinned(services: Services, dataset: Dataset, night: Date) -> dict[Date, int]:
    pinned = services.state.pins(dataset.name, "accepted", [night])
    if not pinned:
        refuse_gone(services.state, dataset.name, night, "accepted")
        raise NoInput(
            f"{dataset.name} {night}: the night has no accepted rows",
            hint=f"validate it first: sereno validate {dataset.name} --date {night}",
        )
    return pinned


def _detector(services: Services, dataset: Dataset, version: str | None) -> _Detector:
    """A version, or the champion, checked against the hash that the registry has for it."""
    from models.bundle import open_bundle
    from tasks.versions import known_version

    champion = services.state.champion(dataset.name) if version is None else None
    if version is None and champion is None:
        raise UsageError(
            f"{dataset.name}: there is no champion yet",
            hint=f"do a night first: sereno run {dataset.name} --date DATE, or name a version with --version",
        )
    chosen = version if champion is None else champion.version
    info = known_version(services.registry, services.state, dataset.name, str(chosen))
    folder = services.registry.download(dataset.name, info.version)
    bundle = open_bundle(folder, info.bundle_hash)
    if bundle.rival is not None:
        raise UsageError(
            f"{dataset.name}: version {info.version} is {bundle.rival.title}, which has no network for codes and rows",
            hint=f"name a version that is an autoencoder with --version: sereno models list {dataset.name}",
        )
    return _Detector(info.version, bundle)


def _half(dataset: Dataset, detector: _Detector, name: str) -> bytes:
    graph: bytes | None = getattr(detector.bundle, name)
    if graph is None or "code" not in detector.bundle.detector:
        raise BundleError(
            f"{dataset.name}: version {detector.version} was made by an earlier Sereno, and has no {name} by itself",
            hint=f"train again: sereno train {dataset.name}",
        )
    return graph


def _check_prior(dataset: Dataset, detector: _Detector) -> None:
    from models.families import with_prior

    family, code = detector.bundle.detector.get("family"), detector.bundle.detector.get("code")
    if not (family in with_prior() if code is None else code["has_prior"]):
        raise UsageError(
            f"{dataset.name}: version {detector.version} is of the family {family}, which has no prior: codes drawn at "
            "random would not become rows like those of the data",
            hint=f"families with a prior: {listed(with_prior())}; write one as `family` under `detector` in "
            f"datasets/{dataset.name}.yaml, then: sereno train {dataset.name}; where what it trains is not made the "
            "champion, name it with --version",
        )


def _check_columns(dataset: Dataset, detector: _Detector) -> None:
    """A column that is gone, or of another type than in the training, does not mean what the detector learned."""
    problems = []
    for name, then in detector.types.items():
        now = dataset.columns[name].type if name in dataset.columns else None
        if now is None or arrow_type(now) != arrow_type(then):
            problems.append(f"{name} was {then} and is {now or 'gone'}")
    if problems:
        raise UsageError(
            f"{dataset.name}: the columns are not those that version {detector.version} reads: {listed(problems)}",
            hint=f"train again: sereno train {dataset.name}",
        )


def _with_codes(dataset: Dataset, names: list[str], size: int) -> pa.Schema:
    codes = [f"code_{number}" for number in range(1, size + 1)]
    twice = sorted({*names} & {*codes})
    if twice:
        raise UsageError(
            f"{dataset.name}: the key columns {listed(twice)} have the names of codes",
            hint="give them other names under source.rename in the dataset file",
        )
    scores = scores_schema(dataset)
    return pa.schema([*(scores.field(name) for name in names), *(pa.field(code, pa.float32()) for code in codes)])


def _accepted(
    services: Services, dataset: Dataset, pinned: dict[Date, int], read: Iterable[str | None]
) -> Iterator[pa.Table]:
    """The night's accepted rows in bounded tables, in the lake's order."""
    columns = list(dict.fromkeys(name for name in read if name is not None))
    schema = accepted_schema(dataset)
    batches = services.lake.batches(dataset.name, "accepted", pinned, columns=columns, schema=schema)
    return (pa.Table.from_batches([batch]) for batch in batches)


def _frame(rows: pa.Table, columns: tuple[str, ...]) -> pd.DataFrame:
    """Columns for the detector; whole numbers stay whole where some are missing."""
    import pandas as pd

    frame: pd.DataFrame = rows.select(list(columns)).to_pandas(types_mapper={pa.int64(): pd.Int64Dtype()}.get)
    return frame


def _array(values: pd.Series[Any], kind: pa.DataType) -> pa.Array:
    """A column of decoded values; pandas deprecates the way in which Arrow reads times that have a zone."""
    return pa.array(values.dt.tz_convert(None) if pa.types.is_timestamp(kind) else values, kind)


def _middle(dataset: Dataset, night: Date) -> pd.Timestamp:
    import pandas as pd

    start, end = night_bounds(night, dataset.timezone)
    return pd.Timestamp(start + (end - start) / 2)


def _timed(frame: pd.DataFrame, detector: _Detector, middle: pd.Timestamp) -> pd.DataFrame:
    """The rows, with the night's middle for times that are missing: what is put there is of this night too."""
    timed = frame.copy(deep=False)
    for name in (name for name, kind in detector.types.items() if kind is ColumnType.TIME):
        timed[name] = frame[name].fillna(middle)
    return timed


def _write(target: Path, schema: pa.Schema, tables: Iterator[pa.Table]) -> int:
    rows = 0
    with table_file(target, schema) as write:
        for table in tables:
            write(table)
            rows += len(table)
    return rows
