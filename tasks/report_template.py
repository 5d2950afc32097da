"""The templates of the pages, and how a page reaches the disk: whole or not at all."""

from __future__ import annotations

import os
import threading
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

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
    draft = path.with_name(f".{path.name}.{os.getpid()}.{threading.get_ident()}.part")
    try:
        with draft.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        with durable("report.page"):
            draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)
