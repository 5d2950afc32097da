"""A process is killed at the named point that the environment asks for, and nowhere else."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
from typing import get_args

import pytest

from schemas.failpoints import LOG_VARIABLE, VARIABLE, Point, durable

WRITES = """
from schemas.failpoints import durable

for word in ("one", "two"):
    with durable("lake.commit"):
        print(word, flush=True)
print("end", flush=True)
"""


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ("lake.commit:before", []),
        ("lake.commit:after", ["one"]),
        ("lake.commit:before:2", ["one"]),
        ("lake.commit:after:2", ["one", "two"]),
        ("lake.commit:after:3", ["one", "two", "end"]),
        ("lake.create:before", ["one", "two", "end"]),
        ("lake.commit", ["one", "two", "end"]),
        ("", ["one", "two", "end"]),
    ],
)
def test_a_process_is_killed_at_the_point_that_is_asked_for(asked, said):
    done = subprocess.run(
        [sys.executable, "-P", "-c", WRITES], env={VARIABLE: asked}, capture_output=True, text=True, check=False
    )
    assert done.stdout.split() == said
    assert done.returncode == (0 if "end" in said else -signal.SIGKILL)


def test_the_points_that_were_passed_are_told_and_a_write_that_failed_has_none_after_it(monkeypatch, tmp_path):
    monkeypatch.setenv(LOG_VARIABLE, str(tmp_path / "seen"))
    with durable("report.page"):
        pass
    with pytest.raises(OSError, match="full"), durable("report.draft"):
        raise OSError("full")
    assert (tmp_path / "seen").read_text().split() == ["report.page:before", "report.page:after", "report.draft:before"]


def test_every_name_stands_somewhere_in_the_code(checkout):
    rooms = [path for room in ("infra", "tasks", "models", "flows") for path in (checkout / room).rglob("*.py")]
    used = {name for path in rooms for name in re.findall(r'durable\("([a-z.]+)"\)', path.read_text(encoding="utf-8"))}
    assert used == set(get_args(Point))
