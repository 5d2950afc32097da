"""Routes that read what nights came to: datasets, nights, reports, runs."""

from __future__ import annotations

from pathlib import Path as FilePath
from typing import Annotated, Any

from fastapi import APIRouter, Path, Query, Response
from fastapi.responses import HTMLResponse

from infra.dashboard.answers import DatasetAnswer, NightAnswer, RunAnswer
from infra.dashboard.caller import Stores, known_name, needs
from infra.dashboard.problems import Refused, problems
from infra.dashboard.values import RUN_ID, DatasetPath, Limit, NightDate, NightPath
from infra.dashboard.written import API, night_result, run_answer
from schemas.errors import StateError
from schemas.results import NightReport
from tasks.services import Services

reading = APIRouter(prefix=API, tags=["nights"], dependencies=needs("read"))

JSON_REPORT: dict[int | str, dict[str, Any]] = {200: {"model": NightReport, "description": "The report."}}


@reading.get("/datasets", responses=problems())
def list_datasets(stores: Stores) -> list[DatasetAnswer]:
    """All datasets that have a file."""
    switches = stores.state.switches()
    return [
        dataset_answer(stores, name, scheduled=name in switches and switches[name].enabled)
        for name in stores.project.dataset_names()
    ]


@reading.get("/datasets/{name}", responses=problems(404))
def show_dataset(name: DatasetPath, stores: Stores) -> DatasetAnswer:
    """One dataset."""
    switch = stores.state.switches().get(known_name(stores, name))
    return dataset_answer(stores, name, scheduled=switch is not None and switch.enabled)


@reading.get("/datasets/{name}/nights", responses=problems(404))
def list_nights(name: DatasetPath, stores: Stores, last: Limit = 14) -> list[RunAnswer]:
    """The run that says how each of the last nights stands, newest night first."""
    nights = stores.state.last_nights(known_name(stores, name), last)
    return [run_answer(stores.project, run) for run in reversed(nights)]


@reading.get("/datasets/{name}/nights/{date}", responses=problems(404))
def show_night(name: DatasetPath, date: NightPath, stores: Stores) -> NightAnswer:
    """One night: how it stands, and all that it came to."""
    runs = stores.state.recent(known_name(stores, name), night=date, kinds=("run", "validate", "score", "release"))
    standing = next((run for run in runs if run.kind != "release" or run.status in ("done", "partial")), None)
    if standing is None:
        raise Refused(
            404, f"{name}, {date}: nothing was done yet.", f"see its nights: GET {API}/datasets/{name}/nights"
        )
    result = night_result(stores.project, standing) if standing.status != "running" else None
    return NightAnswer(run=run_answer(stores.project, standing), result=result)


@reading.get("/datasets/{name}/nights/{date}/report", response_class=HTMLResponse, responses=problems(404))
def show_report(name: DatasetPath, date: NightPath, stores: Stores) -> Response:
    """The night's report as a page; values of sensitive columns are masked in it."""
    return HTMLResponse(_report(stores, name, date, "html"))


@reading.get("/datasets/{name}/nights/{date}/report.json", responses={**problems(404), **JSON_REPORT})
def show_report_json(name: DatasetPath, date: NightPath, stores: Stores) -> Response:
    """The night's report as data, likewise masked."""
    return Response(_report(stores, name, date, "json"), media_type="application/json")


@reading.get("/datasets/{name}/runs", responses=problems(404))
def list_runs(
    name: DatasetPath,
    stores: Stores,
    date: Annotated[NightDate | None, Query(description="Of this night only.")] = None,
    limit: Limit = 50,
) -> list[RunAnswer]:
    """Runs of a dataset, newest first, whatever came of them."""
    found = stores.state.recent(known_name(stores, name), night=date, limit=limit)
    return [run_answer(stores.project, run) for run in found]


@reading.get("/runs/{run}", responses=problems(404))
def show_run(run: Annotated[str, Path(pattern=RUN_ID, description="The run's id.")], stores: Stores) -> RunAnswer:
    """One run."""
    try:
        return run_answer(stores.project, stores.state.run(run))
    except StateError as error:
        if error.__cause__ is not None:
            raise
        raise Refused(404, error.message) from None


def dataset_answer(stores: Services, name: str, *, scheduled: bool) -> DatasetAnswer:
    """One dataset as it stands."""
    champion = stores.state.champion(name)
    nights = stores.state.last_nights(name, 1)
    return DatasetAnswer(
        name=name,
        scheduled=scheduled,
        champion=champion.version if champion is not None else None,
        last=run_answer(stores.project, nights[-1]) if nights else None,
    )


def _report(stores: Services, name: str, date: Any, suffix: str) -> bytes:
    page: FilePath = stores.project.report_file(known_name(stores, name), date.isoformat(), suffix)
    try:
        return page.read_bytes()
    except FileNotFoundError:
        raise Refused(
            404, f"{name}, {date}: there is no report.", f"see its nights: GET {API}/datasets/{name}/nights"
        ) from None
