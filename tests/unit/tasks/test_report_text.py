"""How values are written: numbers at a glance, text that can only ever be text."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.report_text import (
    data,
    moment,
    number,
    percent,
    probability,
    readable,
    seconds,
    shortened,
    size,
    visible,
)


@pytest.mark.parametrize(
    ("shown", "expected"),
    [
        (number(12_345.678), "12,346"),
        (number(0.012_345_6), "0.01235"),
        (number(-1.5), "−1.5"),
        (number(1.23e-7), "1.23 × 10⁻⁷"),
        (number(math.nan), "not a number"),
        (number(-math.inf), "−∞"),
        (number(None), "–"),
        (probability(0.0002), "0.00020"),
        (probability(0.0), "0"),
        (percent(1, 10_000), "< 0.1 %"),
        (percent(9_999.5, 10_000), "> 99.9 %"),
        (percent(1, 0), "–"),
        (seconds(0.4), "0.40 s"),
        (seconds(125), "2 min 05 s"),
        (seconds(59.7), "1 min 00 s"),
        (seconds(3_840), "1 h 04 min"),
        (size(93_211), "93.2 kB"),
        (size(999_999), "1 MB"),
        (size(1.5e9), "1.5 GB"),
        (readable("3.098e+08"), "309,800,000"),
        (readable("007"), "007"),
        (moment("2026-03-06T01:02:03.120+00:00", "2026-03-06"), "01:02:03 UTC"),
        (moment("2026-03-05T23:59:00Z", "2026-03-06"), "2026-03-05 23:59:00 UTC"),
    ],
)
def test_numbers_read_at_a_glance(shown, expected):
    assert shown.replace("\N{NO-BREAK SPACE}", " ") == expected


def test_what_cannot_be_seen_is_spelt_out():
    assert visible("a\x00\u202e\ud800\n") == "a␀⟨U+202E⟩⟨U+D800⟩␊"
    assert visible("Größe שלום") == "Größe שלום"
    assert data("שלום") == "<bdi>שלום</bdi>"


@given(st.text(), st.integers(1, 50))
def test_shortened_text_is_bounded_and_says_so(text, limit):
    shown, cut = shortened(text, limit)
    assert len(shown) <= limit
    assert bool(cut) == (len(text) > limit or len(visible(text)) > limit)
