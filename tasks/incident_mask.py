"""What pages and messages hide of incidents: names and times from columns that the dataset file marks `sensitive`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from schemas.incident_results import Incident, IncidentHistory, IncidentOfNight
from tasks.report_text import MASK

if TYPE_CHECKING:
    from schemas.dataset import Dataset


def masked_for(dataset: Dataset, incident: Incident) -> Incident:
    """An incident as people outside may see it."""
    hidden = _hidden(dataset)
    return masked_incident(incident, entity=dataset.entity in hidden, time=dataset.event_time in hidden)


def masked_history(dataset: Dataset, history: IncidentHistory) -> IncidentHistory:
    """An incident with its nights and rows as people outside may see it; what people wrote beside it stays."""
    from tasks.report_mask import masked_key

    hidden = _hidden(dataset)
    entity, time = dataset.entity in hidden, dataset.event_time in hidden
    return history.model_copy(
        update={
            "incident": masked_incident(history.incident, entity=entity, time=time),
            "nights": tuple(_masked_night(night, entity=entity, time=time) for night in history.nights),
            "keys": tuple(masked_key(key, dataset.key, hidden) for key in history.keys) if hidden else history.keys,
        }
    )


def masked_incident(incident: Incident, *, entity: bool, time: bool) -> Incident:
    """Mask the entities of an incident, and when its alerts happened.

    Args:
        incident: The incident.
        entity: Whether entities are hidden.
        time: Whether times are hidden.
    """
    update: dict[str, Any] = {"night": _masked_night(incident.night, entity=entity, time=time)}
    if entity and incident.entity is not None:
        update["entity"] = MASK
    return incident.model_copy(update=update)


def _masked_night(night: IncidentOfNight, *, entity: bool, time: bool) -> IncidentOfNight:
    update: dict[str, Any] = {}
    if entity:
        update["entities"] = tuple(MASK for _ in night.entities)
    if time:
        update |= {name: MASK for name in ("first_time", "last_time") if getattr(night, name) is not None}
    return night.model_copy(update=update)


def _hidden(dataset: Dataset) -> frozenset[str]:
    return frozenset(name for name, column in dataset.columns.items() if column.sensitive)


def masked_allow_list(configuration: Mapping[str, Any], hidden: frozenset[str]) -> Mapping[str, Any]:
    """Mask what the rules of an allow-list say of the values of sensitive columns.

    Args:
        configuration: A resolved dataset file.
        hidden: The sensitive columns.
    """
    incidents = configuration.get("incidents")
    rules = incidents.get("allow") if isinstance(incidents, Mapping) else None
    if not isinstance(incidents, Mapping) or not isinstance(rules, (list, tuple)):
        return configuration
    entity = configuration.get("entity") in hidden
    allow = [_rule(rule, hidden, entity=entity) if isinstance(rule, Mapping) else rule for rule in rules]
    return {**configuration, "incidents": {**incidents, "allow": allow}}


def _rule(rule: Mapping[str, Any], hidden: frozenset[str], *, entity: bool) -> dict[str, Any]:
    told = dict(rule)
    if isinstance(rule.get("values"), Mapping):
        told["values"] = {name: MASK if name in hidden else value for name, value in rule["values"].items()}
    if entity and rule.get("entity"):
        told["entity"] = MASK
    return told
