from __future__ import annotations

import pytest
from pydantic import ValidationError

from schemas.dataset import Dataset


def dataset(*columns: str, key: tuple[str, ...] = ()) -> Dataset:
    return Dataset.model_validate(
        {"name": "x", "source": {"path": "x.csv"}, "key": key, "columns": {c: {"type": "number"} for c in columns}}
    )


@pytest.mark.parametrize(
    ("columns", "key", "words"),
    [
        (("a", "A"), (), "`a` and `A` differ only by case"),
        (("Night",), (), "`Night` is Sereno's own"),
        (("Score",), ("Score",), "`Score` is Sereno's own"),
    ],
)
def test_names_that_a_lake_table_cannot_hold_are_refused(columns, key, words):
    with pytest.raises(ValidationError, match=f"{words}.*source.rename"):
        dataset(*columns, key=key)


def test_other_names_are_taken_as_they_are():
    names = ("with blank", "com,ma", 'quo"te', "ünï 漢", "<script>", "{date}", "Score")
    assert tuple(dataset(*names).columns) == names


def test_a_detector_may_be_its_family_alone():
    raw = {"name": "x", "source": {"path": "x.csv"}, "columns": {"a": {"type": "number"}}}
    named = Dataset.model_validate({**raw, "detector": "auto"})
    assert named == Dataset.model_validate({**raw, "detector": {"family": "auto"}}) == Dataset.model_validate(raw)
    assert Dataset.model_validate({**raw, "detector": "dense"}).detector.family == "dense"
    with pytest.raises(ValidationError, match="family"):
        Dataset.model_validate({**raw, "detector": "No Family"})


def test_candidates_are_names_or_settings_and_inherit_the_detectors_own(make_dataset):
    entries = ["auto", {"family": "denoising", "noise": 0.3, "options": {"bounded": False}}]
    detector = make_dataset(detector={"epochs": 50, "code": 4, "options": {"x": 1}, "candidates": entries}).detector
    auto, denoising = detector.tried
    assert (auto.family, auto.epochs, auto.code, auto.noise, auto.options) == ("auto", 50, 4, None, {})
    assert (denoising.family, denoising.noise, denoising.options) == ("denoising", 0.3, {"bounded": False})
    assert auto.candidates == ()
    assert make_dataset().detector.tried == (make_dataset().detector,)


@pytest.mark.parametrize(
    ("entries", "said"),
    [
        (["auto", "auto"], "is the same as another one"),
        ([{"noise": 0.3}], "family"),
        ([{"family": "dense", "nois": 0.3}], "nois"),
        ([f"family{at}" for at in range(17)], "at most 16"),
    ],
)
def test_candidates_that_make_no_sense_are_refused(make_dataset, entries, said):
    with pytest.raises(ValueError, match=said):
        make_dataset(detector={"candidates": entries})
