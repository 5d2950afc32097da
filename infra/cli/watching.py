"""What a terminal shows of a run that works elsewhere: its stages as they begin, and what became of it."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from infra.cli.invocation import on_terminal, say
from schemas.errors import Exit, SerenoError

if TYPE_CHECKING:
    from infra.runtime.requests import Request
    from infra.runtime.runs import Run
    from schemas.results import NightResult
    from tasks.services import Services

LOOK_SECONDS = 0.5


def watched(services: Services, request: Request) -> NightResult | None:
    """Show a request's progress on stderr until it is over.

    Returns:
        The night's result; None where the request is about no single night, or ended without one.

    Raises:
        SerenoError: It was cancelled or failed without a recorded outcome.
    """
    from schemas.results import NightResult

    shown = _Shown()
    while request.is_open:
        shown.say(_where(services, request))
        time.sleep(LOOK_SECONDS)
        request = services.state.request(request.id)
    asked = request.asked
    if request.status == "cancelled":
        raise SerenoError(f"Request {request.id} was cancelled: {request.reason or 'somebody asked for it'}.")
    run = services.state.latest_final(asked.dataset, asked.night) if asked.night is not None else None
    if run is None or run.started_at < request.asked_at:
        return _without_run(request, run)
    return NightResult.model_validate(run.result)


def _without_run(request: Request, before: Run | None) -> NightResult | None:
    from schemas.results import NightResult

    if request.status == "failed":
        raise SerenoError(f"Request {request.id} failed: {request.reason}", hint="Look at it: sereno status.")
    if before is None:
        return None
    return NightResult.model_validate({**before.result, "status": "skipped", "reason": request.reason})


def code_of(result: NightResult | None) -> Exit:
    """The exit code of what was watched."""
    from infra.cli.night_output import exit_code

    return Exit.DONE if result is None else exit_code(result)


def _where(services: Services, request: Request) -> str:
    asked = request.asked
    about = f"{asked.dataset} {asked.night or asked.kind}"
    at_work = [run for run in services.state.live(asked.dataset) if asked.night in (None, run.night)]
    if request.status == "waiting" or not at_work:
        return f"{about}: {request.reason or 'begins'}"
    stage = at_work[0].result.get("stage")
    return f"{at_work[0].dataset} {at_work[0].night}: {stage or 'begins'}"


class _Shown:
    def __init__(self) -> None:
        self._last = ""

    def say(self, text: str) -> None:
        if text != self._last and on_terminal():
            say(text, err=True)
        self._last = text
