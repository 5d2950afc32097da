"""What Prefect is told of a project: a work pool, and deployments of each dataset's flows."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from infra.runtime.requests import KINDS, Work

if TYPE_CHECKING:
    from prefect.client.orchestration import SyncPrefectClient

    from infra.runtime.project import Project

POOL = "sereno"
SILENCE = "sereno: a flow run that says nothing any more"
SILENT = timedelta(seconds=120)
ABOUT: dict[Work, str] = {
    "nightly": "One night: ingest, validate, train, score, report.",
    "validation": "Ingest and validate one night only.",
    "training": "Train a detector on validated nights.",
    "scoring": "Score one validated night again.",
    "backfill": "A range of nights in order.",
    "rescoring": "A range of nights scored again with one version.",
}


@dataclass(frozen=True)
class Deployed:
    """A deployment.

    Args:
        kind: The flow.
        dataset: The dataset, whose name is the deployment's.
    """

    kind: Work
    dataset: str

    @property
    def name(self) -> str:
        """As Prefect's commands take it: `nightly/NAME`."""
        return f"{self.kind}/{self.dataset}"


def deploy(client: SyncPrefectClient, project: Project, datasets: Iterable[str]) -> None:
    """Create or update the work pool and each dataset's deployments, and remove those of datasets that are gone."""
    wanted = [Deployed(kind, dataset) for dataset in datasets for kind in KINDS]
    _make_pool(client)
    for deployed in wanted:
        _deploy(client, project, deployed)
    _remove_others(client, wanted)


def watch_silence(client: SyncPrefectClient) -> None:
    """Have Prefect call a flow run crashed whose process says nothing any more; runs say so every half minute."""
    from prefect.client.schemas.objects import StateType
    from prefect.events.actions import ChangeFlowRunState
    from prefect.events.schemas.automations import AutomationCore, EventTrigger, Posture

    if client.read_automations_by_name(SILENCE):
        return
    ended = [f"prefect.flow-run.{name}" for name in ("Completed", "Failed", "Cancelled", "Crashed")]
    trigger = EventTrigger(
        after={"prefect.flow-run.heartbeat"},
        expect={"prefect.flow-run.heartbeat", *ended},
        match=_of_flow_runs(),
        for_each={"prefect.resource.id"},
        posture=Posture.Proactive,
        threshold=1,
        within=SILENT,
    )
    client.create_automation(
        AutomationCore(
            name=SILENCE,
            description="A flow run that says nothing any more is over; Sereno's clock begins it again.",
            trigger=trigger,
            actions=[ChangeFlowRunState(state=StateType.CRASHED, name="Crashed", message="It says nothing any more.")],
        )
    )


def _of_flow_runs() -> Any:
    from prefect.events.schemas.events import ResourceSpecification

    return ResourceSpecification.model_validate({"prefect.resource.id": ["prefect.flow-run.*"]})


def _make_pool(client: SyncPrefectClient) -> None:
    from prefect.client.schemas.actions import WorkPoolCreate
    from prefect.exceptions import ObjectNotFound
    from prefect.workers.process import ProcessWorker

    template = ProcessWorker.get_default_base_job_template()
    try:
        client.read_work_pool(POOL)
    except ObjectNotFound:
        client.create_work_pool(
            WorkPoolCreate(
                name=POOL,
                type="process",
                base_job_template=template,
                description="Nights of this project, each in a process of its own.",
            )
        )


def _deploy(client: SyncPrefectClient, project: Project, deployed: Deployed) -> None:
    flow = _flow(deployed.kind)
    client.create_deployment(
        flow_id=client.create_flow(flow),
        name=deployed.dataset,
        # Of a module, not of a path: a path would put its folder before the installed packages.
        entrypoint=f"{flow.__module__}:{flow.fn.__name__}",
        path=str(project.root),
        work_pool_name=POOL,
        description=ABOUT[deployed.kind],
        tags=[f"dataset:{deployed.dataset}"],
        parameters={"dataset": deployed.dataset, "project": str(project.root)},
        parameter_openapi_schema=_parameters(flow),
        enforce_parameter_schema=True,
        job_variables={
            "command": f"{sys.executable} -P -m infra.service.flow_run",
            "working_dir": str(project.root),
        },
    )


def _flow(kind: Work) -> Any:
    from importlib import import_module

    return getattr(import_module(f"flows.{kind}"), kind)


def _parameters(flow: Any) -> dict[str, Any]:
    schema: dict[str, Any] = flow.parameters.model_dump(exclude_unset=True)
    return schema


def _remove_others(client: SyncPrefectClient, wanted: Iterable[Deployed]) -> None:
    from prefect.client.schemas.filters import WorkPoolFilter

    kept = {deployed.name for deployed in wanted}
    flows = {flow.id: flow.name for flow in client.read_flows()}
    found = client.read_deployments(work_pool_filter=WorkPoolFilter.model_validate({"name": {"any_": [POOL]}}))
    for deployment in found:
        if f"{flows.get(deployment.flow_id)}/{deployment.name}" not in kept:
            client.delete_deployment(deployment.id)
