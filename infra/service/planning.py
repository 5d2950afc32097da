"""Which nights the schedules ask for, written down as requests; each night once."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Any

from infra.runtime.events import Event
from infra.runtime.requests import OPEN, Asked
from infra.service.faults import each_by_itself
from tasks.arrivals import has_arrived, holds_other, written_since
from tasks.due_nights import DueNight, due_between

if TYPE_CHECKING:
    from collections.abc import Mapping

    from infra.runtime.requests import Origin, Switch
    from infra.runtime.runs import Run
    from infra.service.watched import Watched
    from schemas.dataset import Dataset
    from schemas.schedule import ScheduleSettings
    from tasks.services import Services

SERENO = "sereno"
ARRIVAL_NIGHTS = 14
"""So far back files are looked for that came late, changed, or came without a time."""
LOOK_EVERY = timedelta(seconds=20)


class Planning:
    """Asks for nights that are due, and for those whose files came late.

    Args:
        services: The stores.
        watched: The datasets.
    """

    def __init__(self, services: Services, watched: Watched) -> None:
        self._services = services
        self._watched = watched
        self._now = datetime.now(UTC)
        self._looked: dict[str, datetime] = {}
        self._compared: dict[tuple[str, date], Mapping[str, Any]] = {}

    def plan(self, now: datetime) -> None:
        """Ask for what is due by now."""
        self._now = now
        switches = self._services.state.switches()
        on = [one for name, one in self._watched.datasets.items() if name in switches and switches[name].enabled]
        each_by_itself(on, lambda dataset: self._plan_dataset(dataset, switches[dataset.name], now))

    def _plan_dataset(self, dataset: Dataset, switch: Switch, now: datetime) -> None:
        if dataset.schedule is None:
            return
        self._plan_times(dataset, dataset.schedule, switch, now)
        if now - self._looked.get(dataset.name, now - LOOK_EVERY) >= LOOK_EVERY:
            self._looked[dataset.name] = now
            self._plan_files(dataset, dataset.schedule, switch, now)

    def _plan_times(self, dataset: Dataset, schedule: ScheduleSettings, switch: Switch, now: datetime) -> None:
        # A year back at most: whoever enables a schedule with an old date means the nights of now.
        first = max(switch.since, now.date() - timedelta(days=400))
        asked = self._services.state.scheduled_nights(dataset.name, first)
        due = [one for one in due_between(schedule, first, now) if one.night not in asked]
        left_out = due[: max(0, len(due) - max(1, schedule.catch_up))]
        if left_out:
            self._leave_out(dataset, left_out)
        kept = due[len(left_out) :]
        for one in kept:
            # A night that was missed cannot be in time any more; it has as long as it would have had.
            deadline = one.deadline if now <= one.deadline else now + schedule.deadline
            on_time = DueNight(one.night, one.due_at, deadline)
            self._ask(dataset, one.night, "schedule", train=schedule.train, due=on_time)
        missed = [one for one in kept if now > one.deadline]
        if missed:
            first, last = missed[0].night, missed[-1].night
            text = f"{dataset.name}: {len(missed)} nights were missed, {first} to {last}; they are done now, in order."
            self._services.state.tell(Event("nights_caught_up", text, "warning", dataset.name, last))

    def _leave_out(self, dataset: Dataset, nights: list[DueNight]) -> None:
        """Say of nights that were missed long ago that they are left out; they stand among the requests."""
        for one in nights:
            why = "missed, and more than `catch_up` nights ago"
            self._ask(dataset, one.night, "schedule", train=False, due=one, left_out=why)
        first, last = nights[0].night, nights[-1].night
        text = (
            f"{dataset.name}: {len(nights)} missed nights, {first} to {last}, are more than `catch_up` and are left "
            f"out; do them by hand: sereno backfill {dataset.name} --from {first} --to {last}"
        )
        self._services.state.tell(Event("nights_left_out", text, "warning", dataset.name, last))

    def _ask(
        self,
        dataset: Dataset,
        night: date,
        origin: Origin,
        *,
        train: bool,
        due: DueNight | None = None,
        left_out: str = "",
    ) -> None:
        due_at, deadline = (due.due_at, due.deadline) if due else (None, None)
        asked = Asked(dataset.name, "nightly", origin, SERENO, night, {"train": train}, due_at, deadline)
        self._services.state.ask(asked, self._now, left_out=left_out)

    def _plan_files(self, dataset: Dataset, schedule: ScheduleSettings, switch: Switch, now: datetime) -> None:
        today = now.astimezone(schedule.zone).date()
        first = max(switch.since, today - timedelta(days=ARRIVAL_NIGHTS))
        nights = [first + timedelta(days=day) for day in range((today - first).days + 1)]
        asked = {request.asked.night for request in self._services.state.requests(dataset.name, statuses=OPEN)}
        done = {run.night: run for run in self._services.state.last_nights(dataset.name, 2 * ARRIVAL_NIGHTS)}
        scheduled = self._services.state.scheduled_nights(dataset.name, first) if schedule.has_times else set()
        for night in nights:
            if night in asked:
                continue
            run = done.get(night)
            if run is None and schedule.on_arrival and night not in scheduled:
                self._ask_if_there(dataset, schedule, night)
            elif run is not None and run.status == "missing":
                self._ask_late(dataset, schedule, night)
            elif run is not None and run.status in ("done", "partial", "blocked"):
                self._see_changes(dataset, schedule, run)

    def _ask_if_there(self, dataset: Dataset, schedule: ScheduleSettings, night: date) -> bool:
        there = has_arrived(self._services, dataset, night, schedule.settle)
        if there:
            self._ask(dataset, night, "file", train=schedule.train)
        return there

    def _ask_late(self, dataset: Dataset, schedule: ScheduleSettings, night: date) -> None:
        if self._ask_if_there(dataset, schedule, night):
            text = f"{dataset.name} {night}: its files came after the deadline; the night is done now."
            self._services.state.tell(Event("file_late", text, "warning", dataset.name, night))

    def _see_changes(self, dataset: Dataset, schedule: ScheduleSettings, run: Run) -> None:
        written = written_since(self._services, dataset, run)
        seen = {"run": run.id, "written": written}
        if written is None or self._compared.get((dataset.name, run.night)) == seen:
            return
        if not has_arrived(self._services, dataset, run.night, schedule.settle):
            return
        changed = holds_other(self._services, dataset, run)
        if changed is not None:
            self._compared[dataset.name, run.night] = seen
        if changed and not self._is_told(run, seen):
            self._changed(dataset, schedule, run, seen)

    def _is_told(self, run: Run, seen: Mapping[str, Any]) -> bool:
        told = self._services.state.events(run.dataset, night=run.night, kinds=["file_changed"], limit=1)
        return bool(told) and told[0].detail == seen

    def _changed(self, dataset: Dataset, schedule: ScheduleSettings, run: Run, seen: Mapping[str, Any]) -> None:
        again = schedule.changed == "run"
        if again:
            # Before it is told: what is told already is not asked for any more.
            self._ask(dataset, run.night, "file", train=schedule.train)
        text = f"{dataset.name} {run.night}: its files changed after the night was done; " + (
            "it is done again." if again else f"do it again with: sereno run {dataset.name} --date {run.night}"
        )
        self._services.state.tell(Event("file_changed", text, "warning", dataset.name, run.night, detail=seen))
