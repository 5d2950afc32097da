"""`vacuum` beside a whole night: the night ends as ever, what is old goes, and nothing that is done is done again."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import pytest

# Minutes: whole nights that train while another process takes old ones away.
pytestmark = [pytest.mark.e2e, pytest.mark.slow]

NIGHTS = ("2026-03-02", "2026-03-03", "2026-03-04", "2026-03-05")
KEPT = """\
retention: {accepted: 1, quarantined: 1, samples: 1, scores: 1, reports: 1, detectors: 1, champions: 2, logs: 1d}
"""


@pytest.fixture
def project(simulated: Path, tmp_path: Path) -> Path:
    """A project folder whose trainings are short and whose settings keep as little as they can."""
    folder = Path(shutil.copytree(simulated, tmp_path / "project"))
    file = folder / "datasets" / "flows.yaml"
    short = re.sub(r"(?m)^detector:$", "detector:\n  epochs: 3", file.read_text("utf-8"))
    file.write_text(re.sub(r"(?m)^  window_nights: .*$", "  window_nights: 2", short), encoding="utf-8")
    settings = folder / "sereno.yaml"
    settings.write_text(settings.read_text("utf-8") + KEPT, encoding="utf-8")
    return folder


def test_a_night_ends_as_ever_while_vacuum_takes_others_away_and_all_stay_done(project, drive, begin, sereno):
    first = [{"date": night, "options": {"train": position == 0}} for position, night in enumerate(NIGHTS[:3])]
    drive(project, "flows", first)
    night = begin("--project", project, "run", "flows", "--date", NIGHTS[3], "--json")
    rounds, gone = 0, set()
    while night.process.poll() is None:
        done = sereno("--project", project, "vacuum", "--json")
        assert done.code == 0, done.err
        gone |= {(one["what"], day) for one in done.json["going"] for day in one["nights"]}
        rounds += 1
    ended = night.end()
    assert ended.code == 0, ended.err
    assert ended.json["status"] == "done"
    assert rounds > 3
    assert {("accepted", NIGHTS[0]), ("accepted", NIGHTS[1]), ("reports", NIGHTS[0])} <= gone
    assert not {day for what, day in gone if day == NIGHTS[3]}
    assert sereno("--project", project, "vacuum").code == 0
    assert sorted(path.name for path in (project / "state/lake/flows/accepted").glob("night=*")) == [
        f"night={NIGHTS[3]}"
    ]

    told = sereno("--project", project, "clean", "flows", "--date", NIGHTS[0], "--to", project / "x.csv")
    assert (told.code, "its accepted rows are gone by retention on" in told.err) == (2, True)
    shown = json.loads(sereno("--project", project, "status", "flows", "--json").out)
    assert [night["status"] for night in shown] == ["done"] * 4
    assert sereno("--project", project, "scores", "flows", "--date", NIGHTS[3], "--to", project / "x.csv").code == 0
    again = sereno("--project", project, "run", "flows", "--date", NIGHTS[3], "--json")
    assert again.json["status"] == "skipped"
    assert [
        found["what"] for found in json.loads(sereno("--project", project, "doctor", "--json").out) if not found["ok"]
    ] == []
