import pickle

import pytest
from pydantic import ValidationError

from schemas.errors import BlockedNight, Exit, SerenoError, UnreadableInput, listed
from schemas.results import DetectorDrift, Drift, NightReport, NightResult, RowCounts


def test_rows_must_add_up():
    assert RowCounts(read=10, accepted=7, quarantined=2, held=1).accepted == 7
    with pytest.raises(ValidationError, match="rows read 10 is not accepted 7"):
        RowCounts(read=10, accepted=7)


def test_a_result_survives_json():
    result = NightResult(dataset="flows", date="2026-09-01", status="done", rows=RowCounts(read=1, accepted=1))
    assert NightResult.model_validate_json(result.model_dump_json()) == result


def test_a_report_of_before_drift_was_seen_by_the_detector_is_still_read():
    drift = {"columns": [], "verdict": "moved", "message": "1 column moved.", "nights": 4}
    old = {"result": {"dataset": "flows", "date": "2026-09-01", "status": "done"}, "generated_at": "", "drift": drift}
    assert NightReport.model_validate(old).drift.detector is None


def test_a_drift_survives_json():
    drift = Drift(verdict="steady", detector=DetectorDrift(verdict="stale", since="2026-09-01", onset="sudden"))
    assert Drift.model_validate_json(drift.model_dump_json()) == drift
    assert drift.detector.is_far


@pytest.mark.parametrize("kind", [BlockedNight, UnreadableInput, SerenoError])
def test_an_error_keeps_its_hint_across_processes(kind: type[SerenoError]):
    # Dask's wire is pickle between our own processes; nothing is read from a file or a store here.
    back = pickle.loads(pickle.dumps(kind("what", hint="how")))  # noqa: S301 -- made in this line
    assert type(back) is kind
    assert str(back) == "what\nHint: how"


def test_errors_are_also_the_builtins_that_a_caller_expects():
    assert issubclass(BlockedNight, ValueError)
    assert UnreadableInput("x").exit_code is Exit.BLOCKED


def test_long_lists_are_bounded():
    assert listed(["a", "b"]) == "a, b"
    assert listed(range(100), 3) == "0, 1, 2 and 97 more"
