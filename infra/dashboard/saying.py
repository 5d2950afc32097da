"""Routes by which people say something of a dataset: labels of rows, its schedule on or off."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Literal

from fastapi import APIRouter, Query
from pydantic import BaseModel, ConfigDict, Field

from infra.dashboard.answers import LabelAnswer, LabelledAnswer, ScheduleAnswer
from infra.dashboard.caller import Caller, Stores, known_dataset, known_name, needs
from infra.dashboard.problems import Refused, problems
from infra.dashboard.values import TEXT, DatasetPath, Limit, NightDate
from infra.dashboard.written import API, schedule_answer
from tasks.schedules import switch_off, switch_on

if TYPE_CHECKING:
    from infra.runtime.labels import Label
    from schemas.dataset import Dataset

MOST_LABELS = 1_000

reading = APIRouter(prefix=API, tags=["words"], dependencies=needs("read"))
operating = APIRouter(prefix=API, tags=["words"], dependencies=needs("operate"))


class SaidOfRow(BaseModel):
    """What is said of one row."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    date: NightDate = Field(description="The row's night.")
    key: str = Field(min_length=1, max_length=1_000, pattern=TEXT, description="The row's key, as the report shows it.")
    label: Literal["anomaly", "false_alarm", "expected"] = Field(description="What it is.")
    note: str = Field("", max_length=2_000, pattern=TEXT, description="Anything worth knowing.")


class SaidRows(BaseModel):
    """What is said of some rows."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    labels: list[SaidOfRow] = Field(min_length=1, max_length=MOST_LABELS, description="All of them count, or none.")


class SwitchedTo(BaseModel):
    """How a schedule shall be."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    enabled: bool = Field(description="Whether the dataset's nights are done by themselves.")
    since: NightDate | None = Field(
        None, description="The first logical date that is done so; that of the next time where none is given."
    )


@reading.get("/datasets/{name}/labels", responses=problems(404, 409))
def list_labels(
    name: DatasetPath,
    stores: Stores,
    date: Annotated[NightDate | None, Query(description="Of this night only.")] = None,
    limit: Limit = 100,
) -> list[LabelAnswer]:
    """What people said of rows, the newest nights' first: the newest word on each."""
    dataset = known_dataset(stores, name)
    said = stores.state.labels(dataset.name, date, most=limit, values=False)
    return [_label_answer(dataset, label) for label in reversed(said)]


@operating.post("/datasets/{name}/labels", responses=problems(404, 409, 413))
def label_rows(name: DatasetPath, said: SaidRows, stores: Stores, caller: Caller) -> LabelledAnswer:
    """Say of rows that they are an anomaly, a false alarm, or expected; it counts from the next run on."""
    from tasks import labels

    words = [labels.Said(one.date, one.key, one.label, one.note) for one in said.labels]
    done = labels.label_rows(stores, known_dataset(stores, name), words, caller.name)
    return LabelledAnswer(labelled=done.rows, unsaid=done.unsaid)


@reading.get("/datasets/{name}/schedule", responses=problems(404))
def show_schedule(name: DatasetPath, stores: Stores) -> ScheduleAnswer:
    """Whether the dataset's nights are done by themselves."""
    return schedule_answer(stores.state.switches().get(known_name(stores, name)))


@operating.put("/datasets/{name}/schedule", responses=problems(404, 409, 413))
def switch_schedule(name: DatasetPath, to: SwitchedTo, stores: Stores, caller: Caller) -> ScheduleAnswer:
    """Turn the dataset's schedule on or off."""
    dataset = known_dataset(stores, name)
    if not to.enabled:
        switch_off(stores, dataset, datetime.now(UTC), caller.name)
    elif dataset.schedule is None:
        raise Refused(409, f"The dataset {name} has no `schedule` in its file.", f"write one in datasets/{name}.yaml")
    else:
        switch_on(stores, dataset, to.since, datetime.now(UTC), caller.name)
    return schedule_answer(stores.state.switches().get(dataset.name))


def _label_answer(dataset: Dataset, label: Label) -> LabelAnswer:
    from tasks.report_mask import masked_key

    sensitive = frozenset(name for name, column in dataset.columns.items() if column.sensitive)
    key = masked_key(label.row.key, dataset.key, sensitive) if sensitive else label.row.key
    return LabelAnswer(
        date=label.night,
        key=key,
        label=label.row.word,
        note=label.row.note,
        by=label.actor,
        at=label.at,
        file=label.row.file,
        line=label.row.line,
    )
