from __future__ import annotations

import hashlib
import json
import shutil

import numpy as np
import pytest

from models.bundle import FILES, HALVES, bundle_hash, canonical_json, open_bundle, write_bundle
from schemas.errors import BundleError


@pytest.fixture
def copy(detector, tmp_path):
    return shutil.copytree(detector.folder, tmp_path / "copy")


def rewrite(folder, **changes):
    """Change the manifest and keep it well formed."""
    manifest = json.loads((folder / "manifest.json").read_bytes()) | changes
    (folder / "manifest.json").write_bytes(canonical_json(manifest))


def as_protocol_1(folder):
    """Make of a bundle one in the form that the first release wrote, which is fixed for good."""
    for name in HALVES:
        (folder / name).unlink()
    names = ["calibration.npy", "detector.json", "model.onnx", "transform.json", "weights.keras"]
    digests = {name: hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in names}
    text = json.dumps({"files": digests, "protocol": 1}, separators=(",", ":")) + "\n"
    (folder / "manifest.json").write_text(text)
    return hashlib.sha256(text.encode()).hexdigest()


def test_a_bundle_is_read_as_it_was_written(detector, tmp_path):
    bundle = open_bundle(detector.folder, detector.hash)
    assert bundle.hash == bundle_hash(detector.folder) == detector.hash
    assert write_bundle(tmp_path / "again", bundle) == detector.hash
    assert np.array_equal(open_bundle(tmp_path / "again").calibration, bundle.calibration)


def test_the_hash_is_that_of_the_manifest(detector):
    assert hashlib.sha256((detector.folder / "manifest.json").read_bytes()).hexdigest() == detector.hash


@pytest.mark.parametrize("name", [*FILES, *HALVES])
def test_one_changed_byte_is_refused(copy, name):
    data = bytearray((copy / name).read_bytes())
    data[len(data) // 2] ^= 1
    (copy / name).write_bytes(data)
    with pytest.raises(BundleError, match=f"'{name}' was changed"):
        open_bundle(copy)


@pytest.mark.parametrize("name", [*FILES, *HALVES])
def test_a_missing_file_is_named(copy, name):
    (copy / name).unlink()
    with pytest.raises(BundleError, match=f"'{name}' is missing"):
        open_bundle(copy)


def test_a_file_that_is_not_listed_is_refused(copy):
    (copy / "extra.pkl").write_bytes(b"x")
    with pytest.raises(BundleError, match=r"'extra\.pkl' is not listed"):
        open_bundle(copy)


def test_a_link_is_refused(copy, tmp_path):
    shutil.move(copy / "model.onnx", tmp_path / "elsewhere")
    (copy / "model.onnx").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(BundleError, match="no plain file"):
        open_bundle(copy)


@pytest.mark.parametrize("name", ["../detector.json", "/etc/passwd", "a/../detector.json"])
def test_a_path_in_place_of_a_name_is_refused(copy, name):
    files = json.loads((copy / "manifest.json").read_bytes())["files"]
    files[name] = files.pop("detector.json")
    rewrite(copy, files=files)
    with pytest.raises(BundleError, match="must list"):
        open_bundle(copy)


def test_a_newer_protocol_says_to_upgrade(copy):
    rewrite(copy, protocol=99)
    with pytest.raises(BundleError, match="protocol 99, this version reads 1, 2") as raised:
        open_bundle(copy)
    assert "pip install --upgrade sereno" in str(raised.value.hint)


def test_a_protocol_that_nothing_reads_any_more_says_to_train_again(copy):
    rewrite(copy, protocol=0)
    with pytest.raises(BundleError, match="protocol 0") as raised:
        open_bundle(copy)
    assert raised.value.hint == "train again"


def test_a_bundle_of_an_older_protocol_stays_one_where_it_is_written_again(copy):
    as_protocol_1(copy)
    old = open_bundle(copy)
    new = copy.with_name("new")
    assert write_bundle(new, old) == old.hash
    assert (open_bundle(new).encoder, open_bundle(new).decoder) == (None, None)
    assert {path.name for path in new.iterdir()} == {*FILES, "manifest.json"}


def test_a_bundle_of_protocol_1_made_by_hand_is_read(copy):
    assert open_bundle(copy, as_protocol_1(copy)).threshold > 0


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"protocol": 1, "files": 3}', "[" * 100_000], ids=range(5))
def test_a_broken_manifest_is_refused(copy, text):
    (copy / "manifest.json").write_text(text)
    with pytest.raises(BundleError, match="manifest"):
        open_bundle(copy)


def test_another_hash_than_recorded_is_refused(detector):
    with pytest.raises(BundleError, match="as recorded"):
        open_bundle(detector.folder, "0" * 64)


def test_a_pickled_calibration_is_never_loaded(copy):
    np.save(copy / "calibration.npy", np.array([{"a": 1}], dtype=object), allow_pickle=True)
    files = json.loads((copy / "manifest.json").read_bytes())["files"]
    files["calibration.npy"] = hashlib.sha256((copy / "calibration.npy").read_bytes()).hexdigest()
    rewrite(copy, files=files)
    with pytest.raises(BundleError, match="cannot be read"):
        open_bundle(copy)


def test_no_bundle_is_overwritten(detector):
    with pytest.raises(BundleError, match="exists already"):
        write_bundle(detector.folder, open_bundle(detector.folder))


def test_no_folder_is_a_clear_error(tmp_path):
    with pytest.raises(BundleError, match="no bundle"):
        open_bundle(tmp_path / "none")
