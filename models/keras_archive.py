"""`.keras` archives whose bytes depend on the model alone: no save time, no zip times."""

from __future__ import annotations

import io
import json
import tempfile
import zipfile
from pathlib import Path
from typing import Any

FIXED_DATE = "1980-01-01@00:00:00"


def archive(model: Any) -> bytes:
    """A Keras model as the bytes of a canonical `.keras` file."""
    with tempfile.TemporaryDirectory(prefix="sereno-") as folder:
        path = Path(folder) / "weights.keras"
        model.save(path)
        return canonical(path.read_bytes())


def canonical(data: bytes) -> bytes:
    """The same archive with fixed times and object numbers, entries sorted by name and not compressed."""
    written = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as source, zipfile.ZipFile(written, "w", zipfile.ZIP_STORED) as target:
        for name in sorted(source.namelist()):
            content = source.read(name)
            if name == "metadata.json":
                content = _without_date(content)
            if name == "config.json":
                content = _with_small_ids(content)
            entry = zipfile.ZipInfo(name, date_time=(1980, 1, 1, 0, 0, 0))
            entry.external_attr = 0o644 << 16
            target.writestr(entry, content)
    return written.getvalue()


def _without_date(metadata: bytes) -> bytes:
    values = json.loads(metadata)
    values["date_saved"] = FIXED_DATE
    return json.dumps(values, sort_keys=True).encode()


def _with_small_ids(config: bytes) -> bytes:
    """Keras marks shared objects by their memory address: number them in order instead."""
    numbers: dict[int, int] = {}

    def renumber(values: dict[str, Any]) -> dict[str, Any]:
        if "shared_object_id" in values:
            values["shared_object_id"] = numbers.setdefault(values["shared_object_id"], len(numbers))
        return values

    return json.dumps(json.loads(config, object_hook=renumber), sort_keys=True).encode()
