"""What a stage sees of the cluster: `map` and `submit`, the same whether threads, processes or another machine work."""

from __future__ import annotations

import sys
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from schemas.errors import SerenoError

if TYPE_CHECKING:
    from distributed import Client, Future

Result = TypeVar("Result")
Result_co = TypeVar("Result_co", covariant=True)

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
    """

    def __init__(self, kind: str, workers: int) -> None:
        self.kind = kind
        self.workers = workers

    @abstractmethod
    def map(self, function: Callable[..., Result], items: Iterable[Any], *args: Any) -> list[Result]:
        """Call ``function(item, *args)`` for each item, and return the results in the items' order.

        Raises:
            SerenoError: A worker died more often than it may.
            Exception: The first error that a call raised; calls not yet begun are given up.
        """

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
        futures = self._client.map(_call, list(items), function=function, args=args, pure=False)
        try:
            results: list[Result] = self._client.gather(futures)
        except BaseException as error:
            self._client.cancel(futures)
            if (said := _said(error)) is not None:
                raise said from error
            raise
        return results

    def submit(self, function: Callable[..., Result], *args: Any) -> Pending[Result]:
        """See `Compute.submit`."""
        return _Remote(self._client.submit(_call_all, function, args, pure=False))

    def everywhere(self, function: Callable[[], object]) -> None:
        """See `Compute.everywhere`."""
        self._client.run(function)

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


def _call_all(function: Callable[..., Result], args: tuple[Any, ...]) -> Result:
    return function(*args)


def _said(error: BaseException) -> SerenoError | None:
    """Return our words for what Dask says of its own, None for a worker's error, which stays what it is."""
    name = type(error).__name__
    if name in {"KilledWorker", "CommClosedError", "CancelledError", "FutureCancelledError"}:
        return SerenoError(
            f"A worker process died while it worked ({name}).",
            hint="Most often memory: raise `cluster.worker_memory`, lower `cluster.workers`, or look for the system's "
            "out-of-memory killer in its log.",
        )
    return None


def loaded_heavy_modules(_item: object = None) -> list[str]:
    """Return which modules that a worker must not import are loaded in this process."""
    return [name for name in HEAVY if name in sys.modules]
