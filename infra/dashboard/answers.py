"""What is answered: one model a thing, so that the description of the API says all of it."""

from __future__ import annotations

from datetime import date as Date
from datetime import datetime
from typing import Any, Literal

from pydantic import Field

from infra.runtime.events import Level
from infra.runtime.labels import Word
from infra.runtime.promotions import Action
from infra.runtime.requests import Origin, RequestStatus, Work
from infra.runtime.run_row import Kind, Status
from infra.runtime.tokens import Role
from schemas.detector import Frozen
from schemas.results import NightResult, RowCounts


class Health(Frozen):
    """Whether the project's state answers."""

    status: Literal["ok"] = Field(description="`ok`; where it does not answer the status is 503.")


class RunAnswer(Frozen):
    """One run of a night, whatever came of it."""

    id: str = Field(description="The run's id; it sorts by time.")
    dataset: str = Field(description="The dataset.")
    date: Date = Field(description="The night's logical date.")
    kind: Kind = Field(description="What was asked for.")
    status: Status = Field(description="How it ended, or `running`.")
    started_at: datetime = Field(description="When it began, UTC.")
    ended_at: datetime | None = Field(description="When it ended, UTC.")
    reason: str = Field(description="Why it ended so; empty where there is nothing to say.")
    rows: RowCounts = Field(description="Where its rows went.")
    alerts: int = Field(description="How many rows are past the threshold.")
    version: str | None = Field(description="The detector version that scored.")
    report: str | None = Field(description="Path of its report, where the night has one.")


class NightAnswer(Frozen):
    """How a night stands: the run that says so, and all that it came to."""

    run: RunAnswer = Field(description="The night's newest run that says how it stands.")
    result: NightResult | None = Field(description="What the run ended with; nothing while it is under way.")


class DatasetAnswer(Frozen):
    """One dataset: whether it is watched by itself, by which version, and how its last night stands."""

    name: str = Field(description="Its name.")
    scheduled: bool = Field(description="Whether its schedule is on.")
    champion: str | None = Field(description="The version in use.")
    last: RunAnswer | None = Field(description="How its last night stands.")


class AskedAnswer(Frozen):
    """What was asked for, as it stands for good; how it goes on is under `href`."""

    request: int = Field(description="The request's number.")
    dataset: str = Field(description="The dataset.")
    kind: Work = Field(description="What is to be done.")
    date: Date | None = Field(description="The night's logical date, where it is about one.")
    options: dict[str, Any] = Field(description="How it is to be done.")
    asked_by: str = Field(description="Name of the token that asked.")
    asked_at: datetime = Field(description="When, UTC.")
    href: str = Field(description="Path of the request.")


class RequestAnswer(AskedAnswer):
    """What was asked for, and where it stands."""

    origin: Origin = Field(description="How it was asked for.")
    due_at: datetime | None = Field(description="When it is due, UTC.")
    deadline: datetime | None = Field(description="Until when a report is expected, UTC.")
    status: RequestStatus = Field(description="Where it stands.")
    attempts: int = Field(description="How often it was started.")
    reason: str = Field(description="Why it waits, failed or was cancelled.")
    changed_at: datetime = Field(description="When it last changed, UTC.")


class EventAnswer(Frozen):
    """Something that happened, or that somebody did."""

    id: int = Field(description="Grows with each event.")
    at: datetime = Field(description="When, UTC.")
    kind: str = Field(description="What kind of thing, in one word.")
    level: Level = Field(description="`info`: somebody did something; `warning`: put right; `error`: look at it.")
    dataset: str | None = Field(description="The dataset that it is about.")
    date: Date | None = Field(description="The night that it is about.")
    actor: str = Field(description="Who: a person's or a token's name, or `sereno`.")
    text: str = Field(description="What happened, in a sentence.")
    detail: dict[str, Any] = Field(description="More.")


class LedgerAnswer(Frozen):
    """One row of the ledger of promotions."""

    version: str = Field(description="The version that it is about.")
    bundle_hash: str = Field(description="SHA-256 of the bundle's manifest.")
    action: Action = Field(description="What was decided.")
    previous: str | None = Field(description="The champion before, where another was made.")
    reason: str = Field(description="Why.")
    actor: str = Field(description="Who.")
    at: datetime = Field(description="When, UTC.")
    run: str | None = Field(description="The run that decided.")
    metrics: dict[str, Any] = Field(description="The numbers that decided it.")


class LabelAnswer(Frozen):
    """What was said of a row: the newest word."""

    date: Date = Field(description="The row's night.")
    key: str = Field(description="The row's key; parts of sensitive columns are masked.")
    label: Word = Field(description="What it is called.")
    note: str = Field(description="What was noted.")
    by: str = Field(description="Who said it.")
    at: datetime = Field(description="When, UTC.")
    file: str = Field(description="Base name of the row's file.")
    line: int = Field(description="Its line there.")


class LabelledAnswer(Frozen):
    """What was written down."""

    labelled: dict[str, int] = Field(description="Rows by their label.")
    unsaid: int = Field(description="Other alerts of these nights of which nothing is said.")


class ScheduleAnswer(Frozen):
    """Whether a dataset's nights are done by themselves."""

    enabled: bool = Field(description="Whether they are.")
    since: Date | None = Field(description="The first logical date that is done so.")
    by: str | None = Field(description="Who switched it last; nobody did where it was never on.")
    at: datetime | None = Field(description="When, UTC.")


class TokenAnswer(Frozen):
    """A token, without its text."""

    name: str = Field(description="The actor of all that is done with it.")
    role: Role = Field(description="What may be done with it.")
    made_by: str = Field(description="Who made it.")
    made_at: datetime = Field(description="When, UTC.")
    expires_at: datetime | None = Field(description="Until when it is valid, UTC.")
    revoked_at: datetime | None = Field(description="Since when it is not, UTC.")
    standing: Literal["valid", "expired", "revoked"] = Field(description="What it is worth.")
