"""Which groups of which nights are one incident: the same entity and columns, night after night.

Groups of two nights are linked by what they are, never by when their nights were done, so that nights that are done out
of order, or again, end in the same incidents. A number that an incident has stays with it.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date as Date
from typing import Any

Columns = Mapping[str, float]


@dataclass(frozen=True)
class Link:
    """A group of one night, as linking sees it.

    Args:
        night: Its night.
        entity: What it is about.
        columns: What made its alerts, with mean shares.
        place: Its place among the groups of its night; decides where all else is equal.
        incident: The incident that it belonged to so far; None where it is new.
    """

    night: Date
    entity: str | None
    columns: Columns
    place: int
    incident: int | None = None


@dataclass
class Chain:
    """An incident: groups of nights, oldest first."""

    links: list[Link] = field(default_factory=list)

    @property
    def last(self) -> Link:
        """The newest group."""
        return self.links[-1]

    @property
    def numbers(self) -> list[int]:
        """The incidents that its groups belonged to, oldest first."""
        return list(dict.fromkeys(link.incident for link in self.links if link.incident is not None))


@dataclass(frozen=True)
class Rules:
    """What decides whether an incident goes on.

    Args:
        agreement: How much two nights' columns must have in common.
        quiet_nights: After so many scored nights without it, it is over.
        scored: The nights that were scored, oldest first.
        closed: Incident to the last night that a person's `close` covers.
        muted: Incident to the last night of its mute: until then it is not over, however quiet.
    """

    agreement: float
    quiet_nights: int
    scored: Sequence[Date]
    closed: Mapping[int, Date] = field(default_factory=dict)
    muted: Mapping[int, Date] = field(default_factory=dict)

    def between(self, first: Date, last: Date) -> int:
        """How many scored nights lie between two nights."""
        return max(0, bisect_left(self.scored, last) - bisect_right(self.scored, first))

    def goes_on(self, chain: Chain, night: Date) -> bool:
        """Whether alerts of a night may belong to an incident that had its last ones before."""
        last = chain.last
        # A person's `close` covers nights up to one: those do not go on beyond it.
        if any(last.night <= self.closed.get(number, Date.min) < night for number in chain.numbers):
            return False
        if any(self.muted.get(number, Date.min) >= night for number in chain.numbers):
            return True
        return self.between(last.night, night) < self.quiet_nights


def agreement_of(one: Columns, other: Columns) -> float:
    """What two groups have in common of what made their alerts, 0..1; all, where nothing is known of either."""
    if not one and not other:
        return 1.0
    common = sum(min(share, other.get(name, 0.0)) for name, share in one.items())
    # Only the largest shares of each are kept, which need not add up to 1.
    return min(1.0, common / max(min(sum(one.values()), sum(other.values())), 0.5))


def begun(links: Iterable[Link]) -> list[Chain]:
    """Incidents as they are: groups of nights that belong to one already."""
    chains: dict[int | None, Chain] = {}
    for link in sorted(links, key=lambda one: (one.night, one.place)):
        chains.setdefault(link.incident, Chain()).links.append(link)
    return list(chains.values())


def linked(before: Sequence[Chain], links: Iterable[Link], rules: Rules) -> list[Chain]:
    """Let incidents go on with the groups of later nights, or begin with them; those that began first at the front.

    Args:
        before: Incidents of nights before.
        links: Groups of later nights.
        rules: What decides.
    """
    chains = [Chain(list(chain.links)) for chain in before]
    for night, groups in _by_night(links):
        taken: set[int] = set()
        held: set[int] = set()
        for _, at, place in _pairs(chains, groups, night, rules):
            if at not in held and place not in taken:
                chains[at].links.append(groups[place])
                held.add(at)
                taken.add(place)
        chains += [Chain([group]) for place, group in enumerate(groups) if place not in taken]
    return chains


def matched(new: Sequence[Link], old: Sequence[Link], agreement: float) -> list[int | None]:
    """The incident that each group of a night had before that night was done again; None where it had none."""
    pairs = sorted(
        (-round(common, 9), ours.place, theirs.place, at, of)
        for at, ours in enumerate(new)
        for of, theirs in enumerate(old)
        if ours.entity == theirs.entity and (common := agreement_of(ours.columns, theirs.columns)) >= agreement
    )
    found: list[int | None] = [None] * len(new)
    taken: set[int] = set()
    for *_, at, of in pairs:
        if found[at] is None and of not in taken:
            found[at] = old[of].incident
            taken.add(of)
    return found


def numbered(chains: Sequence[Chain]) -> list[int | None]:
    """The number that each incident keeps: the oldest that no earlier incident has; None where it needs a new one."""
    taken: set[int] = set()
    found: list[int | None] = []
    for chain in chains:
        number = next((one for one in chain.numbers if one not in taken), None)
        found.append(number)
        if number is not None:
            taken.add(number)
    return found


def _by_night(links: Iterable[Link]) -> list[tuple[Date, list[Link]]]:
    nights: dict[Date, list[Link]] = {}
    for link in sorted(links, key=lambda one: (one.night, one.place)):
        nights.setdefault(link.night, []).append(link)
    return list(nights.items())


def _pairs(chains: Sequence[Chain], groups: Sequence[Link], night: Date, rules: Rules) -> list[tuple[Any, int, int]]:
    """Incidents and groups that may go on, the best agreement first, then the incident that was seen last."""
    by_entity: dict[str | None, list[int]] = {}
    for at, chain in enumerate(chains):
        by_entity.setdefault(chain.last.entity, []).append(at)
    pairs = []
    for place, group in enumerate(groups):
        for at in by_entity.get(group.entity, ()):
            last = chains[at].last
            common = agreement_of(last.columns, group.columns)
            if common >= rules.agreement and rules.goes_on(chains[at], night):
                # Nothing that lies further back counts: how far back is looked differs.
                rank = (-round(common, 9), -last.night.toordinal(), last.place, place)
                pairs.append((rank, at, place))
    return sorted(pairs)
