"""Ingest: one logical date's files, whatever their form, to staged Parquet parts that know file and line.

One item of the compute a file, streamed, in bounded memory. When any file cannot be read, nothing is staged, and one
error names all such files.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date as Date
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Protocol

from schemas.errors import BlockedNight, SerenoError, UnreadableInput, listed
from tasks.addresses import Address, file_system, parse_address, resolve_inputs
from tasks.decode import LineBlocks, open_decompressed, readable
from tasks.night_rows import only_of_night
from tasks.staging import PartWriter, RejectWriter, StagedPart, rejects_schema

if TYPE_CHECKING:
    from schemas.dataset import Dataset
    from schemas.settings import InputSettings
    from tasks.night_rows import Take

CHUNK = 4 << 20
_COMPLETE = "wait until the delivery is complete, then run again"


class Compute(Protocol):
    """What ingest needs of the compute."""

    def map(self, function: Callable[..., Any], items: Iterable[Any], *args: Any) -> list[Any]:
        """The function's value for each item, in order."""


@dataclass(frozen=True)
class SourceFile:
    """One file as it was delivered.

    Args:
        address: Where it came from.
        name: Its base name.
        sha256: Of the bytes as delivered.
        bytes: Its size as delivered.
        compression: Found by its magic bytes.
        encoding: Found in its bytes; None for Parquet.
        delimiter: Found in its header; None where it has none.
        rows: Rows staged.
        rejected: Rows that could not be split into fields.
    """

    address: str
    name: str
    sha256: str
    bytes: int
    compression: str | None
    encoding: str | None
    delimiter: str | None
    rows: int
    rejected: int


@dataclass(frozen=True)
class Ingested:
    """What was read for one night; `rows_read` counts staged rows and rejects."""

    files: tuple[SourceFile, ...]
    parts: tuple[StagedPart, ...]
    rejects: Path | None
    rows_read: int
    warnings: tuple[str, ...]


@dataclass(frozen=True)
class _FileOutcome:
    source: SourceFile | None = None
    parts: tuple[StagedPart, ...] = ()
    rejects: Path | None = None
    warnings: tuple[str, ...] = ()
    error: SerenoError | None = None


def ingest(dataset: Dataset, date: Date, root: Path, inputs: InputSettings, compute: Compute, work: Path) -> Ingested:
    """Read all files of one logical date into the work folder.

    Args:
        dataset: Source and contract.
        date: The logical date.
        root: The project folder.
        inputs: Allowed protocols and roots, size bound.
        compute: Runs one item a file.
        work: Folder of this run; the folder `ingest` in it is replaced.

    Raises:
        NoInput: No file is there.
        ForbiddenAddress: A file that is not allowed.
        UnreadableInput: A file that is not the table that the contract describes; names all such files.
    """
    addresses = resolve_inputs(dataset, date, root, inputs)
    folder = work / "ingest"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    outcomes: list[_FileOutcome] = compute.map(
        stage_file, list(enumerate(addresses)), dataset, date, inputs.max_bytes, folder
    )
    errors = [outcome.error for outcome in outcomes if outcome.error is not None]
    if errors:
        shutil.rmtree(folder, ignore_errors=True)
        raise _one_error(errors)
    files = tuple(outcome.source for outcome in outcomes if outcome.source is not None)
    return Ingested(
        files=files,
        parts=tuple(part for outcome in outcomes for part in outcome.parts),
        rejects=_merged([o.rejects for o in outcomes if o.rejects is not None], folder / "rejects.parquet"),
        rows_read=sum(file.rows + file.rejected for file in files),
        warnings=tuple(warning for outcome in outcomes for warning in outcome.warnings),
    )


def hash_inputs(addresses: Sequence[str], inputs: InputSettings, compute: Compute | None = None) -> dict[str, str]:
    """SHA-256 of each file's bytes as delivered, for the fingerprint.

    Args:
        addresses: As `resolve_inputs` gives them.
        inputs: For the size bound.
        compute: Hashes files side by side, where given.

    Raises:
        UnreadableInput: A file cannot be read.
    """
    if compute is None:
        hashes = [hash_file(address, inputs.max_bytes) for address in addresses]
    else:
        hashes = compute.map(hash_file, list(addresses), inputs.max_bytes)
    return dict(zip(addresses, hashes, strict=True))


def check_unchanged(files: Sequence[SourceFile], hashes: Mapping[str, str]) -> None:
    """Do nothing where what was read is what the fingerprint was made of.

    Args:
        files: As they were read.
        hashes: What `hash_inputs` gave before.

    Raises:
        UnreadableInput: A file was replaced, came or went in between.
    """
    if sorted(file.sha256 for file in files) == sorted(hashes.values()):
        return
    known = set(hashes.values())
    other = [file.name for file in files if file.sha256 not in known]
    raise UnreadableInput(f"{listed(other) or 'the input'}: changed after the night had begun", hint=_COMPLETE)


def hash_file(address: str, limit: int) -> str:
    """SHA-256 of one file's bytes as delivered."""
    digest = hashlib.sha256()
    for chunk in _delivered(parse_address(address, Path("/")), limit):
        digest.update(chunk)
    return digest.hexdigest()


def stage_file(item: tuple[int, str], dataset: Dataset, date: Date, limit: int, folder: Path) -> _FileOutcome:
    """Read one file into a folder of its own; runs on a worker.

    Args:
        item: Number and address of the file.
        dataset: Source and contract.
        date: The logical date, for files that hold many.
        limit: Most bytes, delivered and decompressed.
        folder: Where the file's own folder is made.
    """
    number, text = item
    own = folder / f"{number:05d}"
    own.mkdir()
    address = parse_address(text, Path("/"))
    try:
        with _local_copy(address, own, limit) as path:
            return _stage(address, path, dataset, date, limit, own)
    except SerenoError as error:
        return _FileOutcome(error=error)


def _stage(address: Address, path: Path, dataset: Dataset, date: Date, limit: int, own: Path) -> _FileOutcome:
    before = path.stat()
    sha256 = hash_file(str(path), limit)
    parts = PartWriter(own, address.name, dataset.partition_rows)
    rejects = RejectWriter(own / "rejects.parquet", address.name)
    form = _read(path, address.name, dataset, limit, only_of_night(dataset, date, parts.add, rejects), rejects)
    if _changed_since(before, path, sha256, limit):
        raise _changed(address.name)
    source = SourceFile(
        address.shown,
        address.name,
        sha256,
        before.st_size,
        form.compression,
        form.encoding,
        form.delimiter,
        parts.rows,
        rejects.rows,
    )
    return _FileOutcome(source, parts.close(), rejects.close(), form.warnings)


def _changed_since(before: os.stat_result, path: Path, sha256: str, limit: int) -> bool:
    after = path.stat()
    if (before.st_size, before.st_mtime_ns, before.st_ino) != (after.st_size, after.st_mtime_ns, after.st_ino):
        return True
    # Another owner or name changes this as well; a copy that keeps the times of its source changes nothing else.
    return before.st_ctime_ns != after.st_ctime_ns and hash_file(str(path), limit) != sha256


@dataclass(frozen=True)
class _Form:
    compression: str | None
    encoding: str | None
    delimiter: str | None
    warnings: tuple[str, ...]


def _read(path: Path, name: str, dataset: Dataset, limit: int, take: Take, rejects: RejectWriter) -> _Form:
    from tasks.read_delimited import read_delimited
    from tasks.read_jsonl import read_jsonl
    from tasks.read_parquet import read_parquet

    if dataset.source.format == "parquet":
        return _Form(None, None, None, read_parquet(path, name, dataset, take, limit))
    with open_decompressed(path, name, limit) as (stream, compression):
        blocks = LineBlocks(stream, name, dataset.source.encoding)
        if dataset.source.format == "jsonl":
            warnings = read_jsonl(blocks, dataset, take, rejects)
            return _Form(compression, blocks.encoding, None, warnings)
        facts = read_delimited(blocks, dataset, take, rejects)
        return _Form(compression, blocks.encoding, facts.delimiter, facts.warnings)


@contextmanager
def _local_copy(address: Address, own: Path, limit: int) -> Iterator[Path]:
    """The file itself where it is local, else a copy in the work folder that goes afterwards."""
    if address.is_local:
        path = Path(address.path)
        if not path.is_file():
            raise UnreadableInput(f"{address.name}: not a regular file")
        yield path
        return
    path = own / "delivered"
    before = _identity(address)
    with path.open("wb") as copy:
        for chunk in _delivered(address, limit):
            copy.write(chunk)
    if before != _identity(address):
        raise _changed(address.name)
    try:
        yield path
    finally:
        path.unlink(missing_ok=True)


def _identity(address: Address) -> tuple[str, ...]:
    """What tells whether a remote file was replaced meanwhile."""
    with readable(address.name):
        facts = file_system(address.protocol).info(address.path)
    return tuple(str(facts.get(key)) for key in ("size", "mtime", "created", "LastModified", "ETag", "etag", "md5Hash"))


def _delivered(address: Address, limit: int) -> Iterator[bytes]:
    total = 0
    with readable(address.name), _open(address) as stream:
        while chunk := stream.read(CHUNK):
            total += len(chunk)
            if total > limit:
                raise UnreadableInput(
                    f"{address.name}: larger than {limit:,} bytes",
                    hint="if that is right, raise inputs.max_bytes in sereno.yaml",
                )
            yield chunk


def _open(address: Address) -> IO[bytes]:
    if address.is_local:
        return Path(address.path).open("rb")
    stream: IO[bytes] = file_system(address.protocol).open(address.path, "rb")
    return stream


def _changed(name: str) -> UnreadableInput:
    return UnreadableInput(f"{name}: the file changed while it was read", hint=_COMPLETE)


def _one_error(errors: Sequence[SerenoError]) -> SerenoError:
    if len(errors) == 1:
        return errors[0]
    kind = UnreadableInput if all(isinstance(error, BlockedNight) for error in errors) else type(errors[0])
    text = "\n".join(f"  {error.message}" for error in errors[:20])
    more = f"\n  and {len(errors) - 20} more" if len(errors) > 20 else ""
    return kind(f"{len(errors)} files cannot be read\n{text}{more}", hint=errors[0].hint)


def _merged(paths: Sequence[Path], target: Path) -> Path | None:
    import pyarrow.parquet as pq

    if not paths:
        return None
    with pq.ParquetWriter(target, rejects_schema()) as writer:
        for path in paths:
            with pq.ParquetFile(path) as file:
                for batch in file.iter_batches():
                    writer.write_batch(batch)
    return target
