"""How bad an incident is, and whether it got worse."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from schemas.incidents import SEVERITIES, Severity

if TYPE_CHECKING:
    from schemas.incidents import IncidentSettings, SeverityBounds

_RANK = (0, 1, 2, 2)
"""The place among `SEVERITIES` that so many points come to; more points come to the last one."""


class Weighed(Protocol):
    """What one night brought of an incident."""

    @property
    def points(self) -> int:
        """How severe it is by itself."""

    @property
    def alerts(self) -> int:
        """How many alerts it has."""


def points_of(excess: float, times_wished: float, bounds: SeverityBounds) -> int:
    """Points of a night, 0..4: of how far out the worst alert is, and of how many there are.

    Args:
        excess: The highest score less the threshold.
        times_wished: Alerts over those that a usual night shall have in all.
        bounds: What counts.
    """
    return sum(excess >= bound for bound in bounds.far) + sum(times_wished >= bound for bound in bounds.many)


def severity_of(points: int, night: int, bounds: SeverityBounds) -> Severity:
    """The severity of an incident on its so many-th night, from 1."""
    total = points + (night >= bounds.lasting)
    return SEVERITIES[_RANK[total]] if total < len(_RANK) else SEVERITIES[-1]


def is_worse(now: Weighed, before: Weighed, settings: IncidentSettings) -> bool:
    """Whether a night of an incident is worse than an earlier one: more severe, or so many more alerts.

    How long it lasts does not count here: else what is muted would come back because it goes on.
    """
    bounds = settings.severity
    first = SEVERITIES.index(severity_of(before.points, 0, bounds))
    if SEVERITIES.index(severity_of(now.points, 0, bounds)) > first:
        return True
    return now.alerts >= max(settings.worse_times * before.alerts, before.alerts + settings.worse_least)
