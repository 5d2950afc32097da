"""What a running service says of itself."""

from __future__ import annotations

import logging
import os
from pathlib import Path

import pytest

from infra.runtime.project import Project
from infra.service.addresses import note_file, read_note
from infra.service.up import keep_note

ADDRESSES = {"http": "http://127.0.0.1:8000"}


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="a disk that is full is a device of Linux")
def test_a_disk_that_is_full_costs_the_note_and_not_the_service(tmp_path, caplog):
    project = Project(tmp_path)
    keep_note(project, ADDRESSES, [])
    beside = note_file(project).with_suffix(f".{os.getpid()}.tmp")
    beside.symlink_to("/dev/full")
    with caplog.at_level(logging.WARNING):
        keep_note(project, {}, [])
    assert "No space left on device" in caplog.text
    assert read_note(project).addresses == ADDRESSES
