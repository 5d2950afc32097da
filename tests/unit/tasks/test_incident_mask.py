"""What a dataset file's allow-list says of sensitive columns is not repeated by a report."""

from __future__ import annotations

import pytest

from schemas.incident_results import IncidentHistory
from tasks.incident_mask import masked_for, masked_history
from tasks.report_mask import masked_configuration
from tasks.report_text import MASK

RULE = {"reason": "the move", "entity": ["h1"], "column": [], "values": {"sent": 7, "note": "x"}, "until": None}


@pytest.mark.parametrize(
    ("hidden", "entity", "sent"), [({"host"}, MASK, 7), ({"sent"}, ["h1"], MASK), ({"got"}, ["h1"], 7)]
)
def test_names_and_values_of_sensitive_columns_are_masked(hidden, entity, sent):
    configuration = {"entity": "host", "incidents": {"spread": 5, "allow": [RULE]}}
    masked = masked_configuration(configuration, frozenset(hidden))
    (rule,) = masked["incidents"]["allow"]
    assert (rule["entity"], rule["values"], rule["reason"]) == (entity, {"sent": sent, "note": "x"}, "the move")
    assert masked["incidents"]["spread"] == 5
    assert masked_configuration(masked, frozenset(hidden)) == masked


@pytest.mark.parametrize("incidents", [None, {}, {"allow": "x"}, {"allow": ["x", None]}])
def test_a_file_of_another_shape_stays_as_it_is(incidents):
    configuration = {"entity": "host", "incidents": incidents}
    assert masked_configuration(configuration, frozenset({"host"})) == configuration


def test_an_incident_for_people_outside(make_dataset, an_incident):
    columns = {name: column.model_dump(exclude_unset=True) for name, column in make_dataset().columns.items()}
    columns["host"]["sensitive"] = True
    shown = masked_for(make_dataset(columns=columns), an_incident(1, "h1"))
    assert (shown.entity, shown.night.entities, shown.night.first_time[:10]) == (MASK, (MASK, MASK), "2026-03-06")
    assert masked_for(make_dataset(), an_incident(1, "h1")) == an_incident(1, "h1")


def test_the_history_of_an_incident_for_people_outside(make_dataset, an_incident):
    columns = {name: column.model_dump(exclude_unset=True) for name, column in make_dataset().columns.items()}
    columns["host"]["sensitive"] = True
    columns["flow_id"]["sensitive"] = True
    incident = an_incident(1, "h1")
    history = IncidentHistory(incident=incident, nights=(incident.night,), keys=("4711",))
    shown = masked_history(make_dataset(columns=columns), history)
    assert (shown.incident.entity, shown.nights[0].entities, shown.keys) == (MASK, (MASK, MASK), (MASK,))
    assert masked_history(make_dataset(), history) == history
