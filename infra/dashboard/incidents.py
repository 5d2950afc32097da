"""Routes on incidents: which there are, what is known of one, and what people do with it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from fastapi import APIRouter, Query
from pydantic import BaseModel, ConfigDict, Field

from infra.dashboard.caller import Caller, Stores, known_dataset, needs
from infra.dashboard.problems import Refused, problems
from infra.dashboard.values import LARGEST_ID, TEXT, IncidentPath, Limit, Name, NightDate
from infra.dashboard.written import API
from schemas.errors import ConfigError, UsageError
from schemas.incident_results import Incident, IncidentHistory
from schemas.incidents import Severity, Standing

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import date as Date

    from infra.runtime.incident_words import Word
    from infra.runtime.tokens import Token
    from schemas.dataset import Dataset
    from tasks.services import Services

reading = APIRouter(prefix=API, tags=["incidents"], dependencies=needs("read"))
operating = APIRouter(prefix=API, tags=["incidents"], dependencies=needs("operate"))

MOST_NOTE = 2_000


class SaidOfIncident(BaseModel):
    """What is worth knowing of what is done."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    note: str = Field("", max_length=MOST_NOTE, pattern=TEXT, description="Anything worth knowing.")


class Muted(SaidOfIncident):
    """How long an incident shall be silent."""

    until: NightDate = Field(description="The last night that stays silent; after the newest scored night.")


class Noted(BaseModel):
    """A text beside an incident."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    note: str = Field(min_length=1, max_length=MOST_NOTE, pattern=TEXT, description="The text.")


@reading.get("/incidents", responses=problems(404, 409))
def list_incidents(
    stores: Stores,
    dataset: Annotated[Name | None, Query(description="Of this dataset only.")] = None,
    date: Annotated[NightDate | None, Query(description="Those of this night, as they stood on it.")] = None,
    status: Annotated[
        list[Standing] | None,
        Query(description="That stand so only; without it and without `date` those that are not over."),
    ] = None,
    severity: Annotated[list[Severity] | None, Query(description="Of one of these severities only.")] = None,
    before: Annotated[int | None, Query(ge=1, le=LARGEST_ID, description="Only smaller numbers.")] = None,
    limit: Limit = 50,
) -> list[Incident]:
    """Incidents, newest first; of all datasets whose file can be read, where none is named."""
    from tasks.incident_mask import masked_for
    from tasks.incident_views import listed

    over = status is not None and "over" in status
    found = [
        masked_for(known, one)
        for known in _datasets(stores, dataset)
        for one in listed(stores, known, date, over=over)
        if (status is None or one.status in status) and (severity is None or one.severity in severity)
    ]
    wanted = (one for one in found if before is None or _number(one) < before)
    return sorted(wanted, key=_number, reverse=True)[:limit]


@reading.get("/incidents/{incident}", responses=problems(404, 409))
def show_incident(incident: IncidentPath, stores: Stores) -> IncidentHistory:
    """One incident: its nights, what people did, some of its rows; of one that was joined with another, that one."""
    from tasks.incident_acts import history
    from tasks.incident_mask import masked_history

    dataset = _dataset_of(stores, incident)
    return masked_history(dataset, history(stores, dataset, incident))


@operating.post("/incidents/{incident}/ack", responses=problems(404, 409, 413))
def ack_incident(
    incident: IncidentPath, stores: Stores, caller: Caller, said: SaidOfIncident | None = None
) -> Incident:
    """Take an incident up: people hear of it again only when it gets worse."""
    return _say(stores, caller, incident, "ack", said)


@operating.post("/incidents/{incident}/mute", responses=problems(404, 409, 413))
def mute_incident(incident: IncidentPath, said: Muted, stores: Stores, caller: Caller) -> Incident:
    """Silence an incident up to and with a night; it comes back when it gets worse."""
    return _say(stores, caller, incident, "mute", said, until=said.until)


@operating.post("/incidents/{incident}/unmute", responses=problems(404, 409, 413))
def unmute_incident(
    incident: IncidentPath, stores: Stores, caller: Caller, said: SaidOfIncident | None = None
) -> Incident:
    """End an incident's mute."""
    return _say(stores, caller, incident, "unmute", said)


@operating.post("/incidents/{incident}/note", responses=problems(404, 409, 413))
def note_incident(incident: IncidentPath, said: Noted, stores: Stores, caller: Caller) -> Incident:
    """Write a text down beside an incident."""
    return _say(stores, caller, incident, "note", said)


@operating.post("/incidents/{incident}/close", responses=problems(404, 409, 413))
def close_incident(
    incident: IncidentPath, stores: Stores, caller: Caller, said: SaidOfIncident | None = None
) -> Incident:
    """Call an incident over: the same alerts on a later night are a new one."""
    return _say(stores, caller, incident, "close", said)


def _datasets(stores: Services, name: str | None) -> Iterator[Dataset]:
    """The dataset that is named; else all whose file can be read."""
    if name is not None:
        yield known_dataset(stores, name)
        return
    from schemas.dataset import load_dataset

    for one in stores.project.dataset_names():
        try:
            yield load_dataset(stores.project.dataset_file(one))
        except ConfigError:
            continue


def _number(incident: Incident) -> int:
    return incident.id or 0


def _dataset_of(stores: Services, number: int) -> Dataset:
    return known_dataset(stores, stores.state.dataset_of_incident(number))


def _say(
    stores: Services,
    caller: Token,
    number: int,
    word: Word,
    said: SaidOfIncident | Noted | None,
    *,
    until: Date | None = None,
) -> Incident:
    """Do as `sereno incidents` does, under the token's name."""
    from tasks.incident_acts import say
    from tasks.incident_mask import masked_for

    dataset = _dataset_of(stores, number)
    stores.state.incident(dataset.name, number)
    note = said.note if said is not None else ""
    try:
        return masked_for(dataset, say(stores, dataset, number, word, actor=caller.name, note=note, until=until))
    except UsageError as error:
        raise Refused(409, error.message, error.hint) from None
