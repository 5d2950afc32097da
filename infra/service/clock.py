"""What turns schedules and requests into flow runs, and looks after them until each night has its outcome.

Everything is worked out anew at each turn from what the stores say: a turn that was lost, or came twice, changes
nothing. `infra.service.clock_child` runs it for as long as the service is up.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import datetime
from typing import TYPE_CHECKING

from infra.runtime.logs import secrets_of
from infra.runtime.refusals import described_error
from infra.service.beginning import Beginning
from infra.service.faults import Faults
from infra.service.outcomes import Outcomes
from infra.service.planning import Planning
from infra.service.retention import Retention
from infra.service.watched import Watched
from schemas import moment

if TYPE_CHECKING:
    from datetime import date

    from infra.service.launcher import Launcher
    from infra.service.retention import Child
    from tasks.services import Services


class Clock:
    """The service's clock.

    Args:
        services: The stores.
        launcher: Starts flow runs and says how they stand.
        runs: So many flow runs at once.
        retention: Starts the process that applies a day's retention; without it nobody does.
        now: Tells the time; another one in tests.
        seconds: Counts seconds; another one in tests.
    """

    def __init__(
        self,
        services: Services,
        launcher: Launcher,
        *,
        runs: int = 1,
        retention: Callable[[date], Child] | None = None,
        now: Callable[[], datetime] = moment.now,
        seconds: Callable[[], float] = time.monotonic,
    ) -> None:
        self._now = now
        self._services = services
        self.faults = Faults(services.state, secrets_of(services.settings))
        self.watched = Watched(services, self.faults)
        self._parts: dict[str, Callable[[datetime], None]] = {
            "the state database's file": lambda _now: services.state.follow_file(),
            "the dataset files": lambda _now: self.watched.look(),
            "the outcomes of flow runs": Outcomes(services, launcher, self.watched, seconds).look,
            "runs that died": self._put_right,
            "the schedules": Planning(services, self.watched).plan,
            "what is due": Beginning(services, launcher, self.watched, runs).begin,
            # Behind what is begun, to which it gives way.
            "retention": Retention(services, self.watched, self.faults, retention).look,
        }

    def turn(self) -> None:
        """Look at everything once; a part that fails is told, and does not keep the others from being done."""
        now = self._now()
        for what, part in self._parts.items():
            try:
                part(now)
            except Exception as error:  # noqa: BLE001 -- whatever it is, the next turn tries again and the nights go on
                self.faults.begins(what, f"The service could not see to {what}: {described_error(error)}")
            else:
                self.faults.ends(what, f"The service sees to {what} again.")
        self.faults.write()

    def _put_right(self, _now: datetime) -> None:
        from tasks.repair import put_right

        put_right(self._services)
