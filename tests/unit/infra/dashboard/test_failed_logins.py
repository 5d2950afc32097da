"""Counting wrong tokens: by address, for a minute, in bounded memory."""

from __future__ import annotations

import pytest

from infra.dashboard import failed_logins
from infra.dashboard.failed_logins import FailedLogins


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def logins(clock: Clock) -> FailedLogins:
    return FailedLogins(2, clock)


def test_an_address_is_refused_for_the_rest_of_the_minute(logins: FailedLogins, clock: Clock) -> None:
    assert [logins.was_wrong("192.0.2.1") for _ in range(3)] == [False, True, False]
    assert logins.refused_for("192.0.2.1", "t") == 60.0
    assert logins.refused_for("192.0.2.2", "t") == 0.0
    clock.now += 59
    assert logins.refused_for("192.0.2.1", "t") == 1.0
    clock.now += 1
    assert logins.refused_for("192.0.2.1", "t") == 0.0
    assert not logins.was_wrong("192.0.2.1")


def test_a_token_that_was_right_is_looked_at_all_the_same(logins: FailedLogins) -> None:
    logins.was_right("known")
    logins.was_wrong("192.0.2.1")
    logins.was_wrong("192.0.2.1")
    assert logins.refused_for("192.0.2.1", "known") == 0.0
    assert logins.refused_for("192.0.2.1", "other") == 60.0


def test_all_addresses_of_one_customer_are_one(logins: FailedLogins) -> None:
    logins.was_wrong("2001:db8:0:1::1")
    assert logins.was_wrong("2001:db8:0:1:ffff::2")
    assert logins.refused_for("2001:db8:0:1::3", "t")
    assert not logins.refused_for("2001:db8:0:2::1", "t")


def test_memory_is_bounded_and_the_newest_mistakes_stay(logins: FailedLogins, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(failed_logins, "MOST_ADDRESSES", 10)
    monkeypatch.setattr(failed_logins, "MOST_TOKENS", 10)
    for number in range(100):
        logins.was_wrong(f"192.0.2.{number}")
        logins.was_wrong(f"192.0.2.{number}")
        logins.was_right(f"token {number}")
    assert len(logins._wrong) == len(logins._right) == 10
    assert logins.refused_for("192.0.2.99", "t")
    assert not logins.refused_for("192.0.2.1", "t")
    assert not logins.refused_for("192.0.2.99", "token 99")
