"""The allow-list takes alerts by entity, column and value; they are counted by rule and in no incident."""

from __future__ import annotations

from datetime import date

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from schemas.tables import accepted_schema, scores_schema
from tasks.allowed_alerts import is_like
from tasks.night_incidents import find_incidents

NIGHT = date(2026, 9, 20)


@pytest.fixture
def found(tmp_path, make_dataset, make_rows):
    """The incidents of 12 rows of three hosts that are all alerts, by an allow-list."""
    rows = make_rows(12)

    def found(*rules, night=NIGHT):
        dataset = make_dataset(incidents={"allow": list(rules)})
        contributions = [
            {"column": "sent" if at % 2 else "got", "share": 0.9, "actual": "1", "expected": "0"} for at in range(12)
        ]
        columns = {name: rows[name] for name in ("flow_id", "sereno_key", "sereno_file", "sereno_line")}
        columns |= {"entity": rows["host"], "event_time": rows["start_time"], "score": pa.array([3.0] * 12)}
        columns |= {"p_value": pa.array([0.01] * 12), "is_alert": pa.array([True] * 12)}
        columns["contributions"] = pa.array(
            [[one] for one in contributions], scores_schema(dataset).field("contributions").type
        )
        schema = scores_schema(dataset)
        absent = {name: pa.nulls(12, schema.field(name).type) for name in schema.names if name not in columns}
        scores, accepted = tmp_path / "scores.parquet", [tmp_path / "a.parquet", tmp_path / "b.parquet"]
        pq.write_table(pa.table({**columns, **absent}).select(schema.names).cast(schema), scores)
        # Rows need not lie in the same parts, or in the same order, as their scores.
        pq.write_table(rows.cast(accepted_schema(dataset)).slice(5), accepted[0])
        pq.write_table(rows.cast(accepted_schema(dataset)).slice(0, 5), accepted[1])
        return find_incidents(dataset, night, [scores], accepted, threshold=2.0, rows=12)

    found.rows = rows
    return found


def counts(incidents):
    return [(rule.reason, rule.alerts) for rule in incidents.allowed]


def shown(incidents):
    return sorted(int(key) for group in incidents.groups for key in group.keys)


def test_without_a_rule_every_alert_is_in_an_incident(found):
    assert (counts(found()), shown(found())) == ([], list(range(12)))


@pytest.mark.parametrize(
    ("rule", "taken"),
    [
        ({"entity": "h1"}, {1, 4, 7, 10}),
        ({"entity": ["h0", "h2"]}, {0, 2, 3, 5, 6, 8, 9, 11}),
        ({"entity": "h*"}, set(range(12))),
        ({"entity": "H1"}, set()),
        ({"column": "sent"}, {1, 3, 5, 7, 9, 11}),
        ({"entity": "h1", "column": "sent"}, {1, 7}),
        ({"values": {"flow_id": 4}}, {4}),
        ({"values": {"flow_id": "4"}}, {4}),
        ({"values": {"flow_id": 4.5}}, set()),
        ({"entity": "h0", "values": {"flow_id": 4}}, set()),
        ({"values": {"note": '=SUM(A3) "q", née'}}, {3}),
        ({"values": {"start_time": "2026-08-29T10:40:03+00:00"}}, {3}),
    ],
    ids=str,
)
def test_a_rule_takes_what_all_of_it_says(found, rule, taken):
    incidents = found({"reason": "known", **rule})
    assert counts(incidents) == ([("known", len(taken))] if taken else [])
    assert shown(incidents) == sorted(set(range(12)) - taken)


def test_true_and_false_are_values_and_a_missing_one_is_none(found):
    quick, got = found.rows["quick"].to_pylist(), found.rows["got"].to_pylist()
    assert shown(found({"reason": "x", "values": {"quick": True}})) == [at for at in range(12) if not quick[at]]
    known = next(value for value in got if value is not None)
    assert counts(found({"reason": "x", "values": {"got": known}})) == [("x", 1)]


@pytest.mark.parametrize(
    ("name", "form", "like"),
    [
        ("h1", "h1", True),
        ("h11", "h1", False),
        ("h11", "h1*", True),
        ("ah1", "*h1", True),
        ("build-7-lab", "build-*-lab", True),
        ("build-lab", "build-*-lab", False),
        ("abcabc", "a*b*c", True),
        ("acb", "a*b*c", False),
        ("aba", "ab*ba", False),
        ("rack[1]?", "rack[1]?", True),
        ("rack1x", "rack[1]?", False),
        ("", "*", True),
        ("a" * 5_000, "*a" * 500 + "b", False),
    ],
)
def test_only_a_star_stands_for_anything(name, form, like):
    assert is_like(name, form) is like


def test_of_two_rules_that_fit_the_first_one_counts(found):
    rules = ({"reason": "one", "entity": "h1"}, {"reason": "two", "column": "sent"})
    assert counts(found(*rules)) == [("one", 4), ("two", 4)]


def test_a_rule_ends(found):
    rule = {"reason": "move", "entity": "h1", "until": "2026-09-20"}
    assert counts(found(rule)) == [("move", 4)]
    assert found(rule).allowed[0].until == "2026-09-20"
    assert counts(found(rule, night=date(2026, 9, 21))) == []
