"""The templates of the pages, and how a page reaches the disk: whole or not at all."""

from __future__ import annotations

import glob
import os
import threading
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from infra.runtime.holder import Holder
from schemas.failpoints import durable
from tasks import report_text
from tasks.report_advice import note, subject

if TYPE_CHECKING:
    from jinja2 import Environment

PAGES = Path(__file__).resolve().parent / "report_pages"
_FILTERS = (
    "data",
    "count",
    "number",
    "percent",
    "share",
    "probability",
    "seconds",
    "long_date",
    "moment",
    "fixed",
    "readable",
)


@lru_cache(maxsize=1)
def environment() -> Environment:
    """Return the templates; every value is escaped, and a name that is not there is an error."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined
    from markupsafe import Markup

    found = Environment(
        loader=FileSystemLoader(PAGES), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    found.filters |= {name: getattr(report_text, name) for name in _FILTERS}
    found.filters["plain"] = lambda value, limit: report_text.shortened(value, limit)[0]
    found.filters |= {"subject": subject, "note": note}
    found.globals["stylesheet"] = Markup((PAGES / "report.css").read_text(encoding="utf-8"))  # noqa: S704 -- our own file
    return found


def replace_file(path: Path, content: bytes) -> None:
    """Write a file at once or not at all; of two writers the last one stands.

    Raises:
        OSError: It cannot be written; what was there stays.
    """
    # Process and thread keep two writers of one file apart.
    writer = str(Holder.this_process()).replace(":", "~")
    draft = path.with_name(f".{path.name}.{writer}.{threading.get_ident()}.part")
    try:
        write_file(draft, content)
        with durable("report.page"):
            draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)
        _remove_dead_drafts(path)


def write_file(path: Path, content: bytes) -> None:
    """Write a file through to the disk.

    Raises:
        OSError: It cannot be written.
    """
    with path.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def _remove_dead_drafts(path: Path) -> None:
    """Remove what writers of a file left that were killed."""
    for draft in path.parent.glob(f".{glob.escape(path.name)}.*.part"):
        writer = draft.name.removeprefix(f".{path.name}.").removesuffix(".part").rpartition(".")[0]
        if Holder.parse(writer.replace("~", ":")).alive() is False:
            draft.unlink(missing_ok=True)
