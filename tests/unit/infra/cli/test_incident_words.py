"""`sereno incidents ack`, `mute`, `unmute`, `note`, `close` and `label --incident`."""

from __future__ import annotations

import json

import pytest

from schemas.errors import Exit


def said(watched, *asked):
    code, out, err = watched("incidents", *asked, "--json")
    assert (code, err) == (Exit.DONE, "")
    return json.loads(out)


def test_what_a_person_does_is_written_down_with_who_and_why(watched, group):
    watched.night(0, group(1))
    code, out, _ = watched("incidents", "ack", "flows", 1, "--note", "looking", "--by", " ana ")
    assert code == Exit.DONE
    assert out.split()[:3] == ["1", "low", "acknowledged"]
    muted = said(watched, "mute", "flows", 1, "--until", "2026-09-25", "--by", "ben")
    assert (muted["status"], muted["until"], muted["word"]["by"]) == ("muted", "2026-09-25", "ben")
    assert said(watched, "unmute", "flows", 1)["status"] == "acknowledged"
    assert said(watched, "note", "flows", 1, "the pump was changed")["word"]["note"] == "the pump was changed"
    assert said(watched, "close", "flows", 1)["status"] == "over"
    words = said(watched, "show", "flows", 1)["words"]
    assert [word["word"] for word in words] == ["ack", "mute", "unmute", "note", "close"]
    assert words[0]["by"] == "ana"
    assert all(word["night"] == "2026-09-20" for word in words)
    with watched.state() as state:
        events = state.events("flows", kinds=["incident_word"])
    assert [event.text for event in events][-2:] == [
        "ben said of incident 1 of flows: mute until 2026-09-25.",
        "ana said of incident 1 of flows: ack.",
    ]


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        (("mute", "flows", 1), "--until"),
        (("mute", "flows", 1, "--until", "2026-09-20"), "is over already: the newest night of flows is 2026-09-20"),
        (("mute", "flows", 1, "--until", "soon"), "is not a date"),
        (("note", "flows", 1), "TEXT"),
        (("note", "flows", 1, "  "), "a note needs a text"),
        (("label", "flows", "--incident", 1), "--as is missing"),
        (("label", "flows", "--incident", 1, "--as", "anomoly"), "did you mean `anomaly`?"),
        (("label", "flows", "--incident", 1, "--as", "anomaly", "--key", "1"), "in one way"),
        (("label", "flows", "--incident", 1, "--as", "anomaly", "--from", "x.csv"), "in one way"),
        (("label", "flows", "--incident", 1, "--as", "anomaly", "--date", "2026-09-21"), "has no alerts on 2026-09-21"),
        (("snooze", "flows", 1), "No such command"),
    ],
    ids=str,
)
def test_what_makes_no_sense_is_a_usage_error_and_writes_nothing(watched, group, asked, told):
    watched.night(0, group(1))
    code, out, err = watched("incidents", *asked)
    assert (code, out) == (Exit.USAGE, "")
    assert told in err
    assert said(watched, "show", "flows", 1)["words"] == []
    assert said(watched, "labels", "flows")["labels"] == []


def test_one_command_labels_every_row_of_an_incident(watched, group):
    watched.night(0, group(*range(30)))
    watched.night(1, group(40, 41))
    code, out, _ = watched(
        "incidents", "label", "flows", "--incident", 1, "--as", "expected", "--note", "move", "--by", "ana"
    )
    assert (code, out) == (Exit.DONE, "flows: labelled 32 expected\n")
    labels = said(watched, "labels", "flows")["labels"]
    assert {(label["date"], label["label"], label["note"], label["by"]) for label in labels} == {
        ("2026-09-20", "expected", "move", "ana"),
        ("2026-09-21", "expected", "move", "ana"),
    }
    assert len(labels) == 32
    assert said(watched, "show", "flows", 1)["words"][-1]["word"] == "expected"


def test_the_rows_of_one_night_are_labelled_by_its_date(watched, group):
    watched.night(0, group(1, 2))
    watched.night(1, group(3))
    asked = ("label", "flows", "--incident", 1, "--as", "false_alarm", "--date", "2026-09-21")
    assert said(watched, *asked)["labelled"] == {"false_alarm": 1}
    assert [label["key"] for label in said(watched, "labels", "flows")["labels"]] == ["3"]


def test_five_hundred_alerts_get_five_hundred_labels(watched, group):
    watched.night(0, group(*range(500)))
    assert said(watched, "label", "flows", "--incident", 1, "--as", "anomaly")["labelled"] == {"anomaly": 500}
    assert len(said(watched, "labels", "flows")["labels"]) == 500
