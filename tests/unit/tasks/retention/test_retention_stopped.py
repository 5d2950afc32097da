"""Retention may be killed at any moment, and works beside runs of other nights."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from schemas.errors import LockedNight
from tasks.retention import vacuum

VACUUM = """
import sys
from infra.cli.main import main
main(["--project", sys.argv[1], *sys.argv[2:]])
"""


def run_vacuum(root, *arguments, **environ):
    command = [sys.executable, "-P", "-c", VACUUM, str(root), "vacuum", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, env={**os.environ, **environ})


@pytest.mark.parametrize(
    "point",
    ["state.gone:before", "state.gone:after", "lake.delete:before", "lake.delete:after", "lake.remove:before:3"],
)
def test_killed_at_any_moment_the_next_one_ends_it(year, point):
    services = year.services(accepted=5)
    killed = run_vacuum(year.project.root, SERENO_FAILPOINT=point)
    assert killed.returncode == -9, killed.stderr
    # Whatever the state pins can be read, as it was.
    assert year.read("accepted") == sorted(map(str, year.state.pins("flows", "accepted")))
    year.age(*(path for position in range(15) for path in year.files("accepted", year.days[position])))
    vacuum(services)
    assert year.lake.nights("flows", "accepted") == list(year.days[15:20])
    assert year.read("accepted") == [str(year.days[position]) for position in range(15, 20)]
    assert not [path for position in range(15) for path in year.files("accepted", year.days[position])]
    assert not year.state.live()
    assert not year.state.recent("flows", kinds=["vacuum"])


def test_two_at_once_are_refused(year):
    services = year.services(accepted=5)
    with year.state.sole("vacuum"):
        refused = run_vacuum(year.project.root)
        assert refused.returncode == 6
        assert "Another `sereno vacuum` is at work" in refused.stderr
        with pytest.raises(LockedNight, match="at work"), year.state.sole("vacuum"):
            pass
    assert len(vacuum(services).going) == 1


WORKER = """
import sys
from datetime import date, timedelta
import pyarrow as pa
from infra.runtime.lake import Lake
from infra.runtime.lease import Lease
from infra.runtime.state import State

url, lake, first, nights = sys.argv[1], Lake(sys.argv[2]), date.fromisoformat(sys.argv[3]), int(sys.argv[4])
with State(url) as state:
    for position in range(nights):
        day = first + timedelta(days=position)
        run = state.start_run("flows", day, "run", "fp")
        with Lease(state, run.id):
            window = state.history("flows", day, 3, table="samples", gone=True)
            versions = {}
            for table in ("accepted", "quarantined", "samples", "scores"):
                pins = {other.night: other.versions["samples"] for other in window if "samples" not in other.gone}
                keys = lake.read("flows", "samples", pins)["key"].to_pylist()
                assert sorted(keys) == sorted(map(str, pins)), (day, keys, pins)
                assert len(pins) == 3, (day, pins)
                rows, schema = pa.table({"key": [str(day)]}), pa.schema([("key", pa.string())])
                versions[table] = lake.replace_night("flows", table, day, rows, schema, run_id=run.id)
            state.finish_run(run.id, "done", versions=versions)
        print(day, flush=True)
"""


def test_nights_are_done_in_another_process_while_vacuum_takes_others_away(year):
    """Each of the nights reads its window and commits to the tables that vacuum commits to."""
    services = year.services(accepted=5, quarantined=5, samples=5, scores=5, reports=5)
    command = [
        sys.executable,
        "-P",
        "-c",
        WORKER,
        year.project.database_url,
        str(year.project.lake),
        str(year.days[20]),
        "25",
    ]
    taken = 0
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as worker:
        for _ in worker.stdout:
            done = vacuum(services)
            assert not done.failures
            taken += sum(len(one.nights) for one in done.going)
        said = worker.stderr.read()
    assert worker.returncode == 0, said
    last = vacuum(services)
    assert not last.failures
    assert taken > 60
    kept = [str(year.days[position]) for position in range(40, 45)]
    assert year.read("accepted") == kept
    assert year.lake.nights("flows", "accepted") == list(year.days[40:45])
    assert len(year.read("scores")) == 14
    assert year.read("samples") == [str(year.days[position]) for position in range(38, 45)]
