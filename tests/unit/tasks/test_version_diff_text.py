"""What `models diff` shows a person: aligned lines, and of a recalibrated bundle only its threshold."""

from __future__ import annotations

from dataclasses import replace

import pytest

from models.bundle import open_bundle, write_bundle
from tasks.version_diff import compare_bundles
from tasks.version_diff_text import difference_lines


@pytest.fixture(scope="module")
def bundles(tmp_path_factory, make_detector, make_rows, make_dataset):
    folder, rows = tmp_path_factory.mktemp("diff"), make_rows(2000)
    other = make_dataset(detector={"alert_budget": 40, "rows": 5000, "code": 8, "hidden": [64, 32]})
    one = make_dataset(detector={"alert_budget": 20, "rows": 5000, "code": 48, "hidden": [256]})
    first = open_bundle(make_detector(folder / "first", rows, dataset=one).folder)
    second = open_bundle(make_detector(folder / "second", rows, dataset=other, rank=3, share=0.05).folder)
    second = replace(second, detector={**second.detector, "nights": ["2026-09-02", "2026-09-03", "2026-09-05"]})
    return first, second


@pytest.fixture
def compared(bundles, make_rows):
    def call(first=bundles[0], second=bundles[1], rows=True):
        found = compare_bundles(first, second, make_rows(400, seed=3).to_pandas() if rows else None)
        return {"dataset": "flows", "versions": ["1", "2"], **found}

    return call


def recalibrated(bundle, folder, threshold):
    """The same bundle with another threshold, as a file on disk."""
    write_bundle(folder, replace(bundle, detector={**bundle.detector, "threshold": threshold}))
    return open_bundle(folder)


def test_settings_data_and_scores_stand_in_aligned_lines(compared):
    lines = difference_lines(compared())
    assert lines[0] == "flows: version 1 -> version 2"
    assert lines[1].startswith("differs in nights, settings, network, score map, calibration, alert budget, threshold")
    rows = {line[2:].split("  ")[0]: line for line in lines if line.startswith("  ")}
    assert rows["alert_budget"].endswith("20 -> 40")
    assert rows["code"].endswith("48 -> 8")
    assert rows["hidden"].endswith("256 -> 64 32")
    assert rows["nights"].endswith("without 2026-09-01; with 2026-09-02..2026-09-03, 2026-09-05")
    assert "% of all)" in rows["alerts in common"]
    assert {line.index(line.split("  ", 2)[2].strip()) for line in rows.values()} == {rows["code"].index("48")}
    assert not any("{" in line or "[" in line for line in lines)


def test_of_a_recalibrated_bundle_only_the_threshold_differs(compared, bundles, tmp_path):
    first = bundles[0]
    found = compared(second=recalibrated(first, tmp_path / "again", first.threshold + 0.5))
    assert (found["same"], found["only_threshold"], found["changed"]) == (False, True, ["threshold"])
    assert found["settings"] == found["rows"] == {}
    assert found["scores"]["rank_correlation"] == 1.0
    assert found["scores"]["alerts_of_second_only"] == []
    lines = difference_lines(found)
    assert lines[1] == "only the threshold differs: the same network gives every row the same score"
    assert lines[2:5] == ("data", "  the same", "configuration")
    assert lines[5] == "  the same"


def test_a_bundle_does_not_differ_from_itself(compared, bundles):
    lines = difference_lines(compared(second=bundles[0]))
    assert lines[1] == "the same bundle: nothing differs"
    assert not any("->" in line for line in lines[2:])


def test_without_rows_to_score_the_reason_stands_there(compared):
    assert "none: there are no samples" in difference_lines(compared(rows=False))[-1]


def test_keys_cannot_drive_the_terminal(compared):
    found = compared()
    found["scores"]["alerts_of_first_only"] = ["\x1b[2Jgone", "a\u202eb", "c", "d"]
    shown = [line for line in difference_lines(found) if "only by 1" in line]
    assert shown[0].endswith(r"\x1b[2Jgone, a\u202eb, c, ...")
