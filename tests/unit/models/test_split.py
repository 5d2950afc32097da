from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from models.split import bounded, split
from schemas.errors import TrainingFailed


def made(rows, keys=None):
    random = np.random.default_rng(0)
    # The smallest hashes only, as a night's sample has them.
    hashes = np.sort(random.integers(0, 2**63 // 50, keys or rows))[np.arange(rows) % (keys or rows)]
    return pd.DataFrame({"sereno_hash": hashes, "sereno_key": hashes.astype(str), "sereno_line": np.arange(rows)})


def parts_of(sample):
    parts = split(sample)
    return {name: set(getattr(parts, name).sereno_hash) for name in ("fit", "stop", "calibrate")}


@pytest.mark.parametrize("rows", [20, 50, 499, 5000])
def test_three_disjoint_parts_of_about_the_planned_size(rows):
    sample = made(rows)
    parts = parts_of(sample)
    assert not parts["fit"] & parts["stop"] | parts["fit"] & parts["calibrate"] | parts["stop"] & parts["calibrate"]
    sizes = [len(part) / rows for part in parts.values()]
    assert sum(sizes) == 1
    assert sizes == pytest.approx([0.7, 0.1, 0.2], abs=0.06)


def test_rows_of_one_key_are_in_one_part():
    parts = parts_of(made(3000, keys=1000))
    assert sum(map(len, parts.values())) == 1000


def test_the_order_of_rows_decides_nothing():
    sample = made(2000)
    shuffled = sample.sample(frac=1, random_state=1)
    assert parts_of(sample) == parts_of(shuffled)
    assert bounded(sample, 300).equals(bounded(shuffled, 300))


def test_a_key_stays_in_its_part_when_the_sample_grows():
    sample = made(2000)
    small, large = parts_of(sample.iloc[:1000]), parts_of(sample)
    assert small["fit"] <= large["fit"]
    assert small["calibrate"] <= large["calibrate"]


def test_a_bound_keeps_as_many_rows_from_all_over():
    kept = bounded(made(5000), 1000)
    assert len(kept) == 1000
    assert 2200 < kept.sereno_line.median() < 2800


@pytest.mark.parametrize(("rows", "keys"), [(1, 1), (19, 19), (500, 3)])
def test_too_few_keys_are_a_clear_error(rows, keys):
    with pytest.raises(TrainingFailed, match=f"{rows} rows with {keys} different keys"):
        split(made(rows, keys))
