"""Flow runs of the deployments: started, looked at, cancelled, given up."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, Protocol, TypeAlias
from uuid import UUID

from flows.recover import PREFIX
from infra.runtime.holder import Holder

if TYPE_CHECKING:
    from prefect.client.orchestration import SyncPrefectClient
    from prefect.client.schemas.objects import FlowRun, State

    from infra.runtime.requests import Request

PAGE = 200

Stand: TypeAlias = Literal["waiting", "taken", "working", "cancelling", "ended", "cancelled", "crashed", "gone"]
_STANDS: dict[str, Stand] = {
    "SCHEDULED": "waiting",
    "PENDING": "taken",
    "PAUSED": "waiting",
    "RUNNING": "working",
    "CANCELLING": "cancelling",
    "COMPLETED": "ended",
    "FAILED": "ended",
    "CANCELLED": "cancelled",
    "CRASHED": "crashed",
}


@dataclass(frozen=True)
class FlowRunStand:
    """How a flow run stands.

    Args:
        stand: In our words.
        name: Prefect's name of the state.
        message: What Prefect says about it.
        holder: The process that does it, where it said so.
    """

    stand: Stand
    name: str = ""
    message: str = ""
    holder: Holder | None = None

    @property
    def is_dead(self) -> bool:
        """Whether it says that it works, and its process is known to be gone."""
        return self.stand in ("working", "cancelling") and self.holder is not None and self.holder.alive() is False


class Launcher(Protocol):
    """What the clock asks of the orchestrator."""

    def start(self, request: Request, project: str) -> str:
        """Have a request done; the same attempt of it twice is one flow run. Returns the flow run's number."""
        ...

    def look(self, flow_runs: Iterable[str]) -> Mapping[str, FlowRunStand]:
        """How flow runs stand; each that was asked for."""
        ...

    def cancel(self, flow_run: str) -> None:
        """Ask for the end of a flow run."""
        ...

    def close(self, flow_run: str, why: str, *, cancelled: bool = False) -> None:
        """Say that a flow run is over, whatever it says itself."""
        ...


class PrefectLauncher(Launcher):
    """Flow runs of a Prefect server.

    Args:
        client: Of the server.
    """

    def __init__(self, client: SyncPrefectClient) -> None:
        self._client = client

    def start(self, request: Request, project: str) -> str:
        """See `Launcher.start`."""
        asked = request.asked
        deployment = self._client.read_deployment_by_name(f"{asked.kind}/{asked.dataset}")
        made = self._client.create_flow_run_from_deployment(
            deployment.id,
            parameters={**_parameters(request), "project": project},
            tags=[f"request:{request.id}", *([f"night:{asked.night}"] if asked.night else [])],
            idempotency_key=attempt_key(request),
        )
        return str(made.id)

    def look(self, flow_runs: Iterable[str]) -> Mapping[str, FlowRunStand]:
        """See `Launcher.look`."""
        from prefect.client.schemas.filters import FlowRunFilter

        wanted = list(dict.fromkeys(flow_runs))
        found: dict[str, FlowRunStand] = dict.fromkeys(wanted, FlowRunStand("gone", message="Prefect does not know it"))
        for start in range(0, len(wanted), PAGE):
            which = FlowRunFilter.model_validate({"id": {"any_": wanted[start : start + PAGE]}})
            for run in self._client.read_flow_runs(flow_run_filter=which, limit=PAGE):
                found[str(run.id)] = _stand(run)
        return found

    def cancel(self, flow_run: str) -> None:
        """See `Launcher.cancel`."""
        from prefect.client.schemas.objects import State, StateType

        state: State[Any] = State(type=StateType.CANCELLING, name="Cancelling", message="Somebody asked for its end.")
        self._client.set_flow_run_state(UUID(flow_run), state)

    def close(self, flow_run: str, why: str, *, cancelled: bool = False) -> None:
        """See `Launcher.close`."""
        from prefect.exceptions import ObjectNotFound
        from prefect.states import Cancelled, Crashed

        state: State[Any] = Cancelled(message=why) if cancelled else Crashed(message=why)
        try:
            self._client.set_flow_run_state(UUID(flow_run), state, force=True)
        except ObjectNotFound:
            return


def attempt_key(request: Request) -> str:
    """What an attempt of a request is called, so that it is one flow run however often it is started.

    Its number alone does not do: what the service itself stopped is not counted, and the next one has the same number.
    """
    return f"request {request.id} attempt {request.attempts} of {request.changed_at.isoformat()}"


def _parameters(request: Request) -> dict[str, Any]:
    night = {"date": request.asked.night.isoformat()} if request.asked.night else {}
    return {**request.asked.options, **night}


def _stand(run: FlowRun) -> FlowRunStand:
    if run.state is None:
        return FlowRunStand("waiting")
    holders = [tag.removeprefix(PREFIX) for tag in run.tags if tag.startswith(PREFIX)]
    holder = Holder.parse(holders[-1]) if holders else None
    return FlowRunStand(
        _STANDS.get(run.state.type.value, "working"), run.state.name or "", run.state.message or "", holder
    )
