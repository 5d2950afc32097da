"""Which failures of a stage are worth another try, and what the orchestrator knows of each stage."""

from __future__ import annotations

from datetime import date

import pytest
from prefect import Task
from prefect.states import Failed

from flows import stages
from flows.backfill import dates
from flows.outcome import as_state
from schemas.errors import (
    BlockedNight,
    BundleError,
    ConfigError,
    ForbiddenAddress,
    LakeError,
    LockedNight,
    NoInput,
    OutdatedBundle,
    PromotionRefused,
    SerenoError,
    StateError,
    TrainingFailed,
    UnreadableInput,
    UsageError,
)
from schemas.results import NightResult

EVERY = {name: found for name, found in vars(stages).items() if isinstance(found, Task)}
PASSING = [LakeError("away"), StateError("away"), OSError(28, "full"), ConnectionResetError(), TimeoutError()]
STAYING = [
    BlockedNight("held"),
    BundleError("changed"),
    OutdatedBundle("too old"),
    ConfigError("wrong"),
    ForbiddenAddress("not allowed"),
    LockedNight("held by another"),
    NoInput("nothing came"),
    PromotionRefused("weak"),
    SerenoError("whatever"),
    TrainingFailed("out of steam"),
    UnreadableInput("no table"),
    UsageError("no such thing"),
    ValueError("a defect"),
    MemoryError(),
    KeyboardInterrupt(),
    None,
]


def retried(error) -> bool:
    """Whether each repeatable stage's own condition asks for another try."""
    (said,) = {bool(task.retry_condition_fn(task, None, Failed(data=error))) for task in EVERY.values() if task.retries}
    return said


@pytest.mark.parametrize("error", PASSING, ids=lambda error: type(error).__name__)
def test_a_store_or_a_network_that_was_away_is_tried_again(error):
    assert stages.may_pass(error)
    assert retried(error)


@pytest.mark.parametrize("error", STAYING, ids=lambda error: type(error).__name__)
def test_what_a_person_must_mend_is_not_tried_again(error):
    assert not stages.may_pass(error)


def test_a_night_that_is_blocked_ends_at_once():
    assert not retried(BlockedNight("held"))


def test_every_error_of_the_tree_was_thought_of():
    def tree(kind):
        return {kind}.union(*(tree(child) for child in kind.__subclasses__()))

    told = {kind for kind in tree(SerenoError) if not kind.__name__.startswith("_")}
    assert told <= {type(error) for error in PASSING + STAYING}


def test_a_training_is_never_repeated_and_every_other_stage_twice():
    assert {name: task.retries for name, task in EVERY.items()} == {**dict.fromkeys(EVERY, 2), "train": 0}
    assert {tuple(task.retry_delay_seconds) for task in EVERY.values()} == {(2.0, 10.0)}


def test_each_stage_is_found_by_its_name_and_keeps_nothing_in_the_orchestrator():
    assert len(EVERY) == 10
    for name, task in EVERY.items():
        assert (task.name, task.task_run_name, task.tags) == (name, name, {f"stage:{name}"})
        assert task.persist_result is False
        assert task.description


@pytest.mark.parametrize(
    ("status", "green", "name"),
    [
        ("done", True, "Completed"),
        ("skipped", True, "AlreadyDone"),
        ("partial", True, "Partial"),
        ("blocked", False, "Blocked"),
        ("failed", False, "Failed"),
        ("missing", False, "NoInput"),
    ],
)
def test_a_night_is_green_only_where_rows_were_scored(status, green, name):
    state = as_state(NightResult(dataset="flows", date="2026-09-20", status=status, reason="why"))
    assert (state.is_completed(), state.is_failed(), state.name, state.message) == (green, not green, name, "why")


def test_a_range_holds_both_of_its_ends():
    first, last = date(2026, 2, 27), date(2026, 3, 1)
    assert dates(first, last) == [first, date(2026, 2, 28), last]
    assert dates(first, first) == [first]
