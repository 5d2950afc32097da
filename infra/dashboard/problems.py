"""What is answered where something is wrong: `{error, hint}` with the right status, and never a traceback."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Mapping
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import Field
from starlette.exceptions import HTTPException

from infra.runtime.logs import SecretFilter, secrets_of
from schemas.detector import Frozen
from schemas.errors import (
    BundleError,
    ConfigError,
    LockedNight,
    NoInput,
    PromotionRefused,
    SerenoError,
    StateError,
    UsageError,
)

if TYPE_CHECKING:
    from fastapi import FastAPI
    from starlette.requests import Request
    from starlette.responses import Response

    from tasks.services import Services

log = logging.getLogger("sereno.http")

MOST_TEXT = 500
MOST_MISTAKES = 8
DESCRIPTION = "/api/v1/openapi.json"
MEANING: dict[int, str] = {
    400: "The request cannot be read, or calls the server by a name that it does not know.",
    401: "No token, or one that is not valid.",
    403: "The token's role is too small.",
    404: "There is no such thing.",
    409: "What is asked for does not go together, or not with how things stand.",
    413: "The body is too large.",
    422: "A value is not as the description of the API says.",
    429: "Too many wrong tokens from this address.",
    503: "A store does not answer.",
}
ALWAYS = (400, 401, 403, 422, 429, 503)
STATUS: tuple[tuple[type[SerenoError], int], ...] = (
    (UsageError, 404),
    (ConfigError, 409),
    (LockedNight, 409),
    (PromotionRefused, 409),
    (BundleError, 409),
    (NoInput, 404),
    (StateError, 503),
)


class Problem(Frozen):
    """What is wrong, and what helps."""

    error: str = Field(description="What is wrong.")
    hint: str | None = Field(None, description="What to do about it.")


class Refused(Exception):
    """An answer that is a problem.

    Args:
        status: HTTP status.
        error: What is wrong.
        hint: What to do about it.
        headers: Further headers of the answer.
    """

    def __init__(
        self, status: int, error: str, hint: str | None = None, headers: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(error)
        self.status = status
        self.problem = Problem(error=error[:MOST_TEXT], hint=hint)
        self.headers = dict(headers or {})

    def answer(self) -> Response:
        """The answer."""
        return JSONResponse(self.problem.model_dump(), self.status, self.headers)


def problems(*more: int) -> dict[int | str, dict[str, Any]]:
    """For the description of a route: the problems that any may answer, and some of its own."""
    schema = {"application/json": {"schema": {"$ref": f"#/components/schemas/{Problem.__name__}"}}}
    return {code: {"description": MEANING[code], "content": schema} for code in sorted({*ALWAYS, *more})}


def answer_problems(app: FastAPI, services: Services, methods: Callable[[str], list[str]]) -> None:
    """Have an application answer each error as a problem.

    Args:
        app: The application.
        services: Whose secrets and folders no answer holds.
        methods: What methods a path takes.
    """
    masking = SecretFilter(secrets_of(services.settings))
    root = f"{services.project.root}/"

    def of_ours(_request: Request, error: Exception) -> Response:
        # Whoever calls over the network is told nothing of the machine's folders.
        said = masking.mask(error.message if isinstance(error, SerenoError) else str(error)).replace(root, "")
        hint = error.hint if isinstance(error, SerenoError) else None
        status = next((status for kind, status in STATUS if isinstance(error, kind)), 503)
        if status == 503:
            log.error("%s", said)
            said = "The project's stores do not answer." if isinstance(error, StateError) else said
        return Refused(status, said, None if status == 503 else hint).answer()

    app.add_exception_handler(SerenoError, of_ours)
    app.add_exception_handler(Refused, lambda _request, error: _refused(error))
    app.add_exception_handler(HTTPException, lambda request, error: _of_the_framework(request, error, methods))
    app.add_exception_handler(RequestValidationError, lambda _request, error: _invalid(error))
    app.add_exception_handler(Exception, lambda _request, _error: _unforeseen())


def _refused(error: Exception) -> Response:
    return error.answer() if isinstance(error, Refused) else _unforeseen()


def _of_the_framework(request: Request, error: Exception, methods: Callable[[str], list[str]]) -> Response:
    """Routing and the reading of bodies end so: no such path, another method, no JSON."""
    if not isinstance(error, HTTPException):
        return _unforeseen()
    words = {404: "There is nothing under this path.", 405: "This path does not take this method."}
    said = words.get(error.status_code, str(error.detail) or HTTPStatus(error.status_code).phrase)
    headers = dict(error.headers or {})
    if error.status_code == 405:
        # The framework names the methods of the first route that it finds under a path.
        headers["Allow"] = ", ".join(methods(request.scope["path"])) or headers.get("Allow", "GET")
    return Refused(error.status_code, said, f"see what there is: {DESCRIPTION}", headers).answer()


def _invalid(error: Exception) -> Response:
    if not isinstance(error, RequestValidationError):
        return _unforeseen()
    mistakes = [_mistake(item) for item in error.errors()[:MOST_MISTAKES]]
    return Refused(422, "; ".join(dict.fromkeys(mistakes)), f"see what is allowed: {DESCRIPTION}").answer()


def _mistake(item: Mapping[str, Any]) -> str:
    where = ".".join(str(part) for part in item["loc"])
    # Printable and bounded: the text may quote what was sent.
    said = json.dumps(str(item["msg"]).removeprefix("Value error, "), ensure_ascii=False)[1:-1]
    return f"{where[:120]}: {said[:200]}".encode("utf-8", "replace").decode()


def _unforeseen() -> Response:
    return Refused(500, "The server failed at this request.", "its log says why").answer()
