"""What `sereno doctor` looks for: the misconfigurations that are most likely, each with what mends it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from schemas.errors import SerenoError

if TYPE_CHECKING:
    from infra.runtime.project import Project
    from schemas.dataset import Dataset
    from schemas.settings import ResolvedSettings, Settings
    from tasks.services import Services

Level: TypeAlias = Literal["ok", "note", "wrong"]
"""`note`: worth knowing, and may be meant; `wrong`: somebody must mend it."""


def wrong_if(condition: object, otherwise: Level = "note") -> Level:
    """`wrong` where the condition holds."""
    return "wrong" if condition else otherwise


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at.

    Args:
        what: What it is about.
        level: Whether it is well.
        found: What was found; no secret in it.
        hint: What mends it.
        check: The check that found it; empty for what is looked at outside of a project.
    """

    what: str
    level: Level
    found: str
    hint: str = ""
    check: str = ""

    @property
    def ok(self) -> bool:
        """Whether nobody has to do anything."""
        return self.level != "wrong"

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {**asdict(self), "ok": self.ok}


@dataclass(frozen=True)
class Patient:
    """The project that is looked at.

    Args:
        project: Its folder.
        resolved: Its settings, and where each came from.
        datasets: Those whose file can be read.
        services: Its stores; None where nothing was run yet, or they cannot be opened.
        environ: The environment.
    """

    project: Project
    resolved: ResolvedSettings
    datasets: Mapping[str, Dataset] = field(default_factory=dict)
    services: Services | None = None
    environ: Mapping[str, str] = field(default_factory=dict)

    @property
    def settings(self) -> Settings:
        """The settings in force."""
        return self.resolved.settings


Look: TypeAlias = Callable[[Patient], Iterator[Finding]]


@dataclass(frozen=True)
class Check:
    """One kind of misconfiguration.

    Args:
        name: In one word.
        finds: What it finds, for the page.
        mend: What mends it, for the page.
        look: Yields what it found; nothing where all is well and there is nothing to say.
        before_stores: Whether it is looked at before the stores are opened, which a wrong answer prevents.
    """

    name: str
    finds: str
    mend: str
    look: Look
    before_stores: bool = False


def checks() -> tuple[Check, ...]:
    """All checks, in the order in which they are done."""
    from tasks.doctor_datasets import DATASET_CHECKS
    from tasks.doctor_folders import FOLDER_CHECKS
    from tasks.doctor_machine import MACHINE_CHECKS
    from tasks.doctor_runs import RUN_CHECKS
    from tasks.doctor_secrets import SECRET_CHECKS
    from tasks.doctor_service import SERVICE_CHECKS

    return (*FOLDER_CHECKS, *MACHINE_CHECKS, *SECRET_CHECKS, *DATASET_CHECKS, *SERVICE_CHECKS, *RUN_CHECKS)


def examine(project: Project, resolved: ResolvedSettings, environ: Mapping[str, str]) -> Iterator[Finding]:
    """Look at a project; its stores are opened where it has any, and are otherwise left as they are.

    Yields:
        What was found, check by check.
    """
    from tasks.doctor_datasets import readable_datasets

    datasets: dict[str, Dataset] = {}
    unreadable = list(readable_datasets(project, datasets))
    patient = Patient(project, resolved, datasets, None, environ)
    sound = True
    for check in (check for check in checks() if check.before_stores):
        for finding in _looked(check, patient):
            sound = sound and (finding.ok or check.name not in ("folders", "database"))
            yield finding
    yield from unreadable
    with ExitStack() as stack:
        if sound:
            opened = _open(patient, stack)
            if isinstance(opened, Finding):
                yield opened
            else:
                patient = Patient(project, resolved, datasets, opened, environ)
        for check in (check for check in checks() if not check.before_stores):
            yield from _looked(check, patient)


def _looked(check: Check, patient: Patient) -> Iterator[Finding]:
    """A check that fails has found something, and keeps no other from being done."""
    try:
        for found in check.look(patient):
            yield Finding(found.what, found.level, found.found, found.hint, check.name)
    except (SerenoError, OSError) as error:
        said = error.message if isinstance(error, SerenoError) else str(error)
        yield Finding(
            check.name, "wrong", said, (error.hint or "") if isinstance(error, SerenoError) else "", check.name
        )


def _open(patient: Patient, stack: ExitStack) -> Services | Finding | None:
    from tasks.services import open_services

    if not patient.project.state.is_dir():
        return Finding("state", "ok", "nothing was run yet")
    try:
        return stack.enter_context(open_services(patient.project, patient.settings))
    except SerenoError as error:
        return Finding("state database", "wrong", error.message, error.hint or "", "database")
