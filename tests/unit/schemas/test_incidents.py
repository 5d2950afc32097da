"""The block `incidents` of a dataset file: what is refused, with where and why."""

from __future__ import annotations

from datetime import timedelta

import pytest
from pydantic import ValidationError

from schemas.incidents import AllowRule, IncidentSettings


def test_nobody_must_write_it(make_dataset):
    settings = make_dataset().incidents
    assert settings == IncidentSettings()
    assert (settings.gap, settings.quiet_nights, settings.allow) == (timedelta(hours=6), 3, ())


def test_a_rule_reads_one_name_or_several():
    rule = AllowRule.model_validate(
        {"reason": "backup", "entity": "build-*", "values": {"proto": "tcp", "quick": True}}
    )
    assert (rule.entity, rule.column) == (("build-*",), ())
    assert AllowRule(reason="x", column=["sent", "got"]).column == ("sent", "got")


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"allow": [{"reason": "everything"}]}, "a rule names an `entity`, a `column` or `values`"),
        ({"allow": [{"entity": "h1"}]}, "reason"),
        ({"allow": [{"reason": "x", "entity": ""}]}, "entity"),
        ({"allow": [{"reason": "x", "entity": "h1", "until": "soon"}]}, "until"),
        ({"agreement": 0.0}, "agreement"),
        ({"agreement": 1.1}, "agreement"),
        ({"gap": "six hours"}, "a length of time such as 90m"),
        ({"quiet_nights": 0}, "quiet_nights"),
        ({"spread": 1}, "spread"),
        ({"worse_times": 1.0}, "worse_times"),
        ({"severity": {"far": [2.0, 1.0]}}, "the smaller one first"),
        ({"severity": {"many": [0.0, float("nan")]}}, "the smaller one first"),
        ({"mute": True}, "mute"),
    ],
    ids=str,
)
def test_what_makes_no_sense_is_refused(make_dataset, settings, told):
    with pytest.raises(ValidationError, match="incidents") as refused:
        make_dataset(incidents=settings)
    assert told in str(refused.value)


@pytest.mark.parametrize(
    ("rule", "told"),
    [
        ({"column": "sennt"}, r"incidents.allow\[0\].column names the column `sennt`.*did you mean `sent`"),
        ({"values": {"colour": "red"}}, r"incidents.allow\[0\].values names the column `colour`"),
    ],
)
def test_a_rule_names_columns_that_there_are(make_dataset, rule, told):
    with pytest.raises(ValidationError, match=told):
        make_dataset(incidents={"allow": [{"reason": "x", **rule}]})


def test_a_rule_about_entities_needs_a_dataset_that_has_some(make_dataset):
    with pytest.raises(ValidationError, match="the dataset has no `entity`"):
        make_dataset(entity=None, incidents={"allow": [{"reason": "x", "entity": "h1"}]})
