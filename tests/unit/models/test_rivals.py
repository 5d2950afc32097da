"""Classical rivals: the numbers of their plain arrays are scikit-learn's, and each row is looked at by itself."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.ensemble import IsolationForest
from sklearn.neighbors import LocalOutlierFactor, NearestNeighbors

from models.calibration import scores_of
from models.rivals import Given, rival, rivals
from models.rivals.lof import COUNT
from models.split import bounded, split
from models.transform import fit_transform
from schemas.errors import ConfigError

NAMES = ("pca", "k_means", "nearest", "lof", "isolation_forest")


@pytest.fixture(scope="module")
def given(make_dataset, make_rows):
    dataset = make_dataset()
    parts = split(bounded(make_rows(2500).to_pandas(), 2500))
    transform = fit_transform(parts.fit, dataset.features)
    return Given(transform.apply(parts.fit), transform.apply(parts.stop), transform, seed=3)


@pytest.fixture(scope="module")
def fitted(given):
    return {name: kind.fit(given) for name, kind in rivals().items()}


@pytest.fixture(scope="module")
def rows(given, make_rows):
    return given.transform.apply(make_rows(1300, seed=4, start=70_000).to_pandas())


def test_people_read_them_in_one_order():
    assert tuple(rivals()) == NAMES
    with pytest.raises(ConfigError, match="no rival 'svm'; there are pca, k_means"):
        rival("svm")


def test_the_forests_arrays_score_as_scikit_learns_objects(given, fitted, rows):
    forest = IsolationForest(n_estimators=100, max_samples=256, random_state=3).fit(given.fit)
    inside = np.expm1(fitted["isolation_forest"].score(rows))
    assert np.allclose(inside, -forest.score_samples(rows), rtol=0, atol=1e-8)


def test_the_local_outlier_factor_is_scikit_learns(given, fitted, rows):
    lof = LocalOutlierFactor(n_neighbors=COUNT, novelty=True, algorithm="brute").fit(given.fit.astype(np.float64))
    inside = fitted["lof"].look(rows)[1].sum(axis=1)
    assert np.allclose(inside, -lof.score_samples(rows.astype(np.float64)), rtol=1e-5)


def test_the_distance_to_near_rows_is_scikit_learns(given, fitted, rows):
    near = NearestNeighbors(n_neighbors=5).fit(given.fit.astype(np.float64)).kneighbors(rows.astype(np.float64))[0]
    assert np.allclose(fitted["nearest"].look(rows)[1].sum(axis=1), near.mean(axis=1), rtol=1e-5)


def test_k_means_is_the_squared_distance_to_the_nearest_centroid(fitted, rows):
    centroids = fitted["k_means"].centroids.astype(np.float64)
    squares = np.square(rows[:, None, :].astype(np.float64) - centroids).sum(axis=2)
    assert np.allclose(fitted["k_means"].look(rows)[1].sum(axis=1), squares.min(axis=1), rtol=1e-6)


@pytest.mark.parametrize("name", NAMES)
def test_a_row_gets_the_same_number_alone_and_among_many(fitted, rows, name):
    whole = fitted[name].score(rows)
    assert np.array_equal(whole[7:8], fitted[name].score(rows[7:8]))
    assert np.array_equal(whole[::3], fitted[name].score(rows[::3]))


@pytest.mark.parametrize("name", NAMES)
def test_parts_are_not_negative_and_add_up_to_the_score(fitted, rows, name):
    expected, parts = fitted[name].look(rows)
    assert expected.shape == rows.shape
    assert parts.shape == (len(rows), len(fitted[name].starts))
    assert (parts >= 0).all()
    assert np.array_equal(scores_of(parts), fitted[name].score(rows))


# Components bend towards a value far out, so PCA is asked with its mends, see test_rival_bundle.
@pytest.mark.parametrize("name", NAMES[1:])
def test_the_column_that_is_far_out_has_the_largest_part(given, fitted, make_rows, name):
    frame = make_rows(60, seed=8, start=80_000).to_pandas()
    spoilt = given.transform.apply(frame.assign(ratio=frame["ratio"] + 40.0))
    largest = np.argmax(fitted[name].look(spoilt)[1], axis=1)
    at = list(given.transform.columns).index("ratio")
    assert np.mean(largest == at) > 0.9


@pytest.mark.parametrize("name", NAMES)
def test_the_same_rows_and_seed_fit_the_same(given, fitted, name):
    again = rival(name).fit(given).arrays()
    assert all(np.array_equal(array, again[key]) for key, array in fitted[name].arrays().items())


@pytest.mark.parametrize("name", NAMES)
def test_arrays_hold_all_of_it(fitted, rows, name):
    own = fitted[name]
    saved = {key: np.asarray(array, dtype=np.float64) for key, array in own.arrays().items()}
    assert np.array_equal(rival(name).read(saved, own.starts, rows.shape[1]).score(rows), own.score(rows))


@pytest.mark.parametrize("name", NAMES)
def test_arrays_that_do_not_fit_are_refused(fitted, rows, name):
    own = fitted[name]
    saved = {key: np.asarray(array, dtype=np.float64) for key, array in own.arrays().items()}
    with pytest.raises(ValueError, match="the rival"):
        rival(name).read(saved, own.starts, rows.shape[1] + 1)
    first = next(iter(saved))
    with pytest.raises(ValueError, match="not finite"):
        rival(name).read({**saved, first: np.full_like(saved[first], np.nan)}, own.starts, rows.shape[1])


@pytest.mark.parametrize("rows_fit", [14, 40])
def test_few_rows_will_do(given, rows_fit, rows):
    few = Given(given.fit[:rows_fit], given.stop[:2], given.transform, seed=1)
    for kind in rivals().values():
        assert np.isfinite(kind.fit(few).score(rows[:10])).all()
