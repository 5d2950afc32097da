"""Train a detector on nights that were validated, outside of any night."""

from __future__ import annotations

from datetime import date as Date
from typing import TYPE_CHECKING

from prefect import flow

from flows import stages
from flows.at_work import train_only
from flows.session import session_in_use

if TYPE_CHECKING:
    from tasks.training import TrainingDecision


@flow(name="training", flow_run_name="{dataset}", persist_result=False)
def training(
    dataset: str,
    first: Date | None = None,
    last: Date | None = None,
    seed: int | None = None,
    project: str | None = None,
) -> TrainingDecision:
    """Train a challenger, register it, and let the gate judge it.

    Args:
        dataset: Its name.
        first: First night of the window; the dataset's window where none is given.
        last: Last night of the window, included; the newest validated one where none is given.
        seed: Seed of the training, instead of the dataset's or project's.
        project: The project folder, where no session is open.

    Raises:
        ConfigError: The detector's family, loss or one of its options does not exist.
        UsageError: No night of the window was validated.
        TrainingFailed: The training ended without a detector.
    """
    with session_in_use(project, trains=True) as session:
        return train_only(session, dataset, first, last, seed, [stages.train, stages.gate])
