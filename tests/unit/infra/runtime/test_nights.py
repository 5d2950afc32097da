from __future__ import annotations

from datetime import UTC, date, datetime

import pytest

from infra.runtime.nights import as_night
from schemas.errors import UsageError


@pytest.mark.parametrize("value", ["2026-09-20", date(2026, 9, 20), datetime(2026, 9, 20, 23, 59, tzinfo=UTC)])
def test_every_form_of_a_night_is_one_date(value: str | date) -> None:
    assert as_night(value) == date(2026, 9, 20)
    assert not isinstance(as_night(value), datetime)


@pytest.mark.parametrize("text", ["2026-9-20", "20-09-2026", "2026-02-30", "today", "2026-09-20\n"])
def test_other_text_is_refused_with_the_form_to_use(text: str) -> None:
    with pytest.raises(UsageError, match="not a date") as caught:
        as_night(text)
    assert "YYYY-MM-DD" in (caught.value.hint or "")
