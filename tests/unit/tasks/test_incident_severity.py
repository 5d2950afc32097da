"""Points make a severity, and a night that has more of them, or so many more alerts, is worse."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from schemas.incidents import IncidentSettings, SeverityBounds
from tasks.incident_severity import is_worse, points_of, severity_of

BOUNDS = SeverityBounds()


@dataclass(frozen=True)
class Brought:
    points: int = 0
    alerts: int = 10


@pytest.mark.parametrize(
    ("excess", "times", "points"),
    [(0.0, 0.1, 0), (1.0, 0.1, 1), (2.5, 0.1, 2), (0.1, 1.0, 1), (0.1, 30.0, 2), (9.0, 9.0, 4), (float("inf"), 0.0, 2)],
)
def test_how_far_and_how_many_are_points(excess, times, points):
    assert points_of(excess, times, BOUNDS) == points


@pytest.mark.parametrize(
    ("points", "night", "severity"),
    [
        (0, 1, "low"),
        (1, 2, "medium"),
        (2, 1, "high"),
        (3, 1, "high"),
        (4, 1, "critical"),
        (0, 3, "medium"),
        (4, 9, "critical"),
    ],
)
def test_points_are_a_severity_and_lasting_is_one_more(points, night, severity):
    assert severity_of(points, night, BOUNDS) == severity


@pytest.mark.parametrize(
    ("now", "before", "worse"),
    [
        (Brought(), Brought(), False),
        (Brought(alerts=19), Brought(), False),
        (Brought(alerts=20), Brought(), True),
        (Brought(alerts=2), Brought(alerts=1), False),
        (Brought(alerts=4), Brought(alerts=1), True),
        (Brought(points=1), Brought(), True),
        (Brought(points=3), Brought(points=2), False),
        (Brought(points=1, alerts=1), Brought(points=2), False),
    ],
    ids=str,
)
def test_worse_is_more_severe_or_so_many_more(now, before, worse):
    assert is_worse(now, before, IncidentSettings()) is worse
