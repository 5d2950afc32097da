"""Which nights of a range are to be scored again with a version."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date as Date
from typing import TYPE_CHECKING

from schemas.dataset import load_dataset
from schemas.errors import UsageError
from tasks.night import NightOptions, NightRequest, fingerprint

if TYPE_CHECKING:
    from tasks.services import Services


def nights_to_score(
    services: Services, name: str, nights: Sequence[Date], version: str, *, force: bool = False
) -> list[Date]:
    """The validated nights of a range that the version has not scored yet, oldest first.

    Args:
        services: The stores.
        name: The dataset.
        nights: The range.
        version: The detector version.
        force: Also those that it scored, so that a range that was stopped goes on where none is given.

    Raises:
        UsageError: No night of the range was validated, or there is no such version.
    """
    dataset = load_dataset(services.project.dataset_file(name))
    validated = services.state.pins(name, "accepted", nights)
    if not validated:
        raise UsageError(
            f"{name}: no night from {nights[0]} to {nights[-1]} was validated",
            hint=f"do the nights first: sereno backfill {name} --from {nights[0]} --to {nights[-1]}",
        )
    services.registry.version(name, version)
    options = NightOptions(train=False, only_score=True, version=version)
    requests = [NightRequest(dataset, night, options) for night in sorted(validated)]
    return [request.date for request in requests if force or not _is_scored(services, request)]


def _is_scored(services: Services, request: NightRequest) -> bool:
    print_ = fingerprint(request, services, {})
    return services.state.find_done(request.dataset.name, request.date, print_, kind="score") is not None
