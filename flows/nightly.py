"""The night: from the files that came in to the report."""

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


@flow(name="nightly", flow_run_name="{dataset} {date}", persist_result=False)
def nightly(
    dataset: str,
    date: Date,
    train: bool = True,
    seed: int | None = None,
    force: bool = False,
    accept: bool = False,
    asked_by: str | None = None,
    project: str | None = None,
) -> State[Any]:
    """Do one night of a dataset.

    Args:
        dataset: Its name.
        date: The logical date.
        train: Whether a challenger is trained.
        seed: Seed of the training, instead of the dataset's or project's.
        force: Do it again although it is done.
        accept: Take a night that the expectations hold.
        asked_by: Who asked for it; the user who runs it where no name is given.
        project: The project folder, where no session is open.
    """
    options = NightOptions(train=train, seed=seed, force=force, accept=accept, asked_by=asked_by)
    checks = (stages.ingest, stages.validate, stages.preprocess)
    training = (stages.train, stages.gate) if train else ()
    with session_in_use(project, trains=train) as session:
        result = do_night(
            session,
            dataset,
            date,
            options,
            [*checks, *training, stages.score, stages.alert, stages.promote],
            stages.report,
        )
    return as_state(result)
