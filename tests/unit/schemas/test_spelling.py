"""Text for a terminal says what is in it, and does nothing."""

from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st

from schemas.spelling import spelled_out, spelled_out_json


def test_what_is_plain_or_has_a_shape_stays():
    for text in ("plain, with\ntwo lines and a\ttab", "naïve – 日本 ✓"):
        assert spelled_out(text) == text


def test_what_acts_is_written_out():
    assert spelled_out("\x1b[31m\r\x7f\x9b\u202e\u2028\udc80\x00") == r"\x1b[31m\r\x7f\x9b\u202e\u2028\udc80\x00"


@given(st.text(st.characters()))
def test_any_text_can_be_printed(text):
    shown = spelled_out(text)
    shown.encode()
    assert not any("\x7f" <= char <= "\x9f" or (char < " " and char not in "\n\t") for char in shown)


@given(st.text(st.characters()))
def test_json_says_the_same(text):
    shown = spelled_out_json(json.dumps({text: [text]}, ensure_ascii=False))
    shown.encode()
    assert json.loads(shown) == {text: [text]}
