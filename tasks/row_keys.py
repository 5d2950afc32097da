r"""What names a row: its key's canonical text, and a 64-bit hash of that text (protocol 1).

The text is made of typed values, so that "007" and 7, a comma and a point, CSV and Parquet name the same row:

| type | canonical text |
|---|---|
| integer | decimal digits |
| number | the shortest decimal that reads back as the same double (`7`, `0.1`, `1e+20`) |
| boolean | `true`, `false` |
| time | `2026-09-20T00:00:11Z`, with six digits of a second where it has a fraction |
| category, text | the text, without blanks around it |

Several key columns are joined by `|`; a `|` or `\` inside one of them is written `\|`, `\\`.
A dataset without a key names a row by its content: BLAKE2b of 128 bits, in hex, over its columns in the order of
their names (for each an 8-byte little-endian word and a byte that says whether it is missing).
`sereno_hash` is BLAKE2b of 64 bits over `sereno_key` in UTF-8, read as a little-endian signed integer.
"""

from __future__ import annotations

from hashlib import blake2b
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from schemas.dataset import Dataset

PROTOCOL = 1


def row_keys(typed: pa.Table, dataset: Dataset, written: Sequence[pa.Array] = ()) -> pa.Array:
    """`sereno_key` of each row.

    Args:
        typed: The contract's columns, coerced.
        dataset: Names the key columns.
        written: For each key column what stood in the file, as text: names a row whose key could not be read.
    """
    if not dataset.key:
        return content_keys(typed.select(list(dataset.columns)))
    parts = []
    for i, name in enumerate(dataset.key):
        text = canonical_text(typed.column(name).combine_chunks())
        text = pc.coalesce(text, written[i]) if written else text
        parts.append(pc.fill_null(text, ""))
    if len(parts) == 1:
        return parts[0]
    escaped = [pc.replace_substring(pc.replace_substring(p, "\\", "\\\\"), "|", "\\|") for p in parts]
    return pc.binary_join_element_wise(*escaped, "|")


def canonical_text(values: pa.Array | pa.ChunkedArray) -> pa.Array:
    """Typed values as their canonical text; null stays null."""
    flat = values.combine_chunks() if isinstance(values, pa.ChunkedArray) else values
    if not pa.types.is_timestamp(flat.type):
        return pc.cast(flat, pa.string())
    # By way of integers: turning a zoned time into text would need the machine's time zone files.
    text = pc.cast(pc.cast(pc.cast(flat, pa.int64()), pa.timestamp("us")), pa.string())
    text = pc.replace_substring(pc.replace_substring_regex(text, r"\.000000$", ""), " ", "T")
    return pc.binary_join_element_wise(text, "Z", "")


def hash_text(text: pa.Array) -> NDArray[np.int64]:
    """`sereno_hash` of each key."""
    digests = b"".join([blake2b(key.encode(), digest_size=8).digest() for key in text.to_pylist()])
    return np.frombuffer(digests, dtype="<i8").astype(np.int64)


def content_keys(typed: pa.Table) -> pa.Array:
    """Rows named by their content, as 32 hex digits; equal rows have equal names."""
    names = sorted(typed.column_names)
    cells = np.zeros((typed.num_rows, len(names)), dtype=[("word", "<u8"), ("missing", "u1")])
    for i, name in enumerate(names):
        column = typed.column(name).combine_chunks()
        cells["word"][:, i] = _words(column)
        cells["missing"][:, i] = np.asarray(column.is_null())
    width = cells.dtype.itemsize * len(names)
    raw = memoryview(cells.tobytes())
    keys = [blake2b(raw[at : at + width], digest_size=16).hexdigest() for at in range(0, len(raw), width)]
    return pa.array(keys, pa.string())


def _words(column: pa.Array) -> NDArray[np.uint64]:
    """A 64-bit word for each value, 0 where it is missing."""
    if pa.types.is_string(column.type):
        encoded = column.dictionary_encode()
        codes = np.asarray(pc.fill_null(encoded.indices, 0))
        if not len(encoded.dictionary):
            return np.zeros(len(column), dtype=np.uint64)
        words = hash_text(encoded.dictionary).view(np.uint64)[codes]
    elif pa.types.is_floating(column.type):
        words = np.asarray(pc.fill_null(column, 0.0)).view(np.uint64)
    else:
        words = np.asarray(pc.fill_null(pc.cast(column, pa.int64()), 0)).view(np.uint64)
    return np.where(np.asarray(column.is_null()), np.uint64(0), words)
