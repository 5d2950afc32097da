"""Routes that read what was decided and who did what: the ledger, the champion, events, tokens."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path, Query

from infra.dashboard.answers import EventAnswer, LedgerAnswer, TokenAnswer
from infra.dashboard.caller import Caller, Stores, known_name, needs
from infra.dashboard.problems import Refused, problems
from infra.dashboard.values import (
    CALLER_NAME,
    LARGEST_ID,
    DatasetPath,
    Limit,
    Moment,
    Name,
    NightDate,
)
from infra.dashboard.written import API, event_answer, ledger_answer, token_answer
from infra.runtime.events import Level

reading = APIRouter(prefix=API, tags=["records"], dependencies=needs("read"))
admin = APIRouter(prefix=API, tags=["tokens"], dependencies=needs("admin"))

KIND = r"^[a-z_]{1,40}$"


@reading.get("/datasets/{name}/champion", responses=problems(404))
def show_champion(name: DatasetPath, stores: Stores) -> LedgerAnswer:
    """The row of the ledger that made the version in use."""
    champion = stores.state.champion(known_name(stores, name))
    if champion is None:
        raise Refused(404, f"The dataset {name} has no champion yet.", "do a night first")
    return ledger_answer(champion)


@reading.get("/datasets/{name}/ledger", responses=problems(404))
def show_ledger(name: DatasetPath, stores: Stores, limit: Limit = 50) -> list[LedgerAnswer]:
    """What was decided about the detector's versions, newest first, refusals included."""
    rows = stores.state.ledger(known_name(stores, name))
    return [ledger_answer(row) for row in rows[: -limit - 1 : -1]]


@reading.get("/events", responses=problems())
def list_events(
    stores: Stores,
    dataset: Annotated[Name | None, Query(description="About this dataset only.")] = None,
    date: Annotated[NightDate | None, Query(description="About this night only.")] = None,
    kind: Annotated[str | None, Query(pattern=KIND, description="Of this kind only.")] = None,
    level: Annotated[Level | None, Query(description="Of this level only.")] = None,
    after: Annotated[int | None, Query(ge=0, le=LARGEST_ID, description="Only greater numbers.")] = None,
    since: Annotated[Moment | None, Query(description="Only from this moment on.")] = None,
    limit: Limit = 50,
) -> list[EventAnswer]:
    """What happened and who did what, newest first."""
    found = stores.state.events(
        dataset,
        night=date,
        kinds=None if kind is None else [kind],
        levels=None if level is None else [level],
        after=after,
        since=since,
        limit=limit,
    )
    return [event_answer(stores.project, event) for event in found]


@admin.get("/tokens", responses=problems())
def list_tokens(stores: Stores) -> list[TokenAnswer]:
    """All tokens, newest first, without their texts."""
    return [token_answer(token) for token in reversed(stores.state.tokens())]


@admin.post("/tokens/{name}/revoke", responses=problems(404))
def revoke_token(
    name: Annotated[str, Path(pattern=CALLER_NAME, description="The token's name.")], stores: Stores, caller: Caller
) -> TokenAnswer:
    """Make a token worthless, from now on."""
    return token_answer(stores.state.revoke_token(name, actor=caller.name))
