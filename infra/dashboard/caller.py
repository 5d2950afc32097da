"""What a route asks of who called, and what it works with."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

from fastapi import Depends, Request
from fastapi.security import HTTPBearer

from infra.dashboard.problems import Refused
from infra.runtime.tokens import Role, Token
from schemas.yaml_source import nearest
from tasks.services import Services

if TYPE_CHECKING:
    from schemas.dataset import Dataset

BEARER = HTTPBearer(
    auto_error=False, scheme_name="token", description="A token that `sereno tokens add NAME --role ROLE` printed."
)


def caller(request: Request) -> Token:
    """The token that the door found; without one nobody gets here.

    Raises:
        Refused: A route was reached without the door.
    """
    token = request.scope.get("state", {}).get("token")
    if not isinstance(token, Token):
        raise Refused(401, "This needs a token.")
    return token


def needs(role: Role) -> list[Any]:
    """What each route of a router asks of its caller."""

    def check(token: Annotated[Token, Depends(caller)]) -> None:
        if not token.may(role):
            raise Refused(
                403,
                f"The token {token.name} has the role {token.role}; this needs {role}.",
                f"make one with: sereno tokens add NAME --role {role}",
            )

    return [Depends(BEARER), Depends(check)]


def services(request: Request) -> Services:
    """The project's stores."""
    found: Services = request.app.state.services
    return found


Caller = Annotated[Token, Depends(caller)]
Stores = Annotated[Services, Depends(services)]


def known_name(stores: Services, name: str) -> str:
    """A dataset that has a file or a run.

    Raises:
        Refused: There is none of this name.
    """
    names = stores.project.dataset_names()
    if name not in names and not stores.state.recent(name, limit=1):
        raise Refused(
            404, f"There is no dataset {name}{nearest(name, names)}.", "see the datasets: GET /api/v1/datasets"
        )
    return name


def known_dataset(stores: Services, name: str) -> Dataset:
    """A dataset's file, read.

    Raises:
        Refused: There is none of this name.
        ConfigError: The file is wrong.
    """
    from schemas.dataset import load_dataset

    path = stores.project.dataset_file(known_name(stores, name))
    if not path.is_file():
        raise Refused(409, f"The file of the dataset {name} is gone.", "put it back, or ask for another dataset")
    return load_dataset(path)
