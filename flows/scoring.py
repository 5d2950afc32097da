"""Score a validated night again, with the champion or with any version."""

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


@flow(name="scoring", flow_run_name="{dataset} {date}", persist_result=False)
def scoring(dataset: str, date: Date, version: str | None = None, project: str | None = None) -> State[Any]:
    """Score the accepted rows of one night.

    Args:
        dataset: Its name.
        date: The logical date.
        version: The detector version; the champion where none is given.
        project: The project folder, where no session is open.
    """
    options = NightOptions(train=False, only_score=True, version=version)
    with session_in_use(project) as session:
        result = do_night(session, dataset, date, options, [stages.load, stages.score, stages.alert], stages.report)
    return as_state(result)
