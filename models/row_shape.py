"""What a row's numbers are where their order means something: a series, or a picture."""

from __future__ import annotations

import math

from schemas.errors import ConfigError


def series_shape(family: str, width: int, given: tuple[int, int] | None) -> tuple[int, int]:
    """Steps and channels of a row; one channel where nothing is given.

    Args:
        family: Who asks, for the message.
        width: Numbers of a row, those of the first step first.
        given: The family's option `shape`.

    Raises:
        ConfigError: When the shape holds another count of numbers.
    """
    if given is None:
        return width, 1
    _check(family, width, given, "[length, channels]")
    return given


def picture_shape(family: str, width: int, given: tuple[int, int, int] | None) -> tuple[int, int, int]:
    """Height, width and channels of a row; a square of one channel where nothing is given.

    Args:
        family: Who asks, for the message.
        width: Numbers of a row, line after line.
        given: The family's option `shape`.

    Raises:
        ConfigError: When the shape holds another count of numbers, or none is given and a row is no square.
    """
    words = "[height, width, channels]"
    if given is not None:
        _check(family, width, given, words)
        return given
    side = math.isqrt(width)
    if side * side == width:
        return side, side, 1
    raise ConfigError(
        f"the family {family} needs to know the shape of a row: {width} numbers are no square",
        hint=f"give its option `shape` as {words}, whose product is {width}",
    )


def _check(family: str, width: int, given: tuple[int, ...], words: str) -> None:
    count = math.prod(given)
    if count != width:
        raise ConfigError(
            f"the family {family}: `shape` {list(given)} holds {count} numbers, and a row has {width}",
            hint=f"give {words}, whose product is {width}",
        )
