"""What pages and messages hide of incidents: names and times from columns that the dataset file marks `sensitive`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from schemas.incident_results import Incident
from tasks.report_text import MASK

if TYPE_CHECKING:
    from schemas.dataset import Dataset


def masked_for(dataset: Dataset, incident: Incident) -> Incident:
    """An incident as people outside may see it."""
    hidden = {name for name, column in dataset.columns.items() if column.sensitive}
    return masked_incident(incident, entity=dataset.entity in hidden, time=dataset.event_time in hidden)


def masked_incident(incident: Incident, *, entity: bool, time: bool) -> Incident:
    """Mask the entities of an incident, and when its alerts happened.

    Args:
        incident: The incident.
        entity: Whether entities are hidden.
        time: Whether times are hidden.
    """
    night: dict[str, Any] = {}
    if entity:
        night["entities"] = tuple(MASK for _ in incident.night.entities)
    if time:
        night |= {name: MASK for name in ("first_time", "last_time") if getattr(incident.night, name) is not None}
    update: dict[str, Any] = {"night": incident.night.model_copy(update=night)}
    if entity and incident.entity is not None:
        update["entity"] = MASK
    return incident.model_copy(update=update)


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
