"""`init`: look at real files and propose a dataset file; write a project folder."""

from __future__ import annotations

import json
import os
import re
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, timedelta
from datetime import date as Date
from datetime import datetime as DateTime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from schemas.dataset import Dataset, Source, load_dataset
from schemas.detector import DetectorSettings
from schemas.errors import NoInput, UsageError, listed
from schemas.settings import Settings
from tasks.addresses import matching_files
from tasks.name_dates import find_dates, generalise
from tasks.render_dataset import SCHEMA_LINE, SCHEMAS, render_dataset
from tasks.render_profiles import profile_texts
from tasks.sample import read_samples, spread

if TYPE_CHECKING:
    from tasks.profile import ColumnFacts, Profile
    from tasks.propose import Roles
    from tasks.propose_batch import Rule

MOST_ALERTS = 0.05
EPOCH = DateTime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Proposal:
    """A dataset file that was derived from real files.

    Args:
        dataset: What the text says.
        yaml: The text, with comments.
        notes: What a person should know or check.
        nights: First and last date that the files hold; nothing where neither names nor times say so.
    """

    dataset: Dataset
    yaml: str
    notes: tuple[str, ...]
    nights: tuple[Date, Date] | None = None


@dataclass(frozen=True)
class _Found:
    """The files that match, the address that leads to them, and the date of each."""

    paths: tuple[Path, ...]
    template: str
    dates: tuple[Date, ...] | None
    note: str = ""


def propose_dataset(
    patterns: Sequence[str],
    root: Path,
    *,
    name: str | None = None,
    key: Sequence[str] | None = None,
    time: str | None = None,
    entity: str | None = None,
    budget: float | None = None,
) -> Proposal:
    """Look at files and propose what watches them.

    Args:
        patterns: Paths or patterns of local files; relative ones are sought below `root`, then in the current folder.
        root: The project folder, to which relative addresses in the dataset file refer.
        name: The dataset's name; derived from the files' names where none is given.
        key: Columns that name a row.
        time: The column that says when a row happened.
        entity: The column that says what a row is about.
        budget: Alerts a night.

    Raises:
        NoInput: No file matches.
        UnreadableInput: A file is no table, or the files are of several kinds.
        UsageError: A named column does not exist.
    """
    from tasks.profile import profile
    from tasks.propose import contract_names, decide_columns, find_roles
    from tasks.propose_batch import daily_rhythm, find_nights, propose_rules

    found = _find(patterns, root)
    chosen = spread(len(found.paths))
    nights_of = [found.dates[i] if found.dates else None for i in chosen]
    looked = profile(read_samples([found.paths[i] for i in chosen], nights_of))
    names = contract_names(looked)
    here = {old: new for old, new in names.items() if old != new}
    facts = {names[old]: column for old, column in looked.columns.items()}
    roles = find_roles(
        facts,
        key=[here.get(k, k) for k in key or ()],
        time=None if time is None else here.get(time, time),
        entity=None if entity is None else here.get(entity, entity),
    )
    nights = find_nights(looked, facts, roles.time)
    decisions = decide_columns(facts, roles, looked, has_rhythm=daily_rhythm(facts, roles.time, nights))
    rules = propose_rules(facts, decisions, roles, nights)
    source = _source(found, looked, here, roles, names)
    dataset = Dataset(
        name=name or derive_name(found.template),
        source=source,
        key=roles.key,
        event_time=roles.time,
        entity=roles.entity,
        columns={column: decision.column for column, decision in decisions.items()},
        expectations=tuple(rule.rule for rule in rules),
        detector=_detector(budget, rules),
    )
    ends = _ends(found, looked, dataset)
    notes = _notes(found, looked, facts, roles, dataset, ends)
    text = render_dataset(dataset, decisions, rules, looked, found.paths)
    _check(dataset, text)
    return Proposal(dataset, text, notes, ends)


def write_project(folder: Path, proposal: Proposal, *, overwrite: bool = False) -> tuple[Path, ...]:
    """Write a project folder for a proposal; `sereno.yaml` and example profiles only where there is no such file.

    Args:
        folder: Made if missing.
        proposal: What to write.
        overwrite: Whether an existing dataset file of that name is replaced.

    Returns:
        The paths that were written.

    Raises:
        UsageError: The dataset file exists.
    """
    target = folder / "datasets" / f"{proposal.dataset.name}.yaml"
    if target.exists() and not overwrite:
        raise UsageError(f"{target} exists", hint="give another --name, or overwrite it with --force")
    files = {
        folder / SCHEMAS / "dataset.schema.json": _schema(Dataset),
        folder / SCHEMAS / "sereno.schema.json": _schema(Settings),
        target: proposal.yaml,
    }
    if not (folder / "sereno.yaml").exists():
        files[folder / "sereno.yaml"] = _settings_text()
        files |= {path: text for name, text in profile_texts().items() if not (path := folder / name).exists()}
    for path, text in files.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return tuple(files)


def _schema(model: type[Dataset | Settings]) -> str:
    return json.dumps(model.model_json_schema(), indent=1) + "\n"


def _settings_text() -> str:
    return "\n".join(
        [
            SCHEMA_LINE.format(f"{SCHEMAS}/sereno.schema.json"),
            "# Settings of this project; each may also be set by a variable: SERENO_SEED, SERENO_CLUSTER__KIND, ...",
            "# What is not here has its default: see `sereno config show --resolved`. What differs between places,",
            "# such as a test and production, stands in profiles/NAME.yaml.",
            "seed: 20260301            # of all random choices",
            "inputs:",
            "  protocols: [file]       # where dataset files may point: file, s3, gs, abfs, https, ...",
            "",
        ]
    )


def _find(patterns: Sequence[str], root: Path) -> _Found:
    root = root.resolve()
    paths: dict[str, Path] = {}
    is_absolute = all(Path(p).is_absolute() for p in patterns)
    for pattern in patterns:
        if "://" in pattern and not pattern.startswith("file://"):
            raise UsageError(
                f"{pattern}: init looks at local files only",
                hint="copy a few nights here and run init on them; then set source.path, and inputs in sereno.yaml",
            )
        for path in _matching(pattern.removeprefix("file://"), root):
            paths.setdefault(str(path), path)
    if not paths:
        raise NoInput(
            f"no file matches {listed(patterns, 5)}",
            hint="quote a pattern so that the shell leaves it alone: --from 'data/*.csv'",
        )
    # What lies in the project folder moves with it, however it was named here.
    is_absolute = is_absolute and not all(path.is_relative_to(root) for path in paths.values())
    texts = {(p if is_absolute else os.path.relpath(p, root)): path for p, path in paths.items()}
    dated = find_dates(sorted(texts))
    if dated is None:
        ordered = sorted(texts)
        return _Found(
            tuple(texts[t] for t in ordered), _address(patterns, ordered, root, is_absolute=is_absolute), None
        )
    pairs = sorted(zip(dated.dates, sorted(texts), strict=True))
    return _Found(tuple(texts[t] for _, t in pairs), dated.template, tuple(d for d, _ in pairs), dated.note)


def _matching(pattern: str, root: Path) -> list[Path]:
    for base in (root, Path.cwd()):
        place = Path(os.path.normpath(base / pattern))
        if place.is_file():
            return [place]
        if place.is_dir():
            return sorted(p for p in place.iterdir() if p.is_file() and not p.name.startswith("."))
        found = sorted(Path(p) for p in matching_files(str(place)) if Path(p).is_file())
        if found:
            return found
    return []


def _address(patterns: Sequence[str], texts: Sequence[str], root: Path, *, is_absolute: bool) -> str:
    if len(texts) == 1:
        return texts[0]
    if len(patterns) == 1 and any(c in patterns[0] for c in "*?["):
        if is_absolute:
            return patterns[0]
        base = root if any(matching_files(str(root / patterns[0]))) else Path.cwd()
        return os.path.relpath(base / patterns[0], root)
    return generalise(texts)


def derive_name(template: str) -> str:
    """A dataset's name from its address: the file's name without date and endings, else its folder's."""
    for part in reversed(template.split("/")):
        stem = re.sub(r"\{date[^{}]*\}", " ", part)
        stem = re.sub(r"\[[^\]]*\]|[*?]+", " ", stem)
        stem = re.sub(
            r"(\.(csv|tsv|txt|log|json|jsonl|ndjson|parquet|pq|gz|bz2|xz|zst|zip|labeled|data|dat))+\s*$",
            "",
            stem.strip().lower(),
        )
        words = re.sub(r"[^a-z0-9]+", "_", stem).strip("_")
        words = re.sub(r"^(year|month|day|date|night|part)?_?\d*$", "", words)
        if words:
            return (words if words[0].isalpha() else f"data_{words}")[:64].rstrip("_")
    return "data"


def _detector(budget: float | None, rules: Sequence[Rule]) -> DetectorSettings:
    """The wished alert budget; where none is wished, the usual one, but never a large share of a small night."""
    if budget is None:
        usual = next((rule.rule.usual for rule in rules if rule.rule.expect == "volume"), 0)
        budget = max(1.0, min(DetectorSettings().alert_budget, round(MOST_ALERTS * usual)))
    return DetectorSettings(alert_budget=budget)


def _source(found: _Found, looked: Profile, here: dict[str, str], roles: Roles, names: dict[str, str]) -> Source:
    form = looked.files[0].form
    values: dict[str, Any] = {"path": found.template, "format": form.format}
    if form.format == "delimited":
        values |= {"delimiter": form.delimiter, "header": form.header, "comment": form.comment}
        values |= {} if form.header else {"names": tuple(names.values())}
        odd = next(
            (f.form.encoding for f in looked.files if f.form.encoding not in ("utf-8", "utf-16", "utf-32")), None
        )
        values |= {"encoding": odd} if odd else {}
    words = looked.words
    values |= {"null_values": words.null_values, "true_values": words.true_values, "false_values": words.false_values}
    values |= {"decimal": words.decimal, "thousands": words.thousands}
    values |= {"rename": here if form.header else {}}
    if found.dates is None and roles.time is not None:
        values["date_column"] = roles.time
    return Source.model_validate(values)


def _ends(found: _Found, looked: Profile, dataset: Dataset) -> tuple[Date, Date] | None:
    """First and last night of the files, as far as they were looked at."""
    if found.dates:
        return min(found.dates), max(found.dates)
    clock = dataset.source.date_column
    there = {new: old for old, new in dataset.source.rename.items()}
    column = looked.columns.get(there.get(clock, clock)) if clock else None
    if column is None or not column.finite.size:
        return None
    first, last = (EPOCH + timedelta(seconds=float(at)) for at in (column.finite.min(), column.finite.max()))
    return first.date(), last.date()


def _notes(
    found: _Found,
    looked: Profile,
    facts: dict[str, ColumnFacts],
    roles: Roles,
    dataset: Dataset,
    ends: tuple[Date, Date] | None,
) -> tuple[str, ...]:
    notes = [found.note] if found.note else []
    files = f"{len(found.paths)} file{'s' if len(found.paths) > 1 else ''}"
    if len(found.paths) > len(looked.files):
        files = f"{len(looked.files)} of {files}"
    notes.append(f"looked at {looked.rows:,} rows of {files}")
    if found.dates is None and roles.time is not None:
        notes.append(f"no date in the file names: the rows of a night are found by {roles.time} (source.date_column)")
    elif found.dates is None:
        notes.append(_undated(found))
    if ends:
        notes.append(f"nights {ends[0]} to {ends[1]}" if ends[0] < ends[1] else f"one night, {ends[0]}")
    if dataset.source.names:
        notes.append(
            f"no header: the columns are called {dataset.source.names[0]} to {dataset.source.names[-1]} (give them "
            "names in source.names and columns); write left_out beside one that is an answer, such as a label"
        )
    if not roles.key:
        notes.append("no key column was found: rows are named by their content; name one with --key if there is one")
    elif any(facts[k].distinct < facts[k].rows for k in roles.key) and len(roles.key) == 1:
        repeated = facts[roles.key[0]]
        notes.append(
            f"the key {roles.key[0]} has {repeated.distinct:,} values in {repeated.rows:,} rows: "
            "of rows with one key in one night, all but the first are quarantined"
        )
    rejected = sum(file.rejected for file in looked.files)
    if rejected:
        notes.append(f"{rejected:,} rows do not have the header's number of fields: such rows are quarantined")
    if not dataset.features:
        notes.append(
            "no column is left for the detector, so nothing can be scored: "
            "take `left_out` away from a column that varies, or `validate` only"
        )
    return tuple(notes)


def _undated(found: _Found) -> str:
    one = found.paths[0]
    same = "this file" if len(found.paths) == 1 else "these files"
    return (
        f"no date in the file names and no time column: every date would read {same}; to watch night by night, give "
        f"each delivery a date in its name, such as {one.stem}_2026-09-01{one.suffix}, and run init on those"
    )


def _check(dataset: Dataset, text: str) -> None:
    """The text must say what the dataset says."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"{dataset.name}.yaml"
        path.write_text(text, encoding="utf-8")
        loaded = load_dataset(path)
    if loaded.resolved() != dataset.resolved():
        raise AssertionError("the dataset file does not say what was proposed")
