"""What a detector makes of rows is what scoring and `embed` say of them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from models.bundle import open_bundle
from models.scoring import Scorer
from models.seen_rows import Eye


@pytest.fixture(scope="module")
def bundle(detector):
    return open_bundle(detector.folder, detector.hash)


def test_scores_are_those_of_scoring_and_parts_add_up_to_them(bundle, make_rows):
    frame = make_rows(50, seed=3).to_pandas()
    seen = Eye(bundle).look(frame)
    assert (seen.score == Scorer(bundle).score(frame).score).all()
    assert np.allclose(np.log1p(seen.parts.sum(axis=1)), seen.score)
    assert seen.parts.shape == (50, len(Eye(bundle).columns))
    assert seen.codes.shape == (50, 2)


def test_a_row_is_seen_the_same_alone_and_among_others(bundle, make_rows):
    frame, eye = make_rows(30, seed=4).to_pandas(), Eye(bundle)
    whole, alone = eye.look(frame), eye.look(frame.iloc[7:8])
    assert (whole.codes[7:8] == alone.codes).all()
    assert (whole.parts[7:8] == alone.parts).all()


def test_a_bundle_without_an_encoder_has_scores_and_no_codes(bundle, make_rows):
    seen = Eye(replace(bundle, encoder=None)).look(make_rows(5).to_pandas())
    assert seen.codes is None
    assert len(seen.score) == 5
