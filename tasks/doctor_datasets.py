"""Dataset files: whether their sources lead to files, their zones agree, and their budgets fit their rows."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from datetime import date as Date
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

from schemas.dataset import DATE_FIELD, Dataset, load_dataset
from schemas.errors import ConfigError, ForbiddenAddress, listed
from tasks.addresses import Address, available_dates, check_allowed, matching_files, parse_address
from tasks.doctor import Check, Finding, Patient, wrong_if
from tasks.name_dates import find_dates

if TYPE_CHECKING:
    from infra.runtime.project import Project

RECENT_DAYS = 3
MOST_LOOKED_AT = 10_000
NIGHTS = 14
MANY_ALERTS = 0.2
"""More than this share of rows as alerts is a list that nobody reads."""


def readable_datasets(project: Project, found: dict[str, Dataset]) -> Iterator[Finding]:
    """Load each dataset file into `found`, and say how that went."""
    from tasks.night import check_family

    for path in sorted(project.datasets.glob("*.yaml")):
        try:
            dataset = load_dataset(path)
            check_family(dataset)
        except ConfigError as error:
            yield Finding(f"dataset {path.stem}", "wrong", error.message, error.hint or "", "dataset")
        else:
            found[path.stem] = dataset
            said = f"{len(dataset.columns)} columns, {len(dataset.features)} features"
            level = wrong_if(not dataset.features, "ok")
            yield Finding(f"dataset {path.stem}", level, said, "no column is a feature", "dataset")


def enabled(patient: Patient) -> Mapping[str, Date]:
    """The datasets whose schedule is on, each with the first night that it does."""
    if patient.services is None:
        return {}
    return {name: switch.since for name, switch in patient.services.state.switches().items() if switch.enabled}


def _inputs(patient: Patient) -> Iterator[Finding]:
    for name, dataset in patient.datasets.items():
        for template in dataset.source.paths:
            yield from _input(patient, name, dataset, template)


def _input(patient: Patient, name: str, dataset: Dataset, template: str) -> Iterator[Finding]:
    what, root = f"input of {name}", patient.project.root
    today = datetime.now(UTC).date()
    text = DATE_FIELD.sub(lambda m: today.strftime(m.group(1) or "%Y-%m-%d"), template)
    try:
        address = parse_address(text, root)
        check_allowed(address, patient.settings.inputs, root)
    except ForbiddenAddress as error:
        yield Finding(what, "wrong", error.message, error.hint or "")
        return
    if not address.is_local:
        return
    if DATE_FIELD.search(template) is None:
        yield from _undated(patient, what, name, dataset, address)
        return
    dates = available_dates(template, root)
    if not dates:
        found = f"no file of any date matches {template}"
        yield Finding(
            what, "wrong", f"{found}; {_nearest(template, root)}", f"mend source.path in datasets/{name}.yaml"
        )
    elif (newest := max(dates)) < today - timedelta(days=RECENT_DAYS):
        found = f"the newest file is of {newest}: {listed(map(_shown(root), dates[newest]), 2)}"
        level = wrong_if(name in enabled(patient))
        hint = "did the delivery stop, or does it come under another name? See source.path in the dataset file"
        yield Finding(what, level, found, hint)


def _undated(patient: Patient, what: str, name: str, dataset: Dataset, address: Address) -> Iterator[Finding]:
    if next(matching_files(address.path), None) is None:
        found = f"no file matches {address.shown}; {_nearest(address.path, patient.project.root)}"
        yield Finding(what, "wrong", found, f"mend source.path in datasets/{name}.yaml")
    elif dataset.source.date_column is None:
        yield Finding(
            what,
            wrong_if(name in enabled(patient)),
            "source.path has no {date}, and there is no source.date_column: each night reads the same rows",
            "write {date:%Y-%m-%d} where the file's name has its date, or name the time column in source.date_column",
        )


def _nearest(template: str, root: Path) -> str:
    """What may be meant: a template by the dates in the files' names, or the file whose name is most alike."""
    folder = Path(parse_address(template.partition("{")[0].partition("*")[0] + "x", root).path).parent
    folder = next((each for each in (folder, *folder.parents) if each.is_dir()), root)
    files = []
    for path in matching_files(f"{folder}/**/*"):
        files.append(path)
        if len(files) >= MOST_LOOKED_AT:
            break
    if not files:
        return f"there is no file in {folder}"
    names = [_shown(root)(path) for path in files]
    alike = difflib.get_close_matches(template, names, n=1, cutoff=0.3) or names[:1]
    dated = find_dates([name for name in names if Path(name).suffix == Path(alike[0]).suffix and _like(name, alike[0])])
    meant = f", did you mean {dated.template}?" if dated is not None and dated.template != template else ""
    return f"nearest that exists: {alike[0]}{meant}"


def _like(name: str, other: str) -> bool:
    return Path(name).parent == Path(other).parent and len(name) == len(other)


def _shown(root: Path) -> Callable[[str], str]:
    return lambda path: str(Path(path).relative_to(root)) if Path(path).is_relative_to(root) else path


def _timezones(patient: Patient) -> Iterator[Finding]:
    for name, dataset in patient.datasets.items():
        schedule = dataset.schedule
        if schedule is None or schedule.timezone == dataset.timezone:
            continue
        yield Finding(
            f"time zone of {name}",
            wrong_if(dataset.source.date_column),
            f"its nights begin and end in {dataset.timezone}, and its schedule counts days in {schedule.timezone}",
            f"write the same zone as `timezone` and `schedule.timezone` in datasets/{name}.yaml, unless that is meant",
        )


def _budgets(patient: Patient) -> Iterator[Finding]:
    if patient.services is None:
        return
    for name, dataset in patient.datasets.items():
        runs = patient.services.state.history(name, None, NIGHTS, table="samples", gone=True)
        counted = [int(run.counters.get("rows") or 0) for run in runs]
        if rows := median(counted) if counted else 0:
            yield from _budget(name, dataset, float(rows))


def _budget(name: str, dataset: Dataset, rows: float) -> Iterator[Finding]:
    from tasks.column_drift import FEWEST_NIGHTS
    from tasks.stages import MIN_WINDOW_ROWS

    detector = dataset.detector
    file = f"datasets/{name}.yaml"
    wished = detector.wished_alerts(rows)
    if wished > MANY_ALERTS * rows:
        level = wrong_if(wished >= rows)
        found = f"{wished:,.0f} alerts a night are asked for, of {rows:,.0f} rows that a usual night has"
        yield Finding(f"alert budget of {name}", level, found, f"set detector.alert_budget in {file} lower")
    taught = detector.window_nights * min(rows, detector.sample_rows)
    if taught < MIN_WINDOW_ROWS:
        found = f"{detector.window_nights} nights of {rows:,.0f} rows, and a training needs {MIN_WINDOW_ROWS} rows"
        hint = f"set detector.window_nights in {file} higher: till then each night trains on itself"
        yield Finding(f"training window of {name}", "wrong", found, hint)
    elif detector.window_nights < FEWEST_NIGHTS:
        found = f"{detector.window_nights} nights, and drift is judged from {FEWEST_NIGHTS} on"
        yield Finding(f"training window of {name}", "note", found, f"set detector.window_nights in {file} higher")


DATASET_CHECKS = (
    Check(
        "input",
        "`source.path` that leads to no file, to none of the last days, or to the same rows each night",
        "the nearest file and the template that fits it are named",
        _inputs,
    ),
    Check(
        "timezone",
        "a schedule that counts days in another time zone than the one in which nights begin and end",
        "the same `timezone` and `schedule.timezone`",
        _timezones,
    ),
    Check(
        "budget",
        "more alerts asked for than a night has rows, or a training window of too few rows or nights",
        "`detector.alert_budget`, `detector.window_nights`",
        _budgets,
    ),
)
