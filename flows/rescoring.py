"""History scored again with one version: no night of it depends on another, so they are scored side by side."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from datetime import date as Date
from typing import Any

from prefect import flow
from prefect.client.schemas.objects import State
from prefect.states import Failed

from flows.backfill import dates
from flows.outcome import night_tags, state_of_range
from flows.scoring import scoring
from flows.session import session_in_use
from schemas.errors import UsageError
from tasks.scored_before import nights_to_score


@flow(name="rescoring", flow_run_name="{dataset} {first} to {last}", persist_result=False)
def rescoring(
    dataset: str,
    first: Date,
    last: Date,
    version: str,
    parallel: int = 1,
    force: bool = False,
    project: str | None = None,
) -> State[Any]:
    """Score the validated nights of a range again; those that the version scored already are left out.

    Args:
        dataset: Its name.
        first: First logical date.
        last: Last logical date, included.
        version: The detector version.
        parallel: So many nights at once.
        force: Also those that it scored already.
        project: The project folder, where no session is open.
    """
    with session_in_use(project) as session:
        before = len(session.results)
        try:
            wanted = nights_to_score(session.services, dataset, dates(first, last), version, force=force)
        except UsageError as error:
            return Failed(message=str(error))

        def one(date: Date) -> None:
            with night_tags(dataset, date):
                scoring(dataset, date, version=version, return_state=True)

        with ThreadPoolExecutor(parallel, thread_name_prefix="night") as pool:
            # Each in a context of its own, in which Prefect and the session find what is this thread's.
            for done in [pool.submit(copy_context().run, one, date) for date in wanted]:
                done.result()
        return state_of_range(session.results[before:])
