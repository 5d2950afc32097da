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
