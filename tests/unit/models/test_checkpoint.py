from __future__ import annotations

import json
import os
from dataclasses import replace

import numpy as np
import pytest

from models import checkpoint as module
from models.checkpoint import Checkpoint, Checkpoints, identity_of, remove_checkpoints

ROWS = np.arange(12, dtype=np.float32).reshape(4, 3)
IDENTITY = identity_of({"seed": 1}, [ROWS])


def make(epochs=3, seed=0):
    random = np.random.default_rng(seed)
    return Checkpoint(
        loss=tuple(random.random(epochs)),
        held_out=tuple(random.random(epochs)),
        best=epochs - 1,
        seconds=1.25,
        order=dict(random.bit_generator.state),
        state=(np.array([1, 2], np.int64), random.random((2, 3)).astype(np.float32), *map(np.float32, range(12))),
        row_weights=np.ones(4, np.float32),
        best_weights=(random.random((2, 3)).astype(np.float32),),
    )


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "checkpoints"


@pytest.fixture
def written(folder):
    checkpoints = Checkpoints(folder, IDENTITY, 0)
    checkpoints.write(make(3))
    checkpoints.write(make(4))
    return folder


def newest(folder, identity=IDENTITY):
    return Checkpoints(folder, identity, 0).newest()


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_what_was_written_is_read(folder):
    assert newest(folder) is None
    checkpoint = make(7)
    Checkpoints(folder, IDENTITY, 0).write(checkpoint)
    assert newest(folder).to_bytes() == checkpoint.to_bytes()
    order = np.random.default_rng()
    order.bit_generator.state = newest(folder).order
    again = np.random.default_rng()
    again.bit_generator.state = checkpoint.order
    assert (order.permutation(50) == again.permutation(50)).all()


def test_the_newest_counts_and_at_most_two_files_lie_there(folder):
    checkpoints = Checkpoints(folder, IDENTITY, 0)
    for epochs in (1, 2, 9, 10, 11):
        checkpoints.write(make(epochs))
    assert names(folder) == ["epoch-00010.checkpoint", "epoch-00011.checkpoint"]
    assert newest(folder).epochs == 11


def test_drafts_and_files_of_others_go_and_the_one_read_stays(written):
    (written / "epoch-00009.checkpoint.draft").write_bytes(b"half")
    (written / "epoch-00099.checkpoint").write_bytes(b"whatever")
    checkpoints = Checkpoints(written, IDENTITY, 0)
    assert checkpoints.newest().epochs == 4
    checkpoints.write(make(5))
    assert names(written) == ["epoch-00004.checkpoint", "epoch-00005.checkpoint"]


@pytest.mark.parametrize("cut", [0, 1, 30, -1, -500])
def test_a_half_written_one_is_passed_over_for_the_one_before(written, caplog, cut):
    last = written / "epoch-00004.checkpoint"
    last.write_bytes(last.read_bytes()[:cut])
    assert newest(written).epochs == 3
    assert "epoch-00004.checkpoint is passed over" in caplog.text


def test_no_single_changed_byte_is_believed(folder):
    Checkpoints(folder, IDENTITY, 0).write(make(2))
    path = folder / "epoch-00002.checkpoint"
    whole = path.read_bytes()
    for at in [*range(220), *range(220, len(whole), 97)]:
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 0x15]) + whole[at + 1 :])
        assert newest(folder) is None, at


def rewrite(path, **changes):
    head, _, data = path.read_bytes().partition(b"\n")
    path.write_bytes(json.dumps(json.loads(head) | changes).encode() + b"\n" + data)


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({"protocol": 1}, "protocol 1"),
        ({"protocol": "1"}, "protocol '1'"),
        ({"identity": "0" * 64}, "another training"),
    ],
)
def test_foreign_ones_are_passed_over_with_a_word(written, caplog, changes, word):
    for path in written.iterdir():
        rewrite(path, **changes)
    assert newest(written) is None
    assert word in caplog.text


@pytest.mark.parametrize("data", [b"", b"no zip", b"PK\x03\x04 no zip either", b"\x80\x04N."])
def test_bytes_that_hash_right_and_are_no_checkpoint_are_passed_over(written, caplog, data):
    for path in written.iterdir():
        path.write_bytes(path.read_bytes().partition(b"\n")[0] + b"\n" + data)
        rewrite(path, sha256=module.hashlib.sha256(data).hexdigest())
    assert newest(written) is None
    assert "cannot be read" in caplog.text


def test_no_link_is_followed_and_no_pickle_loaded(written, tmp_path):
    with pytest.raises(ValueError, match=r"[Oo]bject"):
        replace(make(), row_weights=np.array([object()])).to_bytes()
    for path in written.iterdir():
        path.rename(tmp_path / path.name)
        path.symlink_to(tmp_path / path.name)
    assert newest(written) is None


def test_the_identity_knows_facts_and_rows():
    others = [
        identity_of({"seed": 2}, [ROWS]),
        identity_of({"seed": 1}, [ROWS + 1]),
        identity_of({"seed": 1}, [ROWS.reshape(3, 4)]),
        identity_of({"seed": 1}, [ROWS.astype(np.float64)]),
        identity_of({"seed": 1}, [ROWS[:2], ROWS[2:]]),
    ]
    assert len({IDENTITY, *others}) == 6
    assert identity_of({"seed": 1}, [np.asfortranarray(ROWS)]) == IDENTITY


def test_time_decides_when_one_is_due_and_its_cost_how_often(folder, monkeypatch):
    clock = [100.0]
    monkeypatch.setattr(module.time, "monotonic", lambda: clock[0])
    checkpoints = Checkpoints(folder, IDENTITY, 5.0)
    clock[0] += 4.9
    assert not checkpoints.is_due()
    clock[0] += 0.1
    assert checkpoints.is_due()
    real = module.write_synced
    monkeypatch.setattr(module, "write_synced", lambda *args: (real(*args), clock.__setitem__(0, clock[0] + 0.5)))
    checkpoints.write(make(1))
    clock[0] += 24.9
    assert not checkpoints.is_due()
    clock[0] += 0.2
    assert checkpoints.is_due()


def test_a_full_disk_is_a_word_in_the_log(folder, monkeypatch, caplog):
    def full(*_):
        raise OSError(28, os.strerror(28))

    checkpoints = Checkpoints(folder, IDENTITY, 0)
    checkpoints.write(make(1))
    monkeypatch.setattr(module, "write_synced", full)
    checkpoints.write(make(2))
    checkpoints.write(make(3))
    assert caplog.text.count("No space left") == 1
    assert newest(folder).epochs == 1


def test_removing_takes_what_is_ours_and_the_folder_when_it_is_empty(written):
    (written / "notes.txt").write_text("mine")
    (written / "epoch-00009.checkpoint.draft").write_bytes(b"half")
    remove_checkpoints(written)
    assert names(written) == ["notes.txt"]
    (written / "notes.txt").unlink()
    remove_checkpoints(written)
    remove_checkpoints(written)
    assert not written.exists()
