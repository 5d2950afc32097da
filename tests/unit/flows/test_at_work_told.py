"""A night that ends is told within its final row and sent right after; what does not arrive costs the night nothing."""

from __future__ import annotations

from contextlib import ExitStack
from datetime import date

import pytest
import yaml

from flows.at_work import do_night
from flows.session import Session
from infra.runtime.project import Project
from schemas.errors import BlockedNight, LakeError
from schemas.settings import Settings
from tasks.night import NightOptions
from tasks.services import open_services

TONIGHT = date(2026, 9, 20)


@pytest.fixture
def night(tmp_path, make_dataset, webhook):
    """Do tonight with a stage that raises, or does not; gives the result and the state."""
    project = Project(tmp_path)
    project.datasets.mkdir()
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / f"{TONIGHT}.csv").write_text("flow_id\n1\n", encoding="utf-8")
    written = make_dataset().model_dump(mode="json", exclude_defaults=True)
    project.dataset_file("flows").write_text(yaml.safe_dump(written), encoding="utf-8")
    routes = {
        "hook": {"url": webhook.url, "without_alerts": True},
        "grave": {"url": webhook.url, "datasets": ["pumps"]},
    }
    settings = Settings.model_validate({"notify": {"routes": routes}})
    with open_services(project, settings) as services, ExitStack() as stack:
        session = Session(services, tmp_path / "scratch", None, stack)

        def do(error=None, **options):
            def stage(_work):
                if error is not None:
                    raise error

            def report(_work):
                """The page."""

            return do_night(session, "flows", TONIGHT, NightOptions(**options), [stage], report), services.state

        yield do


@pytest.mark.parametrize(
    ("error", "kind", "said"),
    [
        (None, "night_done", "nothing was scored"),
        (BlockedNight("too few rows", hint="look"), "night_blocked", "too few rows"),
        (LakeError("the lake is away"), "night_failed", "the lake is away"),
    ],
    ids=["done", "blocked", "failed"],
)
def test_an_end_is_told_on_the_routes_that_want_it(night, webhook, error, kind, said):
    result, state = night(error)
    (notice,) = state.notices()
    assert (notice.route, notice.status, notice.message.kind) == ("hook", "sent", kind)
    (post,) = webhook.posts
    assert post.json["kind"] == kind
    assert said in post.json["message"]
    assert result.report in post.json["message"]


def test_a_night_that_ends_as_before_is_told_once(night, webhook):
    for _ in range(2):
        night(LakeError("the lake is away"))
    night(force=True)
    night(force=True)
    assert [post.json["kind"] for post in webhook.posts] == ["night_failed", "night_done"]


def test_a_night_that_is_given_up_is_told_by_the_next_command(night, webhook):
    with pytest.raises(KeyboardInterrupt):
        night(KeyboardInterrupt())
    assert webhook.posts == []
    night()
    assert [post.json["kind"] for post in webhook.posts] == ["night_failed", "night_done"]


def test_a_receiver_that_refuses_is_a_warning_and_the_night_stands(night, webhook, caplog):
    webhook.does = 500
    result, state = night()
    assert result.status == "done"
    assert [run.status for run in state.recent("flows")] == ["done"]
    assert "route `hook` did not take a message: the receiver answered 500" in caplog.text
    (notice,) = state.notices()
    assert notice.status == "waiting"
