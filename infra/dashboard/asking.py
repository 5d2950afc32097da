"""Routes that ask for runs, and that say what became of what was asked for."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Body, Header, Query, Response
from pydantic import BaseModel, ConfigDict, Field

from infra.dashboard.answers import AskedAnswer, RequestAnswer
from infra.dashboard.caller import Caller, Stores, known_dataset, needs
from infra.dashboard.problems import Refused, problems
from infra.dashboard.values import (
    LARGEST_ID,
    VERSION,
    DatasetPath,
    Limit,
    Name,
    NightDate,
    RequestPath,
    Seed,
)
from infra.dashboard.written import API, asked_answer, request_answer
from infra.runtime.requests import Asked, Request, RequestStatus
from schemas.errors import UsageError

MOST_NIGHTS = 3_660

reading = APIRouter(prefix=API, tags=["requests"], dependencies=needs("read"))
operating = APIRouter(prefix=API, tags=["requests"], dependencies=needs("operate"))


class Wanted(BaseModel):
    """What a body holds: each key known, nothing taken for something else."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    @property
    def night(self) -> Any:
        """The night that it is about, where it is about one."""
        return getattr(self, "date", None)

    def options(self) -> dict[str, Any]:
        """What differs from doing it in the usual way."""
        return self.model_dump(mode="json", exclude={"kind", "date"}, exclude_defaults=True)


class WantedNight(Wanted):
    """A whole night: ingest, validate, train, score, report."""

    kind: Literal["nightly"]
    date: NightDate = Field(description="The logical date.")
    train: bool = Field(True, description="Whether a challenger is trained.")
    seed: Seed | None = Field(None, description="Seed of the training.")
    force: bool = Field(False, description="Do it again although it is done.")
    accept: bool = Field(False, description="Take a night that the expectations hold; who asked is recorded.")


class WantedValidation(Wanted):
    """Ingest and validate one night only."""

    kind: Literal["validation"]
    date: NightDate = Field(description="The logical date.")
    force: bool = Field(False, description="Do it again although it is done.")
    accept: bool = Field(False, description="Take a night that the expectations hold; who asked is recorded.")


class WantedScoring(Wanted):
    """Score a validated night again."""

    kind: Literal["scoring"]
    date: NightDate = Field(description="The logical date.")
    version: str | None = Field(None, pattern=VERSION, description="The detector version; else the champion.")


class WantedTraining(Wanted):
    """Train on nights that were validated."""

    kind: Literal["training"]
    first: NightDate | None = Field(None, description="First night of the window; else the dataset's window.")
    last: NightDate | None = Field(None, description="Last night of the window, included.")
    seed: Seed | None = Field(None, description="Seed of the training.")


class WantedRange(Wanted):
    """A range of nights, in order."""

    kind: Literal["backfill"]
    first: NightDate = Field(description="First logical date.")
    last: NightDate = Field(description="Last logical date, included.")
    train: bool = Field(True, description="Whether each night trains a challenger.")
    seed: Seed | None = Field(None, description="Seed of the trainings.")
    force: bool = Field(False, description="Do nights again that are done.")


Wish = WantedNight | WantedValidation | WantedScoring | WantedTraining | WantedRange
Key = Annotated[
    str | None,
    Header(
        alias="Idempotency-Key",
        pattern=r"^[!-~]{1,120}$",
        description="What the asker calls this request: asked again under the same key, it is the same request.",
    ),
]


@operating.post(
    "/datasets/{name}/runs",
    status_code=202,
    responses=problems(404, 409, 413),
    response_description="It is written down and will be done; `Location` is its path.",
)
def ask_for_a_run(
    name: DatasetPath,
    wish: Annotated[Wish, Body(discriminator="kind")],
    stores: Stores,
    caller: Caller,
    response: Response,
    key: Key = None,
) -> AskedAnswer:
    """Ask for a night, a validation, a scoring, a training or a range of nights."""
    dataset = known_dataset(stores, name)
    _check_range(wish)
    options = wish.options()
    if options.get("accept"):
        options["asked_by"] = caller.name
    asked = Asked(dataset.name, wish.kind, "http", caller.name, wish.night, options, key=key)
    made = stores.state.ask(asked)
    if made is None or not _same(made, asked):
        raise Refused(409, f"The key {key!r} stands for something else that was asked for.", "take another key")
    response.headers["Location"] = f"{API}/requests/{made.id}"
    return asked_answer(made)


@reading.get("/requests", responses=problems())
def list_requests(
    stores: Stores,
    dataset: Annotated[Name | None, Query(description="Of this dataset only.")] = None,
    status: Annotated[list[RequestStatus] | None, Query(description="With one of these statuses only.")] = None,
    before: Annotated[int | None, Query(ge=1, le=LARGEST_ID, description="Only smaller numbers.")] = None,
    limit: Limit = 50,
) -> list[RequestAnswer]:
    """What was asked for, newest first."""
    found = stores.state.requests(dataset, statuses=status, before=before, limit=limit)
    return [request_answer(stores.project, request) for request in found]


@reading.get("/requests/{request}", responses=problems(404))
def show_request(request: RequestPath, stores: Stores) -> RequestAnswer:
    """One request as it stands."""
    return request_answer(stores.project, stores.state.request(request))


@operating.post("/requests/{request}/cancel", responses=problems(404, 409))
def cancel_request(request: RequestPath, stores: Stores, caller: Caller) -> RequestAnswer:
    """Call a request off: what waits is cancelled, what was started is told to end; done twice it changes nothing."""
    stores.state.request(request)
    try:
        return request_answer(stores.project, stores.state.cancel_request(request, caller.name))
    except UsageError as error:
        raise Refused(409, error.message, error.hint) from None


def _check_range(wish: Wish) -> None:
    first, last = getattr(wish, "first", None), getattr(wish, "last", None)
    if first is None or last is None:
        return
    if last < first:
        raise Refused(409, f"`first` {first} is after `last` {last}.", "swap the two dates")
    if isinstance(wish, WantedRange) and last - first >= timedelta(days=MOST_NIGHTS):
        raise Refused(409, f"These are more than {MOST_NIGHTS:,} nights.", "ask for the range in parts")


def _same(made: Request, asked: Asked) -> bool:
    before = made.asked
    known = (before.dataset, before.kind, before.night, dict(before.options))
    return known == (asked.dataset, asked.kind, asked.night, dict(asked.options))
