"""Rows released from the quarantine and another threshold, by the command line, on a night that was really done."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

pytestmark = [pytest.mark.e2e, pytest.mark.slow]

FIRST, SECOND, ATTACKED = "2026-03-02", "2026-03-03", "2026-03-05"


@pytest.fixture(scope="module")
def done(simulated: Path, tmp_path_factory: pytest.TempPathFactory, drive) -> dict[str, Any]:
    """Two nights validated, one run; 14 of its rows are quarantined."""
    root = tmp_path_factory.mktemp("released") / "project"
    shutil.copytree(simulated, root)
    dataset = root / "datasets" / "flows.yaml"
    dataset.write_text(dataset.read_text(encoding="utf-8").replace(str(simulated), str(root)), encoding="utf-8")
    steps: list[dict[str, Any]] = [{"date": day, "options": {"only_validate": True}} for day in (FIRST, SECOND)]
    *_, night = drive(root, "flows", [*steps, {"date": ATTACKED}])
    assert night["exit"] == 0
    return {"root": root, "night": night}


def test_released_rows_stay_released_and_the_night_stays_done(done: dict[str, Any], sereno, tmp_path: Path):
    root, night = done["root"], done["night"]
    listed = sereno("--project", root, "quarantine", "list", "flows", "--date", ATTACKED, "--json").json
    counts = {(count["column"], count["rule"]): count["rows"] for count in listed["counts"]}
    assert counts["dst_bytes", "min"] == 3
    assert counts["(key)", "key"] == 3
    assert listed["total"] == night["rows"]["quarantined"] == 14
    row = next(row for row in listed["rows"] if row["failures"][0]["column"] == "dst_bytes")
    place = f"{row['file']}:{row['line']}"
    shown = sereno("--project", root, "quarantine", "show", "flows", place)
    assert "dst_bytes  min" in shown.out
    assert "it can be released: yes" in shown.out
    asked = ("--project", root, "quarantine", "release", "flows", "--date", ATTACKED)
    refused = sereno(*asked, "--rule", "key", "--reason", "a test")
    assert refused.code == 2
    assert "its key is in the night already" in refused.err
    released = sereno(*asked, "--column", "dst_bytes", "--reason", "the counter wrapped", "--json")
    assert released.code == 0, released.err
    rows = released.json["night"]["rows"]
    assert released.json["released"] == 3
    assert rows == {**night["rows"], "accepted": night["rows"]["accepted"] + 3, "quarantined": 11}
    again = sereno("--project", root, "run", "flows", "--date", ATTACKED, "--json").json
    assert (again["status"], again["rows"]) == ("skipped", rows)
    page = Path(night["report"]).with_suffix(".json")
    assert json.loads(page.read_text(encoding="utf-8"))["result"]["rows"] == rows
    scores = tmp_path / "scores.jsonl"
    assert sereno("--project", root, "scores", "flows", "--date", ATTACKED, "--to", scores).code == 0
    scored = [json.loads(line) for line in scores.read_text(encoding="utf-8").splitlines()]
    assert len(scored) == rows["accepted"]
    assert row["key"] in {one["flow_id"] for one in scored}
    forced = sereno("--project", root, "validate", "flows", "--date", ATTACKED, "--force", "--json")
    assert forced.json["rows"] == rows
    twice = sereno(*asked, "--line", place, "--reason", "again", "--json").json
    assert (twice["released"], twice["already"]) == (0, 1)


def test_another_threshold_is_another_version_and_the_old_one_stays(done: dict[str, Any], sereno):
    root = done["root"]
    asked = ("--project", root, "recalibrate", "flows", "--budget", "5", "--json")
    tried = sereno(*asked, "--dry-run")
    assert tried.code == 0, tried.err
    assert tried.json["version"] is None
    (night,) = tried.json["nights"]
    assert night["date"] == ATTACKED
    assert night["after"] < night["before"]
    made = sereno(*asked, "--reason", "too many")
    assert (made.json["version"], made.json["changed"]) == ("2", True)
    versions = sereno("--project", root, "models", "list", "flows", "--json").json
    assert {row["version"]: row["standing"] for row in versions} == {"2": "champion", "1": "was champion"}
    different = sereno("--project", root, "models", "diff", "flows", "1", "2", "--json").json
    assert different["threshold"] == [tried.json["before"]["threshold"], tried.json["after"]["threshold"]]
    rows = sereno("--project", root, "score", "flows", "--date", ATTACKED, "--json").json
    assert (rows["model"]["version"], rows["alerts"]) == ("2", night["after"])
    assert sereno("--project", root, "models", "rollback", "flows").code == 0
    wrong = sereno("--project", root, "recalibrate", "flows", "--share", "0")
    assert wrong.code == 2
    assert "above 0" in wrong.err
