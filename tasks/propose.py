"""From what files hold to what their contract says: roles, types, ranges, features, and why."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from schemas.dataset import SCORE_COLUMNS, SYSTEM_COLUMNS, Column
from schemas.errors import UsageError
from schemas.features import ColumnType, FeatureKind
from schemas.yaml_source import nearest
from tasks.left_out import ENOUGH_ROWS, ID_NAME, shown_value, why_left_out
from tasks.physical_ranges import is_port, physical_range
from tasks.profile import ColumnFacts, Profile

ENTITY = re.compile(
    r"^(host|hostname|host_?name|machine|machine_?id|device|device_?id|sensor_?id|unit|unit_?(id|nr|number)|asset|asset_?id|station|"
    r"station_?id|node|node_?id|instance|instance_?id|server|equipment(_id)?|src_?ip|source_?ip|id\.orig_h|client_?ip|engine_?id)$"
)
CODE = re.compile(
    r"(^|[^a-z])(code|type|class|status|state|mode|proto|protocol|vlan|category|flag|flags|version|method|qtype|rcode|zone)$"
)
SENSITIVE = re.compile(
    r"e-?mail|passw|(^|[^a-z])(ssn|iban|phone|card_?number|credit_?card|user_?name|first_?name|last_?name)([^a-z]|$)"
)
TIME_RANK = ("start_time", "event_time", "timestamp", "ts", "datetime", "stime", "time", "date")
LISTED_VALUES = 50
OWN_NAMES = {*SYSTEM_COLUMNS, *SCORE_COLUMNS}


@dataclass(frozen=True)
class Decision:
    """One column of the contract and, in words, why it is so."""

    column: Column
    why: str


@dataclass(frozen=True)
class Roles:
    """What single columns are for; names as in the contract."""

    key: tuple[str, ...]
    time: str | None
    entity: str | None


def contract_names(profile: Profile) -> dict[str, str]:
    """The contract's name of each column, by its name in the files: our own names and empty ones are not taken.

    Nor are names that differ from an earlier one only by case: a lake table cannot hold both.
    """
    taken = {name.lower() for name in profile.columns}
    given: set[str] = set()
    names: dict[str, str] = {}
    for i, name in enumerate(profile.columns, 1):
        here = name
        if not name:
            here = f"unnamed_{i}"
        elif name.lower() in OWN_NAMES:
            here = f"{name}_data"
        elif name.lower() in given:
            here = f"{name}_{i}"
        while here != name and here.lower() in taken:
            here += "_"
        taken.add(here.lower())
        given.add(here.lower())
        names[name] = here
    return names


def find_roles(
    facts: Mapping[str, ColumnFacts], *, key: Sequence[str] = (), time: str | None = None, entity: str | None = None
) -> Roles:
    """Which columns are key, event time and entity; what the caller names is taken, the rest is found.

    Raises:
        UsageError: A named column does not exist, or the named time holds no times.
    """
    for role, name in [*(("key", k) for k in key), ("time", time), ("entity", entity)]:
        if name is not None and name not in facts:
            raise UsageError(
                f"--{role} {name!r}: the files have no such column{nearest(name, facts)}",
                hint="columns: " + ", ".join(list(facts)[:60]),
            )
    if time is not None and facts[time].type is not ColumnType.TIME:
        raise UsageError(
            f"--time {time!r}: its values do not read as times, for example {[v for v, _ in facts[time].counts[:3]]}",
            hint="name a column of times, or set its form in the dataset file: {type: time, format: '%d/%m/%Y'}",
        )
    found_time = time or _find_time(facts)
    found_key = tuple(key) if key else _find_key(facts)
    found_entity = entity or _find_entity(facts, {*found_key, found_time})
    return Roles(found_key, found_time, found_entity)


def _find_time(facts: Mapping[str, ColumnFacts]) -> str | None:
    times = [n for n, f in facts.items() if f.type is ColumnType.TIME and f.present >= 0.9 * f.rows]
    rank = {name: i for i, name in enumerate(TIME_RANK)}
    return min(times, key=lambda n: rank.get(n.lower(), len(rank)), default=None)


def _find_key(facts: Mapping[str, ColumnFacts]) -> tuple[str, ...]:
    """A column without repeats whose name says that it names rows; none where only chance made values unique."""
    kinds = (ColumnType.INTEGER, ColumnType.TEXT, ColumnType.CATEGORY)
    unique = [n for n, f in facts.items() if f.type in kinds and f.distinct == f.rows > 1 and not f.missing]
    named = [n for n in unique if ID_NAME.search(n.lower())]
    return (named[0],) if named else ()


def _find_entity(facts: Mapping[str, ColumnFacts], taken: set[str | None]) -> str | None:
    kinds = (ColumnType.INTEGER, ColumnType.TEXT, ColumnType.CATEGORY)
    for name, column in facts.items():
        repeats = 2 <= column.distinct <= column.rows / 20
        if name not in taken and column.type in kinds and ENTITY.match(name.lower()) and repeats and not column.missing:
            return name
    return None


def decide_columns(
    facts: Mapping[str, ColumnFacts], roles: Roles, profile: Profile, *, has_rhythm: str | None
) -> dict[str, Decision]:
    """The contract, column by column.

    Args:
        facts: By the contract's names.
        roles: Key, event time, entity.
        profile: For the files' boundaries.
        has_rhythm: In words, why time of day matters; None where it does not.
    """
    twins = _twins(facts)
    return {name: _decide(name, column, roles, profile, twins, has_rhythm) for name, column in facts.items()}


def _decide(
    name: str, facts: ColumnFacts, roles: Roles, profile: Profile, twins: Mapping[str, str], has_rhythm: str | None
) -> Decision:
    bounds = physical_range(name, facts) if name not in roles.key else physical_range("", facts)
    role = _role(name, roles)
    left_out = None if role else why_left_out(name, facts, profile, twins)
    feature, feature_why = (FeatureKind.AUTO, "") if left_out or role else _feature(name, facts)
    if name == roles.time and has_rhythm:
        feature, feature_why = FeatureKind.CYCLIC, has_rhythm
    must_be = name in roles.key or (facts.missing == 0 and facts.rows >= ENOUGH_ROWS)
    is_listed = facts.type is ColumnType.CATEGORY and 0 < facts.distinct <= LISTED_VALUES and name not in roles.key
    infinite = 0 if facts.numbers is None else int(np.isinf(facts.numbers).sum())
    column = Column(
        type=facts.type,
        nullable=not must_be,
        min=None if name in roles.key else bounds.min,
        max=None if name in roles.key else bounds.max,
        finite=infinite <= 0.01 * facts.rows,
        values=tuple(sorted(value for value, _ in facts.counts)) if is_listed else None,
        format=None if facts.format == "iso8601" else facts.format,
        feature=feature,
        left_out=left_out,
        sensitive=SENSITIVE.search(name.lower()) is not None,
    )
    notes = [role, _seen(facts), "" if name in roles.key else bounds.why, feature_why, _oddities(facts, infinite)]
    return Decision(column, "; ".join(note for note in notes if note))


def _role(name: str, roles: Roles) -> str:
    parts = [(name in roles.key, "key"), (name == roles.time, "event time"), (name == roles.entity, "entity")]
    return ", ".join(word for is_so, word in parts if is_so)


def _feature(name: str, facts: ColumnFacts) -> tuple[FeatureKind, str]:
    if is_port(name, facts):
        return FeatureKind.HASH, "a code though a number"
    if facts.type is ColumnType.INTEGER and CODE.search(name.lower()) and 2 <= facts.distinct <= 30:
        return FeatureKind.ONE_HOT, "a code though a number"
    return FeatureKind.AUTO, ""


def _twins(facts: Mapping[str, ColumnFacts]) -> dict[str, str]:
    """Columns that repeat an earlier one: equal numbers, or categories that go with each other one to one."""
    seen: dict[tuple[object, ...], str] = {}
    twins: dict[str, str] = {}
    for name, column in facts.items():
        if column.distinct < 2:
            continue
        values = column.codes if column.numbers is None else column.numbers
        if column.numbers is None and column.distinct > 0.5 * column.rows:
            continue
        print_ = (column.type, column.missing, values.tobytes())
        if print_ in seen:
            twins[name] = seen[print_]
        else:
            seen[print_] = name
    return twins


def _seen(facts: ColumnFacts) -> str:
    missing = f", {facts.missing / facts.rows:.1%} missing" if facts.missing and facts.rows else ""
    if facts.is_numeric and facts.finite.size:
        return f"{shown_number(facts.finite.min())} to {shown_number(facts.finite.max())} so far{missing}"
    if facts.type in (ColumnType.CATEGORY, ColumnType.TEXT):
        return f"{facts.distinct:,} value{'s' if facts.distinct != 1 else ''}{missing}"
    return missing.removeprefix(", ")


def shown_number(value: float) -> str:
    """A number as a person reads it: 1,925,420 instead of 1.92542e+06."""
    if abs(value) >= 1e6 and float(value).is_integer() and abs(value) < 1e15:
        return f"{value:,.0f}"
    return f"{value:,.6g}"


def _oddities(facts: ColumnFacts, infinite: int) -> str:
    notes = []
    count, examples = facts.unreadable
    if count:
        shown = ", ".join(shown_value(example) for example in examples)
        notes.append(f"{count:,} values do not read as {facts.type.value} ({shown}): such rows are quarantined")
    if infinite:
        notes.append(f"{infinite:,} infinite values")
    if facts.is_ambiguous:
        notes.append("day and month could be the other way round: check `format`")
    return "; ".join(notes)
