"""What stands around the stages of a night: whatever they raise, the night ends, is reported, and nothing is left."""

from __future__ import annotations

import json
from contextlib import ExitStack
from datetime import date

import pytest
import yaml

from flows.at_work import do_night, train_only
from flows.session import Session
from infra.runtime.project import Project
from schemas.errors import BlockedNight, ConfigError, LakeError, LockedNight, TrainingFailed, UsageError
from schemas.settings import Settings
from tasks.night import NightOptions
from tasks.preprocess import Prepared
from tasks.services import open_services
from tasks.stage_records import recorded

TONIGHT = date(2026, 9, 20)
PLANTED = "tell-nobody"


def first(_work):
    """A stage that does its work."""


def write(_work):
    """The report."""


@pytest.fixture
def session(tmp_path, make_dataset):
    """A session of a project with one dataset, of which one night arrived."""
    project = Project(tmp_path)
    project.datasets.mkdir()
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / f"{TONIGHT}.csv").write_text("flow_id\n1\n", encoding="utf-8")
    written = make_dataset().model_dump(mode="json", exclude_defaults=True)
    project.dataset_file("flows").write_text(yaml.safe_dump(written), encoding="utf-8")
    settings = Settings.model_validate({"prefect": {"api_key": PLANTED}})
    with open_services(project, settings) as services, ExitStack() as stack:
        yield Session(services, tmp_path / "scratch", None, stack)


@pytest.fixture
def night(session):
    """Do tonight with stages that are plain functions; gives the result and the names of what was done."""

    def do(*stages, report=write, **options):
        done = []

        def noted(stage):
            def run(work):
                done.append(stage.__name__)
                with work.timed(stage.__name__):
                    stage(work)

            return run

        result = do_night(session, "flows", TONIGHT, NightOptions(**options), [noted(s) for s in stages], noted(report))
        return result, done

    return do


def raising(error):
    def breaks(_work):
        raise error

    return breaks


def left_behind(session):
    """What a night leaves that it should not: work folders, and runs that look as if they ran on."""
    project = session.services.project
    return [*project.work.glob("flows/**/*")], session.services.state.live()


def test_a_night_whose_stages_do_their_work_is_done(night, session):
    result, done = night(first)
    assert (result.status, done) == ("done", ["first", "write"])
    assert session.results == [result]
    assert set(result.seconds) == {"first", "write"}
    assert left_behind(session) == ([], [])


@pytest.mark.parametrize(
    ("error", "status", "said"),
    [
        (BlockedNight("too few rows", hint="look"), "blocked", "too few rows\nHint: look"),
        (LakeError("the lake is away"), "failed", "the lake is away"),
        (ZeroDivisionError("division by zero"), "failed", "ZeroDivisionError: division by zero\nHint: the details are"),
    ],
    ids=["blocked", "ours", "a-defect"],
)
def test_the_first_stage_that_fails_ends_the_night_and_the_report_is_made_all_the_same(
    error, status, said, night, session
):
    result, done = night(first, raising(error), first)
    assert (result.status, done) == (status, ["first", "breaks", "write"])
    assert result.reason.startswith(said)
    (run,) = session.services.state.recent("flows")
    assert (run.status, run.result["reason"]) == (status, result.reason)
    assert left_behind(session) == ([], [])


def test_a_defect_is_told_in_the_runs_log_without_a_secret(night, session):
    result, _ = night(raising(ZeroDivisionError(f"asked with {PLANTED}")))
    (log,) = session.services.project.logs.glob("*.jsonl")
    assert str(log) in result.reason
    text = log.read_text(encoding="utf-8")
    assert any("ZeroDivisionError" in json.loads(line).get("exception", "") for line in text.splitlines())
    assert PLANTED not in text
    assert PLANTED not in result.reason


def test_a_report_that_cannot_be_written_fails_the_night(night):
    result, done = night(first, report=raising(OSError(28, "No space left on device")))
    assert (result.status, done) == ("failed", ["first", "breaks"])
    assert "No space left" in result.reason


def test_the_stage_that_failed_is_told_rather_than_the_report_that_failed_after_it(night):
    result, _ = night(raising(BlockedNight("too few rows")), report=raising(OSError(28, "full")))
    assert (result.status, result.reason) == ("blocked", "too few rows")


def test_a_night_that_is_given_up_does_not_look_as_if_it_ran_on(night, session):
    with pytest.raises(KeyboardInterrupt):
        night(raising(KeyboardInterrupt()))
    (run,) = session.services.state.recent("flows")
    assert (run.status, run.result["reason"]) == ("failed", "stopped before it ended")
    assert left_behind(session) == ([], [])


def test_a_night_whose_folders_cannot_be_made_is_closed_as_failed(night, session):
    logs = session.services.project.logs
    logs.write_text("a file, no folder", encoding="utf-8")
    result, done = night(first)
    assert (result.status, done) == ("failed", [])
    assert str(logs) in result.reason
    (run,) = session.services.state.recent("flows")
    assert run.status == "failed"
    assert str(logs) in run.result["reason"]
    assert left_behind(session) == ([], [])


def test_a_full_disk_is_told_with_what_to_do(night, session):
    result, _ = night(raising(OSError(28, "No space left on device", "part.parquet")))
    assert result.reason.startswith("part.parquet: No space left on device\nHint: free some space on the disk of ")


def test_a_night_that_another_run_holds_is_told_with_its_error(night, session):
    held = session.services.state.start_run("flows", TONIGHT, "run", "other")
    result, done = night(first)
    assert (result.status, done) == ("failed", [])
    assert held.id in result.reason
    assert isinstance(session.errors["flows", str(TONIGHT)], LockedNight)


def test_a_dataset_file_that_is_wrong_is_told_with_its_error(night, session):
    session.services.project.dataset_file("flows").write_text("name: [", encoding="utf-8")
    result, _ = night(first)
    assert result.status == "failed"
    assert "flows.yaml" in result.reason
    assert not session.services.state.recent("flows")


def test_a_night_that_is_done_is_not_begun_again(night):
    night(first)
    result, done = night(first)
    assert (result.status, done) == ("skipped", [])
    assert night(first, force=True)[1] == ["first", "write"]


def test_a_training_that_fails_outside_of_a_night_leaves_a_run_that_says_so(session):
    with pytest.raises(UsageError, match="no validated nights"):
        train_only(session, "flows", None, None, None, [first])
    state = session.services.state
    run = state.start_run("flows", TONIGHT, "validate", "fp")
    state.finish_run(run.id, "done", versions={"samples": 1, "accepted": 1})
    with pytest.raises(TrainingFailed):
        train_only(session, "flows", None, None, None, [raising(TrainingFailed(f"no {PLANTED}"))])
    newest = state.recent("flows")[0]
    assert (newest.kind, newest.status) == ("train", "failed")
    assert newest.result["reason"] == "no ***"
    assert left_behind(session) == ([], [])


def test_a_training_by_a_family_that_does_not_exist_is_refused_before_it_leaves_a_run(session):
    path = session.services.project.dataset_file("flows")
    written = yaml.safe_load(path.read_text(encoding="utf-8"))
    path.write_text(yaml.safe_dump({**written, "detector": {"family": "denoisin"}}), encoding="utf-8")
    with pytest.raises(ConfigError, match="did you mean `denoising`"):
        train_only(session, "flows", None, None, None, [first])
    assert session.services.state.recent("flows") == []


def kept(session):
    """The runs whose finished stages wait for the next one."""
    return sorted(folder.name for folder in session.services.project.resume.glob("flows/*/*"))


@recorded("prepared")
def preprocess(night):
    """A stage that is remembered."""
    (night.work / "sample.parquet").write_bytes(b"rows")
    night.prepared = Prepared({"rows": 1}, night.work / "sample.parquet", 1)


def summarise(work):
    """A shell around a stage that is remembered."""
    preprocess(work.night)


def test_finished_stages_wait_while_the_night_may_be_asked_for_again_and_go_when_it_is_done(night, session):
    night(summarise, raising(LakeError("away")))
    (run,) = session.services.state.recent("flows")
    assert kept(session) == [run.id]
    night(summarise, raising(BlockedNight("held")))
    assert len(kept(session)) == 1
    assert night(summarise)[0].status == "done"
    assert kept(session) == []


def test_a_night_that_is_done_takes_away_only_its_own_stages(night, session):
    """Its row is final before: another run may be at work on the night by then."""

    def another_begins(_work):
        (session.services.project.resume / "flows" / str(TONIGHT) / "another").mkdir()

    night(summarise, report=another_begins)
    assert kept(session) == ["another"]


def test_what_a_run_left_that_was_killed_after_its_final_row_goes_when_the_night_is_asked_for_again(night, session):
    night(first)
    (run,) = session.services.state.recent("flows")
    (session.services.project.resume / "flows" / str(TONIGHT) / run.id).mkdir(parents=True)
    assert night(first)[0].status == "skipped"
    assert kept(session) == []
