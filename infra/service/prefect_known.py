"""Prefect servers that are up already: the environment's, the settings', the one that the project folder knows."""

from __future__ import annotations

import json
import os
import urllib.error
import urllib.request
from dataclasses import dataclass, field
from pathlib import Path

from infra.runtime.holder import Holder
from infra.runtime.project import Project
from schemas.settings import Settings

SERVER_FILE = "server.json"


@dataclass(frozen=True)
class KnownServer:
    """A Prefect API that may be up.

    Args:
        url: Its address, ending in `/api`.
        auth: `user:password` or a key, empty where it needs none.
        origin: Where its address was found, for a message.
    """

    url: str
    auth: str = field(repr=False)
    origin: str


def known_servers(project: Project, settings: Settings) -> list[KnownServer]:
    """Return the servers to try, in order."""
    found = []
    if url := os.environ.get("PREFECT_API_URL"):
        auth = os.environ.get("PREFECT_API_AUTH_STRING") or os.environ.get("PREFECT_API_KEY") or ""
        found.append(KnownServer(url.rstrip("/"), auth, "PREFECT_API_URL"))
    if settings.prefect.api_url:
        secret = settings.prefect.api_key
        auth = secret.get_secret_value() if secret is not None else ""
        found.append(KnownServer(settings.prefect.api_url.rstrip("/"), auth, "the setting prefect.api_url"))
    return found + _of_project(project)


def publish(project: Project, url: str, auth: str) -> Path:
    """Tell later runs of the project that this process runs a server, in ``state/prefect/server.json``."""
    project.prefect_home.mkdir(parents=True, exist_ok=True, mode=0o700)
    path = project.prefect_home / SERVER_FILE
    told = json.dumps({"url": url, "auth": auth, "holder": str(Holder.this_process())})
    beside = path.with_suffix(f".{os.getpid()}.tmp")
    number = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(number, "w", encoding="utf-8") as file:
        file.write(told)
    beside.replace(path)
    return path


def answers(url: str, timeout: float = 3.0) -> bool:
    """Return whether a Prefect API is healthy at the address."""
    if not url.startswith(("http://", "https://")):
        return False
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({})) if "//127.0.0.1" in url else None
    opened = opener.open if opener is not None else urllib.request.urlopen
    try:
        with opened(f"{url}/health", timeout=timeout) as reply:
            return bool(reply.status == 200)
    except urllib.error.HTTPError as error:
        # A server that asks who we are is up; Prefect itself says it better if the password is wrong.
        return error.code in {401, 403}
    except (OSError, ValueError):
        return False


def _of_project(project: Project) -> list[KnownServer]:
    try:
        told = json.loads((project.prefect_home / SERVER_FILE).read_text(encoding="utf-8"))
        server = KnownServer(str(told["url"]), str(told["auth"]), "this project (sereno up)")
        dead = Holder.parse(str(told["holder"])).alive() is False
    except (OSError, ValueError, KeyError, TypeError):
        return []
    return [] if dead else [server]
