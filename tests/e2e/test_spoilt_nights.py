"""Each way in which a night arrives spoilt gets the exit code, the rows and the words that a person needs."""

from __future__ import annotations

import json
import shutil
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

# Slow: more than two minutes, for nineteen nights before the first spoilt one.
pytestmark = [pytest.mark.e2e, pytest.mark.slow]

NIGHT = "2026-09-20"
GOOD = "good"
# What must stand in the reason or among the warnings, beyond the numbers of expected.json.
WORDS: dict[str, tuple[str, ...]] = {
    "extra_column.csv": ("sensor",),
    "renamed_column.csv": ("sbytes", "src_bytes"),
    "header_only.csv": ("volume", "0 rows"),
    "empty_file.csv": ("empty", f"{NIGHT}.csv.gz"),
    "tiny_volume.csv": ("volume", "40 rows"),
    "truncated.csv.gz": ("cut off",),
    "html_error_page.csv": ("not a table",),
    "units_changed.csv": ("median",),
    "cut_off.csv": ("volume",),
}
SAME_SCORES = ("reordered_columns.csv", "semicolons_bom.csv", "extra_column.csv")
NAMES = (
    "bad_rows.csv",
    "extra_column.csv",
    "reordered_columns.csv",
    "repeated_keys.csv",
    "semicolons_bom.csv",
    "latin1_bytes.csv",
    "ragged_rows.csv",
    "cut_off.csv",
    "renamed_column.csv",
    "header_only.csv",
    "empty_file.csv",
    "tiny_volume.csv",
    "units_changed.csv",
    "truncated.csv.gz",
    "html_error_page.csv",
)


@pytest.fixture(scope="module")
def outcomes(shared_data: Path, tmp_path_factory: pytest.TempPathFactory, sereno, drive) -> dict[str, dict[str, Any]]:
    """Nights 1 to 18 validated, night 19 run with training, then the good night 20 and each spoilt one in its place."""
    nights, root = shared_data / "unsw_nights", tmp_path_factory.mktemp("unsw")
    incoming = root / "incoming"
    incoming.mkdir()
    for path in sorted(nights.glob("2026-09-*.csv.gz")):
        if path.name <= f"{NIGHT}.csv.gz":
            shutil.copyfile(path, incoming / path.name)
    done = sereno(
        *("init", root, "--from", incoming / "2026-09-0[1-7].csv.gz", "--name", "unsw"),
        *("--key", "flow_id", "--time", "start_time", "--budget", "20"),
    )
    assert done.code == 0, done.err
    target = str(incoming / f"{NIGHT}.csv.gz")
    days = [(date(2026, 9, 1) + timedelta(days=n)).isoformat() for n in range(18)]
    steps: list[dict[str, Any]] = [{"date": day, "options": {"only_validate": True}} for day in days]
    steps.append({"date": "2026-09-19"})
    scored = {"date": NIGHT, "options": {"train": False}}
    steps.append({**scored, "put": [nights / f"{NIGHT}.csv.gz", target], "scores_to": root / f"{GOOD}.parquet"})
    for name in NAMES:
        exported = root / f"{name}.parquet" if name in SAME_SCORES else None
        steps.append({**scored, "put": [nights / "broken" / name, target], "scores_to": exported})
    results = drive(root, "unsw", steps)
    assert [r["exit"] for r in results[:20]] == [0] * 20, [r for r in results[:20] if r["exit"]]
    return {"folder": {"path": str(root)}, **dict(zip((GOOD, *NAMES), results[19:], strict=True))}


@pytest.mark.parametrize("name", NAMES)
def test_a_spoilt_night_gets_what_is_expected(name: str, outcomes: dict[str, dict[str, Any]], shared_data: Path):
    expected = json.loads((shared_data / "unsw_nights" / "broken" / "expected.json").read_text(encoding="utf-8"))[name]
    outcome = outcomes[name]
    said = " ".join([outcome["reason"], *outcome["warnings"], *_failed_expectations(outcome)])
    assert outcome["exit"] in expected["exit"], said
    rows = outcome["rows"]
    assert rows["read"] == rows["accepted"] + rows["quarantined"] + rows["held"]
    if "quarantined" in expected:
        wanted = expected["quarantined"]
        low, high = wanted if isinstance(wanted, list) else (wanted, wanted)
        assert low <= rows["quarantined"] <= high, said
    for column, count in expected.get("failures", {}).items():
        assert outcome["failures"][column] == count
    assert set(expected.get("failures", {})) <= set(outcome["failures"])
    for word in WORDS.get(name, ()):
        assert word in said


@pytest.mark.parametrize("name", ["renamed_column.csv", "empty_file.csv", "truncated.csv.gz", "html_error_page.csv"])
def test_a_blocked_file_leaves_nothing_half_ingested(name: str, outcomes: dict[str, dict[str, Any]]):
    assert outcomes[name]["status"] == "blocked"
    assert outcomes[name]["rows"]["accepted"] == 0
    assert Path(outcomes[name]["report"]).is_file()


def test_repeated_keys_are_quarantined_under_their_own_name(outcomes: dict[str, dict[str, Any]]):
    assert outcomes["repeated_keys.csv"]["failures"] == {"(key)": 100}


def _failed_expectations(outcome: dict[str, Any]) -> list[str]:
    page = Path(outcome["report"]).with_suffix(".json")
    if not page.is_file():
        return []
    report = json.loads(page.read_text(encoding="utf-8"))
    return [f"{o['rule']} {o['observed']} {o['message']}" for o in report["expectation_outcomes"] if not o["success"]]


@pytest.mark.parametrize("name", SAME_SCORES)
def test_the_form_of_a_file_does_not_change_its_scores(name: str, outcomes: dict[str, dict[str, Any]]):
    folder = Path(outcomes["folder"]["path"])
    good, other = (pq.read_table(folder / f"{n}.parquet").to_pandas().set_index("flow_id") for n in (GOOD, name))
    other = other.loc[good.index]
    assert len(good) == outcomes[GOOD]["rows"]["accepted"]
    np.testing.assert_allclose(other["score"], good["score"], atol=1e-6)
    assert (other["is_alert"] == good["is_alert"]).all()
