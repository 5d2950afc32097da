"""How the report writes values down: numbers that read at a glance, and text from data that can only ever be text."""

from __future__ import annotations

import math
import re
import unicodedata
from collections.abc import Iterable
from datetime import date

from markupsafe import Markup, escape

CELL = 120
"""Characters of one value in a table."""
SENTENCE = 1_200
"""Characters of a reason or warning."""
MASK = "•••"
"""What stands for a value of a sensitive column."""

_HIDDEN = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})
_PLAIN = re.compile(r"[ -~]*")
_MOST_MARKS = 3
_FRACTION = re.compile(r"\.\d{1,9}(?=$|[+Z-])")
_SCIENTIFIC = re.compile(r"-?\d(?:\.\d+)?[eE][-+]?\d+")
_SUPERSCRIPT = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


def visible(value: object) -> str:
    """Return a value's text with each character that has no shape of its own spelt out.

    Control characters become control pictures (``␀``), and what would hide, reorder or cannot be encoded (bidirectional
    marks, zero-width characters, lone surrogates) becomes ``⟨U+202E⟩``. Piles of combining marks are cut.
    """
    text = value if isinstance(value, str) else str(value)
    if _PLAIN.fullmatch(text):
        return text
    out: list[str] = []
    marks = 0
    for char in text:
        kind = unicodedata.category(char)
        marks = marks + 1 if kind in {"Mn", "Me"} else 0
        if marks > _MOST_MARKS:
            continue
        out.append(_spelt(char) if kind in _HIDDEN else char)
    return "".join(out)


def _spelt(char: str) -> str:
    code = ord(char)
    if code < 0x20:
        return chr(0x2400 + code)
    return "␡" if code == 0x7F else f"⟨U+{code:04X}⟩"


def shortened(value: object, limit: int = CELL) -> tuple[str, int]:
    """Return visible text of at most `limit` characters, and how many characters of the value were left out."""
    text = value if isinstance(value, str) else str(value)
    shown = visible(text[:limit])
    cut = len(text) - min(len(text), limit)
    if len(shown) > limit:
        shown = shown[:limit]
        cut = max(cut, 1)
    return shown, cut


def data(value: object, limit: int = CELL) -> Markup:
    """Return a value from the data as isolated, escaped, bounded text for HTML.

    `<bdi>` keeps right-to-left words from reordering what stands around them.
    """
    if value is None or value == "":
        return Markup('<span class="none">none</span>')
    shown, cut = shortened(value, limit)
    more = Markup('<span class="cut">… {} more characters</span>').format(count(cut)) if cut else Markup("")
    return Markup("<bdi>{}</bdi>{}").format(escape(shown), more)


def count(value: float | None) -> str:
    """Write a whole number with thousands separators: ``12,345``."""
    if value is None or not math.isfinite(value):
        return "–"
    return f"{round(value):,}".replace("-", "−")


def number(value: float | None, digits: int = 4, *, keep: bool = False) -> str:
    """Write a number with its significant digits: ``0.01235``, ``12,350``, ``1.2 × 10⁻⁷``.

    Args:
        value: The number; None and what is not finite are written in words or signs.
        digits: Significant digits; whole numbers keep all of theirs.
        keep: Whether zeros at the end stay, so that a column of numbers has one precision.
    """
    if value is None:
        return "–"
    if not math.isfinite(value):
        return "not a number" if math.isnan(value) else ("∞" if value > 0 else "−∞")
    if value == 0:
        return "0"
    power = math.floor(math.log10(abs(value)))
    if power < -4 or power > 14:
        mantissa, exponent = f"{value:.{digits - 1}e}".split("e")
        shown = mantissa.rstrip("0").rstrip(".") if "." in mantissa and not keep else mantissa
        return f"{shown} × 10{str(int(exponent)).translate(_SUPERSCRIPT)}".replace("-", "−")
    if power >= digits - 1:
        return f"{value:,.0f}".replace("-", "−")
    shown = f"{value:,.{digits - 1 - power}f}"
    return (shown.rstrip("0").rstrip(".") if "." in shown and not keep else shown).replace("-", "−")


def fixed(value: float | None, decimals: int) -> str:
    """Write a number with this many decimals, as its neighbours in a column have."""
    if value is None or not math.isfinite(value) or abs(value) >= 1e14:
        return number(value)
    return f"{value:,.{decimals}f}".replace("-", "−")


def decimals_of(values: Iterable[float], digits: int = 4) -> int:
    """Return how many decimals give the largest of the values its significant digits; at most 8."""
    largest = max((abs(v) for v in values if math.isfinite(v)), default=0.0)
    return min(8, max(0, digits - 1 - math.floor(math.log10(largest)))) if largest else digits - 1


def readable(text: str) -> str:
    """Write a number in scientific notation out, ``3.098e+08`` as ``309,800,000``; any other text stays as it is."""
    return number(float(text)) if len(text) < 30 and _SCIENTIFIC.fullmatch(text) else text


def probability(value: float | None) -> str:
    """Write a p-value: two significant digits, a power of ten where it is small."""
    return number(value, 2, keep=True)


def percent(part: float, whole: float) -> str:
    """Write a share: ``12.3 %``; ``< 0.1 %`` rather than a zero that is none."""
    if not whole or not math.isfinite(part) or not math.isfinite(whole):
        return "–"
    share = 100 * part / whole
    if 0 < share < 0.1:
        return "< 0.1\N{NO-BREAK SPACE}%"
    if 99.9 < share < 100:
        return "> 99.9\N{NO-BREAK SPACE}%"
    return f"{share:.1f}".removesuffix(".0") + "\N{NO-BREAK SPACE}%"


def share(value: float | None) -> str:
    """Write a share of one in whole percent; ``< 1 %`` rather than a zero that is none."""
    if value is None or not math.isfinite(value):
        return "–"
    return "< 1\N{NO-BREAK SPACE}%" if 0 < value < 0.01 else f"{100 * value:.0f}\N{NO-BREAK SPACE}%"


def seconds(value: float | None) -> str:
    """Write a duration: ``0.42 s``, ``31 s``, ``2 min 05 s``, ``1 h 04 min``."""
    if value is None or not math.isfinite(value) or value < 0:
        return "–"
    if value < 9.95:
        return f"{value:.2f}\N{NO-BREAK SPACE}s" if value < 0.995 else f"{value:.1f}\N{NO-BREAK SPACE}s"
    whole = round(value)
    if whole < 60:
        return f"{whole}\N{NO-BREAK SPACE}s"
    if whole < 3600:
        return f"{whole // 60}\N{NO-BREAK SPACE}min {whole % 60:02d}\N{NO-BREAK SPACE}s"
    return f"{whole // 3600:,}\N{NO-BREAK SPACE}h {whole % 3600 // 60:02d}\N{NO-BREAK SPACE}min"


def size(value: float | None) -> str:
    """Write a number of bytes: ``812 B``, ``1.4 MB`` (powers of 1,000)."""
    if value is None or not math.isfinite(value) or value < 0:
        return "–"
    if value < 1000:
        return f"{value:.0f}\N{NO-BREAK SPACE}B"
    unit = "kB"
    for larger in ("MB", "GB", "TB", "PB"):
        value /= 1000
        if value < 999.5:
            break
        unit = larger
    return f"{number(value, 3)}\N{NO-BREAK SPACE}{unit}"


def long_date(text: str) -> str:
    """Write a logical date in words, ``Sunday 20 September 2026``; other text stays as it is."""
    try:
        night = date.fromisoformat(text)
    except ValueError:
        return text
    return f"{night:%A} {night.day} {night:%B %Y}"


def moment(value: str | None, night: str = "") -> str:
    """Write an ISO time to the second, without what the reader knows: the logical date, `T`."""
    if not value:
        return ""
    text = _FRACTION.sub("", value).replace("T", " ", 1)
    text = re.sub(r"(\+00:00|Z)$", " UTC", text)
    return text.removeprefix(f"{night} ") if night else text
