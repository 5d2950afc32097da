"""A person's word that a night which the expectations hold is right."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from infra.runtime.events import Event

if TYPE_CHECKING:
    from tasks.night import Night

_LISTS = ("held_because", "columns")


@dataclass(frozen=True)
class Acceptance:
    """A person took a blocked night.

    Args:
        who: The person.
        of: What was taken: `Night.acceptance_key`.
        held_because: What the expectations said.
        columns: The columns whose values were of a new kind.
    """

    who: str
    of: str
    held_because: tuple[str, ...]
    columns: tuple[str, ...] = ()

    def as_dict(self) -> dict[str, Any]:
        """For the state."""
        return {
            "who": self.who,
            "of": self.of,
            "held_because": list(self.held_because),
            "columns": list(self.columns),
        }

    @classmethod
    def given_before(cls, night: Night) -> Acceptance | None:
        """The acceptance of the same inputs under the same dataset file, whichever command it was given with."""
        for run in night.services.state.recent(night.dataset.name, night=night.request.date, kinds=("run", "validate")):
            given = run.accepted_by or {}
            if given.get("of") == night.acceptance_key:
                return cls(str(given["who"]), str(given["of"]), *(tuple(given.get(x, ())) for x in _LISTS))
        return None


def record_acceptance(night: Night, given: Acceptance, blocking: Sequence[str], *, now: bool) -> None:
    """Write down that a night was taken.

    Args:
        night: The night at work.
        given: By whom, and what.
        blocking: What the expectations said.
        now: Whether it was said with this run; else it was said, and told, before.
    """
    state, why = night.services.state, "; ".join(blocking)
    state.note(night.run.id, accepted_by=given.as_dict())
    night.warnings.append(f"accepted by {given.who} although: {why}")
    if now:
        told = Event(
            "night_accepted",
            f"{given.who} took {night.dataset.name}, {night.request.iso}, although: {why}",
            dataset=night.dataset.name,
            night=night.request.date,
            actor=given.who,
            detail={"run": night.run.id, "held_because": list(blocking)},
        )
        state.tell(told)
