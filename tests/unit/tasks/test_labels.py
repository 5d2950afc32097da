"""What people say of rows: found by key, written down with what they held, and left out of later trainings."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from schemas.errors import UsageError
from tasks.labels import Said, digest, export_labels, label_rows, labelled_frame
from tasks.labels_file import read_labels
from tasks.training import window_samples

NIGHT, NEXT = date(2026, 9, 20), date(2026, 9, 21)


@pytest.fixture
def nights(labelled_nights):
    """One night that was done: keys 0 to 239, the first 15 backups, then 15 attacks."""
    nights = labelled_nights()
    nights.do(0)
    return nights


def say(nights, key, word="false_alarm", night=NIGHT, **more):
    return label_rows(nights.services, nights.dataset, [Said(night, key, word, **more)], "ana")


def test_a_row_is_labelled_with_what_it_held(nights):
    done = say(nights, "3", "anomaly", note=" a probe ")
    assert done.rows == {"anomaly": 1}
    (label,) = nights.services.state.labels("flows")
    row = label.row
    assert (label.night, row.key, row.word, row.note, row.file, row.line) == (
        NIGHT,
        "3",
        "anomaly",
        "a probe",
        "a.csv",
        5,
    )
    assert set(row.values) == {feature.column for feature in nights.dataset.features}
    assert row.values["sent"] > 1e5
    odd = {"sent": "text", "packets": None, "start_time": "2026-09-20T00:00:00+00:00"}
    frame = labelled_frame(nights.dataset, [row.values, {}, odd], ["sent", "packets", "start_time"])
    assert frame["sent"][0] == row.values["sent"]
    assert frame.iloc[1].isna().all()
    assert frame["sent"].isna().tolist() == [False, True, True]


def test_a_usual_row_may_be_labelled_too(nights):
    assert say(nights, "200").rows == {"false_alarm": 1}


def test_the_alerts_of_a_labelled_night_of_which_nothing_was_said_are_remembered_once(nights):
    alerts = nights.alerts(0)
    assert say(nights, "3").unsaid == len(alerts) - 1
    assert say(nights, "4").unsaid == len(alerts) - 2
    state = nights.services.state
    assert [label.row.key for label in state.labels("flows")] == ["3", "4"]
    assert {label.row.key for label in state.labels("flows", unsaid=True)} == set(alerts)


@pytest.mark.parametrize(
    ("said", "told", "hint"),
    [
        (
            Said(NIGHT, "3", "false-alarm"),
            r"label 'false-alarm' is not known \(did you mean `false_alarm`\?\)",
            "anomaly",
        ),
        (Said(NIGHT, "3", "unsaid"), "label 'unsaid' is not known", "anomaly"),
        (Said(date(2026, 9, 22), "3", "anomaly"), "nearest that has is 2026-09-20", "sereno status flows"),
        (Said(NIGHT, "113", "anomaly"), "", ""),
        (Said(NIGHT, "999", "anomaly"), "no accepted row has the key '999'", "sereno scores flows --date 2026-09-20"),
        (Said(NIGHT, "10x", "anomaly"), r"did you mean `10`\?", "take keys from the report"),
    ],
    ids=["word", "our own word", "night", "known", "key", "near key"],
)
def test_what_is_not_known_is_told_with_the_nearest_and_nothing_is_written(nights, said, told, hint):
    if not told:
        label_rows(nights.services, nights.dataset, [said], "ana")
        return
    with pytest.raises(UsageError, match=told) as caught:
        label_rows(nights.services, nights.dataset, [Said(NIGHT, "4", "anomaly"), said], "ana")
    assert hint in (caught.value.hint or "")
    assert nights.services.state.labels("flows", unsaid=True) == []


def test_many_unknown_keys_are_counted(nights):
    said = [Said(NIGHT, f"none {number}", "anomaly") for number in range(40)]
    with pytest.raises(UsageError, match="and 35 more; nothing was written"):
        label_rows(nights.services, nights.dataset, said, "ana")


def test_a_row_named_twice_has_its_last_word(nights):
    label_rows(nights.services, nights.dataset, [Said(NIGHT, "3", "anomaly"), Said(NIGHT, "3", "expected")], "ana")
    assert [label.row.word for label in nights.services.state.labels("flows")] == ["expected"]


def test_rows_labelled_anomaly_leave_later_trainings_and_others_stay(nights):
    nights.do(1)
    say(nights, "20", "anomaly")
    say(nights, "3", "false_alarm")
    say(nights, "4", "expected")
    state = nights.services.state
    window = tuple(reversed(state.history("flows", table="samples")))
    (sample,) = window_samples(nights.services, nights.dataset, window)
    keys = set(sample["sereno_key"].to_pylist())
    assert len(sample) == 2 * 240 - 1
    assert "20" not in keys
    assert {"3", "4", "10020"} <= keys
    assert "night" not in sample.column_names
    say(nights, "20", "expected")
    assert len(window_samples(nights.services, nights.dataset, window)[0]) == 2 * 240


def test_a_key_that_was_an_anomaly_on_one_night_is_a_row_like_others_on_the_next(nights, make_rows):
    from tasks.labels import without_anomalies

    say(nights, "20", "anomaly")
    rows = make_rows(30)
    both = rows.append_column("night", [[NEXT] * 30])
    assert len(without_anomalies(both, nights.services.state.labels("flows"))) == 30


def test_the_digest_follows_the_newest_labels_up_to_a_night(nights):
    def now(last=NIGHT, said_before=None):
        return digest(nights.services, nights.dataset, last, said_before)

    assert now() is None
    say(nights, "3")
    first, between = now(), datetime.now(UTC)
    say(nights, "3", "anomaly")
    assert first != now() != now(said_before=between) == first
    assert now(last=date(2026, 9, 19)) is None
    say(nights, "3")
    assert now() == first


@pytest.mark.parametrize("suffix", ["csv", "jsonl", "parquet"])
def test_exported_labels_are_read_again(nights, tmp_path, suffix):
    say(nights, "3", "anomaly", note='a "probe", née\nbad')
    say(nights, "40", "expected")
    target = tmp_path / f"labels.{suffix}"
    export_labels(nights.services.state.labels("flows"), target)
    read = read_labels(target, None)
    assert [(one.night, one.key, one.word) for one in read] == [(NIGHT, "3", "anomaly"), (NIGHT, "40", "expected")]
    assert label_rows(nights.services, nights.dataset, read, "ben").rows == {"anomaly": 1, "expected": 1}
    if suffix == "parquet":
        assert pq.read_table(target)["by"].to_pylist() == ["ana", "ana"]


@pytest.mark.parametrize(
    ("name", "text", "night", "told"),
    [
        ("a.txt", "", NIGHT, "form .txt is not known"),
        ("a.csv", None, NIGHT, "cannot be read"),
        ("a.csv", "key,label\n3,\n", NIGHT, "row 1: no `label`"),
        ("a.csv", "id,word\n3,anomaly\n", NIGHT, "row 1: no `key` and no `label`"),
        ("a.csv", "key,label\n3,anomaly\n", None, "not said of which night"),
        ("a.csv", "date,key,label\n2026-09-21,3,anomaly\n", NIGHT, "is of 2026-09-21, not of 2026-09-20"),
        ("a.csv", "date,key,label\nsoon,3,anomaly\n", None, "not said of which night"),
        ("a.jsonl", "{", NIGHT, "is no jsonl file"),
        ("a.jsonl", "[]", NIGHT, "is no jsonl file"),
        ("a.parquet", "x", NIGHT, "is no parquet file"),
    ],
)
def test_a_file_that_says_no_labels_is_told_with_its_row(tmp_path, name, text, night, told):
    if text is not None:
        (tmp_path / name).write_text(text, encoding="utf-8")
    with pytest.raises(UsageError, match=told):
        read_labels(tmp_path / name, night)


def test_numbers_as_keys_and_a_byte_order_mark_are_read(tmp_path):
    (tmp_path / "a.jsonl").write_text(json.dumps({"key": 3, "label": "anomaly"}), encoding="utf-8")
    (tmp_path / "a.csv").write_text("\ufeffkey,label,note\n3,anomaly,x\n", encoding="utf-8")
    assert read_labels(tmp_path / "a.jsonl", NIGHT) == [Said(NIGHT, "3", "anomaly")]
    assert read_labels(tmp_path / "a.csv", NIGHT) == [Said(NIGHT, "3", "anomaly", "x")]


def test_a_parquet_date_that_is_a_moment_is_its_day(tmp_path):
    # As pandas writes a day: a moment without a zone.
    moments = pa.array([NIGHT], pa.date32()).cast(pa.timestamp("us"))
    pq.write_table(pa.table({"date": moments, "key": ["3"], "label": ["anomaly"]}), tmp_path / "a.parquet")
    for night in (None, NIGHT):
        (said,) = read_labels(tmp_path / "a.parquet", night)
        assert (said.night, type(said.night)) == (NIGHT, date)


@pytest.mark.parametrize("sign", ["\u2028", "\u0085", "\x0b"], ids=repr)
def test_a_sign_that_only_python_takes_for_a_lines_end_is_part_of_a_note(tmp_path, sign):
    (tmp_path / "a.csv").write_text(f"key,label,note\n3,anomaly,one{sign}two\n", encoding="utf-8")
    assert read_labels(tmp_path / "a.csv", NIGHT) == [Said(NIGHT, "3", "anomaly", f"one{sign}two")]
