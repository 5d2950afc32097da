"""Ingest and validate only: what a night is when nothing is trained or scored."""

from __future__ import annotations

from datetime import date as Date
from typing import Any

from prefect import flow
from prefect.client.schemas.objects import State

from flows import stages
from flows.at_work import do_night
from flows.outcome import as_state
from flows.session import session_in_use
from tasks.night import NightOptions


@flow(name="validation", flow_run_name="{dataset} {date}", persist_result=False)
def validation(
    dataset: str,
    date: Date,
    force: bool = False,
    accept: bool = False,
    asked_by: str | None = None,
    project: str | None = None,
) -> State[Any]:
    """Ingest and validate one night of a dataset; arguments as for `nightly`."""
    options = NightOptions(force=force, accept=accept, asked_by=asked_by, only_validate=True)
    with session_in_use(project) as session:
        result = do_night(
            session, dataset, date, options, [stages.ingest, stages.validate, stages.preprocess], stages.report
        )
    return as_state(result)
