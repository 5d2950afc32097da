"""This moment; a test may let the service's clock run faster.

`SERENO_SIMULATED_CLOCK=FILE` names a file `{"at": "2026-03-01T00:00:00+00:00", "since": 1760000000.0, "speed": 60}`: at
the second `since` of this machine's clock it was `at`, and a second lasts `speed` times as long since. Schedules,
deadlines and pauses follow it; what happened is written down with this machine's time.
"""

from __future__ import annotations

import json
import os
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

VARIABLE = "SERENO_SIMULATED_CLOCK"


def now() -> datetime:
    """This moment, UTC."""
    file = os.environ.get(VARIABLE)
    if file is None:
        return datetime.now(UTC)
    told = json.loads(Path(file).read_text(encoding="utf-8"))
    passed = (time.time() - float(told["since"])) * float(told["speed"])
    return datetime.fromisoformat(told["at"]) + timedelta(seconds=passed)
