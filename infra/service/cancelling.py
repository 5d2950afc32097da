"""A night called off: what waits for it, and the run that works on it, with everything that works for that run."""

from __future__ import annotations

import os
import signal
import time
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from infra.runtime.events import Event
from infra.runtime.holder import Holder
from infra.runtime.requests import OPEN
from schemas.errors import UsageError

if TYPE_CHECKING:
    from datetime import date

    from infra.runtime.runs import Run
    from schemas.dataset import Dataset
    from tasks.services import Services

GIVE_UP_SECONDS = 8.0
"""So long a run has to give its night up in good order; then it is killed."""
LOOK_SECONDS = 0.1


@dataclass
class Cancelled:
    """What was called off.

    Args:
        dataset: The dataset.
        night: The logical date.
        requests: Numbers of the requests.
        runs: Run to how it ended: `ended`, `killed`, or `asked` where it works on another machine.
    """

    dataset: str
    night: date
    requests: list[int] = field(default_factory=list)
    runs: dict[str, str] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        """For `--json`."""
        return {
            "dataset": self.dataset,
            "date": self.night.isoformat(),
            "requests": self.requests,
            "runs": self.runs,
        }

    @property
    def sentences(self) -> list[str]:
        """For people."""
        about = f"{self.dataset} {self.night}"
        ends = {
            "ended": "gave the night up",
            "killed": "did not give the night up in time, and was killed",
            "asked": "works on another machine; the service there was asked to end it",
        }
        said = [f"{about}: run {run} {ends[how]}" for run, how in self.runs.items()]
        return [*said, *(f"{about}: request {number} called off" for number in self.requests)]


def cancel_night(services: Services, dataset: Dataset, night: date, actor: str) -> Cancelled:
    """Call off a night: its open requests, and the run that works on it.

    Raises:
        UsageError: Nobody works on the night, and nothing waits for it; or this user may not end the run that works
            on it: what waited is called off all the same.
    """
    done = Cancelled(dataset.name, night)
    for request in services.state.requests(dataset.name, night=night, statuses=OPEN):
        with suppress(UsageError):  # it is over by now
            services.state.cancel_request(request.id, actor)
            done.requests.append(request.id)
    for run in services.state.live(dataset.name):
        if run.night == night:
            try:
                done.runs[run.id] = _end(services, run)
            except PermissionError:
                raise _of_another_user(run, done) from None
    if not done.requests and not done.runs:
        raise UsageError(
            f"{dataset.name} {night}: nobody works on the night, and nothing waits for it",
            hint=f"what became of it: sereno status {dataset.name}",
        )
    text = f"{dataset.name} {night}: called off."
    services.state.tell(Event("cancelled", text, "info", dataset.name, night, actor, done.as_dict()))
    return done


def _of_another_user(run: Run, done: Cancelled) -> UsageError:
    called_off = f"; called off: request {', '.join(map(str, done.requests))}" if done.requests else ""
    return UsageError(
        f"{done.dataset} {done.night}: run {run.id} is the process {Holder.parse(run.holder).pid} of another user, who "
        f"alone may end it{called_off}",
        hint=f"as that user or as root: sereno cancel {done.dataset} --date {done.night}",
    )


def _end(services: Services, run: Run) -> str:
    holder = Holder.parse(run.holder)
    if holder.alive() is None:
        return "asked"
    how = "ended" if _is_ended_by(holder, signal.SIGTERM) else "killed"
    if how == "killed":
        _is_ended_by(holder, signal.SIGKILL)
    # Whatever it left half done is put right now, and the night may be begun again at once.
    from tasks.repair import put_right

    put_right(services)
    return how


def _is_ended_by(holder: Holder, number: signal.Signals) -> bool:
    # The number of a process that died may be another's by now.
    if holder.alive():
        with suppress(ProcessLookupError):
            os.kill(holder.pid, number)
    ends = time.monotonic() + GIVE_UP_SECONDS
    while holder.alive():
        if time.monotonic() > ends:
            return False
        time.sleep(LOOK_SECONDS)
    return True
