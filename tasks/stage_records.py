"""What finished stages of a night left, so that the same night, asked again after a stop, goes on behind them.

A stage's outputs lie in the night's resume folder; its record names them, and is written when all of them are on the
disk. A record holds for one fingerprint (the folder's key) and for the facts that its stage depends on besides; where
a file is missing or a fact changed, the stage is done again, and all stages after it.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, time
from functools import wraps
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec

from models.durable import sync
from schemas.failpoints import durable

if TYPE_CHECKING:
    from pydantic import TypeAdapter

    from tasks.night import Night

PROTOCOL = 1
FOLDER = "stages"
CHECKPOINTS = "checkpoints"
"""Where a training that was stopped left what it goes on from: the one thing of an unfinished stage that is kept."""

_PLACE = "$work"
ORDER = ("ingest", "validate", "preprocess", "train", "gate", "score")

_TYPES = {
    "ingested": ("tasks.ingest", "Ingested"),
    "validated": ("tasks.validate", "Validated"),
    "prepared": ("tasks.preprocess", "Prepared"),
    "trained": ("models.training_request", "TrainingOutcome"),
    "decision": ("tasks.gate", "GateDecision"),
    "model": ("schemas.results", "ModelOutcome"),
    "scored": ("tasks.score", "Scored"),
}
_PLAIN: dict[str, Any] = {"accepted_files": tuple[Path, ...], "challenger": str | None}

logger = logging.getLogger("sereno.night")
P = ParamSpec("P")
Facts = Mapping[str, Any]


def no_facts(_: Night) -> Facts:
    """A stage that depends on nothing but the fingerprint and the stages before it."""
    return {}


@dataclass(frozen=True)
class StageRecords:
    """The records of one night under one fingerprint.

    Args:
        work: The night's resume folder.
    """

    work: Path

    def file(self, stage: str) -> Path:
        """Where a stage's record lies."""
        return self.work / FOLDER / f"{stage}.json"

    def read(self, stage: str, facts: Facts) -> dict[str, Any] | None:
        """A stage's record, None where it must be done again."""
        try:
            record: dict[str, Any] = json.loads(self.file(stage).read_bytes())
            if record["protocol"] != PROTOCOL or record["facts"] != json.loads(json.dumps(dict(facts))):
                return None
            sizes: dict[str, int] = record["files"]
            whole = all((self.work / name).stat().st_size == size for name, size in sizes.items())
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            return None
        return self._found(record) if whole else None

    def tidy(self) -> None:
        """Remove what unfinished stages left: a stage begins without files that a stopped one, or its writer, holds."""
        named = {self.work / name for stage in ORDER for name in self._files_of(stage)}
        for path in self.files() - named:
            inside = path.relative_to(self.work).parts
            if inside[0] != CHECKPOINTS and not (len(inside) == 1 and inside[0].startswith(".")):
                path.unlink(missing_ok=True)

    def forget(self, stage: str) -> None:
        """Remove the records of a stage and of those after it."""
        for name in ORDER[ORDER.index(stage) :]:
            self.file(name).unlink(missing_ok=True)

    def write(self, stage: str, record: Mapping[str, Any], facts: Facts, new: Sequence[Path]) -> None:
        """Write a stage's record once its files are on the disk."""
        for path in new:
            sync(path)
        sizes = {str(path.relative_to(self.work)): path.stat().st_size for path in new}
        values = {"protocol": PROTOCOL, "facts": dict(facts), "files": sizes, **self._placed(record)}
        file = self.file(stage)
        file.parent.mkdir(exist_ok=True)
        draft = file.with_suffix(".draft")
        draft.write_text(json.dumps(values, default=_plain), encoding="utf-8")
        sync(draft)
        with durable("stage.record"):
            draft.replace(file)

    def _files_of(self, stage: str) -> Sequence[str]:
        try:
            return list(json.loads(self.file(stage).read_bytes())["files"])
        except (OSError, ValueError, KeyError, TypeError):
            return ()

    def files(self) -> set[Path]:
        """Every file of the night that is no record."""
        return {path for path in self.work.rglob("*") if path.is_file() and path.parent.name != FOLDER}

    def _placed(self, values: Any) -> Any:
        """Say paths within the folder by their place in it: the next run moves it to its own name."""
        said = str(values) if isinstance(values, str | Path) else ""
        if said.startswith(f"{self.work}/"):
            return {_PLACE: said.removeprefix(f"{self.work}/")}
        return _each(values, self._placed)

    def _found(self, values: Any) -> Any:
        if isinstance(values, dict) and values.keys() == {_PLACE} and isinstance(values[_PLACE], str):
            return str(self.work / values[_PLACE])
        return _each(values, self._found)

    def exist(self) -> bool:
        """Whether a stage of this night was finished."""
        return any(self.file(stage).exists() for stage in ORDER)


def recorded(
    *found: str, facts: Callable[[Night], Facts] = no_facts, holds: Callable[[Night], bool] = lambda _: True
) -> Callable[[Callable[Concatenate[Night, P], None]], Callable[Concatenate[Night, P], None]]:
    """Make a stage remember what it found, and take that over where a run before remembered it.

    Args:
        *found: The attributes of `Night` that the stage sets.
        facts: What it depends on besides the fingerprint and the stages before it; plain JSON values.
        holds: Asked after the stage, or its record, has set them: whether this may be relied on.
    """

    def decorate(stage: Callable[Concatenate[Night, P], None]) -> Callable[Concatenate[Night, P], None]:
        name = stage.__name__

        @wraps(stage)
        def run(night: Night, /, *args: P.args, **kwargs: P.kwargs) -> None:
            records = night.records
            if records is None:
                return stage(night, *args, **kwargs)
            known = facts(night)
            if (record := records.read(name, known)) is not None and _take_over(night, found, record, holds):
                logger.info(
                    "%s %s: %s was finished before, and is not done again", night.dataset.name, night.request.iso, name
                )
                return None
            records.forget(name)
            records.tidy()
            files, versions, warnings = records.files(), dict(night.versions), len(night.warnings)
            stage(night, *args, **kwargs)
            if holds(night):
                made = {
                    # Not as JSON yet: that would turn an infinite number into none.
                    "found": {what: _adapter(what).dump_python(getattr(night, what)) for what in found},
                    "versions": {table: at for table, at in night.versions.items() if versions.get(table) != at},
                    "run": night.run.id,
                    "warnings": night.warnings[warnings:],
                }
                records.write(name, made, known, sorted(records.files() - files))
            return None

        return run

    return decorate


def _take_over(night: Night, found: Sequence[str], record: Mapping[str, Any], holds: Callable[[Night], bool]) -> bool:
    before = {what: getattr(night, what) for what in found}
    try:
        for what in found:
            setattr(night, what, _adapter(what).validate_python(record["found"][what]))
        committed = all(
            night.services.lake.written_by(night.dataset.name, table, version) == record["run"]
            for table, version in record["versions"].items()
        )
    except (ValueError, KeyError):  # written by another release
        usable = False
    else:
        usable = committed and holds(night)
    if not usable:
        for what, value in before.items():
            setattr(night, what, value)
        return False
    night.versions.update(record["versions"])
    night.warnings += record["warnings"]
    return True


def _adapter(what: str) -> TypeAdapter[Any]:
    """How an attribute of `Night` is written as JSON and read again; imported when its stage is at work anyway."""
    from pydantic import TypeAdapter

    place = _TYPES.get(what)
    return TypeAdapter(_PLAIN[what] if place is None else getattr(import_module(place[0]), place[1]))


def _each(values: Any, change: Callable[[Any], Any]) -> Any:
    if isinstance(values, Mapping):
        return {name: change(value) for name, value in values.items()}
    return [change(value) for value in values] if isinstance(values, list | tuple) else values


def _plain(value: Any) -> str:
    if isinstance(value, date | time | Path):
        return value.isoformat() if not isinstance(value, Path) else str(value)
    raise TypeError(f"{type(value).__name__} cannot stand in a stage's record")
