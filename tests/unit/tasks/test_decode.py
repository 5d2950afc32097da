from __future__ import annotations

import bz2
import gzip
import io
import lzma
import zipfile

import pyarrow as pa
import pytest

from schemas.errors import UnreadableInput
from tasks.decode import BoundedStream, LineBlocks, compression_of, open_decompressed

TEXT = b"a,b\n" + b"".join(b"%d,%d\n" % (i, i * 7919 % 1013) for i in range(5_000))


def zstd(data: bytes) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.CompressedOutputStream(sink, "zstd") as out:
        out.write(data)
    return sink.getvalue().to_pybytes()


def zipped(data: bytes, *more: str) -> bytes:
    held = io.BytesIO()
    with zipfile.ZipFile(held, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.mkdir("folder")
        for name in ("folder/a.csv", *more):
            archive.writestr(name, data)
    return held.getvalue()


WAYS = {"gzip": gzip.compress, "bz2": bz2.compress, "xz": lzma.compress, "zstd": zstd, "zip": zipped}


def decompressed(path, limit=10**9) -> bytes:
    with open_decompressed(path, path.name, limit) as (stream, _):
        out = b""
        while chunk := stream.read(1_000):
            out += chunk
        return out


def blocks(data: bytes, *, declared: str | None = None, size: int = 16) -> LineBlocks:
    return LineBlocks(BoundedStream(io.BytesIO(data), "f.csv", 10**9), "f.csv", declared, size)


def text(found: LineBlocks) -> str:
    return b"".join(block.data for block in found).decode()


@pytest.mark.parametrize("kind", WAYS)
def test_compression_is_found_by_content_whatever_the_name(tmp_path, kind):
    path = tmp_path / "night.csv"
    path.write_bytes(WAYS[kind](TEXT))
    assert compression_of(path) == kind
    assert decompressed(path) == TEXT


@pytest.mark.parametrize("kind", WAYS)
@pytest.mark.parametrize("cut", [1, 2_000])
def test_an_archive_that_is_cut_off_is_named(tmp_path, kind, cut):
    path = tmp_path / "night.gz"
    path.write_bytes(WAYS[kind](TEXT)[:-cut])
    with pytest.raises(UnreadableInput, match=r"night\.gz: the archive is cut off"):
        decompressed(path)


@pytest.mark.parametrize("kind", ["gzip", "bz2", "xz"])
def test_a_damaged_archive_is_named(tmp_path, kind):
    data = bytearray(WAYS[kind](TEXT))
    data[len(data) // 2] ^= 0xFF
    data[len(data) // 2 + 1] ^= 0xFF
    path = tmp_path / "night.gz"
    path.write_bytes(data)
    with pytest.raises(UnreadableInput, match=r"damaged|cut off"):
        decompressed(path)


def test_a_zip_with_two_files_is_refused(tmp_path):
    path = tmp_path / "a.zip"
    path.write_bytes(zipped(b"x\n", "b.csv"))
    with pytest.raises(UnreadableInput, match="2 files, where exactly one is expected"):
        decompressed(path)


def test_a_small_file_that_grows_without_end_stops_at_the_limit(tmp_path):
    path = tmp_path / "bomb.gz"
    path.write_bytes(gzip.compress(b"0" * 1_000_000))
    with pytest.raises(UnreadableInput, match=r"larger than 50,000 bytes when decompressed"):
        decompressed(path, limit=50_000)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32"])
def test_byte_order_marks_are_read_and_taken_away(encoding):
    assert text(blocks("a,é\n1,日本\n".encode(encoding))) == "a,é\n1,日本\n"


def test_a_line_that_is_not_utf8_is_read_as_cp1252_and_named():
    found = blocks("ü\n".encode() + b"caf\xe9\nok\n\xe9\n")
    assert text(found) == "ü\ncafé\nok\né\n"
    assert found.warnings == ("f.csv: line 2 and 1 more not UTF-8, read as cp1252",)


def test_the_declared_encoding_comes_before_cp1252():
    found = blocks("łódź\n".encode("iso8859-2"), declared="iso-8859-2")
    assert text(found) == "łódź\n"
    assert found.encoding == "iso8859-2"


def test_an_encoding_that_is_no_superset_of_ascii_is_decoded_as_a_whole():
    assert text(blocks("a|表\n".encode("shift_jis"), declared="shift_jis", size=3)) == "a|表\n"
    assert text(blocks("a\nb\n".encode("utf-16-le"), declared="utf-16-le", size=3)) == "a\nb\n"


def test_bytes_that_no_encoding_fits_are_kept_apart_with_their_line():
    found = list(blocks(b"ok\nbad\x81\xff\n"))
    assert [item for block in found for item in block.undecodable] == [(2, "bad\\x81\\xff")]


def test_blocks_count_lines_and_end_at_line_breaks():
    found = list(blocks(b"one\ntwo\nthree is a long line\nfour", size=6))
    assert all(block.data.endswith(b"\n") for block in found)
    assert [block.first_line for block in found] == [1, 2, 3, 4]


def test_line_ends_of_old_machines_are_read():
    assert text(blocks(b"a,b\r1,2\r")) == "a,b\n1,2\n"


def test_an_unknown_encoding_is_refused():
    with pytest.raises(UnreadableInput, match="latin-99"):
        list(blocks(b"a\n", declared="latin-99"))
