"""Secrets in files: in plain text, under version control, or open to other users."""

from __future__ import annotations

import re
import shutil
import stat
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from infra.runtime.logs import MASK
from schemas.profiles import FOLDER
from schemas.secrets import secrets_in
from schemas.setting_sources import FILE
from tasks.addresses import parse_address
from tasks.doctor import Check, Finding, Patient, wrong_if

_PLACE = re.compile(rf"({re.escape(FILE)}|{FOLDER}/[^,]+), line \d+(?::|$)")
_WITH_PASSWORD = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://[^/\s:@]*:[^/\s@]+@")
_REFERENCE = "keep only where it is to be read: {env: NAME} or {file: PATH}"
GIT_SECONDS = 10


def _secrets(patient: Patient) -> Iterator[Finding]:
    root, origin = patient.project.root, patient.resolved.origin
    for name, secret in secrets_in(patient.settings):
        place = origin.get(name, "")
        if ": file " in place:
            yield from _referenced(root, name, place.partition(": file ")[2])
        elif ": env " not in place and _is_secret(secret.get_secret_value()):
            yield from _plain(root, f"the secret `{name}`", place)
    for name, text in _texts(patient.settings):
        if _WITH_PASSWORD.search(text):
            yield from _plain(root, f"a password in `{name}`", origin.get(name, ""))


def _is_secret(value: str) -> bool:
    """Whether a text is worth hiding: an address without a password is not."""
    return "://" not in value or _WITH_PASSWORD.search(value) is not None


def _plain(root: Path, what: str, place: str) -> Iterator[Finding]:
    found = _PLACE.match(place)
    if found is not None:
        yield _in_file(root / found.group(1), f"{what} stands in plain text in {place}", _REFERENCE)


def _in_file(file: Path, found: str, hint: str) -> Finding:
    why = [reason for reason, holds in (("is under version control", is_tracked(file)), _open(file)) if holds]
    said = f"{found}, which {' and '.join(why)}" if why else found
    return Finding("secrets", wrong_if(why), said, hint)


def _open(file: Path) -> tuple[str, bool]:
    mode = file.stat().st_mode
    return f"other users of this machine can read ({stat.filemode(mode)})", bool(mode & 0o044)


def _referenced(root: Path, name: str, path: str) -> Iterator[Finding]:
    file = root / Path(path).expanduser()
    what = f"the file {file} of the secret `{name}`"
    if (is_open := _open(file))[1]:
        yield Finding("secrets", "wrong", f"{what} is one that {is_open[0]}", f"chmod 600 {file}")
    if is_tracked(file):
        hint = f"git rm --cached {file.name}, and give it another value: its old one stays in the history"
        yield Finding("secrets", "wrong", f"{what} is under version control", hint)


def _texts(model: BaseModel, prefix: str = "") -> Iterator[tuple[str, str]]:
    for name in type(model).model_fields:
        value: Any = getattr(model, name)
        if isinstance(value, BaseModel):
            yield from _texts(value, f"{prefix}{name}.")
        elif isinstance(value, str):
            yield f"{prefix}{name}", value


def _addresses(patient: Patient) -> Iterator[Finding]:
    for name, dataset in patient.datasets.items():
        file = patient.project.dataset_file(name)
        if any(MASK in parse_address(path, patient.project.root).shown for path in dataset.source.paths):
            found = f"source.path in {file.name} holds a password, token or signature"
            hint = (
                "take it out; fsspec reads credentials from its own variables and files (AWS_PROFILE, ~/.config/fsspec)"
            )
            yield _in_file(file, found, hint)


def is_tracked(file: Path) -> bool:
    """Whether git has a file, or would take it with the next `git add`."""
    git = shutil.which("git")
    if git is None or not any((folder / ".git").exists() for folder in file.absolute().parents):
        return False
    try:
        done = subprocess.run(
            [git, "-C", str(file.parent), "check-ignore", "--quiet", "--", file.name],
            capture_output=True,
            timeout=GIT_SECONDS,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return False
    return done.returncode == 1  # 0: it is ignored, and no file that git has is


SECRET_CHECKS = (
    Check(
        "secrets",
        "a secret in plain text in `sereno.yaml` or a profile, under version control or readable by others; a secret's "
        "own file that others can read",
        "`{env: NAME}` or `{file: PATH}` instead of the text; `chmod 600`",
        _secrets,
        before_stores=True,
    ),
    Check(
        "addresses",
        "a password, token or signature in `source.path` of a dataset file",
        "credentials in fsspec's own variables and files",
        _addresses,
        before_stores=True,
    ),
)
