from __future__ import annotations

import subprocess
import sys
from dataclasses import replace

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.metrics import roc_auc_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.validation import check_is_fitted

from models.autoencoder import Autoencoder
from models.bundle import open_bundle, write_bundle
from models.row_source import ParquetRows
from models.thresholds import by_method
from schemas.errors import BundleError, ConfigError, TrainingFailed, UnreadableInput

WIDTH = 9
NAMES = [f"sensor {at}" for at in range(WIDTH)]
QUICK = {"hidden": (24,), "code": 3, "epochs": 25, "batch_size": 64, "learning_rate": 5e-3}


def made_rows(rows, seed=0):
    """Three hidden numbers decide all others; each column has a scale and an offset of its own."""
    random = np.random.default_rng(seed)
    mixing = np.random.default_rng(99).normal(size=(3, WIDTH))
    plain = np.tanh(random.normal(size=(rows, 3)) @ mixing) + 0.05 * random.normal(size=(rows, WIDTH))
    return plain * np.arange(1, WIDTH + 1) ** 2 + 10.0 * np.arange(WIDTH)


@pytest.fixture(scope="module")
def rows():
    return made_rows(1500)


@pytest.fixture(scope="module")
def fitted(rows):
    return Autoencoder("dense", **QUICK).fit(rows)


@pytest.fixture(scope="module")
def on_a_frame(rows):
    return Autoencoder("variational", **QUICK).fit(pd.DataFrame(rows, columns=NAMES))


def test_it_reconstructs_rows_on_their_own_scale(fitted):
    new = made_rows(500, seed=1)
    lost = np.square(new - fitted.reconstruct(new)).mean(axis=0)
    assert (lost < 0.5 * new.var(axis=0)).all()


def test_decode_is_the_way_back_from_encode(fitted, rows):
    codes = fitted.encode(rows[:50])
    assert codes.shape == (50, 3)
    assert codes.dtype == np.float32
    assert np.allclose(fitted.decode(codes), fitted.reconstruct(rows[:50]), rtol=1e-4, atol=1e-4)


def test_rows_that_do_not_hang_together_score_high(fitted):
    new = made_rows(500, seed=1)
    odd = np.random.default_rng(0).permuted(new, axis=0)
    labels = np.repeat([0, 1], 500)
    assert roc_auc_score(labels, fitted.score(np.concatenate([new, odd]))) > 0.95
    assert (fitted.predict(odd) == -1).mean() > 0.7
    assert (fitted.predict(new) == -1).mean() < 0.05
    assert np.array_equal(fitted.predict(odd) == -1, fitted.decision_function(odd) < 0)
    assert np.median(fitted.p_value(odd)) < 0.02
    assert np.median(fitted.p_value(new)) > 0.2


@pytest.mark.parametrize("method", ["quantile", "p_value", "tail"])
def test_the_threshold_comes_about_as_asked(rows, method, tmp_path):
    asked = Autoencoder("dense", **{**QUICK, "epochs": 2}, threshold_method=method, alert_share=0.04).fit(rows)
    scores = asked._contents.calibration
    assert asked.threshold == by_method(method, scores, 0.04)
    assert np.mean(scores > asked.threshold) == pytest.approx(0.04, abs=0.01)
    if method == "p_value":
        assert np.array_equal(asked.predict(rows) == -1, asked.p_value(rows) <= 0.04)
    asked.save(tmp_path / "kept")
    assert Autoencoder.load(tmp_path / "kept").threshold_method == method


def test_a_bundle_from_before_the_methods_reads_as_a_quantile(fitted, tmp_path):
    settings = {name: v for name, v in fitted._contents.detector["settings"].items() if name != "threshold_method"}
    old = replace(fitted._contents, detector={**fitted._contents.detector, "settings": settings})
    write_bundle(tmp_path / "old", old)
    read = Autoencoder.load(tmp_path / "old")
    assert (read.threshold_method, read.threshold) == ("quantile", fitted.threshold)


def test_the_same_seed_gives_the_same_detector_and_another_seed_another(fitted, rows):
    again, other = (Autoencoder("dense", seed=seed, **QUICK).fit(rows) for seed in (0, 1))
    assert np.array_equal(again.score(rows), fitted.score(rows))
    assert not np.array_equal(other.score(rows), fitted.score(rows))


@pytest.mark.parametrize(
    "form",
    [
        pytest.param(pl.from_pandas, id="polars"),
        pytest.param(pa.Table.from_pandas, id="Arrow"),
        pytest.param(lambda frame: frame[NAMES[::-1]], id="other order of columns"),
        pytest.param(lambda frame: frame.assign(more="x"), id="further columns"),
        pytest.param(pd.DataFrame.to_numpy, id="no names"),
    ],
)
def test_every_form_of_the_same_rows_scores_alike(on_a_frame, form):
    frame = pd.DataFrame(made_rows(40, seed=2), columns=NAMES)
    assert np.array_equal(on_a_frame.score(form(frame)), on_a_frame.score(frame))


def test_it_has_scikit_learns_habits(fitted, rows):
    assert fitted.get_params()["hidden"] == (24,)
    assert clone(fitted).set_params(code=2).get_params()["code"] == 2
    assert fitted.n_features_in_ == WIDTH
    check_is_fitted(fitted)
    with pytest.raises(NotFittedError):
        check_is_fitted(clone(fitted))
    pipeline = make_pipeline(StandardScaler(), Autoencoder("dense", **{**QUICK, "epochs": 2})).fit(rows)
    assert pipeline.transform(rows).shape == (1500, 3)
    assert set(pipeline.predict(rows)) <= {1, -1}


def test_what_is_not_fitted_says_so():
    with pytest.raises(NotFittedError, match="not fitted yet"):
        Autoencoder().score([[1.0]])


def test_missing_values_count_as_the_columns_median(fitted, rows):
    missing, filled = rows[:20].copy(), rows[:20].copy()
    missing[:, 4] = np.nan
    filled[:, 4] = fitted._contents.transform.encoders[4].fill
    assert np.array_equal(fitted.score(missing), fitted.score(filled))
    assert np.isfinite(fitted.score(np.full((2, WIDTH), np.nan))).all()


def test_infinities_score_higher_than_anything_that_was_there(fitted, rows):
    infinite = rows[:4].copy()
    infinite[0, 2], infinite[1, 2] = np.inf, -np.inf
    scores = fitted.score(infinite)
    assert np.isfinite(scores).all()
    assert (scores[:2] > fitted.score(rows).max()).all()


def test_a_constant_column_is_no_trouble(rows):
    constant = rows.copy()
    constant[:, 3] = 1e9
    detector = Autoencoder("dense", **{**QUICK, "epochs": 3}).fit(constant)
    assert np.isfinite(detector.score(constant)).all()
    moved = constant[:1].copy()
    moved[0, 3] += 1e3
    assert detector.score(moved)[0] > detector.score(constant).max()


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        pytest.param(lambda rows: rows[:1], "1 rows are too few: an autoencoder needs at least 20", id="one row"),
        pytest.param(lambda rows: rows[:, :0], "the rows have no column", id="no column"),
        pytest.param(
            lambda rows: np.where(rows == rows[3, 2], np.inf, rows), "first in column 2, row 4", id="infinity"
        ),
        pytest.param(
            lambda rows: np.column_stack([rows, np.full(len(rows), np.nan)]),
            "all values are missing in column 9",
            id="empty column",
        ),
        pytest.param(
            lambda rows: pd.DataFrame(rows, columns=NAMES).assign(kind="x"), "column 'kind' holds no", id="text"
        ),
    ],
)
def test_rows_that_nothing_can_be_learned_from_are_refused(rows, spoil, said):
    with pytest.raises(UnreadableInput, match=said) as refused:
        Autoencoder("dense", **QUICK).fit(spoil(rows))
    assert refused.value.hint


@pytest.mark.parametrize(
    ("call", "said"),
    [
        pytest.param(
            lambda it: it.score(np.zeros((2, 4))), "have 4 columns, and the autoencoder was fitted on 9", id="score"
        ),
        pytest.param(lambda it: it.encode(np.zeros((2, 10))), "have 10 columns", id="encode"),
        pytest.param(lambda it: it.decode(np.zeros((2, 4))), "codes have 4 numbers, and must have 3", id="decode"),
        pytest.param(lambda it: it.score(np.zeros(WIDTH)), "have 1 dimensions", id="one row without its dimension"),
    ],
)
def test_a_wrong_width_says_which_is_right(fitted, call, said):
    with pytest.raises(UnreadableInput, match=said):
        call(fitted)


def test_columns_that_are_missing_later_are_named(on_a_frame):
    with pytest.raises(UnreadableInput, match="these are missing: sensor 1"):
        on_a_frame.score(pd.DataFrame(made_rows(3), columns=NAMES).drop(columns="sensor 1"))


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"family": "densse"}, "did you mean `dense`"),
        ({"loss": "mes"}, "did you mean `mse`"),
        ({"options": {"tide": True}}, "did you mean `tied`"),
        ({"scaling": "log"}, "scaling is 'log'"),
        ({"epochs": 0}, "epochs is 0, and must be above 0"),
        ({"trim": 1.0}, "trim is 1.0"),
        ({"alert_share": 0.0}, "share of alerts is 0.0, and must be above 0"),
        ({"threshold_method": "budget"}, "no threshold comes about by 'budget'"),
        ({"hidden": (0,)}, "hidden.0 is 0"),
    ],
)
def test_a_wrong_setting_is_told_when_it_is_fitted(rows, settings, said):
    with pytest.raises(ConfigError, match=said):
        Autoencoder(**{"family": "dense", **settings}).fit(rows)


def test_a_loss_of_values_within_0_and_1_refuses_others_and_takes_them(rows):
    settings = {**QUICK, "epochs": 2, "loss": "binary_crossentropy"}
    with pytest.raises(TrainingFailed, match="needs values within 0 and 1") as refused:
        Autoencoder("dense", **settings).fit(rows)
    assert "minmax" in refused.value.hint
    squeezed = (rows - rows.min(axis=0)) / np.ptp(rows, axis=0)
    detector = Autoencoder("dense", **settings, scaling="none").fit(squeezed)
    assert 0 <= detector.reconstruct(squeezed).min() < detector.reconstruct(squeezed).max() <= 1
    scaled = Autoencoder("dense", **settings, scaling="minmax").fit(rows).reconstruct(rows)
    assert (scaled >= rows.min(axis=0)).all()
    assert (scaled <= rows.max(axis=0)).all()


def test_generated_rows_hang_together_like_real_ones(on_a_frame):
    made = on_a_frame.generate(300, seed=1)
    assert made.shape == (300, WIDTH)
    assert np.array_equal(made, on_a_frame.generate(300, seed=1))
    assert not np.array_equal(made, on_a_frame.generate(300, seed=2))
    mixed = np.random.default_rng(0).permuted(made, axis=0)
    assert np.median(on_a_frame.score(made)) < np.median(on_a_frame.score(mixed))


def test_a_family_without_a_prior_does_not_generate(fitted):
    with pytest.raises(ConfigError, match="dense has no prior") as refused:
        fitted.generate(3)
    assert "variational" in refused.value.hint


def test_what_was_saved_is_the_same_detector(on_a_frame, tmp_path):
    saved = on_a_frame.save(tmp_path / "bundle")
    again = Autoencoder.load(tmp_path / "bundle", saved)
    frame = pd.DataFrame(made_rows(40, seed=2), columns=NAMES)
    assert np.array_equal(again.score(frame), on_a_frame.score(frame))
    assert np.array_equal(again.encode(frame), on_a_frame.encode(frame))
    assert np.array_equal(again.generate(5), on_a_frame.generate(5))
    assert again.get_params() == on_a_frame.get_params()
    assert list(again.feature_names_in_) == NAMES
    assert again.save(tmp_path / "again") == saved


def test_loading_needs_no_tensorflow(fitted, rows, tmp_path):
    fitted.save(tmp_path / "bundle")
    np.save(tmp_path / "rows.npy", rows[:30])
    code = (
        "import sys, numpy as np; from models.autoencoder import Autoencoder\n"
        "it = Autoencoder.load(sys.argv[1]); np.save(sys.argv[3], it.score(np.load(sys.argv[2])))\n"
        "assert 'tensorflow' not in sys.modules and 'keras' not in sys.modules"
    )
    paths = [str(tmp_path / name) for name in ("bundle", "rows.npy", "scores.npy")]
    subprocess.run([sys.executable, "-P", "-c", code, *paths], check=True)
    assert np.array_equal(np.load(tmp_path / "scores.npy"), fitted.score(rows[:30]))


def test_a_bundle_that_was_changed_is_not_loaded(fitted, tmp_path):
    fitted.save(tmp_path / "bundle")
    with (tmp_path / "bundle" / "encoder.onnx").open("ab") as file:
        file.write(b"x")
    with pytest.raises(BundleError, match=r"'encoder\.onnx' was changed"):
        Autoencoder.load(tmp_path / "bundle")


def test_a_bundle_of_a_night_says_how_to_score_with_it(detector):
    with pytest.raises(ConfigError, match="bundle of a dataset's night"):
        Autoencoder.load(detector.folder)


def test_it_starts_from_an_earlier_one_in_memory_or_from_disk(fitted, rows, tmp_path):
    fitted.save(tmp_path / "bundle")
    for earlier in (fitted, Autoencoder.load(tmp_path / "bundle")):
        warm = Autoencoder("dense", **{**QUICK, "epochs": 2}).fit(rows, start_from=earlier)
        assert warm.curve_.held_out[0] < 0.5 * fitted.curve_.held_out[0]


def test_it_starts_from_none_of_another_shape(fitted, rows):
    with pytest.raises(ConfigError, match=r"start_from has .* weights, and this autoencoder has"):
        Autoencoder("dense", **{**QUICK, "code": 4}).fit(rows, start_from=fitted)


@pytest.mark.parametrize(
    ("family", "options"),
    [("dense", {}), ("dense", {"tied": True}), ("denoising", {}), ("robust", {}), ("stacked", {})],
)
def test_a_codes_activation_may_be_another_than_the_hidden_layers(rows, family, options):
    settings = {**QUICK, "epochs": 1, "options": {**options, "code_activation": "sigmoid"}}
    codes = Autoencoder(family, **settings).fit(rows).encode(100 * rows)
    assert 0 <= codes.min() < 0.1
    assert 0.9 < codes.max() <= 1


def test_budgets_of_seconds_and_rows_stop_a_training_with_what_it_has(rows):
    by_rows = Autoencoder("dense", **QUICK, rows=3 * 1050).fit(rows)
    assert (by_rows.curve_.ended, len(by_rows.curve_.loss)) == ("rows", 3)
    by_seconds = Autoencoder("dense", **QUICK, seconds=1e-9).fit(rows)
    assert (by_seconds.curve_.ended, len(by_seconds.curve_.loss)) == ("seconds", 1)


def test_rows_larger_than_memory_are_read_from_parquet_files(rows, tmp_path):
    for at, part in enumerate(np.array_split(made_rows(6000, seed=4), 3)):
        frame = pd.DataFrame(part, columns=NAMES)
        frame.to_parquet(tmp_path / f"{at}.parquet", row_group_size=300)
    source = ParquetRows(sorted(tmp_path.glob("*.parquet")), chunk_rows=900)
    streamed = Autoencoder("dense", **QUICK).fit(source)
    whole = Autoencoder("dense", **QUICK).fit(pd.concat(map(pd.read_parquet, sorted(tmp_path.glob("*.parquet")))))
    frame = pd.DataFrame(rows, columns=NAMES)
    assert np.isclose(streamed.reconstruct(frame), whole.reconstruct(frame), atol=1.5 * rows.std(axis=0)).all()
    assert streamed.curve_.held_out[-1] < 1.3 * whole.curve_.held_out[-1]
    odd = np.random.default_rng(0).permuted(rows, axis=0)
    assert roc_auc_score(np.repeat([0, 1], 1500), streamed.score(np.concatenate([rows, odd]))) > 0.95
    assert 0.002 < (streamed.predict(frame) == -1).mean() < 0.05
    for mine, theirs in zip(streamed._contents.transform.encoders, whole._contents.transform.encoders, strict=True):
        assert (mine.low, mine.high) == pytest.approx((theirs.low, theirs.high), rel=0.2)
        assert (mine.center, mine.scale) == pytest.approx((theirs.center, theirs.scale), rel=0.1, abs=0.1)


def test_the_bundle_holds_what_made_it(fitted, tmp_path):
    fitted.save(tmp_path / "bundle")
    found = open_bundle(tmp_path / "bundle").detector
    assert found["code"] == {"size": 3, "has_prior": False, "classes": 0}
    assert found["settings"]["family"] == found["family"] == "dense"
    assert found["training"]["moved"] > 0
