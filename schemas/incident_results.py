"""What is said of incidents: in reports, by `sereno incidents --json`, and to whoever sends messages."""

from __future__ import annotations

from pydantic import Field

from schemas.detector import Frozen
from schemas.incidents import Severity, Standing, Why


class IncidentColumn(Frozen):
    """A column that the alerts of an incident share: its mean share of what made them, 0..1."""

    column: str
    share: float


class IncidentWord(Frozen):
    """What a person did: `ack`, `mute`, `unmute`, `note`, `close`, or a label that all of its alerts got.

    Fields: the last night that a mute covers; the incident's newest night when it was said; who; when, ISO, UTC.
    """

    word: str
    until: str | None = None
    night: str
    note: str = ""
    by: str
    at: str


class IncidentOfNight(Frozen):
    """What one night added to an incident.

    Fields: `entities`: the entities that have most of its alerts, where they are several; `told`: why people were told
    of it that night.
    """

    date: str
    alerts: int
    score: float
    p_value: float
    severity: Severity
    first_time: str | None = None
    last_time: str | None = None
    columns: tuple[IncidentColumn, ...] = ()
    entities: tuple[str, ...] = ()
    told: Why | None = None


class Incident(Frozen):
    """An incident as it stands on a night.

    Fields:
        id: Its number; None in a report that was written before it had one.
        entity: What it is about; None where the dataset has no entities, or several are affected.
        affected: How many entities have alerts of it on its newest night.
        columns: What made the alerts of the newest night, largest share first.
        first_night, last_night: When it began, and its newest night.
        nights: On how many nights it had alerts.
        alerts: Of its newest night.
        severity: Of its newest night.
        status: How it stands; `until`: the last night of its mute, where it is muted.
        night: What its newest night added.
        word: What a person did last.
    """

    id: int | None
    dataset: str
    entity: str | None = None
    affected: int = 0
    columns: tuple[IncidentColumn, ...] = ()
    first_night: str
    last_night: str
    nights: int = 1
    alerts: int
    severity: Severity
    status: Standing
    until: str | None = None
    night: IncidentOfNight
    word: IncidentWord | None = None


class IncidentHistory(Frozen):
    """An incident with its nights and what people did, oldest first, and some keys of its newest night's rows."""

    incident: Incident
    nights: tuple[IncidentOfNight, ...] = ()
    words: tuple[IncidentWord, ...] = ()
    keys: tuple[str, ...] = ()
    more_keys: int = 0


class ToldNight(Frozen):
    """Which incidents of a night people must be told of, the worst first; why is in each one's `night.told`.

    Fields: whether they make one message; how many more there are than are named.
    """

    dataset: str
    date: str
    digest: bool
    incidents: tuple[Incident, ...] = ()
    more: int = 0


class Allowed(Frozen):
    """Alerts of a night that a rule of the allow-list took: its reason, how many, until when it holds."""

    reason: str
    alerts: int
    until: str | None = None


class NightIncidents(Frozen):
    """A night's incidents in its report, the worst first, and the alerts that open none."""

    incidents: tuple[Incident, ...] = ()
    allowed: tuple[Allowed, ...] = Field((), description="By rule.")
