"""Bytes as delivered to lines of UTF-8: compression by magic bytes, byte order mark, encoding, size bound.

A name's ending is never believed: `.csv` files arrive gzipped and `.gz` files arrive plain.
"""

from __future__ import annotations

import bz2
import codecs
import gzip
import io
import lzma
import os
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from schemas.errors import UnreadableInput

MAGIC = {
    b"\x1f\x8b": "gzip",
    b"BZh": "bz2",
    b"\xfd7zXZ\x00": "xz",
    b"\x28\xb5\x2f\xfd": "zstd",
    b"PK\x03\x04": "zip",
    b"PK\x05\x06": "zip",
}
MARKS = ((codecs.BOM_UTF8, "utf-8"), (codecs.BOM_UTF32_LE, "utf-32"), (codecs.BOM_UTF32_BE, "utf-32"))
MARKS_16 = ((codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16"))
FALLBACK = "cp1252"
BLOCK = 8 << 20
MAX_LINE = 32 << 20
CUT_OFF = "the archive is cut off"


def compression_of(path: Path) -> str | None:
    """The compression that a file's first bytes show, or None."""
    with path.open("rb") as raw:
        head = raw.read(8)
    return next((name for magic, name in MAGIC.items() if head.startswith(magic)), None)


class BoundedStream:
    """A decompressing stream whose failures are told in the user's words.

    Args:
        stream: Delivers decompressed bytes.
        name: Of the file, for messages.
        limit: Most bytes that may come out.
    """

    def __init__(self, stream: IO[bytes], name: str, limit: int) -> None:
        self._stream, self._name, self._limit = stream, name, limit
        self.bytes = 0

    def read(self, size: int) -> bytes:
        """Up to `size` bytes; empty at the end.

        Raises:
            UnreadableInput: The archive is cut off or damaged, or more than the limit comes out.
        """
        with readable(self._name):
            data = self._stream.read(size)
        self.bytes += len(data)
        if self.bytes > self._limit:
            raise UnreadableInput(
                f"{self._name}: larger than {self._limit:,} bytes when decompressed",
                hint="if that is right, raise inputs.max_bytes in sereno.yaml",
            )
        return data


@contextmanager
def readable(name: str) -> Iterator[None]:
    """Turn what decompression and disks raise into `UnreadableInput` that names the file."""
    try:
        yield
    except EOFError:
        raise UnreadableInput(f"{name}: {CUT_OFF}", hint="fetch the file again; nothing of it was taken") from None
    except (zlib.error, gzip.BadGzipFile, lzma.LZMAError, zipfile.BadZipFile, NotImplementedError) as error:
        raise UnreadableInput(f"{name}: the archive is damaged: {error}", hint="fetch the file again") from None
    except OSError as error:
        if "truncated" in str(error).lower():
            raise UnreadableInput(f"{name}: {CUT_OFF}", hint="fetch the file again; nothing of it was taken") from None
        if error.errno is None:
            raise UnreadableInput(f"{name}: the archive is damaged: {error}", hint="fetch the file again") from None
        hint = f"let the user who runs this (number {os.geteuid()}) read it, or look at its disk, then run it again"
        raise UnreadableInput(f"{name}: cannot be read: {error.strerror}", hint=hint) from None


@contextmanager
def open_decompressed(path: Path, name: str, limit: int) -> Iterator[tuple[BoundedStream, str | None]]:
    """Open a local file for streaming, whatever it is compressed with.

    Args:
        path: The file.
        name: How messages call it.
        limit: Most decompressed bytes.

    Yields:
        The stream and the compression's name.

    Raises:
        UnreadableInput: See `BoundedStream`; also an archive that does not hold exactly one file.
    """
    with readable(name):
        kind = compression_of(path)
        stream = _decompressor(path, kind, name)
    with stream:
        yield BoundedStream(stream, name, limit), kind


def _decompressor(path: Path, kind: str | None, name: str) -> IO[bytes]:
    if kind == "gzip":
        return io.BufferedReader(gzip.GzipFile(path))
    if kind == "bz2":
        return bz2.open(path, "rb")
    if kind == "xz":
        return lzma.open(path, "rb")
    if kind == "zstd":
        import pyarrow as pa

        zstd: IO[bytes] = pa.CompressedInputStream(pa.OSFile(str(path)), "zstd")
        return zstd
    if kind == "zip":
        return _zip_member(path, name)
    return path.open("rb")


def _zip_member(path: Path, name: str) -> IO[bytes]:
    try:
        archive = zipfile.ZipFile(path)
    except zipfile.BadZipFile:
        raise EOFError from None
    members = [m for m in archive.infolist() if not m.is_dir() and not m.filename.startswith("__MACOSX/")]
    if len(members) != 1:
        raise UnreadableInput(
            f"{name}: a zip archive with {len(members)} files, where exactly one is expected",
            hint="unpack it and name the files by a pattern",
        )
    if members[0].flag_bits & 1:
        raise UnreadableInput(f"{name}: the zip archive is encrypted", hint="deliver it without a password")
    return archive.open(members[0])


@dataclass(frozen=True)
class TextBlock:
    """Whole lines.

    Args:
        data: Valid UTF-8 that ends in a line break.
        first_line: Physical number of the first line, from 1.
        undecodable: Line number and escaped text of lines that no encoding fits; they are empty in `data`.
    """

    data: bytes
    first_line: int
    undecodable: tuple[tuple[int, str], ...] = ()


@dataclass
class LineBlocks:
    """A byte stream as blocks of whole UTF-8 lines.

    UTF-8 is tried strictly on each line; a line that is not UTF-8 is read in the fallback encoding, and the first such
    line is remembered.

    Args:
        stream: Decompressed bytes.
        name: Of the file, for messages.
        declared: The dataset's encoding, or None.
        size: Bytes of one block.
    """

    stream: BoundedStream
    name: str
    declared: str | None = None
    size: int = BLOCK
    encoding: str = "utf-8"
    has_mark: bool = False
    odd_line: int | None = None
    odd_lines: int = 0
    _decoder: Any = field(default=None, repr=False)
    _old_breaks: bool = False

    def __iter__(self) -> Iterator[TextBlock]:
        line, carry = 1, b""
        for chunk in self._utf8_chunks():
            end = chunk.rfind(b"\n") + 1
            if not end:
                carry += chunk
                if len(carry) > MAX_LINE:
                    raise UnreadableInput(
                        f"{self.name}: line {line} is longer than {MAX_LINE:,} bytes; this is no table"
                    )
                continue
            block = self._repaired(carry + chunk[:end], line)
            carry = chunk[end:]
            yield block
            line += block.data.count(b"\n")
        if carry:
            yield self._repaired(carry + b"\n", line)

    @property
    def warnings(self) -> tuple[str, ...]:
        """What a person should know about the encoding."""
        if self.odd_line is None:
            return ()
        more = f" and {self.odd_lines - 1} more" if self.odd_lines > 1 else ""
        return (f"{self.name}: line {self.odd_line}{more} not UTF-8, read as {self.encoding}",)

    def _utf8_chunks(self) -> Iterator[bytes]:
        chunk = self._settle(self._head())
        while chunk:
            yield self._to_utf8(chunk)
            chunk = self.stream.read(self.size)
        if self._decoder is not None:
            yield self._to_utf8(b"", final=True)

    def _head(self) -> bytes:
        """The first bytes, as many as it takes to see a line's end: a stream gives as few at a time as it likes."""
        head = b""
        while b"\n" not in head and len(head) < BLOCK and (more := self.stream.read(self.size)):
            head += more
        return head

    def _settle(self, head: bytes) -> bytes:
        """Decide by the first bytes what the file is written in; returns them without the mark."""
        for mark, encoding in (*MARKS, *MARKS_16):
            if head.startswith(mark):
                self.has_mark, self.encoding = True, encoding
                break
        declared = _codec(self.declared)
        if self.has_mark and self.encoding == "utf-8":
            head = head[len(codecs.BOM_UTF8) :]
        elif self.has_mark:
            self._decoder = codecs.getincrementaldecoder(self.encoding)()
        elif declared is not None and not _is_superset_of_ascii(declared):
            self.encoding = declared
            self._decoder = codecs.getincrementaldecoder(declared)()
        breaks = head if self._decoder is None else head.replace(b"\0", b"")
        self._old_breaks = b"\n" not in breaks and b"\r" in breaks
        return head

    def _to_utf8(self, chunk: bytes, *, final: bool = False) -> bytes:
        if self._decoder is not None:
            try:
                chunk = self._decoder.decode(chunk, final).encode()
            except UnicodeError as error:
                raise UnreadableInput(f"{self.name}: not {self.encoding}: {error}") from None
        return chunk.replace(b"\r", b"\n") if self._old_breaks else chunk

    def _repaired(self, block: bytes, first_line: int) -> TextBlock:
        try:
            block.decode()
        except UnicodeDecodeError:
            return self._line_by_line(block, first_line)
        return TextBlock(block, first_line)

    def _line_by_line(self, block: bytes, first_line: int) -> TextBlock:
        fallback = _codec(self.declared) or FALLBACK
        if fallback == "utf-8":
            fallback = FALLBACK
        lines, undecodable = block.split(b"\n"), []
        for i, line in enumerate(lines):
            try:
                line.decode()
            except UnicodeDecodeError:
                self.odd_line = self.odd_line or first_line + i
                self.odd_lines += 1
                self.encoding = fallback
                try:
                    lines[i] = line.decode(fallback).encode()
                except UnicodeDecodeError:
                    undecodable.append((first_line + i, line.decode("ascii", "backslashreplace")))
                    lines[i] = b""
        return TextBlock(b"\n".join(lines), first_line, tuple(undecodable))


def _codec(name: str | None) -> str | None:
    if name is None:
        return None
    try:
        return codecs.lookup(name).name
    except LookupError:
        raise UnreadableInput(
            f"encoding {name!r} is not known", hint="use a name such as utf-8, cp1252 or utf-16"
        ) from None


def _is_superset_of_ascii(codec: str) -> bool:
    """Whether bytes below 128 mean ASCII wherever they stand, so that lines can be split before decoding."""
    if codec in ("utf-8", "ascii"):
        return True
    plain = bytes(range(128))
    try:
        alone = all(len(bytes([lead, 0x40]).decode(codec, "replace")) == 2 for lead in range(128, 256))
        return alone and plain.decode(codec) == plain.decode("ascii")
    except UnicodeError:
        return False
