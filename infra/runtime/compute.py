"""What a stage sees of the cluster: `map` and `submit`, the same whether threads, processes or another machine work."""

from __future__ import annotations

import os
import sys
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import cache, partial
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from schemas.errors import SerenoError

if TYPE_CHECKING:
    from distributed import Client, Future, Semaphore

Result = TypeVar("Result")
Result_co = TypeVar("Result_co", covariant=True)

MOST_TRAININGS = 2
"""Training processes at once on one machine; each takes about a gigabyte, and all its cores."""
HEAVY = ("tensorflow", "keras", "prefect", "mlflow", "great_expectations")


class Pending(Protocol[Result_co]):
    """Work under way."""

    def result(self, timeout: float | None = None) -> Result_co:
        """Wait for the result, or raise the worker's error."""
        ...


class Compute(ABC):
    """Runs plain module-level functions on plain arguments; results are small, data goes through files.

    Args:
        kind: `threads`, `processes` or `address`.
        workers: How many functions run at once.

    Attributes:
        trainings: How many training processes `map_trainings` lets work at once.
    """

    def __init__(self, kind: str, workers: int) -> None:
        self.kind = kind
        self.workers = workers
        self.trainings = workers if kind == "address" else min(workers, MOST_TRAININGS)

    @property
    def lost(self) -> bool:
        """Whether what worked is gone, so that another one must be opened."""
        return False

    @abstractmethod
    def map(self, function: Callable[..., Result], items: Iterable[Any], *args: Any) -> list[Result]:
        """Call ``function(item, *args)`` for each item, and return the results in the items' order.

        Raises:
            SerenoError: A worker died more often than it may.
            Exception: The first error that a call raised; calls not yet begun are given up.
        """

    def map_trainings(self, function: Callable[..., Result], items: Sequence[Any], *args: Any) -> list[Result]:
        """Like `map`, for calls that wait minutes for a training process of their own.

        Where runs share workers, all of them together train as many as one machine bears, and other calls do not wait.
        """
        return self.map(function, items, *args)

    @abstractmethod
    def submit(self, function: Callable[..., Result], *args: Any) -> Pending[Result]:
        """Begin ``function(*args)`` and return at once."""

    @abstractmethod
    def everywhere(self, function: Callable[[], object]) -> None:
        """Call a function once in each process that works."""

    @abstractmethod
    def close(self) -> None:
        """End every worker; the second call does nothing."""


class ThreadCompute(Compute):
    """Dask's threaded scheduler in this process: nothing to start, for a small batch.

    Args:
        workers: How many threads.
    """

    def __init__(self, workers: int) -> None:
        super().__init__("threads", workers)
        self._pool = ThreadPoolExecutor(workers, thread_name_prefix="sereno")

    def map(self, function: Callable[..., Result], items: Iterable[Any], *args: Any) -> list[Result]:
        """See `Compute.map`."""
        from dask.base import compute
        from dask.delayed import delayed

        # Within a partial Dask does not look for tasks and keys in the arguments.
        calls = [delayed(partial(function, item, *args), pure=False, traverse=False)() for item in items]
        return list(compute(*calls, scheduler="threads", pool=self._pool, optimize_graph=False))

    def submit(self, function: Callable[..., Result], *args: Any) -> Pending[Result]:
        """See `Compute.submit`."""
        return self._pool.submit(function, *args)

    def everywhere(self, function: Callable[[], object]) -> None:
        """See `Compute.everywhere`."""
        function()

    def close(self) -> None:
        """See `Compute.close`."""
        self._pool.shutdown(wait=True, cancel_futures=True)


class ClientCompute(Compute):
    """A Dask client, of local processes or of a cluster elsewhere.

    Args:
        client: Connected.
        kind: `processes` or `address`.
        workers: How many functions run at once.
        on_close: Ends what was started for the client.
    """

    def __init__(self, client: Client, kind: str, workers: int, on_close: Callable[[], None]) -> None:
        super().__init__(kind, workers)
        self._client = client
        self._on_close: Callable[[], None] | None = on_close

    @property
    def client(self) -> Client:
        """The client itself, for what `map` and `submit` do not offer."""
        return self._client

    def map(self, function: Callable[..., Result], items: Iterable[Any], *args: Any) -> list[Result]:
        """See `Compute.map`."""
        return self._gathered(items, _call, function=function, args=args)

    def map_trainings(self, function: Callable[..., Result], items: Sequence[Any], *args: Any) -> list[Result]:
        """See `Compute.map_trainings`."""
        if self.kind == "address":  # it has more machines than one
            return self.map(function, items, *args)
        return self._gathered(items, _call_aside, function=function, args=args)

    def _gathered(self, items: Iterable[Any], call: Callable[..., Any], **how: Any) -> list[Any]:
        self._must_be_there()
        futures = self._client.map(call, list(items), pure=False, **how)
        try:
            results: list[Any] = self._client.gather(futures)
        except BaseException as error:
            if self.lost:
                self.close()  # or it would try for seconds to reach what is gone
            else:
                self._client.cancel(futures)
            if (said := _said(error)) is not None:
                raise said from error
            raise
        return results

    def _must_be_there(self) -> None:
        if self.lost:
            raise _went_away()

    def submit(self, function: Callable[..., Result], *args: Any) -> Pending[Result]:
        """See `Compute.submit`."""
        return _Remote(self._client.submit(_call_all, function, args, pure=False))

    def everywhere(self, function: Callable[[], object]) -> None:
        """See `Compute.everywhere`."""
        if not self.lost:
            with suppress(OSError, TimeoutError):  # a process that died has nothing to do any more
                self._client.run(function)

    @property
    def lost(self) -> bool:
        """See `Compute.lost`."""
        return bool(self._client.status != "running")

    def close(self) -> None:
        """See `Compute.close`."""
        on_close, self._on_close = self._on_close, None
        if on_close is not None:
            on_close()


class _Remote(Pending[Result]):
    def __init__(self, future: Future[Any]) -> None:
        self._future = future

    def result(self, timeout: float | None = None) -> Result:
        try:
            result: Result = self._future.result(timeout)
        except Exception as error:
            if (said := _said(error)) is not None:
                raise said from error
            raise
        return result


def _call(item: Any, *, function: Callable[..., Result], args: tuple[Any, ...]) -> Result:
    return function(item, *args)


def _call_aside(item: Any, *, function: Callable[..., Result], args: tuple[Any, ...]) -> Result:
    from distributed import secede

    secede()  # the worker takes other calls meanwhile
    with _training_slots():
        return function(item, *args)


@cache  # it looks after its leases for as long as the process lives
def _training_slots() -> Semaphore:
    """Slots that the scheduler gives to all of its workers; those of a worker that died are free again in a minute."""
    from distributed import Semaphore

    return Semaphore(MOST_TRAININGS, name="training")


def _call_all(function: Callable[..., Result], args: tuple[Any, ...]) -> Result:
    return function(*args)


def _said(error: BaseException) -> SerenoError | None:
    """Return our words for what Dask says of its own, None for a worker's error, which stays what it is."""
    name = type(error).__name__
    if getattr(error, "reason", None) == "scheduler-connection-lost":
        return _went_away()
    if name in {"KilledWorker", "CommClosedError", "CancelledError", "FutureCancelledError"}:
        return SerenoError(
            f"A worker process died while it worked ({name}).",
            hint="Most often memory: raise `cluster.worker_memory`, lower `cluster.workers`, or look for the system's "
            "out-of-memory killer in its log.",
        )
    return None


def _went_away() -> SerenoError:
    return SerenoError(
        "The Dask cluster went away while it worked.",
        hint="Ask for the same again: finished stages are not done twice. The service starts its own cluster again "
        "by itself; with cluster.address look at the scheduler there.",
    )


def cores() -> int:
    """Return how many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def loaded_heavy_modules(_item: object = None) -> list[str]:
    """Return which modules that a worker must not import are loaded in this process."""
    return [name for name in HEAVY if name in sys.modules]
