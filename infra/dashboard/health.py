"""The one route that needs no token: whether the project's state answers, and nothing else."""

from __future__ import annotations

from fastapi import APIRouter

from infra.dashboard.answers import Health
from infra.dashboard.caller import Stores
from infra.dashboard.problems import Refused, problems
from schemas.errors import StateError

open_to_all = APIRouter(tags=["health"])


@open_to_all.get("/health", responses={code: said for code, said in problems().items() if code in (400, 503)})
def health(stores: Stores) -> Health:
    """Whether the server and the project's state answer; anybody may ask."""
    try:
        stores.state.check_answers()
    except StateError:
        raise Refused(503, "The project's state does not answer.") from None
    return Health(status="ok")
