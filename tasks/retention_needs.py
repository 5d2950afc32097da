"""Which nights retention leaves alone, however old: something may still read them, or write to them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import date as Date
from typing import TYPE_CHECKING

from infra.runtime.nights import as_night
from schemas.detector import DetectorSettings
from schemas.errors import ConfigError, UsageError

if TYPE_CHECKING:
    from infra.runtime.runs import Run
    from tasks.services import Services

STOPPED = "a stopped run is not put right yet: sereno doctor --repair"
RESUMES = "the night was stopped, and can go on from what it left"


def window_nights(services: Services, name: str) -> int:
    """How many nights train a dataset's detector; the default where its file is gone.

    Raises:
        ConfigError: Its file cannot be read, so that nobody knows.
    """
    from schemas.dataset import load_dataset

    path = services.project.dataset_file(name)
    settings = load_dataset(path).detector if path.is_file() else DetectorSettings.model_validate({})
    return settings.window_nights


def busy_nights(services: Services, name: str) -> dict[Date, str]:
    """Nights of a dataset on which somebody is at work, or was and has not been put right, each with the reason."""
    found = dict.fromkeys(_resumed_nights(services, name), RESUMES)
    stale = {run.id for run in services.state.stale()}
    for run in services.state.live(name):
        if run.kind != "vacuum":
            found[run.night] = STOPPED if run.id in stale else f"run {run.id} ({run.kind}) holds the night"
    return found


def needed_nights(services: Services, name: str, table: str, nights: Iterable[Date]) -> dict[Date, str]:
    """Those of the nights whose rows in a table stay, each with the reason.

    Args:
        services: The stores.
        name: The dataset.
        table: The table, or `PAGE`.
        nights: All nights that have rows there.
    """
    ordered = sorted(nights)
    busy = busy_nights(services, name)
    found = {night: why for night, why in busy.items() if night in set(ordered)}
    try:
        least, why = _least(services, name, table)
        windows = _windows(services, name) if table == "samples" else ()
    except ConfigError:
        unreadable = "the dataset file cannot be read, so that its training window is not known: sereno doctor"
        return {**dict.fromkeys(ordered, unreadable), **found}
    for run, window in windows:
        found |= {night: f"run {run.id} may train on it" for night in window if night not in found}
    return {**dict.fromkeys(ordered[-least:], why), **found}


def _least(services: Services, name: str, table: str) -> tuple[int, str]:
    """The newest nights that stay whatever the settings say, and why."""
    from tasks.recalibrate import NIGHTS
    from tasks.versions import DIFF_NIGHTS

    if table == "samples":
        return max(window_nights(services, name), DIFF_NIGHTS), "the training window"
    if table == "scores":
        return NIGHTS, f"the newest {NIGHTS} stay for sereno recalibrate"
    return 1, "the newest night stays"


def _windows(services: Services, name: str) -> Iterator[tuple[Run, set[Date]]]:
    """The nights that runs at work may train on: what is gone by now was there when they began."""
    most = window_nights(services, name)
    for run in services.state.live(name):
        if run.kind != "vacuum":
            before = services.state.history(name, run.night, most, table="samples", gone=True)
            yield run, {other.night for other in before}


def _resumed_nights(services: Services, name: str) -> Iterator[Date]:
    for folder in services.project.resume.glob(f"{name}/*"):
        try:
            yield as_night(folder.name)
        except UsageError:
            continue
