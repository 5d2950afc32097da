"""The page that a person opens, and the description of the API."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fastapi import APIRouter
from fastapi.responses import HTMLResponse, JSONResponse

from infra.dashboard.caller import Caller, Stores, needs
from infra.dashboard.nights import list_datasets
from infra.dashboard.problems import DESCRIPTION, problems
from infra.dashboard.written import event_answer, request_answer
from tasks.report_text import visible

if TYPE_CHECKING:
    from jinja2 import Environment

TEMPLATES = Path(__file__).resolve().parent / "templates"
MOST_REQUESTS = 50
MOST_FAULTS = 20

reading = APIRouter(tags=["pages"], dependencies=needs("read"))


@reading.get("/", response_class=HTMLResponse, responses=problems())
def status_page(stores: Stores, caller: Caller) -> HTMLResponse:
    """How things stand, as a page: datasets, what is still to be done, faults.

    A browser asks for the token: as the password, with any user's name.
    """
    state = stores.state
    page = _templates().get_template("status.html")
    faults = state.events(levels=["warning", "error"], limit=MOST_FAULTS)
    return HTMLResponse(
        page.render(
            project=stores.project.root.name,
            now=datetime.now(UTC),
            caller=caller,
            datasets=list_datasets(stores),
            requests=[request_answer(stores.project, request) for request in state.open_requests()[:MOST_REQUESTS]],
            faults=[event_answer(stores.project, event) for event in faults],
        )
    )


def described_by(description: Callable[[], dict[str, Any]]) -> APIRouter:
    """The route of the description of the API."""
    router = APIRouter(dependencies=needs("read"))

    @router.get(DESCRIPTION, include_in_schema=False)
    def openapi() -> JSONResponse:
        return JSONResponse(description())

    return router


@lru_cache(maxsize=1)
def _templates() -> Environment:
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    found = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    found.filters["shown"] = visible
    found.filters["moment"] = lambda value: f"{value:%Y-%m-%d %H:%M} UTC"
    return found
