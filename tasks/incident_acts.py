"""What people do with incidents: take up, silence, close, label; and what is known of one."""

from __future__ import annotations

from datetime import date as Date
from datetime import timedelta
from typing import TYPE_CHECKING

from infra.runtime.incident_rows import nights_of_incidents, words_of_incidents
from infra.runtime.incidents import incident_now, keys_of_incident
from schemas.errors import UsageError
from schemas.incident_results import IncidentHistory
from tasks.incident_views import as_word, newest_scored, of_night, views

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from infra.runtime.incident_words import Word
    from schemas.dataset import Dataset
    from schemas.incident_results import Incident
    from tasks.labels import Labelled
    from tasks.services import Services

MOST_KEYS = 50


def say(
    services: Services,
    dataset: Dataset,
    number: int,
    word: Word,
    *,
    actor: str,
    note: str = "",
    until: Date | None = None,
) -> Incident:
    """Write down what a person does with an incident, and return how it stands then.

    Args:
        services: The stores.
        dataset: The dataset.
        number: The incident.
        word: What is done.
        actor: Who does it.
        note: Anything worth knowing.
        until: The last night that a mute covers.

    Raises:
        UsageError: No such incident, a mute without an end or one that ends in the past, or a note without a text.
    """
    if word == "note" and not note.strip():
        raise UsageError("a note needs a text")
    if word == "mute":
        _check_end(services, dataset, until)
    there = services.state.incident(dataset.name, number)
    services.state.say_of_incident(dataset.name, there, word, actor=actor, note=note.strip(), until=until)
    return stands(services, dataset, there)


def _check_end(services: Services, dataset: Dataset, until: Date | None) -> None:
    newest = services.state.look(lambda connection: newest_scored(connection, dataset))
    if until is None:
        raise UsageError("a mute needs an end", hint="--until DATE: the last night that stays silent")
    if newest is not None and until <= newest:
        raise UsageError(
            f"a mute until {until} is over already: the newest night of {dataset.name} is {newest}",
            hint=f"give a later night: --until {newest + timedelta(days=14)}",
        )


def stands(services: Services, dataset: Dataset, number: int) -> Incident:
    """How an incident stands now.

    Raises:
        UsageError: No such incident.
    """
    return history(services, dataset, number).incident


def history(services: Services, dataset: Dataset, number: int) -> IncidentHistory:
    """An incident with its nights and what people did, oldest first, and some of its rows.

    Raises:
        UsageError: No such incident.
    """
    return services.state.look(lambda connection: _history(connection, dataset, number))


def _history(connection: Connection, dataset: Dataset, number: int) -> IncidentHistory:
    there = incident_now(connection, dataset.name, number)
    nights = nights_of_incidents(connection, dataset.name, numbers=[there])
    newest = nights[-1]
    (incident,) = views(connection, dataset, [newest], newest_scored(connection, dataset) or newest.night)
    keys = keys_of_incident(connection, dataset.name, there, newest.night)[newest.night]
    return IncidentHistory(
        incident=incident,
        nights=tuple(map(of_night, nights)),
        words=tuple(map(as_word, words_of_incidents(connection, [there]).get(there, ()))),
        keys=tuple(keys[:MOST_KEYS]),
        more_keys=max(len(keys) - MOST_KEYS, 0),
    )


def label_incident(
    services: Services,
    dataset: Dataset,
    number: int,
    word: str,
    *,
    actor: str,
    note: str = "",
    night: Date | None = None,
) -> Labelled:
    """Label all rows of an incident with one word, and write it down beside the incident.

    Args:
        services: The stores.
        dataset: The dataset.
        number: The incident.
        word: The label.
        actor: Who says it.
        note: Free text, which each label gets.
        night: Its rows of this night only.

    Raises:
        UsageError: No such incident, it has no alerts on that night, or a label that is not known.
    """
    from tasks.labels import Said, as_label, label_rows

    def read(connection: Connection) -> tuple[int, dict[Date, list[str]]]:
        there = incident_now(connection, dataset.name, number)
        return there, keys_of_incident(connection, dataset.name, there, night)

    label = as_label(word)
    there, rows = services.state.look(read)
    if not rows:
        raise UsageError(
            f"{dataset.name}: incident {there} has no alerts on {night}",
            hint=f"see its nights: sereno incidents show {dataset.name} {there}",
        )
    said = [Said(day, key, label, note) for day, keys in rows.items() for key in keys]
    done = label_rows(services, dataset, said, actor)
    services.state.say_of_incident(dataset.name, there, label, actor=actor, note=note.strip())
    return done
