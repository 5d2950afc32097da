"""Whether a night's files have arrived, and whether they changed after the night was done."""

from __future__ import annotations

import json
import time
from datetime import date as Date
from pathlib import Path
from typing import TYPE_CHECKING

from schemas.errors import SerenoError
from tasks.addresses import parse_address, resolve_inputs
from tasks.night import NightRequest, input_hashes

if TYPE_CHECKING:
    from datetime import timedelta

    from infra.runtime.runs import Run
    from schemas.dataset import Dataset
    from tasks.services import Services


def has_arrived(services: Services, dataset: Dataset, night: Date, settle: timedelta) -> bool:
    """Whether a night's files are there and are not being written any more.

    Args:
        services: The stores.
        dataset: The dataset.
        night: The logical date.
        settle: Local files count once they have not changed for so long; an object store shows whole ones only.

    Returns:
        False, too, where an address cannot be looked at now; a run of the night would say why.
    """
    try:
        changed = last_change(files_of(services, dataset, night))
    except (SerenoError, OSError):
        return False
    return changed is None or time.time() - changed >= settle.total_seconds()


def files_of(services: Services, dataset: Dataset, night: Date) -> tuple[str, ...]:
    """The addresses of a night's files.

    Raises:
        NoInput: Nothing arrived.
        ForbiddenAddress: An address is not on the allow-list.
        OSError: An address cannot be looked at.
    """
    return tuple(resolve_inputs(dataset, night, services.project.root, services.settings.inputs))


def last_change(addresses: tuple[str, ...]) -> float | None:
    """When the newest of the local files changed, in seconds since 1970; None where there are none.

    Raises:
        OSError: A file went meanwhile.
    """
    parsed = (parse_address(address, Path("/")) for address in addresses)
    return max((Path(address.path).stat().st_mtime for address in parsed if address.is_local), default=None)


def written_since(services: Services, dataset: Dataset, done: Run) -> float | None:
    """When the newest of a night's files was written, in seconds since 1970; None where that was before the run began.

    Returns:
        None, too, where there are no files, or they cannot be looked at now.
    """
    try:
        changed = last_change(files_of(services, dataset, done.night))
    except (SerenoError, OSError):
        return None
    return changed if changed is not None and changed > done.started_at.timestamp() else None


def holds_other(services: Services, dataset: Dataset, done: Run) -> bool | None:
    """Whether a night's files hold something else than when it was done, as its report says; all of them are read.

    Returns:
        None where that cannot be said now: a file or the report cannot be read.
    """
    try:
        report = services.project.report_file(dataset.name, done.night.isoformat(), "json").read_bytes()
        before = sorted(str(file["sha256"]) for file in json.loads(report)["files"])
        request = NightRequest(dataset, done.night)
        return sorted(input_hashes(request, services).values()) != before
    except (SerenoError, OSError, ValueError, KeyError, TypeError):
        return None
