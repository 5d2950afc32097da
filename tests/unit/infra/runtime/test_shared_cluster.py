"""The note by which runs find the service's cluster; the cluster itself: tests/unit/infra/service."""

from __future__ import annotations

import json
import os
import stat
from dataclasses import replace
from pathlib import Path

import pytest

from infra.runtime.holder import Holder
from infra.runtime.likeness import likeness
from infra.runtime.project import Project
from infra.runtime.shared_cluster import (
    ClusterNote,
    cluster_note_file,
    read_cluster_note,
    shared_compute,
    write_cluster_note,
)


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return Project(tmp_path)


@pytest.fixture
def note() -> ClusterNote:
    return ClusterNote(Holder.this_process(), "tls://127.0.0.1:1", 2, likeness(), "certificate", "key")


def test_it_is_read_as_it_was_written_and_written_for_this_user_alone(project: Project, note: ClusterNote) -> None:
    before = os.umask(0)
    try:
        for written in (note, replace(note, workers=3)):
            write_cluster_note(project, written)
            assert read_cluster_note(project) == written
    finally:
        os.umask(before)
    file = cluster_note_file(project)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert [path.name for path in file.parent.iterdir()] == ["cluster.json"]


def test_where_there_is_none_none_is_read(project: Project) -> None:
    assert read_cluster_note(project) is None
    assert shared_compute(project) is None


@pytest.mark.parametrize("text", ["", "{", "[]", "null", "{}", '{"holder": 3}', '{"holder": "a:1:b", "more": 1}'])
def test_a_note_of_another_form_is_none(project: Project, note: ClusterNote, text: str) -> None:
    write_cluster_note(project, note)
    cluster_note_file(project).write_text(text, encoding="utf-8")
    assert read_cluster_note(project) is None


@pytest.mark.parametrize("start", ["gone", "gone-1"])
def test_that_of_a_process_that_is_not_seen_to_live_is_none(project: Project, note: ClusterNote, start: str) -> None:
    write_cluster_note(project, replace(note, holder=replace(note.holder, start=start)))
    assert json.loads(cluster_note_file(project).read_text(encoding="utf-8"))["key"] == "key"
    assert read_cluster_note(project) is None


def test_its_secrets_are_not_in_what_is_printed_of_it(note: ClusterNote) -> None:
    assert "certificate" not in repr(note).replace("certificate=", "")
    assert "key" not in repr(note)
