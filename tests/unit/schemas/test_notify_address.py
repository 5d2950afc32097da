"""Which addresses are allowed, and that no part of one is left where it must not be."""

from __future__ import annotations

import pytest

from schemas.notify_address import MASK, PLAIN, SERVICES, check_address, without_address


@pytest.mark.parametrize(
    ("address", "name"),
    [
        ("mailtos://ana:secret@example.org?to=ops@example.org", "mailtos"),
        ("mailto://ana:secret@example.org?mode=starttls", "mailto"),
        ("mailto://127.0.0.1:25?from=a@example.org&to=b@example.org", "mailto"),
        ("mailto://example.org?smtp=127.0.0.1", "mailto"),
        ("slack://T1JJ3T3L2/A1BRTD4JD/TIiajkdnlazkcOXrIdevi7FQ/#general", "slack"),
        ("tgram://123456789:abcdefg_hijklmnop/12315544", "tgram"),
        ("https://example.org/hook?token=x", "https"),
        ("HTTPS://example.org/hook", "https"),
        ("http://localhost:8080/hook", "http"),
        ("http://[::1]:8080/hook", "http"),
        ("json://127.9.9.9/x", "json"),
        ("ntfys://example.org/topic", "ntfys"),
        ("workflows://prod-1.example.org:443/id/signature", "workflows"),
    ],
)
def test_a_service_that_is_allowed_is_named(address, name):
    assert check_address(address) == name


@pytest.mark.parametrize(
    "name", ["exec", "dbus", "syslog", "rsyslog", "macosx", "windows", "glib", "schan", "file", "growl"]
)
def test_what_runs_a_program_writes_here_or_answers_nothing_is_refused(name):
    with pytest.raises(ValueError, match=f"`{name}` is not allowed.*; allowed: .*mailtos"):
        check_address(f"{name}://localhost/secret")


@pytest.mark.parametrize(
    ("address", "said"),
    [
        ("secret-token", "it is no address; write it as SERVICE://"),
        ("", "it is no address"),
        ("slak://secret/secret", r"`slak` is not allowed \(did you mean `slack`\?\)"),
        ("msteams://secret", "address of a Teams workflow"),
        ("http://example.org/secret", "use `https`, or say `insecure: true`"),
        ("json://example.org/secret", "use `jsons`"),
        ("mailto://ana:secret@example.org", "use `mailtos`"),
        ("mailto://localhost?smtp=example.org", "use `mailtos`"),
        ("mailtos://example.org?mode=insecure", "use `mailtos`"),
        ("gotify://example.org/secret", "use `gotifys`"),
        ("jsons://example.org/secret?verify=no", "`verify=no` lets anybody stand in"),
        ("https://example.org:secret/", "host or port of the address cannot be read"),
    ],
)
def test_what_is_refused_is_told_without_any_part_of_the_address(address, said):
    with pytest.raises(ValueError, match=said) as error:
        check_address(address)
    assert "secret" not in str(error.value)
    assert "example.org" not in str(error.value)


@pytest.mark.parametrize("address", ["http://example.org/x", "mailto://example.org", "jsons://example.org?verify=no"])
def test_a_way_that_is_open_to_others_is_taken_where_that_is_said(address):
    assert check_address(address, insecure=True)


def test_every_service_without_encryption_has_a_brother_with_it():
    names = "http json xml form mailto mmost rocket matrix nctalk signal ntfy gotify"
    assert set(names.split()) == PLAIN
    assert {f"{name}s" for name in PLAIN} <= SERVICES


@pytest.mark.parametrize(
    ("address", "text"),
    [
        ("mailtos://ana:s3cr3t%21@mx.example.org:587/?to=ops@example.com&mode=starttls",
         "login of ana with s3cr3t! at mx.example.org:587 for ops@example.com or s3cr3t%21 refused"),
        ("slack://T1JJ3T3L2/A1BRTD4JD/TIiajk/#general", "T1JJ3T3L2 A1BRTD4JD TIiajk #general refused"),
        ("https://example.org/services/hook-1?sig=Kod&v=2", "POST https://EXAMPLE.org/services/hook-1?sig=Kod refused"),
    ],
)  # fmt: skip
def test_no_part_of_an_address_is_left_in_a_text(address, text):
    shown = without_address(text, address)
    for part in ("ana", "s3cr3t", "example", "T1JJ", "A1BR", "TIia", "general", "services", "hook", "Kod", "ops@"):
        assert part.lower() not in shown.lower()
    assert MASK in shown
    assert "refused" in shown


def test_a_short_part_is_hidden_as_a_word_and_not_within_words():
    assert without_address("Token tok is wrong", "slack://tok/x") == f"Token {MASK} is wrong"
