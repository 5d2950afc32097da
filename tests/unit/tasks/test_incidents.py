"""The alerts of a night as incidents: with and without entities and times, bursts, spread, suppressed rows."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from schemas.incidents import IncidentSettings
from schemas.tables import scores_schema
from tasks.incident_alerts import alerts_of_parts
from tasks.incidents import MOST_GROUPS, grouped

NOON = datetime(2026, 9, 20, 12, tzinfo=UTC)
BACKUP = (("sent", 0.6), ("got", 0.4))


def alert(number, *, host="h1", made=BACKUP, minute=0.0, score=3.0, **more):
    contributions = [{"column": name, "share": share, "actual": "1", "expected": "0"} for name, share in made]
    when = None if minute is None else NOON + timedelta(minutes=minute)
    row = {"flow_id": number, "entity": host, "event_time": when, "sereno_key": str(number), "sereno_file": "a.csv"}
    row |= {"sereno_line": number + 2, "score": score, "p_value": 0.01, "is_alert": True, "in_sample": False}
    return (
        row | {"model_version": "1", "contributions": contributions, "suppressed": None, "reducer_score": None} | more
    )


@pytest.fixture
def group(tmp_path, make_dataset):
    """Group rows of `scores`, in as many parts as wanted."""

    def group(rows, parts=1, *, settings=None, **changes):
        dataset = make_dataset(**changes)
        schema = scores_schema(dataset)
        table = pa.Table.from_pylist([{name: row[name] for name in schema.names} for row in rows], schema)
        paths = []
        for part in range(parts):
            paths.append(tmp_path / f"{len(list(tmp_path.iterdir()))}.parquet")
            pq.write_table(table.take(pa.array(range(part, len(table), parts), pa.int64())), paths[-1])
        return grouped(alerts_of_parts(dataset, paths), settings or dataset.incidents, 2.0, 20.0)

    return group


def burst(rows=500, **more):
    chance = np.random.default_rng(1)
    shares = chance.uniform(0.4, 0.6, rows).tolist()
    return [
        alert(1_000 + at, made=(("sent", share), ("got", 0.9 - share), ("ratio", 0.1)), minute=at / 50, **more)
        for at, share in enumerate(shares)
    ]


def test_a_burst_of_one_cause_is_one_incident_with_all_of_its_rows(group):
    others = [alert(at, host="h2", made=(("ratio", 1.0),), minute=60 * at) for at in range(3)]
    first, *rest = group(burst(score=4.5) + others)
    assert (first.entity, first.alerts, first.affected, len(first.keys)) == ("h1", 500, 1, 500)
    assert [one.column for one in first.columns] == ["sent", "got", "ratio"]
    assert (first.first_time, first.last_time) == (NOON, NOON + timedelta(minutes=499 / 50))
    assert (first.score, first.points) == (4.5, 4)
    assert [(one.entity, one.alerts, one.points) for one in rest] == [("h2", 3, 1)]


def test_neither_the_order_of_rows_nor_the_parts_change_anything(group):
    rows = burst(60) + burst(60, host="h2") + [alert(at, made=(("ratio", 1.0),), minute=-60 * at) for at in range(9)]
    turned = [rows[at] for at in np.random.default_rng(3).permutation(len(rows))]
    assert group(rows) == group(turned, parts=4)


@pytest.mark.parametrize("changes", [{"entity": None}, {"event_time": None}, {"entity": None, "event_time": None}])
def test_a_dataset_without_entity_or_time_is_grouped_by_what_it_has(group, changes):
    rows = burst(50) + [alert(at, made=(("ratio", 1.0),)) for at in range(5)]
    first, second = group(rows, **changes)
    assert (first.alerts, second.alerts) == (50, 5)
    assert first.entity == (None if "entity" in changes else "h1")
    assert (first.first_time is None) == ("event_time" in changes)


def test_other_columns_another_entity_and_another_time_are_other_incidents(group):
    rows = [alert(1), alert(2, host="h2"), alert(3, made=(("ratio", 1.0),)), alert(4, minute=600)]
    assert len(group(rows)) == 4
    assert len(group(rows, settings=IncidentSettings(gap=timedelta(hours=11)))) == 3


def test_what_many_entities_have_at_once_is_one_incident(group):
    rows = [alert(at, host=f"h{at % 30}", minute=at / 10) for at in range(90)]
    (one,) = group(rows)
    assert (one.entity, one.affected, one.alerts, len(one.entities)) == (None, 30, 90, 20)
    assert len(group(rows[:4])) == 4
    apart = [alert(at, host=f"h{at}", minute=at * 400) for at in range(9)]
    assert len(group(apart)) == 9


def test_rows_that_labels_suppress_and_rows_that_are_no_alerts_open_nothing(group):
    rows = [alert(1, suppressed=True), alert(2, suppressed=False), alert(3, is_alert=False)]
    (one,) = group(rows)
    assert one.keys == ("2",)
    assert group([]) == group(rows[:1]) == ()


def test_missing_entities_times_and_contributions_are_no_obstacle(group):
    rows = [alert(1, host=None), alert(2, host=None, minute=None), alert(3, contributions=None), alert(4, made=())]
    found = {one.keys: (one.entity, one.columns == ()) for one in group(rows)}
    assert found == {("1", "2"): (None, False), ("3", "4"): ("h1", True)}


@pytest.mark.parametrize("share", [float("nan"), float("inf"), -1.0, 0.0])
def test_shares_that_are_no_shares_are_no_obstacle(group, share):
    (one,) = group([alert(1, made=(("sent", share),)), alert(2, made=(("sent", share), (None, 0.5)))])
    assert one.alerts == 2


def test_names_with_signs_that_no_database_holds_are_told_apart_and_held(group):
    found = {
        one.entity for one in group([alert(1, host="a\x00b"), alert(2, host="x'; DROP TABLE--"), alert(3, host="")])
    }
    assert found == {"a\N{REPLACEMENT CHARACTER}b", "x'; DROP TABLE--", ""}


def test_more_incidents_than_a_person_looks_at_are_counted_in_one(group):
    rows = [alert(at, host=f"h{at}", minute=at * 400, score=3 + at % 2) for at in range(MOST_GROUPS + 50)]
    found = group(rows)
    assert len(found) == MOST_GROUPS
    assert sum(one.alerts for one in found) == len(rows)
    rest = max(found, key=lambda one: one.alerts)
    assert (rest.entity, rest.alerts, rest.affected) == (None, 51, 51)


def test_rows_that_are_named_alike_are_counted_and_named_once(group):
    (one,) = group([alert(1), alert(1), alert(2)])
    assert (one.alerts, one.keys) == (3, ("1", "2"))
