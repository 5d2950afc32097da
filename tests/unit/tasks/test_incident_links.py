"""How much two nights' columns have in common, and what keeps an incident from going on."""

from __future__ import annotations

from datetime import date, timedelta

import pytest

from tasks.incident_links import Chain, Link, Rules, agreement_of, begun, linked, matched, numbered

FIRST = date(2026, 9, 1)
DAYS = [FIRST + timedelta(days=number) for number in range(10)]


def link(number, *, entity="h1", columns=None, place=0, incident=None):
    return Link(DAYS[number], entity, columns or {"sent": 0.6, "got": 0.4}, place, incident)


@pytest.mark.parametrize(
    ("one", "other", "common"),
    [
        ({}, {}, 1.0),
        ({}, {"sent": 1.0}, 0.0),
        ({"sent": 0.6, "got": 0.4}, {"sent": 0.4, "got": 0.6}, 0.8),
        ({"sent": 0.3, "got": 0.2}, {"sent": 0.3, "got": 0.2}, 1.0),
        ({"sent": 0.01}, {"sent": 0.01}, 0.02),
        ({"sent": 1.0}, {"got": 1.0}, 0.0),
    ],
)
def test_agreement_is_what_is_common(one, other, common):
    assert agreement_of(one, other) == agreement_of(other, one) == pytest.approx(common)


@pytest.mark.parametrize(
    ("scored", "quiet", "goes_on"), [((0, 3), 1, True), ((0, 1, 3), 1, False), ((0, 1, 3), 2, True), ((3,), 1, True)]
)
def test_only_scored_nights_are_quiet(scored, quiet, goes_on):
    rules = Rules(0.5, quiet, [DAYS[number] for number in scored])
    assert rules.goes_on(Chain([link(0)]), DAYS[3]) is goes_on


def test_a_close_covers_nights_up_to_one():
    rules = Rules(0.5, 3, DAYS, closed={1: DAYS[2]})
    assert rules.goes_on(Chain([link(1, incident=1)]), DAYS[2])
    assert not rules.goes_on(Chain([link(2, incident=1)]), DAYS[3])


def test_a_mute_keeps_an_incident_going():
    rules = Rules(0.5, 1, DAYS, muted={1: DAYS[5]})
    assert rules.goes_on(Chain([link(0, incident=1)]), DAYS[5])
    assert not rules.goes_on(Chain([link(0, incident=1)]), DAYS[6])


def test_the_best_agreement_goes_on_and_the_other_one_begins():
    before = begun([link(0, incident=7)])
    far, near = link(1, columns={"sent": 1.0}, place=0), link(1, place=1)
    chains = linked(before, [far, near], Rules(0.5, 3, DAYS))
    assert [[one.place for one in chain.links] for chain in chains] == [[0, 1], [0]]
    assert numbered(chains) == [7, None]


def test_a_number_stays_with_the_part_that_began_first():
    chains = [Chain([link(0, incident=3)]), Chain([link(1, incident=3), link(2, incident=5)]), Chain([link(2)])]
    assert numbered(chains) == [3, 5, None]


def test_a_night_done_again_finds_what_it_had():
    old = [link(0, incident=1, place=10), link(0, entity="h2", incident=2, place=11)]
    new = [link(0, entity="h2"), link(0, entity="h3", place=1), link(0, place=2), link(0, place=3)]
    assert matched(new, old, 0.5) == [2, None, 1, None]
