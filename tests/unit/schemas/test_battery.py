"""What a battery says in one sentence: where the challenger is weakest, and who is ahead of it."""

from __future__ import annotations

from schemas.battery import Battery, KindFound


def kind(name, **auroc):
    return KindFound(kind=name, rows=10, auroc=auroc)


def test_the_kinds_of_which_the_challenger_finds_least_come_first():
    battery = Battery(kinds=(kind("a", challenger=0.9), kind("b", challenger=0.6), kind("c", challenger=0.7)))
    assert battery.weakest().startswith("the challenger finds least of b (0.600), c (0.700), a (0.900)")
    assert battery.weakest().endswith("no other is ahead in any kind")


def test_who_is_ahead_in_a_kind_is_named_where_it_is_more_than_a_hair():
    battery = Battery(kinds=(kind("a", challenger=0.8, PCA=0.81), kind("b", challenger=0.8, PCA=0.85, LOF=0.9)))
    assert battery.weakest().endswith("others are ahead in b (LOF 0.900)")


def test_an_empty_battery_says_nothing():
    assert Battery().weakest() == ""
