"""Routes on detector versions: which there are, making one the champion, going back; where scores came from."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from fastapi import APIRouter, Path, Query
from pydantic import BaseModel, ConfigDict, Field

from infra.dashboard.answers import LedgerAnswer
from infra.dashboard.caller import Caller, Stores, known_dataset, needs
from infra.dashboard.problems import Refused, problems
from infra.dashboard.values import TEXT, VERSION, DatasetPath, Limit, NightPath
from infra.dashboard.version_answers import LineageAnswer, VersionAnswer, lineage_answer, version_answer
from infra.dashboard.written import API, ledger_answer

if TYPE_CHECKING:
    from tasks.services import Services

reading = APIRouter(prefix=API, tags=["versions"], dependencies=needs("read"))
operating = APIRouter(prefix=API, tags=["versions"], dependencies=needs("operate"))

MOST_REASON = 2_000
Reason = Annotated[str, Field(max_length=MOST_REASON, pattern=TEXT, description="Why; it stands in the ledger.")]
VersionPath = Annotated[str, Path(pattern=VERSION, description="The version's number.")]


class ChampionWish(BaseModel):
    """How a version shall become champion."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    reason: Reason = ""
    force: bool = Field(
        False, description="Also where the gate refused it; needs the role `admin`, and a `reason` in words."
    )


class ReturnWish(BaseModel):
    """Why to go back."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    reason: Reason = ""


@reading.get("/datasets/{name}/versions", responses=problems(404, 409))
def list_versions(name: DatasetPath, stores: Stores, limit: Limit = 50) -> list[VersionAnswer]:
    """The versions of the dataset's detector, newest first."""
    from tasks import versions

    dataset = known_dataset(stores, name)
    found = versions.list_versions(stores.registry, stores.state, dataset.name) if _has_store(stores) else ()
    return [version_answer(row) for row in found[:limit]]


@operating.post("/datasets/{name}/versions/{version}/promote", responses=problems(404, 409, 413))
def promote_version(
    name: DatasetPath, version: VersionPath, stores: Stores, caller: Caller, wanted: ChampionWish | None = None
) -> LedgerAnswer:
    """Make a version the champion; the answer is the row of the ledger that says so."""
    from tasks import versions

    dataset, wish = known_dataset(stores, name), wanted or ChampionWish()
    if wish.force and not caller.may("admin"):
        raise Refused(403, f"The token {caller.name} has the role {caller.role}; `force` needs admin.")
    if wish.force and not wish.reason.strip():
        raise Refused(409, "A promotion against the gate needs a reason.", "say why in `reason`")
    if not _has_store(stores):
        raise _unknown(name, version)
    versions.promote_version(
        stores.registry,
        stores.state,
        dataset.name,
        version,
        reason=wish.reason,
        actor=caller.name,
        force=wish.force,
    )
    return _crowned(stores, dataset.name)


@operating.post("/datasets/{name}/rollback", responses=problems(404, 409, 413))
def roll_back(name: DatasetPath, stores: Stores, caller: Caller, wanted: ReturnWish | None = None) -> LedgerAnswer:
    """Make the champion before the present one champion again; the answer is the row of the ledger that says so."""
    from tasks import versions

    dataset = known_dataset(stores, name)
    reason = wanted.reason if wanted is not None else ""
    versions.rollback_version(stores.registry, stores.state, dataset.name, reason=reason, actor=caller.name)
    return _crowned(stores, dataset.name)


@reading.get("/datasets/{name}/nights/{date}/lineage", responses=problems(404, 409))
def show_lineage(
    name: DatasetPath,
    date: NightPath,
    stores: Stores,
    key: Annotated[
        str | None, Query(min_length=1, max_length=1_000, pattern=TEXT, description="A row's key: say also its line.")
    ] = None,
) -> LineageAnswer:
    """Where the night's scores came from: files by their hash, the version that scored, and what trained it."""
    from tasks.lineage import lineage_of

    return lineage_answer(lineage_of(stores, known_dataset(stores, name), date, key))


def _has_store(stores: Services) -> bool:
    """Whether MLflow's store is there: it is not made for the sake of looking."""
    path = stores.registry.store_file
    return path is None or path.is_file()


def _unknown(name: str, version: str) -> Refused:
    return Refused(
        404, f"The detector of {name} has no version {version}.", f"see them: GET {API}/datasets/{name}/versions"
    )


def _crowned(stores: Services, name: str) -> LedgerAnswer:
    champion = stores.state.champion(name)
    if champion is None:
        raise Refused(409, f"The dataset {name} has no champion.")
    return ledger_answer(champion)
