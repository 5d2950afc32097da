"""Children are started in order, started again when they die, and ended in reverse order."""

from __future__ import annotations

import errno
import threading
from itertools import pairwise

import pytest

from infra.service import supervisor
from infra.service.supervisor import Post, Supervisor
from schemas.errors import SerenoError


class Child:
    """A child that does what the test says."""

    output = None

    def __init__(self, diary: list[str], name: str, *, ready: bool = True, ended: int | None = None) -> None:
        self.pid = 1
        self.closed_early = False
        self._diary, self._name, self._ready, self._ended = diary, name, ready, ended
        diary.append(f"{name} starts")

    def is_ready(self, *_seconds: float) -> bool:
        return self._ready

    def ended(self) -> int | None:
        return self._ended

    def die(self, status: int) -> None:
        self._ended = status

    def release(self) -> None:
        self._diary.append(f"{self._name} is let go")

    def stop(self, *_seconds: float) -> None:
        self._diary.append(f"{self._name} is ended")


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(supervisor, "LOOK_SECONDS", 0.001)


@pytest.fixture
def diary():
    return []


def watched(posts, diary, at_up):
    """Run a supervisor until the test's own thread says stop."""
    stop = threading.Event()
    died = []
    held = Supervisor(posts, lambda name, how: died.append((name, how)), lambda _held: None)
    held.run(stop, lambda: at_up(stop))
    return died


def test_each_waits_for_the_one_before_and_all_end_in_reverse(diary):
    posts = [Post(name, lambda name=name: Child(diary, name)) for name in ("server", "clock", "worker")]
    watched(posts, diary, lambda stop: stop.set())
    assert diary == [
        "server starts",
        "clock starts",
        "worker starts",
        "worker is ended",
        "clock is ended",
        "server is ended",
    ]


def test_one_that_dies_is_told_and_started_again(diary, monkeypatch):
    monkeypatch.setattr(supervisor, "PAUSES", (0.0,))
    children = []
    stop = threading.Event()

    def begin():
        children.append(Child(diary, "worker"))
        if len(children) == 3:
            stop.set()
        return children[-1]

    died = []

    def tell(name, how):
        died.append((name, how))
        if len(children) == 2:
            return
        children[-1].die(1)

    held = Supervisor([Post("worker", begin)], tell, lambda _held: None)

    def up():
        children[0].die(-9)
        threading.Thread(target=second, daemon=True).start()

    def second():
        while len(children) < 2:
            stop.wait(0.001)
        children[1].die(3)

    held.run(stop, up)
    assert died == [("worker", "was killed by SIGKILL"), ("worker", "ended with status 3")]
    assert diary.count("worker starts") == 3


def test_one_that_dies_again_and_again_is_started_less_and_less_often(diary, monkeypatch):
    now = [0.0]
    monkeypatch.setattr(supervisor.time, "monotonic", lambda: now[0])
    starts = []
    stop = threading.Event()

    def begin():
        starts.append(now[0])
        if len(starts) == 6:
            stop.set()
        return Child(diary, "worker", ended=1 if len(starts) > 1 else None)

    waits = stop.wait

    def later(seconds):
        now[0] += 0.5
        return waits(0)

    monkeypatch.setattr(stop, "wait", later)
    first = Post("worker", begin)
    held = Supervisor([first], lambda _name, _how: None, lambda _held: None)
    held.run(stop, lambda: held._held[0].child.die(1))
    gaps = [round(later - earlier, 1) for earlier, later in pairwise(starts)]
    assert gaps == sorted(gaps)
    assert gaps[-1] >= 15.0


@pytest.mark.parametrize(
    "refusal", [OSError(errno.EAGAIN, "no process is left"), RuntimeError("can't start new thread")]
)
def test_a_machine_without_room_for_a_child_is_asked_again_less_and_less_often(diary, monkeypatch, refusal):
    now = [0.0]
    monkeypatch.setattr(supervisor.time, "monotonic", lambda: now[0])
    begun, died = [], []
    stop = threading.Event()

    def begin():
        begun.append(now[0])
        if 1 < len(begun) < 5:
            raise refusal
        return Child(diary, "worker")

    def later(_seconds):
        now[0] += 0.5
        return len(begun) == 5

    monkeypatch.setattr(stop, "wait", later)
    held = Supervisor([Post("worker", begin)], lambda name, how: died.append((name, how)), lambda _held: None)
    held.run(stop, lambda: held._held[0].child.die(-9))
    assert died == [("worker", "was killed by SIGKILL"), *[("worker", f"could not be started: {refusal}")] * 3]
    gaps = [round(later - earlier, 1) for earlier, later in pairwise(begun)]
    assert gaps[1:] == sorted(gaps[1:])
    assert gaps[-1] > gaps[1]
    assert diary[-1] == "worker is ended"


def test_a_machine_without_room_for_a_first_child_says_so_and_ends_the_others(diary):
    def refused():
        raise OSError(errno.EAGAIN, "no process is left")

    posts = [Post("server", lambda: Child(diary, "server")), Post("clock", refused)]
    with pytest.raises(SerenoError, match=r"clock could not be started: .*no process is left"):
        watched(posts, diary, lambda stop: stop.set())
    assert diary[-1] == "server is ended"


def test_one_that_cannot_be_started_in_the_first_place_ends_the_others(diary):
    posts = [
        Post("server", lambda: Child(diary, "server")),
        Post("clock", lambda: Child(diary, "clock", ready=False, ended=1)),
    ]
    with pytest.raises(SerenoError, match="clock ended while it started"):
        watched(posts, diary, lambda stop: stop.set())
    assert diary[-1] == "server is ended"
