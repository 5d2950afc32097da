"""Reports that retention takes away: pages of nights, what lies beside them, and the overviews of their dates."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterable, Iterator
from contextlib import suppress
from datetime import date as Date
from pathlib import Path
from typing import TYPE_CHECKING

from infra.runtime.disk import used
from infra.runtime.lake_vacuum import Removed
from schemas.errors import ConfigError
from tasks.retention_plan import Going, Plan, beyond, rule_in_words

if TYPE_CHECKING:
    from infra.runtime.project import Project
    from tasks.services import Services

_OF_NIGHT = re.compile(r"(\d{4}-\d{2}-\d{2})(?:\.html|\.json|-data-docs)")
OVERVIEWS = "overviews"


def page_files(project: Project, name: str) -> dict[Date, list[Path]]:
    """The pages of a dataset by night: page, JSON, and the folder of Data Docs."""
    try:
        folder = project.report_file(name, "0001-01-01").parent
    except ConfigError:
        return {}
    return _by_night(folder)


def remove_pages(paths: Iterable[Path]) -> Removed:
    """Remove pages; what cannot be removed is told and does not keep the others."""
    files = size = 0
    failures = []
    for path in paths:
        bytes_there = used(path).bytes
        try:
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            else:
                path.unlink(missing_ok=True)
        except OSError as error:
            failures.append(f"{path} cannot be removed: {error.strerror or error}")
            continue
        files, size = files + 1, size + bytes_there
    return Removed(files, size, tuple(failures))


def plan_overviews(services: Services) -> Plan:
    """Overviews of old dates of which no dataset has a page any more."""
    kept = services.settings.retention.reports
    there = _by_night(services.project.reports)
    with_page: set[Date] = set()
    for folder in _folders(services.project.reports):
        with_page |= _by_night(folder).keys()
    old = [night for night in beyond(kept, there) if night not in with_page and night != max(there)]
    paths = [path for night in old for path in there[night]]
    if not paths:
        return Plan()
    size = sum(used(path).bytes for path in paths)
    names = tuple(map(str, paths))
    return Plan((Going("reports", "", OVERVIEWS, len(paths), size, rule_in_words(kept), tuple(old), names),))


def take_overviews(services: Services, going: Going) -> Removed:
    """Remove overviews; the oldest that stays is written anew, as it links to the one before it."""
    from tasks.overview import refresh_overview

    removed = remove_pages(map(Path, going.names))
    if left := _by_night(services.project.reports):
        refresh_overview(services, min(left))
    return removed


def _by_night(folder: Path) -> dict[Date, list[Path]]:
    found: dict[Date, list[Path]] = {}
    for path in sorted(folder.glob("*")):
        if (match := _OF_NIGHT.fullmatch(path.name)) is not None:
            with suppress(ValueError):
                found.setdefault(Date.fromisoformat(match.group(1)), []).append(path)
    return found


def _folders(reports: Path) -> Iterator[Path]:
    return (path for path in reports.glob("*") if path.is_dir() and not path.is_symlink())
