"""Sizes of inputs as delivered, told by their file system without reading them."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from tasks.addresses import file_system, parse_address


def input_sizes(addresses: Iterable[str]) -> dict[str, int | None]:
    """Bytes of each address; None where its file system does not tell."""
    return {address: _size(address) for address in addresses}


def _size(address: str) -> int | None:
    parsed = parse_address(address, Path("/"))
    try:
        if parsed.is_local:
            return Path(parsed.path).stat().st_size
        size = file_system(parsed.protocol).size(parsed.path)
    except (OSError, ValueError):
        return None
    return int(size) if size is not None else None
