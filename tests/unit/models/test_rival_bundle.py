"""A classical detector as a bundle: protocol 4, scored and explained like any other, and nothing but numbers in it."""

from __future__ import annotations

import hashlib
import json

import numpy as np
import pytest

from models.bundle import OF_RIVAL, canonical_json, open_bundle, write_bundle
from models.checks import check_detector
from models.rival_bundle import given_of, write_rival
from models.rivals import rivals
from models.scoring import Scorer
from models.seen_rows import Eye
from models.split import bounded, split
from schemas.errors import BundleError

NAMES = tuple(rivals())


@pytest.fixture(scope="module")
def sample(make_rows):
    return make_rows(3000)


@pytest.fixture(scope="module")
def made(sample, detector, tmp_path_factory):
    """Every rival as a bundle, from the challenger's rows."""
    folder, challenger = tmp_path_factory.mktemp("rivals"), open_bundle(detector.folder)
    parts = split(bounded(sample.to_pandas(), 5000))
    given = given_of(challenger, parts, seed=7)
    return {name: write_rival(name, challenger, parts, given, folder / name) for name in NAMES}


def resigned(folder, **files):
    """Exchange files of a bundle, with a manifest that fits."""
    manifest = json.loads((folder / "manifest.json").read_bytes())
    for name, data in files.items():
        (folder / name).write_bytes(data)
        manifest["files"][name] = hashlib.sha256(data).hexdigest()
    (folder / "manifest.json").write_bytes(canonical_json(manifest))


@pytest.mark.parametrize("name", NAMES)
def test_every_check_of_a_detector_holds(made, name, sample):
    assert check_detector(made[name].bundle) == []
    assert check_detector(made[name].bundle, sample.to_pandas()) == []


@pytest.mark.parametrize("name", NAMES)
def test_it_is_protocol_4_and_the_same_again(made, name, tmp_path):
    bundle = open_bundle(made[name].bundle, made[name].bundle_hash)
    assert {path.name for path in bundle.folder.iterdir()} == {*OF_RIVAL, "manifest.json"}
    assert json.loads((bundle.folder / "manifest.json").read_bytes())["protocol"] == 4
    assert write_bundle(tmp_path / "again", bundle) == bundle.hash
    assert bundle.detector["family"] == name


@pytest.mark.parametrize("name", NAMES)
def test_usual_rows_have_p_values_and_about_as_many_alerts_as_asked(made, name, make_rows):
    scorer = Scorer(made[name].bundle)
    scores = scorer.score(make_rows(4000, seed=6, start=40_000).to_pandas(), top=0)
    assert np.mean(scores.p_value) == pytest.approx(0.5, abs=0.06)
    assert np.mean(scores.is_alert) == pytest.approx(0.02, abs=0.015)


@pytest.mark.parametrize("name", NAMES)
def test_the_column_that_is_far_out_is_named_first(made, name, make_rows):
    frame = make_rows(60, seed=8, start=80_000).to_pandas()
    scores = Scorer(made[name].bundle).score(frame.assign(ratio=frame["ratio"] + 40.0))
    first = [items[0]["column"] for items in scores.contributions.to_pylist()]
    assert np.mean(np.array(first) == "ratio") > 0.8
    # A random cut of the forest seldom meets the one column in which a row is wrong.
    assert scores.is_alert.all() or name == "isolation_forest"


def test_what_it_has_learnt_is_checked_before_it_is_used(made, tmp_path):
    import shutil

    whole = made["k_means"].bundle
    short = shutil.copytree(whole, tmp_path / "short")
    detector = json.loads((short / "detector.json").read_bytes())
    detector["rival"]["arrays"][0][1][0] -= 1
    resigned(short, **{"detector.json": canonical_json(detector)})
    with pytest.raises(BundleError, match="does not fit rival"):
        open_bundle(short)
    unknown = shutil.copytree(whole, tmp_path / "unknown")
    detector = json.loads((unknown / "detector.json").read_bytes())
    detector["rival"]["name"] = "os.system"
    resigned(unknown, **{"detector.json": canonical_json(detector)})
    with pytest.raises(BundleError, match="no rival"):
        open_bundle(unknown)


def test_a_pickled_array_is_never_loaded(made, tmp_path):
    import io
    import shutil

    folder = shutil.copytree(made["pca"].bundle, tmp_path / "pickled")
    saved = io.BytesIO()
    np.save(saved, np.array([{"a": 1}], dtype=object), allow_pickle=True)
    resigned(folder, **{"rival.npy": saved.getvalue()})
    with pytest.raises(BundleError, match="cannot be read"):
        open_bundle(folder)


def test_a_network_that_a_rival_has_not_is_told(made):
    scorer = Scorer(made["lof"].bundle)
    assert (scorer.bundle.onnx, scorer.bundle.keras, scorer.bundle.encoder) == (b"", b"", None)


def test_another_threshold_makes_another_bundle_of_the_same_detector(made, tmp_path, make_rows):
    from dataclasses import replace

    bundle, rows = open_bundle(made["nearest"].bundle), make_rows(40).to_pandas()
    write_bundle(tmp_path / "other", replace(bundle, detector={**bundle.detector, "threshold": 9.0}))
    other = Scorer(tmp_path / "other")
    assert other.threshold == 9.0
    assert np.array_equal(other.score(rows, top=0).score, Scorer(bundle).score(rows, top=0).score)


@pytest.mark.parametrize("name", NAMES)
def test_drift_sees_its_scores_and_no_codes(made, name, sample):
    bundle = open_bundle(made[name].bundle, made[name].bundle_hash)
    frame = sample.to_pandas().head(50)
    seen = Eye(bundle).look(frame)
    assert seen.codes is None
    assert (seen.score == Scorer(bundle).score(frame).score).all()
