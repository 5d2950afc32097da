"""The route of the metrics: OpenMetrics text where it is asked for, Prometheus' own text else."""

from __future__ import annotations

from threading import Lock
from typing import Annotated

from fastapi import APIRouter, Header, Response
from prometheus_client import CONTENT_TYPE_PLAIN_0_0_4, CollectorRegistry, generate_latest
from prometheus_client.openmetrics.exposition import generate_latest as generate_openmetrics

from infra.dashboard.caller import Stores, needs
from infra.dashboard.metrics import ProjectFigures
from infra.dashboard.problems import problems

OPENMETRICS = "application/openmetrics-text"
OPENMETRICS_TYPE = f"{OPENMETRICS}; version=1.0.0; charset=utf-8"

reading = APIRouter(tags=["metrics"], dependencies=needs("read"))
# One scrape at a time: more at once would only slow each other down.
_one_at_a_time = Lock()


@reading.get(
    "/metrics",
    response_class=Response,
    responses={
        **problems(),
        200: {
            "description": "All metrics of the project.",
            "content": {kind: {"schema": {"type": "string"}} for kind in (OPENMETRICS, "text/plain")},
        },
    },
)
def metrics(
    stores: Stores,
    accept: Annotated[str, Header(description="`application/openmetrics-text` for OpenMetrics 1.0.")] = "",
) -> Response:
    """The metrics of the project, as OpenMetrics 1.0 or as Prometheus' text 0.0.4."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(ProjectFigures(stores))
    with _one_at_a_time:
        if _wants_openmetrics(accept):
            return Response(generate_openmetrics(registry), media_type=OPENMETRICS_TYPE)
        return Response(generate_latest(registry), media_type=CONTENT_TYPE_PLAIN_0_0_4)


def _wants_openmetrics(accept: str) -> bool:
    for wanted in accept.split(","):
        kind, *more = (part.strip().lower() for part in wanted.split(";"))
        if kind == OPENMETRICS:
            return not any(part.replace(" ", "") in ("q=0", "q=0.0", "q=0.00", "q=0.000") for part in more)
    return False
