"""A range of real nights by `backfill`: all of them, in order, and nothing but their files is read."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import pytest

pytestmark = [pytest.mark.e2e, pytest.mark.slow]
NIGHTS = 21


def test_all_nights_are_done_and_labels_are_never_read(shared_data: Path, tmp_path: Path, sereno):
    incoming = tmp_path / "incoming"
    incoming.mkdir()
    for path in sorted((shared_data / "unsw_nights").glob("2026-09-*.csv.gz")):
        shutil.copyfile(path, incoming / path.name)
    labels = incoming / "labels"
    labels.mkdir()
    for path in incoming.glob("*.csv.gz"):
        # Whoever opens one of these meets an archive that is none.
        (labels / path.name).write_bytes(b"not to be read")
    first = [option for day in range(1, 8) for option in ("--from", incoming / f"2026-09-0{day}.csv.gz")]
    done = sereno(
        *("init", tmp_path, *first, "--name", "unsw", "--key", "flow_id", "--time", "start_time", "--budget", "20")
    )
    assert done.code == 0, done.err
    file = tmp_path / "datasets" / "unsw.yaml"
    # What is found counts for nothing here: one network is enough.
    quick = re.sub(r"(?m)^detector:$", "detector:\n  family: denoising", file.read_text("utf-8"))
    file.write_text(quick, encoding="utf-8")
    nights = ("--from", "2026-09-01", "--to", "2026-09-21")
    backfill = sereno("--project", tmp_path, "backfill", "unsw", *nights, "--json", timeout=1800)
    assert backfill.code == 0, backfill.err
    assert [night["status"] for night in backfill.json] == ["done"] * NIGHTS
    for night in backfill.json:
        assert night["rows"]["accepted"] == night["rows"]["read"] > 1_600
        report = json.loads(Path(night["report"]).with_suffix(".json").read_text(encoding="utf-8"))
        assert [file["name"] for file in report["files"]] == [f"{night['date']}.csv.gz"]
    again = sereno("--project", tmp_path, "backfill", "unsw", *nights, "--json", timeout=600)
    assert [night["status"] for night in again.json] == ["skipped"] * NIGHTS
    wrong = sereno("--project", tmp_path, "backfill", "unsw", "--from", "2026-09-02", "--to", "2026-09-01")
    assert wrong.code == 2
