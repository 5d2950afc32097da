"""Whether the lake's disk can take a night: asked before, for a disk that fills up in the middle leaves half files."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa

from infra.runtime.lake_repair import local_folder
from schemas.errors import LakeError

LOG_BYTES = 64 << 10
"""What the commit itself needs, generously."""


def check_space(uri: str, data: pa.Table | Sequence[Path]) -> None:
    """Do nothing where the rows fit on the lake's disk, or where it is an object store.

    Args:
        uri: The table's address.
        data: The rows, or Parquet files of them, which will be as large in the lake.

    Raises:
        LakeError: They do not fit.
    """
    local = local_folder(uri)
    if local is None:
        return
    folder = next((folder for folder in (local, *local.parents) if folder.is_dir()), local)
    disk = shutil.disk_usage(folder)
    size = data.nbytes if isinstance(data, pa.Table) else sum(path.stat().st_size for path in data)
    # A disk without a size is one that does not tell.
    if disk.total and disk.free < size + LOG_BYTES:
        raise LakeError(
            f"{uri}: the disk is full: the night needs about {(size + LOG_BYTES) / 1e6:,.1f} MB, and "
            f"{disk.free / 1e6:,.1f} MB are free. Nothing was written.",
            hint=f"free some space on the disk of {folder}, then run the same command again",
        )
