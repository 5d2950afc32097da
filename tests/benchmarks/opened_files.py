"""Which files below a folder any process opens, as the kernel tells (inotify): no process takes part in the count."""

from __future__ import annotations

import ctypes
import os
import select
import struct
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from harness import NotMeasured

_OPEN, _IS_DIRECTORY, _OVERFLOW, _ONLY_DIRECTORIES = 0x20, 0x40000000, 0x4000, 0x01000000
_HEAD = struct.Struct("iIII")


@contextmanager
def opened_files(folder: Path, without: Iterable[Path] = ()) -> Iterator[set[Path]]:
    """Yield a set that holds, when the block has ended, the files opened in it that were there when it began.

    Args:
        folder: Watched with every folder below it.
        without: Folders that are left out.
    """
    skipped = set(without)
    known, folders = set[Path](), list[Path]()
    for place, below, names in os.walk(folder):
        below[:] = [name for name in below if Path(place, name) not in skipped]
        folders.append(Path(place))
        known.update(Path(place, name) for name in names)
    found = set[Path]()
    with _watching(folders) as seen:
        yield found
    found |= seen & known


@contextmanager
def _watching(folders: list[Path]) -> Iterator[set[Path]]:
    library = ctypes.CDLL(None, use_errno=True)
    queue = library.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)
    if queue < 0:
        raise NotMeasured(f"this machine has no inotify: {os.strerror(ctypes.get_errno())}")
    watched = {library.inotify_add_watch(queue, os.fsencode(path), _OPEN | _ONLY_DIRECTORIES): path for path in folders}
    if -1 in watched:
        raise NotMeasured(f"{watched[-1]} cannot be watched: {os.strerror(ctypes.get_errno())}")
    seen, lost, ended = set[Path](), list[bool](), threading.Event()
    reader = threading.Thread(target=_read, args=(queue, watched, seen, lost, ended))
    reader.start()
    try:
        yield seen
    finally:
        ended.set()
        reader.join()
        os.close(queue)
    if lost:
        raise NotMeasured("more files were opened at once than the kernel keeps events of")


def _read(queue: int, watched: dict[int, Path], seen: set[Path], lost: list[bool], ended: threading.Event) -> None:
    while True:
        last = ended.is_set()
        if select.select([queue], [], [], 0.05)[0]:
            _take(os.read(queue, 1 << 20), watched, seen, lost)
        elif last:
            return


def _take(events: bytes, watched: dict[int, Path], seen: set[Path], lost: list[bool]) -> None:
    at = 0
    while at < len(events):
        watch, mask, _, length = _HEAD.unpack_from(events, at)
        name = events[at + _HEAD.size : at + _HEAD.size + length].rstrip(b"\0")
        at += _HEAD.size + length
        if mask & _OVERFLOW:
            lost.append(True)
        elif name and not mask & _IS_DIRECTORY:
            seen.add(watched[watch] / os.fsdecode(name))
