"""The application: all routes behind the door."""

from __future__ import annotations

from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from fastapi.routing import APIRoute

from infra.dashboard import asking, health, incidents, metrics_route, nights, pages, records, saying, versions
from infra.dashboard.door import Door
from infra.dashboard.problems import DESCRIPTION, Problem, answer_problems

if TYPE_CHECKING:
    from starlette.types import ASGIApp

    from tasks.services import Services

ROUTERS = (
    health.open_to_all,
    pages.reading,
    metrics_route.reading,
    nights.reading,
    asking.reading,
    asking.operating,
    saying.reading,
    saying.operating,
    incidents.reading,
    incidents.operating,
    versions.reading,
    versions.operating,
    records.reading,
    records.admin,
)


class Routes(FastAPI):
    """The routes of one project; without the door nobody is let in.

    Args:
        services: The project's stores.
    """

    def __init__(self, services: Services) -> None:
        # The framework's own pages for the description load scripts from elsewhere.
        super().__init__(
            title="Sereno",
            version=version("sereno"),
            description="Read what nights came to, ask for runs, label rows, act on incidents, choose champions, see "
            "who did what.",
            openapi_url=None,
            docs_url=None,
            redoc_url=None,
            redirect_slashes=False,
            # It would hand bodies and paths to whatever collector the environment names.
            telemetry={"tracing": False, "metrics": False, "logs": False, "auto_configure": False},
            generate_unique_id_function=lambda route: route.name,
        )
        self.state.services = services
        answer_problems(self, services, methods_of)
        for router in ROUTERS:
            self.include_router(router)
        self.include_router(pages.described_by(self.openapi))

    def openapi(self) -> dict[str, Any]:
        """The description of the API, with the one form that all problems have."""
        if self.openapi_schema is None:
            found = get_openapi(
                title=self.title, version=self.version, description=self.description, routes=self.routes
            )
            found["components"]["schemas"][Problem.__name__] = Problem.model_json_schema()
            self.openapi_schema = found
        return self.openapi_schema


def methods_of(path: str) -> list[str]:
    """The methods that the routes under a path take."""
    routes = [route for router in ROUTERS for route in router.routes if isinstance(route, APIRoute)]
    return sorted({method for route in routes if route.path_regex.match(path) for method in route.methods or ()})


def make_app(services: Services) -> ASGIApp:
    """Return the application of one project."""
    return Door(Routes(services), services.state, services.settings.service)


__all__ = ["DESCRIPTION", "Routes", "make_app"]
