"""Flow runs of processes that died, told to Prefect, which would show them as running for good."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from uuid import UUID

from prefect import tags
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.filters import FlowRunFilter
from prefect.client.schemas.objects import FlowRun
from prefect.states import Crashed

from infra.runtime.holder import Holder

PREFIX = "process:"
PAGE = 200

logger = logging.getLogger("sereno.repair")


@contextmanager
def tagged_as_ours() -> Iterator[None]:
    """Tag flow runs with the process that does them, so that others see whether it lives; first tell of the dead."""
    try:
        crash_dead_runs()
    except Exception as error:  # noqa: BLE001 -- a look back must not cost tonight, whatever the server says
        logger.warning("flow runs of processes that died were not looked for: %s", error)
    with tags(f"{PREFIX}{Holder.this_process()}"):
        yield


def tag_this_run() -> None:
    """Tag the flow run that is at work with its process, where there is one and the server takes it."""
    from prefect.runtime import flow_run

    if flow_run.id is None:
        return
    try:
        with get_client(sync_client=True) as client:
            client.update_flow_run(UUID(flow_run.id), tags=[*flow_run.tags, f"{PREFIX}{Holder.this_process()}"])
    except Exception as error:  # noqa: BLE001 -- a mark for whoever looks later must not cost tonight
        logger.warning("the flow run was not tagged with its process: %s", error)


def crash_dead_runs() -> list[str]:
    """Tell Prefect of each flow run whose process is dead, and say each in the log.

    Returns:
        The names of the flow runs.
    """
    wanted = FlowRunFilter.model_validate({"state": {"type": {"any_": ["RUNNING", "PENDING", "CANCELLING"]}}})
    with get_client(sync_client=True) as client:
        dead = [run for run in _all(client, wanted) if _is_dead(run)]
        for run in dead:
            _crash(client, run)
    return [run.name for run in dead]


def _all(client: SyncPrefectClient, wanted: FlowRunFilter) -> Iterator[FlowRun]:
    """A server that many share may have more than a page of flow runs at work."""
    for page in count():
        found = client.read_flow_runs(flow_run_filter=wanted, limit=PAGE, offset=page * PAGE)
        yield from found
        if len(found) < PAGE:
            return


def _crash(client: SyncPrefectClient, run: FlowRun) -> None:
    client.set_flow_run_state(run.id, Crashed(message="Its process ended without a word."), force=True)
    logger.warning("flow run %s of Prefect: its process ended without a word; set to Crashed", run.name)


def _is_dead(run: FlowRun) -> bool:
    holders = [tag.removeprefix(PREFIX) for tag in run.tags if tag.startswith(PREFIX)]
    return any(Holder.parse(holder).alive() is False for holder in holders)
