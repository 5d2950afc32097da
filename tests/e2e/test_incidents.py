"""A burst of one cause by the command line: one incident over nights, silent while muted, back when worse, labelled."""

from __future__ import annotations

import csv
import gzip
import io
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from tasks.simulate_attacks import KINDS, rounded

# Minutes: a night that trains, and more that are scored, grouped and judged through the command line.
pytestmark = [pytest.mark.e2e, pytest.mark.slow]

LEARNT, NIGHTS = ("2026-03-02", "2026-03-03", "2026-03-04"), ("2026-03-05", "2026-03-06", "2026-03-08")
BURST = 500


def plant(root: Path, night: str, rows: int) -> set[str]:
    """Add floods, one a second at noon, to the files of a night; return their keys."""
    file = root / "incoming" / f"flows-{night}.csv.gz"
    with gzip.open(file, "rt", encoding="utf-8", newline="") as lines:
        own = list(csv.DictReader(lines))
    flood = next(kind for kind in KINDS if kind.name == "flood")
    text = rounded(flood.draw(rows, np.random.default_rng(5))).to_csv(index=False)
    drawn = list(csv.DictReader(io.StringIO(text)))
    made = [
        {
            **own[at % 200],
            **drawn[at],
            "flow_id": f"B{at:05d}",
            "start_time": f"{night}T12:{at // 60 % 60:02d}:{at % 60:02d}Z",
        }
        for at in range(rows)
    ]
    with gzip.open(file, "wt", encoding="utf-8", newline="") as lines:
        writer = csv.DictWriter(lines, list(own[0]))
        writer.writeheader()
        writer.writerows([*own, *made])
    return {row["flow_id"] for row in made}


@pytest.fixture(scope="module")
def watched(simulated: Path, tmp_path_factory: pytest.TempPathFactory, drive) -> dict[str, Any]:
    """A detector of three nights, and a night with a burst."""
    root = tmp_path_factory.mktemp("incidents") / "project"
    shutil.copytree(simulated, root)
    file = root / "datasets" / "flows.yaml"
    dataset = yaml.safe_load(file.read_text(encoding="utf-8").replace(str(simulated), str(root)))
    dataset |= {"expectations": [], "detector": {"family": "dense", "epochs": 8, "alert_budget": 20}}
    file.write_text(yaml.safe_dump(dataset), encoding="utf-8")
    planted = plant(root, NIGHTS[0], BURST)
    steps: list[dict[str, Any]] = [{"date": day, "options": {"only_validate": True}} for day in LEARNT[:2]]
    *_, _, burst = drive(root, "flows", [*steps, {"date": LEARNT[2]}, {"date": NIGHTS[0], "options": {"train": False}}])
    assert burst["exit"] == 0, burst
    return {"root": root, "planted": planted, "burst": burst}


@pytest.fixture
def incidents(watched: dict[str, Any], sereno):
    """Run a command of `incidents`, and return what it printed as JSON."""

    def incidents(*words: str) -> Any:
        done = sereno("--project", watched["root"], "incidents", *words, "--json")
        assert done.code == 0, done.err
        return done.json

    return incidents


def test_a_burst_is_one_incident_that_goes_on_is_muted_comes_back_and_is_labelled(
    watched: dict[str, Any], incidents, drive
) -> None:
    root, night = watched["root"], watched["burst"]
    listed = incidents("list", "flows", "--date", NIGHTS[0])["incidents"]
    assert night["incidents"] == len(listed)
    assert sum(one["alerts"] for one in listed) == night["alerts"] > BURST * 0.95
    (burst,) = [one for one in listed if one["alerts"] > BURST / 2]
    assert (burst["severity"], burst["status"], burst["night"]["told"]) == ("critical", "open", "new")
    number = str(burst["id"])
    page = json.loads(Path(night["report"]).with_suffix(".json").read_text(encoding="utf-8"))
    assert {one["id"] for one in page["incidents"]["incidents"]} == {one["id"] for one in listed}

    done = incidents("label", "flows", "--incident", number, "--as", "expected", "--note", "load test", "--by", "ana")
    assert done["labelled"] == {"expected": burst["alerts"]}
    labels = incidents("labels", "flows")["labels"]
    assert len({label["key"] for label in labels} & watched["planted"]) > BURST * 0.95
    assert {(label["label"], label["by"]) for label in labels} == {("expected", "ana")}

    assert incidents("mute", "flows", number, "--until", "2026-03-20")["status"] == "muted"
    plant(root, NIGHTS[1], BURST)
    plant(root, NIGHTS[2], 3 * BURST)
    drive(root, "flows", [{"date": day, "options": {"train": False}} for day in NIGHTS[1:]])
    told = incidents("show", "flows", number)
    assert [(one["date"], one["told"]) for one in told["nights"]] == list(
        zip(NIGHTS, ("new", None, "back"), strict=True)
    )
    assert told["incident"]["status"] == "open"
    assert [word["word"] for word in told["words"]] == ["expected", "mute"]
