"""A lease that is renewed while its holder lives."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from types import TracebackType
from typing import Self

from infra.runtime.runs import RunStore
from schemas.errors import LockedNight, SerenoError, StateError


class Lease:
    """Renews a run's lease from a daemon thread, which dies with the process.

    Args:
        state: The state database.
        run_id: The running run.
        seconds: How long each renewal holds; renewed at a third of it.
    """

    def __init__(self, state: RunStore, run_id: str, seconds: float = 120.0) -> None:
        self._state = state
        self._run_id = run_id
        self._seconds = seconds
        self._stop = threading.Event()
        self._lost: LockedNight | None = None
        self._thread = threading.Thread(target=self._renew, name=f"lease-{run_id}", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self._thread.join(timeout=5.0)

    def check(self) -> None:
        """Do nothing while the night is held; call it before each commit.

        Raises:
            LockedNight: Another run took the night.
        """
        if self._lost is not None:
            raise self._lost
        self._state.renew(self._run_id, self._seconds)

    def begins(self, stage: str, seconds: Mapping[str, float]) -> None:
        """Like `check`, and say where the run stands.

        Args:
            stage: What it begins now.
            seconds: What it did before, stage to seconds.

        Raises:
            LockedNight: Another run took the night.
        """
        if self._lost is not None:
            raise self._lost
        self._state.at_stage(self._run_id, stage, seconds, self._seconds)

    def _renew(self) -> None:
        while not self._stop.wait(self._seconds / 3):
            try:
                self._state.renew(self._run_id, self._seconds)
            except LockedNight as error:
                self._lost = error
                return
            except (StateError, SerenoError):
                # A database that is away for a moment is asked again; the lease itself is the limit.
                continue
