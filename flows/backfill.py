"""A range of nights, in order: training of each depends on those before it."""

from __future__ import annotations

from datetime import date as Date
from datetime import timedelta
from typing import Any

from prefect import flow
from prefect.client.schemas.objects import State

from flows.nightly import nightly
from flows.outcome import night_tags, state_of_range
from flows.session import session_in_use


@flow(name="backfill", flow_run_name="{dataset} {first} to {last}", persist_result=False)
def backfill(
    dataset: str,
    first: Date,
    last: Date,
    train: bool = True,
    seed: int | None = None,
    force: bool = False,
    project: str | None = None,
) -> State[Any]:
    """Do each night of a range; a night that fails does not stop the next ones.

    In order, also where none trains: what a night is compared with is the window of nights before it.

    Args:
        dataset: Its name.
        first: First logical date.
        last: Last logical date, included.
        train: Whether each night trains a challenger.
        seed: Seed of the trainings.
        force: Do nights again that are done.
        project: The project folder, where no session is open.
    """
    with session_in_use(project, trains=train) as session:
        before = len(session.results)
        for date in dates(first, last):
            with night_tags(dataset, date):
                nightly(dataset, date, train=train, seed=seed, force=force, return_state=True)
        return state_of_range(session.results[before:])


def dates(first: Date, last: Date) -> list[Date]:
    """Every date of a range, both ends included."""
    return [first + timedelta(days=day) for day in range((last - first).days + 1)]
