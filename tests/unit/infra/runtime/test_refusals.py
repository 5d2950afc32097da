"""What is said of a full disk and of missing rights."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest

from infra.runtime.refusals import described, of_prefect, remedy


def test_a_full_disk_is_told_with_what_is_free(tmp_path: Path):
    error = OSError(errno.ENOSPC, "No space left on device", str(tmp_path / "part.parquet"))
    assert described(error) == f"{tmp_path / 'part.parquet'}: No space left on device"
    hint = remedy(error, tmp_path / "not" / "there")
    assert f"free some space on the disk of {tmp_path / 'part.parquet'}" in str(hint)
    assert "MB are free there now" in str(hint)
    nameless = OSError(errno.ENOSPC, "No space left on device")
    assert f"on the disk of {tmp_path / 'not' / 'there'} (" in str(remedy(nameless, tmp_path / "not" / "there"))


def test_missing_rights_name_the_place_also_where_the_error_does_not(tmp_path: Path):
    named = PermissionError(errno.EACCES, "Permission denied", str(tmp_path / "x"))
    assert f"read and write {tmp_path / 'x'}" in str(remedy(named, tmp_path))
    assert f"read and write {tmp_path}," in str(remedy(OSError(errno.EROFS, "Read-only file system"), tmp_path))


@pytest.mark.parametrize("error", [OSError("a text alone"), ConnectionResetError(104, "reset")], ids=str)
def test_of_any_other_error_nothing_is_promised(error: OSError, tmp_path: Path):
    assert remedy(error, tmp_path) is None
    assert described(error)


def test_what_a_server_of_prefect_answered_is_told_in_our_words():
    import httpx

    assert of_prefect(httpx.ConnectError("All connection attempts failed")) == (
        "The Prefect server that records the run failed: All connection attempts failed"
    )
    assert of_prefect(ConnectionRefusedError()) is None
