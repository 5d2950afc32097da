"""What the default family is, as a whole: `test_every_family.py` holds for it too."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pandas as pd
import pytest

from models.autoencoder import Autoencoder
from models.bundle import FILES, HALVES, BundleError, canonical_json, open_bundle, write_bundle
from models.fleet import FleetAutoencoder
from models.scoring import Scorer

SMALL = {"hidden": (24,), "code": 6, "epochs": 20}


def crowd(count, seed=0):
    """Rows of two crowds, one of them dense, with a heavy tail in the last column."""
    random = np.random.default_rng(seed)
    rows = random.normal(size=(count, 5)) * np.where(random.random(count) < 0.5, 0.2, 1.0)[:, None]
    rows[:, 1] += 2 * rows[:, 0]
    rows[:, 4] = np.exp(2 * rows[:, 4])
    return rows


ROWS, FRESH = crowd(900), crowd(300, seed=1)


def odd_rows():
    """The fresh rows with a broken pair."""
    rows = FRESH.copy()
    rows[:, 1] -= 6
    return rows


@pytest.fixture(scope="module")
def fitted():
    return Autoencoder("auto", **SMALL).fit(ROWS)


def test_it_finds_what_does_not_fit(fitted):
    usual, odd = fitted.score(FRESH), fitted.score(odd_rows())
    assert np.mean(odd > np.quantile(usual, 0.95)) > 0.9


def test_usual_rows_have_even_p_values(fitted):
    p_values = fitted.p_value(FRESH)
    assert np.abs(np.sort(p_values) - np.linspace(0, 1, len(p_values))).max() < 0.12


def test_a_score_is_a_rows_own(fitted):
    whole = fitted.score(FRESH)
    assert np.array_equal(fitted.score(FRESH[::2]), whole[::2])
    assert fitted.score(FRESH[7:8])[0] == whole[7]


def test_the_bundle_holds_all_of_it_and_no_code(fitted, tmp_path):
    found = fitted.save(tmp_path / "bundle")
    again = Autoencoder.load(tmp_path / "bundle", found)
    assert np.array_equal(again.score(FRESH), fitted.score(FRESH))
    bundle = open_bundle(tmp_path / "bundle")
    assert bundle.protocol == 5
    assert bundle.neighbours is not None
    manifest = json.loads((tmp_path / "bundle" / "manifest.json").read_text())
    assert {"reference.npy", "ranks.npy"} == set(manifest["files"]) - {*FILES, *HALVES}


@pytest.mark.parametrize(
    ("name", "spoil"),
    [
        ("reference.npy", lambda saved: saved[:, 1:]),
        ("ranks.npy", lambda saved: saved[0]),
        ("ranks.npy", lambda saved: saved + np.array([99.0, *[0.0] * (saved.shape[1] - 1)])),
    ],
)
def test_a_reference_that_fits_nothing_is_refused(fitted, tmp_path, monkeypatch, name, spoil):
    from models import bundle as module

    files = module._files

    def spoilt(contents):
        good = files(contents)
        return {**good, name: module._saved(spoil(module._loaded(good[name])))}

    monkeypatch.setattr(module, "_files", spoilt)
    fitted.save(tmp_path / "bundle")
    with pytest.raises(BundleError, match=name.split(".")[0]):
        open_bundle(tmp_path / "bundle")


@pytest.mark.parametrize("at", [0, 1])
@pytest.mark.parametrize("level", [{"floor": -1.0}, {"weight": 0.0}, {"rise": 1.0}], ids=str)
def test_a_level_that_says_nothing_is_refused(fitted, tmp_path, level, at):
    spoilt = spoilt_facts(fitted, lambda near: near["levels"][at].update(level))
    write_bundle(tmp_path / "bundle", spoilt)
    with pytest.raises(BundleError, match=r"level|rise"):
        open_bundle(tmp_path / "bundle")


@pytest.mark.parametrize(
    "spoil",
    [
        lambda near: near["levels"].pop(),
        lambda near: near["levels"].append(near["levels"][0]),
        lambda near: near.pop("bent"),
        lambda near: near["bent"].update(beside=-1.0),
        lambda near: near["bent"].update(beyond=0.0),
        lambda near: near.update(count=900),
    ],
)
def test_facts_of_near_rows_that_do_not_fit_are_refused(fitted, tmp_path, spoil):
    write_bundle(tmp_path / "bundle", spoilt_facts(fitted, spoil))
    with pytest.raises(BundleError, match="the bundle cannot be read"):
        open_bundle(tmp_path / "bundle")


def spoilt_facts(fitted, spoil):
    """What a bundle of a fitted detector holds, with another word on near rows."""
    detector = json.loads(json.dumps(fitted._fitted.detector))
    spoil(detector["neighbours"])
    return dataclasses.replace(fitted._fitted, detector=detector)


def test_how_the_scale_was_bent_is_the_bundles_own(fitted, tmp_path, monkeypatch):
    fitted.save(tmp_path / "bundle")
    scores = fitted.score(FRESH)
    monkeypatch.setattr("models.ranks.SCALE", 3.0)
    monkeypatch.setattr("models.ranks.BEYOND", 1.0)
    assert np.array_equal(Autoencoder.load(tmp_path / "bundle").score(FRESH), scores)


def test_the_near_rows_of_protocol_3_say_to_train_again(fitted, tmp_path):
    folder = tmp_path / "bundle"
    fitted.save(folder)
    (folder / "spread.npy").write_bytes((folder / "ranks.npy").read_bytes())
    manifest = json.loads((folder / "manifest.json").read_text())
    files = manifest["files"] | {"spread.npy": manifest["files"]["ranks.npy"]}
    (folder / "manifest.json").write_bytes(canonical_json({"protocol": 3, "files": files}))
    with pytest.raises(BundleError, match="protocol 3, this version reads 1, 2, 4, 5") as raised:
        open_bundle(folder)
    assert raised.value.hint == "train again"
    write_bundle(folder, fitted._fitted, replace=True)
    assert open_bundle(folder).protocol == 5


def test_contributions_name_the_column(fitted):
    rows = FRESH[:40].copy()
    rows[:, 2] += 9
    frame = pd.DataFrame(rows, columns=list(fitted._fitted.transform.columns))
    scores = Scorer(fitted._fitted).score(frame)
    first = [row[0]["column"] for row in scores.contributions.to_pylist()]
    assert first.count("x2") > 35


def test_centroids_leave_no_row_in_the_bundle():
    fitted = Autoencoder("auto", **SMALL, options={"reference": "centroids"}).fit(ROWS)
    neighbours = fitted._fitted.neighbours
    encoded = fitted._fitted.transform.apply(pd.DataFrame(ROWS, columns=list(fitted._fitted.transform.columns)))
    assert not (neighbours.reference[:, None] == neighbours.ranks.bend(encoded)[None]).all(axis=2).any()
    assert np.mean(fitted.score(odd_rows()) > np.quantile(fitted.score(FRESH), 0.95)) > 0.9


def test_of_a_sample_more_near_rows_count_than_of_all(fitted):
    assert fitted._fitted.neighbours.count == 2
    sampled = Autoencoder("auto", **SMALL, options={"reference_rows": 300}).fit(ROWS)
    assert sampled._fitted.neighbours.count == 12
    assert sampled._fitted.judge.near.residuals.weight == pytest.approx(1 - 300 / 900 / 4)
    centroids = Autoencoder("auto", **SMALL, options={"reference": "centroids"}).fit(ROWS)
    assert centroids._fitted.judge.near.residuals.weight == pytest.approx(1 - 1 / 5 / 4)
    given = Autoencoder("auto", **SMALL, options={"neighbours": 4}).fit(ROWS)
    assert given._fitted.neighbours.count == 4


def test_without_neighbours_it_is_an_ensemble_alone():
    fitted = Autoencoder("auto", **SMALL, options={"neighbours": 0}).fit(ROWS)
    assert fitted._fitted.neighbours is None
    assert fitted._fitted.protocol == 2
    assert fitted.score(odd_rows()).mean() > fitted.score(FRESH).mean()


def test_members_differ_and_their_mean_is_what_scores():
    from models.families import family
    from models.tensorflow_import import import_tensorflow
    from models.trainer import Budget, train
    from models.workshop import Workpiece

    import_tensorflow()
    chosen = family("auto")
    piece = Workpiece(chosen.build(5, chosen.with_options({"hidden": (16,), "code": 4, "members": 3})), 5)
    rows = ROWS.astype(np.float32).clip(-5, 5)
    budget = Budget(epochs=5, patience=5, batch_size=64, learning_rate=5e-3, trim=0.0, seconds=600.0)
    train(piece, rows[:700], rows[700:], budget, seed=1)
    each = np.asarray(piece.network.members.each(rows[:50], training=False))
    assert each.shape == (3, 50, 5)
    assert each.std(axis=0).mean() > 1e-3
    assert np.asarray(piece.network.model(rows[:50], training=False)) == pytest.approx(each.mean(axis=0), abs=1e-5)
    by_untaught = piece.network.members.by_untaught(rows[:50])
    assert all(any(np.allclose(by_untaught[at], each[member, at]) for member in range(3)) for at in range(50))


def test_a_fleet_can_have_it():
    machines = np.repeat(["a", "b"], 450)
    fleet = FleetAutoencoder(Autoencoder("auto", **SMALL)).fit(ROWS, machines)
    scores = fleet.score(FRESH, np.repeat(["a", "b"], 150))
    assert np.isfinite(scores).all()
    assert fleet.of("a").score(FRESH[:150]) == pytest.approx(scores[:150], abs=1e-4)
