from __future__ import annotations

import random

import numpy as np
import pytest
from pyarrow import csv

from schemas.features import FeatureKind
from tasks.init import propose_dataset

HOURS = 24


def night(day: int, rows: int = 300, header: str = "", value=None) -> str:
    source = random.Random(day)
    lines = ["id,when,host,dur,temp,flag,always,copy,src_port,dst_port,note,percent_used,label" + header]
    for i in range(rows):
        flag = int(source.random() < 0.3)
        lines.append(
            f"n{day}-{i},2026-09-{day:02d}T{i * HOURS // rows:02d}:00:00Z,h{i % 5},{abs(source.gauss(0, 3)):.3f},"
            f"{source.gauss(20, 2):.2f},{flag},7,{flag},{source.randint(1024, 65535)},{source.choice([53, 80, 443])},"
            f"a long remark that a hand has written down: number {source.random()},"
            f"{source.randint(0, 90)},{source.choice('ab')}"
        )
    return "\n".join(lines) + "\n"


@pytest.fixture
def proposed(tmp_path):
    for day in range(1, 6):
        (tmp_path / f"flows-2026-09-{day:02d}.csv").write_text(night(day))
    return propose_dataset(["flows-*.csv"], tmp_path)


def test_roles_are_found(proposed):
    dataset = proposed.dataset
    assert (dataset.name, dataset.key, dataset.event_time, dataset.entity) == ("flows", ("id",), "when", "host")
    assert dataset.source.path == "flows-{date:%Y-%m-%d}.csv"


def test_each_column_without_use_says_why(proposed):
    reasons = {name: column.left_out for name, column in proposed.dataset.columns.items() if column.left_out}
    assert reasons["always"] == "constant: always '7'"
    assert reasons["copy"] == "duplicate of column 'flag'"
    assert reasons["note"].startswith("free text: 1,500 values in 1,500 rows")
    assert reasons["src_port"].startswith("key-like: short-lived port numbers")
    assert reasons["label"].startswith("looks like a label")
    assert {f.column for f in proposed.dataset.features} == {"dur", "temp", "flag", "dst_port", "percent_used"}


def test_ranges_are_physical_never_what_was_seen(proposed):
    bounds = {name: (column.min, column.max) for name, column in proposed.dataset.columns.items()}
    assert bounds["dur"] == (0, None)
    assert bounds["temp"] == (None, None)
    assert bounds["percent_used"] == (0, 100)
    assert bounds["dst_port"] == (0, 65_535)


def test_numbers_that_are_codes_are_treated_as_codes(proposed):
    assert proposed.dataset.columns["dst_port"].feature is FeatureKind.HASH


def test_expectations_hold_room_around_the_nights_seen(proposed):
    rules = proposed.dataset.expectations
    volumes = {rule.policy: rule for rule in rules if rule.expect == "volume"}
    assert volumes["warn"].between == (0.75, 1.4)
    assert volumes["block"].between == (0.5, 2.0)
    assert volumes["warn"].usual == 300
    medians = {rule.column: rule for rule in rules if rule.expect == "median"}
    low, high = medians["temp"].between
    assert medians["temp"].policy == "block"
    assert 14 < low < 18
    assert 22 < high < 26
    assert "dst_port" not in medians
    assert next(rule for rule in rules if rule.expect == "freshness").policy == "block"


def test_one_night_alone_blocks_on_no_median(tmp_path):
    (tmp_path / "x-2026-09-01.csv").write_text(night(1))
    rules = propose_dataset(["x-*.csv"], tmp_path).dataset.expectations
    assert {rule.policy for rule in rules if rule.expect == "median"} == {"warn"}


@pytest.mark.parametrize("has_rhythm", [True, False])
def test_time_of_day_is_a_feature_only_where_it_matters(tmp_path, has_rhythm):
    source = np.random.default_rng(3)
    for day in range(1, 6):
        hours = source.integers(0, 24, 400)
        level = 10 * np.sin(hours / 24 * 2 * np.pi) if has_rhythm else np.zeros(400)
        rows = [
            f"2026-09-{day:02d} {h:02d}:00:00,{v:.3f}"
            for h, v in zip(hours, level + source.normal(size=400), strict=True)
        ]
        (tmp_path / f"x-2026-09-{day:02d}.csv").write_text("when,level\n" + "\n".join(rows) + "\n")
    found = propose_dataset(["x-*.csv"], tmp_path)
    assert found.dataset.columns["when"].feature is (FeatureKind.CYCLIC if has_rhythm else FeatureKind.AUTO)


def test_random_sequence_numbers_and_row_numbers_are_left_out(tmp_path):
    source = random.Random(1)
    rows = "".join(f"{i},{source.randrange(2**32) if i % 2 else 0},{source.random():.4f}\n" for i in range(2_000))
    (tmp_path / "x.csv").write_text("pos,tcp_seq_base,v\n" + rows)
    columns = propose_dataset(["x.csv"], tmp_path).dataset.columns
    assert columns["pos"].left_out.startswith("a row number")
    assert "like random numbers" in columns["tcp_seq_base"].left_out


def test_bands_of_seven_real_nights_hold_for_the_other_fourteen(tmp_path, shared_data):
    nights = shared_data / "unsw_nights"
    found = propose_dataset([str(nights / "2026-09-0[1-7].csv.gz")], tmp_path, key=["flow_id"], time="start_time")
    rules = [rule for rule in found.dataset.expectations if rule.policy == "block"]
    medians = {rule.column: rule.between for rule in rules if rule.expect == "median"}
    volume = next(rule for rule in rules if rule.expect == "volume")
    assert len(medians) > 20

    def outside(path) -> list[str]:
        frame = csv.read_csv(path).to_pandas()
        low, high = (volume.usual * share for share in volume.between)
        wrong = [] if low <= len(frame) <= high else ["volume"]
        return wrong + [c for c, (low, high) in medians.items() if not low <= frame[c].median() <= high]

    assert not [bad for day in range(1, 22) for bad in outside(nights / f"2026-09-{day:02d}.csv.gz")]
    assert {"sbytes", "dbytes"} <= set(outside(nights / "broken" / "units_changed.csv"))
    assert "volume" in outside(nights / "broken" / "tiny_volume.csv")


def test_a_few_spoilt_values_do_not_widen_what_a_name_implies(tmp_path):
    rows = "".join(f"{-5 if i == 7 else i % 50},{i % 13 - 6}\n" for i in range(1_000))
    (tmp_path / "x.csv").write_text("src_bytes,level\n" + rows)
    found = propose_dataset(["x.csv"], tmp_path)
    assert found.dataset.columns["src_bytes"].min == 0
    assert "1 values outside are quarantined" in found.yaml
    assert found.dataset.columns["level"].min is None


def test_letters_beyond_a_to_z_do_not_part_words(tmp_path):
    rows = "".join(f"{i % 9 + 3},{i % 8 + 3}\n" for i in range(300))
    (tmp_path / "x.csv").write_text("ünï,n\n" + rows)
    columns = propose_dataset(["x.csv"], tmp_path).dataset.columns
    assert (columns["ünï"].min, columns["n"].min) == (None, 0)
