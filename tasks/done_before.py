"""Whether a night was done before: by its fingerprint, and an old one with the labels of its time."""

from __future__ import annotations

from typing import TYPE_CHECKING

from schemas.errors import UnreadableInput
from tasks.night import fingerprint, input_hashes

if TYPE_CHECKING:
    from infra.runtime.runs import Run
    from tasks.night import NightRequest
    from tasks.services import Services


def done_before(services: Services, request: NightRequest, inputs: dict[str, str]) -> Run | None:
    """The run that did this very night, with the releases since; None where it is due.

    Args:
        services: The stores.
        request: The night.
        inputs: Content hash of each input by address.
    """
    name, kind, date = request.dataset.name, request.options.kind, request.date
    done = services.state.find_done(name, date, fingerprint(request, services, inputs), kind=kind)
    if done is None and _later_night_is_done(services, request):
        done = _done_with_labels_of_then(services, request, inputs)
    return None if done is None else services.state.with_releases(done)


def find_done(services: Services, request: NightRequest) -> Run | None:
    """The run that did this very night already, if its inputs can be read.

    Raises:
        NoInput: Nothing arrived for the date.
    """
    try:
        return done_before(services, request, input_hashes(request, services))
    except UnreadableInput:
        return None


def _done_with_labels_of_then(services: Services, request: NightRequest, inputs: dict[str, str]) -> Run | None:
    """A run that knew fewer labels: these count from the next night on, and do not make an old night undone."""
    name, kind, date = request.dataset.name, request.options.kind, request.date
    before = next((run for run in services.state.recent(name, night=date, kinds=[kind]) if run.status == "done"), None)
    if before is None:
        return None
    print_ = fingerprint(request, services, inputs, said_before=before.started_at)
    return services.state.find_done(name, date, print_, kind=kind)


def _later_night_is_done(services: Services, request: NightRequest) -> bool:
    newest = services.state.history(request.dataset.name, None, 1, table="accepted", gone=True)
    return bool(newest) and newest[0].night > request.date
