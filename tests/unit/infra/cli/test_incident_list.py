"""`sereno incidents list` and `show`, and what `status` says of incidents."""

from __future__ import annotations

import json

import pytest

from schemas.errors import Exit


def test_incidents_are_listed_the_worst_first(watched, group):
    watched.night(0, group(1), group(2, 3, 4, entity="h2", column="ratio"))
    code, out, _ = watched("incidents", "list", "flows")
    assert code == Exit.DONE
    first, *rest = out.splitlines()
    assert first == "flows: 2 incidents under way"
    assert [line.split()[:3] for line in rest] == [["2", "low", "open"], ["1", "low", "open"]]
    assert "h2  ratio" in rest[0]
    assert watched("incidents", "list")[1] == out


def test_as_json_an_incident_says_all_that_is_known(watched, group):
    watched.night(0, group(1, 2))
    watched.night(1, group(3, 4, 5))
    (one,) = json.loads(watched("incidents", "list", "--json")[1])["incidents"]
    known = {name: one[name] for name in ("id", "dataset", "entity", "first_night", "last_night", "nights", "alerts")}
    assert known == {
        "id": 1,
        "dataset": "flows",
        "entity": "h1",
        "first_night": "2026-09-20",
        "last_night": "2026-09-21",
        "nights": 2,
        "alerts": 3,
    }
    assert (one["severity"], one["status"], one["night"]["told"]) == ("low", "open", None)


def test_those_that_are_over_and_those_of_a_night_are_asked_for(watched, group):
    watched.night(0, group(1))
    for number in range(1, 4):
        watched.night(number, group(2, entity="h2"))
    assert [one["id"] for one in json.loads(watched("incidents", "list", "flows", "--json")[1])["incidents"]] == [2]
    over = json.loads(watched("incidents", "list", "flows", "--all", "--json")[1])["incidents"]
    assert {one["id"]: one["status"] for one in over} == {1: "over", 2: "open"}
    of_night = json.loads(watched("incidents", "list", "flows", "--date", "2026-09-20", "--json")[1])["incidents"]
    assert [(one["id"], one["status"]) for one in of_night] == [(1, "open")]
    assert "flows: 0 incidents on 2026-09-30" in watched("incidents", "list", "--date", "2026-09-30")[1]


def test_nothing_there_is_told(watched):
    assert watched("incidents", "list")[:2] == (Exit.DONE, "flows: 0 incidents under way\n")


def test_an_incident_is_shown_with_its_nights_words_and_rows(watched, group):
    watched.night(0, group(1, 2))
    watched("incidents", "note", "flows", 1, "pump \x1b[31m seven", "--by", "ana")
    watched.night(1, group(3))
    code, out, _ = watched("incidents", "show", "flows", 1)
    assert code == Exit.DONE
    assert "\x1b" not in out
    assert "2026-09-20  low, 2 alerts, score 3, told: new" in out
    assert "2026-09-21  low, 1 alerts, score 3\n" in out
    assert "note  pump" in out
    assert "rows of 2026-09-21: 3" in out
    told = json.loads(watched("incidents", "show", "flows", 1, "--json")[1])
    assert [night["date"] for night in told["nights"]] == ["2026-09-20", "2026-09-21"]
    assert (told["words"][0]["word"], told["keys"], told["more_keys"]) == ("note", ["3"], 0)


def test_of_many_rows_some_are_shown(watched, group):
    watched.night(0, group(*range(50, 110)))
    told = json.loads(watched("incidents", "show", "flows", 1, "--json")[1])
    assert (len(told["keys"]), told["more_keys"]) == (50, 10)
    assert "and 10 more" in watched("incidents", "show", "flows", 1)[1]


@pytest.mark.parametrize("asked", [("show", "flows", 7), ("ack", "flows", 7), ("label", "flows", "--incident", 7)])
def test_an_unknown_number_is_a_usage_error_with_a_hint(watched, group, asked):
    watched.night(0, group(1))
    more = ("--as", "expected") if asked[0] == "label" else ()
    code, out, err = watched("incidents", *asked, *more)
    assert (code, out) == (Exit.USAGE, "")
    assert "flows has no incident 7" in err
    assert "sereno incidents list flows --all" in err


def test_a_number_is_a_number_and_a_dataset_a_dataset(watched):
    assert watched("incidents", "show", "flows", "first")[0] == Exit.USAGE
    assert watched("incidents", "show", "flows", 0)[0] == Exit.USAGE
    code, _, err = watched("incidents", "list", "flow")
    assert code == Exit.USAGE
    assert "did you mean `flows`?" in err


def test_status_counts_incidents_as_they_stand(watched, group):
    watched.night(0, group(1), group(2, entity="h2"))
    watched("incidents", "ack", "flows", 2)
    assert "incidents: 1 open, 1 acknowledged" in watched("status", "flows")[1]
    (night,) = json.loads(watched("status", "--json")[1])
    assert (night["incidents"], night["standing"]) == (2, {"open": 1, "acknowledged": 1})


def test_status_without_incidents_is_as_it_was(watched):
    watched.night(0)
    assert watched("status")[1].splitlines()[0].endswith("0 accepted, 0 quarantined, 0 alerts")
