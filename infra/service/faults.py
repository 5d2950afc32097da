"""What is wrong with the service at present, and what happened to it."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from typing import TypeVar

from infra.runtime.events import Event, EventStore
from infra.runtime.logs import SecretFilter
from schemas.errors import StateError

T = TypeVar("T")

logger = logging.getLogger("sereno.clock")


class Faults:
    """What is wrong at present, each told once when it begins and once when it is over.

    They are written down as soon as the state database takes them: it may be what is wrong.

    Args:
        state: Where events stand.
        secrets: Texts that must never appear, from `secrets_of`.
    """

    def __init__(self, state: EventStore, secrets: Iterable[str]) -> None:
        self._state = state
        self._masking = SecretFilter(secrets)
        self._present: set[str] = set()
        self._untold: list[Event] = []

    def begins(self, what: str, text: str, kind: str = "service_fault", dataset: str | None = None) -> None:
        """Something is wrong; said once for as long as it stays so."""
        if what not in self._present:
            self._present.add(what)
            self._say(Event(kind, text, "error", dataset))

    def ends(self, what: str, text: str) -> None:
        """It is right again, where it was wrong."""
        if what in self._present:
            self._present.remove(what)
            self._say(Event("service_well", text))

    def _say(self, event: Event) -> None:
        logger.warning("%s", self._masking.mask(event.text))
        self.tell(event)

    def tell(self, event: Event) -> None:
        """Write down what happened, now or as soon as that is possible."""
        # The words of an error may be anybody's, and quote the address that did not answer.
        masked = self._masking.mask(event.text)
        self._untold.append(replace(event, text=masked, at=event.at or datetime.now(UTC)))
        self.write()

    @property
    def untold(self) -> list[Event]:
        """What is not written yet."""
        return list(self._untold)

    def write(self) -> None:
        """Write down what is not written yet, in its order."""
        with suppress(StateError):
            while self._untold:
                self._state.tell(self._untold[0])
                del self._untold[0]


def each_by_itself(things: Iterable[T], do: Callable[[T], None]) -> None:
    """Do something with each thing: where that fails, the others have their turn all the same.

    Raises:
        Exception: The first error, after all had their turn.
    """
    errors: list[Exception] = []
    for thing in things:
        try:
            do(thing)
        except Exception as error:  # noqa: BLE001 -- it is raised below, whatever it is
            errors.append(error)
    if errors:
        raise errors[0]
