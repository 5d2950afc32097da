"""Text for a terminal: what is in a file's name or a value is shown, and never acts.

An escape sequence in a name could colour, hide or retype what a terminal shows.
"""

from __future__ import annotations

import re
import unicodedata

_PLAIN = re.compile(r"[ -~\n\t]*")
_ACTING = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})
_NOT_FOR_JSON = re.compile("[\x7f-\x9f\ud800-\udfff]")


def spelled_out(text: str) -> str:
    r"""Return a text whose control characters, bidirectional marks and the like are written as ``\x1b`` or ``\u202e``.

    Line ends and tabs stay: messages have several lines.
    """
    if _PLAIN.fullmatch(text):
        return text
    return "".join(_spelled(char) for char in text)


def spelled_out_json(text: str) -> str:
    r"""Return JSON that says the same and has no control character or lone surrogate as it is, but as ``\u009b``."""
    return _NOT_FOR_JSON.sub(lambda found: f"\\u{ord(found.group()):04x}", text)


def _spelled(char: str) -> str:
    if char in "\n\t" or unicodedata.category(char) not in _ACTING:
        return char
    return char.encode("unicode_escape").decode("ascii")
